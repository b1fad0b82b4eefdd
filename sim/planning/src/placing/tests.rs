//! Placing against the simulated control loops themselves, and copies of volumes against cases.

mod copies;
mod loops;
mod tight;

use super::*;
use quorate_engine::manifest::Manifest;
use serde_json::{Value, json};

/// A pool: name, provider, region, how many, cores, taint effect.
pub(crate) type PoolOf<'a> = (&'a str, &'a str, &'a str, u32, u32, Option<&'a str>);

/// A cluster with a control plane of its own and these workers. Workloads that say nothing of
/// memory ask for none.
pub(crate) fn design(pools: &[PoolOf<'_>], workloads: &Value, storage: &Value) -> Design {
    let mut workloads = workloads.clone();
    for workload in workloads.as_array_mut().expect("a list") {
        if let Some(requests) = workload.get_mut("requests").and_then(Value::as_object_mut) {
            requests.entry("memory").or_insert(json!("0"));
        }
    }
    let names: BTreeSet<&str> = pools.iter().map(|pool| pool.1).collect();
    let providers: Vec<Value> = names
        .iter()
        .map(|name| json!({"name": name, "type": "hetzner"}))
        .collect();
    let first = pools[0].1;
    let mut all = vec![json!({
        "name": "a-control", "provider": first, "region": "hel1", "count": 3,
        "machineType": "cx33", "image": "debian-12", "roles": ["control-plane"],
    })];
    for (name, provider, region, count, cores, taint) in pools {
        let taints: Vec<Value> = taint
            .iter()
            .map(|effect| json!({"key": "own", "effect": effect}))
            .collect();
        all.push(json!({
            "name": name, "provider": provider, "region": region, "count": count,
            "machineType": "cx33", "image": "debian-12", "roles": ["worker"], "taints": taints,
            "capacity": {"cpu": cores, "memory": format!("{}Gi", cores * 4)},
        }));
    }
    let mut text = json!({
        "apiVersion": "quorate.dev/v1", "kind": "Cluster", "metadata": {"name": "shop"},
        "spec": {"kubernetes": {"version": "1.35.2"}, "providers": providers, "nodePools": all,
                 "workloads": workloads},
    });
    if !storage.is_null() {
        text["spec"]["storage"] = storage.clone();
    }
    let manifest: Manifest = serde_json::from_value(text).expect("a valid manifest");
    Design::of(&Arc::new(manifest)).expect("the mesh has room")
}

/// What is lost with the domains of this name.
pub(crate) fn lost(design: &Design, name: &str) -> Lost {
    let found = design.domains.iter().position(|domain| domain.name == name);
    design.lost(&[found.unwrap_or_else(|| panic!("no {name}"))])
}

/// Pods of a workload by id of their node, as `pool/number`.
pub(crate) fn by_node(
    design: &Design,
    placement: &Placement,
    workload: usize,
) -> Vec<(String, u32)> {
    let name = |at: usize| design.nodes()[at].id.to_string();
    let nodes = placement.nodes_of(workload);
    nodes.into_iter().map(|(at, n)| (name(at), n)).collect()
}

#[test]
fn a_partly_lost_zone_evicts_nothing_and_a_lost_one_does() {
    let pools = [
        ("w1", "a", "fsn1", 5, 4, None),
        ("w2", "b", "fsn1", 2, 4, None),
        ("w3", "b", "nbg1", 2, 4, None),
    ];
    let workloads = json!([{"name": "web", "replicas": 9, "requests": {"cpu": 1}}]);
    let design = design(&pools, &workloads, &Value::Null);
    // `a` and `b` share the labels of a zone: five of seven are gone, and two are left.
    let held = held_back(&design, &lost(&design, "a"));
    let all: Vec<usize> = lost(&design, "a").nodes.into_iter().collect();
    let control: BTreeSet<usize> = design.with(Role::ControlPlane).collect();
    assert!(
        all.iter()
            .all(|at| held.contains(at) != control.contains(at))
    );
    // Only two of seven: too few to call the zone ill.
    assert_eq!(held_back(&design, &lost(&design, "b")), BTreeSet::new());
    let before = settled(&design, &Lost::default());
    let after = before.after(&design, &lost(&design, "a"));
    assert_eq!(after.held_back.len(), 5, "each had pods");
    assert_eq!(after.tally(0).running, 9, "placed as if somebody had acted");
    let everything = Lost {
        nodes: (0..design.nodes().len()).collect(),
        dns: BTreeSet::new(),
    };
    assert_eq!(held_back(&design, &everything), everything.nodes);
}

#[test]
fn a_strict_spread_waits_and_a_lax_one_goes_where_it_is_broken_least() {
    let pools = [
        ("w1", "a", "fsn1", 1, 4, None),
        ("w2", "b", "nbg1", 2, 16, None),
    ];
    for (rule, expected) in [("DoNotSchedule", [3, 4]), ("ScheduleAnyway", [3, 6])] {
        let workloads = json!([{
            "name": "web", "replicas": 9, "requests": {"cpu": 1},
            "spread": {"across": "provider", "whenUnsatisfiable": rule},
        }]);
        let design = design(&pools, &workloads, &Value::Null);
        let placed = settled(&design, &Lost::default());
        let count = |pool: &str| -> u32 {
            let nodes = by_node(&design, &placed, 0);
            nodes
                .iter()
                .filter(|(id, _)| id.contains(pool))
                .map(|(_, n)| n)
                .sum()
        };
        assert_eq!([count("/w1/"), count("/w2/")], expected, "{rule}");
        let after = placed.after(&design, &lost(&design, "a"));
        assert_eq!(after.pending(), 0, "a lost place holds nobody up");
        assert_eq!(after.tally(0).running, 9);
    }
}

#[test]
fn pools_at_their_largest_take_more() {
    let workloads = json!([{"name": "web", "replicas": 9, "requests": {"cpu": 1}}]);
    let mut design = design(&[("w", "a", "fsn1", 1, 4, None)], &workloads, &Value::Null);
    let manifest = Arc::make_mut(&mut design.manifest);
    let pool = &mut manifest.spec.node_pools[1];
    pool.count = None;
    pool.autoscale = Some(quorate_engine::manifest::Autoscale { min: 1, max: 3 });
    let small = Design::of(&design.manifest).expect("room");
    assert_eq!(settled(&small, &Lost::default()).pending(), 6);
    let large = at_maximum(&small).expect("room");
    assert_eq!(settled(&large, &Lost::default()).pending(), 0);
}
