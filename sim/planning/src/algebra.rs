//! Exact availability: events that fail and are repaired, and formulas of what fails with them.
//!
//! Knows no cluster: `availability` makes the formulas. Events are independent of each other;
//! what is shared is an event of its own, which several formulas, or several parts of one, hold.
//! Reading order: `diagram` (a formula as a decision diagram), `forest` (probabilities and
//! importances), `cuts` (minimal cut sets), `solve` (all of it for one formula), `bounds` (what is
//! proven of a formula too large for that), `lengths` and `dynamics` (how long outages last).

mod arena;
mod bounds;
mod cuts;
mod diagram;
pub mod dynamics;
mod forest;
mod lengths;
mod solve;

pub use bounds::{Interval, bounds};
pub use cuts::{CutSet, CutSets};
pub use forest::{Forest, TooLarge};
pub use lengths::{Lengths, Part};
pub use solve::{Importance, Limits, Solution, Solved, System};

use schemars::JsonSchema;
use serde::Serialize;

/// Numbers events, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct EventId(pub usize);

/// Something that fails by itself and is repaired: a node, a zone, a provider, a shared cause.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Event {
    /// What it is called: `provider gcp`, `node shop/rack/1`.
    pub name: String,
    /// How often it fails while it works, and how long a repair takes.
    pub rhythm: Rhythm,
    /// How the lengths of its outages are spread around their mean.
    pub lengths: Lengths,
    /// Keys of the assumptions behind it: what to change to change it.
    pub assumptions: Vec<String>,
}

/// Failures as a Poisson process while it works; repairs with a mean, whatever their distribution:
/// the steady state depends on nothing else (alternating renewal).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
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

    /// Failures in a year, of which it does not work all the time: the failure intensity.
    #[must_use]
    pub fn intensity(self) -> f64 {
        self.per_year * (1.0 - self.unavailability())
    }
}

/// When something fails: a monotone formula over events that have failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Formula {
    /// An event has failed.
    Event(EventId),
    /// One of these has.
    Any(Vec<Formula>),
    /// All of these have. Of none: it always has.
    All(Vec<Formula>),
    /// At least so many of these have. One that stands there twice counts twice.
    AtLeast(u32, Vec<Formula>),
}

impl Formula {
    /// Whether it has failed when exactly these events have.
    ///
    /// # Panics
    /// If `failed` has no entry for one of its events.
    #[must_use]
    pub fn holds(&self, failed: &[bool]) -> bool {
        match self {
            Self::Event(event) => failed[event.0],
            Self::Any(parts) => parts.iter().any(|part| part.holds(failed)),
            Self::All(parts) => parts.iter().all(|part| part.holds(failed)),
            Self::AtLeast(count, parts) => {
                let mut missing = *count as usize;
                let mut left = parts.len();
                for part in parts {
                    if missing == 0 || missing > left {
                        break;
                    }
                    missing -= usize::from(part.holds(failed));
                    left -= 1;
                }
                missing == 0
            }
        }
    }

    /// How many events and connectives it is written with.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Event(_) => 1,
            Self::Any(parts) | Self::All(parts) | Self::AtLeast(_, parts) => {
                1 + parts.iter().map(Self::size).sum::<usize>()
            }
        }
    }
}
