//! Calls under way: each a task, answered once or given up at its deadline.
//!
//! Does not know what calls are about, nor who hears of their answers.

use super::{InFlight, Port};
use quorate_engine::seam::{CallId, Outcome};
use quorate_engine::time::Time;
use std::any::Any;
use std::collections::BTreeMap;
use tokio::task::{AbortHandle, JoinSet};

/// Calls under way.
#[derive(Debug, Default)]
pub(super) struct Flights {
    open: BTreeMap<CallId, (InFlight, AbortHandle)>,
    /// The number of the last call; 0 before the first.
    last: u64,
    tasks: JoinSet<(CallId, Outcome)>,
}

/// How a task ended.
pub(super) enum Landed {
    /// With an answer that is waited for.
    Answered(InFlight, Outcome),
    /// Nobody waits for it any more.
    Late,
    /// With a panic.
    Panicked(InFlight, Box<dyn Any + Send>),
}

impl Flights {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &InFlight> {
        self.open.values().map(|(flight, _)| flight)
    }

    /// `create shop/cp/1`, each.
    pub(super) fn titles(&self) -> Vec<String> {
        self.iter().map(InFlight::title).collect()
    }

    /// The earliest deadline.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.iter().map(|flight| flight.deadline).min()
    }

    /// Whether a call has a number that none had before it. Counts it.
    pub(super) fn is_next(&mut self, id: CallId) -> bool {
        let before = std::mem::replace(&mut self.last, id.0);
        before < id.0
    }

    /// Makes the call.
    pub(super) fn start(&mut self, flight: InFlight, port: &Port) {
        let id = flight.id;
        let answer = port(flight.call.clone());
        let abort = self.tasks.spawn(async move { (id, answer.await) });
        let before = self.open.insert(id, (flight, abort));
        assert!(before.is_none(), "a call is made once");
    }

    /// Waits for the next task to end.
    pub(super) async fn land(&mut self) -> Landed {
        let joined = self.tasks.join_next().await;
        match joined.expect("something is under way") {
            Ok((id, outcome)) => match self.open.remove(&id) {
                Some((flight, _)) => Landed::Answered(flight, outcome),
                None => Landed::Late,
            },
            Err(error) => {
                let of = |(_, abort): &&(InFlight, AbortHandle)| abort.id() == error.id();
                let id = self.open.values().find(of).map(|(flight, _)| flight.id);
                match (
                    id.and_then(|id| self.open.remove(&id)),
                    error.try_into_panic(),
                ) {
                    (Some((flight, _)), Ok(panic)) => Landed::Panicked(flight, panic),
                    (Some((flight, _)), Err(_)) => {
                        panic!("nobody but the driver gives up a call: {}", flight.title())
                    }
                    // It was given up at its deadline: how it ends is not listened to.
                    (None, Ok(_) | Err(_)) => Landed::Late,
                }
            }
        }
    }

    /// Gives up one call whose deadline has come, if there is one.
    pub(super) fn expire(&mut self, now: Time) -> Option<InFlight> {
        let late = self.iter().filter(|flight| flight.deadline <= now);
        let first = late.min_by_key(|flight| (flight.deadline, flight.id))?.id;
        let (flight, abort) = self.open.remove(&first)?;
        abort.abort();
        Some(flight)
    }
}
