//! The scheduler: filters nodes, scores the rest, binds pending pods in order of creation.
//!
//! The score is an order of criteria rather than Kubernetes' weighted sum: not avoided by a
//! PreferNoSchedule taint, the preferred provider, few pods of the workload on the provider
//! (only without a preference), few on the node, much free. So a preference fills its provider
//! before anything goes elsewhere. Ties go to the lower host, where Kubernetes draws lots.
//! Nothing moves a pod that runs: after an outage pods stay where they went.

use super::node::Node;
use super::pod::{PodId, WorkloadId};
use super::{Ground, Kube, KubeNote};
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
        let fits = |node: &Node| {
            let open = node.ready && !node.removed && !node.cordoned && node.takes_pods;
            open && node.untainted()
                && node.free_cpu >= spec.requests.cpu.0
                && node.free_memory >= spec.requests.memory.0
        };
        let score = |node: &Node| {
            let provider = usize::from(node.provider);
            let wanted = spec
                .prefer
                .as_ref()
                .map(|name| self.providers[provider] == *name);
            let spread = match wanted {
                Some(_) => 0,
                None => on_provider[provider],
            };
            let elsewhere = wanted == Some(false);
            let free = Reverse(node.free_permille());
            (node.avoided, elsewhere, spread, node.placed[at], free)
        };
        let nodes = self.nodes.iter().enumerate();
        let candidates = nodes.filter_map(|(host, node)| {
            let node = node.as_ref().filter(|node| fits(node))?;
            Some((score(node), host as u16))
        });
        candidates.min().map(|(_, host)| host)
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
    /// What is free of the scarcer resource, in thousandths.
    fn free_permille(&self) -> u64 {
        let share = |free: u64, all: u64| match all {
            0 => 0,
            _ => (u128::from(free) * 1_000 / u128::from(all)) as u64,
        };
        let cpu = share(self.free_cpu, self.capacity.cpu.0);
        cpu.min(share(self.free_memory, self.capacity.memory.0))
    }
}
