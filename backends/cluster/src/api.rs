//! The Kubernetes API: nodes, pods that move away, and what is applied to the cluster.

use crate::Access;
use quorate_engine::resource::{ResourceId, Spec};
use quorate_engine::seam::{Call, Outcome};
use quorate_hosts::Runner;

impl<R: Runner> Access<R> {
    /// Cordons a node and moves its pods away, as far as budgets allow: `Busy` until all are gone.
    pub(crate) async fn drain(&self, call: &Call, machine: &ResourceId) -> Outcome {
        let _ = machine;
        Err(crate::not_here(call))
    }

    /// Removes a node's object. Absent is success.
    pub(crate) async fn forget(&self, call: &Call, machine: &ResourceId) -> Outcome {
        let _ = machine;
        Err(crate::not_here(call))
    }

    /// Installs or changes the replicated storage.
    pub(crate) async fn storage(&self, call: &Call, spec: &Spec) -> Outcome {
        let _ = spec;
        Err(crate::not_here(call))
    }
}
