//! Rows of the failure table beside the simulated world: the same loss, as a scenario.
//!
//! The loss lasts until everything has reacted, and then for a while in which it is looked at.
//! Clients come through every entry point, to every workload. Nobody heals anything meanwhile: the
//! table, too, says what is there without anyone's help.

use crate::design::{DomainKind, FailureDomain};
use crate::failures::Row;
use crate::failures::standing::Fate;
use quorate_engine::manifest::{LbKind, Manifest, Workload};
use quorate_sim::outcome::{Run, Verdict};
use quorate_sim::run::{Prepared, held};
use quorate_sim::scenario::{Measure, Scenario};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What the simulated world makes of a row.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Proof {
    /// The domain that was lost.
    pub of: String,
    /// Claims that were compared.
    pub claims: usize,
    /// Claims that it does not bear out, in words.
    pub differences: Vec<String>,
    /// From the loss to another leader of etcd, in seconds, where its leader was lost.
    pub leader_s: Option<f64>,
    /// From the loss to the first write through the API's entry point, in seconds.
    pub write_s: Option<f64>,
}

/// Loses a domain in the simulated world and compares what is seen with the table's row.
#[must_use]
pub fn proof(manifest: &Manifest, domain: &FailureDomain, row: &Row, seed: u64) -> Proof {
    let (scenario, run) = lose(manifest, domain, seed);
    let mut seen = Comparison {
        scenario: &scenario,
        run: &run,
        proof: Proof {
            of: format!("{} {}", domain.kind.word(), domain.name),
            claims: 0,
            differences: Vec::new(),
            leader_s: None,
            write_s: None,
        },
    };
    if run.verdict == Verdict::Invalid {
        let invalid = run
            .expectations
            .iter()
            .filter(|held| held.verdict == Verdict::Invalid);
        let why: Vec<&str> = invalid.map(|held| held.detail.as_str()).collect();
        seen.claim("the run", true, false, &why.join("; "));
        return seen.proof;
    }
    seen.compare(row);
    let cost = run.series.costs.first();
    let felt = cost.and_then(|cost| cost.felt.iter().find(|felt| felt.of == API));
    let seconds = |span: quorate_engine::time::Span| span.0 as f64 / 1e9;
    Proof {
        leader_s: cost.and_then(|cost| cost.election).map(seconds),
        write_s: felt.and_then(|felt| felt.first).map(seconds),
        ..seen.proof
    }
}

/// The population that writes through the API.
const API: &str = "writers";

/// A machine goes for good.
const DESTROYED: &str = "node.destroy";

struct Comparison<'a> {
    scenario: &'a Scenario,
    run: &'a Run,
    proof: Proof,
}

impl Comparison<'_> {
    fn claim(&mut self, what: &str, claimed: bool, seen: bool, detail: &str) {
        self.proof.claims += 1;
        if claimed != seen {
            let of = &self.proof.of;
            let word = |yes| if yes { "yes" } else { "no" };
            self.proof.differences.push(format!(
                "{of}: {what}: {} by the table, {} in simulation ({detail})",
                word(claimed),
                word(seen)
            ));
        }
    }

    /// A measure that the scenario takes while the loss lasts.
    fn measured(&self, measure: Measure, of: &str) -> Option<u64> {
        let held = held(self.run, self.scenario, measure, Some(of))?;
        assert!(held.value.is_some(), "{measure:?} of {of} was measured");
        held.value
    }

    fn compare(&mut self, row: &Row) {
        let standing = &row.standing;
        if let Some(writes) = self.measured(Measure::Availability, API) {
            let fate = standing.api.iter().map(|entry| entry.fate).min();
            let serves = fate.is_some_and(|fate| fate != Fate::Goes);
            self.claim("API writes", serves, writes > 980_000, &share(writes));
        }
        for served in &standing.workloads {
            let name = &served.workload;
            if let Some(requests) = self.measured(Measure::Availability, &users(name)) {
                // A pod that is needed and missing makes no request fail: one pod may serve all.
                let serves = served.fate != Fate::Goes || served.placed > 0 && served.entered;
                // Without writes to etcd nobody learns which pods are dead: of their requests each
                // fails, and what is left is the share of those that live.
                let enough = match standing.etcd_lives() {
                    true => 500_000,
                    false => 500_000 / u64::from(served.replicas.max(1)),
                };
                let detail = format!("{}, {} pods", share(requests), served.placed);
                self.claim(
                    &format!("{name} answers"),
                    serves,
                    requests > enough,
                    &detail,
                );
            }
            if !standing.etcd_lives() {
                continue; // nobody moves a pod, and nobody can say which are ready
            }
            if served.placed < served.replicas && served.placed_with_luck >= served.replicas {
                continue; // it hangs on the order in which nodes are found dead
            }
            if let Some(missing) = self.measured(Measure::PodsMissing, name) {
                let whole = served.placed >= served.replicas;
                let detail = format!("{} of {} placed", served.placed, served.replicas);
                self.claim(&format!("{name} is whole"), whole, missing == 0, &detail);
            }
        }
    }
}

fn share(millionths: u64) -> String {
    format!("{:.1} % of requests", millionths as f64 / 1e4)
}

fn users(workload: &str) -> String {
    format!("users-of-{workload}")
}

fn lose(manifest: &Manifest, domain: &FailureDomain, seed: u64) -> (Scenario, Run) {
    let faults = faults(manifest, domain);
    // A machine that is destroyed stays so; everything else comes back with the end of its phase.
    let mut on = faults.clone();
    on.retain(|fault| fault["do"] != DESTROYED);
    let clients = clients(manifest);
    let served = clients.iter().map(
        |of| json!({"measure": "availability", "of": of["name"], "in": "lasting", "atLeast": "0%"}),
    );
    let whole = manifest.spec.workloads.iter().map(|workload| {
        json!({"measure": "pods-missing", "of": workload.name, "in": "lasting", "atMost": "1000h"})
    });
    let expect: Vec<Value> = served.chain(whole).collect();
    let text = json!({
        "apiVersion": "quorate.dev/v1", "kind": "Scenario", "name": "loss", "manifest": "cluster",
        "clients": clients, "orchestrator": {"heals": false},
        "phases": [{"name": "reacting", "for": "25m", "faults": faults},
                   {"name": "lasting", "for": "5m", "faults": on}],
        "expect": expect,
    });
    let scenario: Scenario = serde_json::from_value(text).expect("a valid scenario");
    let manifests = BTreeMap::from([("cluster".to_owned(), manifest.clone())]);
    let run = Prepared::new(scenario.clone(), &manifests).run(seed);
    (scenario, run)
}

/// Somebody writes through the API, and every workload has users.
fn clients(manifest: &Manifest) -> Vec<Value> {
    let mut clients = Vec::new();
    for balancer in &manifest.spec.load_balancers {
        for role in balancer
            .roles
            .iter()
            .filter(|role| role.kind == LbKind::Api)
            .take(1)
        {
            clients.push(
                json!({"name": API, "through": format!("{}/{}", balancer.name, role.name),
                "rate": "2/s", "asks": "write", "connectTimeout": "3s"}),
            );
        }
    }
    clients.truncate(1);
    // The simulated world has one workload behind a role: of several the last.
    let workloads = &manifest.spec.workloads;
    for (at, workload) in workloads.iter().enumerate() {
        let Some(traffic) = &workload.traffic else {
            continue;
        };
        let through = |other: &Workload| {
            other
                .traffic
                .as_ref()
                .is_some_and(|its| its.through == traffic.through)
        };
        if !workloads[at + 1..].iter().any(through) {
            clients.push(
                json!({"name": users(&workload.name), "through": traffic.through, "rate": "3/s",
                "connectTimeout": "3s"}),
            );
        }
    }
    clients
}

fn faults(manifest: &Manifest, domain: &FailureDomain) -> Vec<Value> {
    let parts: Vec<&str> = domain.name.split('/').collect();
    let outage = |target: Value| json!({"do": "provider.outage", "where": target});
    let silence = |name: &str| json!({"do": "dns.outage", "where": {"provider": name}});
    match domain.kind {
        DomainKind::Dns => vec![silence(&domain.name)],
        DomainKind::Provider => vec![outage(json!({"provider": parts[0]}))],
        DomainKind::Region => vec![outage(json!({"provider": parts[0], "region": parts[1]}))],
        DomainKind::Zone => {
            vec![outage(
                json!({"provider": parts[0], "region": parts[1], "zone": parts[2]}),
            )]
        }
        DomainKind::Node => {
            let name = format!("{}/{}", parts[1], parts[2]);
            let pools = &manifest.spec.node_pools;
            let own = pools
                .iter()
                .any(|pool| pool.name == parts[1] && !pool.hosts.is_empty());
            // Nobody destroys a machine that is not rented, and one that loses its power boots between
            // the phases: it stands still.
            let verb = if own { "node.pause" } else { DESTROYED };
            vec![json!({"do": verb, "where": {"name": name}})]
        }
        DomainKind::Group => {
            let providers = manifest.spec.providers.iter();
            let of = providers.filter(|p| p.failure_groups.contains(&domain.name));
            let mut faults = Vec::new();
            for provider in of {
                if !manifest
                    .spec
                    .node_pools
                    .iter()
                    .any(|pool| pool.provider == provider.name)
                {
                    continue;
                }
                faults.push(outage(json!({"provider": provider.name})));
            }
            faults.extend(domain.dns.iter().map(|name| silence(name)));
            faults
        }
    }
}
