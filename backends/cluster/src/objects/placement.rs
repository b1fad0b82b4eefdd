//! Where pods and copies of data go: near their data by preference, and never all in one place.

use quorate_engine::manifest::{Domain, Kubernetes, Manifest, Role, StorageEngine, Workload};
use quorate_engine::resource::Workplace;
use serde_json::{Value, json};

/// The label of a node's provider.
pub const PROVIDER: &str = "quorate.dev/provider";
/// Kubernetes' own labels of places
/// (<https://kubernetes.io/docs/reference/labels-annotations-taints/>).
pub(crate) const REGION: &str = "topology.kubernetes.io/region";
/// See [`REGION`].
pub(crate) const ZONE: &str = "topology.kubernetes.io/zone";

/// The label by which pods of a workload are told from others: Kubernetes' recommended one
/// (<https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/>).
pub(crate) const NAME: &str = "app.kubernetes.io/name";

/// A node's own region and zone, where its storage reads something else from Kubernetes' labels.
const OWN_REGION: &str = "quorate.dev/region";
/// See [`OWN_REGION`].
const OWN_ZONE: &str = "quorate.dev/zone";

/// What a workload's pod template gets beside its own fields: its provider is preferred, and one
/// pod more than fits there without the others does not weigh as much as one that is elsewhere.
/// Only preferences, unless its author says otherwise: a provider that is lost must not keep pods
/// from starting at the others.
#[must_use]
pub fn affinity(manifest: &Manifest, workload: &Workload) -> Value {
    let mut fields = json!({});
    if let Some(preference) = &workload.prefer {
        fields["affinity"]["nodeAffinity"] = json!({
            "preferredDuringSchedulingIgnoredDuringExecution": [{
                "weight": 100,
                "preference": {"matchExpressions": [{
                    "key": PROVIDER, "operator": "In", "values": [preference.provider],
                }]},
            }],
        });
    }
    let mut constraints = Vec::new();
    if let Some(spread) = workload.spread {
        let mut own = constraint(
            workload,
            spread_key(manifest, spread.across),
            spread.max_skew,
        );
        own["whenUnsatisfiable"] = json!(spread.when_unsatisfiable);
        // Else nodes that take no pods, and those of a place that is lost, count as places with
        // none: and hold all others up (kubernetes.io, "Pod Topology Spread Constraints"). The field is
        // there, and heeded, from Kubernetes 1.26 on.
        let kubernetes = manifest.spec.kubernetes.as_ref();
        let minor = kubernetes.and_then(Kubernetes::minor);
        if minor.is_none_or(|minor| minor >= 26) {
            own["nodeTaintsPolicy"] = json!("Honor");
        }
        constraints.push(own);
    }
    let by_provider = workload
        .spread
        .is_some_and(|s| s.across == Domain::Provider);
    if workload.replicas > 1 && !by_provider {
        // All but one may be together; without a preference none has to be.
        let skew = match workload.prefer {
            Some(_) => workload.replicas - 1,
            None => 1,
        };
        let mut usual = constraint(workload, PROVIDER, skew);
        usual["whenUnsatisfiable"] = json!("ScheduleAnyway");
        constraints.push(usual);
    }
    if !constraints.is_empty() {
        fields["topologySpreadConstraints"] = json!(constraints);
    }
    fields
}

fn selector(workload: &Workload) -> Value {
    json!({"matchLabels": {NAME: workload.name}})
}

fn constraint(workload: &Workload, key: &str, max_skew: u32) -> Value {
    json!({"maxSkew": max_skew, "topologyKey": key, "labelSelector": selector(workload)})
}

/// Which label says in which such place a node is.
fn spread_key(manifest: &Manifest, across: Domain) -> &'static str {
    let usual = match across {
        Domain::Node => "kubernetes.io/hostname",
        Domain::Zone => ZONE,
        Domain::Region => REGION,
        Domain::Provider => PROVIDER,
    };
    match (across, taken(manifest)) {
        (Domain::Zone, Some(ZONE)) => OWN_ZONE,
        (Domain::Region, Some(REGION)) => OWN_REGION,
        _ => usual,
    }
}

/// The label of Kubernetes that says to the storage system what it is not named for.
fn taken(manifest: &Manifest) -> Option<&'static str> {
    let storage = manifest.spec.storage.as_ref()?;
    match (storage.engine, storage.spread) {
        (_, Domain::Node | Domain::Zone) => None,
        (StorageEngine::RookCeph, Domain::Region) => None,
        (engine, spread) => Some(spread_label(engine, spread)),
    }
}

/// The PodDisruptionBudget of a workload: what its author asks for, else all pods but one. None
/// where all may go. Its version is v1 from Kubernetes 1.21 on, v1beta1 before
/// (<https://kubernetes.io/docs/reference/using-api/deprecation-guide/>).
#[must_use]
pub fn disruption_budget(manifest: &Manifest, workload: &Workload) -> Option<Value> {
    let kubernetes = manifest.spec.kubernetes.as_ref()?;
    let kept = workload.budget();
    (kept > 0).then(|| {
        let version = match kubernetes.minor() {
            Some(..=20) => "policy/v1beta1",
            _ => "policy/v1",
        };
        json!({
            "apiVersion": version, "kind": "PodDisruptionBudget",
            "metadata": {"name": workload.name},
            "spec": {"minAvailable": kept, "selector": selector(workload)},
        })
    })
}

/// Which label a storage system keeps copies apart by.
pub(crate) fn spread_label(engine: StorageEngine, spread: Domain) -> &'static str {
    match (engine, spread) {
        (_, Domain::Node) => "kubernetes.io/hostname",
        (_, Domain::Zone) => ZONE,
        (StorageEngine::Longhorn, Domain::Region | Domain::Provider) => ZONE,
        (StorageEngine::RookCeph, Domain::Region | Domain::Provider) => REGION,
    }
}

/// Labels of a node with replicated storage. Longhorn keeps copies apart by zone only, and Ceph
/// knows nothing above a region: where copies are to be apart by something larger, that label says
/// it, since both read it from the node.
pub(crate) fn workplace(manifest: &Manifest, place: &Workplace) -> Workplace {
    let mut place = place.clone();
    let Some(storage) = &manifest.spec.storage else {
        return place;
    };
    let of = |key: &str| {
        let mut labels = place.labels.iter();
        labels
            .find(|(label, _)| label == key)
            .map(|(_, value)| value.clone())
    };
    let domain = match storage.spread {
        Domain::Node | Domain::Zone => return place,
        Domain::Region => of(REGION),
        Domain::Provider => of(PROVIDER),
    };
    let label = spread_label(storage.engine, storage.spread);
    keep_own(manifest, &mut place);
    if let Some(domain) = domain {
        place.labels.retain(|(key, _)| key != label);
        place.labels.push((label.to_owned(), domain));
        place.labels.sort();
    }
    place
}

/// Where workloads are spread by what a label will no longer say, another one says it.
fn keep_own(manifest: &Manifest, place: &mut Workplace) {
    for (across, key) in [(Domain::Zone, ZONE), (Domain::Region, REGION)] {
        let own = spread_key(manifest, across);
        let mut workloads = manifest.spec.workloads.iter();
        let asked = workloads.any(|w| w.spread.is_some_and(|spread| spread.across == across));
        let mut labels = place.labels.iter();
        let value = labels
            .find(|(label, _)| label == key)
            .map(|(_, v)| v.clone());
        if let Some(value) = value.filter(|_| asked && own != key) {
            place.labels.push((own.to_owned(), value));
        }
    }
    place.labels.sort();
}

/// What Longhorn makes a new node's own tags from, where it is the storage: its classes choose by
/// them.
pub(crate) fn tags(manifest: &Manifest, place: &Workplace) -> Option<(String, String)> {
    let storage = manifest.spec.storage.as_ref()?;
    let mut labels = place.labels.iter();
    let (_, provider) = labels.find(|(key, _)| key == PROVIDER)?;
    match storage.engine {
        StorageEngine::Longhorn => Some(super::longhorn::node_tags(provider)),
        StorageEngine::RookCeph => None,
    }
}

/// Providers that have nodes for data, each with how many, in the manifest's order.
pub(crate) fn providers(manifest: &Manifest) -> Vec<(&str, u32)> {
    let mut found: Vec<(&str, u32)> = Vec::new();
    for pool in &manifest.spec.node_pools {
        if !pool.roles.contains(&Role::Worker) {
            continue;
        }
        let grows = pool.autoscale.map(|bounds| bounds.min);
        let nodes = pool.count.or(grows).unwrap_or(pool.hosts.len() as u32);
        match found.iter_mut().find(|(name, _)| *name == pool.provider) {
            Some((_, count)) => *count += nodes,
            None => found.push((&pool.provider, nodes)),
        }
    }
    found
}
