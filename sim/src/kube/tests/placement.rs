//! Scheduler, scaling, drain.

use super::*;
use quorate_engine::manifest::{Domain, Spread, WhenUnsatisfiable};

/// Pods of a workload by host.
fn spread(bed: &Bed, workload: WorkloadId) -> BTreeMap<u16, usize> {
    let mut hosts = BTreeMap::new();
    for host in bed.kube.ready_hosts(workload) {
        *hosts.entry(host).or_default() += 1;
    }
    hosts
}

#[test]
fn pods_are_spread_over_providers_and_then_over_nodes() {
    let mut bed = bed(1, &[("a", 1), ("b", 3)]);
    let web = bed.deploy(spec("web", 6));
    let hosts = spread(&bed, web);
    assert_eq!(hosts, BTreeMap::from([(3, 3), (4, 1), (5, 1), (6, 1)]));
}

#[test]
fn a_preferred_provider_is_filled_first_and_the_rest_bursts_and_comes_back() {
    let mut bed = bed(1, &[("home", 2), ("cloud", 2)]);
    let web = bed.deploy(WorkloadSpec {
        prefer: Some("home".to_owned()),
        ..spec("web", 4)
    });
    assert_eq!(spread(&bed, web), BTreeMap::from([(3, 2), (4, 2)]));
    bed.kube.scale(&mut bed.ground, web, 11);
    bed.run(secs(60));
    let burst = BTreeMap::from([(3, 4), (4, 4), (5, 2), (6, 1)]);
    assert_eq!(spread(&bed, web), burst);
    bed.kube.scale(&mut bed.ground, web, 20);
    bed.run(secs(60));
    let counts = Counts {
        desired: 20,
        ready: 16,
        pending: 4,
        unready: 0,
    };
    assert_eq!(bed.kube.counts(web), counts);
    let refused = bed.times(|note| matches!(note, KubeNote::Unschedulable { .. }));
    assert_eq!(refused.len(), 4, "each is told once");
    bed.add(7, "cloud", false);
    bed.run(secs(60));
    assert_eq!(bed.kube.counts(web).ready, 20);
    bed.kube.scale(&mut bed.ground, web, 4);
    bed.run(secs(60));
    assert_eq!(bed.kube.counts(web).ready, 4);
    assert_eq!(bed.serving(web), 4);
}

#[test]
fn taints_and_roles_keep_pods_off() {
    let mut bed = bed(1, &[("a", 1)]);
    let taint = |effect| quorate_engine::manifest::Taint {
        key: "k".to_owned(),
        value: String::new(),
        effect,
    };
    use quorate_engine::manifest::TaintEffect as Effect;
    for (host, effect) in [
        (4, Effect::NoSchedule),
        (5, Effect::NoExecute),
        (6, Effect::PreferNoSchedule),
    ] {
        let spec = NodeSpec {
            name: format!("{host:05}"),
            provider: "a".to_owned(),
            region: "a".to_owned(),
            zone: "a".to_owned(),
            control_plane: false,
            worker: true,
            capacity: Resources {
                cpu: Cpu(4_000),
                memory: Bytes(8 << 30),
            },
            taints: vec![taint(effect)],
        };
        bed.kube.add_node(&mut bed.ground, host, &spec);
    }
    let web = bed.deploy(spec("web", 6));
    assert_eq!(spread(&bed, web), BTreeMap::from([(3, 4), (6, 2)]));
}

#[test]
fn a_drain_never_takes_more_than_one_pod_of_a_workload_at_a_time() {
    let mut bed = bed(1, &[("a", 2), ("b", 2)]);
    let web = bed.deploy(spec("web", 3));
    let solo = bed.deploy(spec("solo", 1));
    bed.kube.scale(&mut bed.ground, web, 6);
    bed.run(secs(60));
    let host = 3;
    let before = spread(&bed, web)[&host];
    assert!(before >= 2, "{before}");
    assert!(bed.kube.drain(&mut bed.ground, host));
    assert!(!bed.kube.drain(&mut bed.ground, host), "joined");
    while bed.kube.draining(host) {
        bed.run(Span::from_ms(50));
        assert!(bed.kube.counts(web).ready >= 5);
    }
    assert_eq!(bed.ground.drained.len(), 1);
    assert_eq!(bed.ground.drained[0].2, DrainOutcome::Done);
    let view = bed.kube.views()[usize::from(host)];
    assert!(!view.schedulable && view.ready && view.pods == 0);
    assert!(!bed.kube.serves(&bed.ground, web, host));
    assert_eq!(bed.kube.counts(solo).ready, 1);
    bed.add(host, "a", false);
    assert!(bed.kube.views()[usize::from(host)].schedulable);
}

#[test]
fn a_drain_that_its_budget_forbids_is_stuck_and_says_so() {
    let mut bed = bed(1, &[("a", 1), ("b", 1)]);
    let web = bed.deploy(spec("web", 8));
    assert!(bed.kube.drain(&mut bed.ground, 3));
    bed.run(secs(1_700));
    assert!(bed.ground.drained.is_empty());
    // One could go; the node is full elsewhere, so the budget never recovers.
    let counts = bed.kube.counts(web);
    assert_eq!((counts.ready, counts.pending), (7, 1));
    bed.run(secs(120));
    let (at, host, outcome) = bed.ground.drained[0];
    assert_eq!((host, outcome), (3, DrainOutcome::Stuck));
    assert!(at >= Time::ZERO + secs(1_800));
}

#[test]
fn a_dead_node_is_drained_when_its_pods_are_evicted_and_a_missing_one_at_once() {
    let mut bed = bed(1, &[("a", 2), ("b", 2)]);
    let web = bed.deploy(spec("web", 4));
    bed.kill(3);
    bed.until(|bed| !bed.ready(3));
    bed.kube.drain(&mut bed.ground, 3);
    bed.kube.drain(&mut bed.ground, 99);
    bed.run(secs(3));
    let all: Vec<_> = bed.ground.drained.iter().map(|d| (d.1, d.2)).collect();
    assert_eq!(all, [(3, DrainOutcome::Done), (99, DrainOutcome::Done)]);
    bed.run(secs(30));
    assert_eq!(bed.serving(web), 4);
}

#[test]
fn scaling_down_takes_what_is_not_ready_then_what_is_crowded_then_what_is_young() {
    let mut bed = bed(1, &[("a", 3)]);
    let web = bed.deploy(spec("web", 3));
    bed.kube.scale(&mut bed.ground, web, 5);
    bed.run(secs(60));
    assert_eq!(spread(&bed, web), BTreeMap::from([(3, 2), (4, 2), (5, 1)]));
    let oldest: Vec<PodId> = bed.kube.pods.keys().copied().take(3).collect();
    bed.kube.scale(&mut bed.ground, web, 3);
    bed.run(secs(10));
    assert!(bed.kube.pods.keys().eq(&oldest));
    bed.kill(3);
    bed.until(|bed| !bed.ready(3));
    bed.kube.scale(&mut bed.ground, web, 2);
    bed.run(secs(10));
    assert_eq!(spread(&bed, web), BTreeMap::from([(4, 1), (5, 1)]));
}

fn spread_over(across: Domain, max_skew: u32, rule: WhenUnsatisfiable) -> Option<Spread> {
    Some(Spread {
        across,
        max_skew,
        when_unsatisfiable: rule,
    })
}

#[test]
fn a_strict_spread_waits_for_room_and_not_for_a_place_that_is_lost() {
    use WhenUnsatisfiable::{DoNotSchedule, ScheduleAnyway};
    for (rule, ready) in [(DoNotSchedule, 5), (ScheduleAnyway, 6)] {
        let mut bed = bed(1, &[("a", 2), ("b", 2)]);
        // Half of `a` is taken.
        bed.deploy(WorkloadSpec {
            prefer: Some("a".to_owned()),
            ..spec("base", 6)
        });
        let web = bed.deploy(WorkloadSpec {
            spread: spread_over(Domain::Provider, 1, rule),
            ..spec("web", 6)
        });
        bed.run(secs(60));
        let counts = bed.kube.counts(web);
        assert_eq!(
            (counts.ready, counts.pending),
            (ready, 6 - ready),
            "{rule:?}"
        );
        let hosts = spread(&bed, web);
        let at_a: usize = hosts.range(3..5).map(|(_, pods)| pods).sum();
        assert_eq!(at_a, 2, "as many as there is room for");
        // `a` is gone: nobody has to be even with it any more.
        bed.kill(3);
        bed.kill(4);
        bed.until(|bed| !bed.ready(3) && !bed.ready(4));
        bed.run(secs(30));
        assert_eq!(bed.kube.counts(web).pending, 0, "{rule:?}");
    }
}

#[test]
fn a_spread_is_kept_before_a_preference_and_counts_labels() {
    let mut bed = bed(1, &[("home", 2), ("cloud", 2)]);
    let web = bed.deploy(WorkloadSpec {
        prefer: Some("home".to_owned()),
        spread: spread_over(Domain::Region, 2, WhenUnsatisfiable::ScheduleAnyway),
        ..spec("web", 6)
    });
    // Two more at home are allowed, so the third pod goes elsewhere: 4 and 2 in the end.
    assert_eq!(
        spread(&bed, web),
        BTreeMap::from([(3, 2), (4, 2), (5, 1), (6, 1)])
    );
    let by_node = bed.deploy(WorkloadSpec {
        prefer: Some("home".to_owned()),
        spread: spread_over(Domain::Node, 1, WhenUnsatisfiable::DoNotSchedule),
        ..spec("even", 4)
    });
    assert_eq!(
        spread(&bed, by_node),
        BTreeMap::from([(3, 1), (4, 1), (5, 1), (6, 1)])
    );
}

#[test]
fn a_drain_leaves_what_the_budget_says() {
    for (kept, fewest) in [(None, 3), (Some(1), 2), (Some(0), 2)] {
        let mut bed = bed(1, &[("a", 1), ("b", 1)]);
        let web = bed.deploy(WorkloadSpec {
            min_available: kept,
            ..spec("web", 4)
        });
        assert!(bed.kube.drain(&mut bed.ground, 3));
        let mut seen = 4;
        while bed.kube.draining(3) {
            bed.run(Span::from_ms(50));
            seen = seen.min(bed.kube.counts(web).ready);
        }
        assert_eq!(seen, fewest, "{kept:?}");
        assert_eq!(bed.ground.drained[0].2, DrainOutcome::Done);
    }
}
