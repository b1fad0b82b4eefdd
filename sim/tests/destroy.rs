//! What is to be destroyed goes, all of it and at every provider, while their APIs throttle, err and
//! lose replies, and while the orchestrator dies at every entry of its journal; from a cluster that
//! is whole, and from one whose building was cut off anywhere.

use quorate_engine::engine::Mode;
use quorate_engine::journal::{Entry, Ledger};
use quorate_engine::manifest;
use quorate_engine::random::Seed;
use quorate_engine::seam::Ending;
use quorate_engine::time::{Span, Time};
use quorate_sim::scenario::Fault;
use quorate_sim::world::{CrashPoint, World, WorldSettings};
use std::sync::Arc;

const THREE_CLOUDS: &str = include_str!("../../scenarios/manifests/three-clouds.yaml");

/// What goes wrong at every provider for as long as the cluster is destroyed.
const TROUBLE: [&str; 3] = [
    r#"{"do": "provider.lost-reply", "share": "12%"}"#,
    r#"{"do": "provider.api-error", "share": "12%"}"#,
    r#"{"do": "provider.api-throttle", "rate": "2/s"}"#,
];

const PROVIDERS: [&str; 4] = ["htz", "aws", "gcp", "cf"];

/// Whatever is to happen has happened by then.
const LIMIT: Time = Time(8 * 3_600 * 1_000_000_000);

/// What is late shows itself by then: the longest deadline of a call, twice.
const LATE: Span = Span::from_secs(900);

/// How often somebody asks again for a destruction that was not complete.
const ASKED: u32 = 6;

fn world(seed: u64) -> World {
    let loaded = manifest::load(THREE_CLOUDS.as_bytes(), None);
    World::new(&WorldSettings {
        manifest: Arc::new(loaded.manifest.expect("the manifest is sound")),
        seed: Seed(seed),
        mode: Mode::Apply,
        patience: Span::from_secs(300),
        restart: Span::from_secs(5),
    })
}

/// A cluster that is whole, or one whose building was cut off at an entry of the journal.
fn built(seed: u64, cut: Option<CrashPoint>) -> World {
    let mut world = world(seed);
    if let Some(point) = cut {
        world.crash_at(point);
    }
    world.start_orchestrator();
    world.run_until(LIMIT, |world| {
        world.crashes() > 0 || world.ending().is_some()
    });
    match cut {
        Some(_) => {
            assert_eq!(world.crashes(), 1, "seed {seed}: {cut:?} never came");
            world.stop_orchestrator();
        }
        None => assert_eq!(world.ending(), Some(&Ending::Converged), "seed {seed}"),
    }
    world
}

/// Destroys it under trouble, and dies once on the way.
fn destroy(world: &mut World, seed: u64, crash: Option<CrashPoint>) {
    let mut luck = Seed(seed).stream("destroy", "fault-target");
    let mut on = Vec::new();
    for provider in PROVIDERS {
        for trouble in TROUBLE {
            let mut fault: Fault = serde_json::from_str(trouble).expect("a fault");
            let target = fault.target.get_or_insert_default();
            target.provider = Some(provider.to_owned());
            let applied = world.begin(&fault, &mut luck);
            on.push(applied.expect("every provider is there"));
        }
    }
    world.order(Mode::Destroy);
    if let Some(point) = crash {
        world.crash_at(point);
    }
    for _ in 0..ASKED {
        world.start_orchestrator();
        world.run_until(LIMIT, |world| world.ending().is_some());
        match world.ending() {
            Some(Ending::Incomplete(_)) => {}
            Some(Ending::Converged | Ending::Cancelled | Ending::Stale { .. }) | None => break,
        }
    }
    for applied in on {
        world.end(applied);
    }
    let late = world.now() + LATE;
    world.run(late);
}

/// Nothing is left, and that is known.
fn gone(world: &World, of: &str) {
    assert_eq!(world.ending(), Some(&Ending::Converged), "{of}");
    let left: Vec<_> = world.cloud().owned().collect();
    assert!(left.is_empty(), "{of}: {left:#?}");
    assert_eq!(world.watch().violations(), [], "{of}");
    assert_eq!(world.journal().last(), Some(&Entry::Destroyed), "{of}");
    let ledger = Ledger::replay(world.journal());
    assert!(
        ledger.prepared.is_empty() && ledger.peers.is_empty(),
        "{of}"
    );
}

#[test]
fn a_crash_at_every_entry_of_a_destruction_leaves_nothing() {
    let seed = 21;
    let mut calm = built(seed, None);
    assert!(
        calm.cloud().owned().count() > 10,
        "there is something to destroy"
    );
    let first = calm.journal().len() as u32 + 1;
    destroy(&mut calm, seed, None);
    gone(&calm, "without a crash");
    let last = calm.journal().len() as u32;
    assert!(last - first > 30, "{first} to {last}");
    for entry in first..=last {
        let durable = entry % 2 == 0;
        let of = format!("seed {seed}, entry {entry} of {first} to {last}, durable: {durable}");
        let mut world = built(seed, None);
        destroy(&mut world, seed, Some(CrashPoint { entry, durable }));
        assert_eq!(world.crashes(), 1, "{of}");
        gone(&world, &of);
    }
}

#[test]
fn a_building_that_was_cut_off_anywhere_is_destroyed_whole() {
    let seed = 22;
    let entries = built(seed, None).journal().len() as u32;
    assert!(entries > 150, "{entries} entries");
    for entry in (2..=entries).step_by(5) {
        let durable = entry % 2 == 0;
        let of = format!("seed {seed}, entry {entry} of {entries}, durable: {durable}");
        let mut world = built(seed, Some(CrashPoint { entry, durable }));
        destroy(&mut world, seed + u64::from(entry), None);
        gone(&world, &of);
    }
}
