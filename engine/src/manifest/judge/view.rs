//! The manifest as the rules look at it: lookups by name, sizes, places.
//!
//! Judges nothing. A name that leads nowhere gives `None`, and the rule that owns it speaks.

use crate::catalog::{self, Distances};
use crate::diagnostic::{Finding, Path, Severity};
use crate::manifest::{Cluster, Domain, Manifest, NodePool, Provider, ProviderKind, Role};
use crate::timing::Farthest;
use std::collections::{BTreeMap, BTreeSet};

/// A manifest with its lookups.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) spec: &'a Cluster,
}

impl<'a> View<'a> {
    pub(super) fn new(manifest: &'a Manifest) -> Self {
        Self {
            manifest,
            spec: &manifest.spec,
        }
    }

    /// The place of a field of `spec`.
    pub(super) fn at(self, field: &str) -> Path {
        Path::root().field("spec").field(field)
    }

    pub(super) fn pools(self) -> impl Iterator<Item = (Path, &'a NodePool)> {
        placed(self.at("nodePools"), &self.spec.node_pools)
    }

    pub(super) fn pool(self, name: &str) -> Option<&'a NodePool> {
        self.spec.node_pools.iter().find(|pool| pool.name == name)
    }

    pub(super) fn provider(self, name: &str) -> Option<&'a Provider> {
        self.spec.providers.iter().find(|p| p.name == name)
    }

    pub(super) fn kind(self, pool: &NodePool) -> Option<ProviderKind> {
        self.provider(&pool.provider).map(|provider| provider.kind)
    }

    pub(super) fn with_role(self, role: Role) -> impl Iterator<Item = &'a NodePool> {
        let pools = self.spec.node_pools.iter();
        pools.filter(move |pool| pool.roles.contains(&role))
    }

    /// Whether the loss of any one `domain` must be survived.
    pub(super) fn must_survive(self, domain: Domain) -> bool {
        self.spec.resilience.survive.is_some_and(|d| d >= domain)
    }

    /// How many of the pools' nodes stand in each place of a domain, at their smallest size.
    /// Of nodes, all alike, one stands for all.
    pub(super) fn census(
        self,
        pools: impl Iterator<Item = &'a NodePool>,
        domain: Domain,
    ) -> BTreeMap<String, u64> {
        self.census_of(pools, domain, |pool| nodes(pool).0)
    }

    /// The same with pools of a chosen size.
    pub(super) fn census_of(
        self,
        pools: impl Iterator<Item = &'a NodePool>,
        domain: Domain,
        size: impl Fn(&NodePool) -> u64,
    ) -> BTreeMap<String, u64> {
        let mut census = BTreeMap::new();
        for pool in pools {
            let nodes = size(pool);
            let region = pool.region.as_deref().unwrap_or("");
            match domain {
                Domain::Provider => add(&mut census, pool.provider.clone(), nodes),
                Domain::Region => add(&mut census, format!("{}/{region}", pool.provider), nodes),
                Domain::Zone => {
                    let zones = self.zones(pool);
                    let share = zones.len() as u64;
                    for (i, zone) in (0..).zip(zones) {
                        let count = nodes / share + u64::from(i < nodes % share);
                        add(
                            &mut census,
                            format!("{}/{region}/{zone}", pool.provider),
                            count,
                        );
                    }
                }
                Domain::Node => {
                    if nodes > 0 {
                        census.insert("a node".to_owned(), 1);
                    }
                }
            }
        }
        census
    }

    /// In how many places of a domain the pools' nodes stand, at their smallest size.
    pub(super) fn places(self, pools: impl Iterator<Item = &'a NodePool>, domain: Domain) -> u64 {
        match domain {
            Domain::Node => pools.map(|pool| nodes(pool).0).sum(),
            Domain::Zone | Domain::Region | Domain::Provider => {
                self.census(pools, domain).len() as u64
            }
        }
    }

    /// The zones over which a pool's nodes are spread in turn; never empty.
    fn zones(self, pool: &'a NodePool) -> Vec<&'a str> {
        if let Some(zone) = &pool.zone {
            return vec![zone];
        }
        let region = self.kind(pool).zip(pool.region.as_deref());
        let known = region.and_then(|(kind, region)| catalog::region(kind, region));
        match known {
            Some(region) if !region.zones.is_empty() => region.zones.clone(),
            _ => vec![""],
        }
    }
}

fn add(census: &mut BTreeMap<String, u64>, place: String, count: u64) {
    if count > 0 {
        *census.entry(place).or_default() += count;
    }
}

/// A domain as manifests write it.
pub(super) fn domain_name(domain: Domain) -> &'static str {
    match domain {
        Domain::Node => "node",
        Domain::Zone => "zone",
        Domain::Region => "region",
        Domain::Provider => "provider",
    }
}

/// The elements of a list with their places.
pub(super) fn placed<T>(list: Path, items: &[T]) -> impl Iterator<Item = (Path, &T)> {
    let paths = (0..).map(move |i| list.index(i));
    paths.zip(items)
}

/// The smallest and the largest number of nodes of a pool.
pub(super) fn nodes(pool: &NodePool) -> (u64, u64) {
    match (pool.count, pool.autoscale) {
        (Some(count), _) => (count.into(), count.into()),
        (None, Some(bounds)) => (bounds.min.into(), bounds.max.into()),
        (None, None) => (pool.hosts.len() as u64, pool.hosts.len() as u64),
    }
}

/// The providers of pools, each once.
pub(super) fn providers<'a>(pools: impl Iterator<Item = &'a NodePool>) -> BTreeSet<&'a str> {
    pools.map(|pool| pool.provider.as_str()).collect()
}

/// The longest round trip between any two places of the pools, and the pools that stand there.
/// That inside one place counts only where it was measured.
pub(super) fn longest<'a>(
    view: View<'a>,
    pools: impl Iterator<Item = &'a NodePool>,
) -> Option<Farthest> {
    let mut places = BTreeMap::new();
    for pool in pools {
        if let Some(kind) = view.kind(pool) {
            let region = pool.region.as_deref().unwrap_or(&pool.provider);
            let here = places
                .entry((kind, region))
                .or_insert((pool.name.as_str(), 0));
            here.1 += nodes(pool).1;
        }
    }
    let known = Distances::of(&view.spec.distances);
    let mut worst: Option<Farthest> = None;
    for (i, (b, (b_name, nodes))) in places.iter().enumerate() {
        for (a, (a_name, _)) in places.iter().take(i + 1) {
            let own = known.measured(*a, *b);
            if a == b && (own.is_none() || *nodes < 2) {
                continue;
            }
            let rtt = own.unwrap_or_else(|| catalog::rtt(*a, *b)).rtt;
            if worst.as_ref().is_none_or(|worst| rtt > worst.rtt) {
                worst = Some(Farthest {
                    rtt,
                    between: [(*a_name).to_owned(), (*b_name).to_owned()],
                    measured: own.is_some(),
                });
            }
        }
    }
    worst
}

/// An error where it is `hard`, a warning where it is not.
pub(super) fn graded(
    hard: bool,
    code: &'static str,
    path: &Path,
    message: impl Into<String>,
) -> Finding {
    let mut finding = Finding::warning(code, path, message);
    if hard {
        finding.severity = Severity::Error;
    }
    finding
}

/// `a, b and c`.
pub(super) fn listed<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let mut names: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    let last = names.pop().unwrap_or_default();
    if names.is_empty() {
        last
    } else {
        format!("{} and {last}", names.join(", "))
    }
}

/// The fix for a name that leads nowhere: the nearest known one, or all there are.
pub(super) fn name_fix<'a>(
    wanted: &str,
    known: impl IntoIterator<Item = &'a str>,
    declare: &str,
) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(near) = crate::diagnostic::nearest(wanted, known.iter().copied()) {
        return format!("write `{near}`, if that is meant; otherwise {declare}");
    }
    match known.len() {
        0 => format!("there is none yet: {declare}"),
        1..=12 => format!("choose one of {}; otherwise {declare}", known.join(", ")),
        n => format!("{n} others are known, none is like it; otherwise {declare}"),
    }
}
