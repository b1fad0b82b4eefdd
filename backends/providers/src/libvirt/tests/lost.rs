//! Connections that end at every point at which something is being changed: repeating the call
//! finishes the work, and never does it twice.

use super::daemon::{Cut, Daemon};
use super::{Libvirt, ask, firewall, list_of, machine, network, sample, site};
use crate::Provider as _;
use crate::conformance::conform;
use quorate_engine::resource::Resource;
use quorate_engine::seam::{FaultClass, MachineState, Reply, Seen, Verb};
use std::sync::Arc;

fn all() -> [Arc<Resource>; 3] {
    [
        network("shop", "10.219.0.0/29"),
        firewall("shop", &[443]),
        machine("shop", 1, ("2x1GiB", "")),
    ]
}

async fn list(libvirt: &Libvirt) -> Vec<Seen> {
    match libvirt.call(&list_of("shop")).await {
        Ok(Reply::List(list)) => list,
        other => panic!("{other:?}"),
    }
}

/// Carries a call out, again after each fault; gives back how many faults there were.
async fn insist(libvirt: &Libvirt, verb: Verb, resource: &Arc<Resource>) -> usize {
    for faults in 0..3 {
        match ask(libvirt, verb, resource).await {
            Ok(_) => return faults,
            Err(fault) => assert_eq!(fault.class, FaultClass::Unknown, "{}", fault.detail),
        }
    }
    panic!("{verb} {} does not come to an end", resource.id);
}

#[tokio::test]
async fn the_daemon_in_memory_passes_the_conformance_suite() {
    let daemon = Daemon::start();
    let [ours, theirs] = [1, 2].map(|uid| Libvirt::new(site("shop", uid, &daemon.uri())));
    let broken = conform(&ours, sample("shop", "10.219.0.0/24", ("", &theirs))).await;
    assert_eq!(broken, Vec::<String>::new());
    let state = daemon.state.lock().unwrap();
    assert!(state.domains.is_empty() && state.networks.is_empty());
}

#[tokio::test]
async fn a_lost_connection_is_in_doubt_and_the_repeated_call_ends_the_work() {
    let mut cuts = 0;
    for at in 0.. {
        let mut lost = 0;
        for cut in [Cut::Before, Cut::After] {
            let daemon = Daemon::start();
            daemon.state.lock().unwrap().cut = Some((at, cut));
            let libvirt = Libvirt::new(site("shop", 1, &daemon.uri()));
            for resource in &all() {
                lost += insist(&libvirt, Verb::Create, resource).await;
            }
            let seen = list(&libvirt).await;
            assert_eq!(seen.len(), 3, "{at} {cut:?}: {seen:?}");
            assert!(seen.iter().all(|seen| seen.state == MachineState::Running));
            for resource in all().iter().rev() {
                lost += insist(&libvirt, Verb::Delete, resource).await;
            }
            let state = daemon.state.lock().unwrap();
            assert!(
                state.domains.is_empty() && state.networks.is_empty(),
                "{at} {cut:?}"
            );
            assert!(state.starts <= 2, "{at} {cut:?}");
        }
        if lost == 0 {
            break;
        }
        assert_eq!(lost, 2, "each cut is one lost answer");
        cuts += 1;
    }
    // Definition, start, autostart of a network; a definition; definition, start and autostart of
    // a machine; autostart, stop, definition gone; a definition gone; stop and definition gone.
    assert_eq!(cuts, 13);
}

#[tokio::test]
async fn whoever_comes_after_a_crash_sees_what_is_there_and_can_remove_it() {
    for at in 0..7 {
        for cut in [Cut::Before, Cut::After] {
            let daemon = Daemon::start();
            daemon.state.lock().unwrap().cut = Some((at, cut));
            {
                let dies = Libvirt::new(site("shop", 1, &daemon.uri()));
                for resource in &all() {
                    if ask(&dies, Verb::Create, resource).await.is_err() {
                        break;
                    }
                }
            }
            let next = Libvirt::new(site("shop", 1, &daemon.uri()));
            let seen = list(&next).await;
            let there = {
                let state = daemon.state.lock().unwrap();
                state.domains.len() + state.networks.len()
            };
            assert_eq!(seen.len(), there, "{at} {cut:?}: {seen:?}");
            for resource in all().iter().rev() {
                insist(&next, Verb::Delete, resource).await;
            }
            assert_eq!(list(&next).await, [], "{at} {cut:?}");
        }
    }
}

#[tokio::test]
async fn half_made_is_failed_in_a_list_and_not_there_to_a_description() {
    let daemon = Daemon::start();
    let libvirt = Libvirt::new(site("shop", 1, &daemon.uri()));
    for resource in &all() {
        ask(&libvirt, Verb::Create, resource).await.unwrap();
    }
    {
        let mut state = daemon.state.lock().unwrap();
        let domain = state.domains.get_mut("shop-w-1").unwrap();
        (domain.active, domain.autostart) = (false, false);
    }
    let [.., one] = &all();
    let of = |seen: Vec<Seen>| seen.into_iter().find(|seen| seen.id == one.id).unwrap();
    assert_eq!(of(list(&libvirt).await).state, MachineState::Error);
    assert_eq!(ask(&libvirt, Verb::Describe, one).await, Ok(Reply::Absent));
    ask(&libvirt, Verb::Create, one).await.unwrap();
    assert_eq!(of(list(&libvirt).await).state, MachineState::Running);
}

#[tokio::test]
async fn a_daemon_that_is_not_there_was_asked_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let uri = format!("test:///default?socket={}/none", folder.path().display());
    let libvirt = Libvirt::new(site("shop", 1, &uri));
    let [net, ..] = &all();
    let fault = ask(&libvirt, Verb::Create, net).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Retryable);
    assert!(fault.detail.contains("/none"), "{}", fault.detail);
    let problems = libvirt.preflight(&all()).await;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].what.contains("/none"), "{problems:?}");
    assert!(
        problems[0].fix.contains("systemctl start libvirtd"),
        "{problems:?}"
    );
}

#[tokio::test]
async fn a_socket_that_stops_answering_hurts_the_calls_on_it_and_no_later_one() {
    let daemon = Daemon::start();
    let libvirt = Libvirt::new(site("shop", 1, &daemon.uri()));
    let [net, ..] = &all();
    ask(&libvirt, Verb::Create, net).await.unwrap();
    daemon.state.lock().unwrap().mute = true;
    let deadline = std::time::Duration::from_millis(100);
    let given_up = tokio::time::timeout(deadline, ask(&libvirt, Verb::Describe, net)).await;
    assert!(given_up.is_err(), "{given_up:?}");
    daemon.state.lock().unwrap().mute = false;
    let seen = ask(&libvirt, Verb::Describe, net).await;
    assert!(matches!(seen, Ok(Reply::Seen(_))), "{seen:?}");
    assert_eq!(daemon.state.lock().unwrap().connections, 2);
}

#[tokio::test]
async fn two_at_once_get_two_addresses() {
    let daemon = Daemon::start();
    let libvirt = Libvirt::new(site("shop", 1, &daemon.uri()));
    let [net, wall, _] = &all();
    for resource in [net, wall] {
        ask(&libvirt, Verb::Create, resource).await.unwrap();
    }
    // Ids whose hashes collide in a small network are among them.
    let machines: Vec<_> = (0..4).map(|n| machine("shop", n, ("1x1GiB", ""))).collect();
    let [a, b, c, d] = [0, 1, 2, 3].map(|n| ask(&libvirt, Verb::Create, &machines[n]));
    let made = tokio::join!(a, b, c, d);
    let address = |made: Result<Reply, _>| match made {
        Ok(Reply::Seen(seen)) => seen.address.unwrap(),
        other => panic!("{other:?}"),
    };
    let all = [made.0, made.1, made.2, made.3].map(address);
    let different: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(different.len(), 4, "{all:?}");
}

#[tokio::test]
async fn one_creation_at_a_time_is_carried_out_for_one_machine() {
    let daemon = Daemon::start();
    let libvirt = Libvirt::new(site("shop", 1, &daemon.uri()));
    let [net, wall, one] = &all();
    for resource in [net, wall] {
        ask(&libvirt, Verb::Create, resource).await.unwrap();
    }
    let [a, b] = [0, 1].map(|_| ask(&libvirt, Verb::Create, one));
    let (a, b) = tokio::join!(a, b);
    assert_eq!(a, b);
    assert!(a.is_ok(), "{a:?}");
    assert_eq!(daemon.state.lock().unwrap().starts, 1);
}
