//! A provider's request limit: a token bucket in integer time.
//!
//! It is the generic cell rate algorithm (ITU-T I.371, annex A): one instant instead of a level and
//! a clock, so that no rounding adds up. Knows nothing of who asks or why.

use quorate_engine::time::{Span, Time};

/// Which requests a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    /// All of them.
    Any,
    /// Reads of anything that is not DNS.
    Reads,
    /// Creations and changes of anything that is not DNS.
    Writes,
    /// Deletions of anything that is not DNS.
    Deletes,
    /// Whatever concerns DNS, where that is an API of its own.
    Records,
}

/// A published limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What it counts.
    pub counted: Counted,
    /// Requests that may come at once.
    pub burst: u32,
    /// Time until one more is allowed.
    pub interval: Span,
}

/// How full a limit's bucket is.
#[derive(Debug, Clone)]
pub struct Bucket {
    limit: Limit,
    /// When the bucket is full again if nobody asks.
    full_at: Time,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn new(limit: Limit) -> Self {
        Self {
            limit,
            full_at: Time::ZERO,
        }
    }

    /// The same bucket under another limit: what was taken out stays out.
    #[must_use]
    pub fn under(mut self, limit: Limit) -> Self {
        self.limit = limit;
        self
    }

    pub(super) fn counted(&self) -> Counted {
        self.limit.counted
    }

    /// How long `cost` requests must wait; zero where they may go now. `divisor` is how many times
    /// smaller and slower the bucket is at the moment. A cost above the burst counts as the burst:
    /// else it could never go.
    #[must_use]
    pub fn wait(&self, now: Time, cost: u32, divisor: u32) -> Span {
        let divisor = divisor.max(1);
        let burst = (self.limit.burst / divisor).max(1);
        let interval = self.limit.interval.times(u64::from(divisor));
        let room = interval.times(u64::from(burst - cost.clamp(1, burst)));
        self.full_at.since(now) - room
    }

    /// The limit itself.
    #[must_use]
    pub fn limit(&self) -> Limit {
        self.limit
    }

    /// When it is full again if nobody asks.
    #[must_use]
    pub fn full_at(&self) -> Time {
        self.full_at
    }

    /// Requests that may go at once.
    #[must_use]
    pub fn left(&self, now: Time) -> u32 {
        let taken = self
            .full_at
            .since(now)
            .0
            .div_ceil(self.limit.interval.0.max(1));
        self.limit.burst - taken.min(u64::from(self.limit.burst)) as u32
    }

    /// Takes `cost` requests out.
    pub fn take(&mut self, now: Time, cost: u32, divisor: u32) {
        let interval = self.limit.interval.times(u64::from(divisor.max(1)));
        self.full_at = self.full_at.max(now) + interval.times(u64::from(cost.max(1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket() -> Bucket {
        Bucket::new(Limit {
            counted: Counted::Any,
            burst: 10,
            interval: Span::from_secs(1),
        })
    }

    #[test]
    fn a_burst_goes_through_and_then_one_per_interval() {
        let (mut bucket, now) = (bucket(), Time::ZERO + Span::from_secs(100));
        for _ in 0..10 {
            assert_eq!(bucket.wait(now, 1, 1), Span::ZERO);
            bucket.take(now, 1, 1);
        }
        assert_eq!(bucket.left(now), 0);
        assert_eq!(bucket.left(now + Span::from_ms(2_500)), 2);
        assert_eq!(bucket.left(bucket.full_at()), 10);
        assert_eq!(bucket.wait(now, 1, 1), Span::from_secs(1));
        assert_eq!(bucket.wait(now, 3, 1), Span::from_secs(3));
        let later = now + Span::from_secs(3);
        assert_eq!(bucket.wait(later, 3, 1), Span::ZERO);
        assert_eq!(bucket.wait(later, 4, 1), Span::from_secs(1));
    }

    #[test]
    fn a_divided_bucket_is_smaller_and_slower() {
        let (mut bucket, now) = (bucket(), Time::ZERO);
        bucket.take(now, 1, 5);
        assert_eq!(bucket.wait(now, 1, 5), Span::ZERO);
        bucket.take(now, 1, 5);
        assert_eq!(bucket.wait(now, 1, 5), Span::from_secs(5));
    }

    #[test]
    fn a_cost_above_the_burst_is_not_refused_for_ever() {
        assert_eq!(bucket().wait(Time::ZERO, 1_000, 1), Span::ZERO);
    }
}
