//! What still fits: now, without each failure domain, and when a growing load is too much.
//!
//! All of it by placing pods, never by sums: room in pieces too small for a pod is no room. Knows
//! neither prices nor how likely a loss is.

mod burst;
mod growth;
mod headroom;
mod section;

#[cfg(test)]
mod tests;

pub use burst::{Burst, Growing};
pub use growth::{FACTOR_MAX_PERCENT, Growth, Limit, MONTHS_MAX};
pub use headroom::{Headroom, Largest};

use crate::design::{Design, DomainKind};
use crate::page::Section;
use crate::placing::Site;
use quorate_engine::topology::MeshFull;
use schemars::JsonSchema;
use serde::Serialize;

/// What fits, and until when.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Capacity {
    /// Names of workloads, in the manifest's order; other lists by workload follow it.
    pub workloads: Vec<String>,
    /// First with everything there, then without each domain that takes workers, in the design's
    /// order.
    pub headroom: Vec<Headroom>,
    /// First with everything there, then without any one domain of each kind.
    pub growth: Vec<Growth>,
    /// What growing pools add at their largest; none: no pool of workers grows.
    pub burst: Option<Burst>,
}

/// What is lost in a row: a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Without {
    /// What it is.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// What fits, and until when.
///
/// # Errors
/// If the mesh has fewer addresses than nodes with growing pools at their largest.
pub fn capacity(design: &Design) -> Result<Capacity, MeshFull> {
    let workloads = design.manifest.spec.workloads.iter();
    Ok(Capacity {
        workloads: workloads.map(|workload| workload.name.clone()).collect(),
        headroom: headroom::headroom(design),
        growth: growth::growth(design),
        burst: burst::burst(design)?,
    })
}

impl Capacity {
    /// As a report shows it.
    #[must_use]
    pub fn section(&self) -> Section {
        section::section(self)
    }
}

/// Domains that take nodes on which pods could be, by index.
fn worker_domains(design: &Design, site: &Site) -> Vec<usize> {
    let takes = |at: &usize| {
        let mut nodes = design.domains[*at].nodes.iter();
        nodes.any(|node| site.nodes[*node].takes_pods)
    };
    (0..design.domains.len()).filter(takes).collect()
}

fn without(design: &Design, domain: usize) -> Without {
    let domain = &design.domains[domain];
    Without {
        kind: domain.kind.word().to_owned(),
        name: domain.name.clone(),
    }
}

/// Kinds of domains, in order of size, that take nodes.
const KINDS: [DomainKind; 5] = [
    DomainKind::Group,
    DomainKind::Provider,
    DomainKind::Region,
    DomainKind::Zone,
    DomainKind::Node,
];
