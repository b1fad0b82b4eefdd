//! The life of one step: which stage may follow which.
//!
//! Knows nothing of why; the executor decides, and this page holds it to the rules.

use crate::random::Stream;
use crate::seam::Fault;
use crate::time::{Span, Time};

/// What a step asks the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// What the step is about.
    Act,
    /// How the cluster is, for the quorum guard.
    Guard,
    /// Whether a resource exists whose making is in doubt.
    Confirm(Doubt),
    /// How the machine is that a step finds silent: it may have died while it started.
    Watch,
    /// Nothing: time passes.
    Elapse,
}

/// Why the making of a resource is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The answer never came.
    Lost,
    /// Something with its name exists.
    Exists,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// So many steps before it have not succeeded yet.
    Blocked(u32),
    /// For its turn to change etcd's membership.
    Turn,
    /// For its lane.
    Queued(Ask),
    /// For an answer.
    Flying(Ask),
    /// For an instant.
    Waiting(Ask),
    Done,
    Failed,
    Skipped,
}

impl Stage {
    pub(super) fn ended(self) -> bool {
        match self {
            Self::Done | Self::Failed | Self::Skipped => true,
            Self::Blocked(_)
            | Self::Turn
            | Self::Queued(_)
            | Self::Flying(_)
            | Self::Waiting(_) => false,
        }
    }

    fn may_become(self, next: Self) -> bool {
        use Ask::{Act, Confirm, Elapse, Guard, Watch};
        use Stage::{Blocked, Done, Failed, Flying, Queued, Skipped, Turn, Waiting};
        match self {
            Blocked(0) => matches!(
                next,
                Turn | Queued(Act) | Waiting(Confirm(Doubt::Lost) | Elapse) | Done | Skipped
            ),
            Blocked(missing) => next == Blocked(missing - 1) || next == Skipped,
            Turn => matches!(next, Queued(Guard) | Failed | Skipped),
            Queued(ask) => {
                let stale = ask == Act && next == Queued(Guard);
                next == Flying(ask) || stale || matches!(next, Done | Failed | Skipped)
            }
            Flying(Act) => matches!(next, Waiting(_) | Done | Failed | Skipped),
            Flying(Guard) => matches!(next, Queued(Act) | Waiting(Guard) | Done | Failed | Skipped),
            Flying(Confirm(doubt)) => match next {
                Queued(Act) => doubt == Doubt::Lost,
                Waiting(Confirm(same)) => same == doubt,
                Done | Failed | Skipped => true,
                Blocked(_) | Turn | Queued(_) | Flying(_) | Waiting(_) => false,
            },
            Flying(Watch) => matches!(next, Queued(Act) | Done | Failed | Skipped),
            Flying(Elapse) => false,
            Waiting(Elapse) => matches!(next, Done | Failed | Skipped),
            Waiting(ask) => {
                let resumes = if ask == Guard { Turn } else { Queued(ask) };
                next == resumes || matches!(next, Done | Failed | Skipped)
            }
            // Links that are out of date.
            Done => next == Waiting(Act),
            Failed | Skipped => false,
        }
    }
}

/// What is known of one step while the plan is carried out.
#[derive(Debug, Clone)]
pub(super) struct StepState {
    stage: Stage,
    /// Steps that wait for its success.
    pub(super) dependants: Vec<u32>,
    /// Steps that wait for its end.
    pub(super) followers: Vec<u32>,
    /// Longest expected duration from its start to the end of the plan.
    pub(super) remaining: Span,
    /// Index of its lane.
    pub(super) lane: u32,
    /// When it first began.
    pub(super) begun: Option<Time>,
    /// When it must have ended; after it began.
    pub(super) deadline: Time,
    /// When it is to resume, while it waits.
    pub(super) resumes: Time,
    /// Calls of its own verb so far.
    pub(super) attempts: u32,
    /// Failures that count against the limit of attempts.
    pub(super) failures: u32,
    /// The last trouble.
    pub(super) last: Option<Fault>,
    /// When the guard last said yes.
    pub(super) judged: Time,
    /// Which state of the mesh it was told, if it makes links.
    pub(super) told: Option<u64>,
    /// Those that wait for it have been let go.
    pub(super) released: bool,
    /// Draws for its back-off, once it needs some.
    pub(super) jitter: Option<Stream>,
}

impl StepState {
    pub(super) fn new(missing: u32, lane: u32) -> Self {
        Self {
            stage: Stage::Blocked(missing),
            dependants: Vec::new(),
            followers: Vec::new(),
            remaining: Span::ZERO,
            lane,
            begun: None,
            deadline: Time(u64::MAX),
            resumes: Time::ZERO,
            attempts: 0,
            failures: 0,
            last: None,
            judged: Time::ZERO,
            told: None,
            released: false,
            jitter: None,
        }
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    /// The one place where a stage changes.
    pub(super) fn shift(&mut self, next: Stage) {
        let now = self.stage;
        assert!(
            now.may_become(next),
            "a step in {now:?} does not become {next:?}"
        );
        self.stage = next;
    }
}
