//! Pods move away from a node: one round at a time, by evictions, which respect budgets.

use super::nodes::{moves, ready, unschedulable};
use crate::access::together::{Branch, all};
use crate::access::within;
use crate::{Access, names};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::{Api, Client};
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{Call, Fault, FaultClass, Outcome, Reply};
use quorate_hosts::Runner;
use serde_json::json;
use std::time::Duration;

/// Marks a node that was cordoned to be drained.
pub(super) const DRAINED: &str = "quorate.dev/drained";
/// One request.
const ONE: Duration = Duration::from_secs(10);
/// So many evictions at once: the API server takes them one by one anyway.
const AT_ONCE: usize = 20;
/// So many names stand in a fault.
const NAMED: usize = 3;

impl<R: Runner> Access<R> {
    /// Cordons a node and moves its pods away, as far as budgets allow: `Busy` until all are gone.
    /// Pods of daemon sets and those that a kubelet has from files stay; what lies in an `emptyDir`
    /// is lost, as it is when the node goes.
    pub(crate) async fn drain(&self, call: &Call, machine: &ResourceId) -> Outcome {
        let client = self.api(&call.addresses).await?;
        self.heard(drain(&client, &names::node(machine)).await)
    }
}

/// Marks a node as cordoned by us, so that nobody else's cordon is lifted later.
async fn cordon(nodes: &Api<Node>, name: &str) -> Result<(), Fault> {
    let patch = Patch::Merge(json!({
        "metadata": {"annotations": {DRAINED: "true"}},
        "spec": {"unschedulable": true},
    }));
    let params = PatchParams::default();
    let done = within(ONE, true, nodes.patch(name, &params, &patch));
    done.await.map(drop)
}

async fn drain(client: &Client, name: &str) -> Outcome {
    let nodes: Api<Node> = Api::all(client.clone());
    let Some(node) = within(ONE, false, nodes.get_opt(name)).await? else {
        return Ok(Reply::Done);
    };
    if !unschedulable(&node) {
        cordon(&nodes, name).await?;
    }
    let pods: Api<Pod> = Api::all(client.clone());
    let here = ListParams::default().fields(&format!("spec.nodeName={name}"));
    let here = within(ONE, false, pods.list(&here)).await?.items;
    // Nobody will confirm that a pod has ended on a node which is not heard of.
    let silent = ready(&node).is_none();
    let left = |pod: &&Pod| moves(pod) && !(silent && is_going(pod));
    let left: Vec<_> = here.iter().filter(left).collect();
    if left.is_empty() {
        return Ok(Reply::Done);
    }
    let version = eviction(client).await?;
    let staying = left.iter().filter(|pod| !is_going(pod)).take(AT_ONCE);
    let asked = staying
        .map(|pod| Box::pin(evict(client, pod, &version, silent)) as Branch<'_, Result<(), Fault>>);
    let answers = all(asked.collect()).await;
    let mut faults: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    // What keeps all evictions back goes before a budget that keeps one.
    if let Some(at) = faults
        .iter()
        .position(|fault| fault.class != FaultClass::Busy)
    {
        return Err(faults.swap_remove(at));
    }
    let more = faults.len().saturating_sub(NAMED);
    let budgets: Vec<_> = faults
        .into_iter()
        .take(NAMED)
        .map(|fault| fault.detail)
        .collect();
    let what = match (budgets.is_empty(), more) {
        (true, _) => format!("{} pods are still on {name}", left.len()),
        (false, 0) => budgets.join("; "),
        (false, more) => format!("{}; and {more} more", budgets.join("; ")),
    };
    Err(Fault::new(FaultClass::Busy, what))
}

/// It was asked to end.
fn is_going(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Evictions in the version that the server takes: `policy/v1` from 1.22 on
/// (<https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/>).
async fn eviction(client: &Client) -> Result<String, Fault> {
    let known = within(ONE, false, client.list_core_api_resources("v1")).await?;
    let mut resources = known.resources.into_iter();
    let eviction = resources.find(|resource| resource.name == "pods/eviction");
    let version = eviction.and_then(|resource| resource.version);
    Ok(format!(
        "policy/{}",
        version.unwrap_or_else(|| "v1beta1".to_owned())
    ))
}

async fn evict(client: &Client, pod: &Pod, version: &str, silent: bool) -> Result<(), Fault> {
    let meta = &pod.metadata;
    let name = meta.name.as_deref().unwrap_or_default();
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let mut body = json!({
        "apiVersion": version, "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
        // Only this pod, not one that has taken its name meanwhile.
        "deleteOptions": {"preconditions": {"uid": meta.uid}},
    });
    if silent {
        body["deleteOptions"]["gracePeriodSeconds"] = json!(1);
    }
    let body = serde_json::to_vec(&body).expect("plain data");
    let pods = Request::new(format!("/api/v1/namespaces/{namespace}/pods"));
    let request = pods
        .create_subresource("eviction", name, &PostParams::default(), body)
        .map_err(|error| Fault::new(FaultClass::Invalid, format!("{namespace}/{name}: {error}")))?;
    let answer = within(ONE, true, async {
        match client.request_text(request).await {
            Err(kube::Error::Api(status)) => Ok(Some(status)),
            Err(error) => Err(error),
            Ok(_) => Ok(None),
        }
    });
    let Some(status) = answer.await? else {
        return Ok(());
    };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut budgets = causes.filter(|cause| cause.reason == "DisruptionBudget");
    match (status.code, budgets.next()) {
        (404, _) => Ok(()),
        (429, Some(cause)) => {
            let what = format!("{namespace}/{name} has to stay: {}", cause.message);
            Err(Fault::new(FaultClass::Busy, what))
        }
        (429, None) if status.message.contains("disruption budget") => {
            let what = format!("{namespace}/{name} has to stay: {}", status.message);
            Err(Fault::new(FaultClass::Busy, what))
        }
        (_, _) => Err(super::fault(&kube::Error::Api(status), true)),
    }
}
