//! Looking at the world is a plan too: it runs through the same executor, under the same faults.
//!
//! First what providers list and what the cluster says, then what is on each machine that was
//! found. What does not answer is remembered as such.

use super::{Engine, Mode, Phase};
use crate::exec::{Executor, Input, Setup};
use crate::manifest::ProviderKind;
use crate::mesh::Reach;
use crate::observed::{History, Observed};
use crate::plan::{Plan, Reversibility, Step};
use crate::resource::{Kind, ResourceId};
use crate::seam::{Effect, Ending, Fault, FaultClass, Lane, MachineState, Reply, Seen, Verb};
use crate::time::{Span, Time};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a look waits for one answer, retries included.
const PATIENCE: Span = Span::from_secs(15);

/// A look under way.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) executor: Executor,
    plan: Arc<Plan>,
    seen: Observed,
    /// Providers and cluster were asked; machines are being asked.
    second: bool,
}

fn read(verb: Verb, lane: Lane, resource: ResourceId, kind: Kind) -> Step {
    Step {
        resource,
        kind,
        verb,
        lane,
        desired: None,
        reason: "what is there now".to_owned(),
        after: Vec::new(),
        settled: Vec::new(),
        reversible: Reversibility::ReadOnly,
        expected: Span::from_secs(1),
        deadline: PATIENCE,
        change: None,
        slack: None,
        until: None,
    }
}

impl Engine {
    /// Asks providers what they list, and the cluster for itself if there may be one.
    pub(super) fn look(&mut self, now: Time, out: &mut Vec<Effect>) {
        let name = &self.task.manifest.metadata.name;
        let cluster = self.ledger.founder.is_some() && self.task.mode != Mode::Destroy;
        let mut steps = Vec::new();
        for provider in &self.task.manifest.spec.providers {
            if provider.kind != ProviderKind::Static {
                let id = ResourceId::new(format!("{name}/provider.{}", provider.name));
                let lane = Lane::Provider(provider.name.as_str().into());
                steps.push(read(Verb::List, lane, id, Kind::Machine));
            }
        }
        if cluster {
            let id = ResourceId::new(format!("{name}/etcd"));
            steps.push(read(Verb::Cluster, Lane::Cluster, id, Kind::EtcdMember));
        }
        self.begin_look(now, steps, Observed::default(), false, out);
    }

    fn begin_look(
        &mut self,
        now: Time,
        steps: Vec<Step>,
        seen: Observed,
        second: bool,
        out: &mut Vec<Effect>,
    ) {
        let plan = Arc::new(Plan {
            steps,
            ..Plan::default()
        });
        let executor = Executor::new(Setup {
            plan: Arc::clone(&plan),
            limits: self.task.limits.clone(),
            addresses: self.reachable_at(&seen),
            seed: self.task.seed,
            run: self.ledger.runs + 1,
            first_call: self.next_call,
        });
        self.phase = Phase::Looking(Box::new(Look {
            executor,
            plan,
            seen,
            second,
        }));
        self.input(now, Input::Begin, out);
    }

    /// Where machines are reached: as listed, or as the manifest says of hosts of one's own.
    pub(super) fn reachable_at(&self, seen: &Observed) -> BTreeMap<ResourceId, Reach> {
        let machines = seen.listed().filter(|(_, seen)| seen.kind == Kind::Machine);
        let reach = |seen: &Seen| Reach {
            public: seen.address,
            private: seen.private,
        };
        let mut addresses: BTreeMap<_, _> = machines
            .map(|(_, seen)| (seen.id.clone(), reach(seen)))
            .collect();
        // Hosts of one's own that the manifest does not name any more.
        for peer in self.ledger.peers.values() {
            addresses.entry(peer.machine.clone()).or_insert(Reach {
                public: peer.public,
                private: peer.private,
            });
        }
        for (id, address) in self.own_hosts() {
            let address = address.parse().ok();
            let reach = Reach {
                public: address,
                private: address,
            };
            addresses.insert(id, reach);
        }
        addresses
    }

    /// Hosts that exist already, by machine.
    pub(super) fn own_hosts(&self) -> Vec<(ResourceId, String)> {
        let manifest = &self.task.manifest;
        let mut hosts = Vec::new();
        for pool in &manifest.spec.node_pools {
            for (index, host) in pool.hosts.iter().enumerate() {
                let id = format!("{}/{}/{}", manifest.metadata.name, pool.name, index + 1);
                hosts.push((ResourceId::new(id), host.address.clone()));
            }
        }
        hosts
    }

    /// Every question of a look was answered, or will not be.
    pub(super) fn looked(&mut self, now: Time, out: &mut Vec<Effect>) {
        let Phase::Looking(look) = std::mem::replace(&mut self.phase, Phase::New) else {
            panic!("a look was under way")
        };
        self.next_call = look.executor.next_call();
        if self.cancelled {
            return self.finish(Ending::Cancelled, out);
        }
        let probe = |id: ResourceId| read(Verb::Probe, Lane::Hosts, id, Kind::Machine);
        let second = look.second;
        let mut seen = fold(*look);
        if second {
            return self.seen_all(now, seen, out);
        }
        if !self.ledger.founded && matches!(seen.cluster, Some(Err(_))) {
            // The founding was begun and may not have come to anything: it is repeated.
            seen.cluster = None;
        }
        if self.task.mode == Mode::Destroy {
            // What stands on machines that go matters to nobody.
            let steps = self.own_machines().into_iter().map(probe).collect();
            return self.begin_look(now, steps, seen, true, out);
        }
        let mut machines: Vec<ResourceId> = seen
            .usable_machines()
            .filter(|machine| machine.state == MachineState::Running)
            .map(|machine| machine.id.clone())
            .collect();
        machines.extend(self.own_hosts().into_iter().map(|(id, _)| id));
        // A machine whose provider is silent may answer itself.
        machines.extend(self.ledger.prepared.iter().cloned());
        machines.sort_unstable();
        machines.dedup();
        let steps = machines.into_iter().map(probe).collect();
        self.begin_look(now, steps, seen, true, out);
    }

    /// Everything was seen that can be: add what only memory knows, and decide.
    fn seen_all(&mut self, now: Time, mut seen: Observed, out: &mut Vec<Effect>) {
        let prepared = self.ledger.prepared.clone();
        let silent = |id: &ResourceId| prepared.contains(id) && !seen.answers(id);
        self.silent_since.retain(|id, _| silent(id));
        for id in prepared.iter().filter(|id| silent(id)) {
            self.silent_since.entry(id.clone()).or_insert(now);
        }
        let patience = self.task.patience;
        let lost = self
            .silent_since
            .iter()
            .filter(|(_, since)| now.since(**since) >= patience);
        seen.history = History {
            lost: lost.map(|(id, _)| id.clone()).collect(),
            prepared,
            made: self.ledger.made.clone(),
            peers: self.ledger.peers.clone(),
            founder: self.ledger.founder.clone(),
            founded: self.ledger.founded,
        };
        self.decide(now, seen, out);
    }
}

/// From answers to an observation.
fn fold(look: Look) -> Observed {
    let summary = look.executor.finished().expect("it has ended");
    let mut seen = look.seen;
    let mut answers: BTreeMap<u32, Reply> = summary.replies.iter().cloned().collect();
    for (index, step) in look.plan.steps.iter().enumerate() {
        let answer = answers.remove(&(index as u32)).ok_or_else(|| {
            let failed = summary
                .failed
                .iter()
                .find(|(title, _)| *title == step.title());
            failed.map_or_else(
                || Fault::new(FaultClass::Retryable, "it was not asked"),
                |(_, fault)| fault.clone(),
            )
        });
        match (&step.lane, answer) {
            (Lane::Provider(name), Ok(Reply::List(list))) => {
                seen.providers.insert(name.to_string(), Ok(list));
            }
            (Lane::Provider(name), Err(fault)) => {
                seen.providers.insert(name.to_string(), Err(fault));
            }
            (Lane::Cluster, Ok(Reply::Cluster(view))) => seen.cluster = Some(Ok(view)),
            (Lane::Cluster, Err(fault)) => seen.cluster = Some(Err(fault)),
            (Lane::Hosts, Ok(Reply::Host(view))) => {
                seen.hosts.insert(step.resource.clone(), Ok(view));
            }
            (Lane::Hosts, Err(fault)) => {
                seen.hosts.insert(step.resource.clone(), Err(fault));
            }
            (_, Ok(reply)) => panic!("{} was answered with {reply:?}", step.title()),
        }
    }
    seen
}
