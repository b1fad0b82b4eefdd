//! All that is exact about one formula: how often, how long, and because of what.

use super::cuts::{CutSet, CutSets, Family, shares};
use super::forest::{Forest, TooLarge};
use super::{Event, EventId, Formula, Interval, YEAR_MINUTES, bounds};
use schemars::JsonSchema;
use serde::Serialize;

/// Events that fail and are repaired, independently of each other.
#[derive(Debug, Clone, Copy)]
pub struct System<'a> {
    /// By number.
    pub events: &'a [Event],
    /// All of them, a shared cause directly before what it takes.
    pub order: &'a [EventId],
}

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Limits {
    /// Nodes made for the decision diagram of a formula. Beyond: an interval is proven instead.
    pub nodes: usize,
    /// Minimal cut sets that are listed.
    pub cut_sets: usize,
    /// Splits spent on an interval.
    pub splits: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            nodes: 1_000_000,
            cut_sets: 100,
            splits: 2_000,
        }
    }
}

/// What is known of a formula.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Solved {
    /// Everything.
    Exact(Solution),
    /// It is too large: its probability lies in this interval, which is proven.
    Bounded(Interval),
}

/// What is exact about a formula.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Solution {
    /// The share of time in which it holds.
    pub unavailability: f64,
    /// How often it begins to hold in a year: Birnbaum's importance of each event times its
    /// failure intensity, summed.
    pub per_year: f64,
    /// How long it holds then, in minutes; none: it never begins to.
    pub mean_minutes: Option<f64>,
    /// What each event does to it, by number.
    pub importances: Vec<Importance>,
    /// Why it holds. None: their diagram was too large at any order.
    pub cut_sets: Option<CutSets>,
}

/// What an event does to a formula.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Importance {
    /// By how much the formula is likelier when the event has failed than when it works.
    pub birnbaum: f64,
    /// Probabilities of the minimal cut sets that hold it, summed, over those of all. None: the
    /// cut sets were not all found.
    pub fussell_vesely: Option<f64>,
    /// The share of time that would be won if it never failed.
    pub improvement: f64,
}

impl System<'_> {
    /// The probability of each event.
    #[must_use]
    pub fn failed(&self) -> Vec<f64> {
        let events = self.events.iter();
        events.map(|event| event.rhythm.unavailability()).collect()
    }

    /// Solves a formula by itself.
    ///
    /// # Panics
    /// If an event of the formula is not one of the system's, or the order is not one of all.
    #[must_use]
    pub fn solve(&self, formula: &Formula, limits: Limits) -> Solved {
        let forest = Forest::of(&[formula], self.order, limits.nodes);
        self.solve_in(&forest, 0, formula, limits)
    }

    /// Solves a formula whose diagram is in a forest.
    ///
    /// # Panics
    /// If the forest is of other events.
    #[must_use]
    pub fn solve_in(
        &self,
        forest: &Forest,
        at: usize,
        formula: &Formula,
        limits: Limits,
    ) -> Solved {
        let failed = self.failed();
        match self.exact(forest, at, &failed, limits) {
            Ok(solution) => Solved::Exact(solution),
            Err(TooLarge) => Solved::Bounded(bounds(formula, &failed, limits.splits)),
        }
    }

    fn exact(
        &self,
        forest: &Forest,
        at: usize,
        failed: &[f64],
        limits: Limits,
    ) -> Result<Solution, TooLarge> {
        let root = forest.root(at)?;
        let unavailability = forest.values(failed)[root as usize];
        let birnbaum = forest.birnbaum(at, failed)?;
        let begins = birnbaum.iter().zip(self.events);
        let per_year = begins.map(|(b, event)| b * event.rhythm.intensity()).sum();
        let family = Family::of(forest, at, limits.nodes);
        let measures = family.as_ref().ok().filter(|family| family.order.is_none());
        let measures = measures.map(|family| family.fussell_vesely(forest.order(), failed));
        let importances = birnbaum.iter().enumerate().map(|(event, b)| Importance {
            birnbaum: *b,
            fussell_vesely: measures.as_ref().map(|all| all[event]),
            improvement: b * failed[event],
        });
        let importances = importances.collect();
        let cut_sets = family.ok();
        let cut_sets =
            cut_sets.map(|family| listed(&family, forest, failed, unavailability, limits));
        Ok(Solution {
            unavailability,
            per_year,
            mean_minutes: (per_year > 0.0).then(|| unavailability * YEAR_MINUTES / per_year),
            importances,
            cut_sets,
        })
    }
}

fn listed(family: &Family, forest: &Forest, failed: &[f64], total: f64, limits: Limits) -> CutSets {
    let order = forest.order();
    let best = family.best(order, failed, limits.cut_sets);
    let (shares, rest) = shares(&best, order, failed, total, limits.nodes);
    let sets = best.into_iter().zip(shares);
    CutSets {
        listed: sets
            .map(|((events, probability), share)| CutSet {
                events,
                probability,
                fussell_vesely: probability / total,
                share,
            })
            .collect(),
        count: family.order.is_none().then(|| family.count(order.len())),
        order: family.order,
        rest: rest.filter(|_| total > 0.0),
    }
}
