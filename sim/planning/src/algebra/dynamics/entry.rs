//! How outages begin: drawn directly, however rare they are.
//!
//! By cut set, a conditional simulation: one of the ways in which a minimal cut set is completed
//! is drawn by how often that happens, everything else as it is at any moment; a moment that
//! completes several sets at once counts as a part for each (Karp and Luby 1983), and not at all
//! where the formula holds already. The weights lie between 0 and 1, so that the relative error is
//! bounded however rare the failure. This knows the cut sets but no probability of the formula: it
//! is a check on the exact part. Where there are too many sets, moments are drawn from the diagram
//! itself; that gives lengths, and no check.

use super::super::cuts::Family;
use super::super::forest::{Forest, TooLarge};
use super::super::{EventId, Formula, System};
use super::{Estimate, Quantiles, outage};
use quorate_engine::random::{Seed, Stream};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a simulation of outages saw.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Simulated {
    /// How beginnings were drawn.
    pub way: Way,
    /// So many of them.
    pub samples: u32,
    /// The share of time in which the formula holds; only by cut set.
    pub unavailability: Option<Estimate>,
    /// How often it begins to, in a year; only by cut set.
    pub per_year: Option<Estimate>,
    /// Mean length of an outage, in minutes. Where lengths have long tails the interval is too
    /// narrow: quantiles do not suffer from that.
    pub mean_minutes: Estimate,
    /// How long outages last. None: no sample was an outage.
    pub minutes: Option<Quantiles>,
}

/// How beginnings of outages are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// By minimal cut set, independently of the exact result.
    CutSets,
    /// From the decision diagram.
    Diagram,
}

/// Cut sets that are drawn from; with more, the diagram is used.
const MOST_SETS: usize = 2_000;

/// Simulates `samples` outages of a formula of the forest; intervals of this level.
///
/// # Errors
/// If the formula is too large for a diagram.
///
/// # Panics
/// If there are fewer than two samples.
pub fn outages(
    system: &System<'_>,
    forest: &Forest,
    (at, formula): (usize, &Formula),
    samples: u32,
    level: f64,
    seed: Seed,
) -> Result<Option<Simulated>, TooLarge> {
    forest.root(at)?;
    let failed = system.failed();
    let family = Family::all(forest, at, 80 * MOST_SETS).ok();
    let sets = family.map(|family| family.best(forest.order(), &failed, MOST_SETS + 1));
    let sets = sets.filter(|sets| sets.len() <= MOST_SETS);
    let draw = Draw {
        system,
        formula,
        failed,
        samples,
        level,
        seed,
    };
    Ok(match sets {
        Some(sets) if sets.is_empty() => None,
        Some(sets) => draw.by_cut_sets(&sets.into_iter().map(|set| set.0).collect::<Vec<_>>()),
        None => draw.by_diagram(forest, at)?,
    })
}

struct Draw<'a> {
    system: &'a System<'a>,
    formula: &'a Formula,
    failed: Vec<f64>,
    samples: u32,
    level: f64,
    seed: Seed,
}

impl Draw<'_> {
    fn stream(&self, sample: u32, purpose: &str) -> Stream {
        self.seed.stream_of(u64::from(sample), purpose)
    }

    /// All events as they are at any moment.
    fn moment(&self, stream: &mut Stream) -> Vec<bool> {
        self.failed.iter().map(|p| stream.chance(*p)).collect()
    }

    fn by_cut_sets(&self, sets: &[Vec<EventId>]) -> Option<Simulated> {
        let mut holding: Vec<Vec<usize>> = vec![Vec::new(); self.failed.len()];
        for (set, events) in sets.iter().enumerate() {
            events.iter().for_each(|event| holding[event.0].push(set));
        }
        let probability = |set: &Vec<EventId>| set.iter().map(|e| self.failed[e.0]).product();
        let states = Choice::of(sets.iter().map(probability));
        let mut ways = Vec::new();
        for (set, events) in sets.iter().enumerate() {
            ways.extend(events.iter().map(|trigger| (set, *trigger)));
        }
        let beginnings = Choice::of(ways.iter().map(|(set, trigger)| {
            let others = sets[*set].iter().filter(|event| *event != trigger);
            let others: f64 = others.map(|event| self.failed[event.0]).product();
            others * self.system.events[trigger.0].rhythm.intensity()
        }));
        if beginnings.total <= 0.0 {
            return None;
        }
        let complete = |set: &Vec<EventId>, failed: &[bool]| set.iter().all(|e| failed[e.0]);
        let (mut held, mut begun, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
        for sample in 0..self.samples {
            let mut stream = self.stream(sample, "state");
            let mut failed = self.moment(&mut stream);
            sets[states.draw(&mut stream)]
                .iter()
                .for_each(|e| failed[e.0] = true);
            let count = sets.iter().filter(|set| complete(set, &failed)).count();
            held.push(1.0 / count as f64);

            let mut stream = self.stream(sample, "beginning");
            let mut failed = self.moment(&mut stream);
            let (set, trigger) = ways[beginnings.draw(&mut stream)];
            sets[set].iter().for_each(|e| failed[e.0] = true);
            let of = holding[trigger.0].iter();
            let count = of.filter(|set| complete(&sets[**set], &failed)).count();
            failed[trigger.0] = false;
            if self.formula.holds(&failed) {
                begun.push(0.0);
                continue;
            }
            let weight = 1.0 / count as f64;
            begun.push(weight);
            lengths.push((self.length(failed, trigger.0, sample), weight));
        }
        let unavailability = Estimate::of_bounded(&held, states.total, self.level);
        let per_year = Estimate::of_bounded(&begun, beginnings.total, self.level);
        self.simulated(Way::CutSets, lengths, Some((unavailability, per_year)))
    }

    fn length(&self, failed: Vec<bool>, trigger: usize, sample: u32) -> f64 {
        let mut stream = self.stream(sample, "outage");
        outage(
            self.system.events,
            self.formula,
            failed,
            trigger,
            &mut stream,
        )
    }

    fn simulated(
        &self,
        way: Way,
        lengths: Vec<(f64, f64)>,
        checks: Option<(Estimate, Estimate)>,
    ) -> Option<Simulated> {
        let total: f64 = lengths.iter().map(|length| length.1).sum();
        if lengths.len() < 2 || total <= 0.0 {
            return None;
        }
        // A ratio of means, by the delta method: residuals around the ratio have mean 0.
        let n = lengths.len() as f64;
        let mean = lengths.iter().map(|(l, w)| l * w).sum::<f64>() / total;
        let residuals = lengths.iter().map(|(l, w)| w * (l - mean) * n / total);
        let spread =
            Estimate::of_mean(&residuals.map(|r| r + mean).collect::<Vec<_>>(), self.level);
        Some(Simulated {
            way,
            samples: self.samples,
            unavailability: checks.map(|checks| checks.0),
            per_year: checks.map(|checks| checks.1),
            mean_minutes: Estimate {
                value: mean,
                ..spread
            },
            minutes: Quantiles::of(lengths, self.level),
        })
    }

    /// A trigger by how often it is one, then everything else given that the formula holds with
    /// the trigger; drawn again where it holds without it.
    fn by_diagram(&self, forest: &Forest, at: usize) -> Result<Option<Simulated>, TooLarge> {
        let birnbaum = forest.birnbaum(at, &self.failed)?;
        let events = self.system.events.iter();
        let triggers = Choice::of(
            birnbaum
                .iter()
                .zip(events)
                .map(|(b, event)| b.max(0.0) * event.rhythm.intensity()),
        );
        if triggers.total <= 0.0 {
            return Ok(None);
        }
        let mut by_trigger: BTreeMap<usize, Vec<(u32, Stream)>> = BTreeMap::new();
        for sample in 0..self.samples {
            let mut stream = self.stream(sample, "beginning");
            let trigger = triggers.draw(&mut stream);
            by_trigger
                .entry(trigger)
                .or_default()
                .push((sample, stream));
        }
        let mut lengths = Vec::new();
        for (trigger, samples) in by_trigger {
            let mut forced = self.failed.clone();
            forced[trigger] = 1.0;
            let given = forest.values(&forced);
            for (sample, mut stream) in samples {
                let found = (0..TRIES).find_map(|_| {
                    let mut failed = forest.draw(at, &forced, &given, &mut stream).ok()?;
                    failed[trigger] = false;
                    (!self.formula.holds(&failed)).then_some(failed)
                });
                lengths.extend(found.map(|failed| (self.length(failed, trigger, sample), 1.0)));
            }
        }
        Ok(self.simulated(Way::Diagram, lengths, None))
    }
}

/// Draws of a moment for one sample, before it is given up.
const TRIES: u32 = 1_000;

/// Choices by weight.
struct Choice {
    sums: Vec<f64>,
    total: f64,
}

impl Choice {
    fn of(weights: impl Iterator<Item = f64>) -> Self {
        let mut total = 0.0;
        let sums = weights.map(|weight| {
            total += weight;
            total
        });
        let sums = sums.collect();
        Self { sums, total }
    }

    fn draw(&self, stream: &mut Stream) -> usize {
        let at = stream.unit() * self.total;
        self.sums
            .partition_point(|sum| *sum <= at)
            .min(self.sums.len() - 1)
    }
}
