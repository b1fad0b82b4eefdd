//! Planning: from a manifest to a checked plan, for a cluster that does not exist yet and for one
//! that is as desired. Prints one line for one size; `bench/plan` runs each in its own process,
//! because the peak of memory is a process's.
//!
//! The cluster: three control planes and three load balancers in three clouds, workers in all of
//! them; reading the manifest's text is not counted, all else from manifest to checked plan is.

use quorate_bench::clusters;
use quorate_bench::{median, peak_rss_bytes};
use quorate_engine::check::check;
use quorate_engine::engine::etcd_version;
use quorate_engine::graph::Desired;
use quorate_engine::manifest::{Manifest, Role};
use quorate_engine::observed::Observed;
use quorate_engine::plan::{Plan, plan};
use quorate_engine::quorum::Policy;
use quorate_engine::topology::{Roster, Topology};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Runs at least, and for how long at least.
const RUNS: usize = 3;
const WALL: Duration = Duration::from_millis(500);

fn manifest(nodes: u32) -> Arc<Manifest> {
    let manifest = clusters::manifest(nodes);
    Arc::new(serde_json::from_value(manifest).expect("a valid manifest"))
}

/// Resolves, plans and checks, as the engine does with what it has seen.
fn planned(manifest: &Arc<Manifest>, roster: &Roster, seen: &Observed) -> (Desired, Plan) {
    let topology = Topology::resolve(manifest, roster).expect("the mesh is large enough");
    let desired = Desired::of(Arc::new(topology));
    let plan = plan(&desired, seen);
    let policy = Policy {
        declared: desired.topology.with(Role::ControlPlane).count() as u32,
        scale_down: false,
        force: false,
    };
    let problems = check(&plan, seen, etcd_version(manifest), &policy);
    assert!(problems.is_empty(), "an unsound plan: {problems:?}");
    (desired, plan)
}

/// Median wall time of enough runs, in seconds.
fn timed(mut what: impl FnMut()) -> f64 {
    let begun = Instant::now();
    let mut runs = Vec::new();
    while runs.len() < RUNS || begun.elapsed() < WALL {
        let start = Instant::now();
        what();
        runs.push(start.elapsed().as_secs_f64());
    }
    median(runs)
}

fn run(nodes: u32) -> String {
    let manifest = manifest(nodes);
    let nothing = Observed::default();
    let (desired, plan) = planned(&manifest, &Roster::default(), &nothing);
    assert_eq!(desired.topology.nodes.len(), nodes as usize);
    let steps = plan.steps.len();
    drop(plan);
    let first_s = timed(|| {
        let (_, plan) = planned(&manifest, &Roster::default(), &nothing);
        assert_eq!(plan.steps.len(), steps, "the same manifest, another plan");
    });
    let first_rss = peak_rss_bytes();
    let seen = Observed::built(&desired);
    let roster = Roster {
        existing: seen.history.prepared.clone(),
        addresses: desired.topology.allocated.iter().cloned().collect(),
        ..Roster::default()
    };
    let again_s = timed(|| {
        let (_, plan) = planned(&manifest, &roster, &seen);
        assert!(
            plan.is_empty(),
            "{} steps in a world as desired",
            plan.steps.len()
        );
    });
    let resources = desired.resources().count();
    format!(
        "{nodes} {resources} {steps} {first_s:.6} {first_rss} {again_s:.6} {}",
        peak_rss_bytes()
    )
}

fn main() -> ExitCode {
    let nodes = std::env::args().nth(1).and_then(|text| text.parse().ok());
    match nodes {
        Some(nodes @ 9..=1_000_000) => {
            println!("{}", run(nodes));
            ExitCode::SUCCESS
        }
        Some(_) | None => {
            eprintln!("expected: the number of nodes, 9 to 1000000");
            ExitCode::FAILURE
        }
    }
}
