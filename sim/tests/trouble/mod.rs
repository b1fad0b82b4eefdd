//! Three clouds in trouble, for the tests that let the orchestrator die there.

use quorate_engine::engine::Mode;
use quorate_engine::manifest;
use quorate_engine::random::Seed;
use quorate_engine::time::Span;
use quorate_sim::scenario::Fault;
use quorate_sim::world::{Applied, World, WorldSettings};
use std::sync::Arc;

const THREE_CLOUDS: &str = include_str!("../../../scenarios/manifests/three-clouds.yaml");

/// What goes wrong at every provider for as long as there is trouble.
const TROUBLE: [&str; 3] = [
    r#"{"do": "provider.lost-reply", "share": "12%"}"#,
    r#"{"do": "provider.api-error", "share": "12%"}"#,
    r#"{"do": "provider.api-throttle", "rate": "2/s"}"#,
];

const PROVIDERS: [&str; 4] = ["htz", "aws", "gcp", "cf"];

/// What is late shows itself by then: the longest deadline of a call, twice.
const LATE: Span = Span::from_secs(900);

/// The world before anything is built.
pub(crate) fn world(seed: u64, mode: Mode) -> World {
    let loaded = manifest::load(THREE_CLOUDS.as_bytes(), None);
    World::new(&WorldSettings {
        manifest: Arc::new(loaded.manifest.expect("the manifest is sound")),
        seed: Seed(seed),
        mode,
        patience: Span::from_secs(300),
        restart: Span::from_secs(5),
    })
}

/// Trouble begins everywhere; `purpose` and seed decide whom it hits.
pub(crate) fn begin(world: &mut World, seed: u64, purpose: &str) -> Vec<Applied> {
    let mut luck = Seed(seed).stream(purpose, "fault-target");
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
    on
}

/// Trouble ends, and what it made late comes.
pub(crate) fn end(world: &mut World, on: Vec<Applied>) {
    for applied in on {
        world.end(applied);
    }
    let late = world.now() + LATE;
    world.run(late);
}
