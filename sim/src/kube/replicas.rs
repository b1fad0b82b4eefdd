//! The replica-set controller, and garbage collection of pods whose node is gone.
//!
//! Knows nothing of where new pods go.

use super::election::Component;
use super::pod::{Phase, PodId, WorkloadId};
use super::{Ground, Kube, KubeEvent};
use std::cmp::Reverse;
use std::collections::BTreeMap;

impl Kube {
    /// Makes and deletes pods until each workload has what it asks for. Terminating pods do not
    /// count, so a pod that is evicted from a dead node is replaced at once.
    pub(super) fn reconcile<G: Ground>(&mut self, g: &mut G) {
        for at in 0..self.workloads.len() {
            let workload = WorkloadId(at as u16);
            let lives = |id: &&PodId| !self.pods[*id].terminating;
            let state = &self.workloads[at];
            let live: Vec<PodId> = state.pods.iter().filter(lives).copied().collect();
            let desired = state.spec.replicas as usize;
            for _ in live.len()..desired {
                self.create_pod(g.now(), workload);
                self.work.schedule = true;
            }
            if live.len() > desired {
                let surplus = live.len() - desired;
                for id in self.first_to_go(live).into_iter().take(surplus) {
                    self.delete_pod(g, id);
                }
            }
        }
        self.work.replicas = false;
    }

    /// Order of deletion (`ActivePodsWithRanks`): on no node, not running, not ready, many on one
    /// node, ready for a short time, young.
    fn first_to_go(&self, mut pods: Vec<PodId>) -> Vec<PodId> {
        let mut on_node: BTreeMap<Option<u16>, u32> = BTreeMap::new();
        for id in &pods {
            *on_node.entry(self.pods[id].host).or_default() += 1;
        }
        pods.sort_by_key(|id| {
            let pod = &self.pods[id];
            let crowd = on_node[&pod.host];
            let running = pod.phase == Phase::Running;
            let since = Reverse(pod.ready_since);
            let bound = pod.host.is_some();
            (
                bound,
                running,
                pod.ready,
                Reverse(crowd),
                since,
                Reverse(*id),
            )
        });
        pods
    }

    /// Deletes by force what is bound to a missing node, or to a dead one that is out of service.
    pub(super) fn on_collect<G: Ground>(&mut self, g: &mut G, host: u16, epoch: u32) {
        let Some(node) = self.node(host).filter(|node| node.epoch == epoch) else {
            return;
        };
        if !node.removed && !node.out_of_service {
            return;
        }
        let due = node.removed || !node.ready;
        if !due || !self.works(g, Component::ControllerManager) {
            g.after(self.settings.gc, KubeEvent::Collect { host, epoch });
            return;
        }
        let node = self.node(host).expect("looked up above");
        let removed = node.removed;
        let pods: Vec<PodId> = node.pods.iter().copied().collect();
        for id in pods {
            let volume = self.pods[&id].volume();
            if removed {
                self.ask_detach(g, id);
            }
            self.forget(id);
            if let Some((workload, slot)) = volume.filter(|_| !removed) {
                self.detach(g, workload, slot, host);
            }
        }
        self.work.endpoints = true;
        if removed {
            self.nodes[usize::from(host)] = None;
        }
    }
}
