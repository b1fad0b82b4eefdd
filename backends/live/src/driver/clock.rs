//! The engine's time: nanoseconds since the Unix epoch when the driver began, and the monotonic
//! clock from there on.
//!
//! It never goes back: not within a run, whatever is done to the wall clock, and not from one run
//! to the next, because a run begins after the last instant of the one before.

use quorate_engine::time::{Span, Time};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// As far away as a sleep need be.
const FAR: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug)]
pub(super) struct Clock {
    base: Time,
    began: Instant,
}

impl Clock {
    /// A clock that begins now, and after this engine's time, in nanoseconds.
    pub(super) fn after(latest: u64) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let wall = since.map_or(0, |since| since.as_nanos() as u64);
        Self {
            base: Time(wall.max(latest + 1)),
            began: Instant::now(),
        }
    }

    pub(super) fn now(&self) -> Time {
        self.base + Span(self.began.elapsed().as_nanos() as u64)
    }

    /// Sleeps until an instant; without one, for long.
    pub(super) fn sleep_until(&self, at: Option<Time>) -> tokio::time::Sleep {
        let span = at.map(|at| Duration::from_nanos(at.since(self.base).0));
        let until = span.map_or_else(|| Instant::now() + FAR, |span| self.began + span);
        tokio::time::sleep_until(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_that_was_set_back_does_not_take_time_back() {
        let ahead = u64::MAX / 4;
        assert!(Clock::after(ahead).now() > Time(ahead));
        let wall = Clock::after(0).now();
        assert!(
            Clock::after(ahead).now().since(wall) > Span(ahead / 2),
            "the run before counts"
        );
    }
}
