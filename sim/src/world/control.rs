//! The driver of the engine in the simulated world: one half of the seam's contract, asserted.
//!
//! Records cost a synced write; a call starts when everything recorded before it is durable; every
//! call is answered once, at its deadline at the latest. The orchestrator can die at any entry of
//! its journal, and starts again from nothing but that.

use super::Happening;
use super::World;
use super::stage::ORCHESTRATOR;
use super::watch::Invariant;
use crate::outcome::Track;
use quorate_engine::engine::{Engine, Mode, Task};
use quorate_engine::journal::Entry;
use quorate_engine::manifest::Manifest;
use quorate_engine::seam::{
    Call, CallId, Effect, Ending, Event, Fault, FaultClass, Lane, Notice, Outcome, Verb,
};
use quorate_engine::time::{Span, Time};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A synced write of the journal: an ordinary SSD.
const FSYNC: Span = Span::from_ms(2);

/// A timer of the driver.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ControlEvent {
    /// The engine asked to be woken.
    Wake(u32),
    /// What was recorded before a call is durable.
    Launch(u32, CallId),
    /// A call's deadline.
    Deadline(u32, CallId),
    /// The orchestrator starts (again).
    Start(u32),
    /// Work in the cluster that a call began has come to its next point.
    Work(u64),
}

impl ControlEvent {
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Wake(life) => 1 << 52 ^ u64::from(life),
            Self::Launch(life, call) => 2 << 52 ^ u64::from(life) << 32 ^ call.0,
            Self::Deadline(life, call) => 3 << 52 ^ u64::from(life) << 32 ^ call.0,
            Self::Start(life) => 4 << 52 ^ u64::from(life),
            Self::Work(number) => 5 << 52 ^ number,
        }
    }
}

/// Where the orchestrator dies, counted in entries of its journal, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashPoint {
    /// At this entry.
    pub entry: u32,
    /// The entry is durable and nothing after it happens; else it never became durable.
    pub durable: bool,
}

/// The orchestrator and its journal.
pub(crate) struct Control {
    pub(super) task: Task,
    pub(super) engine: Option<Engine>,
    pub(super) journal: Vec<Entry>,
    pub(super) crash: Option<CrashPoint>,
    pub(super) restart: Span,
    /// Counts starts: timers of earlier lives are void.
    life: u32,
    /// Calls without an answer.
    open: BTreeMap<CallId, (Arc<Call>, Time)>,
    durable_at: Time,
    pub(super) ending: Option<Ending>,
    pub(super) converged_at: Option<Time>,
    pub(super) crashes: u32,
}

impl Control {
    pub(super) fn new(task: Task, restart: Span) -> Self {
        Self {
            task,
            engine: None,
            journal: Vec::new(),
            crash: None,
            restart,
            life: 0,
            open: BTreeMap::new(),
            durable_at: Time::ZERO,
            ending: None,
            converged_at: None,
            crashes: 0,
        }
    }

    /// Which life of the orchestrator this is.
    pub(super) fn life(&self) -> u32 {
        self.life
    }

    /// Rule 1 of the seam: the intent of a mutating call stands in the journal before the call, as
    /// the last thing that was said of its target.
    fn assert_recorded(&self, call: &Call) {
        let says = |entry: &Entry| match entry {
            Entry::Started {
                resource,
                verb,
                key,
                ..
            } if *resource == call.target => Some(*verb == call.verb && *key == call.key),
            Entry::Finished { resource, .. } | Entry::Adopted { resource, .. }
                if *resource == call.target =>
            {
                Some(false)
            }
            Entry::Founded { .. }
            | Entry::RunStarted { .. }
            | Entry::Allocated { .. }
            | Entry::Met { .. }
            | Entry::Parted { .. }
            | Entry::Forgotten { .. }
            | Entry::Destroyed
            | Entry::Started { .. }
            | Entry::Finished { .. }
            | Entry::Adopted { .. }
            | Entry::RunEnded { .. } => None,
        };
        let recorded =
            !call.verb.mutates() || self.journal.iter().rev().find_map(says) == Some(true);
        assert!(
            recorded,
            "{} {} was called before it was recorded",
            call.verb, call.target
        );
    }
}

impl World {
    /// Starts the orchestrator, now.
    pub fn start_orchestrator(&mut self) {
        assert!(self.control.engine.is_none(), "there is one orchestrator");
        self.control.ending = None;
        let life = self.control.life;
        self.stage
            .after(Span::ZERO, Happening::Control(ControlEvent::Start(life)));
    }

    /// What the orchestrator is to do when it starts next.
    ///
    /// # Panics
    /// While it runs.
    pub fn order(&mut self, mode: Mode) {
        assert!(
            self.control.engine.is_none(),
            "orders are for the next start"
        );
        self.control.task.mode = mode;
        self.control.converged_at = None;
    }

    /// Stops the orchestrator where it stands: its journal stays.
    pub fn stop_orchestrator(&mut self) {
        self.control.engine = None;
        self.control.life += 1;
        self.control.open.clear();
        self.cloud.forget_callers();
    }

    /// Gives the orchestrator another manifest.
    pub fn retarget(&mut self, manifest: &Arc<Manifest>) {
        self.meet_providers(manifest);
        self.manifest = Arc::clone(manifest);
        self.control.task.manifest = Arc::clone(manifest);
        self.control.converged_at = None;
        if let Some(engine) = &mut self.control.engine {
            engine.retarget(Arc::clone(manifest));
        }
    }

    /// When the orchestrator last found nothing to do; none since anything changed.
    #[must_use]
    pub fn converged_at(&self) -> Option<Time> {
        self.control.converged_at
    }

    /// How the orchestrator's work ended, if it has.
    #[must_use]
    pub fn ending(&self) -> Option<&Ending> {
        self.control.ending.as_ref()
    }

    /// The journal so far.
    #[must_use]
    pub fn journal(&self) -> &[Entry] {
        &self.control.journal
    }

    /// Lets the orchestrator die at an entry that is still to come.
    pub fn crash_at(&mut self, point: CrashPoint) {
        self.control.crash = Some(point);
    }

    /// Whether a plan is being carried out.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        self.control
            .engine
            .as_ref()
            .is_some_and(Engine::is_changing)
    }

    pub(super) fn on_control(&mut self, event: ControlEvent) {
        let current = |life: u32| life == self.control.life;
        match event {
            ControlEvent::Start(life) if current(life) => {
                let engine = Engine::new(self.control.task.clone(), &self.control.journal);
                self.control.engine = Some(engine);
                self.tell(Event::Start);
            }
            ControlEvent::Wake(life) if current(life) => self.tell(Event::Wake),
            ControlEvent::Launch(life, call) if current(life) => self.launch(call),
            ControlEvent::Deadline(life, call) if current(life) => {
                let fault = Fault::new(FaultClass::Unknown, "no answer in time");
                self.answered(call, Err(fault));
            }
            ControlEvent::Work(number) => self.work(number),
            ControlEvent::Start(_)
            | ControlEvent::Wake(_)
            | ControlEvent::Launch(..)
            | ControlEvent::Deadline(..) => {} // of a life that is over
        }
    }

    /// A call was answered, unless nobody waits for it any more.
    pub(super) fn answered(&mut self, call: CallId, outcome: Outcome) {
        if self.control.open.remove(&call).is_some() {
            self.tell(Event::Answer { call, outcome });
        }
    }

    /// Something happens to the engine; what it wants is done, in order.
    fn tell(&mut self, event: Event) {
        let Some(mut engine) = self.control.engine.take() else {
            return;
        };
        let mut effects = Vec::new();
        engine.handle(self.stage.now(), event, &mut effects);
        self.control.engine = Some(engine);
        for effect in effects {
            if !self.carry_out(effect) {
                return;
            }
        }
    }

    /// Does what the engine wants; false if it died over it.
    fn carry_out(&mut self, effect: Effect) -> bool {
        let now = self.stage.now();
        let life = self.control.life;
        match effect {
            Effect::Record(entry) => return self.record(entry),
            Effect::Call { id, call, deadline } => {
                assert!(
                    deadline > now,
                    "a call has time: {} {}",
                    call.verb,
                    call.target
                );
                self.control.assert_recorded(&call);
                self.control.open.insert(id, (call, deadline));
                let at = self.control.durable_at.max(now);
                self.stage
                    .queue
                    .at(at, Happening::Control(ControlEvent::Launch(life, id)));
                let late = ControlEvent::Deadline(life, id);
                self.stage.queue.at(deadline, Happening::Control(late));
            }
            Effect::WakeAt(at) => {
                assert!(at >= now, "a wake-up is never in the past");
                self.stage
                    .queue
                    .at(at, Happening::Control(ControlEvent::Wake(life)));
            }
            Effect::Say(notice) => self.said(&notice),
            Effect::Done(ending) => {
                self.control.ending = Some(ending);
                self.control.engine = None;
                self.control.life += 1;
            }
        }
        true
    }

    fn record(&mut self, entry: Entry) -> bool {
        let number = self.control.journal.len() as u32 + 1;
        let crash = self.control.crash.filter(|point| point.entry == number);
        if crash.is_none_or(|point| point.durable) {
            self.watch.recorded(self.stage.now(), &entry);
            self.control.journal.push(entry);
            self.control.durable_at = self.stage.now() + FSYNC;
        }
        let Some(point) = crash else { return true };
        self.control.crash = None;
        let when = if point.durable { "after" } else { "before" };
        let text = format!("orchestrator dies {when} entry {number} is durable");
        self.stage.note(Track::Fault, text);
        self.crash_orchestrator();
        false
    }

    /// The orchestrator dies, and starts again after a while.
    pub fn crash_orchestrator(&mut self) {
        if self.control.engine.is_none() {
            return;
        }
        self.stop_orchestrator();
        self.control.crashes += 1;
        let start = ControlEvent::Start(self.control.life);
        self.stage
            .after(self.control.restart, Happening::Control(start));
    }

    /// How often the orchestrator died.
    #[must_use]
    pub fn crashes(&self) -> u32 {
        self.control.crashes
    }

    fn launch(&mut self, id: CallId) {
        let Some((call, deadline)) = self.control.open.get(&id).cloned() else {
            return;
        };
        match call.lane {
            Lane::Provider(_) | Lane::Hosts => {
                self.with_cloud(|cloud, ground| cloud.call(ground, id, call, deadline));
            }
            Lane::Cluster => self.cluster_call(id, &call),
        }
    }

    fn said(&mut self, notice: &Notice) {
        match notice {
            Notice::Converged => {
                self.watch.calm_at(self.stage.now());
                if self.control.converged_at.is_none() {
                    self.control.converged_at = Some(self.stage.now());
                    self.stage.note(Track::Engine, "converged: nothing to do");
                }
                self.check_owned();
                self.check_mesh();
            }
            Notice::Planned { steps: 0, held } if held.is_empty() => {}
            Notice::Planned { steps, held } => {
                self.control.converged_at = None;
                self.planned(*steps, held);
            }
            Notice::Started { .. } => {}
            Notice::Finished { step, took } => {
                if worth_telling(step) {
                    self.stage
                        .note(Track::Engine, format!("{} ({took})", short(step)));
                }
            }
            Notice::Retrying { step, fault, after } => {
                if fault.class == FaultClass::Refused {
                    let text = format!("{} waits {after}: {}", short(step), fault.detail);
                    self.watch.say_once(&mut self.stage, Track::Engine, text);
                }
            }
            // A read that fails shows in what is held because of it.
            Notice::Failed { step, .. } if is_read(step) => {}
            Notice::Failed { step, fault } => {
                self.stage
                    .note(Track::Engine, format!("FAILED {}: {fault}", short(step)));
            }
            Notice::Forced { step, refusal } => {
                let text = format!("FORCED {}: {refusal}", short(step));
                self.stage.note(Track::Engine, text);
            }
            Notice::Scaled { pool, size, reason } => {
                self.stage
                    .note(Track::Engine, format!("{pool} to {size} nodes: {reason}"));
            }
            Notice::Refused { problems } => {
                let text = format!("the plan is unsound: {}", problems.join("; "));
                self.watch
                    .violated(Invariant::Plan, self.stage.now(), text.clone());
                self.stage.note(Track::Check, text);
            }
        }
    }

    fn planned(&mut self, steps: u32, held: &[String]) {
        if steps > 0 {
            self.stage
                .note(Track::Engine, format!("plan of {steps} steps"));
        }
        // One line for all that is held for one reason.
        let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for text in held {
            let (resource, reason) = text.split_once(": ").unwrap_or(("", text));
            reasons.entry(reason).or_default().push(short(resource));
        }
        for (reason, resources) in reasons {
            let who = match resources.as_slice() {
                [one] => one.clone(),
                many => format!("{} and {} more", many[0], many.len() - 1),
            };
            self.watch.say_once(
                &mut self.stage,
                Track::Engine,
                format!("holds {who}: {reason}"),
            );
        }
    }

    /// Everything that exists at providers is desired, and exists once, whenever the orchestrator
    /// says that nothing is left to do.
    fn check_owned(&mut self) {
        let Some(engine) = &self.control.engine else {
            return;
        };
        let orphans: Vec<String> = self
            .cloud
            .orphans(engine.expected())
            .into_iter()
            .map(|owned| format!("{} at {} is an orphan", owned.seen.id, owned.provider))
            .collect();
        for orphan in orphans {
            self.watch
                .violated(Invariant::Owned, self.stage.now(), orphan);
        }
    }

    /// Whether the orchestrator reaches a machine.
    pub(super) fn orchestrator_reaches(&self, host: u16) -> bool {
        self.stage.reaches(ORCHESTRATOR, host)
    }
}

fn is_read(step: &str) -> bool {
    let verb = step.split(' ').next().unwrap_or_default();
    let reads = [Verb::List, Verb::Describe, Verb::Probe, Verb::Cluster];
    reads.iter().any(|read| read.to_string() == verb)
}

/// Steps of which the timeline tells: those that people would ask about.
fn worth_telling(step: &str) -> bool {
    let verb = step.split(' ').next().unwrap_or_default();
    let machine = step.matches('/').count() == 2;
    let told = [
        Verb::Init,
        Verb::Promote,
        Verb::MoveLeader,
        Verb::RemoveMember,
        Verb::Drain,
    ];
    let plain = [Verb::Create, Verb::Delete];
    let is = |verbs: &[Verb]| verbs.iter().any(|v| v.to_string() == verb);
    is(&told)
        || (is(&plain) && machine && !step.contains("network.") && !step.contains("firewall."))
}

/// Without the cluster's name: `create control-htz/1`.
fn short(text: &str) -> String {
    let Some((before, after)) = text.split_once('/') else {
        return text.to_owned();
    };
    match before.rsplit_once(' ') {
        Some((verb, _)) => format!("{verb} {after}"),
        None => after.to_owned(),
    }
}
