//! Distances of a known cluster, against what paper says.

use quorate_engine::manifest::load;
use quorate_planning::data::Data;
use quorate_planning::design::Design;
use quorate_planning::distance::{Distance, FlowLimit, distance};
use quorate_planning::page::{Block, Table};
use std::sync::Arc;

const THREE_CLOUDS: &str = include_str!("../../../scenarios/manifests/three-clouds.yaml");

fn of(manifest: &str, data: &Data) -> Distance {
    let loaded = load(manifest.as_bytes(), None);
    let said = format!("{:?}", loaded.diagnostics);
    let design = Design::of(&Arc::new(loaded.manifest.expect(&said)));
    distance(&design.expect("the mesh has room"), data)
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

/// Round trips of the catalogue: aws-gcp 1.5 ms, aws-htz 6 ms, gcp-htz 7.1 ms by distance.
#[test]
fn a_commit_takes_the_way_to_the_follower_that_completes_a_quorum() {
    let found = of(THREE_CLOUDS, &Data::built_in());
    let etcd = found.etcd.as_ref().expect("there is etcd");
    assert_eq!(etcd.members, 3);
    let commits: Vec<_> = etcd
        .commits
        .iter()
        .map(|one| {
            (
                one.leader.as_str(),
                one.completes.as_deref().unwrap_or("-"),
                one.latency.ms,
            )
        })
        .collect();
    let expected = [
        ("shop/control-aws/1", "shop/control-gcp/1", 2.5),
        ("shop/control-gcp/1", "shop/control-aws/1", 2.5),
        ("shop/control-htz/1", "shop/control-aws/1", 7.0),
    ];
    assert_eq!(commits, expected);
    assert!(etcd.commits.iter().all(|one| !one.latency.measured));
    let without: Vec<_> = etcd
        .without
        .iter()
        .map(|one| (one.provider.as_str(), one.worst.map(|latency| latency.ms)))
        .collect();
    let far = etcd.farthest.ms + 1.0;
    assert!((8.0..8.3).contains(&far), "{far}");
    assert_eq!(
        without,
        [("aws", Some(far)), ("gcp", Some(7.0)), ("htz", Some(2.5))]
    );
}

/// From gcp: servers at 0.5 (own zone), 1.5 and 7.1 ms; leaders and their quorums as above.
#[test]
fn the_api_adds_up_every_leg() {
    let found = of(THREE_CLOUDS, &Data::built_in());
    let htz_gcp = found.etcd.as_ref().expect("etcd").farthest.ms;
    let gcp = found
        .api
        .iter()
        .find(|one| one.place == "gcp/europe-west3")
        .expect("an entry");
    let inside = {
        let at = found
            .places
            .iter()
            .position(|place| place == "gcp/europe-west3")
            .expect("a place");
        found.round_trips[at][at].ms
    };
    let read = (inside + 1.5 + htz_gcp) / 3.0 + 5.0;
    assert!(near(gcp.read.ms, read), "{} {read}", gcp.read.ms);
    // Between server and leader: three times nothing, twice each of the three ways, of nine.
    let hop = 2.0 * (1.5 + 6.0 + htz_gcp) / 9.0;
    let sure = (1.5 + 1.5 + 6.0) / 3.0;
    assert!(near(gcp.consistent_read.ms, read + hop + sure));
    assert!(near(gcp.write.ms, read + hop + sure + 1.0));
    let worst = htz_gcp + 5.0 + htz_gcp.max(6.0).max(1.5 + 4.5) + 1.5 + 1.0;
    assert!(
        near(gcp.worst_write.ms, worst.max(htz_gcp + 5.0 + 6.0 + 1.0)),
        "{worst}"
    );
}

/// `orders` runs at htz; its copies are at htz, aws and in the rack, which nobody knows the way to:
/// 25 ms are assumed.
#[test]
fn a_write_waits_for_the_farthest_copy() {
    let found = of(THREE_CLOUDS, &Data::built_in());
    let [orders] = &found.storage[..] else {
        panic!("one workload with data, one place: {:?}", found.storage);
    };
    assert_eq!(
        (orders.workload.as_str(), orders.place.as_str()),
        ("orders", "htz/fsn1")
    );
    assert_eq!(
        (orders.copies, orders.nearest.ms, orders.farthest.ms),
        (3, 26.0, 26.0)
    );

    let two = THREE_CLOUDS.replace("longhorn, replicas: 3", "longhorn, replicas: 2");
    let two = &of(&two, &Data::built_in()).storage[0];
    assert_eq!(
        (two.copies, two.nearest.ms, two.farthest.ms),
        (2, 7.0, 26.0)
    );

    // To the primary, and from there to the others: aws is 6 from htz, and 25 from the rack.
    let ceph = THREE_CLOUDS.replace("engine: longhorn", "engine: rook-ceph");
    let ceph = &of(&ceph, &Data::built_in()).storage[0];
    assert_eq!(
        ceph.farthest.ms, 51.0,
        "to the rack, and back to either of the others"
    );
    assert!(
        (26.0..27.0).contains(&ceph.nearest.ms),
        "{:?}",
        ceph.nearest
    );
}

#[test]
fn a_flow_is_limited_by_agent_or_window() {
    let row = "key,value,low,high,unit,meaning,date,source,evidence\n\
        mesh.rate,7000,300,9000,Mbit/s,own bench,2026-11,own bench,measured\n";
    let data = Data::with(&[("assumptions.csv".to_owned(), row.to_owned())]).expect("good");
    let found = of(THREE_CLOUDS, &data);
    let flow = |a: &str, b: &str| {
        let flow = found
            .mesh
            .iter()
            .find(|one| one.between == (a.to_owned(), b.to_owned()));
        flow.map(|flow| (flow.mbit_per_s, flow.limit))
            .expect("a pair")
    };
    assert_eq!(
        flow("aws/eu-central-1", "gcp/europe-west3"),
        (7_000.0, FlowLimit::Agent)
    );
    let (rate, limit) = flow("aws/eu-central-1", "rack");
    assert_eq!(limit, FlowLimit::Window);
    assert!(near(rate, 3_145_728.0 * 8.0 / 0.025 / 1e6), "{rate}");
    assert_eq!(found.mesh.len(), 6, "four places");
}

#[test]
fn the_section_marks_what_nobody_measured() {
    let section = of(THREE_CLOUDS, &Data::built_in()).section();
    assert_eq!(section.id, "distance");
    let tables: Vec<&Table> = section
        .blocks
        .iter()
        .filter_map(|block| match block {
            Block::Table(table) => Some(table),
            Block::Heading(_)
            | Block::Text(_)
            | Block::Caution(_)
            | Block::Code(_)
            | Block::Chart(_) => None,
        })
        .collect();
    let ids: Vec<&str> = tables.iter().map(|table| table.id).collect();
    let expected = [
        "etcd-commit",
        "etcd-commit-without",
        "api-latency",
        "storage-latency",
        "mesh-throughput",
        "round-trips",
    ];
    assert_eq!(ids, expected);
    let matrix = tables.last().expect("a matrix");
    assert_eq!(matrix.rows.len() + 1, matrix.columns.len());
    assert!(
        matrix.rows[0][3].text.starts_with('~'),
        "{:?}",
        matrix.rows[0]
    );
    assert!(
        section.lead.starts_with("etcd commits in ~2.5 to ~7.0 ms"),
        "{}",
        section.lead
    );
}
