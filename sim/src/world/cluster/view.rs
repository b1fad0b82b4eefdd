//! What the cluster says of itself, asked at one control plane.

use super::World;
use crate::etcd::MemberId;
use quorate_engine::resource::{Resource, ResourceId, Spec};
use quorate_engine::seam::{ClusterView, MemberView, NodeView};
use std::collections::BTreeMap;
use std::sync::Arc;

impl World {
    /// What the cluster says of itself, asked at one control plane.
    pub(super) fn cluster_view(&mut self, via: u16) -> ClusterView {
        ClusterView {
            members: self.member_views(via),
            nodes: self.node_views(),
            pending_pods: self.pending_pods(),
            storage: self.storage,
        }
    }

    fn member_views(&self, via: u16) -> Vec<MemberView> {
        let (Some(etcd), Some(at)) = (&self.etcd, self.stage.host(via).and_then(|h| h.member))
        else {
            return Vec::new();
        };
        let now = self.stage.now();
        let view = etcd.view(at, at, now);
        let leader = etcd.status(at).leader;
        let machines = self.machines_by_member();
        let member = |m: MemberId| {
            let learner = view.config.learners.contains(m);
            // A learner counts once it answers a health check: it is linked, and knows its leader.
            let near = match learner {
                true => etcd.linked(at, m, now) && etcd.status(m).healthy,
                false => view.connected.contains(m),
            };
            MemberView {
                machine: machines[m.at()].clone(),
                learner,
                started: etcd.started().contains(m),
                healthy: near,
                leader: leader == Some(m),
            }
        };
        view.config.all().map(member).collect()
    }

    /// The version that was last put on a machine; empty where it is no node any more.
    pub(super) fn version_on(&self, machine: &ResourceId) -> String {
        let version = |resource: &Arc<Resource>| match &resource.spec {
            Spec::ControlPlane { version, .. } | Spec::Worker { version, .. } => {
                Some(version.clone())
            }
            _ => None,
        };
        let mut installed = self.cloud.installed(machine);
        installed.find_map(version).unwrap_or_default()
    }

    fn node_views(&self) -> Vec<NodeView> {
        let mut nodes: BTreeMap<ResourceId, NodeView> = BTreeMap::new();
        for status in self.kube.views() {
            let Some(host) = self.stage.host(status.host) else {
                continue;
            };
            let current = self.stage.find(&host.machine) == Some(status.host);
            let view = NodeView {
                machine: host.machine.clone(),
                ready: status.ready,
                schedulable: status.schedulable,
                control_plane: status.control_plane,
                version: self.version_on(&host.machine),
                pods: status.pods,
                load_permille: status.load_permille,
            };
            if current || !nodes.contains_key(&host.machine) {
                nodes.insert(host.machine.clone(), view);
            }
        }
        nodes.into_values().collect()
    }
}
