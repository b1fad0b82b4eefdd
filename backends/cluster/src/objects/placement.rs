//! Where pods and copies of data go: near their data by preference, and never all in one place.

use quorate_engine::manifest::{Domain, Manifest, Role, StorageEngine, Workload};
use quorate_engine::resource::Workplace;
use serde_json::{Value, json};

/// The label of a node's provider.
pub const PROVIDER: &str = "quorate.dev/provider";
/// Kubernetes' own labels of places
/// (<https://kubernetes.io/docs/reference/labels-annotations-taints/>).
pub(crate) const REGION: &str = "topology.kubernetes.io/region";
/// See [`REGION`].
pub(crate) const ZONE: &str = "topology.kubernetes.io/zone";

/// What a workload's pod template gets beside its own fields: its provider is preferred, and one
/// pod more than fits there without the others does not weigh as much as one that is elsewhere.
/// Only preferences: a provider that is lost must not keep pods from starting at the others.
#[must_use]
pub fn affinity(workload: &Workload) -> Value {
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
    if workload.replicas > 1 {
        // All but one may be together; without a preference none has to be.
        let skew = match workload.prefer {
            Some(_) => workload.replicas - 1,
            None => 1,
        };
        fields["topologySpreadConstraints"] = json!([{
            "maxSkew": skew,
            "topologyKey": PROVIDER,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app.kubernetes.io/name": workload.name}},
        }]);
    }
    fields
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
    if let Some(domain) = domain {
        place.labels.retain(|(key, _)| key != label);
        place.labels.push((label.to_owned(), domain));
        place.labels.sort();
    }
    place
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
