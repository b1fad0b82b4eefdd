//! Labels and taints of ours on a node. Which are ours stands in an annotation of the node, so that
//! those which are not wanted any more go, and nobody else's do.

use super::drain::DRAINED;
use crate::access::{Addresses, within};
use crate::objects::placement;
use crate::{Access, names};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use quorate_engine::manifest::{Role, TaintEffect};
use quorate_engine::resource::{ResourceId, Workplace};
use quorate_engine::seam::{Fault, FaultClass};
use quorate_hosts::Runner;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// One request.
const ONE: Duration = Duration::from_secs(10);
/// A kubelet writes to its node, too: whoever comes second looks again.
const TRIES: usize = 4;
/// What is ours on a node.
const OURS: &str = "quorate.dev/labels";
const WORKER: &str = "node-role.kubernetes.io/worker";
/// kubeadm's own taints of control planes: the second one before 1.25.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";
const MASTER: &str = "node-role.kubernetes.io/master";

/// Keys, and taints with their effect.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Ours {
    labels: Vec<String>,
    taints: Vec<(String, String)>,
}

impl<R: Runner> Access<R> {
    /// Brings labels and taints of a node to what its pods are to find; if it was drained by us, it
    /// takes pods again.
    ///
    /// # Errors
    /// `Busy`: the node is not there yet, or somebody else keeps changing it.
    pub(crate) async fn label(
        &self,
        addresses: &Addresses,
        machine: &ResourceId,
        place: &Workplace,
    ) -> Result<(), Fault> {
        let client = self.api(addresses).await?;
        let nodes: Api<Node> = Api::all(client);
        let name = names::node(machine);
        let works = self.has_role(machine, Role::Worker);
        let place = &placement::workplace(&self.manifest, place);
        let tags = placement::tags(&self.manifest, place);
        for _ in 0..TRIES {
            let Some(node) = within(ONE, false, nodes.get_opt(&name)).await? else {
                let what = format!("there is no node {name} yet");
                return Err(Fault::new(FaultClass::Busy, what));
            };
            let Some(patch) = change(&node, place, works, tags.as_ref()) else {
                return Ok(());
            };
            let params = PatchParams::default();
            let patch = Patch::Merge(patch);
            match within(ONE, true, nodes.patch(&name, &params, &patch)).await {
                Err(fault) if fault.class == FaultClass::Busy => {}
                done => return done.map(drop),
            }
        }
        let what = format!("the node {name} is being changed by somebody else");
        Err(Fault::new(FaultClass::Busy, what))
    }
}

/// What has to change; none where all is as it should be.
fn change(
    node: &Node,
    place: &Workplace,
    works: bool,
    tags: Option<&(String, String)>,
) -> Option<Value> {
    let meta = &node.metadata;
    let annotations = meta.annotations.as_ref();
    let before = annotations.and_then(|all| all.get(OURS));
    let before: Ours = before
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();

    let mut wanted: BTreeMap<&str, &str> = BTreeMap::new();
    wanted.extend(
        place
            .labels
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str())),
    );
    if works {
        wanted.insert(WORKER, "");
    }
    let there = meta.labels.clone().unwrap_or_default();
    let mut labels = Map::new();
    for key in before
        .labels
        .iter()
        .filter(|key| !wanted.contains_key(key.as_str()))
    {
        if there.contains_key(key) {
            labels.insert(key.clone(), Value::Null);
        }
    }
    for (key, value) in &wanted {
        if there.get(*key).map(String::as_str) != Some(*value) {
            labels.insert((*key).to_owned(), json!(value));
        }
    }

    let now = taints_of(node);
    let taints = taints(&now, place, &before);
    let ours = Ours {
        labels: wanted.keys().map(|key| (*key).to_owned()).collect(),
        taints: place
            .taints
            .iter()
            .map(|t| (t.key.clone(), effect(t.effect).to_owned()))
            .collect(),
    };
    let drained = annotations.is_some_and(|all| all.contains_key(DRAINED));
    let tagged =
        |(key, value): &(String, String)| annotations.and_then(|all| all.get(key)) == Some(value);
    let tags = tags.filter(|tags| !tagged(tags));
    let same = labels.is_empty() && taints == now && ours == before;
    if same && !drained && tags.is_none() {
        return None;
    }
    let ours = serde_json::to_string(&ours).expect("plain data");
    let mut patch = json!({
        "metadata": {
            "resourceVersion": meta.resource_version,
            "labels": labels,
            "annotations": {OURS: ours},
        },
    });
    if taints != now {
        patch["spec"]["taints"] = json!(taints);
    }
    if let Some((key, value)) = tags {
        patch["metadata"]["annotations"][key] = json!(value);
    }
    if drained {
        patch["metadata"]["annotations"][DRAINED] = Value::Null;
        patch["spec"]["unschedulable"] = json!(false);
    }
    Some(patch)
}

/// As they stand there, with all their fields.
fn taints_of(node: &Node) -> Vec<Value> {
    let taints = node
        .spec
        .iter()
        .flat_map(|spec| spec.taints.iter().flatten());
    taints
        .map(|taint| serde_json::to_value(taint).expect("plain data"))
        .collect()
}

/// Somebody else's, among them those of the node's life, in their order; then ours.
fn taints(now: &[Value], place: &Workplace, before: &Ours) -> Vec<Value> {
    let is =
        |taint: &Value, key: &str, effect: &str| taint["key"] == key && taint["effect"] == effect;
    let wants_plane = place.taints.iter().any(|taint| taint.key == CONTROL_PLANE);
    let marked = |key: &str| now.iter().any(|taint| taint["key"] == key);
    // kubeadm before 1.24 says `master`, and what it installs tolerates nothing else.
    let old = marked(MASTER) && !marked(CONTROL_PLANE);
    let foreign = |taint: &&Value| {
        let was_ours = before
            .taints
            .iter()
            .any(|(key, effect)| is(taint, key, effect));
        let kubeadm = taint["key"] == MASTER || taint["key"] == CONTROL_PLANE;
        let wanted = place
            .taints
            .iter()
            .any(|t| is(taint, &t.key, effect(t.effect)));
        !wanted
            && if kubeadm {
                wants_plane && taint["key"] == MASTER
            } else {
                !was_ours
            }
    };
    let mut taints: Vec<_> = now.iter().filter(foreign).cloned().collect();
    for taint in &place.taints {
        if taint.key == CONTROL_PLANE && old {
            continue;
        }
        let there = now
            .iter()
            .find(|now| is(now, &taint.key, effect(taint.effect)));
        let there = there.filter(|now| now["value"].as_str().unwrap_or_default() == taint.value);
        taints.push(there.cloned().unwrap_or_else(|| {
            let mut made = json!({"key": taint.key, "effect": effect(taint.effect)});
            if !taint.value.is_empty() {
                made["value"] = json!(taint.value);
            }
            made
        }));
    }
    // The order means nothing: what is there in another one stays as it is.
    let same = taints.len() == now.len() && taints.iter().all(|taint| now.contains(taint));
    if same { now.to_vec() } else { taints }
}

fn effect(effect: TaintEffect) -> &'static str {
    match effect {
        TaintEffect::NoSchedule => "NoSchedule",
        TaintEffect::PreferNoSchedule => "PreferNoSchedule",
        TaintEffect::NoExecute => "NoExecute",
    }
}

#[cfg(test)]
mod tests;
