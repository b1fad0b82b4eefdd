//! One lane: who waits for it, how many calls are under way, and its token bucket.
//!
//! The bucket is kept as one instant (the generic cell rate algorithm), so it is exact in integers
//! and never needs a tick. Does not know what the calls are.

use super::limits::LaneLimit;
use crate::seam::Lane;
use crate::time::{Span, Time};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Place in a queue: longest remaining way first, then the plan's order.
pub(super) type Place = (Reverse<Span>, u32);

#[derive(Debug, Clone)]
pub(super) struct LaneState {
    pub(super) lane: Lane,
    pub(super) limit: LaneLimit,
    pub(super) waiting: BTreeSet<Place>,
    flying: u32,
    /// When the bucket would be full again.
    full_at: Time,
    /// The other side asked for silence until then.
    silent_until: Time,
}

impl LaneState {
    pub(super) fn new(lane: Lane, limit: LaneLimit) -> Self {
        assert!(
            limit.in_flight > 0 && limit.burst > 0,
            "lane {lane} can carry a call"
        );
        Self {
            lane,
            limit,
            waiting: BTreeSet::new(),
            flying: 0,
            full_at: Time::ZERO,
            silent_until: Time::ZERO,
        }
    }

    /// When the next waiting call may start, as far as time decides; none if a call must end first
    /// or nobody waits.
    pub(super) fn opens(&self) -> Option<Time> {
        if self.waiting.is_empty() || self.flying >= self.limit.in_flight {
            return None;
        }
        let credit = self.limit.refill.times(u64::from(self.limit.burst - 1));
        let token_at = Time(self.full_at.0.saturating_sub(credit.0));
        Some(token_at.max(self.silent_until))
    }

    /// Takes the first who waits out of the queue, with a token.
    pub(super) fn admit(&mut self, now: Time) -> Option<u32> {
        if self.opens()? > now {
            return None;
        }
        let (_, step) = self.waiting.pop_first()?;
        self.flying += 1;
        self.full_at = self.full_at.max(now) + self.limit.refill;
        Some(step)
    }

    /// A call has been answered.
    pub(super) fn land(&mut self) {
        assert!(self.flying > 0, "a call of lane {} ends once", self.lane);
        self.flying -= 1;
    }

    /// No call before this instant.
    pub(super) fn silence(&mut self, until: Time) {
        self.silent_until = self.silent_until.max(until);
    }
}
