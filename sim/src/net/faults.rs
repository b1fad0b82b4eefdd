//! Faults of the network that are on, and what they add up to on one link.

use quorate_engine::time::Span;
use std::collections::{BTreeMap, BTreeSet};

/// What a fault does to a link, in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing passes.
    Cut,
    /// Packets take longer.
    Delay {
        /// Always.
        add: Span,
        /// Uniformly up to this, in addition.
        jitter: Span,
    },
    /// Packets are lost.
    Loss {
        /// Thousandths of them.
        permille: u32,
    },
}

/// Names a fault that was switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultId(u32);

/// What all faults together do to one link.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    pub(super) cut: bool,
    pub(super) add: Span,
    pub(super) jitter: Span,
    pub(super) loss_permille: u32,
}

/// Faults by number, each with the ordered pairs of names that it hits.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    next: u32,
    on: BTreeMap<FaultId, (Effect, BTreeSet<(String, String)>)>,
}

impl Faults {
    pub(super) fn is_empty(&self) -> bool {
        self.on.is_empty()
    }

    pub(super) fn begin(&mut self, effect: Effect, pairs: BTreeSet<(String, String)>) -> FaultId {
        let id = FaultId(self.next);
        self.next += 1;
        self.on.insert(id, (effect, pairs));
        id
    }

    pub(super) fn end(&mut self, id: FaultId) {
        let was_on = self.on.remove(&id);
        assert!(was_on.is_some(), "a fault of the network ends once");
    }

    /// Losses add up, as for independent bottlenecks and small rates.
    pub(super) fn on(&self, from: &str, to: &str) -> Sum {
        let mut sum = Sum::default();
        let pair = (from.to_owned(), to.to_owned());
        for (effect, pairs) in self.on.values() {
            if !pairs.contains(&pair) {
                continue;
            }
            match effect {
                Effect::Cut => sum.cut = true,
                Effect::Delay { add, jitter } => {
                    sum.add += *add;
                    sum.jitter += *jitter;
                }
                Effect::Loss { permille } => {
                    sum.loss_permille = (sum.loss_permille + permille).min(1_000);
                }
            }
        }
        sum
    }
}
