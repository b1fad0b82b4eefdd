//! What is proven of a formula whose diagram is too large: an interval around its probability.
//!
//! Parts that share no event are independent, and exact. Parts that do are positively associated
//! (Harris 1960; Esary, Proschan and Walkup 1967), as formulas are monotone: that gives bounds on
//! both sides. Events that stand in several places are then set to failed and to working, the
//! widest interval first, until it is narrow enough or the number of splits is used up.

use super::{EventId, Formula};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// Both ends of what something may be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Interval {
    /// At least.
    pub low: f64,
    /// At most.
    pub high: f64,
}

impl Interval {
    /// A value that is known.
    #[must_use]
    pub fn exact(value: f64) -> Self {
        Self {
            low: value,
            high: value,
        }
    }

    /// Whether a value lies in it, but for rounding (a billionth part).
    #[must_use]
    pub fn holds(self, value: f64) -> bool {
        let slack = 1e-9 * value.abs().max(1e-300);
        value >= self.low - slack && value <= self.high + slack
    }
}

/// An interval that holds the probability of the formula, after at most so many splits; it ends
/// sooner where the interval is narrower than a thousandth of its lower end.
///
/// # Panics
/// If `failed` has no entry for an event of the formula.
#[must_use]
pub fn bounds(formula: &Formula, failed: &[f64], splits: usize) -> Interval {
    let pivots = repeated(formula);
    let case = |given: Vec<bool>, mass: f64| {
        let fixed = pivots.iter().copied().zip(given.iter().copied()).collect();
        let at = interval(formula, failed, &fixed).0;
        Case {
            width: mass * (at.high - at.low),
            mass,
            at,
            given,
        }
    };
    let mut open = BinaryHeap::from([case(Vec::new(), 1.0)]);
    let mut done = Interval::exact(0.0);
    for _ in 0..splits {
        let now = summed(&open, done);
        if now.high - now.low <= 1e-3 * now.low {
            break;
        }
        let Some(widest) = open.pop() else { break };
        let Some(pivot) = pivots.get(widest.given.len()) else {
            // Nothing is shared any more: this case is exact.
            done.low += widest.mass * widest.at.low;
            done.high += widest.mass * widest.at.high;
            continue;
        };
        let p = failed[pivot.0];
        for (value, share) in [(true, p), (false, 1.0 - p)] {
            let mut given = widest.given.clone();
            given.push(value);
            open.push(case(given, widest.mass * share));
        }
    }
    summed(&open, done)
}

/// Summed afresh each time: differences of running sums would lose the digits of small
/// probabilities.
fn summed(open: &BinaryHeap<Case>, done: Interval) -> Interval {
    let low: f64 = open.iter().map(|case| case.mass * case.at.low).sum();
    let high: f64 = open.iter().map(|case| case.mass * case.at.high).sum();
    Interval {
        low: low + done.low,
        high: (high + done.high).min(1.0),
    }
}

/// A part of the space: the first pivots have these values.
struct Case {
    width: f64,
    mass: f64,
    at: Interval,
    given: Vec<bool>,
}

impl Ord for Case {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let width = self.width.total_cmp(&other.width);
        width.then_with(|| other.given.cmp(&self.given))
    }
}

impl PartialOrd for Case {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Case {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Case {}

/// Events that stand in several places, those in the most first.
fn repeated(formula: &Formula) -> Vec<EventId> {
    fn count(formula: &Formula, counts: &mut BTreeMap<EventId, usize>) {
        match formula {
            Formula::Event(event) => *counts.entry(*event).or_default() += 1,
            Formula::Any(parts) | Formula::All(parts) | Formula::AtLeast(_, parts) => {
                parts.iter().for_each(|part| count(part, counts));
            }
        }
    }
    let mut counts = BTreeMap::new();
    count(formula, &mut counts);
    let mut found: Vec<_> = counts.into_iter().filter(|found| found.1 > 1).collect();
    found.sort_by_key(|(event, places)| (std::cmp::Reverse(*places), *event));
    found.into_iter().map(|(event, _)| event).collect()
}

type Support = BTreeSet<EventId>;

fn interval(
    formula: &Formula,
    failed: &[f64],
    fixed: &BTreeMap<EventId, bool>,
) -> (Interval, Support) {
    let (parts, needed) = match formula {
        Formula::Event(event) => {
            return match fixed.get(event) {
                Some(value) => (Interval::exact(f64::from(u8::from(*value))), Support::new()),
                None => (Interval::exact(failed[event.0]), Support::from([*event])),
            };
        }
        Formula::Any(parts) => (parts, 1),
        Formula::All(parts) => (parts, parts.len()),
        Formula::AtLeast(count, parts) => (parts, *count as usize),
    };
    let mut support = Support::new();
    let mut ends = Vec::with_capacity(parts.len());
    let mut disjoint = true;
    for part in parts {
        let (at, of) = interval(part, failed, fixed);
        disjoint &= of.is_disjoint(&support);
        support.extend(of);
        ends.push(at);
    }
    (combined(&ends, needed, disjoint), support)
}

/// At least `needed` of parts in these intervals.
fn combined(parts: &[Interval], needed: usize, independent: bool) -> Interval {
    if needed == 0 || needed > parts.len() {
        return Interval::exact(f64::from(u8::from(needed == 0)));
    }
    let mut low: Vec<f64> = parts.iter().map(|part| part.low).collect();
    let mut high: Vec<f64> = parts.iter().map(|part| part.high).collect();
    if independent {
        return Interval {
            low: tail(&low, needed),
            high: tail(&high, needed),
        };
    }
    low.sort_by(f64::total_cmp);
    high.sort_by(f64::total_cmp);
    // The likeliest `needed` all fail: their product is a lower bound by association.
    let low = low.iter().rev().take(needed).product();
    // One of any n - needed + 1 must have failed; and Markov's inequality.
    let few = &high[..=parts.len() - needed];
    let any = 1.0 - few.iter().map(|p| 1.0 - p).product::<f64>();
    let sum: f64 = few.iter().sum();
    let markov = high.iter().sum::<f64>() / needed as f64;
    Interval {
        low,
        high: any.min(sum).min(markov).min(1.0).max(low),
    }
}

/// The probability that at least `needed` of independent events happen.
fn tail(each: &[f64], needed: usize) -> f64 {
    if needed == each.len() {
        return each.iter().product();
    }
    // `exactly[n]`: so many have happened; the last entry: at least `needed` have.
    let mut exactly = vec![0.0; needed + 1];
    exactly[0] = 1.0;
    for p in each {
        exactly[needed] += exactly[needed - 1] * p;
        for n in (1..needed).rev() {
            exactly[n] = exactly[n] * (1.0 - p) + exactly[n - 1] * p;
        }
        exactly[0] *= 1.0 - p;
    }
    exactly[needed]
}
