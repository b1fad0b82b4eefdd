//! The engine: looks, plans, checks, carries out, and looks again; as a value.
//!
//! `handle(now, event) -> effects`, under the contract of [`crate::seam`]. The same value runs in
//! the simulated world and in the real one. A crash loses it, and nothing else: the next one is
//! made from the journal and goes on.
//!
//! Reading order: this file (the loop), `look` (from answers to an observation), `decide` (from an
//! observation to a plan), `scale` (pools that grow and shrink), `forget` and `unmet` (questions of
//! people that need what was seen).

mod decide;
mod fit;
mod forget;
mod look;
mod scale;
mod surge;
mod unmet;

pub use decide::Preview;
pub use fit::{fitting, policy};
pub use forget::{Remembered, forgotten};

#[cfg(test)]
mod tests;

use crate::exec::{Executor, Input, Limits};
use crate::journal::{Entry, Ledger};
use crate::manifest::Manifest;
use crate::observed::Observed;
use crate::plan::Plan;
use crate::quorum::EtcdVersion;
use crate::random::Seed;
use crate::resource::ResourceId;
use crate::seam::{CallId, Effect, Ending, Event, Fault, FaultClass, Notice, Verb};
use crate::time::{Span, Time};
use look::Look;
use scale::Scaling;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What an engine is to do.
#[derive(Debug, Clone)]
pub struct Task {
    /// The cluster that is desired.
    pub manifest: Arc<Manifest>,
    /// Once, or for good.
    pub mode: Mode,
    /// How long a prepared machine may be silent before it is replaced.
    pub patience: Span,
    /// How hard to try. The guard in it is set by the engine, but for its force.
    pub limits: Limits,
    /// For jitter.
    pub seed: Seed,
    /// The identity of a cluster that has none yet: random.
    pub uid: u64,
    /// Fingerprint of the plan that was shown and agreed to: the first plan is carried out only if
    /// it is that one.
    pub agreed: Option<u64>,
}

/// Once, or for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Until the world is as desired, or nothing helps any more.
    Apply,
    /// Go on, and look again after each interval.
    Keep {
        /// Between two looks at a world that is as desired.
        interval: Span,
    },
    /// Until nothing of the cluster is left.
    Destroy,
    /// Look once, and change nothing: see [`Engine::seen`] and [`Engine::preview`].
    Look,
}

/// Rounds of an apply that leave something undone before it gives up.
const ROUNDS_MAX: u32 = 4;

/// Looks, plans, checks, carries out, and looks again.
#[derive(Debug, Clone)]
pub struct Engine {
    task: Task,
    ledger: Ledger,
    phase: Phase,
    next_call: CallId,
    /// Since when prepared machines do not answer.
    silent_since: BTreeMap<ResourceId, Time>,
    scaling: Scaling,
    /// Rounds so far that left something undone.
    rounds: u32,
    /// What the last round left undone.
    undone: Vec<(String, Fault)>,
    cancelled: bool,
    /// What should exist at providers, as last resolved.
    expected: BTreeSet<ResourceId>,
    /// What was last seen.
    seen: Option<Observed>,
    /// The plan that was last carried out to its end, and how often in a row.
    carried: Option<(u64, u32)>,
    /// Something of ours was not listed, and a second look was taken in case that was late.
    doubted: bool,
}

#[derive(Debug, Clone)]
enum Phase {
    New,
    Resting { until: Time },
    Looking(Box<Look>),
    Changing(Box<Executor>),
    Ended,
}

impl Engine {
    /// An engine that goes on from a journal; an empty one for a cluster that does not exist.
    #[must_use]
    pub fn new(task: Task, journal: &[Entry]) -> Self {
        let scaling = Scaling::of(&task.manifest);
        Self {
            task,
            ledger: Ledger::replay(journal),
            phase: Phase::New,
            next_call: CallId(1),
            silent_since: BTreeMap::new(),
            scaling,
            rounds: 0,
            undone: Vec::new(),
            cancelled: false,
            expected: BTreeSet::new(),
            seen: None,
            carried: None,
            doubted: false,
        }
    }

    /// Another manifest is desired from the next look on.
    pub fn retarget(&mut self, manifest: Arc<Manifest>) {
        self.scaling = self.scaling.carried_over(&manifest);
        self.task.manifest = manifest;
    }

    /// What the journal says.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What should exist at providers, as last resolved.
    #[must_use]
    pub fn expected(&self) -> &BTreeSet<ResourceId> {
        &self.expected
    }

    /// What was last seen, once a look has ended.
    #[must_use]
    pub fn seen(&self) -> Option<&Observed> {
        self.seen.as_ref()
    }

    /// Whether a plan is being carried out.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        matches!(self.phase, Phase::Changing(_))
    }

    /// One event further. Effects are appended, to be carried out in order.
    ///
    /// # Panics
    /// Where the contract of the seam is broken.
    pub fn handle(&mut self, now: Time, event: Event, out: &mut Vec<Effect>) {
        match event {
            Event::Start => self.start(now, out),
            Event::Cancel => self.cancel(now, out),
            Event::Wake => self.input(now, Input::Wake, out),
            Event::Answer { call, outcome } => {
                self.input(now, Input::Answer { call, outcome }, out);
            }
        }
    }

    fn start(&mut self, now: Time, out: &mut Vec<Effect>) {
        assert!(matches!(self.phase, Phase::New), "an engine starts once");
        match (self.ledger.uid, self.task.mode) {
            (Some(_), _) => {}
            // Who only looks leaves nothing behind.
            (None, Mode::Look) => self.ledger.uid = Some(self.task.uid),
            (None, Mode::Apply | Mode::Keep { .. } | Mode::Destroy) => {
                self.record(Entry::Founded { uid: self.task.uid }, out);
            }
        }
        // What a call before a crash made may not be listed yet.
        let in_doubt = self
            .ledger
            .in_flight
            .values()
            .any(|verb| *verb == Verb::Create);
        let settle = if in_doubt {
            self.task.limits.provider.settle
        } else {
            Span::ZERO
        };
        self.rest(now + settle, out);
        self.input(now, Input::Wake, out);
    }

    fn cancel(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.cancelled = true;
        match self.phase {
            Phase::New | Phase::Resting { .. } => self.finish(Ending::Cancelled, out),
            Phase::Looking(_) | Phase::Changing(_) => self.input(now, Input::Cancel, out),
            Phase::Ended => {}
        }
    }

    /// Hands an input to whatever is under way, and goes on when that has ended.
    fn input(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match &mut self.phase {
            Phase::New => panic!("an engine starts before anything else happens to it"),
            Phase::Ended => {}
            Phase::Resting { until } => {
                if *until <= now {
                    self.look(now, out);
                }
            }
            Phase::Looking(look) => {
                look.executor.handle(now, input, &mut self.ledger, out);
                if look.executor.finished().is_some() {
                    self.looked(now, out);
                }
            }
            Phase::Changing(executor) => {
                executor.handle(now, input, &mut self.ledger, out);
                if executor.finished().is_some() {
                    self.changed(now, out);
                }
            }
        }
    }

    fn record(&mut self, entry: Entry, out: &mut Vec<Effect>) {
        self.ledger.apply(&entry);
        out.push(Effect::Record(entry));
    }

    fn rest(&mut self, until: Time, out: &mut Vec<Effect>) {
        self.phase = Phase::Resting { until };
        out.push(Effect::WakeAt(until));
    }

    fn finish(&mut self, ending: Ending, out: &mut Vec<Effect>) {
        self.phase = Phase::Ended;
        out.push(Effect::Done(ending));
    }

    /// A plan was carried out as far as it could be.
    fn changed(&mut self, now: Time, out: &mut Vec<Effect>) {
        let Phase::Changing(executor) = &self.phase else {
            panic!("a plan was under way")
        };
        self.next_call = executor.next_call();
        let plan = executor.plan().fingerprint();
        let summary = executor.finished().expect("it has ended");
        let (complete, cancelled) = (summary.complete(), summary.cancelled);
        self.undone = summary.failed.clone();
        if cancelled || self.cancelled {
            return self.finish(Ending::Cancelled, out);
        }
        if !complete {
            self.carried = None;
            return self.again(now, out);
        }
        let before = self.carried.filter(|(last, _)| *last == plan);
        let times = before.map_or(1, |(_, times)| times + 1);
        self.carried = Some((plan, times));
        if times > ROUNDS_MAX {
            let why = format!("every step was done {times} times, and none of it is to be seen");
            self.rounds = ROUNDS_MAX;
            return self.give_up("see what was done", &why, now, out);
        }
        self.rounds = 0;
        self.look(now, out);
    }

    fn nothing_to_do(&mut self, now: Time, plan: &Plan, out: &mut Vec<Effect>) {
        self.undone = plan
            .held
            .iter()
            .map(|held| {
                (
                    held.resource.to_string(),
                    Fault::new(FaultClass::Busy, &*held.reason),
                )
            })
            .collect();
        if !self.undone.is_empty() {
            return self.again(now, out);
        }
        out.push(Effect::Say(Notice::Converged));
        self.rounds = 0;
        if self.task.mode == Mode::Destroy {
            self.record(Entry::Destroyed, out);
        }
        match self.task.mode {
            Mode::Apply | Mode::Destroy | Mode::Look => self.finish(Ending::Converged, out),
            Mode::Keep { interval } => self.rest(now + interval, out),
        }
    }

    fn give_up(&mut self, what: &str, why: &str, now: Time, out: &mut Vec<Effect>) {
        self.undone = vec![(what.to_owned(), Fault::new(FaultClass::Invalid, why))];
        self.again(now, out);
    }

    /// Something is undone: another round after a while, or the end.
    fn again(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.rounds += 1;
        match self.task.mode {
            Mode::Apply | Mode::Destroy if self.rounds >= ROUNDS_MAX => {
                let undone = std::mem::take(&mut self.undone);
                self.finish(Ending::Incomplete(undone), out);
            }
            Mode::Apply | Mode::Destroy => self.rest(now + Span::from_secs(30), out),
            Mode::Look => panic!("a look leaves nothing undone"),
            Mode::Keep { interval } => self.rest(now + interval, out),
        }
    }
}

/// etcd's version by the manifest: given, or what kubeadm brings. Without Kubernetes there is no
/// etcd either, and the newest rules have nothing to judge.
#[must_use]
pub fn etcd_version(manifest: &Manifest) -> EtcdVersion {
    let Some(kubernetes) = &manifest.spec.kubernetes else {
        return EtcdVersion::NEWEST;
    };
    let given = kubernetes
        .etcd
        .version
        .as_ref()
        .and_then(|version| version.parse().ok());
    let brought = || EtcdVersion::for_kubernetes(&kubernetes.version).ok();
    given
        .or_else(brought)
        .expect("the checked manifest names a Kubernetes version")
}
