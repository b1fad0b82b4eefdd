//! A node's object goes, and what kubeadm keeps of it.

use crate::access::within;
use crate::{Access, names};
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{Call, Fault, FaultClass, Outcome, Reply};
use quorate_hosts::Runner;
use serde_json::json;
use std::time::Duration;

/// One request.
const ONE: Duration = Duration::from_secs(10);

impl<R: Runner> Access<R> {
    /// Removes a node's object. Absent is success.
    pub(crate) async fn forget(&self, call: &Call, machine: &ResourceId) -> Outcome {
        let client = self.api(&call.addresses).await?;
        self.heard(forget(&client, &names::node(machine)).await)
    }
}

async fn forget(client: &Client, name: &str) -> Outcome {
    // kubeadm's list first: a node that is gone is not looked for again.
    leave_list(client, name).await?;
    let nodes: Api<Node> = Api::all(client.clone());
    match within(ONE, true, nodes.delete(name, &DeleteParams::default())).await {
        Ok(_) => Ok(Reply::Done),
        Err(fault) if fault.class == FaultClass::NotFound => Ok(Reply::Done),
        Err(fault) => Err(fault),
    }
}

/// kubeadm before 1.22 lists its API servers in a `ClusterStatus`, and later joins ask all of them.
async fn leave_list(client: &Client, node: &str) -> Result<(), Fault> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-system");
    let Some(map) = within(ONE, false, maps.get_opt("kubeadm-config")).await? else {
        return Ok(());
    };
    let status = map.data.as_ref().and_then(|data| data.get("ClusterStatus"));
    let Some(left) = status.and_then(|status| without(status, node)) else {
        return Ok(());
    };
    let patch = Patch::Merge(json!({
        "metadata": {"resourceVersion": map.metadata.resource_version},
        "data": {"ClusterStatus": left},
    }));
    let params = PatchParams::default();
    within(ONE, true, maps.patch("kubeadm-config", &params, &patch))
        .await
        .map(drop)
}

/// The text without a node's part: its line under `apiEndpoints`, and the deeper ones after it.
/// None where it is not in it.
fn without(status: &str, node: &str) -> Option<String> {
    let head = format!("  {node}:");
    let mut inside = false;
    let mut found = false;
    let mut left = String::with_capacity(status.len());
    for line in status.lines() {
        let depth = line.len() - line.trim_start().len();
        inside = if inside {
            depth > 2
        } else {
            line.trim_end() == head
        };
        if inside {
            found = true;
        } else {
            left.push_str(line);
            left.push('\n');
        }
    }
    found.then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "apiEndpoints:\n  shop-cp-1:\n    advertiseAddress: 10.88.0.1\n    \
        bindPort: 6443\n  shop-cp-11:\n    advertiseAddress: 10.88.0.11\n    bindPort: 6443\n\
        apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterStatus\n";

    #[test]
    fn a_node_leaves_kubeadm_s_list_and_its_neighbour_stays() {
        let left = without(STATUS, "shop-cp-1").unwrap();
        assert_eq!(
            left,
            "apiEndpoints:\n  shop-cp-11:\n    advertiseAddress: 10.88.0.11\n    bindPort: 6443\n\
             apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterStatus\n"
        );
        assert_eq!(without(&left, "shop-cp-1"), None);
        assert_eq!(without(STATUS, "advertiseAddress"), None);
    }
}
