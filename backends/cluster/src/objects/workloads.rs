//! What workloads come with, as objects for those who deploy them.
//!
//! The workloads themselves are somebody else's: only the fields that follow from the manifest are
//! here, in a form that server-side apply merges into what is there. Where Kubernetes puts the pods
//! then is its scheduler's choice.

use super::placement::{NAME, affinity, disruption_budget};
use super::{longhorn, rook};
use quorate_engine::manifest::{Manifest, StorageEngine, Workload};
use serde_json::{Value, json};

/// Our part of each workload, and its PodDisruptionBudget, in the manifest's order. A workload with
/// data is taken for a StatefulSet, others for Deployments.
#[must_use]
pub fn workloads(manifest: &Manifest) -> Vec<Value> {
    let each = |workload: &Workload| {
        let budget = disruption_budget(manifest, workload);
        std::iter::once(part(manifest, workload)).chain(budget)
    };
    manifest.spec.workloads.iter().flat_map(each).collect()
}

fn part(manifest: &Manifest, workload: &Workload) -> Value {
    let kind = match workload.data {
        Some(_) => "StatefulSet",
        None => "Deployment",
    };
    json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": {"name": workload.name},
        "spec": {"template": {
            "metadata": {"labels": {NAME: workload.name}},
            "spec": affinity(manifest, workload),
        }},
    })
}

/// Our own objects of the replicated storage: its classes, and for Ceph its cluster and pools. The
/// release of its project is not among them.
#[must_use]
pub fn storage(manifest: &Manifest) -> Vec<Value> {
    let Some(storage) = &manifest.spec.storage else {
        return Vec::new();
    };
    match storage.engine {
        StorageEngine::Longhorn => longhorn::classes(manifest, storage.replicas),
        StorageEngine::RookCeph => rook::cluster(manifest, storage.replicas, storage.spread),
    }
}
