//! What may be claimed: never more nines than the evidence holds.

use crate::algebra::YEAR_MINUTES;
use schemars::JsonSchema;
use serde::Serialize;

/// What the evidence holds of an availability.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Claim {
    /// At least this share of time; none: not even nine tenths.
    pub at_least: Option<f64>,
    /// `at least 99.9 %`.
    pub words: String,
    /// More would follow from the assumptions, but nobody has watched clouds for long enough.
    pub held_back: bool,
}

/// Availabilities as they are claimed, with their words.
const STEPS: [(f64, &str); 8] = [
    (0.999_99, "99.999 %"),
    (0.999_95, "99.995 %"),
    (0.999_9, "99.99 %"),
    (0.999_5, "99.95 %"),
    (0.999, "99.9 %"),
    (0.995, "99.5 %"),
    (0.99, "99 %"),
    (0.9, "90 %"),
];

impl Claim {
    /// From an unavailability that is exceeded in at most 5 % of cases, and what unseen causes may
    /// add.
    pub(super) fn of(likely: f64, unseen: f64) -> Self {
        let step = |share: f64| STEPS.iter().find(|step| share <= 1.0 - step.0 + 1e-12);
        let held = step(likely.max(unseen));
        let words = match held {
            Some((_, words)) => format!("at least {words}"),
            None => "less than 90 % cannot be ruled out".to_owned(),
        };
        Self {
            at_least: held.map(|step| step.0),
            words,
            held_back: step(likely) != held,
        }
    }
}

/// The share of time that a cause which hits everything at once may cost, although none was seen
/// in so many years: 95 % of a Poisson process with this rate would have shown it (rule of three).
pub(super) fn unseen(years: f64, minutes: f64) -> f64 {
    let per_year = -libm::log(0.05) / years.max(1.0);
    per_year * minutes / YEAR_MINUTES
}

pub(super) fn rule(years: f64, unseen: f64) -> String {
    let held = Claim::of(0.0, unseen).at_least.unwrap_or(0.0);
    format!(
        "Claimed is the largest of the usual steps (90, 99, 99.5, 99.9 % and so on) that 95 % of \
         all sets of assumptions reach; and never more than {:.3} %: in {years:.1} years of \
         published outages none took everything at once, and a cause that would take {:.0} minutes \
         a year could have stayed unseen.",
        100.0 * held,
        unseen * YEAR_MINUTES
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_holds_no_more_than_was_seen() {
        let words = |likely, unseen| Claim::of(likely, unseen).words;
        assert_eq!(words(0.000_8, 0.0), "at least 99.9 %");
        assert_eq!(words(0.001, 0.0), "at least 99.9 %");
        assert_eq!(words(0.001_1, 0.0), "at least 99.5 %");
        assert_eq!(words(0.2, 0.0), "less than 90 % cannot be ruled out");
        let nothing = Claim::of(1e-12, 6e-5);
        assert_eq!(nothing.words, "at least 99.99 %");
        assert!(nothing.held_back);
        assert!(!Claim::of(8e-5, 6e-5).held_back);
    }

    #[test]
    fn what_was_never_seen_may_still_be() {
        // Three chances in ten years, of 100 minutes each: 30 of 525 960 minutes.
        assert!((unseen(10.0, 100.0) * YEAR_MINUTES - 29.957).abs() < 0.001);
    }
}
