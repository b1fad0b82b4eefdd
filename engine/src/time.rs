//! Time as a value. Nobody in this crate asks a clock: the driver says what time it is.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// An instant: nanoseconds since the start of the run (simulated) or since the Unix epoch (live).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Time(pub u64);

/// A length of time in nanoseconds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Span(pub u64);

impl Time {
    /// The start of a simulated run.
    pub const ZERO: Self = Self(0);

    /// Time passed since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// From nanoseconds.
    #[must_use]
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// From microseconds.
    #[must_use]
    pub const fn from_us(us: u64) -> Self {
        Self(us * 1_000)
    }

    /// From milliseconds.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms * 1_000_000)
    }

    /// From seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1_000_000_000)
    }

    /// Whole milliseconds, rounded down.
    #[must_use]
    pub const fn as_ms(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Whole seconds, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// `self` times `n`, stopping at the largest span there is.
    #[must_use]
    pub const fn times(self, n: u64) -> Self {
        Self(self.0.saturating_mul(n))
    }
}

impl Add<Span> for Time {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl AddAssign<Span> for Time {
    fn add_assign(&mut self, span: Span) {
        *self = *self + span;
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Span {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Span {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// `1h02m`, `3m20s`, `12.3s`, `340ms`, `12us`: at most two units, for people.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.as_ms();
        let text = match ms {
            0 if self.0 == 0 => "0s".to_owned(),
            0 => format!("{}us", self.0 / 1_000),
            1..1_000 => format!("{ms}ms"),
            1_000..60_000 if ms % 1_000 < 50 => format!("{}s", ms / 1_000),
            1_000..60_000 => format!("{}.{}s", ms / 1_000, ms % 1_000 / 100),
            60_000..3_600_000 if (ms / 1_000).is_multiple_of(60) => format!("{}m", ms / 60_000),
            60_000..3_600_000 => format!("{}m{:02}s", ms / 60_000, ms / 1_000 % 60),
            _ => format!("{}h{:02}m", ms / 3_600_000, ms / 60_000 % 60),
        };
        f.pad(&text)
    }
}

/// Minutes, seconds and milliseconds since the start: `04:05.250`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0 / 1_000_000;
        f.pad(&format!(
            "{:02}:{:02}.{:03}",
            ms / 60_000,
            ms / 1_000 % 60,
            ms % 1_000
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_like_a_person_writes_them() {
        let shown = [
            0,
            12_000,
            340_000_000,
            3_000_000_000,
            12_340_000_000,
            200_000_000_000,
        ]
        .map(|ns| Span(ns).to_string());
        assert_eq!(shown, ["0s", "12us", "340ms", "3s", "12.3s", "3m20s"]);
        assert_eq!(Span::from_secs(3_720).to_string(), "1h02m");
        assert_eq!(
            (Time::ZERO + Span::from_ms(245_250)).to_string(),
            "04:05.250"
        );
    }
}
