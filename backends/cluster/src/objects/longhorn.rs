//! Longhorn: its release with our settings, and storage classes.
//!
//! Settings: <https://longhorn.io/docs/1.7.2/references/settings/>, parameters of classes:
//! <https://longhorn.io/docs/1.7.2/references/storage-class-parameters/>.

use super::placement::providers;
use quorate_engine::manifest::{Domain, Manifest};
use quorate_engine::seam::{Fault, FaultClass};
use serde_json::{Value, json};

/// A release that is known to work.
pub(super) const RELEASE: &str =
    "https://raw.githubusercontent.com/longhorn/longhorn/v1.7.2/deploy/longhorn.yaml";
const PATH: &str = "/var/lib/longhorn";

/// The release's objects with our settings in them: Longhorn reads both maps when it starts, and
/// makes the default class from the second one.
pub(super) fn settings(
    mut release: Vec<Value>,
    replicas: u32,
    spread: Domain,
) -> Result<Vec<Value>, Fault> {
    // Copies in one zone are refused where zones are what keeps them apart.
    let zones = spread == Domain::Node;
    let settings = json!({
        "default-data-path": PATH,
        "default-replica-count": replicas.to_string(),
        "default-data-locality": "best-effort",
        "replica-soft-anti-affinity": "false",
        "replica-zone-soft-anti-affinity": zones.to_string(),
        "replica-auto-balance": "best-effort",
        "node-down-pod-deletion-policy": "delete-both-statefulset-and-deployment-pod",
    });
    let class = class("longhorn", replicas, None);
    for (name, key, value) in [
        ("longhorn-default-setting", "default-setting.yaml", settings),
        ("longhorn-storageclass", "storageclass.yaml", class),
    ] {
        let mut objects = release.iter_mut();
        let map = objects.find(|o| o["kind"] == "ConfigMap" && o["metadata"]["name"] == name);
        let Some(map) = map else {
            let what = format!("Longhorn's release has no ConfigMap {name}");
            return Err(Fault::new(FaultClass::Invalid, what));
        };
        // JSON is YAML, too.
        map["data"][key] = json!(serde_json::to_string_pretty(&value).expect("plain data"));
    }
    Ok(release)
}

/// A class for each provider: copies near each other, which are quick and are lost with it. What
/// must outlive a provider takes the default class and prefers a provider for its pods.
pub(super) fn classes(manifest: &Manifest, replicas: u32) -> Vec<Value> {
    let class = |(provider, nodes): (&str, u32)| {
        let name = format!("longhorn-{provider}");
        class(&name, replicas.min(nodes.max(1)), Some(provider))
    };
    providers(manifest).into_iter().map(class).collect()
}

fn class(name: &str, replicas: u32, provider: Option<&str>) -> Value {
    let mut class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": "driver.longhorn.io",
        "allowVolumeExpansion": true,
        "reclaimPolicy": "Delete",
        // The pod's place is known first, so that the first copy is beside it.
        "volumeBindingMode": "WaitForFirstConsumer",
        "parameters": {
            "numberOfReplicas": replicas.to_string(),
            "dataLocality": "best-effort",
            "staleReplicaTimeout": "30",
            "fsType": "ext4",
        },
    });
    match provider {
        Some(provider) => {
            class["parameters"]["nodeSelector"] = json!(tag(provider));
            class["parameters"]["replicaZoneSoftAntiAffinity"] = json!("enabled");
        }
        None => {
            let default = "storageclass.kubernetes.io/is-default-class";
            class["metadata"]["annotations"] = json!({default: "true"});
        }
    }
    class
}

/// Longhorn's own tag of nodes at a provider.
fn tag(provider: &str) -> String {
    format!("provider-{provider}")
}

/// What Longhorn makes a new node's tags from.
pub(crate) fn node_tags(provider: &str) -> (String, String) {
    let key = "node.longhorn.io/default-node-tags".to_owned();
    (key, json!([tag(provider)]).to_string())
}
