//! What is applied to a cluster: network plugin and replicated storage, as objects.
//!
//! What the objects are, stands in pure functions below this one; here they are read, applied and
//! marked. Whatever of them runs afterwards is Kubernetes' own matter.

mod apply;
mod cni;
mod longhorn;
pub mod placement;
mod read;
mod releases;
mod rook;
mod workloads;

pub use releases::preflight;
pub use workloads::{storage, workloads};

use crate::Access;
use crate::access::Addresses;
use crate::api::{FINGERPRINT, STORAGE_MARK};
use quorate_engine::resource::Spec;
use quorate_engine::seam::{Call, Fault, Outcome, Reply};
use quorate_hosts::Runner;
use serde_json::{Value, json};

impl<R: Runner> Access<R> {
    /// Installs the network plugin, or brings it to the manifest's settings. Nodes become ready
    /// once its pods run there.
    ///
    /// # Errors
    /// `Invalid`: its manifest is not what it should be, or there is none. `Retryable`: it cannot
    /// be fetched. Others as the API's.
    pub(crate) async fn network(&self, addresses: &Addresses) -> Result<(), Fault> {
        let objects = releases::network(&self.manifest).await?;
        if objects.is_empty() {
            return Ok(());
        }
        self.manifests(addresses, &objects).await
    }

    /// Installs or changes the replicated storage; its mark comes last.
    ///
    /// # Errors
    /// As [`Self::network`].
    pub(crate) async fn storage(&self, call: &Call, spec: &Spec) -> Outcome {
        let mut objects = releases::storage(&self.manifest, spec).await?;
        objects.push(mark(spec.fingerprint()));
        self.heard(self.manifests(&call.addresses, &objects).await)?;
        Ok(Reply::Done)
    }
}

/// What says which storage is installed.
fn mark(fingerprint: u64) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": STORAGE_MARK, "namespace": "kube-system",
            "annotations": {FINGERPRINT: format!("{fingerprint:016x}")},
        },
    })
}

#[cfg(test)]
mod tests;
