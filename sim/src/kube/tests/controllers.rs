//! Leader election, back-off, and what stands still without a leader.

use super::*;

fn exits(bed: &Bed, of: Component) -> Vec<(Time, Span)> {
    let exit = |(at, note): &(Time, KubeNote)| match note {
        KubeNote::Exited {
            component, backoff, ..
        } if *component == of => Some((*at, *backoff)),
        _ => None,
    };
    bed.ground.notes.iter().filter_map(exit).collect()
}

#[test]
fn a_leader_that_dies_is_replaced_when_its_lease_has_run_out() {
    for seed in 0..20 {
        let mut bed = bed(seed, &[("a", 2)]);
        bed.deploy(spec("web", 2));
        bed.run(secs(30));
        let old = bed.kube.leader(Component::ControllerManager).unwrap();
        bed.kill(old);
        let other = |bed: &Bed| bed.kube.leader(Component::ControllerManager) != Some(old);
        let gap = bed.until(other);
        assert!((13..=17).contains(&gap.as_secs()), "{gap}");
    }
}

#[test]
fn without_quorum_leaders_exit_after_ten_seconds_and_a_short_loss_harms_nothing() {
    let mut bed = bed(2, &[("a", 2)]);
    bed.deploy(spec("web", 2));
    bed.run(secs(30));
    bed.ground.quorum = false;
    bed.run(secs(8));
    bed.ground.quorum = true;
    bed.run(secs(30));
    assert!(exits(&bed, Component::ControllerManager).is_empty());
    let lost = bed.ground.now();
    bed.ground.quorum = false;
    bed.run(secs(14));
    for component in [Component::ControllerManager, Component::Scheduler] {
        let all = exits(&bed, component);
        let gap = all[0].0.since(lost);
        assert!((8..=12).contains(&gap.as_secs()), "{component:?} {gap}");
        assert_eq!(bed.kube.leader(component), None);
    }
}

#[test]
fn the_longer_the_quorum_is_lost_the_longer_a_restarted_controller_backs_off() {
    let mut bed = bed(2, &[("a", 2)]);
    bed.deploy(spec("web", 2));
    bed.run(secs(30));
    let leader = bed.kube.leader(Component::ControllerManager).unwrap();
    // The standbys die, so the one that led must come back itself.
    for host in (0..3).filter(|host| *host != leader) {
        bed.kill(host);
    }
    bed.ground.quorum = false;
    bed.run(secs(900));
    let waits: Vec<u64> = exits(&bed, Component::ControllerManager)
        .iter()
        .map(|(_, wait)| wait.as_secs())
        .collect();
    assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
    bed.ground.quorum = true;
    let gap = bed.until(|bed| bed.kube.leader(Component::ControllerManager).is_some());
    assert!((60..=320).contains(&gap.as_secs()), "{gap}");
}

#[test]
fn standbys_survive_a_quorum_loss_and_lead_soon_after_it_trusting_no_old_lease() {
    for seed in 0..10 {
        let mut bed = bed(seed, &[("a", 2)]);
        bed.deploy(spec("web", 2));
        bed.run(secs(30));
        bed.ground.quorum = false;
        bed.run(secs(300));
        bed.ground.quorum = true;
        let gap = bed.until(|bed| bed.kube.leader(Component::Scheduler).is_some());
        assert!(gap <= secs(3), "{gap}");
        bed.run(secs(700));
        let unready = |note: &KubeNote| matches!(note, KubeNote::Node { ready: false, .. });
        assert_eq!(bed.times(unready), []);
        assert_eq!(bed.evictions(), []);
    }
}

#[test]
fn a_new_controller_waits_six_minutes_anew_for_a_volume() {
    let mut bed = bed(2, &[("a", 3)]);
    let db = bed.deploy(WorkloadSpec {
        data: true,
        ..spec("db", 1)
    });
    let host = bed.kube.ready_hosts(db)[0];
    bed.kill(host);
    bed.until(|bed| !bed.evictions().is_empty());
    bed.run(secs(200));
    let old = bed.kube.leader(Component::ControllerManager);
    bed.kill(old.unwrap());
    bed.until(|bed| bed.kube.leader(Component::ControllerManager) != old);
    let gap = bed.until(|bed| bed.serving(db) == 1);
    assert!((362..=395).contains(&gap.as_secs()), "{gap}");
}

#[test]
fn without_a_leader_nothing_is_replaced_and_a_new_one_counts_anew() {
    let mut bed = bed(2, &[("a", 3), ("b", 3)]);
    let web = bed.deploy(spec("web", 6));
    bed.kill(3);
    bed.until(|bed| !bed.taints().is_empty());
    bed.run(secs(250));
    bed.ground.quorum = false;
    bed.run(secs(100));
    assert!(bed.evictions().is_empty());
    bed.ground.quorum = true;
    let back = bed.ground.now();
    bed.until(|bed| !bed.evictions().is_empty());
    let gap = bed.evictions()[0].since(back);
    assert!((299..=304).contains(&gap.as_secs()), "{gap}");
    bed.until(|bed| bed.serving(web) == 6);
}

#[test]
fn new_pods_wait_for_a_scheduler() {
    let mut bed = bed(2, &[("a", 3)]);
    let web = bed.deploy(spec("web", 2));
    bed.ground.quorum = false;
    bed.run(secs(20));
    bed.kube.scale(&mut bed.ground, web, 4);
    bed.run(secs(60));
    assert_eq!(bed.serving(web), 2);
    bed.ground.quorum = true;
    let gap = bed.until(|bed| bed.serving(web) == 4);
    assert!(gap <= secs(45), "{gap}");
    assert_eq!(bed.kube.counts(web).ready, 4);
}

#[test]
fn endpoints_lag_by_a_second_and_stand_still_where_the_api_is_not_seen() {
    let mut bed = bed(2, &[("a", 2), ("b", 2)]);
    let web = bed.deploy(spec("web", 4));
    assert_eq!(bed.kube.endpoints(3, web), [3, 4, 5, 6]);
    bed.run(secs(30));
    bed.ground.cut.insert(6);
    bed.kill(3);
    bed.run(secs(5));
    assert_eq!(bed.kube.endpoints(4, web), [3, 4, 5, 6], "nobody knows yet");
    assert!(!bed.kube.serves(&bed.ground, web, 3));
    bed.until(|bed| !bed.kube.ready_hosts(web).contains(&3));
    assert_eq!(bed.kube.endpoints(4, web)[0], 3);
    bed.run(secs(12));
    assert_eq!(bed.kube.endpoints(4, web), [4, 5]);
    assert_eq!(bed.kube.endpoints(6, web), [3, 4, 5, 6], "it is cut off");
    bed.ground.cut.clear();
    bed.run(secs(15));
    assert_eq!(bed.kube.endpoints(6, web), [4, 5, 6]);
}
