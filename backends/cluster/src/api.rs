//! The Kubernetes API: nodes, pods that move away, and what is applied to the cluster.

mod drain;
mod fault;
mod forget;
mod label;
mod nodes;

pub(crate) use fault::fault;

use crate::Access;
use quorate_engine::resource::Spec;
use quorate_engine::seam::{Call, Outcome};
use quorate_hosts::Runner;

impl<R: Runner> Access<R> {
    /// Installs or changes the replicated storage.
    pub(crate) async fn storage(&self, call: &Call, spec: &Spec) -> Outcome {
        let _ = spec;
        Err(crate::not_here(call))
    }
}

#[cfg(test)]
mod tests;
