//! A simulated cloud as a whole: the vendor's model, its faults, and what was asked of it.
//!
//! A state machine: requests and instants come in, what is to be sent goes out. Knows nothing of
//! sockets and clocks.

use crate::faults::{FaultVerb, Faults, Target};
use crate::wire::{Answer, Interference, Request};
use crate::{Asked, Ended, Thing};
use quorate_engine::random::{Seed, hash_name, mix};
use quorate_engine::time::{Span, Time};
use quorate_sim::cloud::Profile;
use std::collections::BTreeMap;

/// A vendor's model.
pub(crate) trait Vendor: Send {
    /// What is known of it.
    fn profile(&self) -> &'static Profile;
    /// Carries a request out.
    fn answer(
        &mut self,
        now: Time,
        request: &Request,
        faults: &mut Faults,
        interference: &Interference,
    ) -> Answer;
    /// All that exists, in the order in which it was made.
    fn things(&mut self, now: Time) -> Vec<Thing>;
    /// How often something was made, by kind and name.
    fn made(&self) -> &BTreeMap<(String, String), u64>;
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fate {
    /// It is answered.
    Answered(Answer),
    /// The connection ends without an answer.
    Cut,
    /// Nothing comes, for long.
    Silence,
}

/// The cloud.
pub(crate) struct World {
    seed: Seed,
    pub(crate) vendor: Box<dyn Vendor>,
    pub(crate) faults: Faults,
    asked: BTreeMap<u64, u64>,
    pub(crate) log: Vec<Asked>,
}

impl World {
    pub(crate) fn new(seed: Seed, vendor: Box<dyn Vendor>, faults: Faults) -> Self {
        Self {
            seed,
            vendor,
            faults,
            asked: BTreeMap::new(),
            log: Vec::new(),
        }
    }

    /// How long a request travels, one way.
    pub(crate) fn leg(&mut self, request: &Request) -> Span {
        let what = hash_name(&request.method) ^ mix(hash_name(&request.path));
        let nth = self.asked.entry(what).or_insert(0);
        *nth += 1;
        let mut luck = self.seed.stream_of(mix(what) ^ *nth, "travel");
        Span(self.vendor.profile().request.draw(&mut luck).0 / 2)
    }

    /// A request is at the door.
    pub(crate) fn take(&mut self, now: Time, request: &Request) -> Fate {
        let (fate, ended) = self.decide(now, request);
        self.log.push(Asked {
            at: now,
            method: request.method.clone(),
            path: request.path.clone(),
            ended,
        });
        fate
    }

    fn decide(&mut self, now: Time, request: &Request) -> (Fate, Ended) {
        let target = Target {
            method: &request.method,
            path: &request.path,
            ..Target::default()
        };
        let mut interference = Interference::default();
        if let Some(outage) = self.faults.strikes(now, FaultVerb::Outage, target) {
            let Some(status) = outage.status else {
                return (Fate::Silence, Ended::Ignored);
            };
            interference.failed = Some((status, outage.code.clone()));
        }
        let lost = self.faults.lost(now, target);
        if lost == Some(false) {
            return (Fate::Cut, Ended::Dropped);
        }
        interference.throttled = self.faults.throttled(now, target);
        if interference.failed.is_none()
            && let Some(error) = self.faults.strikes(now, FaultVerb::Error, target)
        {
            interference.failed = Some((error.status.unwrap_or(500), error.code.clone()));
        }
        let faults = &mut self.faults;
        let answer = self.vendor.answer(now, request, faults, &interference);
        if lost == Some(true) {
            return (Fate::Cut, Ended::Unheard(answer.status));
        }
        let status = answer.status;
        (Fate::Answered(answer), Ended::Answered(status))
    }
}
