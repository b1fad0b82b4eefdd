//! How long a volume takes for a write, by where its pod and its copies are.
//!
//! Longhorn's engine runs with the pod and sends to all copies at once (Longhorn documentation,
//! concepts): the farthest decides. Ceph's client writes to the primary copy, which sends to all
//! others before it answers (Ceph documentation, architecture): two legs. Each copy syncs its write.

use super::Latency;
use super::places::{Place, round_trip};
use crate::data::Data;
use crate::design::Design;
use quorate_engine::manifest::{Domain, Role, StorageEngine};
use quorate_engine::topology::Node;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// A write of a volume.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct WriteLatency {
    /// The workload.
    pub workload: String,
    /// The region of its pod.
    pub place: String,
    /// Copies that there is room for.
    pub copies: usize,
    /// With copies as near as the spread allows.
    pub nearest: Latency,
    /// With copies as far as it allows.
    pub farthest: Latency,
}

/// Machines that stand for all that are equally far from everything, by domain of the spread.
struct Ground<'a> {
    design: &'a Design,
    domains: BTreeMap<String, Vec<&'a Node>>,
    copies: usize,
}

impl<'a> Ground<'a> {
    fn of(design: &'a Design, spread: Domain, replicas: u32) -> Self {
        let mut domains: BTreeMap<String, Vec<&Node>> = BTreeMap::new();
        for at in design.with(Role::Worker) {
            let node = &design.nodes()[at];
            let alike = domains.entry(node.domain(spread)).or_default();
            if !alike.iter().any(|one| same_zone(one, node)) {
                alike.push(node);
            }
        }
        let copies = (replicas as usize).min(domains.len());
        let mut zones: BTreeMap<(Place, &str), usize> = BTreeMap::new();
        if spread == Domain::Node {
            // Of many nodes in one zone a few more than there are copies are as good as all.
            domains.retain(|_, nodes| {
                let seen = zones
                    .entry((Place::of(nodes[0]), nodes[0].zone.as_str()))
                    .or_default();
                *seen += 1;
                *seen <= copies + 1
            });
        }
        Self {
            design,
            domains,
            copies,
        }
    }

    /// For each domain the nearest and the farthest round trip from a machine, in order of `pick`.
    fn trips(&self, from: &Node, without: Option<&str>, far: bool) -> Vec<Latency> {
        let others = self
            .domains
            .iter()
            .filter(|(name, _)| Some(name.as_str()) != without);
        let mut trips: Vec<Latency> = others
            .filter_map(|(_, nodes)| {
                let all = nodes.iter().map(|node| round_trip(self.design, from, node));
                if far {
                    all.max_by(Latency::order)
                } else {
                    all.min_by(Latency::order)
                }
            })
            .collect();
        trips.sort_by(Latency::order);
        trips
    }

    /// From a pod to the farthest of its copies.
    fn longhorn(&self, pod: &Node) -> [Latency; 2] {
        let near = self.trips(pod, None, false);
        let far = self.trips(pod, None, true);
        let nearest = near.get(self.copies - 1).copied();
        let farthest = far.last().copied();
        [nearest, farthest].map(|one| one.unwrap_or(Latency::NONE))
    }

    /// From a pod to a primary copy, and from there to the farthest of the others.
    fn ceph(&self, pod: &Node) -> [Latency; 2] {
        let others = self.copies - 1;
        let mut nearest: Option<Latency> = None;
        let mut farthest: Option<Latency> = None;
        for (domain, nodes) in &self.domains {
            for primary in nodes {
                let there = round_trip(self.design, pod, primary);
                let leg = |far: bool| {
                    let trips = self.trips(primary, Some(domain), far);
                    let at = if far { trips.len() } else { others };
                    let last = at.checked_sub(1).filter(|_| others > 0);
                    last.and_then(|at| trips.get(at).copied())
                };
                let near = there.then(leg(false).unwrap_or(Latency::NONE));
                let far = there.then(leg(true).unwrap_or(Latency::NONE));
                let shorter = |kept: &Latency| near.order(kept).is_lt();
                if nearest.as_ref().is_none_or(shorter) {
                    nearest = Some(near);
                }
                let longer = |kept: &Latency| far.order(kept).is_gt();
                if farthest.as_ref().is_none_or(longer) {
                    farthest = Some(far);
                }
            }
        }
        [nearest, farthest].map(|one| one.unwrap_or(Latency::NONE))
    }
}

fn same_zone(a: &Node, b: &Node) -> bool {
    (&a.provider, &a.region, &a.zone) == (&b.provider, &b.region, &b.zone)
}

/// Writes of every workload with data, by place of the pod.
pub(super) fn of(design: &Design, data: &Data) -> Vec<WriteLatency> {
    let spec = &design.manifest.spec;
    let Some(storage) = &spec.storage else {
        return Vec::new();
    };
    let ground = Ground::of(design, storage.spread, storage.replicas);
    if ground.copies == 0 {
        return Vec::new();
    }
    let sync = data.assumption("storage.sync").value;
    let mut pods: BTreeMap<Place, &Node> = BTreeMap::new();
    for node in ground.domains.values().flatten() {
        pods.entry(Place::of(node)).or_insert(node);
    }
    let mut writes = Vec::new();
    for workload in spec
        .workloads
        .iter()
        .filter(|workload| workload.data.is_some())
    {
        let liked = workload.prefer.as_ref().map(|prefer| &prefer.provider);
        let there = |place: &Place| liked.is_none_or(|liked| *liked == place.provider);
        let none_there = !pods.keys().any(there);
        for (place, pod) in pods.iter().filter(|(place, _)| none_there || there(place)) {
            let [nearest, farthest] = match storage.engine {
                StorageEngine::Longhorn => ground.longhorn(pod),
                StorageEngine::RookCeph => ground.ceph(pod),
            };
            writes.push(WriteLatency {
                workload: workload.name.clone(),
                place: place.name(),
                copies: ground.copies,
                nearest: nearest.plus(sync),
                farthest: farthest.plus(sync),
            });
        }
    }
    writes
}
