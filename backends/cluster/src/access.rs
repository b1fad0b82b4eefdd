//! The way to a cluster: a control plane that answers, the API server and etcd behind it, and the
//! credentials of its administrator, which are read there and kept in memory only.

use quorate_engine::manifest::{Manifest, Role};
use quorate_engine::resource::{ResourceId, Spec};
use quorate_engine::seam::{Call, ClusterView, Fault, FaultClass, Outcome};
use quorate_hosts::{Hosts, Job, Output, Runner};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Addresses of machines, as they come with a call.
pub(crate) type Addresses = [(ResourceId, Ipv4Addr)];

/// The way to a cluster.
pub struct Access<R> {
    hosts: Arc<Hosts<R>>,
    manifest: Arc<Manifest>,
}

impl<R: Runner> Access<R> {
    /// Over these machines.
    pub fn new(hosts: Arc<Hosts<R>>, manifest: Arc<Manifest>) -> Self {
        Self { hosts, manifest }
    }

    /// Does a job on a machine.
    pub(crate) async fn run(
        &self,
        machine: &ResourceId,
        addresses: &Addresses,
        job: Job<'_>,
    ) -> Result<Output, Fault> {
        self.hosts.run(machine, addresses, job).await
    }

    /// Machines that are known and may be control planes, by the manifest's pools.
    pub(crate) fn control_planes<'a>(&self, addresses: &'a Addresses) -> Vec<&'a ResourceId> {
        let pools = &self.manifest.spec.node_pools;
        let control = |id: &&ResourceId| {
            let pool = id.as_str().split('/').nth(1);
            let mut pools = pools
                .iter()
                .filter(|p| p.roles.contains(&Role::ControlPlane));
            pools.any(|p| Some(p.name.as_str()) == pool)
        };
        addresses.iter().map(|(id, _)| id).filter(control).collect()
    }
}
