//! Capacity on clusters small enough to count by hand.

use super::*;
use crate::design::Lost;
use crate::placing::tests::{PoolOf, design};
use crate::placing::{Packing, Placement, settled};
use proptest::prelude::*;
use quorate_engine::manifest::Autoscale;
use serde_json::{Value, json};
use std::sync::Arc;

/// Two nodes of 3.6 cores at `a`, one at `b`.
const POOLS: [PoolOf<'static>; 2] = [
    ("w1", "a", "fsn1", 2, 4, None),
    ("w2", "b", "nbg1", 1, 4, None),
];

fn web(replicas: u32, more: &Value) -> Value {
    let mut web = json!({"name": "web", "replicas": replicas, "requests": {"cpu": 1}});
    for (key, value) in more.as_object().expect("fields") {
        web[key] = value.clone();
    }
    json!([web])
}

fn of(workloads: &Value) -> Capacity {
    capacity(&design(&POOLS, workloads, &Value::Null)).expect("the mesh has room")
}

fn row<'a>(capacity: &'a Capacity, name: &str) -> &'a Headroom {
    let mut rows = capacity.headroom.iter();
    rows.find(|row| row.without.as_ref().map_or("", |w| &w.name) == name)
        .unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn room_is_counted_by_pods_and_not_by_sums() {
    let capacity = of(&web(4, &json!({})));
    let now = row(&capacity, "");
    // Three on each of three nodes, though 10.8 cores would be ten.
    assert_eq!((now.packing, now.more[0]), (Packing::Yes, Some(5)));
    assert_eq!((now.cpu_milli, now.free_cpu_milli), (10_800, 6_800));
    assert_eq!(now.largest_by_cpu.cpu_milli, 2_600);
    let b_only = row(&capacity, "a");
    assert_eq!(b_only.packing, Packing::No(1));
    assert_eq!((b_only.more[0], b_only.lacking_cpu_milli), (Some(0), 1_000));
    assert_eq!(row(&capacity, "b").more[0], Some(2));
    assert!(capacity.burst.is_none());
}

#[test]
fn a_strict_spread_leaves_room_unused() {
    let capacity = of(&web(2, &json!({"spread": {"across": "provider"}})));
    // Three at `b`, so four at `a`.
    assert_eq!(row(&capacity, "").more[0], Some(5));
    let capacity = of(&web(
        6,
        &json!({"spread": {"across": "provider", "maxSkew": 2}}),
    ));
    assert_eq!(row(&capacity, "").more[0], Some(2));
    assert_eq!(row(&capacity, "b").more[0], Some(0), "six at `a`, alone");
}

#[test]
fn growth_ends_where_the_first_pod_does_not_fit() {
    let capacity = of(&web(3, &json!({"growth": "25%"})));
    let at = |kind: Option<&str>| {
        let mut rows = capacity.growth.iter();
        let row = rows
            .find(|row| row.without.as_deref() == kind)
            .expect("a row");
        let step = |limit: &Limit| match limit {
            Limit::At { step, .. } => Some(*step),
            Limit::Already { .. } | Limit::Beyond(_) => None,
        };
        (
            step(&row.factor_percent),
            row.months.as_ref().and_then(step),
        )
    };
    // Nine pods fit, six without a node, three at `b` alone. 3 · 1.25^4 = 7.3, ^5 = 9.2.
    assert_eq!(at(None), (Some(300), Some(4)));
    assert_eq!(at(Some("node")), (Some(200), Some(3)));
    assert_eq!(at(Some("provider")), (Some(100), Some(0)));
    let tight = of(&web(10, &json!({})));
    let limit = &tight.growth[0];
    assert!(
        matches!(&limit.factor_percent, Limit::Already { without: None, workload } if workload == "web")
    );
    assert_eq!(limit.months, None);
    let idle = of(&json!([{"name": "idle", "replicas": 1}]));
    assert_eq!(
        idle.growth[0].factor_percent,
        Limit::Beyond(FACTOR_MAX_PERCENT)
    );
    assert_eq!(idle.headroom[0].more, [None]);
}

#[test]
fn growing_pools_add_room_after_a_while() {
    let mut design = design(&POOLS, &web(12, &json!({})), &Value::Null);
    let pool = &mut Arc::make_mut(&mut design.manifest).spec.node_pools[2];
    pool.count = None;
    pool.autoscale = Some(Autoscale { min: 1, max: 3 });
    let design = Design::of(&design.manifest).expect("room");
    let capacity = capacity(&design).expect("room");
    assert_eq!(capacity.headroom[0].packing, Packing::No(3));
    let burst = capacity.burst.as_ref().expect("a pool grows");
    assert_eq!((burst.pending, burst.more[0]), (0, Some(3)));
    let pool = &burst.pools[0];
    assert_eq!((pool.nodes, pool.cpu_milli), (2, 7_200));
    // 22 s to make, 90 to prepare, 3 + 3 + 1 + 1 + 15 for the other steps, 7 to be Ready.
    assert!((pool.median_s - 142.0).abs() < 1e-9, "{}", pool.median_s);
    assert!((pool.p90_s - pool.median_s - 22.0 * (0.3f64 * 1.281_551_565_5).exp_m1()).abs() < 1e-9);
}

#[test]
fn the_section_shows_every_situation() {
    let section = of(&web(4, &json!({}))).section();
    let tables = section.blocks.iter().filter_map(|block| match block {
        crate::page::Block::Table(table) => Some((table.id, table.rows.len())),
        _ => None,
    });
    // Everything; two providers, two regions, two zones, three nodes.
    assert_eq!(
        tables.collect::<Vec<_>>(),
        [("capacity", 10), ("headroom", 10), ("growth", 5)]
    );
    assert!(
        section.lead.starts_with("Everything fits today; without "),
        "{}",
        section.lead
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn so_many_more_pods_fit_and_not_one_beyond(
        replicas in 0u32..12, cpu in 1u32..30, across in 0usize..4, skew in 1u32..4,
    ) {
        let across = ["node", "zone", "region", "provider"][across];
        let spread = json!({"spread": {"across": across, "maxSkew": skew}, "requests": {"cpu": format!("{cpu}00m")}});
        let with = |replicas: u32| design(&POOLS, &web(replicas, &spread), &Value::Null);
        let base = with(replicas);
        let placed = settled(&base, &Lost::default());
        let more = headroom::more(&placed, 0).expect("it asks for something");
        let pending = |replicas: u32| settled(&with(replicas), &Lost::default()).pending();
        if placed.pending() == 0 {
            prop_assert_eq!(pending(replicas + more as u32), 0);
            prop_assert_eq!(pending(replicas + more as u32 + 1), 1);
        } else {
            prop_assert_eq!(more, 0);
        }
    }
}

/// A thousand nodes with ten thousand pods, as a benchmark has it.
fn thousand() -> Design {
    let names: Vec<String> = (0..20).map(|at| format!("w{at:02}")).collect();
    let pools: Vec<PoolOf<'_>> = names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let provider = ["a", "b", "c"][at % 3];
            let region = ["fsn1", "nbg1"][at % 2];
            (name.as_str(), provider, region, 50, 8, None)
        })
        .collect();
    let workloads: Vec<Value> = (0..20)
        .map(|at| {
            json!({"name": format!("w{at}"), "replicas": 500, "growth": "3%",
                   "requests": {"cpu": format!("{}m", 200 + at * 20)}})
        })
        .collect();
    design(&pools, &json!(workloads), &Value::Null)
}

#[test]
fn a_thousand_nodes_are_placed_and_outlive_the_loss_of_one() {
    let design = thousand();
    let placed: Placement = settled(&design, &Lost::default());
    assert_eq!(placed.pending(), 0);
    let capacity = capacity(&design).expect("the mesh has room");
    let node = capacity.growth.last().expect("rows");
    assert_eq!(node.without.as_deref(), Some("node"));
    assert!(matches!(node.factor_percent, Limit::At { step: 101.., .. }));
}
