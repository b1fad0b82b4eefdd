//! Where pods and copies of volumes stand: after the scheduler, and after a loss.
//!
//! By the simulated scheduler's own criteria and order, without its time: what it does in minutes
//! is here at once. Nothing that runs is moved, as in Kubernetes. `packing` asks the other question:
//! whether everything would fit if it could be moved. Knows no likelihoods, and not who must act.

mod orders;
mod packing;
mod round;
mod site;
mod trial;
mod volumes;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use packing::holds;
pub use packing::{Packing, Packs, SEARCH_STEPS, packs};
pub(crate) use round::Round;
pub(crate) use site::Site;
pub(crate) use trial::Trial;
pub use volumes::{Copies, Rebuild, Volume, VolumeState};

use crate::design::{Design, Lost};
use quorate_engine::manifest::{Kubernetes, Role};
use quorate_engine::topology::MeshFull;
use quorate_sim::kube::{Score, Settings};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where everything stands.
#[derive(Debug, Clone, Serialize)]
pub struct Placement {
    /// By workload of the manifest, then by number: indices of nodes. None: it is pending, and waits
    /// for room. With data the number is also that of its volume.
    pub pods: Vec<Vec<Option<usize>>>,
    /// Volumes of pods with data, in order of their pods.
    pub volumes: Vec<Volume>,
    /// Lost nodes with pods that Kubernetes evicts only once somebody acts: see [`held_back`]. The
    /// pods are placed here as if somebody had.
    pub held_back: BTreeSet<usize>,
    /// What is gone.
    pub lost: Lost,
    #[serde(skip)]
    pub(crate) site: Arc<Site>,
    /// Pods on no node, by workload and number, in order of creation.
    #[serde(skip)]
    queue: Vec<(usize, usize)>,
    #[serde(skip)]
    pub(crate) room: Room,
    /// Of storage in parts: places that keep copies apart, and how many of them lack a node.
    #[serde(skip)]
    shelves: u32,
    #[serde(skip)]
    broken_shelves: u32,
}

/// What is free on nodes, and how many pods of each workload they have.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    /// Thousandths of a core and bytes, by node.
    pub(crate) free: Vec<(u64, u64)>,
    /// What is free of the scarcer of both, in thousandths: kept, since it is asked for so often.
    pub(crate) free_permille: Vec<u64>,
    /// By workload, then by node.
    pub(crate) placed: Vec<Vec<u32>>,
    /// Whether a node takes pods, if it has room.
    pub(crate) open: Vec<bool>,
}

impl Room {
    pub(crate) fn set_free(&mut self, site: &Site, node: usize, free: (u64, u64)) {
        self.free[node] = free;
        self.free_permille[node] = Score::free_permille(free, site.nodes[node].capacity);
    }
}

/// A workload's pods in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Tally {
    /// Pods that are to be.
    pub asked: u32,
    /// They are on a node and have their data.
    pub running: u32,
    /// They are on a node, and no copy of their data can be written.
    pub without_data: u32,
    /// They are on no node: nothing has room for them.
    pub pending: u32,
}

/// Where the scheduler puts everything on what is left, all at once and from nothing.
///
/// # Panics
/// If the design has another shape than its manifest.
#[must_use]
pub fn settled(design: &Design, lost: &Lost) -> Placement {
    let mut settled = Placement::fresh(Site::of(design), lost);
    settled.provision();
    settled
}

/// The design with growing pools at their largest. Its nodes have other indices.
///
/// # Errors
/// If the mesh has fewer addresses than there are nodes.
pub fn at_maximum(design: &Design) -> Result<Design, MeshFull> {
    let pools = design.manifest.spec.node_pools.iter();
    let largest = pools.filter_map(|pool| Some((pool.name.clone(), pool.autoscale?.max)));
    Design::sized(&design.manifest, largest.collect())
}

/// Lost nodes whose pods Kubernetes evicts only once somebody acts: a zone of which the larger part
/// is gone, but not all, evicts nothing while it is small; and nothing is evicted where no node is
/// left at all. Zones are told apart by their labels, whatever their provider.
#[must_use]
pub fn held_back(design: &Design, lost: &Lost) -> BTreeSet<usize> {
    let settings = Settings::of_minor(minor(design));
    let mut zones = BTreeMap::<(&str, &str), (Vec<usize>, usize)>::new();
    for (at, node) in design.nodes().iter().enumerate() {
        if node.is(Role::ControlPlane) || node.is(Role::Worker) {
            let zone = zones.entry((&node.region, &node.zone)).or_default();
            if lost.leaves(at) {
                zone.1 += 1;
            } else {
                zone.0.push(at);
            }
        }
    }
    let nothing_left = zones.values().all(|(_, left)| *left == 0);
    let slow = |(gone, left): &&(Vec<usize>, usize)| {
        let all = gone.len() + left;
        let partly = *left > 0
            && gone.len() >= settings.unhealthy_min
            && gone.len() * 100 >= settings.unhealthy_percent * all;
        nothing_left || (partly && all <= settings.large_zone)
    };
    let held = zones.values().filter(slow);
    held.flat_map(|(gone, _)| gone).copied().collect()
}

/// The 35 of Kubernetes 1.35.2; 0 without Kubernetes.
pub(crate) fn minor(design: &Design) -> u32 {
    let kubernetes = design.manifest.spec.kubernetes.as_ref();
    kubernetes.and_then(Kubernetes::minor).unwrap_or(0)
}

impl Placement {
    /// See [`settled`].
    ///
    /// # Panics
    /// If the design has another shape than its manifest.
    #[must_use]
    pub fn settled(design: &Design, lost: &Lost) -> Self {
        settled(design, lost)
    }

    /// Everything placed on what is left, from nothing; no volume is made yet.
    pub(crate) fn fresh(site: Arc<Site>, lost: &Lost) -> Self {
        let mut made = Self::empty(site, lost);
        made.schedule();
        made
    }

    /// Nothing placed.
    pub(crate) fn empty(site: Arc<Site>, lost: &Lost) -> Self {
        let open = site.nodes.iter().enumerate();
        let open = open.map(|(at, node)| node.takes_pods && lost.leaves(at));
        let nodes = site.nodes.iter();
        let permille = nodes.map(|node| Score::free_permille(node.free(), node.capacity));
        let room = Room {
            free: site.nodes.iter().map(|node| node.free()).collect(),
            free_permille: permille.collect(),
            placed: vec![vec![0; site.nodes.len()]; site.asks.len()],
            open: open.collect(),
        };
        let asks = site.asks.iter().enumerate();
        let queue = asks.flat_map(|(at, ask)| (0..ask.replicas as usize).map(move |n| (at, n)));
        let asks = site.asks.iter();
        Self {
            queue: queue.collect(),
            pods: asks.map(|ask| vec![None; ask.replicas as usize]).collect(),
            volumes: Vec::new(),
            held_back: BTreeSet::new(),
            lost: lost.clone(),
            site,
            room,
            shelves: 0,
            broken_shelves: 0,
        }
    }

    /// After a loss: pods of lost nodes are placed again on what is left, node by node in their
    /// order, and pending ones before them. Nothing that runs is moved. The API has to be writable
    /// for it; who looks at control planes knows whether it is.
    ///
    /// # Panics
    /// If the design is not the one of this placement.
    #[must_use]
    pub fn after(&self, design: &Design, lost: &Lost) -> Self {
        assert_eq!(design.nodes().len(), self.site.nodes.len(), "one design");
        self.without(lost).at_rest(self, design)
    }

    /// The scheduler's part of [`Self::after`].
    pub(crate) fn without(&self, lost: &Lost) -> Self {
        let order: Vec<usize> = lost.nodes.iter().copied().collect();
        self.found_dead(lost, &order)
    }

    /// What comes after the scheduler.
    fn at_rest(mut self, before: &Self, design: &Design) -> Self {
        self.provision();
        self.held_back = held_back(design, &self.lost);
        let used: BTreeSet<usize> = before.pods.iter().flatten().flatten().copied().collect();
        self.held_back.retain(|node| used.contains(node));
        self
    }

    /// The same, with nodes in the order in which they are found dead.
    fn found_dead(&self, lost: &Lost, order: &[usize]) -> Self {
        let mut next = self.clone();
        next.lost.nodes.extend(&lost.nodes);
        next.lost.dns.extend(lost.dns.iter().cloned());
        let mut gone = BTreeMap::<usize, Vec<(usize, usize)>>::new();
        for node in &lost.nodes {
            next.room.open[*node] = false;
            gone.insert(*node, Vec::new());
        }
        for (workload, pods) in self.pods.iter().enumerate() {
            for (number, node) in pods.iter().enumerate() {
                if let Some(on_node) = node.and_then(|node| gone.get_mut(&node)) {
                    on_node.push((workload, number));
                }
            }
        }
        // Places that are lost do not count any more, so who waited for their sake goes first.
        next.schedule();
        for node in order {
            let pods = gone.remove(node).unwrap_or_default();
            for (workload, number) in &pods {
                next.pods[*workload][*number] = None;
                next.room.placed[*workload][*node] -= 1;
            }
            next.queue.extend(pods);
            next.schedule();
        }
        next
    }

    /// One pass of the scheduler over what is pending.
    fn schedule(&mut self) {
        let queue = std::mem::take(&mut self.queue);
        let mut hopeless = vec![false; self.site.asks.len()];
        for run in queue.chunk_by(|a, b| a.0 == b.0) {
            let workload = run[0].0;
            if hopeless[workload] {
                self.queue.extend(run);
                continue;
            }
            let mut round = Round::of(&self.site, &self.room, workload, run.len());
            for pod in run {
                let node = round.place(&mut self.room);
                self.pods[workload][pod.1] = node;
                if node.is_none() {
                    hopeless[workload] = true;
                    self.queue.push(*pod);
                }
            }
        }
    }

    /// Pods of a workload, in numbers.
    #[must_use]
    pub fn tally(&self, workload: usize) -> Tally {
        let mut tally = Tally::default();
        for number in 0..self.pods[workload].len() {
            tally.asked += 1;
            let placed = self.pods[workload][number].is_some();
            match (placed, self.runs(workload, number)) {
                (false, _) => tally.pending += 1,
                (true, true) => tally.running += 1,
                (true, false) => tally.without_data += 1,
            }
        }
        tally
    }

    /// Whether a pod is on a node and can write its data.
    #[must_use]
    pub fn runs(&self, workload: usize, number: usize) -> bool {
        let volume = || self.volume(workload, number);
        self.pods[workload][number].is_some() && volume().is_none_or(|v| self.state(v).writable)
    }

    /// How many pods are on no node.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.queue.len()
    }

    /// Where each pod of a workload is: node and how many, in order of nodes.
    #[must_use]
    pub fn nodes_of(&self, workload: usize) -> BTreeMap<usize, u32> {
        let placed = self.room.placed[workload].iter().copied().enumerate();
        placed.filter(|(_, pods)| *pods > 0).collect()
    }
}
