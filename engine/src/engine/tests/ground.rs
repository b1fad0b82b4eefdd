//! A ground for whole lives of an engine: machines at one provider and hosts of one's own, joined
//! by a mesh. Time passes only while the engine rests.

use super::{handle, task};
use crate::engine::{Engine, Mode};
use crate::journal::Entry;
use crate::manifest::Manifest;
use crate::mesh::{MeshKey, links_print, table_of, table_print};
use crate::resource::{Kind, ResourceId, Spec};
use crate::seam::{
    Call, Effect, Ending, Event, Fault, FaultClass, HostView, Lane, MachineState, Notice, Outcome,
    Reply, Seen, Verb,
};
use crate::time::Time;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// `machines` at the provider `a`, and one's own hosts.
pub(super) fn manifest(machines: u32, own: &[&str]) -> Arc<Manifest> {
    let hosts: Vec<_> = own.iter().map(|at| json!({"address": at})).collect();
    let mut pools = vec![json!({
        "name": "w", "provider": "a", "region": "fsn1", "count": machines,
        "machineType": "cx33", "image": "debian-12",
    })];
    if !hosts.is_empty() {
        pools.push(json!({"name": "own", "provider": "rack", "hosts": hosts}));
    }
    let text = json!({
        "apiVersion": "quorate.dev/v1", "kind": "Cluster", "metadata": {"name": "shop"},
        "spec": {"nodePools": pools, "providers": [
            {"name": "a", "type": "hetzner"}, {"name": "rack", "type": "static"},
        ]},
    });
    Arc::new(serde_json::from_value(text).expect("a valid manifest"))
}

#[derive(Default)]
pub(super) struct Ground {
    pub(super) now: Time,
    pub(super) journal: Vec<Entry>,
    pub(super) calls: Vec<Arc<Call>>,
    pub(super) said: Vec<Notice>,
    pub(super) things: BTreeMap<ResourceId, Seen>,
    pub(super) hosts: BTreeMap<ResourceId, HostView>,
    /// The provider's API is silent.
    pub(super) blind: bool,
    /// The same, until this instant.
    pub(super) blind_until: Time,
    /// Hosts that do not answer.
    pub(super) silent: BTreeSet<ResourceId>,
    /// Hosts on which nothing that is done lasts.
    pub(super) forgetful: BTreeSet<ResourceId>,
    /// Made, and not listed before this instant.
    pub(super) late: BTreeMap<ResourceId, Time>,
    addresses: u8,
}

impl Ground {
    /// A ground on which that manifest was applied.
    pub(super) fn built(manifest: &Arc<Manifest>) -> Self {
        let mut ground = Self::default();
        assert_eq!(
            ground.live(manifest, Mode::Apply, None).1,
            Ending::Converged
        );
        ground
    }

    /// One life of an engine, from its start to its end. What happened before is forgotten, but
    /// for the journal.
    pub(super) fn live(
        &mut self,
        manifest: &Arc<Manifest>,
        mode: Mode,
        agreed: Option<u64>,
    ) -> (Engine, Ending) {
        self.calls.clear();
        self.said.clear();
        let task = crate::engine::Task {
            agreed,
            ..task(Arc::clone(manifest), mode)
        };
        let mut engine = Engine::new(task, &self.journal);
        let mut events = vec![Event::Start];
        let mut wakes = BTreeSet::new();
        for _ in 0..5_000 {
            let event = events.pop().unwrap_or_else(|| {
                let at = wakes.pop_first().expect("it waits for something");
                self.now = self.now.max(at);
                Event::Wake
            });
            for effect in handle(&mut engine, self.now, event) {
                match effect {
                    Effect::Record(entry) => self.journal.push(entry),
                    Effect::Call { id, call, .. } => {
                        let outcome = self.answer(&call);
                        self.calls.push(call);
                        events.push(Event::Answer { call: id, outcome });
                    }
                    Effect::WakeAt(at) => {
                        wakes.insert(at);
                    }
                    Effect::Say(notice) => self.said.push(notice),
                    Effect::Done(ending) => return (engine, ending),
                }
            }
        }
        panic!("the engine does not end");
    }

    pub(super) fn mutations(&self) -> Vec<String> {
        let calls = self.calls.iter().filter(|call| call.verb.mutates());
        calls
            .map(|call| format!("{} {}", call.verb, call.target))
            .collect()
    }

    fn answer(&mut self, call: &Call) -> Outcome {
        match &call.lane {
            Lane::Provider(_) if self.blind || self.now < self.blind_until => {
                Err(Fault::new(FaultClass::Auth, "no such token"))
            }
            Lane::Provider(_) => self.at_provider(call),
            Lane::Hosts if self.silent.contains(&call.target.machine()) => {
                Err(Fault::new(FaultClass::Retryable, "no route to host"))
            }
            Lane::Hosts if self.forgetful.contains(&call.target.machine()) => {
                let before = self.hosts.clone();
                let reply = self.on_host(call);
                self.hosts = before;
                Ok(reply)
            }
            Lane::Hosts => Ok(self.on_host(call)),
            Lane::Cluster => panic!("there is no cluster here"),
        }
    }

    fn at_provider(&mut self, call: &Call) -> Outcome {
        let shown = |id: &ResourceId| self.late.get(id).is_none_or(|at| *at <= self.now);
        match call.verb {
            Verb::List => {
                let listed = self.things.iter().filter(|(id, _)| shown(id));
                Ok(Reply::List(listed.map(|(_, seen)| seen.clone()).collect()))
            }
            Verb::Describe => Ok(match self.things.get(&call.target) {
                Some(seen) if shown(&call.target) => Reply::Seen(seen.clone()),
                Some(_) | None => Reply::Absent,
            }),
            Verb::Delete => {
                self.hosts.remove(&call.target);
                match self.things.remove(&call.target) {
                    Some(_) => Ok(Reply::Done),
                    None => Err(Fault::new(FaultClass::NotFound, "no such thing")),
                }
            }
            Verb::Create | Verb::Update => Ok(Reply::Seen(self.make(call))),
            other => panic!("no provider does that: {other}"),
        }
    }

    fn make(&mut self, call: &Call) -> Seen {
        let spec = &call
            .resource
            .as_ref()
            .expect("what is made has a spec")
            .spec;
        let shown = match spec {
            Spec::Firewall { public_ports, .. } => Some(format!("{public_ports:?}")),
            _ => None,
        };
        self.addresses += 1;
        let machine = call.kind == Kind::Machine;
        let seen = Seen {
            id: call.target.clone(),
            kind: call.kind,
            external: call.key.to_string(),
            fingerprint: spec.fingerprint(),
            state: MachineState::Running,
            address: machine.then(|| Ipv4Addr::new(198, 51, 100, self.addresses)),
            private: machine.then(|| Ipv4Addr::new(10, 0, 0, self.addresses)),
            host_key: None,
            fields: shown
                .map(|ports| ("public_ports".to_owned(), ports))
                .into_iter()
                .collect(),
        };
        self.things.insert(call.target.clone(), seen.clone());
        seen
    }

    fn on_host(&mut self, call: &Call) -> Reply {
        let machine = call.target.machine();
        let view = self.hosts.entry(machine.clone()).or_default();
        match call.verb {
            Verb::Probe => Reply::Host(view.clone()),
            Verb::Delete => {
                *view = HostView::default();
                Reply::Done
            }
            Verb::Create | Verb::Update => {
                let spec = &call.resource.as_ref().expect("a spec").spec;
                let print = match call.kind {
                    Kind::Links => {
                        let table = table_print(&table_of(&call.peers));
                        links_print(spec.fingerprint(), table, &machine)
                    }
                    _ => spec.fingerprint(),
                };
                view.installed.retain(|(kind, _)| *kind != call.kind);
                view.installed.push((call.kind, print));
                view.installed.sort_unstable();
                if call.kind != Kind::Peer {
                    return Reply::Done;
                }
                let fresh = MeshKey::simulated(&machine, call.key);
                view.mesh_key.get_or_insert(fresh);
                Reply::Host(view.clone())
            }
            other => panic!("no host does that: {other}"),
        }
    }
}
