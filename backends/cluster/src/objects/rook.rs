//! Ceph by Rook: the operator's release, and a cluster whose copies are kept apart.
//!
//! Objects: <https://rook.io/docs/rook/v1.15/CRDs/Cluster/ceph-cluster-crd/>.

use super::placement::{providers, spread_label};
use quorate_engine::manifest::{Domain, Manifest, StorageEngine};
use serde_json::{Value, json};

/// A release that is known to work.
pub(super) const RELEASE: [&str; 3] = [
    "https://raw.githubusercontent.com/rook/rook/v1.15.6/deploy/examples/crds.yaml",
    "https://raw.githubusercontent.com/rook/rook/v1.15.6/deploy/examples/common.yaml",
    "https://raw.githubusercontent.com/rook/rook/v1.15.6/deploy/examples/operator.yaml",
];
const CEPH: &str = "quay.io/ceph/ceph:v18.2.4";
const NAMESPACE: &str = "rook-ceph";
const POOL: &str = "replicated";

/// What CRUSH calls a failure domain (<https://docs.ceph.com/en/reef/rados/operations/crush-map/>).
fn bucket(spread: Domain) -> &'static str {
    match spread {
        Domain::Node => "host",
        Domain::Zone => "zone",
        Domain::Region | Domain::Provider => "region",
    }
}

/// The cluster, its pools, and storage classes: one over everything, and one for each provider
/// where providers are what CRUSH sees.
pub(super) fn cluster(manifest: &Manifest, replicas: u32, spread: Domain) -> Vec<Value> {
    let label = spread_label(StorageEngine::RookCeph, spread);
    let ceph = json!({
        "apiVersion": "ceph.rook.io/v1", "kind": "CephCluster",
        "metadata": {"name": NAMESPACE, "namespace": NAMESPACE},
        "spec": {
            "cephVersion": {"image": CEPH},
            "dataDirHostPath": "/var/lib/rook",
            "mon": {"count": 3, "allowMultiplePerNode": false},
            "mgr": {"count": 2},
            "dashboard": {"enabled": false},
            "storage": {"useAllNodes": true, "useAllDevices": true},
            "placement": {"mon": {"topologySpreadConstraints": [{
                "maxSkew": 1, "topologyKey": label, "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app": "rook-ceph-mon"}},
            }]}},
        },
    });
    let mut objects = vec![ceph, pool(POOL, bucket(spread), replicas, None)];
    objects.push(class("rook-ceph-block", POOL, true));
    if spread == Domain::Provider {
        for (provider, nodes) in providers(manifest) {
            let name = format!("{POOL}-{provider}");
            objects.push(pool(
                &name,
                "host",
                replicas.min(nodes.max(1)),
                Some(provider),
            ));
            objects.push(class(&format!("rook-ceph-block-{provider}"), &name, false));
        }
    }
    objects
}

fn pool(name: &str, domain: &str, size: u32, root: Option<&str>) -> Value {
    let mut pool = json!({
        "apiVersion": "ceph.rook.io/v1", "kind": "CephBlockPool",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "failureDomain": domain,
            "replicated": {"size": size, "requireSafeReplicaSize": size > 1},
        },
    });
    if let Some(root) = root {
        pool["spec"]["crushRoot"] = json!(root);
    }
    pool
}

fn class(name: &str, pool: &str, default: bool) -> Value {
    let mut parameters = json!({
        "clusterID": NAMESPACE, "pool": pool, "imageFormat": "2", "imageFeatures": "layering",
        "csi.storage.k8s.io/fstype": "ext4",
    });
    for (what, secret) in [
        ("provisioner", "provisioner"),
        ("controller-expand", "provisioner"),
        ("node-stage", "node"),
    ] {
        let key = format!("csi.storage.k8s.io/{what}-secret");
        parameters[format!("{key}-name")] = json!(format!("rook-csi-rbd-{secret}"));
        parameters[format!("{key}-namespace")] = json!(NAMESPACE);
    }
    let mut class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": format!("{NAMESPACE}.rbd.csi.ceph.com"),
        "allowVolumeExpansion": true,
        "reclaimPolicy": "Delete",
        "parameters": parameters,
    });
    if default {
        let mark = "storageclass.kubernetes.io/is-default-class";
        class["metadata"]["annotations"] = json!({mark: "true"});
    }
    class
}
