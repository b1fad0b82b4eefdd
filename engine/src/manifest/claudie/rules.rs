//! What Claudie checks beyond types, and what it overlooks.
//!
//! Over the whole document, whichever cluster is meant: Claudie takes all of it or nothing.

mod balancers;
mod clusters;
mod pools;

use super::input::{DynamicPool, InputManifest, StaticPool};
use super::report::Report;
use crate::diagnostic::Path;
use std::collections::{BTreeMap, BTreeSet};

/// Names in the document, and where its parts stand.
pub(super) struct Index<'i> {
    pub(super) input: &'i InputManifest,
    pub(super) pools: BTreeMap<&'i str, Pool<'i>>,
    /// Pools in the control plane of any cluster.
    control: BTreeSet<&'i str>,
}

/// A pool of either sort, with its place.
#[derive(Clone)]
pub(super) enum Pool<'i> {
    Dynamic(&'i DynamicPool, Path),
    Static(&'i StaticPool, Path),
}

impl Pool<'_> {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Dynamic(_, path) | Self::Static(_, path) => path,
        }
    }
}

/// Places of the lists in a document.
pub(super) fn providers_path() -> Path {
    Path::root().field("spec").field("providers")
}

pub(super) fn clusters_path() -> Path {
    Path::root()
        .field("spec")
        .field("kubernetes")
        .field("clusters")
}

pub(super) fn balancers_path() -> Path {
    Path::root()
        .field("spec")
        .field("loadBalancers")
        .field("clusters")
}

pub(super) fn roles_path() -> Path {
    Path::root()
        .field("spec")
        .field("loadBalancers")
        .field("roles")
}

impl<'i> Index<'i> {
    pub(super) fn new(input: &'i InputManifest) -> Self {
        let base = Path::root().field("spec").field("nodePools");
        let mut pools = BTreeMap::new();
        for (index, pool) in input.spec.node_pools.dynamic.iter().enumerate() {
            let path = base.field("dynamic").index(index);
            pools
                .entry(pool.name.as_str())
                .or_insert(Pool::Dynamic(pool, path));
        }
        for (index, pool) in input.spec.node_pools.fixed.iter().enumerate() {
            let path = base.field("static").index(index);
            pools
                .entry(pool.name.as_str())
                .or_insert(Pool::Static(pool, path));
        }
        let clusters = input.spec.kubernetes.clusters.iter();
        let control = clusters
            .flat_map(|c| c.pools.control.iter().map(String::as_str))
            .collect();
        Self {
            input,
            pools,
            control,
        }
    }

    fn pool_names(&self) -> impl Iterator<Item = &'i str> {
        self.pools.keys().copied()
    }

    /// A list of references to pools: each defined, none twice.
    fn references(&self, report: &mut Report<'_>, path: &Path, names: &[String]) {
        for (index, name) in names.iter().enumerate() {
            if !self.pools.contains_key(name.as_str()) {
                report.undefined("node pool", &path.index(index), name, self.pool_names());
            }
        }
        let names = names.iter().enumerate();
        report.unique(
            "node pool",
            names.map(|(n, name)| (name.as_str(), path.index(n))),
        );
    }
}

/// Applies every rule.
pub(super) fn check(index: &Index<'_>, report: &mut Report<'_>) {
    pools::providers(index.input, report);
    pools::pools(index, report);
    clusters::clusters(index, report);
    clusters::sharing(index, report);
    balancers::roles(index, report);
    balancers::clusters(index, report);
}
