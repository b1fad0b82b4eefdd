//! A change in the simulated world, under live traffic, many times.

use crate::recovery::Times;
use crate::report::Progress;
use quorate_engine::manifest::{LbKind, Manifest};
use quorate_engine::time::Span;
use quorate_sim::outcome::{Run, Verdict};
use quorate_sim::run::{Prepared, held};
use quorate_sim::scenario::{Measure, Scenario};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A change that is not over by then counts as never over.
const LIMIT: Span = Span::from_secs(2 * 3_600);

/// What the simulated world made of a change.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Played {
    /// Runs, each with other luck.
    pub runs: u64,
    /// Of those, runs in which it came to its end within two hours.
    pub done: u64,
    /// How long it took, in seconds.
    pub took: Option<Times>,
    /// The longest time without a leader of etcd, in seconds.
    pub leaderless: Option<Times>,
    /// The fewest healthy voters beyond a quorum that was seen in any run.
    pub least_slack: Option<i64>,
    /// Requests that failed, of all, by population of clients.
    pub failed: Vec<(String, u64, u64)>,
    /// Acknowledged writes that were lost, in all runs.
    pub lost_writes: u64,
    /// Safety invariants that were broken, in all runs.
    pub unsafe_runs: u64,
}

/// Plays it with seeds 1 to `seeds`; none of none.
pub(super) fn play(
    old: &Arc<Manifest>,
    new: &Arc<Manifest>,
    seeds: u64,
    progress: &mut Progress<'_>,
) -> Option<Played> {
    if seeds == 0 {
        return None;
    }
    let scenario = scenario(old);
    let manifests = BTreeMap::from([
        ("old".to_owned(), old.as_ref().clone()),
        ("new".to_owned(), new.as_ref().clone()),
    ]);
    let prepared = Prepared::new(scenario.clone(), &manifests);
    let mut runs = Vec::new();
    for seed in 1..=seeds {
        progress("change", seed as usize - 1, seeds as usize);
        runs.push(prepared.run(seed));
    }
    Some(told(&scenario, &runs))
}

/// The change after a calm minute, with clients at every way in.
fn scenario(old: &Manifest) -> Scenario {
    let mut clients: Vec<Value> = Vec::new();
    for balancer in &old.spec.load_balancers {
        for role in &balancer.roles {
            let through = format!("{}/{}", balancer.name, role.name);
            let asks = match role.kind {
                LbKind::Api => "write",
                LbKind::Ingress => "read",
            };
            clients.push(json!({"name": through, "through": through, "rate": "5/s",
                "asks": asks, "connectTimeout": "3s"}));
        }
    }
    let mut expect = vec![
        json!({"measure": "converged", "in": "change", "atMost": "2h"}),
        json!({"measure": "leaderless", "atMost": "2h"}),
        json!({"measure": "lost-writes", "atMost": 0}),
    ];
    let served = clients
        .iter()
        .map(|of| json!({"measure": "availability", "of": of["name"], "atLeast": "0%"}));
    expect.extend(served);
    let text = json!({
        "apiVersion": "quorate.dev/v1", "kind": "Scenario", "name": "change", "manifest": "old",
        "clients": clients,
        "phases": [{"name": "before", "for": "1m"},
                   {"name": "change", "for": "2h", "changes": [{"apply": "new"}]}],
        "expect": expect,
    });
    serde_json::from_value(text).expect("a valid scenario")
}

fn told(scenario: &Scenario, runs: &[Run]) -> Played {
    let value = |run: &Run, measure: Measure| held(run, scenario, measure, None)?.value;
    let spans = |measure: Measure| -> Vec<Span> {
        let values = runs.iter().filter_map(|run| value(run, measure));
        values
            .map(Span::from_ms)
            .filter(|span| *span < LIMIT)
            .collect()
    };
    let took = spans(Measure::Converged);
    let slack = runs
        .iter()
        .flat_map(|run| &run.series.quorum)
        .map(|(_, voters, healthy)| i64::from(*healthy) - (i64::from(*voters) / 2 + 1));
    let mut failed = BTreeMap::<String, (u64, u64)>::new();
    for success in runs.iter().flat_map(|run| &run.series.success) {
        let of = failed.entry(success.name.clone()).or_default();
        for (ok, bad) in &success.counts {
            of.0 += u64::from(*bad);
            of.1 += u64::from(*ok) + u64::from(*bad);
        }
    }
    let broken = runs
        .iter()
        .filter(|run| run.verdict == Verdict::FailSafety)
        .count();
    Played {
        runs: runs.len() as u64,
        done: took.len() as u64,
        took: Times::of(took),
        leaderless: Times::of(spans(Measure::Leaderless)),
        least_slack: slack.min(),
        failed: failed
            .into_iter()
            .map(|(name, (bad, all))| (name, bad, all))
            .collect(),
        lost_writes: runs
            .iter()
            .filter_map(|run| value(run, Measure::LostWrites))
            .sum(),
        unsafe_runs: broken as u64,
    }
}
