//! Copies of volumes, before and after a loss.

use super::*;

const POOLS: [PoolOf<'static>; 3] = [
    ("w1", "a", "fsn1", 2, 8, None),
    ("w2", "b", "nbg1", 2, 8, None),
    ("w3", "c", "hel1", 2, 8, None),
];

fn with_data(replicas: u32) -> Value {
    json!([{
        "name": "orders", "replicas": replicas, "requests": {"cpu": 1},
        "prefer": {"provider": "a"}, "data": {"size": "100"},
    }])
}

fn whole(volume: &Volume) -> &[usize] {
    match &volume.copies {
        Some(Copies::Whole(nodes)) => nodes,
        other => panic!("whole copies: {other:?}"),
    }
}

#[test]
fn longhorn_keeps_the_first_copy_beside_the_pod_and_the_rest_apart() {
    let storage = json!({"engine": "longhorn", "replicas": 3, "spread": "provider"});
    let design = design(&POOLS, &with_data(2), &storage);
    let placed = settled(&design, &Lost::default());
    let mut beside = Vec::new();
    for (volume, pod) in placed.volumes.iter().zip(&placed.pods[0]) {
        let nodes = whole(volume);
        assert_eq!(Some(nodes[0]), *pod);
        let providers: BTreeSet<&str> = nodes
            .iter()
            .map(|node| design.nodes()[*node].provider.as_str())
            .collect();
        assert_eq!(providers.len(), 3);
        beside.extend(nodes.iter().copied());
    }
    let distinct: BTreeSet<usize> = beside.into_iter().collect();
    assert_eq!(distinct.len(), 6, "the least filled node of each place");
    // A provider is gone: two copies of each are left, and no place for the third.
    let after = placed.after(&design, &lost(&design, "a"));
    for volume in &after.volumes {
        let state = after.state(volume);
        assert_eq!((state.replicas, state.left), (3, 2));
        assert!(state.readable && state.writable);
    }
    for rebuild in after.rebuilds() {
        let Rebuild {
            bytes,
            homeless,
            onto,
            ..
        } = rebuild;
        assert_eq!((bytes, homeless, onto), (0, 1, Vec::new()));
    }
    assert_eq!(after.tally(0).running, 2);
    // A node is gone: its neighbour takes the copy.
    let node = whole(&placed.volumes[0])[0];
    let gone = Lost {
        nodes: BTreeSet::from([node]),
        dns: BTreeSet::new(),
    };
    let after = placed.after(&design, &gone);
    let rebuild = &after.rebuilds()[0];
    assert_eq!((rebuild.bytes, rebuild.homeless), (100, 0));
    let onto = &design.nodes()[rebuild.onto[0]];
    assert_eq!(onto.provider, "a");
    assert_ne!(rebuild.onto[0], node);
}

#[test]
fn a_volume_without_a_copy_keeps_its_pod_from_running() {
    let storage = json!({"engine": "longhorn", "replicas": 1, "spread": "node"});
    let design = design(&POOLS, &with_data(2), &storage);
    let placed = settled(&design, &Lost::default());
    let after = placed.after(&design, &lost(&design, "a"));
    let expected = Tally {
        asked: 2,
        running: 0,
        without_data: 2,
        pending: 0,
    };
    assert_eq!(after.tally(0), expected);
    assert!(after.rebuilds().is_empty(), "there is nothing to copy from");
}

#[test]
fn without_replicated_storage_data_stay_on_the_first_node() {
    let design = design(&POOLS, &with_data(1), &Value::Null);
    let placed = settled(&design, &Lost::default());
    let node = placed.pods[0][0].expect("there is room");
    assert_eq!(placed.volumes[0].copies, Some(Copies::Local(node)));
    assert_eq!(placed.tally(0).running, 1);
    let after = placed.after(&design, &lost(&design, "a"));
    assert_eq!(after.tally(0).without_data, 1);
}

#[test]
fn ceph_goes_on_with_its_least_size_and_stops_below() {
    let four = [POOLS[0], POOLS[1], POOLS[2], ("w4", "d", "ash", 2, 8, None)];
    for (replicas, lost_of, writable, left, bytes, homeless) in [
        // Copies, lost, goes on, copies of the worst group, bytes of 100 to copy, no place for.
        (3, vec!["a"], true, 2, 75, 0),
        (3, vec!["a", "b"], false, 1, 50, 1),
        (2, vec!["a"], true, 1, 50, 0),
        (4, vec!["a", "b"], true, 2, 0, 2),
        (4, vec!["a", "b", "c"], false, 1, 0, 3),
        (3, vec!["shop/w1/1"], true, 2, 38, 0),
    ] {
        let storage = json!({"engine": "rook-ceph", "replicas": replicas, "spread": "provider"});
        let design = design(&four, &with_data(1), &storage);
        let placed = settled(&design, &Lost::default());
        assert_eq!(placed.volumes[0].copies, Some(Copies::Parts));
        let mut gone = Lost::default();
        for name in &lost_of {
            gone.nodes.extend(lost(&design, name).nodes);
        }
        let after = placed.after(&design, &gone);
        let state = after.state(&after.volumes[0]);
        assert_eq!(
            (state.left, state.writable),
            (left, writable),
            "{replicas} {lost_of:?}"
        );
        let rebuild = &after.rebuilds()[0];
        assert_eq!(
            (rebuild.bytes, rebuild.homeless),
            (bytes, homeless),
            "{replicas} {lost_of:?}"
        );
    }
}
