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

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_engine::resource::{Kind, ResourceId};
    use quorate_engine::seam::{Call, Key, Lane, Reply, Verb};
    use std::sync::Arc;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_with_the_deadline_is_not_listened_to() {
        let port: Port = Arc::new(|_| Box::pin(async { Ok(Reply::Done) }));
        let call = Call {
            lane: Lane::Hosts,
            verb: Verb::Probe,
            target: ResourceId::new("shop/w/1"),
            kind: Kind::Machine,
            resource: None,
            key: Key(1),
            addresses: Vec::new(),
            peers: Arc::default(),
        };
        let flight = |id| InFlight::new(CallId(id), Arc::new(call.clone()), Time(1), Time(9));
        let mut flights = Flights::default();
        flights.start(flight(1), &port);
        assert_eq!(flights.deadline(), Some(Time(9)));
        assert!(flights.expire(Time(8)).is_none());
        tokio::task::yield_now().await;
        let expired = flights.expire(Time(9)).expect("its time is over");
        assert_eq!((expired.id, flights.is_empty()), (CallId(1), true));
        assert!(
            matches!(flights.land().await, Landed::Late),
            "it had come back"
        );
        flights.start(flight(2), &port);
        let Landed::Answered(answered, Ok(Reply::Done)) = flights.land().await else {
            panic!("the next one is listened to");
        };
        assert_eq!(answered.id, CallId(2));
    }
}
