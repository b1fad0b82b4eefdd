//! Minimal cut sets: the smallest combinations of failures that bring a formula about.
//!
//! Rauzy, New algorithms for fault trees analysis (1993): the sets as a zero-suppressed diagram,
//! made from the decision diagram of the monotone formula. Their number may be astronomical while
//! the diagram is small: sums over all of them stay exact, and the likeliest come out first.
//! Where even that diagram is too large, sets up to an order are found, and that is said.

use super::arena::{Arena, BOTTOM, Memo, Node, ONE, Ref, ZERO};
use super::diagram::Builder;
use super::forest::{Forest, TooLarge};
use super::{EventId, Formula};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BinaryHeap;

/// A minimal cut set.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CutSet {
    /// Events that have to fail together, in the order of the diagram.
    pub events: Vec<EventId>,
    /// How likely that is at any moment.
    pub probability: f64,
    /// Fussell and Vesely's measure: the share of the downtime in which it is complete. Sets may
    /// be complete together, so these add up to 1 or more.
    pub fussell_vesely: f64,
    /// The share of the downtime in which it is complete and none that stands before it is. These
    /// add up to 1 less [`CutSets::rest`].
    pub share: f64,
}

/// Minimal cut sets of a formula, the likeliest first.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CutSets {
    /// The likeliest.
    pub listed: Vec<CutSet>,
    /// How many there are, if all were found: exact up to 2⁵³.
    pub count: Option<f64>,
    /// Only sets of at most so many events were looked for; none: all.
    pub order: Option<u32>,
    /// The share of the downtime in which none of the listed is complete: exact, whatever was left
    /// out. None: their union was too large.
    pub rest: Option<f64>,
}

/// All minimal cut sets, or all up to an order, as a zero-suppressed diagram.
#[derive(Debug, Clone)]
pub(super) struct Family {
    arena: Arena,
    root: Ref,
    pub(super) order: Option<u32>,
}

/// Orders that are tried one after the other.
const ORDERS: [Option<u32>; 4] = [None, Some(4), Some(3), Some(2)];

impl Family {
    /// All sets; where they are too large, those up to an order.
    pub(super) fn of(forest: &Forest, formula: usize, budget: usize) -> Result<Self, TooLarge> {
        Self::tried(forest, formula, budget, &ORDERS)
    }

    /// All sets, or none.
    pub(super) fn all(forest: &Forest, formula: usize, budget: usize) -> Result<Self, TooLarge> {
        Self::tried(forest, formula, budget, &ORDERS[..1])
    }

    fn tried(
        forest: &Forest,
        formula: usize,
        budget: usize,
        orders: &[Option<u32>],
    ) -> Result<Self, TooLarge> {
        let root = forest.root(formula)?;
        let tried = orders.iter().map(|order| {
            let mut maker = Maker::new(forest, *order, budget);
            let root = maker.minimal(root, order.unwrap_or(0))?;
            Ok(Self {
                arena: maker.arena,
                root,
                order: *order,
            })
        });
        let first = tried.into_iter().find(Result::is_ok);
        first.unwrap_or(Err(TooLarge))
    }

    /// For each node: the sum over its sets of the products of `weights`, by level.
    fn sums(&self, weights: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.arena.len()];
        sums[ONE as usize] = 1.0;
        for at in 2..sums.len() {
            let node = self.arena.node(at as Ref);
            let with = weights[node.level as usize] * sums[node.high as usize];
            sums[at] = sums[node.low as usize] + with;
        }
        sums
    }

    pub(super) fn count(&self, levels: usize) -> f64 {
        self.sums(&vec![1.0; levels])[self.root as usize]
    }

    /// For each event the sum of the probabilities of the sets that hold it, over that of all.
    pub(super) fn fussell_vesely(&self, order: &[EventId], failed: &[f64]) -> Vec<f64> {
        let weights: Vec<f64> = order.iter().map(|event| failed[event.0]).collect();
        let sums = self.sums(&weights);
        let mut importance = vec![0.0; failed.len()];
        let all = sums[self.root as usize];
        if all == 0.0 {
            return importance;
        }
        let mut reach = vec![0.0; sums.len()];
        reach[self.root as usize] = 1.0;
        for at in (2..=self.root as usize).rev() {
            let node = self.arena.node(at as Ref);
            let p = weights[node.level as usize];
            reach[node.low as usize] += reach[at];
            reach[node.high as usize] += reach[at] * p;
            let event = order[node.level as usize].0;
            importance[event] += reach[at] * p * sums[node.high as usize] / all;
        }
        importance
    }

    /// The `most` likeliest sets with their probabilities, best first; of equal ones that which
    /// was found first. Sets that never happen are left out.
    pub(super) fn best(
        &self,
        order: &[EventId],
        failed: &[f64],
        most: usize,
    ) -> Vec<(Vec<EventId>, f64)> {
        let weights: Vec<f64> = order.iter().map(|event| failed[event.0]).collect();
        let mut best = vec![0.0; self.arena.len()];
        best[ONE as usize] = 1.0;
        for at in 2..best.len() {
            let node = self.arena.node(at as Ref);
            let with: f64 = weights[node.level as usize] * best[node.high as usize];
            best[at] = with.max(best[node.low as usize]);
        }
        let mut found = Vec::new();
        let mut taken: Vec<(u32, usize)> = Vec::new();
        let mut open = BinaryHeap::new();
        let mut number = 0;
        open.push(Open::new(
            best[self.root as usize],
            number,
            1.0,
            self.root,
            0,
        ));
        while let Some(next) = open.pop() {
            if next.bound == 0.0 || found.len() == most {
                break;
            }
            if next.at == ONE {
                found.push((unwind(&taken, next.last, order), next.so_far));
                continue;
            }
            let node = self.arena.node(next.at);
            let with = next.so_far * weights[node.level as usize];
            taken.push((node.level, next.last));
            let branches = [
                (with, node.high, taken.len()),
                (next.so_far, node.low, next.last),
            ];
            for (so_far, at, last) in branches {
                number += 1;
                let bound = so_far * best[at as usize];
                open.push(Open::new(bound, number, so_far, at, last));
            }
        }
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found
    }
}

/// A set that is being put together.
#[derive(Debug, Clone, Copy)]
struct Open {
    bound: f64,
    number: u64,
    so_far: f64,
    at: Ref,
    /// One more than the place of its last event in the list of those taken; 0: none.
    last: usize,
}

impl Open {
    fn new(bound: f64, number: u64, so_far: f64, at: Ref, last: usize) -> Self {
        Self {
            bound,
            number,
            so_far,
            at,
            last,
        }
    }
}

impl Ord for Open {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Equal but for rounding: go on with what was begun last, or all of them would be begun.
        let grade = |bound: f64| (libm::log(bound) * 1e9) as i64;
        let bound = grade(self.bound).cmp(&grade(other.bound));
        bound.then(self.number.cmp(&other.number))
    }
}

impl PartialOrd for Open {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Open {}

fn unwind(taken: &[(u32, usize)], mut last: usize, order: &[EventId]) -> Vec<EventId> {
    let mut events = Vec::new();
    while last > 0 {
        let (level, before) = taken[last - 1];
        events.push(order[level as usize]);
        last = before;
    }
    events.reverse();
    events
}

/// Makes the sets.
struct Maker<'a> {
    forest: &'a Forest,
    arena: Arena,
    /// By decision node and, where the order is limited, by the order left.
    minimal: Memo,
    without: Memo,
    limited: bool,
    budget: usize,
    steps: usize,
}

const STEPS_FOR_NODE: usize = 8;
/// Sets in numbers that nobody could read are given up early: their diagram may have such a part
/// of the budget. Those up to an order have small ones, and long ways.
const BUDGET_PART: usize = 8;

impl<'a> Maker<'a> {
    fn new(forest: &'a Forest, order: Option<u32>, budget: usize) -> Self {
        Self {
            forest,
            arena: Arena::new(),
            minimal: Memo::new(),
            without: Memo::new(),
            limited: order.is_some(),
            budget,
            steps: 0,
        }
    }

    fn step(&mut self) -> Result<(), TooLarge> {
        self.steps += 1;
        let over = self.arena.len() > self.budget / BUDGET_PART
            || self.steps > self.budget * STEPS_FOR_NODE;
        if over { Err(TooLarge) } else { Ok(()) }
    }

    /// Minimal sets of a function, of at most `order` events where that is limited.
    fn minimal(&mut self, of: Ref, order: u32) -> Result<Ref, TooLarge> {
        if of <= ONE {
            return Ok(of);
        }
        if let Some(known) = self.minimal.get([of, order, 0]) {
            return Ok(known);
        }
        self.step()?;
        let Node { level, low, high } = self.forest.node(of);
        let less = self.minimal(low, order)?;
        let more = match (self.limited, order) {
            (true, 0) => ZERO,
            (true, _) => self.minimal(high, order - 1)?,
            (false, _) => self.minimal(high, order)?,
        };
        let more = self.without(more, less)?;
        let made = self.with(level, less, more);
        self.minimal.put([of, order, 0], made);
        Ok(made)
    }

    fn with(&mut self, level: u32, low: Ref, high: Ref) -> Ref {
        if high == ZERO {
            return low;
        }
        self.arena.of(level, low, high)
    }

    /// Sets of `a` that hold no set of `b`.
    fn without(&mut self, a: Ref, b: Ref) -> Result<Ref, TooLarge> {
        if a == ZERO || b == ONE || a == b {
            return Ok(ZERO);
        }
        if b == ZERO || a == ONE {
            return Ok(a);
        }
        if let Some(known) = self.without.get([a, b, 0]) {
            return Ok(known);
        }
        self.step()?;
        let (of, by) = (self.arena.node(a), self.arena.node(b));
        assert!(of.level != BOTTOM && by.level != BOTTOM, "ends are done");
        let made = if of.level > by.level {
            self.without(a, by.low)?
        } else {
            let low = if of.level < by.level { b } else { by.low };
            let less = self.without(of.low, low)?;
            let mut more = self.without(of.high, low)?;
            if of.level == by.level {
                more = self.without(more, by.high)?;
            }
            self.with(of.level, less, more)
        };
        self.without.put([a, b, 0], made);
        Ok(made)
    }
}

/// Shares of the downtime: of each set, what those before it leave; and what all leave.
pub(super) fn shares(
    sets: &[(Vec<EventId>, f64)],
    order: &[EventId],
    failed: &[f64],
    total: f64,
    budget: usize,
) -> (Vec<f64>, Option<f64>) {
    let mut builder = Builder::new(order, budget);
    let mut union = ZERO;
    let mut roots = Vec::with_capacity(sets.len());
    for (events, _) in sets {
        let formula = Formula::All(events.iter().copied().map(Formula::Event).collect());
        let joined = builder.of(&formula).and_then(|set| builder.or(union, set));
        let Ok(joined) = joined else { break };
        union = joined;
        roots.push(Ok(joined));
    }
    let complete = roots.len() == sets.len();
    let unions = Forest::compact(&builder, order.to_vec(), roots).probabilities(failed);
    let mut before = 0.0;
    let mut shares = Vec::with_capacity(sets.len());
    for union in unions.into_iter().flatten() {
        shares.push(((union - before) / total).max(0.0));
        before = union;
    }
    shares.resize(sets.len(), 0.0);
    (shares, complete.then_some((1.0 - before / total).max(0.0)))
}
