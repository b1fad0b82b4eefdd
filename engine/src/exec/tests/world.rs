//! A world of a few maps. It carries out effects as the seam's contract says, and checks that the
//! executor keeps its side: it sees effects only, never the executor's own state.

mod deeds;

use crate::exec::{Executor, Input, Limits};
use crate::journal::{Entry, Ledger};
use crate::mesh::MeshKey;
use crate::plan::{Plan, Step, Until};
use crate::resource::ResourceId;
use crate::seam::{
    Call, CallId, Effect, Fault, FaultClass, Key, Lane, MachineState, MemberView, Notice, Outcome,
    Reply, Verb,
};
use crate::time::{Span, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What becomes of a call.
#[derive(Debug, Clone)]
pub(super) enum Fate {
    /// Done and answered after so long.
    Fine(Span),
    /// Not done; answered after so long.
    Fault(Span, Fault),
    /// Done after so long; the answer is lost.
    DoneAndLost(Span),
    /// Neither done nor answered.
    Lost,
}

pub(super) fn fault(class: FaultClass) -> Fate {
    Fate::Fault(Span::from_ms(300), Fault::new(class, "the world says so"))
}

pub(super) fn fine() -> Fate {
    Fate::Fine(Span::from_ms(500))
}

#[derive(Debug)]
enum Happening {
    Wake,
    Cancel,
    Answer(CallId, Outcome),
    Finish(CallId, Arc<Call>),
    Quietly(Arc<Call>),
}

#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) at: Time,
    pub(super) id: CallId,
    pub(super) call: Arc<Call>,
}

type Fates = Box<dyn FnMut(&Call, usize) -> Fate>;

pub(super) struct World {
    pub(super) now: Time,
    sequence: u64,
    /// With the life of the executor it was meant for.
    queue: BTreeMap<(Time, u64), (u32, Happening)>,
    life: u32,
    fates: Fates,
    /// Copies that were ever made, with key and instant.
    pub(super) copies: BTreeMap<ResourceId, Vec<(Key, Time)>>,
    /// Things that carry a name of ours and are not ours.
    pub(super) foreign: BTreeSet<ResourceId>,
    pub(super) members: Vec<MemberView>,
    /// Keys of mesh interfaces, by machine: made there, and kept until the machine goes.
    pub(super) keys: BTreeMap<ResourceId, MeshKey>,
    /// The smallest tolerance that etcd ever had.
    pub(super) worst: i64,
    /// How late reads are.
    pub(super) lag: Span,
    /// Whether a repeated key makes nothing new.
    pub(super) keyed: bool,
    pub(super) cancel_at: Option<Time>,
    cancelled: bool,
    /// How long after its making a machine has no address.
    pub(super) bare: Span,
    /// Machines that do not come up, and how they are shown.
    pub(super) broken: BTreeMap<ResourceId, MachineState>,
    pub(super) journal: Vec<Entry>,
    pub(super) calls: Vec<Made>,
    pub(super) effects: Vec<Effect>,
    pub(super) said: Vec<Notice>,
    tries: BTreeMap<(ResourceId, Verb), usize>,
    // What this life's executor may do.
    announced: BTreeSet<(ResourceId, Verb, Key)>,
    told: BTreeSet<ResourceId>,
    flying: BTreeMap<Lane, u32>,
    starts: BTreeMap<Lane, Vec<Time>>,
    silent: BTreeMap<Lane, Time>,
    open: BTreeMap<CallId, (Lane, Time)>,
    wake: Option<Time>,
}

impl World {
    pub(super) fn new(fates: impl FnMut(&Call, usize) -> Fate + 'static) -> Self {
        Self {
            now: Time(1_000_000_000),
            sequence: 0,
            queue: BTreeMap::new(),
            life: 0,
            fates: Box::new(fates),
            copies: BTreeMap::new(),
            foreign: BTreeSet::new(),
            members: Vec::new(),
            keys: BTreeMap::new(),
            worst: i64::MAX,
            lag: Span::ZERO,
            keyed: true,
            cancel_at: None,
            cancelled: false,
            bare: Span::ZERO,
            broken: BTreeMap::new(),
            journal: vec![Entry::Founded { uid: 42 }],
            calls: Vec::new(),
            effects: Vec::new(),
            said: Vec::new(),
            tries: BTreeMap::new(),
            announced: BTreeSet::new(),
            told: BTreeSet::new(),
            flying: BTreeMap::new(),
            starts: BTreeMap::new(),
            silent: BTreeMap::new(),
            open: BTreeMap::new(),
            wake: None,
        }
    }

    /// Drives an executor to its end, or until the journal has `crash` entries. What was under way
    /// then still happens, and nobody hears of it. Whether it came to its end.
    pub(super) fn drive(
        &mut self,
        executor: &mut Executor,
        plan: &Plan,
        limits: &Limits,
        crash: Option<usize>,
    ) -> bool {
        let mut ledger = Ledger::replay(&self.journal);
        self.life += 1;
        self.announced.clear();
        self.told.clear();
        self.flying.clear();
        self.starts.clear();
        self.silent.clear();
        self.open.clear();
        self.wake = None;
        if let Some(at) = self.cancel_at {
            self.later(at, Happening::Cancel);
        }
        let mut input = Some(Input::Begin);
        for _ in 0..200_000 {
            if let Some(input) = input.take() {
                let mut out = Vec::new();
                executor.handle(self.now, input, &mut ledger, &mut out);
                if !self.carry_out(out, plan, limits, crash) {
                    return false;
                }
                let folded = Ledger::replay(&self.journal);
                assert_eq!(ledger, folded, "living and recovering agree");
                let ends = self.cancelled && self.open.is_empty();
                assert!(
                    !ends || executor.finished().is_some(),
                    "cancelled: the last answer ends"
                );
                if executor.finished().is_some() {
                    assert!(self.open.is_empty(), "every call was answered");
                    return true;
                }
            }
            let ((at, _), (life, happening)) = self
                .queue
                .pop_first()
                .expect("an open plan waits for something");
            assert!(at >= self.now, "time does not go back");
            self.now = at;
            input = self.happen(life, happening);
        }
        panic!("the executor makes no progress");
    }

    /// What was under way still happens, and nobody hears of it.
    pub(super) fn come_to_rest(&mut self) {
        self.life += 1;
        while let Some(((at, _), (life, happening))) = self.queue.pop_first() {
            self.now = at;
            self.happen(life, happening);
        }
    }

    fn carry_out(
        &mut self,
        effects: Vec<Effect>,
        plan: &Plan,
        limits: &Limits,
        crash: Option<usize>,
    ) -> bool {
        for effect in effects {
            self.effects.push(effect.clone());
            match effect {
                Effect::Record(entry) => {
                    if let Entry::Started {
                        resource,
                        verb,
                        key,
                        ..
                    } = &entry
                    {
                        self.announced.insert((resource.clone(), *verb, *key));
                    }
                    self.journal.push(entry);
                    if crash == Some(self.journal.len()) {
                        return false;
                    }
                }
                Effect::Call { id, call, deadline } => {
                    self.check_call(&call, plan, limits);
                    self.start(id, call, deadline);
                }
                Effect::WakeAt(at) => {
                    assert!(at >= self.now, "a wake-up is not in the past");
                    let better = |asked: Time| at < asked || asked <= self.now;
                    assert!(self.wake.is_none_or(better), "only an earlier wake-up");
                    self.wake = Some(at);
                    self.later(at, Happening::Wake);
                }
                Effect::Say(notice) => self.said.push(notice),
                Effect::Done(_) => panic!("an executor does not end the engine"),
            }
        }
        true
    }

    /// The rules a call must keep, seen from outside.
    fn check_call(&mut self, call: &Call, plan: &Plan, limits: &Limits) {
        assert!(!self.cancelled, "nothing starts after a cancellation");
        if call.verb.mutates() {
            let intent = (call.target.clone(), call.verb, call.key);
            assert!(
                self.announced.remove(&intent),
                "recorded before it is called: {intent:?}"
            );
        }
        for step in &plan.steps {
            if step.resource == call.target && step.verb == call.verb {
                for before in &step.after {
                    let before = &plan.steps[*before as usize];
                    assert!(
                        self.told.contains(&before.resource) || dormant(before),
                        "{} before {}",
                        step.title(),
                        before.resource
                    );
                }
                let ends = self.ends(plan);
                for before in &step.settled {
                    let title = plan.steps[*before as usize].title();
                    assert!(
                        ends[*before as usize],
                        "{} before the end of {title}",
                        step.title()
                    );
                }
            }
        }
        let limit = limits.lane(&call.lane);
        let flying = self.flying.entry(call.lane.clone()).or_default();
        *flying += 1;
        assert!(
            *flying <= limit.in_flight,
            "too many calls at once on {}",
            call.lane
        );
        let silent = self.silent.get(&call.lane).copied().unwrap_or_default();
        assert!(self.now >= silent, "{} asked for silence", call.lane);
        let starts = self.starts.entry(call.lane.clone()).or_default();
        starts.push(self.now);
        if limit.refill > Span::ZERO {
            for (nth, first) in starts.iter().rev().enumerate() {
                let earned = self.now.since(*first).0 / limit.refill.0;
                let count = nth as u64 + 1;
                assert!(
                    count <= u64::from(limit.burst) + earned,
                    "too fast on {}",
                    call.lane
                );
            }
        }
    }

    /// Which steps have ended, by what was said of them: a step is skipped as soon as one that it
    /// needs has ended badly.
    fn ends(&self, plan: &Plan) -> Vec<bool> {
        let mut bad: Vec<bool> = Vec::new();
        let mut ends: Vec<bool> = Vec::new();
        for step in &plan.steps {
            let title = step.title();
            let failed = |n: &Notice| matches!(n, Notice::Failed { step, .. } if *step == title);
            let done = |n: &Notice| matches!(n, Notice::Finished { step, .. } if *step == title);
            let lost = self.said.iter().any(failed);
            let skipped = step.after.iter().any(|before| bad[*before as usize]);
            bad.push(lost || skipped);
            ends.push(lost || skipped || dormant(step) || self.said.iter().any(done));
        }
        ends
    }

    fn start(&mut self, id: CallId, call: Arc<Call>, deadline: Time) {
        assert!(deadline > self.now, "a call has time");
        let nth = self
            .tries
            .entry((call.target.clone(), call.verb))
            .or_default();
        let fate = (self.fates)(&call, *nth);
        *nth += 1;
        self.calls.push(Made {
            at: self.now,
            id,
            call: Arc::clone(&call),
        });
        self.open.insert(id, (call.lane.clone(), deadline));
        let lost = || Err(Fault::new(FaultClass::Unknown, "no answer"));
        let last = deadline.since(self.now);
        match fate {
            Fate::Fine(span) if span < last => {
                self.later(self.now + span, Happening::Finish(id, call));
            }
            Fate::Fault(span, fault) if span < last => {
                self.later(self.now + span, Happening::Answer(id, Err(fault)));
            }
            Fate::DoneAndLost(span) | Fate::Fine(span) => {
                self.later(self.now + span, Happening::Quietly(call));
                self.later(deadline, Happening::Answer(id, lost()));
            }
            Fate::Lost | Fate::Fault(..) => {
                self.later(deadline, Happening::Answer(id, lost()));
            }
        }
    }

    fn later(&mut self, at: Time, happening: Happening) {
        self.sequence += 1;
        self.queue
            .insert((at, self.sequence), (self.life, happening));
    }

    fn happen(&mut self, life: u32, happening: Happening) -> Option<Input> {
        let living = life == self.life;
        match happening {
            Happening::Wake => {
                if living && self.wake == Some(self.now) {
                    self.wake = None;
                }
                Some(Input::Wake)
            }
            Happening::Cancel => living.then(|| {
                self.cancelled = true;
                Input::Cancel
            }),
            Happening::Quietly(call) => {
                let _unheard = self.take_effect(&call);
                None
            }
            Happening::Finish(id, call) => {
                let outcome = self.take_effect(&call);
                living.then(|| self.tell(id, outcome))
            }
            Happening::Answer(id, outcome) => living.then(|| self.tell(id, outcome)),
        }
    }

    fn tell(&mut self, call: CallId, outcome: Outcome) -> Input {
        let (lane, deadline) = self.open.remove(&call).expect("one answer a call");
        assert!(self.now <= deadline, "answered by its deadline");
        *self.flying.get_mut(&lane).expect("it flew") -= 1;
        match &outcome {
            Ok(Reply::Seen(seen)) => {
                self.told.insert(seen.id.clone());
            }
            Ok(Reply::Done | Reply::Host(_)) => {
                let made = self.calls.iter().rfind(|made| made.id == call);
                self.told
                    .insert(made.expect("it was made").call.target.clone());
            }
            Ok(_) => {}
            Err(fault) => {
                let made = self.calls.iter().rfind(|made| made.id == call);
                let asked = &made.expect("it was made").call;
                if asked.verb == Verb::Delete && fault.class == FaultClass::NotFound {
                    self.told.insert(asked.target.clone());
                }
                if let (FaultClass::Retryable, Some(after)) = (fault.class, fault.after) {
                    let until = self.silent.entry(lane).or_default();
                    *until = (*until).max(self.now + after);
                }
            }
        }
        Input::Answer { call, outcome }
    }
}

/// Of such a step nothing is heard unless the mesh changes.
fn dormant(step: &Step) -> bool {
    step.until == Some(Until::Outdated)
}
