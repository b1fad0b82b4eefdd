//! Whole lives: looking, agreeing, destroying, and what one's own hosts and somebody else do.

use super::ground::{Ground, manifest};
use crate::engine::Mode;
use crate::journal::{Entry, Ledger};
use crate::resource::{Kind, ResourceId};
use crate::seam::{Ending, HostView, Verb};
use crate::time::Span;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

const OWN: [&str; 2] = ["203.0.113.11", "203.0.113.12"];

fn id(path: &str) -> ResourceId {
    ResourceId::new(format!("shop/{path}"))
}

fn ledger(ground: &Ground) -> Ledger {
    Ledger::replay(&ground.journal)
}

#[test]
fn a_built_world_is_a_mesh_and_stays_as_it_is() {
    let manifest = manifest(2, &OWN);
    let mut ground = Ground::built(&manifest);
    assert_eq!(
        ground.things.len(),
        4,
        "two machines, a network, a firewall"
    );
    assert_eq!(ledger(&ground).peers.len(), 4);
    let before = ground.journal.len();
    assert_eq!(
        ground.live(&manifest, Mode::Apply, None).1,
        Ending::Converged
    );
    assert_eq!(ground.mutations(), [""; 0]);
    assert_eq!(ground.journal.len(), before);
}

#[test]
fn who_looks_leaves_nothing_behind_and_has_seen_it_all() {
    let manifest = manifest(2, &OWN);
    for mut ground in [Ground::default(), Ground::built(&manifest)] {
        let before = ground.journal.clone();
        let (engine, ending) = ground.live(&manifest, Mode::Look, None);
        assert_eq!(ending, Ending::Converged);
        assert_eq!(ground.journal, before);
        assert_eq!(ground.mutations(), [""; 0]);
        let seen = engine.seen().expect("it has looked");
        assert_eq!(seen.listed().count(), ground.things.len());
        assert!(OWN.len() <= seen.hosts.len());
    }
}

#[test]
fn what_was_previewed_is_what_is_carried_out() {
    let wanted = manifest(2, &OWN);
    let other = manifest(1, &OWN[..1]);
    for (mode, mut ground) in [
        (Mode::Apply, Ground::default()),
        (Mode::Apply, Ground::built(&other)),
        (Mode::Destroy, Ground::built(&wanted)),
    ] {
        let (engine, _) = ground.live(&wanted, Mode::Look, None);
        let preview = engine.preview(mode).expect("there is room");
        assert_eq!(preview.problems, []);
        assert!(!preview.plan.is_empty());
        assert_eq!(preview.desired.is_some(), mode == Mode::Apply);
        let agreed = Some(preview.plan.fingerprint());
        let (_, ending) = ground.live(&wanted, mode, agreed);
        assert_eq!(ending, Ending::Converged, "{mode:?}");
        assert!(!ground.mutations().is_empty());
    }
}

#[test]
fn what_was_agreed_to_before_the_world_changed_is_not_done() {
    let wanted = manifest(2, &OWN);
    for mode in [Mode::Apply, Mode::Destroy] {
        let mut ground = Ground::built(&manifest(1, &[]));
        let (engine, _) = ground.live(&wanted, Mode::Look, None);
        let agreed = engine
            .preview(mode)
            .expect("there is room")
            .plan
            .fingerprint();
        let gone = ground.things.remove(&id("firewall.a/fsn1"));
        assert!(gone.is_some());
        let before = ground.journal.clone();
        let (_, ending) = ground.live(&wanted, mode, Some(agreed));
        let Ending::Stale { shown, found } = ending else {
            panic!("{mode:?}: {ending:?}")
        };
        assert!(shown == agreed && found != agreed);
        assert_eq!(ground.mutations(), [""; 0]);
        assert_eq!(ground.journal, before, "{mode:?}: nothing was done");
    }
    // Of a cluster that does not exist yet, only its identity is recorded.
    let mut ground = Ground::default();
    let (_, ending) = ground.live(&wanted, Mode::Apply, Some(1));
    assert!(
        matches!(ending, Ending::Stale { shown: 1, .. }),
        "{ending:?}"
    );
    assert_eq!(ground.journal, [Entry::Founded { uid: 7 }]);
}

#[test]
fn what_was_agreed_to_is_done_once_those_who_were_silent_answer() {
    let manifest = manifest(2, &OWN);
    let mut ground = Ground::built(&manifest);
    let (engine, _) = ground.live(&manifest, Mode::Look, None);
    let preview = engine.preview(Mode::Destroy).expect("there is room");
    let agreed = Some(preview.plan.fingerprint());
    ground.blind_until = ground.now + Span::from_secs(45);
    let (_, ending) = ground.live(&manifest, Mode::Destroy, agreed);
    assert_eq!(ending, Ending::Converged);
    assert!(ground.things.is_empty());

    // Who stays silent is not waited for without end, and nothing is done meanwhile.
    let mut ground = Ground::built(&manifest);
    ground.blind = true;
    let before = (ground.now, ground.journal.clone());
    let (_, ending) = ground.live(&manifest, Mode::Destroy, agreed);
    assert!(matches!(ending, Ending::Stale { .. }), "{ending:?}");
    assert!(ground.now.since(before.0) < Span::from_secs(300));
    assert_eq!((ground.mutations(), &ground.journal), (vec![], &before.1));
}

#[test]
fn a_destroyed_cluster_is_gone_and_can_be_built_anew() {
    let manifest = manifest(2, &OWN);
    let mut ground = Ground::built(&manifest);
    let keys = |ground: &Ground| -> BTreeMap<_, _> {
        let creates = ground.calls.iter().filter(|call| call.verb == Verb::Create);
        creates
            .map(|call| (call.target.clone(), call.key))
            .collect()
    };
    let first = keys(&ground);
    assert_eq!(
        ground.live(&manifest, Mode::Destroy, None).1,
        Ending::Converged
    );
    assert!(ground.things.is_empty());
    assert!(
        ground
            .hosts
            .values()
            .all(|view| *view == HostView::default())
    );
    assert_eq!(ground.journal.last(), Some(&Entry::Destroyed));
    let rest = ledger(&ground);
    assert!(rest.peers.is_empty() && rest.made.is_empty() && rest.addresses.is_empty());

    assert_eq!(
        ground.live(&manifest, Mode::Apply, None).1,
        Ending::Converged
    );
    let second = keys(&ground);
    assert!(first.keys().eq(second.keys()), "{second:#?}");
    for (target, key) in first {
        assert_ne!(
            second[&target], key,
            "{target}: the old key would make nothing"
        );
    }
    assert_eq!(ledger(&ground).peers.len(), 4);
}

#[test]
fn what_cannot_be_seen_is_not_destroyed_and_not_forgotten() {
    let manifest = manifest(2, &OWN);
    let mut ground = Ground::built(&manifest);
    ground.blind = true;
    ground.silent.insert(id("own/2"));
    let (_, ending) = ground.live(&manifest, Mode::Destroy, None);
    let Ending::Incomplete(undone) = ending else {
        panic!("{ending:?}")
    };
    let named: Vec<_> = undone.iter().map(|(what, _)| what.as_str()).collect();
    assert_eq!(named, ["provider.a", "shop/own/2"]);
    assert_eq!(ground.mutations(), ["delete shop/own/1/host"]);
    assert_eq!(ground.things.len(), 4);
    assert!(!ground.journal.contains(&Entry::Destroyed));

    // It answers again: the rest goes.
    ground.blind = false;
    ground.silent.clear();
    assert_eq!(
        ground.live(&manifest, Mode::Destroy, None).1,
        Ending::Converged
    );
    assert!(ground.things.is_empty());
    assert_eq!(ground.hosts[&id("own/2")], HostView::default());
}

#[test]
fn a_destruction_waits_once_for_what_is_not_listed_yet() {
    let manifest = manifest(2, &OWN);
    let settle = Span::from_secs(10);
    // All is listed: no wait, though what is on machines never is.
    let mut ground = Ground::built(&manifest);
    let begun = ground.now;
    assert_eq!(
        ground.live(&manifest, Mode::Destroy, None).1,
        Ending::Converged
    );
    assert!(
        ground.now.since(begun) < settle,
        "{}",
        ground.now.since(begun)
    );
    // One is shown late: waited for, and removed.
    let mut ground = Ground::built(&manifest);
    let begun = ground.now;
    ground.late.insert(id("w/2"), begun + settle);
    assert_eq!(
        ground.live(&manifest, Mode::Destroy, None).1,
        Ending::Converged
    );
    assert!(ground.things.is_empty(), "{:?}", ground.things);
    // One is gone for good: that is waited for once.
    let mut ground = Ground::built(&manifest);
    let begun = ground.now;
    ground.things.remove(&id("w/2"));
    assert_eq!(
        ground.live(&manifest, Mode::Destroy, None).1,
        Ending::Converged
    );
    let took = ground.now.since(begun);
    assert!(took >= settle && took < settle.times(2), "{took}");
}

#[test]
fn a_host_of_one_s_own_that_leaves_is_reset_and_parts() {
    let mut ground = Ground::built(&manifest(1, &OWN));
    let smaller = manifest(1, &OWN[..1]);
    // One that is silent is held: nothing is taken off it, and nobody forgets it.
    ground.silent.insert(id("own/2"));
    let (_, ending) = ground.live(&smaller, Mode::Apply, None);
    let Ending::Incomplete(undone) = ending else {
        panic!("{ending:?}")
    };
    assert_eq!(undone[0].0, "shop/own/2");
    assert_eq!(ground.mutations(), [""; 0]);
    assert_eq!(ledger(&ground).peers.len(), 3);

    ground.silent.clear();
    assert_eq!(
        ground.live(&smaller, Mode::Apply, None).1,
        Ending::Converged
    );
    let mutations = ground.mutations();
    assert_eq!(mutations[0], "delete shop/own/2/host");
    let told: Vec<_> = mutations[1..].iter().map(String::as_str).collect();
    assert_eq!(told, ["update shop/own/1/links", "update shop/w/1/links"]);
    assert_eq!(ground.hosts[&id("own/2")], HostView::default());
    assert!(!ledger(&ground).peers.contains_key(&id("own/2")));
    assert!(!ledger(&ground).prepared.contains(&id("own/2")));
}

#[test]
fn a_changed_address_is_met_and_the_links_follow() {
    let manifest = manifest(2, &OWN);
    let mut ground = Ground::built(&manifest);
    let moved = Ipv4Addr::new(198, 51, 100, 250);
    let seen = ground.things.get_mut(&id("w/1")).expect("it was made");
    seen.address = Some(moved);
    let before = ground.journal.len();
    assert_eq!(
        ground.live(&manifest, Mode::Apply, None).1,
        Ending::Converged
    );
    let met: Vec<_> = ground.journal[before..]
        .iter()
        .filter_map(|entry| match entry {
            Entry::Met { peer } => Some((peer.machine.clone(), peer.public)),
            _ => None,
        })
        .collect();
    assert_eq!(met, [(id("w/1"), Some(moved))]);
    let mut told = ground.mutations();
    told.sort_unstable();
    let links = ["own/1", "own/2", "w/1", "w/2"];
    assert_eq!(
        told,
        links.map(|machine| format!("update shop/{machine}/links"))
    );
    let knows = |call: &std::sync::Arc<crate::seam::Call>| {
        call.peers.iter().any(|peer| peer.public == Some(moved))
    };
    let calls = ground.calls.iter().filter(|call| call.kind == Kind::Links);
    assert!(calls.into_iter().all(knows));
}

#[test]
fn a_peer_whose_machine_is_gone_parts_only_where_all_providers_were_seen() {
    let mut ground = Ground::built(&manifest(2, &OWN));
    let smaller = manifest(1, &OWN);
    ground.things.remove(&id("w/2"));
    ground.hosts.remove(&id("w/2"));
    ground.blind = true;
    let (_, ending) = ground.live(&smaller, Mode::Apply, None);
    assert!(matches!(ending, Ending::Incomplete(_)), "{ending:?}");
    assert!(ledger(&ground).peers.contains_key(&id("w/2")));
    ground.blind = false;
    let (_, ending) = ground.live(&smaller, Mode::Apply, None);
    assert_eq!(ending, Ending::Converged, "{:#?}", ground.mutations());
    assert!(!ledger(&ground).peers.contains_key(&id("w/2")));
}

#[test]
fn what_somebody_else_changed_is_put_right_and_named() {
    let manifest = manifest(1, &[]);
    let mut ground = Ground::built(&manifest);
    let firewall = id("firewall.a/fsn1");
    let seen = ground.things.get_mut(&firewall).expect("it was made");
    seen.fields
        .insert("public_ports".to_owned(), "[22]".to_owned());
    let (engine, _) = ground.live(&manifest, Mode::Look, None);
    let plan = engine.preview(Mode::Apply).expect("there is room").plan;
    let steps: Vec<_> = plan
        .steps
        .iter()
        .map(|step| (step.title(), &*step.reason))
        .collect();
    let why = "changed by somebody else: public_ports is [22], should be []";
    assert_eq!(steps, [(format!("update {firewall}"), why)]);
    assert_eq!(
        ground.live(&manifest, Mode::Apply, None).1,
        Ending::Converged
    );
    assert_eq!(ground.things[&firewall].fields["public_ports"], "[]");
}

#[test]
fn hosts_that_change_places_in_the_list_are_left_alone() {
    let mut ground = Ground::built(&manifest(1, &OWN));
    let hosts = ground.hosts.clone();
    for list in [&OWN[1..], &[OWN[1], OWN[0]]] {
        let (_, ending) = ground.live(&manifest(1, list), Mode::Apply, None);
        let Ending::Incomplete(undone) = ending else {
            panic!("{ending:?}")
        };
        let named: Vec<_> = undone.iter().map(|(what, _)| what.as_str()).collect();
        assert_eq!(named, ["shop/own/1", "shop/own/2"]);
        assert!(
            undone[0].1.detail.contains("hosts go by their order"),
            "{undone:?}"
        );
        assert_eq!(
            ground.mutations(),
            [""; 0],
            "one's number would be another's machine"
        );
    }
    assert_eq!(ground.hosts, hosts);
    assert_eq!(
        ground.live(&manifest(1, &OWN), Mode::Apply, None).1,
        Ending::Converged
    );
}

#[test]
fn what_is_done_and_never_seen_is_given_up() {
    let manifest = manifest(1, &OWN);
    let mut ground = Ground::built(&manifest);
    ground.forgetful.insert(id("own/1"));
    let (_, ending) = ground.live(&manifest, Mode::Destroy, None);
    let Ending::Incomplete(undone) = ending else {
        panic!("{ending:?}")
    };
    assert_eq!(undone[0].0, "see what was done");
    let resets = ground
        .mutations()
        .into_iter()
        .filter(|call| call == "delete shop/own/1/host");
    assert!((4..=8).contains(&resets.count()), "not for ever");
    // Once it lasts, the rest goes.
    ground.forgetful.clear();
    assert_eq!(
        ground.live(&manifest, Mode::Destroy, None).1,
        Ending::Converged
    );
}
