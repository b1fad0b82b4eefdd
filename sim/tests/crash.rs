//! The orchestrator dies at every entry of its journal, before and after the entry is durable,
//! while providers' APIs throttle, err and lose replies; and the world ends as if nothing had
//! happened, with nothing left over.
//!
//! That the engine found nothing to do means that it listed every provider and probed every
//! machine, and found what the manifest asks for. What it cannot see, or should not be trusted
//! with, is compared here with the truth of the simulated clouds.

mod trouble;

use quorate_engine::engine::Mode;
use quorate_engine::journal::Ledger;
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::Verb;
use quorate_engine::time::{Span, Time};
use quorate_sim::cloud::Ended;
use quorate_sim::world::{CrashPoint, World};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The build is over by then, whatever happens.
const LIMIT: Time = Time(4 * 3_600 * 1_000_000_000);

/// What a world came to.
#[derive(Debug, PartialEq, Eq)]
struct End {
    /// Everything that exists at providers, as often as it does.
    owned: BTreeMap<(String, ResourceId), u32>,
    /// Voters of etcd, by provider.
    voters: BTreeMap<String, u64>,
    /// Mesh addresses, for life.
    addresses: BTreeMap<ResourceId, Ipv4Addr>,
    machines: BTreeMap<String, u64>,
}

fn troubled(seed: u64, crash: Option<CrashPoint>) -> World {
    let interval = Span::from_secs(30);
    let mut world = trouble::world(seed, Mode::Keep { interval });
    if let Some(point) = crash {
        world.crash_at(point);
    }
    world.start_orchestrator();
    let on = trouble::begin(&mut world, seed, "crash");
    world.run_until(LIMIT, |world| world.converged_at().is_some());
    assert!(
        world.converged_at().is_some(),
        "seed {seed}, {crash:?}: not built in four hours: {:#?}",
        world.notes().iter().rev().take(12).collect::<Vec<_>>()
    );
    trouble::end(&mut world, on);
    world
}

fn end(world: &World) -> End {
    let mut owned = BTreeMap::new();
    for one in world.cloud().owned() {
        *owned
            .entry((one.provider.to_owned(), one.seen.id))
            .or_insert(0) += 1;
    }
    End {
        owned,
        voters: world.voters_by_provider(),
        addresses: Ledger::replay(world.journal()).addresses,
        machines: world.machines_by_pool(),
    }
}

/// What has to hold of every world, with and without a crash.
fn sound(world: &World, of: &str) {
    assert_eq!(world.watch().violations(), [], "{of}");
    assert_eq!(world.watch().replaced(), [], "{of}: nothing is made twice");
    let doubts = Ledger::replay(world.journal()).in_flight;
    let made = doubts.iter().find(|(_, verb)| **verb == Verb::Create);
    assert_eq!(made, None, "{of}: what was made is in doubt for ever");
    assert!(
        world.converged_at().is_some(),
        "{of}: not at rest in the end"
    );
}

/// Every entry of the build under this seed's luck, both ways.
fn every_entry(seed: u64) {
    let calm = troubled(seed, None);
    sound(&calm, "without a crash");
    let unheard = |((_, _, ended), count): (&(_, _, Ended), &u64)| match ended {
        Ended::Unheard => *count,
        Ended::Good | Ended::Bad(_) => 0,
    };
    let lost: u64 = calm.cloud().tally().iter().map(unheard).sum();
    assert!(lost >= 4, "seed {seed}: only {lost} replies were lost");
    let expected = end(&calm);
    assert!(expected.owned.values().all(|count| *count == 1));
    assert_eq!(expected.voters.values().sum::<u64>(), 3);
    let entries = calm.journal().len() as u32;
    assert!(entries > 150, "{entries} entries");
    for entry in 1..=entries {
        for durable in [false, true] {
            let of = format!("seed {seed}, entry {entry} of {entries}, durable: {durable}");
            let world = troubled(seed, Some(CrashPoint { entry, durable }));
            assert_eq!(world.crashes(), 1, "{of}");
            let kept = entry as usize - usize::from(!durable);
            let (before, after) = (calm.journal(), world.journal());
            assert_eq!(after[..kept], before[..kept], "{of}: what is durable");
            sound(&world, &of);
            assert_eq!(end(&world), expected, "{of}");
        }
    }
}

#[test]
fn a_crash_at_every_entry_under_one_luck() {
    every_entry(11);
}

#[test]
fn a_crash_at_every_entry_under_another_luck() {
    every_entry(12);
}

#[test]
fn a_crash_at_every_entry_under_a_third_luck() {
    every_entry(13);
}

#[test]
fn a_crash_at_every_entry_under_a_fourth_luck() {
    every_entry(14);
}
