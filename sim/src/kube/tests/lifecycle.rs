//! Detection, taints, evictions, zones, volumes of dead nodes.

use super::*;

/// From the death of a node with one pod: NotReady, tainted, evicted, serving elsewhere.
struct Loss {
    unready: Span,
    since_lease: Span,
    evicted: Span,
    served: Span,
}

fn lose_a_node(seed: u64, minor: u32, data: bool) -> Loss {
    let mut bed = bed(seed, &[("a", 3), ("b", 3)]);
    bed.kube.settings = Settings::of_minor(minor);
    let web = bed.deploy(WorkloadSpec {
        data,
        ..spec("web", 1)
    });
    bed.run(secs(60) + Span::from_ms(seed * 137));
    let host = bed.kube.ready_hosts(web)[0];
    let lease = bed.kube.node(host).unwrap().renewed;
    bed.kill(host);
    let died = bed.ground.now();
    bed.until(|bed| !bed.ready(host));
    let unready = bed.ground.now().since(died);
    let since_lease = bed.ground.now().since(lease);
    bed.until(|bed| !bed.evictions().is_empty());
    let evicted = bed.ground.now().since(died);
    bed.until(|bed| bed.serving(web) == 1);
    Loss {
        unready,
        since_lease,
        evicted,
        served: bed.ground.now().since(died),
    }
}

fn within(span: Span, low: u64, high: u64) {
    assert!(
        (low * 1_000..=high * 1_000).contains(&span.as_ms()),
        "{span} is not within {low} s and {high} s"
    );
}

fn mean(spans: impl Iterator<Item = Span>) -> Span {
    let all: Vec<u64> = spans.map(|s| s.0).collect();
    Span(all.iter().sum::<u64>() / all.len() as u64)
}

#[test]
fn a_dead_node_is_noticed_after_the_grace_period_and_its_pods_go_300_s_later() {
    for (minor, grace) in [(30, 40), (31, 40), (32, 50), (35, 50)] {
        let runs: Vec<Loss> = (0..40).map(|s| lose_a_node(s, minor, false)).collect();
        for run in &runs {
            // The last renewal is at most 10.4 s before death, its notice at most 5 s after it.
            within(run.since_lease, grace, grace + 6);
            within(run.unready, grace - 11, grace + 6);
            within(run.evicted - run.unready, 300, 301);
        }
        let noticed = mean(runs.iter().map(|r| r.since_lease));
        within(noticed, grace + 1, grace + 4);
        // The usual estimate with a grace of 40 s: 345 to 360 s, image and boot included.
        let served = mean(runs.iter().map(|r| r.served));
        within(served, grace + 300, grace + 320);
        for run in &runs {
            within(run.served - run.evicted, 2, 30);
        }
    }
}

#[test]
fn a_volume_leaves_a_dead_node_six_minutes_after_the_eviction() {
    for seed in 0..10 {
        let run = lose_a_node(seed, 30, true);
        within(run.served - run.evicted, 362, 395);
    }
}

#[test]
fn the_out_of_service_taint_frees_pods_and_volumes_at_once() {
    let mut bed = bed(5, &[("a", 3)]);
    let db = bed.deploy(WorkloadSpec {
        data: true,
        ..spec("db", 1)
    });
    let host = bed.kube.ready_hosts(db)[0];
    bed.kill(host);
    bed.kube.out_of_service(&mut bed.ground, host);
    bed.until(|bed| !bed.ready(host));
    // One period of pod garbage collection, then attach and start.
    let rest = bed.until(|bed| bed.serving(db) == 1);
    within(rest, 3, 55);
    assert!(bed.evictions().is_empty());
}

#[test]
fn a_pod_that_moves_from_a_living_node_takes_its_volume_with_it() {
    let mut bed = bed(5, &[("a", 3)]);
    let db = bed.deploy(WorkloadSpec {
        data: true,
        ..spec("db", 1)
    });
    let host = bed.kube.ready_hosts(db)[0];
    bed.kube.drain(&mut bed.ground, host);
    bed.until(|bed| bed.serving(db) == 0);
    let moved = bed.until(|bed| bed.serving(db) == 1);
    within(moved, 5, 30);
    assert_ne!(bed.kube.ready_hosts(db), [host]);
}

/// Kills hosts at once, with leases of one instant, so that one turn notices them all.
fn lose(bed: &mut Bed, hosts: std::ops::Range<u16>) {
    let now = bed.ground.now();
    for host in hosts {
        bed.kill(host);
        bed.kube.node_mut(host).unwrap().renewed = now;
    }
}

#[test]
fn losing_part_of_a_zone_evicts_nothing_and_losing_all_of_it_evicts_a_node_in_ten_seconds() {
    let cases = [
        // Of five nodes: two are below 55 %, three are above.
        (5..7, 2, ZoneState::Normal),
        (5..8, 0, ZoneState::Partial),
        (5..9, 0, ZoneState::Partial),
        (4..9, 5, ZoneState::Full),
    ];
    for (lost, tainted, state) in cases {
        let mut bed = bed(3, &[("b", 1), ("a", 5), ("c", 3)]);
        bed.deploy(spec("web", 18));
        bed.run(secs(30));
        lose(&mut bed, lost.clone());
        bed.run(secs(250));
        assert_eq!(bed.kube.zone_state(4), state, "{lost:?}");
        let taints = bed.taints();
        assert_eq!(taints.len(), tainted, "{lost:?}");
        for pair in taints.windows(2) {
            within(pair[1].since(pair[0]), 10, 11);
        }
        bed.run(secs(200));
        assert_eq!(bed.evictions().is_empty(), tainted == 0, "{lost:?}");
    }
}

#[test]
fn a_zone_with_fewer_than_three_silent_nodes_is_never_partly_disrupted() {
    let mut bed = bed(3, &[("a", 3), ("b", 3)]);
    bed.deploy(spec("web", 6));
    lose(&mut bed, 3..5);
    bed.run(secs(400));
    assert_eq!(bed.taints().len(), 2);
}

#[test]
fn a_large_zone_that_is_partly_lost_evicts_at_the_secondary_rate() {
    let mut bed = bed(3, &[("a", 51), ("b", 3)]);
    bed.deploy(spec("web", 60));
    bed.run(secs(30));
    lose(&mut bed, 3..35);
    bed.run(secs(350));
    let taints = bed.taints();
    // A token was there; then one in 100 s.
    assert_eq!(taints.len(), 4, "{taints:?}");
    within(taints[2].since(taints[1]), 100, 101);
}

#[test]
fn nobody_is_evicted_while_no_kubelet_is_heard_and_afterwards_everything_is_as_before() {
    let mut bed = bed(3, &[("a", 3), ("b", 3)]);
    let web = bed.deploy(spec("web", 6));
    bed.run(secs(30));
    let mut silent = bed.kube.settings.clone();
    silent.lease = secs(100_000);
    let usual = std::mem::replace(&mut bed.kube.settings, silent);
    bed.run(secs(900));
    assert!((0..9).all(|host| !bed.ready(host)));
    assert!(bed.evictions().is_empty());
    assert_eq!(bed.serving(web), 6);
    assert_eq!(bed.kube.counts(web).ready, 0);
    bed.kube.settings = usual;
    for host in 0..9 {
        let epoch = bed.kube.node(host).unwrap().epoch;
        bed.kube
            .handle(&mut bed.ground, KubeEvent::Lease { host, epoch });
    }
    bed.run(secs(600));
    assert!(bed.evictions().is_empty());
    assert_eq!(bed.kube.counts(web).ready, 6);
}

#[test]
fn when_one_zone_is_heard_again_the_others_are_evicted_after_all() {
    let mut bed = bed(3, &[("a", 3), ("b", 3)]);
    let web = bed.deploy(spec("web", 6));
    bed.run(secs(30));
    // The control plane's own kubelets are silent too: their machines live, and so does the API.
    for host in 0..9 {
        let node = bed.kube.node_mut(host).unwrap();
        node.epoch += 1;
        node.renewed = bed.ground.now();
    }
    bed.run(secs(600));
    assert_eq!(bed.taints(), []);
    for host in 6..9 {
        let epoch = bed.kube.node(host).unwrap().epoch;
        bed.kube
            .handle(&mut bed.ground, KubeEvent::Lease { host, epoch });
    }
    bed.run(secs(400));
    assert_eq!(bed.taints().len(), 6);
    assert_eq!(bed.evictions().len(), 3);
    assert_eq!(bed.kube.counts(web).ready, 6);
}

#[test]
fn a_node_that_returns_in_time_keeps_its_pods() {
    let mut bed = bed(4, &[("a", 2), ("b", 2)]);
    let web = bed.deploy(spec("web", 4));
    bed.run(secs(30));
    bed.ground.cut.insert(3);
    bed.until(|bed| !bed.ready(3));
    assert_eq!(bed.serving(web), 4, "a partition ends no container");
    assert_eq!(bed.kube.counts(web).ready, 3);
    bed.run(secs(200));
    bed.ground.cut.clear();
    bed.run(secs(200));
    assert!(bed.evictions().is_empty());
    assert_eq!(bed.kube.counts(web).ready, 4);
    assert_eq!(bed.taints().len(), 1);
}

#[test]
fn a_rebooted_node_starts_its_pods_again_and_one_that_was_given_up_ends_them() {
    let mut bed = bed(4, &[("a", 2), ("b", 2)]);
    let web = bed.deploy(spec("web", 4));
    bed.kill(3);
    bed.run(secs(15));
    bed.boot(3);
    assert_eq!(bed.serving(web), 3, "the containers are gone");
    within(bed.until(|bed| bed.serving(web) == 4), 2, 20);
    bed.ground.cut.insert(3);
    bed.until(|bed| !bed.evictions().is_empty());
    bed.run(secs(60));
    assert_eq!(bed.serving(web), 5, "one replaced, one nobody could stop");
    bed.ground.cut.clear();
    bed.run(secs(30));
    assert_eq!(bed.serving(web), 4);
    let views = bed.kube.views();
    assert_eq!(views.iter().map(|view| view.pods).sum::<u32>(), 4);
}

#[test]
fn pods_of_a_deleted_node_go_by_garbage_collection() {
    let mut bed = bed(4, &[("a", 2), ("b", 2)]);
    let web = bed.deploy(spec("web", 4));
    bed.kill(3);
    bed.kube.remove_node(&mut bed.ground, 3);
    assert_eq!(bed.kube.views().len(), 6);
    assert_eq!(bed.kube.counts(web).ready, 4, "nobody has looked yet");
    within(bed.until(|bed| bed.kube.counts(web).ready < 4), 40, 61);
    within(bed.until(|bed| bed.serving(web) == 4), 3, 30);
    bed.ground.dead.clear();
    bed.add(3, "a", false);
    within(bed.until(|bed| bed.ready(3)), 6, 8);
}
