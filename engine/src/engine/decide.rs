//! From an observation to a plan that is carried out: what memory adds, what the plan is, whether
//! it stands its check, and whether it is the one that was agreed to.

use super::{Engine, Mode, Phase, ROUNDS_MAX, etcd_version, fitting, policy};
use crate::check::{Problem, check};
use crate::exec::{Executor, Guard, Input, Limits, Setup};
use crate::graph::Desired;
use crate::journal::Entry;
use crate::mesh::PeerFact;
use crate::observed::Observed;
use crate::plan::{Plan, destroy, plan};
use crate::resource::{Kind, ResourceId};
use crate::seam::{Effect, Ending, Notice, Verb};
use crate::time::Time;
use crate::topology::{MeshFull, Roster};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What would be done now.
#[derive(Debug, Clone)]
pub struct Preview {
    /// What there is to be; none when all is to go.
    pub desired: Option<Desired>,
    /// The steps towards it. Its fingerprint is what [`super::Task::agreed`] takes.
    pub plan: Plan,
    /// Why it would not be carried out.
    pub problems: Vec<Problem>,
}

impl Engine {
    /// What an engine of this mode would do about what was last seen. Changes nothing.
    ///
    /// # Errors
    /// If the mesh has fewer addresses than there are to be nodes.
    ///
    /// # Panics
    /// Before the world was looked at: see [`Mode::Look`].
    pub fn preview(&self, mode: Mode) -> Result<Preview, MeshFull> {
        let mut seen = self.seen.clone().expect("the world was looked at");
        let mut engine = self.clone();
        engine.task.mode = mode;
        let mut unsaid = Vec::new();
        let planned = engine.planned(Time::ZERO, &mut seen, &mut unsaid)?;
        Ok(Preview {
            problems: planned.problems(&seen),
            desired: planned.desired,
            plan: planned.plan,
        })
    }

    /// The world was seen: plan, check, and carry out.
    pub(super) fn decide(&mut self, now: Time, mut seen: Observed, out: &mut Vec<Effect>) {
        match self.task.mode {
            Mode::Look => {
                self.seen = Some(seen);
                return self.finish(Ending::Converged, out);
            }
            Mode::Destroy if self.doubts(&seen) => {
                self.doubted = true;
                return self.rest(now + self.task.limits.provider.settle, out);
            }
            Mode::Apply | Mode::Keep { .. } | Mode::Destroy => {}
        }
        // Whether it is the plan that was agreed to is known before anything is recorded.
        if let Some(shown) = self.task.agreed
            && let Ok(planned) = self
                .clone()
                .planned(now, &mut seen.clone(), &mut Vec::new())
        {
            let found = planned.plan.fingerprint();
            if shown != found {
                // That a provider could not be asked does not mean that anything has changed.
                let blind = seen.providers.values().any(Result::is_err);
                if blind && self.rounds + 1 < ROUNDS_MAX {
                    return self.again(now, out);
                }
                self.seen = Some(seen);
                return self.finish(Ending::Stale { shown, found }, out);
            }
            self.task.agreed = None;
        }
        let planned = match self.planned(now, &mut seen, out) {
            Ok(planned) => planned,
            Err(full) => return self.give_up("resolve the mesh", &full.to_string(), now, out),
        };
        self.seen = Some(seen.clone());
        let plan = &planned.plan;
        let held = plan
            .held
            .iter()
            .map(|held| format!("{}: {}", held.resource, held.reason));
        out.push(Effect::Say(Notice::Planned {
            steps: plan.steps.len() as u32,
            held: held.collect(),
        }));
        if plan.is_empty() {
            return self.nothing_to_do(now, &planned.plan, out);
        }
        let problems: Vec<_> = planned.problems(&seen);
        if !problems.is_empty() {
            let spoiled: Vec<_> = problems.iter().map(ToString::to_string).collect();
            let text = spoiled.join("; ");
            out.push(Effect::Say(Notice::Refused { problems: spoiled }));
            return self.give_up("check the plan", &text, now, out);
        }
        self.carry_out(now, planned, &seen, out);
    }

    /// Something of ours is not listed: gone, or made so lately that it is not shown yet.
    fn doubts(&self, seen: &Observed) -> bool {
        let listed: BTreeSet<_> = seen.listed().map(|(_, thing)| &thing.id).collect();
        let complete = seen.providers.values().all(Result::is_ok);
        // What is put on machines is made, too, and no provider lists it.
        let mut made = self.ledger.made.iter().filter(|id| id.at_provider());
        !self.doubted && complete && made.any(|id| !listed.contains(id))
    }

    /// Adds what memory knows, and plans.
    fn planned(
        &mut self,
        now: Time,
        seen: &mut Observed,
        out: &mut Vec<Effect>,
    ) -> Result<Planned, MeshFull> {
        for entry in self.ledger.adoptions(|id| exists(seen, id)) {
            self.record(entry, out);
        }
        if self.task.mode == Mode::Destroy {
            self.expected.clear();
            return Ok(Planned {
                desired: None,
                plan: destroy(seen, &self.own_machines()),
                guard: self.task.limits.guard,
            });
        }
        if seen.cluster().is_some() && !self.ledger.founded {
            self.adopt_founding(out);
        }
        for notice in self.scaling.judge(now, seen, &self.task.manifest) {
            out.push(Effect::Say(notice));
        }
        let desired = self.desired(seen, out)?;
        self.meet(&desired, seen, out);
        seen.history.peers = self.ledger.peers.clone();
        let force = self.task.limits.guard.policy.force;
        Ok(Planned {
            plan: plan(&desired, seen),
            guard: Guard {
                version: etcd_version(&self.task.manifest),
                policy: policy(&desired, seen, force),
            },
            desired: Some(desired),
        })
    }

    /// Hosts of one's own that may carry something of ours.
    pub(super) fn own_machines(&self) -> BTreeSet<ResourceId> {
        let named = self.own_hosts().into_iter().map(|(id, _)| id);
        let prepared = self.ledger.prepared.difference(&self.ledger.made).cloned();
        named.chain(prepared).collect()
    }

    /// A founding in doubt turned out to be done.
    fn adopt_founding(&mut self, out: &mut Vec<Effect>) {
        let in_doubt = self
            .ledger
            .in_flight
            .iter()
            .find(|(_, verb)| **verb == Verb::Init);
        let Some((resource, verb)) = in_doubt.map(|(id, verb)| (id.clone(), *verb)) else {
            return;
        };
        self.record(Entry::Adopted { resource, verb }, out);
    }

    /// Resolves the manifest against what exists, and records new mesh addresses.
    fn desired(&mut self, seen: &Observed, out: &mut Vec<Effect>) -> Result<Desired, MeshFull> {
        let desired = fitting(&self.task.manifest, self.roster(), seen)?;
        for (machine, address) in desired.topology.allocated.clone() {
            self.record(Entry::Allocated { machine, address }, out);
        }
        let ours = desired
            .resources()
            .filter(|resource| resource.spec.kind().at_provider());
        self.expected = ours.map(|resource| resource.id.clone()).collect();
        Ok(desired)
    }

    /// Brings what is known of the mesh up to what was seen: keys and addresses of peers that are
    /// as they should be, and peers that are gone.
    fn meet(&mut self, desired: &Desired, seen: &Observed, out: &mut Vec<Effect>) {
        let reached = self.reachable_at(seen);
        for node in &desired.topology.nodes {
            let Some(Ok(view)) = seen.hosts.get(&node.id) else {
                continue;
            };
            // Whoever answers there is another host, and keeps its own number.
            let existing = node.existing.as_deref();
            if existing.is_some_and(|at| seen.history.taken(&node.id, at).is_some()) {
                continue;
            }
            let spec = desired
                .get(&node.id.child("peer"))
                .map(|peer| &peer.spec)
                .expect("every node is a peer");
            let whole = seen.installed(&node.id, Kind::Peer) == Some(spec.fingerprint());
            let Some(key) = view.mesh_key.filter(|_| whole) else {
                continue;
            };
            let reach = reached.get(&node.id).copied().unwrap_or_default();
            let peer = PeerFact::new(&node.id, spec, key, reach).expect("a peer's spec");
            if self.ledger.peers.get(&node.id) != Some(&peer) {
                self.record(Entry::Met { peer }, out);
            }
        }
        let listed: BTreeSet<_> = seen.listed().map(|(_, thing)| &thing.id).collect();
        let complete = seen.providers.values().all(Result::is_ok);
        let own =
            |id: &ResourceId| self.ledger.prepared.contains(id) && !self.ledger.made.contains(id);
        let there = |id: &ResourceId| desired.get(id).is_some() || listed.contains(id) || own(id);
        let known = self.ledger.peers.keys().filter(|_| complete);
        let gone: Vec<_> = known.filter(|id| !there(id)).cloned().collect();
        for machine in gone {
            self.record(Entry::Parted { machine }, out);
        }
    }

    /// What decides, beside the manifest and what is seen, which nodes there are to be.
    fn roster(&self) -> Roster {
        Roster {
            addresses: self.ledger.addresses.clone(),
            sizes: self.scaling.sizes(),
            // What is seen decides that one.
            surge: BTreeMap::new(),
            retired: self.scaling.retired(),
            existing: self.ledger.prepared.clone(),
        }
    }

    fn carry_out(&mut self, now: Time, planned: Planned, seen: &Observed, out: &mut Vec<Effect>) {
        let limits = Limits {
            guard: planned.guard,
            ..self.task.limits.clone()
        };
        let executor = Executor::new(Setup {
            plan: Arc::new(planned.plan),
            limits,
            addresses: self.reachable_at(seen),
            seed: self.task.seed,
            run: self.ledger.runs + 1,
            first_call: self.next_call,
        });
        self.phase = Phase::Changing(Box::new(executor));
        self.input(now, Input::Begin, out);
    }
}

/// A plan with what it comes from and what it is judged by.
struct Planned {
    desired: Option<Desired>,
    plan: Plan,
    guard: Guard,
}

impl Planned {
    /// What the independent check finds. The way towards nothing breaks every rule of a cluster
    /// that is to live, on purpose.
    fn problems(&self, seen: &Observed) -> Vec<Problem> {
        match self.desired {
            Some(_) => check(&self.plan, seen, self.guard.version, &self.guard.policy),
            None => Vec::new(),
        }
    }
}

/// Whether something was surely seen: at a provider, on a machine, or in the cluster.
fn exists(seen: &Observed, id: &ResourceId) -> bool {
    let machine = id.machine();
    let installed = || match seen.hosts.get(&machine) {
        Some(Ok(view)) => view.installed.iter().any(|(kind, _)| {
            let part = kind.on_machine();
            part.is_some_and(|part| machine.child(part) == *id)
        }),
        Some(Err(_)) | None => false,
    };
    let storage = || {
        let found = seen.cluster().is_some_and(|view| view.storage.is_some());
        found && id.as_str().matches('/').count() == 1 && id.as_str().ends_with("/storage")
    };
    seen.listed().any(|(_, listed)| listed.id == *id) || installed() || storage()
}
