//! The scheduler: filters nodes, scores the rest, binds pending pods in order of creation.
//!
//! The score is an order of criteria rather than Kubernetes' weighted sum: not avoided by a
//! PreferNoSchedule taint, its own spread broken least, the preferred provider, few pods of the
//! workload on the provider (only without a preference), few in the place its spread counts, few on
//! the node, much free. So a preference fills its provider before anything goes elsewhere, as far
//! as its spread allows. Ties go to the first by name, where Kubernetes draws lots.
//! Nothing moves a pod that runs: after an outage pods stay where they went.

use super::node::Node;
use super::pod::{PodId, WorkloadId};
use super::{Ground, Kube, KubeNote};
use quorate_engine::manifest::Resources;
use std::cmp::Reverse;

impl Kube {
    pub(super) fn schedule_pending<G: Ground>(&mut self, g: &mut G) {
        let pending: Vec<PodId> = self.pending.iter().copied().collect();
        for id in pending {
            let workload = self.pods[&id].workload;
            if let Some(host) = self.best_host(workload) {
                self.bind(id, host);
                g.note(KubeNote::Bound { workload, host });
                if self.hears(g, host) {
                    self.begin_start(g, id);
                } else {
                    self.node_mut(host).expect("just bound").attention = true;
                }
                continue;
            }
            let pod = self.pods.get_mut(&id).expect("it is pending");
            if !std::mem::replace(&mut pod.told_unschedulable, true) {
                g.note(KubeNote::Unschedulable { workload });
            }
        }
    }

    /// The best node for one more pod of the workload, if any can take it.
    pub(super) fn best_host(&self, workload: WorkloadId) -> Option<u16> {
        let at = usize::from(workload.0);
        let spec = &self.workloads[at].spec;
        let mut on_provider = vec![0u32; self.providers.len()];
        for node in self.nodes.iter().flatten() {
            on_provider[usize::from(node.provider)] += node.placed[at];
        }
        let spreading = self.spreading(workload);
        let waits = spec.waits_for_spread();
        let score = |host: u16, node: &Node| {
            let fits =
                node.free_cpu >= spec.requests.cpu.0 && node.free_memory >= spec.requests.memory.0;
            if !fits || !node.open() {
                return None;
            }
            let (in_place, excess) = match &spreading {
                Some(spreading) => spreading.at(host, node),
                None => (0, 0),
            };
            let provider = usize::from(node.provider);
            let preferred = spec.prefer.as_ref();
            let wanted = preferred.map(|name| self.providers[provider] == *name);
            let score = Score {
                avoided: node.avoided,
                excess,
                elsewhere: wanted == Some(false),
                on_provider: match wanted {
                    Some(_) => 0,
                    None => on_provider[provider],
                },
                in_place,
                on_node: node.placed[at],
                free: Reverse(Score::free_permille(
                    (node.free_cpu, node.free_memory),
                    node.capacity,
                )),
            };
            (!waits || excess == 0).then_some(score)
        };
        let nodes = self.nodes.iter().enumerate();
        let candidates = nodes.filter_map(|(host, node)| {
            let (host, node) = (host as u16, node.as_ref()?);
            Some((score(host, node)?, node.name.as_str(), host))
        });
        candidates.min().map(|(_, _, host)| host)
    }

    /// Brings a new cluster to rest at once, for the start of a run: nodes Ready with a lease
    /// renewed now, leaders elected, every pod that fits placed and ready, endpoints everywhere.
    /// Later faults then find a cluster that has long been running.
    pub fn settle<G: Ground>(&mut self, g: &mut G) {
        let now = g.now();
        for host in self.hosts() {
            self.settle_node(g, host);
        }
        self.settle_leaders(g);
        self.reconcile(g);
        let pending: Vec<PodId> = self.pending.iter().copied().collect();
        for id in pending {
            let workload = self.pods[&id].workload;
            let Some(host) = self.best_host(workload) else {
                continue;
            };
            self.bind(id, host);
            assert!(
                self.take_volume(id).is_some(),
                "new volumes are attached nowhere"
            );
            self.settle_pod(id, now);
        }
        self.publish();
        for node in self.nodes.iter_mut().flatten() {
            node.view = std::sync::Arc::clone(&self.table);
        }
        self.work.endpoints = false;
        self.wrap_up(g);
    }
}

impl Node {
    /// Takes pods now, if it has room for them.
    pub(super) fn open(&self) -> bool {
        self.ready && !self.removed && !self.cordoned && self.takes_pods && self.untainted()
    }
}

/// How good a node is for one more pod: the least is the best, the first criterion decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score {
    /// It has a PreferNoSchedule taint.
    pub avoided: bool,
    /// By how much the workload's own spread would be broken.
    pub excess: u32,
    /// It is not at the preferred provider.
    pub elsewhere: bool,
    /// Pods of the workload at the provider, without a preference.
    pub on_provider: u32,
    /// Pods of the workload in the place that its own spread counts.
    pub in_place: u32,
    /// Pods of the workload there.
    pub on_node: u32,
    /// What is free there.
    pub free: Reverse<u64>,
}

impl Score {
    /// What is free of the scarcer resource, in thousandths: of CPU (thousandths of a core) and
    /// memory (bytes).
    #[must_use]
    pub fn free_permille(free: (u64, u64), capacity: Resources) -> u64 {
        let share = |free: u64, all: u64| match all {
            0 => 0,
            _ => match free.checked_mul(1_000) {
                Some(free) => free / all,
                None => (u128::from(free) * 1_000 / u128::from(all)) as u64,
            },
        };
        let cpu = share(free.0, capacity.cpu.0);
        cpu.min(share(free.1, capacity.memory.0))
    }
}
