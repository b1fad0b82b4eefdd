//! A world that is as desired, as it would be seen: where a change is looked at before anything
//! exists.

use super::Observed;
use crate::graph::Desired;
use crate::manifest::Role;
use crate::mesh::{MeshKey, PeerFact, Reach, links_print, table_print};
use crate::resource::{Kind, ResourceId};
use crate::seam::{ClusterView, HostView, Key, MachineState, MemberView, NodeView, Seen};
use crate::topology::Node;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

impl Observed {
    /// What would be seen of a cluster that is as desired, and healthy.
    #[must_use]
    pub fn built(desired: &Desired) -> Self {
        built(desired)
    }
}

fn built(desired: &Desired) -> Observed {
    let mut seen = Observed::default();
    let topology = &desired.topology;
    let address =
        |node: &Node| Ipv4Addr::from(0xCB00_0000 + u32::from(node.mesh_address) % 0xFF_FFFF);
    let public: BTreeMap<&ResourceId, Ipv4Addr> = topology
        .nodes
        .iter()
        .map(|node| (&node.id, address(node)))
        .collect();
    for provider in &topology.manifest.spec.providers {
        seen.providers.insert(provider.name.clone(), Ok(Vec::new()));
    }
    let mut cluster = ClusterView::default();
    let kubernetes = topology.manifest.spec.kubernetes.as_ref();
    let version = kubernetes.map_or("", |kubernetes| kubernetes.version.trim_start_matches('v'));
    for node in &topology.nodes {
        seen.hosts.insert(node.id.clone(), Ok(HostView::default()));
        seen.history.prepared.insert(node.id.clone());
        let control_plane = node.is(Role::ControlPlane);
        if control_plane {
            cluster.members.push(MemberView {
                machine: node.id.clone(),
                learner: false,
                started: true,
                healthy: true,
                leader: cluster.members.is_empty(),
            });
        }
        if control_plane || node.is(Role::Worker) {
            cluster.nodes.push(NodeView {
                machine: node.id.clone(),
                ready: true,
                schedulable: true,
                control_plane,
                version: version.to_owned(),
                pods: 10,
                load_permille: 500,
            });
        }
    }
    seen.history.founded = true;
    seen.history.founder = cluster.members.first().map(|member| member.machine.clone());
    seen.cluster = Some(Ok(cluster));
    show_resources(desired, &public, &mut seen);
    seen
}

/// Shows each resource where it would be seen: listed, on its machine, or in the cluster.
fn show_resources(
    desired: &Desired,
    public: &BTreeMap<&ResourceId, Ipv4Addr>,
    seen: &mut Observed,
) {
    for resource in desired.resources() {
        let machine = resource.id.machine();
        let key = MeshKey::simulated(&machine, Key(1));
        let reach = Reach::default();
        if let Some(peer) = PeerFact::new(&machine, &resource.spec, key, reach) {
            seen.history.peers.insert(machine, peer);
        }
    }
    let table = table_print(&seen.history.peers);
    for resource in desired.resources() {
        let kind = resource.spec.kind();
        let referred = resource.spec.refers_to().iter();
        let addresses: Vec<_> = referred.map(|id| (id.clone(), public[id])).collect();
        let machine = resource.id.machine();
        let fingerprint = match kind {
            Kind::Links => links_print(resource.spec.fingerprint(), table, &machine),
            _ => resource.spec.fingerprint_at(&addresses),
        };
        if kind.at_provider() {
            let list = seen
                .providers
                .get_mut(&resource.provider)
                .expect("it was asked");
            list.as_mut().expect("it answered").push(Seen {
                id: resource.id.clone(),
                kind,
                external: String::new(),
                fingerprint,
                state: MachineState::Running,
                address: public.get(&resource.id).copied(),
                private: None,
                host_key: None,
                fields: BTreeMap::new(),
            });
        } else if kind == Kind::StoragePool {
            let cluster = seen.cluster.as_mut().expect("it was asked");
            cluster.as_mut().expect("it answered").storage = Some(fingerprint);
        } else {
            let host = seen
                .hosts
                .get_mut(&resource.id.machine())
                .expect("its host answers");
            host.as_mut()
                .expect("it answers")
                .installed
                .push((kind, fingerprint));
        }
    }
}
