//! Exact availability: events that fail and are repaired, and formulas of what fails with them.
//!
//! Knows no cluster: `availability` makes the formulas. Events are independent of each other;
//! what is shared is an event of its own, which several formulas, or several parts of one, hold.

use serde::Serialize;

/// Numbers events, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct EventId(pub usize);

/// Something that fails by itself and is repaired: a node, a zone, a provider, a shared cause.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// What it is called: `provider gcp`, `node shop/rack/1`.
    pub name: String,
    /// How often it fails while it works, and how long a repair takes.
    pub rhythm: Rhythm,
    /// Keys of the assumptions behind it: what to change to change it.
    pub assumptions: Vec<String>,
}

/// Failures as a Poisson process while it works; repairs with a mean, whatever their distribution:
/// the steady state depends on nothing else (alternating renewal).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rhythm {
    /// Failures in a year in which it works.
    pub per_year: f64,
    /// Mean length of an outage, in minutes.
    pub mean_minutes: f64,
}

/// Minutes of a year of 365.25 days.
pub const YEAR_MINUTES: f64 = 525_960.0;

impl Rhythm {
    /// The share of time it does not work: mean outage over mean outage plus mean time to failure.
    #[must_use]
    pub fn unavailability(self) -> f64 {
        let down = self.per_year * self.mean_minutes / YEAR_MINUTES;
        down / (1.0 + down)
    }
}

/// When something fails: a monotone formula over events that have failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Formula {
    /// An event has failed.
    Event(EventId),
    /// One of these has.
    Any(Vec<Formula>),
    /// All of these have. Of none: it always has.
    All(Vec<Formula>),
    /// At least so many of these have.
    AtLeast(u32, Vec<Formula>),
}
