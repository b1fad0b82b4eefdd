//! What growing pools add at their largest, and how soon.

use super::Growth;
use super::growth::growth;
use super::headroom::more;
use crate::design::{Design, Lost};
use crate::placing::{Placement, Site, at_maximum};
use quorate_engine::manifest::Role;
use quorate_engine::plan::expected;
use quorate_engine::resource::Kind;
use quorate_engine::seam::Verb;
use quorate_engine::topology::MeshFull;
use quorate_sim::cloud::profile;
use quorate_sim::kube::{NodeSpec, Settings};
use schemars::JsonSchema;
use serde::Serialize;

/// All growing pools at their largest.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Burst {
    /// Pools of workers that grow.
    pub pools: Vec<Growing>,
    /// How many more pods of each workload fit then, if only they come; none: any number.
    pub more: Vec<Option<u64>>,
    /// Pods on no node even then.
    pub pending: usize,
    /// Until when everything fits, with pools at their largest from the start.
    pub growth: Vec<Growth>,
}

/// A pool that grows.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Growing {
    /// Its name.
    pub pool: String,
    /// Its provider's name.
    pub provider: String,
    /// Nodes it can add to its smallest size.
    pub nodes: u32,
    /// Allocatable CPU that they bring, in thousandths of a core.
    pub cpu_milli: u64,
    /// Allocatable memory that they bring, in bytes.
    pub memory_bytes: u64,
    /// From the decision until a node is Ready, in seconds: half are quicker.
    pub median_s: f64,
    /// Nine of ten are quicker.
    pub p90_s: f64,
}

/// The 90th percentile of the standard normal distribution.
const Z90: f64 = 1.281_551_565_5;

pub(super) fn burst(design: &Design) -> Result<Option<Burst>, MeshFull> {
    let pools: Vec<Growing> = pools(design);
    if pools.is_empty() {
        return Ok(None);
    }
    let largest = at_maximum(design)?;
    let placed = Placement::fresh(Site::of(&largest), &Lost::default());
    Ok(Some(Burst {
        pools,
        more: (0..placed.pods.len()).map(|at| more(&placed, at)).collect(),
        pending: placed.pending(),
        growth: growth(&largest),
    }))
}

fn pools(design: &Design) -> Vec<Growing> {
    let mut found = Vec::new();
    for (at, pool) in design.manifest.spec.node_pools.iter().enumerate() {
        let mut providers = design.manifest.spec.providers.iter();
        let provider = providers.find(|provider| provider.name == pool.provider);
        let (Some(bounds), Some(provider)) = (pool.autoscale, provider) else {
            continue;
        };
        let nodes = bounds.max.saturating_sub(bounds.min);
        if nodes == 0 || !pool.roles.contains(&Role::Worker) {
            continue;
        }
        let known = design.nodes().iter().find(|node| node.pool == at);
        let by_type = || {
            let name = pool.machine_type.as_deref()?;
            quorate_engine::catalog::machine(provider.kind, name)
        };
        let machine = known.and_then(|node| node.capacity).or(pool.capacity);
        let each = NodeSpec::allocatable(machine.or_else(by_type));
        // The steps of one machine follow each other; machines are made side by side. Booting is in
        // the preparation of the host.
        let steps = [
            (Verb::Create, Kind::Machine),
            (Verb::Create, Kind::Host),
            (Verb::Create, Kind::Peer),
            (Verb::Create, Kind::Links),
            (Verb::Create, Kind::ApiProxy),
            (Verb::Create, Kind::Worker),
        ];
        let steps = steps.map(|(verb, kind)| expected(verb, kind).as_ms() as f64 / 1e3);
        let joins = Settings::of_minor(0).join.as_ms() as f64 / 1e3;
        let rest = steps.iter().sum::<f64>() + joins;
        let build = profile(provider.kind).build;
        let median = build.median_ms as f64 / 1e3;
        found.push(Growing {
            pool: pool.name.clone(),
            provider: pool.provider.clone(),
            nodes,
            cpu_milli: each.cpu.0 * u64::from(nodes),
            memory_bytes: each.memory.0 * u64::from(nodes),
            median_s: median + rest,
            p90_s: median * libm::exp(Z90 * build.sigma) + rest,
        });
    }
    found
}
