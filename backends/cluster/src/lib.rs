//! A real Kubernetes cluster, as the engine's cluster lane asks for it: kubeadm on the machines,
//! etcd's membership, nodes and what runs on them.
//!
//! One request, one answer. Machines are reached over ssh, and so are the API servers and etcd: a
//! tunnel to some control plane is all that is needed, wherever the orchestrator runs. When to call,
//! in which order, and what to do about a fault, is the engine's.

mod access;
mod api;
mod etcd;
#[cfg(test)]
mod fake;
mod kubeadm;
mod names;
pub mod objects;

pub use access::Access;
pub use etcd::{
    KEPT, Recovery, Remains, Restore, RestoreStep, Snapshot, Snapshots, Source, Stored, Survivor,
    restore_plan, verified,
};

use quorate_engine::manifest::Manifest;
use quorate_engine::resource::{Kind, ResourceId, Spec};
use quorate_engine::seam::{Call, Fault, FaultClass, Outcome, Reply, Verb};
use quorate_hosts::{Hosts, Runner, Ssh};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// What the cluster is to be.
pub struct Settings {
    /// What the user wrote.
    pub manifest: Arc<Manifest>,
    /// Where snapshots of etcd go before each change of membership; none: nowhere.
    pub snapshots: Option<Snapshots>,
}

/// The cluster's lane in the real world.
pub struct Cluster<R = Ssh> {
    manifest: Arc<Manifest>,
    access: Access<R>,
}

impl<R: Runner> Cluster<R> {
    /// Over machines that are reached like this.
    #[must_use]
    pub fn new(hosts: Arc<Hosts<R>>, settings: Settings) -> Self {
        let access = Access::new(hosts, Arc::clone(&settings.manifest));
        Self {
            access: match settings.snapshots {
                Some(snapshots) => access.with_snapshots(snapshots),
                None => access,
            },
            manifest: settings.manifest,
        }
    }

    /// Takes a snapshot of etcd.
    ///
    /// # Errors
    /// `Retryable`: nobody answers, or the snapshot is damaged. `Invalid`: it cannot be written.
    pub async fn snapshot(
        &self,
        addresses: &[(ResourceId, Ipv4Addr)],
        to: &Snapshots,
    ) -> Result<Snapshot, Fault> {
        self.access.snapshot(addresses, to).await
    }

    /// What is left of each control plane.
    pub async fn survey(
        &self,
        addresses: &[(ResourceId, Ipv4Addr)],
        planes: &[ResourceId],
    ) -> Vec<Remains> {
        self.access.survey(addresses, planes).await
    }

    /// Whether some API server answers.
    pub async fn serves(&self, addresses: &[(ResourceId, Ipv4Addr)]) -> bool {
        self.access.api(addresses).await.is_ok()
    }

    /// Does one step of the restoration `id`; `mesh` is the mesh address of its machine.
    ///
    /// # Errors
    /// `Busy`: etcd has not ended yet. `Invalid`: the snapshot is damaged. Others as with machines.
    pub async fn restore(
        &self,
        addresses: &[(ResourceId, Ipv4Addr)],
        step: &RestoreStep,
        id: &str,
        mesh: Ipv4Addr,
    ) -> Result<(), Fault> {
        self.access.restore(addresses, step, id, mesh).await
    }

    /// Whether a call of the hosts' lane is for us: who joins needs the cluster's consent.
    #[must_use]
    pub fn takes(call: &Call) -> bool {
        call.kind == Kind::Worker && matches!(call.verb, Verb::Create | Verb::Update)
    }

    /// Answers a call of the cluster's lane, and those of [`Self::takes`]. It may be dropped at any
    /// instant; what runs on a machine then ends by itself.
    ///
    /// # Errors
    /// `Retryable`: nobody answers. `Busy`: a budget or a machine is not ready. `Refused`: etcd's
    /// own rules. `Unknown`: the connection broke during a change. Others as with machines.
    pub async fn call(&self, call: &Call) -> Outcome {
        let machine = call.target.machine();
        match call.verb {
            Verb::Cluster => Ok(Reply::Cluster(self.access.view(call).await?)),
            Verb::Init => self.found(call).await,
            Verb::AddLearner => self.join(call).await,
            Verb::Create | Verb::Update => self.install(call).await,
            Verb::Promote => self.access.promote(call, &machine).await,
            Verb::MoveLeader => self.access.move_leader(call, &machine).await,
            Verb::RemoveMember => self.access.remove_member(call, &machine).await,
            Verb::Drain => self.access.drain(call, &machine).await,
            Verb::Delete => self.access.forget(call, &machine).await,
            Verb::List | Verb::Describe | Verb::Probe => Err(not_here(call)),
        }
    }

    async fn install(&self, call: &Call) -> Outcome {
        let Some(resource) = &call.resource else {
            let what = format!("{} {}: without its spec", call.verb, call.target);
            return Err(Fault::new(FaultClass::Invalid, what));
        };
        match &resource.spec {
            Spec::ControlPlane { .. } => self.control_plane(call, &resource.spec).await,
            Spec::Worker { .. } => self.worker(call, &resource.spec).await,
            Spec::EtcdMember { .. } => self.member_settings(call, &resource.spec).await,
            Spec::StoragePool { .. } => self.access.storage(call, &resource.spec).await,
            Spec::Network { .. }
            | Spec::Firewall { .. }
            | Spec::Machine { .. }
            | Spec::Host { .. }
            | Spec::Peer { .. }
            | Spec::Links { .. }
            | Spec::Balancer { .. }
            | Spec::ApiProxy { .. }
            | Spec::RecordSet { .. } => Err(not_here(call)),
        }
    }
}

fn not_here(call: &Call) -> Fault {
    let what = format!("{} {}: not by the cluster", call.verb, call.target);
    Fault::new(FaultClass::Invalid, what)
}
