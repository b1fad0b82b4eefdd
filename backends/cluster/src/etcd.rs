//! etcd's membership, over the gRPC gateway of some member's own address.

use crate::Access;
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{Call, ClusterView, Fault, Outcome};
use quorate_hosts::Runner;

impl<R: Runner> Access<R> {
    /// What the cluster says of itself, asked at one control plane: etcd's members with their
    /// health, nodes, and pods that fit nowhere.
    pub(crate) async fn view(&self, call: &Call) -> Result<ClusterView, Fault> {
        Err(crate::not_here(call))
    }

    /// Makes a learner a voter.
    pub(crate) async fn promote(&self, call: &Call, machine: &ResourceId) -> Outcome {
        let _ = machine;
        Err(crate::not_here(call))
    }

    /// Hands leadership to another voter, if this machine's member has it.
    pub(crate) async fn move_leader(&self, call: &Call, machine: &ResourceId) -> Outcome {
        let _ = machine;
        Err(crate::not_here(call))
    }

    /// Removes a machine's member. Absent is success.
    pub(crate) async fn remove_member(&self, call: &Call, machine: &ResourceId) -> Outcome {
        let _ = machine;
        Err(crate::not_here(call))
    }
}
