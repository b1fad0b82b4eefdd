//! A change from one manifest to another: what its steps risk on the way, how long it takes, and
//! what it costs to have both for that time.
//!
//! The plan is the engine's own, from a healthy cluster as the old manifest wants it, and checked by
//! its checker. `walk` follows etcd's members along it; `played` carries it out in the simulated
//! world under live traffic.

mod played;
mod section;
mod walk;

pub use played::Played;

use crate::availability;
use crate::data::{Currency, Data, MONTH_HOURS};
use crate::design::Design;
use crate::price::{PriceOptions, price};
use crate::report::Progress;
use quorate_engine::check::check;
use quorate_engine::engine::etcd_version;
use quorate_engine::graph::Desired;
use quorate_engine::manifest::{Manifest, Role};
use quorate_engine::observed::Observed;
use quorate_engine::plan::{Plan, critical_path, plan};
use quorate_engine::quorum::Policy;
use quorate_engine::topology::{MeshFull, Roster, Topology};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a change comes to.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Change {
    /// Steps that change something, in the plan's order.
    pub steps: Vec<Step>,
    /// What differs and is left alone, and why.
    pub held: Vec<String>,
    /// What the checker says against the plan; empty: it is sound.
    pub problems: Vec<String>,
    /// How long it takes if every step takes what it usually does, in minutes.
    pub expected_minutes: f64,
    /// The least slack of etcd on the way; none without etcd.
    pub least_slack: Option<i64>,
    /// For how many minutes of it etcd bears no loss at all.
    pub bare_minutes: f64,
    /// How likely etcd loses its quorum on the way, by the rates of failures that are assumed.
    pub quorum_risk: f64,
    /// What both cost together for that long, beyond what the old manifest costs.
    pub double_running: f64,
    /// The price of a month, before and after.
    pub monthly: (f64, f64),
    /// Of prices.
    pub currency: Currency,
    /// What is not in the prices.
    pub unpriced: usize,
    /// What the simulated world made of it; none if it was not asked.
    pub played: Option<Played>,
}

/// A step of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Step {
    /// `create shop/htz-cp/1`.
    pub title: String,
    /// Why it is done.
    pub reason: String,
    /// When it begins and how long it takes, in minutes, if all goes as usual.
    pub begins: f64,
    /// Its own length, in minutes.
    pub lasts: f64,
    /// Whether it can be taken back.
    pub reversible: String,
    /// How many members of etcd may fail while it runs.
    pub slack: Option<i64>,
}

/// Looks at a change. `seeds` runs of it are played in the simulated world.
///
/// # Errors
/// If a mesh has fewer addresses than there are nodes.
pub fn change(
    old: &Arc<Manifest>,
    new: &Arc<Manifest>,
    data: &Data,
    seeds: u64,
    progress: &mut Progress<'_>,
) -> Result<Change, MeshFull> {
    let before = Design::of(old)?;
    let standing = Desired::of(Arc::new(before.topology.clone()));
    let seen = Observed::built(&standing);
    let roster = Roster {
        existing: seen.history.prepared.clone(),
        addresses: before.topology.allocated.iter().cloned().collect(),
        ..Roster::default()
    };
    let desired = Desired::of(Arc::new(Topology::resolve(new, &roster)?));
    let plan = plan(&desired, &seen);
    let after = Design::of(new)?;
    let walked = walk::walk(&plan, &[&before, &after], &rates(&[&before, &after], data));
    let options = PriceOptions::default();
    let months = [
        price(&before, data, &options),
        price(&after, data, &options),
    ];
    let monthly = (months[0].normal.together, months[1].normal.together);
    let both = together(&before, &after, data, &options);
    let expected = critical_path(&plan.steps);
    let hours = expected.0 as f64 / 3.6e12;
    Ok(Change {
        steps: walked.steps,
        held: plan
            .held
            .iter()
            .map(|held| format!("{}: {}", held.resource, held.reason))
            .collect(),
        problems: problems(&plan, &seen, &desired),
        expected_minutes: hours * 60.0,
        least_slack: walked.least_slack,
        bare_minutes: walked.bare_minutes,
        quorum_risk: walked.risk,
        double_running: (both - monthly.0).max(0.0) * hours / MONTH_HOURS,
        monthly,
        currency: options.currency,
        unpriced: months
            .iter()
            .map(|month| month.normal.unknown.len())
            .max()
            .unwrap_or(0),
        played: played::play(old, new, seeds, progress),
    })
}

fn problems(plan: &Plan, seen: &Observed, desired: &Desired) -> Vec<String> {
    let policy = Policy {
        declared: desired.topology.with(Role::ControlPlane).count() as u32,
        scale_down: true,
        force: false,
    };
    let version = etcd_version(&desired.topology.manifest);
    let found = check(plan, seen, version, &policy);
    found.iter().map(ToString::to_string).collect()
}

/// How often a year each failure domain of each design fails.
fn rates(designs: &[&Design], data: &Data) -> Vec<Vec<f64>> {
    let of = |design: &&Design| {
        let events = availability::events(design, data);
        events.iter().map(|event| event.rhythm.per_year).collect()
    };
    designs.iter().map(of).collect()
}

/// The month's price of everything that either has: what is in both is counted once.
fn together(old: &Design, new: &Design, data: &Data, options: &PriceOptions) -> f64 {
    let lines = |design: &Design| price(design, data, options).normal.lines;
    let (old, new) = (lines(old), lines(new));
    let amount = |line: &crate::price::Line| match (line.amount, line.currency) {
        (Some(amount), Some(currency)) => data.exchange(amount, currency, options.currency),
        _ => 0.0,
    };
    let key = |line: &crate::price::Line| (line.group, line.provider.clone(), line.what.clone());
    let keys: BTreeSet<_> = old.iter().chain(&new).map(key).collect();
    let most = keys.iter().map(|wanted| {
        let of = |lines: &[crate::price::Line]| -> f64 {
            lines
                .iter()
                .filter(|line| key(line) == *wanted)
                .map(amount)
                .sum()
        };
        of(&old).max(of(&new))
    });
    most.sum()
}
