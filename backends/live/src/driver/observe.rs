//! What people get to see of a run while it is under way.
//!
//! Everything here is already durable when it is told. Does not know how it is shown.

use super::Signal;
use quorate_engine::journal::Entry;
use quorate_engine::plan::{Plan, expected};
use quorate_engine::seam::{Call, CallId, Notice, Outcome};
use quorate_engine::time::{Span, Time};
use std::sync::Arc;

/// A call under way.
#[derive(Debug, Clone)]
pub struct InFlight {
    /// Its number.
    pub id: CallId,
    /// What it asks for.
    pub call: Arc<Call>,
    /// When it was made.
    pub since: Time,
    /// When it is given up.
    pub deadline: Time,
    /// How long such a call usually takes.
    pub expected: Span,
}

impl InFlight {
    pub(super) fn new(id: CallId, call: Arc<Call>, since: Time, deadline: Time) -> Self {
        Self {
            id,
            since,
            deadline,
            expected: expected(call.verb, call.kind),
            call,
        }
    }

    /// `create shop/cp/1`.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", self.call.verb, self.call.target)
    }
}

/// What happened.
#[derive(Debug, Clone, Copy)]
pub enum News<'a> {
    /// This plan begins to be carried out.
    Plan(&'a Plan),
    /// The engine decided something.
    Notice(&'a Notice),
    /// This is durable now.
    Recorded(&'a Entry),
    /// A call is about to be made.
    Called(&'a InFlight),
    /// A call was answered, or given up at its deadline.
    Answered(&'a InFlight, &'a Outcome),
    /// All that is under way, oldest first: after every event.
    InFlight(&'a [&'a InFlight]),
    /// Somebody wants the run to stop: in order at first, at once when asked again.
    Signal {
        /// How it was asked for.
        signal: Signal,
        /// For the first time.
        first: bool,
    },
}

/// Watches a run. Must not block: the run waits for it.
pub trait Observer: Send {
    /// Something happened at this instant of the engine's time.
    fn see(&mut self, now: Time, news: News<'_>);
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Observer for Quiet {
    fn see(&mut self, _now: Time, _news: News<'_>) {}
}

impl<F: FnMut(Time, News<'_>) + Send> Observer for F {
    fn see(&mut self, now: Time, news: News<'_>) {
        self(now, news);
    }
}
