//! Endpoints: which hosts have a ready pod, as the API has it and as each kube-proxy knows it.
//!
//! A NodePort leads from any node to any endpoint, so a request needs three answers: the list at
//! the node it enters by ([`Kube::endpoints`]), a way from there to the chosen host (not known
//! here), and whether anything runs there ([`Kube::serves`]). A node that cannot see the API keeps
//! its list.

use super::election::Component;
use super::pod::WorkloadId;
use super::{Ground, Kube};
use std::sync::Arc;

/// Hosts of ready pods by workload: one entry for each pod, in order of host.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Table(Vec<Vec<u16>>);

impl Kube {
    /// Where the kube-proxy of `via` sends requests for the workload: each entry is one pod, and
    /// each is chosen with equal chance. May be stale, and may name hosts that are dead.
    #[must_use]
    pub fn endpoints(&self, via: u16, workload: WorkloadId) -> &[u16] {
        let list = self
            .node(via)
            .and_then(|node| node.view.0.get(usize::from(workload.0)));
        list.map_or(&[], Vec::as_slice)
    }

    /// Hosts with a ready pod, as the API has it now: one entry for each pod, in order of host.
    #[must_use]
    pub fn ready_hosts(&self, workload: WorkloadId) -> Vec<u16> {
        let state = &self.workloads[usize::from(workload.0)];
        let ready = |pod: &super::pod::Pod| pod.host.filter(|_| pod.ready && !pod.terminating);
        let mut hosts: Vec<u16> = state
            .pods
            .iter()
            .filter_map(|id| ready(&self.pods[id]))
            .collect();
        hosts.sort_unstable();
        hosts
    }

    /// The endpoint controller has written; kube-proxies that see the API have read.
    pub(super) fn on_publish<G: Ground>(&mut self, g: &mut G) {
        self.work.publish_queued = false;
        if !self.works(g, Component::ControllerManager) {
            return;
        }
        self.work.endpoints = false;
        self.publish();
        for host in self.hosts() {
            if self.hears(g, host) {
                let table = Arc::clone(&self.table);
                self.node_mut(host).expect("listed").view = table;
            }
        }
    }

    /// Makes the current list of endpoints, for nodes to take.
    pub(super) fn publish(&mut self) {
        let all = (0..self.workloads.len()).map(|at| self.ready_hosts(WorkloadId(at as u16)));
        self.table = Arc::new(Table(all.collect()));
    }
}
