//! What is to be destroyed goes, all of it and at every provider, while their APIs throttle, err and
//! lose replies, and while the orchestrator dies at every entry of its journal; from a cluster that
//! is whole, and from one whose building was cut off anywhere. Afterwards it can be built again.

mod trouble;

use quorate_engine::engine::Mode;
use quorate_engine::journal::{Entry, Ledger};
use quorate_engine::seam::Ending;
use quorate_engine::time::Time;
use quorate_sim::world::{CrashPoint, World};

/// Whatever is to happen has happened by then.
const LIMIT: Time = Time(8 * 3_600 * 1_000_000_000);

/// How often somebody asks again for a destruction that was not complete.
const ASKED: u32 = 6;

/// A cluster that is whole, or one whose building was cut off at an entry of the journal.
fn built(seed: u64, cut: Option<CrashPoint>) -> World {
    let mut world = trouble::world(seed, Mode::Apply);
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
    let on = trouble::begin(world, seed, "destroy");
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
    trouble::end(world, on);
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

#[test]
fn what_was_destroyed_is_built_again_from_nothing() {
    for seed in [23, 24] {
        let of = format!("seed {seed}");
        let mut world = built(seed, None);
        let first = (world.cloud().owned().count(), world.voters_by_provider());
        assert_eq!(first.1.values().sum::<u64>(), 3, "{of}");
        for life in 2..=3 {
            let of = format!("{of}, life {life}");
            destroy(&mut world, seed + life, None);
            gone(&world, &of);
            world.order(Mode::Apply);
            world.start_orchestrator();
            let limit = Time(world.now().0 + LIMIT.0);
            world.run_until(limit, |world| world.ending().is_some());
            assert_eq!(world.ending(), Some(&Ending::Converged), "{of}");
            let again = (world.cloud().owned().count(), world.voters_by_provider());
            assert_eq!(again, first, "{of}");
            assert_eq!(world.watch().violations(), [], "{of}");
        }
    }
}
