//! What people ask the engine that it can only tell from what it saw: may a machine be forgotten, is a
//! provider that refuses us a mistake.

use super::ground::{Ground, manifest};
use crate::engine::{Engine, Mode, Remembered, forgotten};
use crate::journal::Ledger;
use crate::resource::{Kind, ResourceId};
use crate::seam::{Ending, Fault, FaultClass};

const OWN: [&str; 2] = ["203.0.113.11", "203.0.113.12"];

fn id(path: &str) -> ResourceId {
    ResourceId::new(format!("shop/{path}"))
}

#[test]
fn a_host_of_one_s_own_that_is_dead_for_good_is_forgotten() {
    let mut ground = Ground::built(&manifest(1, &OWN));
    let smaller = manifest(1, &OWN[..1]);
    ground.silent.insert(id("own/2"));
    let (_, ending) = ground.live(&smaller, Mode::Apply, None);
    assert!(matches!(ending, Ending::Incomplete(_)), "it is waited for");
    let (engine, _) = ground.live(&smaller, Mode::Look, None);
    let entry = forgotten(engine.ledger(), engine.seen(), &id("own/2"), "burnt", 5);
    let entry = entry.expect("it is silent");
    ground.journal.push(entry);

    let (_, ending) = ground.live(&smaller, Mode::Apply, None);
    assert_eq!(ending, Ending::Converged);
    let told = ["update shop/own/1/links", "update shop/w/1/links"];
    assert_eq!(ground.mutations(), told, "the others drop their tunnels");
    for call in ground.calls.iter().filter(|c| c.kind == Kind::Links) {
        assert!(call.peers.iter().all(|peer| peer.machine != id("own/2")));
    }
    assert_eq!(Ledger::replay(&ground.journal).peers.len(), 2);
    let before = ground.journal.len();
    ground.live(&smaller, Mode::Apply, None);
    assert_eq!(ground.journal.len(), before, "it stays forgotten");

    // Another host in its place is prepared like one that never was.
    ground.silent.clear();
    ground.hosts.remove(&id("own/2"));
    let (_, ending) = ground.live(&manifest(1, &OWN), Mode::Apply, None);
    assert_eq!(ending, Ending::Converged);
    assert_eq!(ground.mutations()[0], "create shop/own/2/host");
    assert_eq!(Ledger::replay(&ground.journal).peers.len(), 3);
}

#[test]
fn what_shows_a_sign_of_life_is_forgotten_by_force_only() {
    let wanted = manifest(2, &OWN);
    let mut ground = Ground::built(&wanted);
    ground.silent.insert(id("own/2"));
    ground.things.remove(&id("w/2"));
    ground.hosts.remove(&id("w/2"));
    ground.silent.insert(id("w/2"));
    let (mut engine, _) = ground.live(&wanted, Mode::Look, None);
    let refusal = |engine: &Engine, path: &str| {
        let machine = id(path);
        let why = forgotten(engine.ledger(), engine.seen(), &machine, "", 1).err();
        let forced = forgotten(engine.ledger(), None, &machine, "", 1);
        if !matches!(why, Some(Remembered::Stranger { .. })) {
            let mut after = engine.ledger().clone();
            after.apply(&forced.expect("by force"));
            assert!(!after.knows(&machine), "{path}");
        }
        why
    };
    let machine = id("w/1");
    let provider = "a".to_owned();
    let listed = Remembered::Listed { machine, provider };
    assert_eq!(refusal(&engine, "w/1"), Some(listed));
    let answers = |machine| Some(Remembered::Answers { machine });
    assert_eq!(refusal(&engine, "own/1"), answers(id("own/1")));
    let stranger = |machine| Some(Remembered::Stranger { machine });
    assert_eq!(refusal(&engine, "own/3"), stranger(id("own/3")));
    assert_eq!(refusal(&engine, "own/2"), None);
    assert_eq!(refusal(&engine, "w/2"), None, "its provider has it no more");

    // Whoever lets nobody in, or has a full disk, is there.
    let seen = engine.seen.as_mut().expect("it has looked");
    let fault = Fault::new(FaultClass::Auth, "permission denied");
    seen.hosts.insert(id("own/2"), Err(fault.clone()));
    let machine = id("own/2");
    let troubled = Remembered::Troubled { machine, fault };
    assert_eq!(refusal(&engine, "own/2"), Some(troubled));

    // A provider that cannot be asked may have its machines; one's own are no matter of it.
    ground.blind = true;
    let (engine, _) = ground.live(&wanted, Mode::Look, None);
    let blind = refusal(&engine, "w/2");
    assert!(matches!(blind, Some(Remembered::Blind { .. })), "{blind:?}");
    assert_eq!(refusal(&engine, "own/2"), None);
}

#[test]
fn who_refuses_us_and_never_had_anything_of_ours_is_a_mistake() {
    let wanted = manifest(1, &OWN);
    let strange = |ground: &mut Ground, class| {
        ground.blind = true;
        let (mut engine, _) = ground.live(&wanted, Mode::Look, None);
        let seen = engine.seen.as_mut().expect("it has looked");
        let fault = Fault::new(class, "no");
        seen.providers.insert("a".to_owned(), Err(fault.clone()));
        let preview = engine.preview(Mode::Apply).expect("there is room");
        assert!(engine.never_met("rack", &preview).is_none());
        let (why, resources) = engine.never_met("a", &preview)?;
        assert_eq!(*why, fault);
        let ids: Vec<_> = resources.iter().map(|r| r.id.to_string()).collect();
        Some(ids)
    };
    let all = ["shop/firewall.a/fsn1", "shop/network.a/fsn1", "shop/w/1"];
    let all = Some(all.map(str::to_owned).to_vec());
    for class in [FaultClass::Auth, FaultClass::Retryable] {
        assert_eq!(strange(&mut Ground::default(), class), all, "{class}");
    }
    // Sent, and no answer: that is an outage.
    assert_eq!(strange(&mut Ground::default(), FaultClass::Unknown), None);
    // Who has something of ours is waited for, whatever the trouble.
    let mut ground = Ground::built(&manifest(1, &[]));
    assert_eq!(strange(&mut ground, FaultClass::Auth), None);
    // Who answers, and of whom nothing is wanted, is no mistake.
    let mut ground = Ground::default();
    let (engine, _) = ground.live(&wanted, Mode::Look, None);
    let preview = engine.preview(Mode::Apply).expect("there is room");
    assert!(engine.never_met("a", &preview).is_none());
    let preview = engine.preview(Mode::Destroy).expect("there is room");
    assert!(engine.never_met("a", &preview).is_none());
}
