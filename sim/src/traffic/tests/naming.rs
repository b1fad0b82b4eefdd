//! DNS failover, resolver caches and provider outages.

use super::lab::*;
use crate::traffic::*;
use quorate_engine::manifest::{BackendCheck, LbKind};
use quorate_engine::time::{Span, Time};

fn forward() -> ForwardSettings {
    ForwardSettings::of(LbKind::Ingress, &BackendCheck::default())
}

/// Clients that try one address only as long as they have patience for the whole request.
fn impatient(interval_ms: u64) -> PopulationSettings {
    PopulationSettings {
        interval: ms(interval_ms),
        request_timeout: secs(3),
        connect_timeout: None,
        ..PopulationSettings::default()
    }
}

#[test]
fn failover_takes_detection_plus_what_is_left_of_the_ttl_plus_a_connect_time_out() {
    let mut left_after = Vec::new();
    let mut clean_after = Vec::new();
    let mut per_resolver_ms = Vec::new();
    for seed in 0..60 {
        let mut lab = Lab::new(seed, forward(), record(60));
        let clients = lab.clients(impatient(50));
        lab.run(secs(120) + ms(seed * 171));
        let fault = lab.now();
        lab.power_off(1);
        lab.run(secs(120));
        let left = lab.noted(|n| matches!(n, TrafficNote::AddressLeft { host: 1, .. }));
        left_after.push(left[0].since(fault));
        let stats = lab.traffic.stats(clients);
        clean_after.push(stats.clean_after(fault, lab.now(), None).expect("it hurts"));
        // Hurt resolvers come back uniformly over the TTL after the address has left.
        let late = stats.failures.iter().filter(|f| f.start > left[0]);
        per_resolver_ms.extend(late.map(|f| f.start.since(left[0]).as_ms()));
        assert_eq!(
            stats.failed(),
            stats.failed_by_cause[Cause::Timeout as usize]
        );
    }
    // Interval x threshold: the first failed check within 10 s, two more, and 2 s of time-out.
    let (least, most) = (left_after.iter().min(), left_after.iter().max());
    assert!(
        least >= Some(&secs(22)) && most <= Some(&secs(32)),
        "{least:?} to {most:?}"
    );
    let mean_ms = left_after.iter().map(|s| s.as_ms()).sum::<u64>() / left_after.len() as u64;
    assert!((25_500..28_500).contains(&mean_ms), "{mean_ms}");
    // The last of a hundred resolvers hurts almost for the whole TTL.
    let worst = clean_after.iter().max().expect("sixty runs");
    assert!(*worst > secs(85) && *worst <= secs(32 + 60 + 3), "{worst}");
    // Failures thin out linearly with expiry: their mean is at a third of the TTL.
    let mean_ms = per_resolver_ms.iter().sum::<u64>() / per_resolver_ms.len() as u64;
    assert!((17_000..23_000).contains(&mean_ms), "{mean_ms}");
}

#[test]
fn one_resolvers_failover_takes_about_a_minute_in_the_mean() {
    let mut total = Span::ZERO;
    let runs = 200;
    for seed in 0..runs {
        let mut lab = Lab::new(seed, forward(), record(60));
        lab.traffic.add_resolvers(ResolverSettings {
            resolvers: 1,
            ..resolvers()
        });
        let clients = lab.clients(PopulationSettings {
            resolvers: 1,
            ..impatient(200)
        });
        // All luck of phases: the check's and the cache's against the fault.
        lab.run(secs(100) + ms(seed * 1_313 % 60_000));
        let fault = lab.now();
        lab.power_off(1);
        lab.run(secs(110));
        let stats = lab.traffic.stats(clients);
        total += stats.clean_after(fault, lab.now(), None).expect("it hurts");
    }
    // 5 + 20 + 2 s of detection, 30 s of TTL, 3 s of connecting.
    let mean_ms = total.as_ms() / runs;
    assert!((56_500..63_500).contains(&mean_ms), "{mean_ms}");
}

#[test]
fn a_sick_backend_behind_a_live_balancer_is_seen_only_by_the_deeper_check() {
    for (probe, leaves) in [
        (DnsProbe::Handshake, 0),
        (DnsProbe::LiveBackend { role: 0 }, 1),
    ] {
        let mut lab = Lab::new(
            2,
            forward(),
            RecordSettings {
                probe,
                ..record(60)
            },
        );
        lab.run(secs(10));
        for host in BACKENDS {
            lab.ground.cut.insert((End::Host(1), End::Host(host)));
        }
        lab.run(secs(60));
        let left = lab.noted(|n| matches!(n, TrafficNote::AddressLeft { host: 1, .. }));
        assert_eq!(left.len(), leaves, "{probe:?}");
        assert!(!lab.traffic.has_live_backend(1, 0));
    }
}

#[test]
fn an_address_returns_after_as_many_good_checks_as_it_needed_bad_ones() {
    let mut lab = Lab::new(3, forward(), record(60));
    lab.run(secs(20));
    lab.power_off(2);
    lab.run(secs(60));
    assert_eq!(lab.traffic.published(0), [1, 3]);
    // A single good check changes nothing.
    lab.power_on(2);
    lab.run(secs(10));
    lab.power_off(2);
    lab.run(secs(11));
    lab.power_on(2);
    let back = lab.now();
    lab.run(secs(19));
    assert_eq!(lab.traffic.published(0), [1, 3]);
    lab.run(secs(20));
    assert_eq!(lab.traffic.published(0), [1, 2, 3]);
    let entered = lab.noted(|n| matches!(n, TrafficNote::AddressEntered { host: 2, .. }));
    assert!(entered[0] >= back + secs(20), "{}", entered[0]);
}

#[test]
fn an_answer_is_never_empty() {
    let mut lab = Lab::new(4, forward(), record(60));
    lab.run(secs(5));
    for host in BALANCERS {
        lab.power_off(host);
    }
    lab.run(secs(60));
    assert_eq!(lab.traffic.published(0), BALANCERS);
    let said = lab.noted(|n| matches!(n, TrafficNote::AllAddressesSick { record: 0 }));
    assert_eq!(said.len(), 1);
    lab.power_on(3);
    lab.run(secs(60));
    assert_eq!(lab.traffic.published(0), [3]);
}

/// The provider's name servers fall silent at 100 s; returns the population's number.
fn dns_outage(lab: &mut Lab, settings: PopulationSettings) -> (u16, Time) {
    let clients = lab.clients(settings);
    lab.run(secs(100));
    let fault = lab.now();
    lab.traffic.set_dns_planes(&mut lab.ground, 0, false, false);
    lab.run(secs(120));
    (clients, fault)
}

#[test]
fn caches_carry_clients_through_a_dns_outage_until_their_ttl_ends() {
    let mut lab = Lab::new(5, forward(), record(60));
    let (clients, fault) = dns_outage(&mut lab, PopulationSettings::default());
    let stats = lab.traffic.stats(clients);
    let bad: Vec<_> = stats.failures.iter().map(|f| f.cause).collect();
    assert!(!bad.is_empty() && bad.iter().all(|cause| *cause == Cause::Dns));
    let first = stats.failures.iter().map(|f| f.start).min();
    assert!(first.is_some_and(|at| at > fault), "{first:?}");
    let (ok, all) = stats.between(fault + secs(61), fault + secs(119));
    assert!(
        ok == 0 && all > 100,
        "{ok} of {all} got through without an address"
    );
    let (ok, all) = stats.between(fault, fault + secs(30));
    assert!((60..95).contains(&(100 * ok / all)), "{ok} of {all}");
    // The provider is back: at most the memory of the failure remains.
    lab.traffic.set_dns_planes(&mut lab.ground, 0, true, true);
    let healed = lab.now();
    lab.run(secs(30));
    let stats = lab.traffic.stats(clients);
    let clean = stats.clean_after(healed, lab.now(), None);
    assert!(clean.is_some_and(|clean| clean <= secs(8)), "{clean:?}");
}

#[test]
fn stale_answers_and_extended_ttls_bridge_a_dns_outage() {
    for (stale, extending_share) in [(Some(secs(3_600)), 0.0), (None, 1.0)] {
        let mut lab = Lab::new(6, forward(), record(60));
        lab.traffic.add_resolvers(ResolverSettings {
            stale,
            extending_share,
            ..resolvers()
        });
        let settings = PopulationSettings {
            resolvers: 1,
            ..PopulationSettings::default()
        };
        let (clients, _) = dns_outage(&mut lab, settings);
        let stats = lab.traffic.stats(clients);
        assert_eq!(stats.failed(), 0, "{stale:?}, {extending_share}");
        assert!(stats.ok > 8_000);
    }
}

#[test]
fn without_its_control_plane_a_provider_changes_nothing_until_it_is_back() {
    let mut lab = Lab::new(7, forward(), record(60));
    lab.traffic.set_dns_planes(&mut lab.ground, 0, false, true);
    lab.power_off(1);
    lab.traffic.set_record(&mut lab.ground, 0, &[1, 3]);
    lab.run(secs(100));
    assert_eq!(lab.traffic.published(0), BALANCERS);
    lab.traffic.set_dns_planes(&mut lab.ground, 0, true, true);
    lab.run(secs(1));
    assert_eq!(lab.traffic.published(0), [3]);
}

#[test]
fn some_resolvers_extend_the_ttl() {
    let mut lab = Lab::new(8, forward(), record(60));
    lab.traffic.add_resolvers(ResolverSettings {
        resolvers: 2_000,
        ..ResolverSettings::default()
    });
    let clients = lab.clients(PopulationSettings {
        resolvers: 1,
        connect_timeout: None,
        request_timeout: secs(3),
        interval: ms(5),
        ..PopulationSettings::default()
    });
    lab.run(secs(120));
    lab.power_off(1);
    lab.run(secs(30 + 60 + 120));
    // Only extending resolvers still know the dead address, and one client in three takes it.
    let (ok, all) = {
        let end = lab.now();
        let until = Time(end.0 - secs(5).0);
        lab.traffic
            .stats(clients)
            .between(Time(until.0 - secs(60).0), until)
    };
    let share = (all - ok) as f64 / all as f64;
    assert!((0.020..0.040).contains(&share), "{share}");
}

#[test]
fn a_floor_under_the_ttl_keeps_a_short_lived_answer() {
    // (floor, when a cache that lives by a TTL of 2 s has forgotten the dead address)
    for (floor_secs, hurts_long) in [(0, false), (600, true)] {
        let mut lab = Lab::new(9, forward(), record(2));
        lab.traffic.add_resolvers(ResolverSettings {
            ttl_floor: secs(floor_secs),
            ..resolvers()
        });
        let clients = lab.clients(PopulationSettings {
            resolvers: 1,
            ..impatient(20)
        });
        lab.run(secs(60));
        let fault = lab.now();
        lab.power_off(1);
        lab.run(secs(90));
        let clean = lab
            .traffic
            .stats(clients)
            .clean_after(fault, lab.now(), None);
        let clean = clean.expect("it hurts");
        assert_eq!(
            clean > secs(32 + 2 + 3),
            hurts_long,
            "floor {floor_secs} s: {clean}"
        );
    }
}

#[test]
fn a_lookup_asks_silent_name_servers_several_times() {
    let mut lab = Lab::new(10, forward(), record(60));
    lab.traffic.set_dns_planes(&mut lab.ground, 0, true, false);
    let clients = lab.clients(PopulationSettings {
        interval: secs(50),
        arrivals: Arrivals::Regular,
        ..PopulationSettings::default()
    });
    lab.run(secs(80));
    let failed = lab.traffic.stats(clients).failures[0];
    assert_eq!(failed.cause, Cause::Dns);
    assert_eq!(
        failed.end.since(failed.start),
        secs(6),
        "three queries of 2 s"
    );
    // The second lookup's last query is answered.
    lab.run(secs(23));
    lab.traffic.set_dns_planes(&mut lab.ground, 0, true, true);
    lab.run(secs(10));
    let stats = lab.traffic.stats(clients);
    assert_eq!((stats.ok, stats.failed()), (1, 1));
    assert_eq!(stats.latency_us.max() / 1_000_000, 4);
}
