//! Virtual time: real time, times a factor, with jumps where a test wants them.
//!
//! The only file that reads a clock. Models get instants as arguments, and a [`Calendar`] to write
//! them down as clients expect: by the clock on the wall.

use quorate_engine::time::{Span, Time};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

/// A clock that runs `speed` times as fast as the wall's.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    speed: f64,
    skipped: Mutex<Span>,
}

impl Clock {
    /// It starts at [`Time::ZERO`].
    pub(crate) fn new(speed: f64) -> Self {
        assert!(speed.is_finite() && speed > 0.0, "time goes forward");
        Self {
            started: Instant::now(),
            speed,
            skipped: Mutex::new(Span::ZERO),
        }
    }

    /// The present instant.
    pub(crate) fn now(&self) -> Time {
        let real = self.started.elapsed().as_nanos() as f64;
        let skipped = *self.skipped.lock().expect("nobody panics with the clock");
        Time((real * self.speed) as u64) + skipped
    }

    /// Jumps forward.
    pub(crate) fn skip(&self, span: Span) {
        *self.skipped.lock().expect("nobody panics with the clock") += span;
    }

    /// How long to wait in reality.
    pub(crate) fn real(&self, span: Span) -> Duration {
        Duration::from_nanos((span.0 as f64 / self.speed) as u64)
    }

    /// How its instants are written.
    pub(crate) fn calendar(&self) -> Calendar {
        let unix = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos() as u64);
        Calendar {
            zero_ns: unix - self.started.elapsed().as_nanos() as u64,
            speed: self.speed,
        }
    }
}

/// Writes instants as points in civil time, such that a client compares them with its own clock:
/// an instant that is `speed` seconds away here is one second away there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Calendar {
    /// Nanoseconds since the Unix epoch at [`Time::ZERO`].
    pub(crate) zero_ns: u64,
    /// Of the clock.
    pub(crate) speed: f64,
}

impl Calendar {
    /// Seconds since the Unix epoch, rounded up.
    pub(crate) fn unix(self, at: Time) -> u64 {
        (self.zero_ns + (at.0 as f64 / self.speed) as u64).div_ceil(1_000_000_000)
    }

    /// As RFC 3339 has it, in UTC, by whole seconds.
    pub(crate) fn stamp(self, at: Time) -> String {
        let secs = (self.zero_ns + (at.0 as f64 / self.speed) as u64) / 1_000_000_000;
        let (year, month, day) = civil(secs / 86_400);
        let (hour, minute, second) = (secs / 3_600 % 24, secs / 60 % 60, secs % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// The Gregorian date of a day since the Unix epoch, counted in years that begin in March (as in
/// Howard Hinnant's "chrono-compatible low-level date algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right() {
        let at = |unix: u64| {
            let calendar = Calendar {
                zero_ns: unix * 1_000_000_000,
                speed: 1.0,
            };
            calendar.stamp(Time::ZERO)
        };
        // Values of `date -u -d @...`.
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_735_689_599), "2024-12-31T23:59:59Z");
        assert_eq!(at(4_107_542_399), "2100-02-28T23:59:59Z");
    }

    #[test]
    fn a_client_sees_waits_by_its_own_clock() {
        let calendar = Calendar {
            zero_ns: 1_000_000_000_000,
            speed: 50.0,
        };
        assert_eq!(calendar.unix(Time::ZERO + Span::from_secs(500)), 1_010);
    }

    #[test]
    fn a_fast_clock_jumps_and_waits_less() {
        let clock = Clock::new(50.0);
        clock.skip(Span::from_secs(3_600));
        assert!(clock.now() >= Time::ZERO + Span::from_secs(3_600));
        assert_eq!(clock.real(Span::from_secs(5)), Duration::from_millis(100));
    }
}
