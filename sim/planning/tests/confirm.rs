//! Every claim of the failure table about a single loss, beside the simulated world: random
//! manifests are reported on, then each of their failure domains is lost in a scenario of its own.
//!
//! `QUORATE_CONFIRM=N` takes N manifests instead of a few.

use quorate_engine::manifest::{self, Manifest};
use quorate_engine::random::{Seed, Stream};
use quorate_planning::design::Design;
use quorate_planning::failures::{Served, failures};
use quorate_planning::proof::proof;
use serde_json::{Value, json};
use std::sync::Arc;

/// A few are enough to notice a change; many have been run by hand.
const MANIFESTS: u64 = 12;

#[test]
fn what_the_table_says_of_a_loss_is_what_the_simulated_world_shows() {
    // Read when it is compiled: nothing in this crate asks its environment.
    let asked = option_env!("QUORATE_CONFIRM");
    let manifests = asked.map_or(MANIFESTS, |n| {
        n.parse().expect("QUORATE_CONFIRM is a number")
    });
    let (mut losses, mut claims, mut differences) = (0, 0, Vec::new());
    for number in 1..=manifests {
        let manifest = Arc::new(random_manifest(number));
        let design = Design::of(&manifest).expect("the mesh has room");
        let table = failures(&design, Seed(1), &mut |_, _| ());
        let short = |served: &Served| served.placed < served.replicas;
        if table.whole.workloads.iter().any(short) {
            continue; // what is short from the start is no steady state to lose something from
        }
        for domain in &design.domains {
            losses += 1;
            let row = table.row_of(domain).expect("every domain has a row");
            let proof = proof(&manifest, domain, row, 1);
            claims += proof.claims;
            let named = |difference| format!("manifest {number}, {difference}");
            differences.extend(proof.differences.into_iter().map(named));
        }
    }
    let found = differences.len();
    println!("{manifests} manifests, {losses} losses, {claims} claims, {found} differences");
    assert!(claims > losses, "hardly anything was compared");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Providers, pools and workloads by luck: some survive much, some nothing.
fn random_manifest(number: u64) -> Manifest {
    let mut luck = Seed(number).stream("manifest", "shape");
    let clouds = [
        ("htz", "hetzner", "fsn1"),
        ("aws", "aws", "eu-central-1"),
        ("gcp", "gcp", "europe-west3"),
    ];
    let used = 1 + luck.below(3) as usize;
    let mut providers = vec![json!({"name": "cf", "type": "cloudflare"})];
    let mut pools = Vec::new();
    for (at, (name, kind, region)) in clouds.iter().take(used).enumerate() {
        let groups: &[&str] = if at < 2 && luck.chance(0.4) {
            &["backbone"]
        } else {
            &[]
        };
        providers.push(json!({"name": name, "type": kind, "failureGroups": groups}));
        let mut pool = |role: &str, count: u64| {
            if count > 0 {
                pools.push(json!({"name": format!("{role}-{name}"), "provider": name,
                    "region": region, "count": count, "machineType": machine(kind),
                    "image": "debian-12", "roles": [role]}));
            }
        };
        // The first cloud has some of everything, the others of what luck gives them.
        let least = u64::from(at == 0);
        pool("control-plane", least + luck.below(3));
        pool("worker", least + luck.below(4 - least));
        pool("load-balancer", least.max(luck.below(2)));
    }
    let balancers: Vec<String> = pools
        .iter()
        .filter(|pool| pool["roles"][0] == "load-balancer")
        .map(|pool| pool["name"].as_str().expect("it has a name").to_owned())
        .collect();
    let names = ["web", "orders", "search"];
    let workloads: Vec<Value> = names[..1 + luck.below(3) as usize]
        .iter()
        .map(|name| workload(name, &mut luck, used))
        .collect();
    // The simulated world has one workload behind a role, so each has a role of its own.
    let entries: Vec<Value> = workloads
        .iter()
        .enumerate()
        .map(|(at, workload)| {
            json!({"name": workload["name"], "kind": "ingress", "port": 443 + at,
                   "targetPort": 30_443 + at})
        })
        .collect();
    let dns = |name: &str, lb: &str| {
        json!({"provider": "cf", "zone": "example.com", "hostname": name, "loadBalancer": lb,
               "healthCheck": {"interval": "10s", "threshold": 3, "timeout": "2s"}})
    };
    let manifest = json!({
        "apiVersion": "quorate.dev/v1", "kind": "Cluster", "metadata": {"name": "shop"},
        "spec": {"kubernetes": {"version": "1.35.2"}, "providers": providers, "nodePools": pools,
            "loadBalancers": [
                {"name": "api", "pools": balancers, "roles": [{"name": "api", "kind": "api", "port": 6443}]},
                {"name": "web", "pools": balancers,
                 "roles": entries}],
            "dns": [dns("api", "api"), dns("www", "web")], "workloads": workloads}
    });
    judged(number, manifest)
}

/// Random manifests may miss objectives, and are no mistakes.
fn judged(number: u64, manifest: Value) -> Manifest {
    let manifest: Manifest = serde_json::from_value(manifest).expect("a valid manifest");
    let errors: Vec<_> = manifest::judge(&manifest)
        .into_iter()
        .filter(|f| f.severity == quorate_engine::diagnostic::Severity::Error)
        .collect();
    assert!(errors.is_empty(), "manifest {number}: {errors:?}");
    manifest
}

fn machine(kind: &str) -> &'static str {
    match kind {
        "hetzner" => "cx33",
        "aws" => "t3.large",
        _ => "e2-standard-2",
    }
}

fn workload(name: &str, luck: &mut Stream, providers: usize) -> Value {
    let cpu = ["100m", "500m", "1", "1500m"][luck.below(4) as usize];
    let mut workload = json!({"name": name, "replicas": 1 + luck.below(5),
        "requests": {"cpu": cpu, "memory": "128Mi"},
        "traffic": {"rate": "3/s", "through": format!("web/{name}")}});
    if luck.chance(0.3) {
        let at = luck.below(providers as u64) as usize;
        let name = ["htz", "aws", "gcp"][at];
        workload["prefer"] = json!({"provider": name});
    }
    workload
}
