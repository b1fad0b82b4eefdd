//! Every claim of the failure table about a single loss, beside the simulated world: random
//! manifests are reported on, then each of their failure domains is lost in a scenario of its own.
//!
//! `QUORATE_CONFIRM=N` takes N manifests instead of a few.

use quorate_engine::manifest::{self, Manifest};
use quorate_engine::random::{Seed, Stream};
use quorate_planning::design::{Design, DomainKind, FailureDomain};
use quorate_planning::failures::standing::Fate;
use quorate_planning::failures::{Failures, Row, failures};
use quorate_sim::outcome::{Run, Verdict};
use quorate_sim::run::Prepared;
use quorate_sim::scenario::Scenario;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A few are enough to notice a change; many have been run by hand.
const MANIFESTS: u64 = 4;

#[test]
fn what_the_table_says_of_a_loss_is_what_the_simulated_world_shows() {
    let asked = std::env::var("QUORATE_CONFIRM").ok();
    let manifests = asked.map_or(MANIFESTS, |n| {
        n.parse().expect("QUORATE_CONFIRM is a number")
    });
    let (mut losses, mut differences) = (0, Vec::new());
    for number in 1..=manifests {
        let manifest = Arc::new(random_manifest(number));
        let design = Design::of(&manifest).expect("the mesh has room");
        let table = failures(&design, Seed(1), &mut |_, _| ());
        for domain in &design.domains {
            losses += 1;
            differences.extend(difference(number, &manifest, domain, row(&table, domain)));
        }
    }
    println!(
        "{manifests} manifests, {losses} losses, {} differences",
        differences.len()
    );
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn row<'a>(table: &'a Failures, domain: &FailureDomain) -> &'a Row {
    let of = |row: &&Row| row.of[0].kind == domain.kind && row.of[0].alike.contains(&domain.name);
    table
        .domains
        .iter()
        .find(of)
        .expect("every domain has a row")
}

/// What the table says and the simulation does not, in words.
fn difference(number: u64, manifest: &Manifest, domain: &FailureDomain, row: &Row) -> Vec<String> {
    let run = lose(manifest, domain);
    let standing = &row.standing;
    let mut differences = Vec::new();
    let mut differs = |what: &str, table: String, seen: String| {
        differences.push(format!(
            "manifest {number}, {} {}: {what}: table {table}, simulated {seen}",
            domain.kind.word(),
            domain.name
        ));
    };
    if run.verdict == Verdict::Invalid {
        let why: Vec<_> = run.expectations.iter().map(|held| &held.detail).collect();
        differs("run", "valid".to_owned(), format!("{why:?}"));
        return differences;
    }
    let share = |of: &str| {
        let name = format!("availability of {of}");
        let held = run
            .expectations
            .iter()
            .find(|held| held.name.starts_with(&name));
        held.and_then(|held| held.value).expect("it is measured")
    };
    let api = standing
        .api
        .iter()
        .map(|entry| entry.fate)
        .min()
        .expect("there is an API");
    let writes = share("kubectl");
    if (api != Fate::Goes) != (writes > 980_000) {
        differs(
            "API writes",
            format!("{api:?}"),
            format!("{writes} millionths"),
        );
    }
    for served in &standing.workloads {
        let requests = share(&format!("users-of-{}", served.workload));
        // Half of the requests and more may fail where pods are few; none may where none is left.
        let serves = requests > 500_000;
        if (served.fate != Fate::Goes) != serves {
            let fate = format!("{:?} ({} pods)", served.fate, served.placed);
            differs(&served.workload, fate, format!("{requests} millionths"));
        }
        let name = format!("pods-missing of {}", served.workload);
        let held = run
            .expectations
            .iter()
            .find(|held| held.name.starts_with(&name));
        let missing = held.and_then(|held| held.value).expect("it is measured") > 0;
        if missing != (served.placed < served.replicas) && standing.etcd_lives() {
            let placed = format!("{} of {} placed", served.placed, served.replicas);
            differs(&served.workload, placed, format!("pods missing: {missing}"));
        }
    }
    differences
}

/// The loss of a domain, long enough for every reaction, and then for a while.
fn lose(manifest: &Manifest, domain: &FailureDomain) -> Run {
    let clients: Vec<Value> = manifest
        .spec
        .workloads
        .iter()
        .map(|w| {
            let through = &w.traffic.as_ref().expect("each has traffic").through;
            json!({"name": format!("users-of-{}", w.name), "through": format!("{through}@{}", w.name),
                   "rate": "3/s", "connectTimeout": "3s"})
        })
        .chain([json!({"name": "kubectl", "through": "api/api", "rate": "2/s", "asks": "write",
                       "connectTimeout": "3s"})])
        .collect();
    let expected = clients.iter().map(
        |c| json!({"measure": "availability", "of": c["name"], "in": "lasting", "atLeast": "0%"}),
    );
    let missing = manifest.spec.workloads.iter().map(
        |w| json!({"measure": "pods-missing", "of": w.name, "in": "lasting", "atMost": "1000h"}),
    );
    let expect: Vec<Value> = expected.chain(missing).collect();
    let faults = faults(manifest, domain);
    let scenario = json!({
        "apiVersion": "quorate.dev/v1", "kind": "Scenario", "name": "confirm",
        "manifest": "m.yaml", "clients": clients, "orchestrator": {"heals": false},
        "phases": [{"name": "reacting", "for": "25m", "faults": faults},
                   {"name": "lasting", "for": "5m", "faults": faults}],
        "expect": expect,
    });
    let scenario: Scenario = serde_json::from_value(scenario).expect("a valid scenario");
    let found = quorate_sim::run::judge(&scenario, manifest);
    assert!(found.is_empty(), "{found:?}");
    let manifests = BTreeMap::from([("m.yaml".to_owned(), manifest.clone())]);
    Prepared::new(scenario, &manifests).run(1)
}

fn faults(manifest: &Manifest, domain: &FailureDomain) -> Vec<Value> {
    let parts: Vec<&str> = domain.name.split('/').collect();
    match domain.kind {
        DomainKind::Dns => vec![json!({"do": "dns.outage", "where": {"provider": domain.name}})],
        DomainKind::Provider => vec![outage(&json!({"provider": parts[0]}))],
        DomainKind::Region => vec![outage(&json!({"provider": parts[0], "region": parts[1]}))],
        DomainKind::Zone => {
            vec![outage(
                &json!({"provider": parts[0], "region": parts[1], "zone": parts[2]}),
            )]
        }
        DomainKind::Node => {
            let name = format!("{}/{}", parts[1], parts[2]);
            vec![json!({"do": "node.kill", "where": {"name": name}})]
        }
        DomainKind::Group => {
            let providers = &manifest.spec.providers;
            let of = providers
                .iter()
                .filter(|p| p.failure_groups.contains(&domain.name));
            of.map(|provider| match provider.kind.has_machines() {
                true => outage(&json!({"provider": provider.name})),
                false => json!({"do": "dns.outage", "where": {"provider": provider.name}}),
            })
            .collect()
        }
    }
}

fn outage(target: &Value) -> Value {
    json!({"do": "provider.outage", "where": target})
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
        let members = if at == 0 {
            1 + luck.below(3)
        } else {
            luck.below(3)
        };
        pool("control-plane", members);
        pool(
            "worker",
            if at == 0 {
                1 + luck.below(3)
            } else {
                luck.below(4)
            },
        );
        pool("load-balancer", if at == 0 { 1 } else { luck.below(2) });
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
                 "roles": [{"name": "https", "kind": "ingress", "port": 443, "targetPort": 30443}]}],
            "dns": [dns("api", "api"), dns("www", "web")], "workloads": workloads}
    });
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
        "traffic": {"rate": "3/s", "through": "web/https"}});
    if luck.chance(0.3) {
        let at = luck.below(providers as u64) as usize;
        workload["prefer"] = json!({"provider": ["htz", "aws", "gcp"][at]});
    }
    workload
}
