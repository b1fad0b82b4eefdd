//! A manifest as planning sees it: nodes, and the failure domains that take them away.
//!
//! Domains: every node, zone, region and provider, every shared group, every DNS service. A domain
//! that takes exactly what a smaller one takes is kept, under its own name: its likelihood differs.
//! Knows neither likelihoods nor prices.

use quorate_engine::catalog::Distances;
use quorate_engine::manifest::{Domain, Manifest, Role};
use quorate_engine::topology::{MeshFull, Node, Roster, Topology};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A manifest with its nodes and failure domains.
#[derive(Debug, Clone)]
pub struct Design {
    /// What the user wrote.
    pub manifest: Arc<Manifest>,
    /// Nodes, in order of id. Growing pools have their smallest size.
    pub topology: Topology,
    /// How far places are from each other: what the user measured, else the catalogue.
    pub distances: Distances,
    /// Largest first: shared groups, DNS services, providers, regions, zones, nodes; by name inside.
    pub domains: Vec<FailureDomain>,
}

/// What fails together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureDomain {
    /// What it is.
    pub kind: DomainKind,
    /// `htz`, `aws/eu-central-1/eu-central-1a`, `shop/rack/1`.
    pub name: String,
    /// Indices of the nodes it takes, in [`Topology::nodes`].
    pub nodes: BTreeSet<usize>,
    /// Names of the providers whose DNS service it takes.
    pub dns: BTreeSet<String>,
}

/// What a failure domain is. In order of size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DomainKind {
    /// A cause that several providers share: `failureGroups`.
    Group,
    /// A provider's DNS service.
    Dns,
    /// A provider.
    Provider,
    /// A region of a provider.
    Region,
    /// A zone of a region.
    Zone,
    /// One machine.
    Node,
}

impl DomainKind {
    /// As people say it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Group => "shared group",
            Self::Dns => "DNS service",
            Self::Provider => "provider",
            Self::Region => "region",
            Self::Zone => "zone",
            Self::Node => "node",
        }
    }
}

impl From<Domain> for DomainKind {
    fn from(domain: Domain) -> Self {
        match domain {
            Domain::Node => Self::Node,
            Domain::Zone => Self::Zone,
            Domain::Region => Self::Region,
            Domain::Provider => Self::Provider,
        }
    }
}

impl Design {
    /// Resolves a checked manifest.
    ///
    /// # Errors
    /// If the mesh has fewer addresses than there are nodes.
    pub fn of(manifest: &Arc<Manifest>) -> Result<Self, MeshFull> {
        Self::sized(manifest, BTreeMap::new())
    }

    /// The same with growing pools at these sizes, by name of the pool.
    ///
    /// # Errors
    /// If the mesh has fewer addresses than there are nodes.
    pub fn sized(manifest: &Arc<Manifest>, sizes: BTreeMap<String, u32>) -> Result<Self, MeshFull> {
        let roster = Roster {
            sizes,
            ..Roster::default()
        };
        let topology = Topology::resolve(manifest, &roster)?;
        let domains = domains(&topology);
        Ok(Self {
            manifest: Arc::clone(manifest),
            topology,
            distances: Distances::of(&manifest.spec.distances),
            domains,
        })
    }

    /// Its nodes.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.topology.nodes
    }

    /// Indices of the nodes with a role.
    pub fn with(&self, role: Role) -> impl Iterator<Item = usize> + '_ {
        let nodes = self.nodes().iter().enumerate();
        nodes
            .filter(move |(_, node)| node.is(role))
            .map(|(at, _)| at)
    }

    /// Index of a domain.
    #[must_use]
    pub fn domain(&self, kind: DomainKind, name: &str) -> Option<usize> {
        self.domains
            .iter()
            .position(|domain| domain.kind == kind && domain.name == name)
    }

    /// What is lost when these domains are, by index: nodes and DNS services.
    #[must_use]
    pub fn lost(&self, domains: &[usize]) -> Lost {
        let mut lost = Lost::default();
        for domain in domains {
            lost.nodes.extend(&self.domains[*domain].nodes);
            lost.dns.extend(self.domains[*domain].dns.iter().cloned());
        }
        lost
    }
}

/// What is gone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Lost {
    /// Indices of nodes.
    pub nodes: BTreeSet<usize>,
    /// Names of providers whose DNS service is gone.
    pub dns: BTreeSet<String>,
}

impl Lost {
    /// Whether a node is there.
    #[must_use]
    pub fn leaves(&self, node: usize) -> bool {
        !self.nodes.contains(&node)
    }
}

type Found = BTreeMap<(DomainKind, String), (BTreeSet<usize>, BTreeSet<String>)>;

fn domains(topology: &Topology) -> Vec<FailureDomain> {
    let mut found = Found::new();
    let scales = [Domain::Provider, Domain::Region, Domain::Zone, Domain::Node];
    for (at, node) in topology.nodes.iter().enumerate() {
        for scale in scales {
            found
                .entry((scale.into(), node.domain(scale)))
                .or_default()
                .0
                .insert(at);
        }
    }
    let spec = &topology.manifest.spec;
    for dns in &spec.dns {
        let of = found
            .entry((DomainKind::Dns, dns.provider.clone()))
            .or_default();
        of.1.insert(dns.provider.clone());
    }
    for provider in &spec.providers {
        let served = spec.dns.iter().any(|dns| dns.provider == provider.name);
        for group in &provider.failure_groups {
            let of = found.entry((DomainKind::Group, group.clone())).or_default();
            let nodes = topology.nodes.iter().enumerate();
            of.0.extend(
                nodes
                    .filter(|(_, n)| n.provider == provider.name)
                    .map(|(at, _)| at),
            );
            of.1.extend(served.then(|| provider.name.clone()));
        }
    }
    let made = found
        .into_iter()
        .map(|((kind, name), (nodes, dns))| FailureDomain {
            kind,
            name,
            nodes,
            dns,
        });
    made.collect()
}
