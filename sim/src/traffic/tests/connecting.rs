//! What clients make of dead and of refusing addresses.

use super::lab::*;
use crate::traffic::*;
use quorate_engine::time::Span;

/// One client of this system, one request at a time, towards load balancer 1.
fn one(os: Os, connect_timeout: Option<Span>, target: Target) -> PopulationSettings {
    PopulationSettings {
        target,
        interval: secs(1_000),
        arrivals: Arrivals::Regular,
        os_mix: vec![(os, 1)],
        request_timeout: secs(900),
        connect_timeout,
        ..PopulationSettings::default()
    }
}

#[test]
fn a_blackholed_address_costs_what_the_system_says() {
    let systems = [
        (Os::Linux, 131_000),
        (Os::LinuxOld, 127_000),
        (Os::Windows, 21_000),
        (Os::Macos, 75_000),
        (Os::Ios, 11_200),
        (Os::Android, 63_000),
    ];
    for (os, error_ms) in systems {
        for (patience, expected_ms) in [(None, error_ms), (Some(secs(3)), 3_000)] {
            let mut lab = Lab::ingress(1);
            lab.power_off(1);
            let clients = lab.clients(one(os, patience, Target::Balancer(1)));
            lab.run(secs(1_500));
            let failures = &lab.traffic.stats(clients).failures;
            let [failed] = failures[..] else {
                panic!("{os:?}: one request should have failed: {failures:?}");
            };
            assert_eq!(failed.cause, Cause::ConnectTimeout, "{os:?}");
            assert_eq!(failed.end.since(failed.start), ms(expected_ms), "{os:?}");
        }
    }
}

#[test]
fn a_blackhole_costs_a_time_out_and_a_reset_costs_a_round_trip() {
    let extra_ms = |stop: fn(&mut Lab)| {
        let mut lab = Lab::ingress(3);
        stop(&mut lab);
        let clients = lab.clients(PopulationSettings {
            interval: ms(100),
            ..PopulationSettings::default()
        });
        lab.run(secs(20));
        let stats = lab.traffic.stats(clients);
        assert_eq!(stats.failed(), 0, "the next address works");
        stats.latency_us.max() / 1_000
    };
    let healthy_ms = extra_ms(|_| {});
    let refused_ms = extra_ms(|lab| {
        lab.ground.stopped.insert((1, Service::LoadBalancer));
    });
    let blackholed_ms = extra_ms(|lab| lab.power_off(1));
    assert!(
        refused_ms <= healthy_ms + 2 * 2 * CLIENT_MS,
        "{refused_ms} after {healthy_ms}"
    );
    assert!((3_000..3_100).contains(&blackholed_ms), "{blackholed_ms}");
}

#[test]
fn one_of_three_connections_meets_the_dead_address_first() {
    let mut lab = Lab::ingress(4);
    lab.power_off(2);
    let clients = lab.clients(PopulationSettings {
        interval: ms(5),
        ..PopulationSettings::default()
    });
    lab.run(secs(20));
    lab.traffic.stop(clients);
    lab.run(secs(5));
    let stats = lab.traffic.stats(clients);
    let slow = stats.latency_us.count_between(2_900_000, 3_500_000);
    let share = slow as f64 / stats.ok as f64;
    assert!((0.30..0.37).contains(&share), "{share}");
}

#[test]
fn a_healed_path_is_found_at_the_next_retransmission() {
    let mut lab = Lab::ingress(5);
    lab.power_off(1);
    let clients = lab.clients(one(Os::LinuxOld, None, Target::Balancer(1)));
    lab.run(secs(1_000) + ms(3_500));
    lab.power_on(1);
    lab.run(secs(20));
    // SYNs at 0, 1, 3 and 7 s: the one at 7 s arrives.
    let stats = lab.traffic.stats(clients);
    let latency_ms = stats.latency_us.max() / 1_000;
    assert_eq!((stats.ok, stats.failed()), (1, 0));
    assert!((7_000..7_100).contains(&latency_ms), "{latency_ms}");
}

#[test]
fn happy_eyeballs_rescues_two_families_but_not_one() {
    let slowest_ms = |dual_stack| {
        let lab_record = RecordSettings {
            dual_stack,
            ..record(60)
        };
        let check = quorate_engine::manifest::BackendCheck::default();
        let kind = quorate_engine::manifest::LbKind::Ingress;
        let mut lab = Lab::new(6, ForwardSettings::of(kind, &check), lab_record);
        lab.power_off(1);
        let clients = lab.clients(PopulationSettings {
            interval: ms(20),
            happy_eyeballs: HappyEyeballs::DualStack { delay: ms(250) },
            ..PopulationSettings::default()
        });
        lab.run(secs(15));
        let latency = &lab.traffic.stats(clients).latency_us;
        let rescued = latency.count_between(250_000, 300_000);
        let waited = latency.count_between(2_900_000, 3_600_000);
        (rescued, waited)
    };
    let (rescued, waited) = slowest_ms(false);
    assert!(
        rescued == 0 && waited > 100,
        "IPv4 alone: {rescued} rescued, {waited} waited"
    );
    let (rescued, waited_dual) = slowest_ms(true);
    // Both families at the dead load balancer first: one in nine instead of one in three.
    assert!(rescued > 100, "both families: {rescued} rescued");
    assert!(
        waited_dual < waited / 2,
        "both families: {waited_dual} waited, not {waited}"
    );
}

#[test]
fn a_blip_costs_retransmissions_and_a_lost_machine_costs_the_request() {
    let story = |lose: bool| {
        let mut lab = Lab::ingress(7);
        let clients = lab.clients(PopulationSettings {
            interval: ms(10),
            connect_timeout: None,
            arrivals: Arrivals::Regular,
            ..PopulationSettings::default()
        });
        lab.run(secs(2) + ms(1));
        for host in BACKENDS {
            if lose {
                lab.power_off(host);
            } else {
                for balancer in BALANCERS {
                    lab.ground
                        .cut
                        .insert((End::Host(host), End::Host(balancer)));
                }
            }
        }
        lab.run(ms(100));
        lab.ground.cut.clear();
        for host in BACKENDS {
            lab.power_on(host);
        }
        lab.run(secs(10));
        let stats = lab.traffic.stats(clients);
        (stats.failed_by_cause[Cause::Reset as usize], stats.failed())
    };
    assert_eq!(story(false), (0, 0), "answers are sent again");
    let (reset, failed) = story(true);
    assert!(reset > 0 && reset == failed, "{reset} of {failed}");
}

#[test]
fn kept_connections_hang_on_a_dead_balancer_until_patience_ends() {
    let mut lab = Lab::ingress(8);
    let clients = lab.clients(PopulationSettings {
        interval: ms(10),
        keep_alive: 1.0,
        connections: 30,
        request_timeout: secs(2),
        connect_timeout: Some(ms(200)),
        ..PopulationSettings::default()
    });
    lab.run(secs(5));
    let slowest_ms = lab.traffic.stats(clients).latency_us.max() / 1_000;
    let fault = lab.now();
    lab.power_off(1);
    lab.run(secs(30));
    let stats = lab.traffic.stats(clients);
    let clean = stats.clean_after(fault, lab.now(), None);
    let clean = clean.expect("requests on its connections fail");
    assert!(clean > secs(2) && clean < secs(6), "{clean}");
    assert!(stats.failed_by_cause[Cause::Timeout as usize] == stats.failed());
    // A reused connection needs one round trip, a new one three.
    let kept_us = stats.latency_us.value_at_quantile(0.5);
    let trip_us = 2 * (CLIENT_MS + HOST_MS) * 1_000;
    assert!(kept_us < trip_us + SERVE_MS * 1_000 + 500, "{kept_us} us");
    assert!(slowest_ms * 1_000 >= 3 * trip_us, "{slowest_ms} ms");
}

#[test]
fn systems_take_part_by_their_weights() {
    let mut lab = Lab::ingress(9);
    let clients = lab.clients(PopulationSettings {
        target: Target::Balancer(9),
        interval: ms(5),
        os_mix: vec![(Os::Linux, 5), (Os::Windows, 3), (Os::Ios, 2)],
        ..PopulationSettings::default()
    });
    lab.ground.stopped.insert((9, Service::LoadBalancer));
    lab.run(secs(50));
    let failures = &lab.traffic.stats(clients).failures;
    for (os, tenths) in [
        (Os::Linux, 5),
        (Os::Windows, 3),
        (Os::Ios, 2),
        (Os::Macos, 0),
    ] {
        let count = failures.iter().filter(|failed| failed.os == os).count();
        let share = count as f64 / failures.len() as f64;
        let expected = f64::from(tenths) / 10.0;
        assert!((share - expected).abs() < 0.02, "{os:?}: {share}");
    }
}
