//! The figures of a scenario's runs: how often what held, and how the measured values spread.
//!
//! Knows runs as values only; how figures are shown is the reports' business.

use crate::outcome::{Run, Unit, Verdict};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;

/// Three significant figures: 1 part in 1,000, finer than any report shows.
const SIGNIFICANT: u8 = 3;

/// What the runs of a scenario came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tally {
    /// Runs.
    pub runs: usize,
    /// How many ended how; verdicts that nobody got are left out.
    pub verdicts: BTreeMap<Verdict, usize>,
    /// In the order of the first run that has them.
    pub expectations: Vec<ExpectationTally>,
    /// By fault and population, in order of first appearance.
    pub recoveries: Vec<RecoveryTally>,
    /// Seeds of runs that do not hold, in order.
    pub failing: Vec<u64>,
    /// The run with the worst verdict, most bad expectations first, then the lowest seed.
    pub worst_seed: Option<u64>,
}

/// One expectation over all runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExpectationTally {
    /// Its name.
    pub name: String,
    /// The worst of all runs.
    pub verdict: Verdict,
    /// The run with the worst verdict, then the worst value, then the lowest seed.
    pub worst_seed: u64,
    /// What the values are.
    pub unit: Unit,
    /// How the measured values spread; none where nothing was measured.
    pub values: Option<Distribution>,
}

/// How one fault hurt one population over all runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecoveryTally {
    /// The fault.
    pub fault: String,
    /// The population.
    pub of: String,
    /// How often it was injected in all runs together.
    pub times: u64,
    /// How often nobody noticed.
    pub unnoticed: u64,
    /// The run with the longest recovery.
    pub worst_seed: u64,
    /// Recovery times in milliseconds, those that nobody noticed included as zero.
    #[serde(rename = "recovery_ms")]
    pub recovery: Distribution,
}

/// How values spread. `p90` means: 90 % of the values are no worse. For shares, where less is
/// worse, that is the 10th percentile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Distribution {
    /// Half are no worse.
    pub p50: u64,
    /// Nine of ten are no worse.
    pub p90: u64,
    /// 99 of 100 are no worse.
    pub p99: u64,
    /// None is worse.
    pub worst: u64,
}

impl Distribution {
    /// Of at least one value.
    ///
    /// # Panics
    /// Never: an automatically growing histogram takes every `u64`.
    fn of(values: &[u64], unit: Unit) -> Option<Self> {
        let (least, most) = (*values.iter().min()?, *values.iter().max()?);
        let less_is_worse = unit == Unit::Share;
        // Shares are kept by what is missing: then all significant figures go to the losses,
        // and one rule of ranks serves both.
        let turned = |value: u64| if less_is_worse { most - value } else { value };
        let mut histogram = Histogram::<u64>::new(SIGNIFICANT).expect("3 figures are allowed");
        for value in values {
            histogram
                .record(turned(*value))
                .expect("a growing histogram takes every value");
        }
        let at = |quantile: f64| {
            // A histogram answers with the upper edge of a bucket: never beyond the true worst.
            let found = histogram.value_at_quantile(quantile).min(most);
            if less_is_worse {
                (most - found).max(least)
            } else {
                found
            }
        };
        let worst = if less_is_worse { least } else { most };
        Some(Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            worst,
        })
    }
}

impl Tally {
    /// Of the runs of one scenario.
    #[must_use]
    pub fn of(runs: &[Run]) -> Self {
        let mut verdicts = BTreeMap::new();
        for run in runs {
            *verdicts.entry(run.verdict).or_insert(0) += 1;
        }
        let failing = runs.iter().filter(|run| !run.verdict.holds());
        let bad = |run: &Run| {
            run.expectations
                .iter()
                .filter(|e| !e.verdict.holds())
                .count()
        };
        let worst = runs.iter().min_by_key(|run| {
            (
                std::cmp::Reverse(run.verdict),
                std::cmp::Reverse(bad(run)),
                run.seed,
            )
        });
        Self {
            runs: runs.len(),
            verdicts,
            expectations: expectations(runs),
            recoveries: recoveries(runs),
            failing: failing.map(|run| run.seed).collect(),
            worst_seed: worst.map(|run| run.seed),
        }
    }
}

fn expectations(runs: &[Run]) -> Vec<ExpectationTally> {
    let mut names: Vec<&str> = Vec::new();
    for held in runs.iter().flat_map(|run| &run.expectations) {
        if !names.contains(&held.name.as_str()) {
            names.push(&held.name);
        }
    }
    names
        .into_iter()
        .map(|name| expectation(name, runs))
        .collect()
}

fn expectation(name: &str, runs: &[Run]) -> ExpectationTally {
    let of_run = |run: &Run| {
        run.expectations
            .iter()
            .filter(|h| h.name == name)
            .cloned()
            .collect()
    };
    let all: Vec<_> = runs
        .iter()
        .flat_map(|run| {
            let held: Vec<_> = of_run(run);
            held.into_iter().map(|held| (run.seed, held))
        })
        .collect();
    // The worst value is the greatest, for shares the smallest; nothing measured is no worse.
    let badness = |value: Option<u64>, unit: Unit| match (value, unit) {
        (None, _) => 0,
        (Some(value), Unit::Share) => u64::MAX - value,
        (Some(value), Unit::Ms | Unit::Count | Unit::None) => value,
    };
    let worst = all
        .iter()
        .min_by_key(|(seed, held)| {
            let badness = badness(held.value, held.unit);
            (
                std::cmp::Reverse(held.verdict),
                std::cmp::Reverse(badness),
                *seed,
            )
        })
        .expect("a name comes from a run that has it");
    let unit = worst.1.unit;
    let values: Vec<u64> = all.iter().filter_map(|(_, held)| held.value).collect();
    ExpectationTally {
        name: name.to_owned(),
        verdict: worst.1.verdict,
        worst_seed: worst.0,
        unit,
        values: Distribution::of(&values, unit),
    }
}

fn recoveries(runs: &[Run]) -> Vec<RecoveryTally> {
    let mut order: Vec<(&str, &str)> = Vec::new();
    let mut samples: BTreeMap<(&str, &str), Vec<(u64, u64)>> = BTreeMap::new();
    for run in runs {
        for recovery in &run.recoveries {
            let key = (recovery.fault.as_str(), recovery.of.as_str());
            let known = samples.entry(key).or_default();
            if known.is_empty() {
                order.push(key);
            }
            known.push((recovery.recovery.as_ms(), run.seed));
        }
    }
    order
        .into_iter()
        .map(|key| {
            let of_key = &samples[&key];
            let values: Vec<u64> = of_key.iter().map(|(ms, _)| *ms).collect();
            let longest = of_key
                .iter()
                .min_by_key(|(ms, seed)| (std::cmp::Reverse(*ms), *seed));
            let (_, worst_seed) = *longest.expect("a key comes with a sample");
            RecoveryTally {
                fault: key.0.to_owned(),
                of: key.1.to_owned(),
                times: of_key.len() as u64,
                unnoticed: values.iter().filter(|ms| **ms == 0).count() as u64,
                worst_seed,
                recovery: Distribution::of(&values, Unit::Ms).expect("there is a sample"),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn percentiles_mean_no_worse_than() {
        let values: Vec<u64> = (1..=100).collect();
        let times = Distribution::of(&values, Unit::Ms).unwrap();
        assert_eq!(
            (times.p50, times.p90, times.p99, times.worst),
            (50, 90, 99, 100)
        );
        let shares: Vec<u64> = (1..=100).map(|n| 1_000_000 - n).collect();
        let shares = Distribution::of(&shares, Unit::Share).unwrap();
        let lost = [shares.p50, shares.p90, shares.p99, shares.worst].map(|s| 1_000_000 - s);
        assert_eq!(lost, [50, 90, 99, 100]);
        assert_eq!(Distribution::of(&[], Unit::Ms), None);
    }

    #[test]
    fn percentiles_stay_within_a_thousandth_and_within_the_values() {
        let one = Distribution::of(&[123_457], Unit::Ms).unwrap();
        assert_eq!((one.p50, one.worst), (123_457, 123_457));
        let many: Vec<u64> = (0..1_000).map(|n| n * 997).collect();
        let many = Distribution::of(&many, Unit::Ms).unwrap();
        assert!(many.p90.abs_diff(899 * 997) <= 1_000, "{many:?}");
        assert_eq!(
            Distribution::of(&[1 << 60, 0], Unit::Count).unwrap().p99,
            1 << 60
        );
    }

    #[test]
    fn the_worst_seed_has_the_worst_verdict_then_the_worst_value() {
        let tally = Tally::of(&sample::campaign().suites[0].runs);
        let leaderless = tally
            .expectations
            .iter()
            .find(|e| e.name.starts_with("leaderless"));
        let leaderless = leaderless.unwrap();
        assert_eq!(
            (leaderless.verdict, leaderless.worst_seed),
            (Verdict::FailLiveness, 3)
        );
        let availability = tally
            .expectations
            .iter()
            .find(|e| e.unit == Unit::Share)
            .unwrap();
        assert_eq!(availability.values.unwrap().worst, 991_000);
        assert_eq!(availability.worst_seed, 3);
        assert_eq!(
            (tally.failing.as_slice(), tally.worst_seed),
            (&[3][..], Some(3))
        );
    }

    #[test]
    fn recoveries_are_grouped_by_fault_and_population() {
        let tally = Tally::of(&sample::campaign().suites[0].runs);
        let rows: Vec<_> = tally
            .recoveries
            .iter()
            .map(|r| (&*r.fault, &*r.of, r.times))
            .collect();
        let outage = "outage of hetzner";
        assert_eq!(rows, [(outage, "shoppers", 3), (outage, "operators", 3)]);
        assert_eq!(tally.recoveries[1].unnoticed, 2);
        assert_eq!(tally.recoveries[0].recovery.worst, 18_200);
    }
}
