use super::*;
use crate::placing::tests::design;
use quorate_engine::manifest::{Manifest, Role};
use serde_json::json;
use std::sync::Arc;

/// What is gone with so many of three members, with snapshots so often.
fn without(lost: usize, every: &str) -> Option<EtcdData> {
    let plain = design(
        &[("workers", "a", "hel1", 1, 2, None)],
        &json!([]),
        &json!(null),
    );
    let mut text = serde_json::to_value(&*plain.manifest).unwrap();
    text["spec"]["kubernetes"]["etcd"]["snapshots"] = json!({"every": every, "keep": 3});
    let manifest: Manifest = serde_json::from_value(text).unwrap();
    let design = Design::of(&Arc::new(manifest)).unwrap();
    let nodes = design.with(Role::ControlPlane).take(lost).collect();
    let lost = Lost {
        nodes,
        ..Lost::default()
    };
    etcd(&design, &lost, "loss", Seed(1))
}

#[test]
fn a_quorum_has_everything() {
    assert_eq!(without(0, "6h"), None);
    assert_eq!(without(1, "6h"), None);
}

#[test]
fn a_member_that_is_left_lacks_only_what_was_on_its_way() {
    let data = without(2, "6h").unwrap();
    assert_eq!(data.from, Source::SurvivingDisk);
    let writes = data.writes.unwrap();
    assert!(writes.p99 > 0.0 && writes.p99 < 0.1, "{writes:?}");
}

#[test]
fn a_snapshot_is_as_old_as_luck_has_it() {
    let data = without(3, "6h").unwrap();
    assert_eq!(data.from, Source::Snapshot);
    // Uniform over six hours: 3 h, 5.4 h and 5.94 h.
    let Times { p50, p90, p99 } = data.writes.unwrap();
    for (seen, hours) in [(p50, 3.0), (p90, 5.4), (p99, 5.94)] {
        let seen = seen / 3_600.0;
        assert!((seen - hours).abs() < 0.25, "{seen} h, {hours} h expected");
    }
}

#[test]
fn without_snapshots_all_of_it_is_gone() {
    let data = without(3, "0s").unwrap();
    assert_eq!((data.from, data.writes), (Source::Nothing, None));
}
