//! Finished diagrams: probabilities of formulas, and what each event does to them.
//!
//! One pass over the nodes gives the probability of every formula at once, so that thousands of
//! sets of assumptions can be asked. All terms of the sums are positive: small probabilities keep
//! their digits.

use super::arena::{Node, ONE, Ref};
use super::diagram::Builder;
use super::{EventId, Formula};
use quorate_engine::random::Stream;

/// The diagram of a formula has more nodes, or takes more steps, than the budget allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the decision diagram is larger than its budget")]
pub struct TooLarge;

/// Formulas as decision diagrams that share what they have in common.
#[derive(Debug, Clone)]
pub struct Forest {
    /// The event of each level.
    order: Vec<EventId>,
    nodes: Vec<Node>,
    roots: Vec<Result<Ref, TooLarge>>,
}

impl Forest {
    /// Diagrams of these formulas, with at most about `budget` nodes made for each. One that is
    /// too large has no answers, and does not disturb the others. In `order` shared causes stand
    /// directly before what they take.
    ///
    /// # Panics
    /// If an event of a formula is not in the order, or is twice.
    #[must_use]
    pub fn of(formulas: &[&Formula], order: &[EventId], budget: usize) -> Self {
        let mut builder = Builder::new(order, budget);
        let mut roots = Vec::with_capacity(formulas.len());
        for formula in formulas {
            builder = builder.with_room(budget);
            roots.push(builder.of(formula));
        }
        Self::compact(&builder, order.to_vec(), roots)
    }

    /// Keeps only what roots lead to.
    pub(super) fn compact(
        builder: &Builder,
        order: Vec<EventId>,
        roots: Vec<Result<Ref, TooLarge>>,
    ) -> Self {
        let mut numbers = vec![None; builder.arena.len()];
        let mut stack: Vec<Ref> = roots.iter().flatten().copied().collect();
        numbers[..2].fill(Some(0));
        while let Some(at) = stack.pop() {
            if numbers[at as usize].replace(0).is_none() {
                let node = builder.arena.node(at);
                stack.extend([node.low, node.high]);
            }
        }
        let mut nodes = Vec::new();
        for at in 0..builder.arena.len() {
            if numbers[at].is_none() {
                continue;
            }
            let node = builder.arena.node(at as Ref);
            let of = |child: Ref| match child as usize {
                own if own == at => child,
                other => numbers[other].unwrap_or_else(|| panic!("a child of a kept node is kept")),
            };
            let (low, high) = (of(node.low), of(node.high));
            numbers[at] = Some(nodes.len() as Ref);
            nodes.push(Node { low, high, ..node });
        }
        let kept = |root: Ref| numbers[root as usize].unwrap_or_else(|| panic!("a root is kept"));
        let roots = roots.into_iter().map(|root| root.map(kept)).collect();
        Self {
            order,
            nodes,
            roots,
        }
    }

    /// How many nodes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether no formula has a node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.len() <= 2
    }

    /// The order of events.
    #[must_use]
    pub fn order(&self) -> &[EventId] {
        &self.order
    }

    pub(super) fn root(&self, formula: usize) -> Result<Ref, TooLarge> {
        self.roots[formula]
    }

    pub(super) fn node(&self, at: Ref) -> Node {
        self.nodes[at as usize]
    }

    /// The probability of each formula, from that of each event.
    ///
    /// # Errors
    /// For each formula by itself: where it was too large.
    ///
    /// # Panics
    /// If `failed` has no entry for an event of the order.
    #[must_use]
    pub fn probabilities(&self, failed: &[f64]) -> Vec<Result<f64, TooLarge>> {
        let values = self.values(failed);
        let value = |root: &Result<Ref, TooLarge>| root.map(|at| values[at as usize]);
        self.roots.iter().map(value).collect()
    }

    pub(super) fn values(&self, failed: &[f64]) -> Vec<f64> {
        let by_level: Vec<f64> = self.order.iter().map(|event| failed[event.0]).collect();
        let mut values = vec![0.0; self.nodes.len()];
        values[ONE as usize] = 1.0;
        for (at, node) in self.nodes.iter().enumerate().skip(2) {
            let p = by_level[node.level as usize];
            values[at] = p * values[node.high as usize] + (1.0 - p) * values[node.low as usize];
        }
        values
    }

    /// Birnbaum's importance of each event for a formula: by how much the formula is likelier when
    /// the event has failed than when it works.
    ///
    /// # Errors
    /// If the formula was too large.
    pub fn birnbaum(&self, formula: usize, failed: &[f64]) -> Result<Vec<f64>, TooLarge> {
        let root = self.roots[formula]?;
        let values = self.values(failed);
        let mut reach = vec![0.0; self.nodes.len()];
        reach[root as usize] = 1.0;
        let mut importance = vec![0.0; failed.len()];
        for at in (2..=root as usize).rev() {
            if reach[at] == 0.0 {
                continue;
            }
            let node = self.nodes[at];
            let event = self.order[node.level as usize].0;
            let p = failed[event];
            reach[node.high as usize] += reach[at] * p;
            reach[node.low as usize] += reach[at] * (1.0 - p);
            let gain = values[node.high as usize] - values[node.low as usize];
            importance[event] += reach[at] * gain;
        }
        Ok(importance)
    }

    /// A moment at which the formula holds: everything drawn under that condition. `values` are
    /// those of the nodes for the same probabilities.
    pub(super) fn draw(
        &self,
        formula: usize,
        failed: &[f64],
        values: &[f64],
        stream: &mut Stream,
    ) -> Result<Vec<bool>, TooLarge> {
        let mut at = self.roots[formula]?;
        assert!(values[at as usize] > 0.0, "what never holds has no moment");
        let mut moment = Vec::with_capacity(failed.len());
        moment.extend(failed.iter().map(|p| stream.chance(*p)));
        while at != ONE {
            let node = self.nodes[at as usize];
            let event = self.order[node.level as usize].0;
            let with = failed[event] * values[node.high as usize];
            let high = stream.chance(with / values[at as usize]);
            moment[event] = high;
            at = if high { node.high } else { node.low };
        }
        Ok(moment)
    }
}
