//! The repairable system in time: how often a formula begins to hold, and for how long.
//!
//! Two ways. [`run`] simulates everything from a steady state on, and suits systems that fail
//! often. [`outages`] is for rare failures: it draws the moments at which the formula begins to
//! hold, by minimal cut set, and simulates only the outages from there. Events fail exponentially
//! and are repaired after lengths of any shape. The number of samples is given, never a time; and
//! every figure has its interval.

mod entry;
mod estimate;

pub use entry::{Simulated, Way, outages};
pub use estimate::{Estimate, Quantiles};

use super::lengths::exponential;
use super::{Event, Formula, YEAR_MINUTES};
use quorate_engine::random::{Seed, Stream};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A moment in minutes; ordered, never NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Moment(f64);

impl Eq for Moment {}

impl Ord for Moment {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// What a simulation of everything saw.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The share of time in which the formula held.
    pub unavailability: Estimate,
    /// How often it began to, in a year.
    pub per_year: Estimate,
    /// Lengths in minutes of outages that began and ended, in order of time.
    pub minutes: Vec<f64>,
}

/// Simulates everything: `runs` times so many years, each run from a steady state of its own.
/// `level` is that of the intervals: 0.95 for 95 %.
///
/// # Panics
/// If there are fewer than two runs, or the formula holds other events.
#[must_use]
pub fn run(
    events: &[Event],
    formula: &Formula,
    runs: u32,
    years: f64,
    level: f64,
    seed: Seed,
) -> Seen {
    let (mut shares, mut rates, mut minutes) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..runs {
        let stream = seed.stream_of(u64::from(number), "renewal");
        let mut world = World::steady(events, stream);
        let end = years * YEAR_MINUTES;
        let (mut down, mut begun) = (0.0, 0.0);
        let (mut since, mut whole) = (formula.holds(&world.failed).then_some(0.0), false);
        while let Some(now) = world.step(end) {
            let holds = formula.holds(&world.failed);
            match (since, holds) {
                (None, true) => {
                    (since, whole) = (Some(now), true);
                    begun += 1.0;
                }
                (Some(start), false) => {
                    down += now - start;
                    if whole {
                        minutes.push(now - start);
                    }
                    since = None;
                }
                (None, false) | (Some(_), true) => {}
            }
        }
        down += since.map_or(0.0, |start| end - start);
        shares.push(down / end);
        rates.push(begun / years);
    }
    Seen {
        unavailability: Estimate::of_mean(&shares, level),
        per_year: Estimate::of_mean(&rates, level),
        minutes,
    }
}

/// The events of a run, and what is to come.
struct World<'a> {
    events: &'a [Event],
    failed: Vec<bool>,
    /// Next change of each event.
    next: BinaryHeap<Reverse<(Moment, usize)>>,
    stream: Stream,
}

impl<'a> World<'a> {
    /// Each event failed as likely as it is at any moment, with what is then left of its outage.
    fn steady(events: &'a [Event], stream: Stream) -> Self {
        let mut world = Self {
            events,
            failed: vec![false; events.len()],
            next: BinaryHeap::new(),
            stream,
        };
        for (at, event) in events.iter().enumerate() {
            world.failed[at] = world.stream.chance(event.rhythm.unavailability());
            if world.failed[at] {
                let mean = event.rhythm.mean_minutes;
                let rest = event.lengths.rest(mean, &mut world.stream);
                world.next.push(Reverse((Moment(rest), at)));
            } else {
                world.fail_later(at, 0.0);
            }
        }
        world
    }

    fn fail_later(&mut self, at: usize, now: f64) {
        let per_year = self.events[at].rhythm.per_year;
        if per_year > 0.0 {
            let wait = exponential(YEAR_MINUTES / per_year, &mut self.stream);
            self.next.push(Reverse((Moment(now + wait), at)));
        }
    }

    /// The next change before `end`: when it was.
    fn step(&mut self, end: f64) -> Option<f64> {
        let Reverse((Moment(now), at)) = self.next.pop()?;
        if now >= end {
            return None;
        }
        self.failed[at] = !self.failed[at];
        if self.failed[at] {
            let event = &self.events[at];
            let length = event
                .lengths
                .draw(event.rhythm.mean_minutes, &mut self.stream);
            self.next.push(Reverse((Moment(now + length), at)));
        } else {
            self.fail_later(at, now);
        }
        Some(now)
    }
}

/// Changes after which an outage is cut off: it is then at least as long as it is said to be.
const CHANGES: u32 = 10_000;

/// How long the formula holds, in minutes, from the moment at which `trigger` fails while the
/// others in `failed` have for some time.
fn outage(
    events: &[Event],
    formula: &Formula,
    mut failed: Vec<bool>,
    trigger: usize,
    stream: &mut Stream,
) -> f64 {
    assert!(!failed[trigger], "what triggers an outage worked before");
    assert!(!formula.holds(&failed), "an outage begins with its trigger");
    let mut repairs = BinaryHeap::new();
    let mut rate = 0.0;
    for (at, event) in events.iter().enumerate() {
        if failed[at] {
            let rest = event.lengths.rest(event.rhythm.mean_minutes, stream);
            repairs.push(Reverse((Moment(rest), at)));
        } else {
            rate += event.rhythm.per_year;
        }
    }
    let mut now = 0.0;
    let mut fails = Some(trigger);
    for _ in 0..CHANGES {
        if let Some(at) = fails.take() {
            let event = &events[at];
            assert!(!failed[at], "only what works fails");
            failed[at] = true;
            rate -= event.rhythm.per_year;
            let length = event.lengths.draw(event.rhythm.mean_minutes, stream);
            repairs.push(Reverse((Moment(now + length), at)));
        }
        assert!(formula.holds(&failed), "more failures end no outage");
        let Some(Reverse((Moment(repaired), _))) = repairs.peek() else {
            break;
        };
        // Without memory: the wait for the next failure may be drawn afresh at every change.
        let wait = match rate > 0.0 {
            true => exponential(YEAR_MINUTES / rate, stream),
            false => f64::INFINITY,
        };
        if now + wait < *repaired {
            now += wait;
            fails = Some(next_failure(events, &failed, rate, stream));
            continue;
        }
        let Some(Reverse((Moment(repaired), at))) = repairs.pop() else {
            break;
        };
        now = repaired;
        failed[at] = false;
        rate += events[at].rhythm.per_year;
        if !formula.holds(&failed) {
            break;
        }
    }
    now
}

fn next_failure(events: &[Event], failed: &[bool], rate: f64, stream: &mut Stream) -> usize {
    let mut left = stream.unit() * rate;
    let mut last = None;
    for (at, event) in events.iter().enumerate() {
        if failed[at] || event.rhythm.per_year <= 0.0 {
            continue;
        }
        last = Some(at);
        left -= event.rhythm.per_year;
        if left < 0.0 {
            break;
        }
    }
    last.unwrap_or_else(|| panic!("something that works can fail"))
}
