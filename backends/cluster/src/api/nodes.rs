//! Nodes and pods as the engine wants to see them.

use crate::access::{Addresses, within};
use crate::{Access, names};
use k8s_openapi::api::core::v1::{ConfigMap, Container, Node, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::Api;
use kube::api::ListParams;
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{Fault, NodeView};
use quorate_hosts::Runner;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Everything of one kind, over a slow path.
const LIST: Duration = Duration::from_secs(10);
/// What the kubelet marks pods with that it has from a file (`pkg/kubelet/types`).
const MIRROR: &str = "kubernetes.io/config.mirror";
/// Labels of control planes: today's, and the one of kubeadm before 1.24.
const CONTROL_PLANE: [&str; 2] = [
    "node-role.kubernetes.io/control-plane",
    "node-role.kubernetes.io/master",
];

/// Where the fingerprint of the replicated storage is kept.
pub(crate) const STORAGE_MARK: &str = "quorate-storage";
/// See [`STORAGE_MARK`].
pub(crate) const FINGERPRINT: &str = "quorate.dev/fingerprint";

/// What Kubernetes says of itself.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct KubernetesView {
    /// In order of machine.
    pub(crate) nodes: Vec<NodeView>,
    /// Machines of nodes, by their addresses in the mesh.
    pub(crate) seats: BTreeMap<Ipv4Addr, ResourceId>,
    pub(crate) pending_pods: u32,
    pub(crate) storage: Option<u64>,
}

impl<R: Runner> Access<R> {
    /// Nodes, pods and the storage's mark, asked at once.
    pub(crate) async fn kubernetes(&self, addresses: &Addresses) -> Result<KubernetesView, Fault> {
        let client = self.api(addresses).await?;
        let nodes: Api<Node> = Api::all(client.clone());
        let pods: Api<Pod> = Api::all(client.clone());
        let marks: Api<ConfigMap> = Api::namespaced(client, "kube-system");
        let everything = ListParams::default();
        let (nodes, pods, mark) = tokio::join!(
            within(LIST, false, nodes.list(&everything)),
            within(LIST, false, pods.list(&everything)),
            within(LIST, false, marks.get_opt(STORAGE_MARK)),
        );
        let view = view(self.cluster(), &nodes?.items, &pods?.items);
        Ok(KubernetesView {
            storage: mark?.as_ref().map(fingerprint).transpose()?,
            ..view
        })
    }
}

fn fingerprint(mark: &ConfigMap) -> Result<u64, Fault> {
    let annotations = mark.metadata.annotations.as_ref();
    let text = annotations.and_then(|all| all.get(FINGERPRINT));
    // One without a fingerprint was edited by hand: no spec has this one, so it is written anew.
    Ok(text
        .and_then(|text| u64::from_str_radix(text, 16).ok())
        .unwrap_or(0))
}

/// A pod that a drain moves: it runs or will, and nobody keeps it on its node.
pub(crate) fn moves(pod: &Pod) -> bool {
    let meta = &pod.metadata;
    let mirror = meta
        .annotations
        .as_ref()
        .is_some_and(|all| all.contains_key(MIRROR));
    let mut owners = meta.owner_references.iter().flatten();
    let daemon = owners.any(|owner| owner.kind == "DaemonSet" && owner.controller == Some(true));
    !mirror && !daemon && !ended(pod)
}

fn phase(pod: &Pod) -> &str {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    phase.unwrap_or_default()
}

fn ended(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

fn view(cluster: &str, nodes: &[Node], pods: &[Pod]) -> KubernetesView {
    let mut on: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| !ended(pod)) {
        let spec = pod.spec.as_ref();
        if let Some(node) = spec.and_then(|spec| spec.node_name.as_deref()) {
            on.entry(node).or_default().push(pod);
        }
    }
    let mut view = KubernetesView {
        pending_pods: pods.iter().filter(|pod| fits_nowhere(pod)).count() as u32,
        ..KubernetesView::default()
    };
    for node in nodes {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let Some(machine) = names::machine(cluster, name) else {
            continue; // somebody else's: not in our hands
        };
        let empty = Vec::new();
        let here = on.get(name).unwrap_or(&empty);
        view.seats
            .extend(internal(node).map(|at| (at, machine.clone())));
        view.nodes.push(NodeView {
            machine,
            ready: ready(node) == Some(true),
            schedulable: !unschedulable(node),
            control_plane: is_control_plane(node),
            version: kubelet_version(node),
            pods: here.iter().filter(|pod| moves(pod)).count() as u32,
            load_permille: load(node, here),
        });
    }
    view.nodes.sort_by(|a, b| a.machine.cmp(&b.machine));
    view
}

fn kubelet_version(node: &Node) -> String {
    let info = node.status.iter().flat_map(|status| &status.node_info);
    info.map(|info| info.kubelet_version.clone())
        .next()
        .unwrap_or_default()
}

/// No node takes it, by the scheduler's word.
fn fits_nowhere(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let mut placed = conditions.filter(|condition| condition.type_ == "PodScheduled");
    phase(pod) == "Pending"
        && placed.any(|condition| {
            condition.status == "False" && condition.reason.as_deref() == Some("Unschedulable")
        })
}

/// Whether its kubelet renews its lease; none: nobody has heard of it for some time.
pub(crate) fn ready(node: &Node) -> Option<bool> {
    let conditions = node
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let mut ready = conditions.filter(|condition| condition.type_ == "Ready");
    match ready.next()?.status.as_str() {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

pub(crate) fn unschedulable(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true)
}

pub(crate) fn is_control_plane(node: &Node) -> bool {
    let labels = node.metadata.labels.as_ref();
    labels.is_some_and(|labels| {
        CONTROL_PLANE
            .iter()
            .any(|label| labels.contains_key(*label))
    })
}

fn internal(node: &Node) -> impl Iterator<Item = Ipv4Addr> {
    let addresses = node
        .status
        .iter()
        .flat_map(|status| status.addresses.iter().flatten());
    addresses
        .filter(|address| address.type_ == "InternalIP")
        .filter_map(|address| address.address.parse().ok())
}

/// What its pods ask for in thousandths of what it has, the larger of CPU and memory.
fn load(node: &Node, pods: &[&Pod]) -> u32 {
    let has = node
        .status
        .as_ref()
        .and_then(|status| status.allocatable.as_ref());
    let share = |resource: &str| {
        let has = has.and_then(|has| has.get(resource)).map_or(0, milli);
        let specs = pods.iter().filter_map(|pod| pod.spec.as_ref());
        let asked: u128 = specs.map(|spec| asks(spec, resource)).sum();
        (asked * 1000).checked_div(has).unwrap_or(0)
    };
    u32::try_from(share("cpu").max(share("memory"))).unwrap_or(u32::MAX)
}

/// What a pod asks for, as the scheduler counts it: the sum of its containers, or the largest of
/// those that run before, with the sidecars that are there by then; and its overhead
/// (<https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers>).
fn asks(spec: &PodSpec, resource: &str) -> u128 {
    let of = |container: &Container| {
        let resources = container.resources.as_ref();
        let requests = resources.and_then(|resources| resources.requests.as_ref());
        requests.and_then(|all| all.get(resource)).map_or(0, milli)
    };
    let (mut sidecars, mut before) = (0, 0);
    for container in spec.init_containers.iter().flatten() {
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars += of(container);
            before = before.max(sidecars);
        } else {
            before = before.max(sidecars + of(container));
        }
    }
    let containers: u128 = spec.containers.iter().map(of).sum();
    let overhead = spec.overhead.as_ref().and_then(|all| all.get(resource));
    before.max(sidecars + containers) + overhead.map_or(0, milli)
}

/// Thousandths; 0 for what is no quantity. The API server takes no other one in.
fn milli(quantity: &Quantity) -> u128 {
    let text = quantity.0.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.'));
    let (digits, suffix) = text.split_at(end.unwrap_or(text.len()));
    let factor: f64 = match suffix {
        "n" => 1e-6,
        "u" => 1e-3,
        "m" => 1.0,
        "" => 1e3,
        "k" => 1e6,
        "M" => 1e9,
        "G" => 1e12,
        "T" => 1e15,
        "P" => 1e18,
        "Ki" => 1024.0 * 1e3,
        "Mi" => 1024.0_f64.powi(2) * 1e3,
        "Gi" => 1024.0_f64.powi(3) * 1e3,
        "Ti" => 1024.0_f64.powi(4) * 1e3,
        "Pi" => 1024.0_f64.powi(5) * 1e3,
        power => match power
            .strip_prefix(['e', 'E'])
            .and_then(|p| p.parse::<i32>().ok())
        {
            Some(power) => 10.0_f64.powi(power) * 1e3,
            None => return 0,
        },
    };
    (digits.parse::<f64>().unwrap_or(0.0) * factor).ceil() as u128
}

#[cfg(test)]
mod tests;
