//! Topology spread constraints: in which place a workload has how many pods more than elsewhere.
//!
//! As `nodeTaintsPolicy: Honor` has it: places, and pods, are counted on nodes that a pod could be
//! put on if they had room. So a place that is lost, or has control planes only, holds nobody up.
//! Knows nothing of other criteria.

use super::node::Node;
use super::pod::WorkloadId;
use super::{Kube, PodId};
use quorate_engine::manifest::{Domain, Spread};
use std::collections::BTreeMap;

/// How far a pod more in a place with `here` pods would exceed a maximal skew: 0 if it would not.
/// `fewest`: pods in the place that has the fewest.
#[must_use]
pub fn excess(here: u32, fewest: u32, max_skew: u32) -> u32 {
    assert!(fewest <= here, "nobody has fewer than the fewest");
    (here - fewest + 1).saturating_sub(max_skew)
}

/// Pods of a workload by place.
#[derive(Debug)]
pub(super) struct Spreading {
    rule: Spread,
    places: BTreeMap<u16, u32>,
    fewest: u32,
}

impl Spreading {
    /// Pods in the place of a node that counts, and the excess of one more there.
    pub(super) fn at(&self, host: u16, node: &Node) -> (u32, u32) {
        let here = self.places[&place(host, node, self.rule.across)];
        (here, excess(here, self.fewest, self.rule.max_skew))
    }
}

impl Kube {
    /// Where a workload with a spread of its own has its pods.
    pub(super) fn spreading(&self, workload: WorkloadId) -> Option<Spreading> {
        let at = usize::from(workload.0);
        let rule = self.workloads[at].spec.spread?;
        let mut places = BTreeMap::new();
        for (host, node) in self.nodes.iter().enumerate() {
            if let Some(node) = node.as_ref().filter(|node| node.open()) {
                let place = place(host as u16, node, rule.across);
                *places.entry(place).or_insert(0) += node.placed[at];
            }
        }
        let fewest = places.values().copied().min().unwrap_or(0);
        Some(Spreading {
            rule,
            places,
            fewest,
        })
    }

    /// Whether a pending pod may wait for nothing but a place to stop counting.
    pub(super) fn waits_for_spread(&self) -> bool {
        let waits = |id: &PodId| {
            let workload = self.pods[id].workload;
            let spec = &self.workloads[usize::from(workload.0)].spec;
            spec.waits_for_spread()
        };
        self.pending.iter().any(waits)
    }
}

fn place(host: u16, node: &Node, across: Domain) -> u16 {
    match across {
        Domain::Node => host,
        Domain::Zone => node.labels[1],
        Domain::Region => node.labels[0],
        Domain::Provider => node.provider,
    }
}
