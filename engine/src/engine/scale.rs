//! Pools that grow while pods wait for room, and shrink when others have room for theirs.
//!
//! Sizes live as long as the engine; after a crash they are read off from what exists.

use super::surge::surge;
use crate::manifest::{Manifest, Role};
use crate::observed::Observed;
use crate::resource::ResourceId;
use crate::seam::{NodeView, Notice};
use crate::time::{Span, Time};
use crate::topology::Roster;
use std::collections::{BTreeMap, BTreeSet};

/// A node that could go is kept so long in case it is needed again (Cluster Autoscaler's default).
const IDLE: Span = Span::from_secs(600);

/// A node with more load than this is not considered for removal, in thousandths (the same).
const LOAD_MAX_PERMILLE: u32 = 500;

/// Nodes added in one look: several pods may fit on one, and the next look tells.
const STEP: u32 = 2;

/// Sizes of growing pools.
#[derive(Debug, Clone, Default)]
pub(super) struct Scaling {
    sizes: BTreeMap<String, u32>,
    retired: BTreeSet<ResourceId>,
    idle_since: BTreeMap<ResourceId, Time>,
    known: bool,
}

impl Scaling {
    pub(super) fn of(manifest: &Manifest) -> Self {
        Self {
            sizes: bounds(manifest).map(|(pool, min, _)| (pool, min)).collect(),
            ..Self::default()
        }
    }

    pub(super) fn carried_over(&self, manifest: &Manifest) -> Self {
        let mut next = Self::of(manifest);
        for (pool, size) in &mut next.sizes {
            *size = self.sizes.get(pool).copied().unwrap_or(*size);
        }
        next
    }

    pub(super) fn sizes(&self) -> BTreeMap<String, u32> {
        self.sizes.clone()
    }

    pub(super) fn retired(&self) -> BTreeSet<ResourceId> {
        self.retired.clone()
    }

    /// Judges sizes anew, and says what changed.
    pub(super) fn judge(&mut self, now: Time, seen: &Observed, manifest: &Manifest) -> Vec<Notice> {
        let Some(cluster) = seen.cluster() else {
            return Vec::new();
        };
        if !std::mem::replace(&mut self.known, true) {
            self.read_off(seen, manifest);
        }
        let listed: BTreeSet<&ResourceId> = seen.listed().map(|(_, seen)| &seen.id).collect();
        self.retired.retain(|id| listed.contains(id));
        let nodes: Vec<&NodeView> = cluster.nodes.iter().filter(|n| !n.control_plane).collect();
        if cluster.pending_pods > 0 {
            self.idle_since.clear();
            return self
                .grow(cluster.pending_pods, &nodes, manifest)
                .into_iter()
                .collect();
        }
        self.shrink(now, &nodes, manifest).into_iter().collect()
    }

    /// The sizes that an engine before this one had reached. Extra nodes of an upgrade are not
    /// counted; if the upgrade had not come to them yet, a pool may grow back afterwards.
    fn read_off(&mut self, seen: &Observed, manifest: &Manifest) {
        let extra = surge(manifest, &Roster::default(), seen);
        for (pool, min, max) in bounds(manifest) {
            let prefix = format!("{}/{pool}/", manifest.metadata.name);
            let machines = seen
                .usable_machines()
                .filter(|m| m.id.as_str().starts_with(&prefix));
            let extra = extra.get(&pool).copied().unwrap_or(0);
            let usual = (machines.count() as u32).saturating_sub(extra);
            self.sizes.insert(pool, usual.clamp(min, max));
        }
    }

    /// Grows the first pool that may, unless nodes it already has are still on their way.
    fn grow(&mut self, waiting: u32, nodes: &[&NodeView], manifest: &Manifest) -> Option<Notice> {
        for (pool, _, max) in bounds(manifest) {
            let size = self.sizes[&pool];
            let prefix = format!("{}/{pool}/", manifest.metadata.name);
            let ready = |n: &&&NodeView| n.ready && n.machine.as_str().starts_with(&prefix);
            let joined = nodes.iter().filter(ready).count() as u32;
            if size < max && joined >= size {
                let size = (size + STEP.min(waiting)).min(max);
                self.sizes.insert(pool.clone(), size);
                let reason = format!("{waiting} pods find no room");
                return Some(Notice::Scaled { pool, size, reason });
            }
        }
        None
    }

    /// Lets one node go whose pods fit elsewhere, after it was idle long enough.
    fn shrink(&mut self, now: Time, nodes: &[&NodeView], manifest: &Manifest) -> Option<Notice> {
        for (pool, min, _) in bounds(manifest) {
            let size = self.sizes[&pool];
            let prefix = format!("{}/{pool}/", manifest.metadata.name);
            let able = |n: &&&NodeView| n.ready && n.machine.as_str().starts_with(&prefix);
            let least = nodes
                .iter()
                .filter(able)
                .min_by_key(|n| (n.load_permille, &n.machine));
            let Some(least) = least.filter(|least| size > min && goes(least, nodes)) else {
                self.idle_since
                    .retain(|id, _| !id.as_str().starts_with(&prefix));
                continue;
            };
            let since = *self.idle_since.entry(least.machine.clone()).or_insert(now);
            if now.since(since) < IDLE {
                continue;
            }
            self.idle_since.remove(&least.machine);
            self.retired.insert(least.machine.clone());
            self.sizes.insert(pool.clone(), size - 1);
            let reason = format!("{} has been idle, and others have room", least.machine);
            return Some(Notice::Scaled {
                pool,
                size: size - 1,
                reason,
            });
        }
        None
    }
}

/// Whether the others have room for what is on this node, with a tenth to spare.
fn goes(node: &NodeView, nodes: &[&NodeView]) -> bool {
    let others = nodes
        .iter()
        .filter(|other| other.machine != node.machine && other.ready);
    let room: u32 = others
        .map(|other| 900u32.saturating_sub(other.load_permille))
        .sum();
    node.load_permille <= LOAD_MAX_PERMILLE && room >= node.load_permille
}

/// Growing pools of workers: name, least and largest size.
fn bounds(manifest: &Manifest) -> impl Iterator<Item = (String, u32, u32)> {
    manifest.spec.node_pools.iter().filter_map(|pool| {
        let bounds = pool.autoscale?;
        let worker = pool.roles.contains(&Role::Worker);
        worker.then(|| (pool.name.clone(), bounds.min, bounds.max))
    })
}
