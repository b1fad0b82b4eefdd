//! How long it takes until a cluster serves again after a loss, and what is lost for good:
//! distributions, from simulations of the parts, under the condition that the loss happens.
//!
//! Each part is played by the rules that the simulated world has for it: deaths of etcd's leader by
//! the etcd model itself, the rest by its timers (health checks, TTLs, leases, tolerations). That
//! takes milliseconds for thousands of losses. What the parts do to each other is left to the
//! simulated world as a whole: `quorate report --simulate` sets its figures beside these.

mod data;
mod entry;
mod leader;
mod pods;

pub use data::{EtcdData, Source};
pub use leader::Elections;

use crate::design::{Design, Lost};
use quorate_engine::random::Seed;
use quorate_engine::time::Span;
use schemars::JsonSchema;
use serde::Serialize;

/// How many losses are played for each row of the table. The 99th percentile then rests on 20.
pub const LOSSES: usize = 2_000;

/// How long something takes, over all instants at which the loss may come, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Times {
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
}

impl Times {
    /// Of samples in any order; none of nothing.
    #[must_use]
    pub fn of(mut samples: Vec<Span>) -> Option<Self> {
        samples.sort_unstable();
        // The nearest rank: a value that was seen, never one in between.
        let at = |share: f64| {
            let rank = libm::ceil(share * samples.len() as f64) as usize;
            samples
                .get(rank.saturating_sub(1))
                .map(|span| span.0 as f64 / 1e9)
        };
        Some(Self {
            p50: at(0.5)?,
            p90: at(0.9)?,
            p99: at(0.99)?,
        })
    }
}

/// What a loss costs in time. None: it does not come to that, or never ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, JsonSchema)]
pub struct Recovery {
    /// In how many of these losses etcd's leader is lost too: the rest has no election.
    pub leader_lost: f64,
    /// Until etcd has committed something again, where its leader was lost.
    pub leader: Option<Times>,
    /// Until a write through the API's entry point succeeds, for clients that try the next address.
    pub write: Option<Times>,
    /// Until no request of such clients fails or waits at an ingress: dead workers are found out.
    pub clean: Option<Times>,
    /// The same for clients that keep to the address they were given.
    pub names: Option<Times>,
    /// Until all pods that found a place are ready again.
    pub pods: Option<Times>,
    /// What is gone of etcd's data, if the lost members never come back.
    pub etcd_data: Option<EtcdData>,
}

/// A pod that stood on a lost node and found a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Displaced {
    /// Index of the lost node.
    pub from: usize,
    /// It takes a volume along, which the lost node must give up first.
    pub volume: bool,
}

/// Plays the loss of `lost` at random instants. `name` keys the luck: the same loss in another
/// design meets the same.
#[must_use]
pub fn recovery(
    design: &Design,
    elections: &mut Elections,
    lost: &Lost,
    displaced: &[Displaced],
    name: &str,
    seed: Seed,
) -> Recovery {
    let leader = elections.played(design, lost, seed);
    let leader_lost = leader.share;
    let mut luck = seed.stream(name, "leader is lost");
    let gaps: Vec<_> = (0..LOSSES).map(|_| leader.draw(&mut luck)).collect();
    let gone = pods::found_out(design, lost, leader_lost, seed, name);
    Recovery {
        leader_lost,
        leader: Times::of(gaps.iter().copied().flatten().collect()),
        write: entry::write(design, lost, &gaps, seed, name),
        clean: entry::clean(design, lost, gone.as_deref(), seed, name),
        names: entry::names(design, lost, seed, name),
        pods: pods::back(design, lost, gone.as_deref(), displaced, seed, name),
        etcd_data: data::etcd(design, lost, name, seed),
    }
}
