//! An upgrade with extra nodes, while the orchestrator dies: pools never have more nodes than asked
//! for, never fewer than usual ready, and at the end exactly the usual ones.

use quorate_engine::engine::Mode;
use quorate_engine::manifest::{self, Manifest, Role};
use quorate_engine::random::Seed;
use quorate_engine::time::{Span, Time};
use quorate_sim::world::{World, WorldSettings};
use std::collections::BTreeMap;
use std::sync::Arc;

const OLD: &str = include_str!("../../scenarios/manifests/upgrade-from.yaml");
const NEW: &str = include_str!("../../scenarios/manifests/three-clouds.yaml");

/// Whatever is to happen has happened by then.
const LIMIT: Time = Time(8 * 3_600 * 1_000_000_000);

fn manifest(text: &str) -> Manifest {
    let loaded = manifest::load(text.as_bytes(), None);
    loaded.manifest.expect("the manifest is sound")
}

#[test]
fn pools_grow_for_the_upgrade_and_shrink_back() {
    let mut new = manifest(NEW);
    new.spec.kubernetes.as_mut().unwrap().upgrade.max_surge = 1;
    for seed in 1..=5 {
        let mut world = World::new(&WorldSettings {
            manifest: Arc::new(manifest(OLD)),
            seed: Seed(seed),
            mode: Mode::Keep {
                interval: Span::from_secs(30),
            },
            patience: Span::from_secs(300),
            restart: Span::from_secs(5),
        });
        world.start_orchestrator();
        world.run_until(LIMIT, |world| world.converged_at().is_some());
        let usual = world.machines_by_pool();

        world.retarget(&Arc::new(new.clone()));
        let dies = world.now() + Span::from_secs(60 * seed);
        let mut most: BTreeMap<String, u64> = usual.clone();
        let mut watch = |world: &World| {
            for (pool, machines) in world.machines_by_pool() {
                let usual = usual.get(&pool).copied().unwrap_or(0);
                assert!(machines >= usual, "seed {seed}: {pool} has {machines}");
                let seen = most.entry(pool).or_default();
                *seen = machines.max(*seen);
            }
        };
        world.run_until(dies, |world| {
            watch(world);
            false
        });
        world.crash_orchestrator();
        world.run_until(LIMIT, |world| {
            watch(world);
            world.converged_at().is_some_and(|at| at > dies)
        });
        // Whoever starts between the last upgrade and the end of the extra node takes it for a pool
        // that has grown, and lets it go as one: after ten idle minutes.
        let idle = world.now() + Span::from_secs(1_800);
        world.run_until(idle, |world| {
            watch(world);
            false
        });
        assert!(world.watch().violations().is_empty(), "seed {seed}");
        assert_eq!(world.machines_by_pool(), usual, "seed {seed}: as before");
        for pool in &new.spec.node_pools {
            let surges = pool.roles == [Role::Worker] && pool.hosts.is_empty();
            let extra = most[&pool.name] - usual[&pool.name];
            assert_eq!(extra, u64::from(surges), "seed {seed}: {}", pool.name);
        }
    }
}
