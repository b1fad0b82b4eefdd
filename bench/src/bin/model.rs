//! The model rung: how much simulated time one core gets through for the cluster on three clouds.
//!
//! The orchestrator builds the cluster, then clients send 50 requests a second and nothing goes
//! wrong. The orchestrator goes on looking, nodes renew their leases, checks run, every event is a
//! link of the hash chain: it is the world of `quorate chaos`, without a fault.

use quorate_bench::{median, time_on_core};
use quorate_engine::engine::Mode;
use quorate_engine::manifest::load;
use quorate_engine::random::Seed;
use quorate_engine::time::{Span, Time};
use quorate_sim::traffic::{Os, PopulationSettings, RequestKind};
use quorate_sim::world::{Site, World, WorldSettings};
use std::sync::Arc;
use std::time::Instant;

const MANIFEST: &[u8] = include_bytes!("../../../scenarios/manifests/three-clouds.yaml");
/// Simulated time of one run, after the cluster is built and its clients have settled.
const SIMULATED: Span = Span::from_secs(3_600);
const SETTLING: Span = Span::from_secs(90);
/// The orchestrator needs about ten minutes.
const BUILD_LIMIT: Span = Span::from_secs(4 * 3_600);
const RUNS: usize = 7;
const GOAL: f64 = 20_000.0;

/// Clients: name, through, what they ask, requests a second.
const CLIENTS: [(&str, &str, RequestKind, u64); 3] = [
    ("shoppers", "web/https", RequestKind::Ingress, 40),
    ("readers", "api/api", RequestKind::ApiRead, 5),
    ("writers", "api/api", RequestKind::ApiWrite, 5),
];

/// A world with a cluster and clients, at rest.
fn built() -> World {
    let manifest = load(MANIFEST, None).manifest.expect("a sound manifest");
    let mut world = World::new(&WorldSettings {
        manifest: Arc::new(manifest),
        seed: Seed(1),
        mode: Mode::Keep {
            interval: Span::from_secs(30),
        },
        patience: Span::from_secs(300),
        restart: Span::from_secs(5),
    });
    world.start_orchestrator();
    let limit = Time::ZERO + BUILD_LIMIT;
    world.run_until(limit, |world| world.converged_at().is_some());
    assert!(world.converged_at().is_some(), "the cluster was not built");
    for (name, through, kind, rate) in CLIENTS {
        let site = world.add_site(&Site {
            name: name.to_owned(),
            rtt: Span::from_ms(20),
            caches: true,
        });
        let settings = PopulationSettings {
            site,
            kind,
            interval: Span(Span::from_secs(1).0 / rate),
            os_mix: vec![
                (Os::Linux, 40),
                (Os::Windows, 30),
                (Os::Ios, 20),
                (Os::Android, 10),
            ],
            ..PopulationSettings::default()
        };
        let number = world
            .add_population(name, through, settings)
            .expect("the manifest has such a load balancer");
        world.start_population(number);
    }
    let ready = world.now() + SETTLING;
    world.run(ready);
    world
}

/// One run's figures.
struct Sample {
    wall_s: f64,
    /// Without the time in which other programs had the core.
    core_s: f64,
    hash: u64,
    /// Events of the hour, by kind.
    events: Vec<(&'static str, u64)>,
}

/// One of a run's times.
type Seconds = fn(&Sample) -> f64;

fn run() -> Sample {
    let mut world = built();
    let before: Vec<_> = world.events_by_kind().collect();
    let from = world.now();
    let to = from + SIMULATED;
    let (start, core) = (Instant::now(), time_on_core());
    world.run(to);
    let wall_s = start.elapsed().as_secs_f64();
    let core_s = (time_on_core() - core).as_secs_f64();
    for (number, (name, _, _, rate)) in CLIENTS.iter().enumerate() {
        let stats = world.traffic().stats(number as u16);
        let (succeeded, ended) = stats.between(from, to);
        let expected = rate * SIMULATED.as_secs();
        assert!(
            ended.abs_diff(expected) * 50 < expected,
            "{ended} requests of {name} ended, not about {expected}"
        );
        assert!(
            succeeded * 1_000 >= ended * 999,
            "{succeeded} of {ended} requests of {name} succeeded in a healthy world"
        );
    }
    let events = world.events_by_kind().zip(before);
    Sample {
        wall_s,
        core_s,
        hash: world.trace_hash(),
        events: events
            .map(|((name, after), (_, before))| (name, after - before))
            .collect(),
    }
}

fn main() {
    let runs = std::env::args()
        .nth(1)
        .map_or(RUNS, |text| text.parse().expect("a number of runs"));
    let samples: Vec<Sample> = (0..runs).map(|_| run()).collect();
    let first = &samples[0];
    assert!(
        samples.iter().all(|sample| sample.hash == first.hash),
        "the same seed gave different traces"
    );
    let simulated_s = SIMULATED.as_secs() as f64;
    let total: u64 = first.events.iter().map(|(_, events)| events).sum();
    println!("{:<20} {:>9} {:>12}", "events", "total", "per second");
    for (name, events) in first.events.iter().filter(|(_, events)| *events > 0) {
        let rate = *events as f64 / simulated_s;
        println!("{name:<20} {events:>9} {rate:>12.2}");
    }
    let rate = total as f64 / simulated_s;
    println!("{:<20} {total:>9} {rate:>12.2}\n", "all");
    println!(
        "{:<20} {:>9} {:>12} {:>12} {:>12}",
        "one hour simulated", "ms", "ns an event", "median ratio", "best ratio"
    );
    let seconds: [(&str, Seconds); 2] = [
        ("wall", |sample| sample.wall_s),
        ("on the core", |sample| sample.core_s),
    ];
    for (name, of) in seconds {
        let all: Vec<f64> = samples.iter().map(of).collect();
        let best = all.iter().copied().fold(f64::INFINITY, f64::min);
        let middle = median(all);
        println!(
            "{name:<20} {:>9.1} {:>12.0} {:>12.0} {:>12.0}",
            middle * 1e3,
            middle * 1e9 / total as f64,
            simulated_s / middle,
            simulated_s / best
        );
    }
    println!(
        "runs: {runs}, goal: {GOAL:.0} times real time, hash {:016x}",
        first.hash
    );
}
