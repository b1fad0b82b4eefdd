//! Planning: from a manifest to a checked plan, for a cluster that does not exist yet and for one
//! that is as desired. Prints one line for one size; `bench/plan` runs each in its own process,
//! because the peak of memory is a process's.
//!
//! The cluster: three control planes and three load balancers in three clouds, workers in all of
//! them; reading the manifest's text is not counted, all else from manifest to checked plan is.

use quorate_bench::{median, peak_rss_bytes};
use quorate_engine::check::check;
use quorate_engine::engine::etcd_version;
use quorate_engine::graph::Desired;
use quorate_engine::manifest::{Manifest, Role};
use quorate_engine::observed::Observed;
use quorate_engine::plan::{Plan, plan};
use quorate_engine::quorum::Policy;
use quorate_engine::topology::{Roster, Topology};
use serde_json::json;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Runs at least, and for how long at least.
const RUNS: usize = 3;
const WALL: Duration = Duration::from_millis(500);
/// Nodes that are no workers.
const OTHERS: u32 = 6;
const CLOUDS: [(&str, &str, &str); 3] = [
    ("htz", "hetzner", "fsn1"),
    ("aws", "aws", "eu-central-1"),
    ("gcp", "gcp", "europe-west3"),
];

fn manifest(nodes: u32) -> Arc<Manifest> {
    let workers = nodes - OTHERS;
    let cloud = |(name, kind, _): &(&str, &str, &str)| json!({"name": name, "type": kind});
    let mut providers: Vec<_> = CLOUDS.iter().map(cloud).collect();
    providers.push(json!({"name": "cf", "type": "cloudflare"}));
    let mut pools = Vec::new();
    for (index, (name, _, region)) in CLOUDS.iter().enumerate() {
        let share = (workers + index as u32) / CLOUDS.len() as u32;
        for (role, count) in [
            ("control-plane", 1),
            ("load-balancer", 1),
            ("worker", share),
        ] {
            pools.push(json!({
                "name": format!("{role}-{name}"), "provider": name, "region": region,
                "count": count, "machineType": "medium", "image": "debian-12", "roles": [role]
            }));
        }
    }
    let entries: Vec<_> = CLOUDS
        .iter()
        .map(|cloud| format!("load-balancer-{}", cloud.0))
        .collect();
    let role =
        |name: &str, kind: &str, port: u16| json!({"name": name, "kind": kind, "port": port});
    let balancer = |name: &str, role| json!({"name": name, "pools": &entries, "roles": [role]});
    let record = |name: &str| {
        json!({"provider": "cf", "zone": "example.com", "hostname": name, "loadBalancer": name,
               "ttl": "60s"})
    };
    let manifest = json!({
        "apiVersion": "quorate.dev/v1", "kind": "Cluster", "metadata": {"name": "shop"},
        "spec": {
            "kubernetes": {"version": "1.35.2"}, "providers": providers, "nodePools": pools,
            "mesh": {"cidr": "10.64.0.0/12"},
            "loadBalancers": [balancer("api", role("api", "api", 6443)),
                              balancer("web", role("https", "ingress", 443))],
            "dns": [record("api"), record("web")],
            "storage": {"engine": "longhorn", "replicas": 3, "spread": "provider"},
        }
    });
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
