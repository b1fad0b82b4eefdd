//! What is applied to a cluster: network plugin and replicated storage, as objects.
//!
//! What the objects are, stands in pure functions below this one; here they are read, applied and
//! marked. Whatever of them runs afterwards is Kubernetes' own matter.

mod apply;
mod cni;
mod longhorn;
pub mod placement;
mod read;
mod rook;
mod workloads;

pub use workloads::{storage, workloads};

use crate::Access;
use crate::access::Addresses;
use crate::api::{FINGERPRINT, STORAGE_MARK};
use quorate_engine::manifest::{CniName, StorageEngine};
use quorate_engine::resource::Spec;
use quorate_engine::seam::{Call, Fault, FaultClass, Outcome, Reply};
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
        let Some(kubernetes) = &self.manifest.spec.kubernetes else {
            return Ok(());
        };
        let settings = &kubernetes.cni;
        if settings.name == CniName::Bridge {
            return Ok(());
        }
        let text = match (&settings.manifest, cni::release(settings.name)) {
            (Some(path), _) => read::file(path).await?,
            (None, Some(url)) => read::fetched(url, "spec.kubernetes.cni.manifest").await?,
            (None, None) => {
                let what = "Cilium has no manifest of its own: write one with `helm template` and \
                            name it in spec.kubernetes.cni.manifest";
                return Err(Fault::new(FaultClass::Invalid, what));
            }
        };
        let objects = read::objects(&text)?;
        let objects = match (settings.name, &settings.manifest) {
            // Somebody's own is theirs, but for what only we know.
            (CniName::Flannel, _) => cni::flannel(objects, &self.manifest),
            (CniName::Calico, _) => cni::calico(objects, &self.manifest),
            (CniName::Cilium | CniName::Bridge, _) => Ok(objects),
        };
        self.manifests(addresses, &objects?).await
    }

    /// Installs or changes the replicated storage; its mark comes last.
    ///
    /// # Errors
    /// As [`Self::network`].
    pub(crate) async fn storage(&self, call: &Call, spec: &Spec) -> Outcome {
        let Spec::StoragePool {
            engine,
            replicas,
            spread,
        } = spec
        else {
            unreachable!("storage is described as one")
        };
        let mut objects = Vec::new();
        match engine {
            StorageEngine::Longhorn => {
                let text = read::fetched(longhorn::RELEASE, "nothing else").await?;
                let release = read::objects(&text)?;
                objects.extend(longhorn::settings(release, *replicas, *spread)?);
                objects.extend(longhorn::classes(&self.manifest, *replicas));
            }
            StorageEngine::RookCeph => {
                for url in rook::RELEASE {
                    let text = read::fetched(url, "nothing else").await?;
                    objects.extend(read::objects(&text)?);
                }
                objects.extend(rook::cluster(&self.manifest, *replicas, *spread));
            }
        }
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
