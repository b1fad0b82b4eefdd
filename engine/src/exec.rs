//! The executor: carries out one plan, as a value. `handle(now, input) -> effects`.
//!
//! It walks the ready set without waves, keeps every lane within its limits, retries by class of
//! fault, asks the quorum guard before each change of membership, and writes intent before deed.
//! It decides nothing about what should be done (the plan does), and knows no provider.
//!
//! Reading order: `stage` (the life of one step), `walk` (what may begin, what ends), `launch`
//! (from the queue to a call), `answer` (from an outcome to the next stage).

mod addresses;
mod answer;
mod lane;
mod launch;
mod limits;
mod mesh;
mod stage;
mod summary;
mod walk;

#[cfg(test)]
mod tests;

pub use limits::{Guard, LaneLimit, Limits};
pub use summary::Summary;

use crate::journal::{Entry, Ledger};
use crate::mesh::Reach;
use crate::plan::Plan;
use crate::random::Seed;
use crate::resource::ResourceId;
use crate::seam::{CallId, Effect, Lane, Notice, Outcome, Reply};
use crate::time::Time;
use addresses::AddressBook;
use lane::{LaneState, Place};
use stage::{Ask, StepState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What an executor is made from.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What to carry out.
    pub plan: Arc<Plan>,
    /// How hard to try.
    pub limits: Limits,
    /// Where machines are reached, as known from an observation.
    pub addresses: BTreeMap<ResourceId, Reach>,
    /// For the jitter of back-offs.
    pub seed: Seed,
    /// Number of the run: one above [`Ledger::runs`]. A plan that only reads records nothing and
    /// does not use the number up.
    pub run: u32,
    /// The first call's id; ids go on over an engine's life: see [`Executor::next_call`].
    pub first_call: CallId,
}

/// What happens to an executor.
#[derive(Debug, Clone)]
pub enum Input {
    /// Begin; once.
    Begin,
    /// A call was answered.
    Answer {
        /// Which.
        call: CallId,
        /// How.
        outcome: Outcome,
    },
    /// An instant has come. Spurious ones do no harm.
    Wake,
    /// Start nothing more; end once what is under way has been answered.
    Cancel,
}

/// Carries out one plan.
#[derive(Debug, Clone)]
pub struct Executor {
    plan: Arc<Plan>,
    limits: Limits,
    seed: Seed,
    run: u32,
    next_call: CallId,
    addresses: AddressBook,
    begun: bool,
    cancelled: bool,
    /// The run's beginning is in the journal.
    recorded: bool,
    /// The mesh as it was when the plan began: what links that are as they should be come from.
    table_before: Option<u64>,
    steps: Vec<StepState>,
    lanes: Vec<LaneState>,
    /// Index of the lane by which the guard reads.
    cluster_lane: u32,
    flying: BTreeMap<CallId, u32>,
    alarms: BTreeSet<(Time, u32, Alarm)>,
    /// The step whose turn it is to change membership: one at a time.
    turn: Option<u32>,
    turn_queue: BTreeSet<Place>,
    /// Wake-up that was asked for and has not come.
    wake: Option<Time>,
    /// Steps that have not ended.
    open: u32,
    replies: BTreeMap<u32, Reply>,
    summary: Summary,
    ended: bool,
}

/// Why a step is looked at again; a retry goes before a deadline of the same instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    Resume,
    Deadline,
}

/// The outside, for the length of one event.
struct Outside<'a> {
    now: Time,
    ledger: &'a mut Ledger,
    out: &'a mut Vec<Effect>,
}

impl Outside<'_> {
    /// Every entry goes to the journal and into the ledger alike.
    fn record(&mut self, entry: Entry) {
        self.ledger.apply(&entry);
        self.out.push(Effect::Record(entry));
    }

    fn say(&mut self, notice: Notice) {
        self.out.push(Effect::Say(notice));
    }
}

impl Executor {
    /// An executor that has not begun.
    ///
    /// # Panics
    /// Where the plan breaks its own rules: a step depends on one that is not before it, or has no
    /// time at all.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let mut lanes = Lanes::default();
        let cluster_lane = lanes.index(&Lane::Cluster, &setup.limits);
        let mut steps: Vec<StepState> = Vec::with_capacity(setup.plan.steps.len());
        for (index, step) in setup.plan.steps.iter().enumerate() {
            let missing = (step.after.len() + step.settled.len()) as u32;
            let title = || step.title();
            assert!(step.deadline.0 > 0, "a step has time: {}", title());
            steps.push(StepState::new(
                missing,
                lanes.index(&step.lane, &setup.limits),
            ));
            let mut all = BTreeSet::new();
            for (nth, before) in step.after.iter().chain(&step.settled).enumerate() {
                let earlier = (*before as usize) < index;
                assert!(
                    earlier && all.insert(*before),
                    "a step depends on earlier ones, each once: {}",
                    title()
                );
                let before = &mut steps[*before as usize];
                let hard = nth < step.after.len();
                let list = if hard {
                    &mut before.dependants
                } else {
                    &mut before.followers
                };
                list.push(index as u32);
            }
        }
        for (index, step) in setup.plan.steps.iter().enumerate().rev() {
            let state = &steps[index];
            let longest = state
                .dependants
                .iter()
                .chain(&state.followers)
                .map(|next| steps[*next as usize].remaining)
                .max();
            steps[index].remaining = step.expected + longest.unwrap_or_default();
        }
        Self {
            open: steps.len() as u32,
            plan: setup.plan,
            limits: setup.limits,
            seed: setup.seed,
            run: setup.run,
            next_call: setup.first_call,
            addresses: AddressBook(setup.addresses),
            begun: false,
            cancelled: false,
            recorded: false,
            table_before: None,
            steps,
            lanes: lanes.list,
            cluster_lane,
            flying: BTreeMap::new(),
            alarms: BTreeSet::new(),
            turn: None,
            turn_queue: BTreeSet::new(),
            wake: None,
            replies: BTreeMap::new(),
            summary: Summary::default(),
            ended: false,
        }
    }

    /// One event further. Effects are appended, to be carried out in order.
    ///
    /// # Panics
    /// Where the contract of the seam is broken: an answer to no call, two beginnings.
    pub fn handle(&mut self, now: Time, input: Input, ledger: &mut Ledger, out: &mut Vec<Effect>) {
        let mut outside = Outside { now, ledger, out };
        match input {
            Input::Begin => self.begin(&mut outside),
            Input::Answer { call, outcome } => {
                let step = self.flying.remove(&call);
                let step = step.unwrap_or_else(|| panic!("call {} is under way", call.0));
                self.answer(step, outcome, &mut outside);
            }
            Input::Wake => {
                if self.wake.is_some_and(|wake| wake <= now) {
                    self.wake = None;
                }
            }
            Input::Cancel => self.cancel(&mut outside),
        }
        if self.begun {
            self.ring(&mut outside);
            self.pump(&mut outside);
            self.end(&mut outside);
        }
    }

    /// What is carried out.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How it went, once every step has ended.
    #[must_use]
    pub fn finished(&self) -> Option<&Summary> {
        self.ended.then_some(&self.summary)
    }

    /// The id that the next call would have; the next executor goes on from it.
    #[must_use]
    pub fn next_call(&self) -> CallId {
        self.next_call
    }

    fn stage_ask(&self, step: u32) -> Option<Ask> {
        match self.steps[step as usize].stage() {
            stage::Stage::Flying(ask) => Some(ask),
            stage::Stage::Blocked(_)
            | stage::Stage::Turn
            | stage::Stage::Queued(_)
            | stage::Stage::Waiting(_)
            | stage::Stage::Done
            | stage::Stage::Failed
            | stage::Stage::Skipped => None,
        }
    }
}

/// Lanes in the order of their first step.
#[derive(Default)]
struct Lanes {
    index: BTreeMap<Lane, u32>,
    list: Vec<LaneState>,
}

impl Lanes {
    fn index(&mut self, lane: &Lane, limits: &Limits) -> u32 {
        if let Some(index) = self.index.get(lane) {
            return *index;
        }
        let index = self.list.len() as u32;
        self.list
            .push(LaneState::new(lane.clone(), limits.lane(lane)));
        self.index.insert(lane.clone(), index);
        index
    }
}
