//! Nodes beyond a pool's size, while its workers get another Kubernetes version.
//!
//! Nothing remembers an upgrade: it is under way in a pool as long as one of its nodes runs another
//! version than is wanted. So a restart in the middle goes on as before, and the last node's new
//! version is what lets the extra ones go.

use crate::manifest::{Manifest, NodePool, Role};
use crate::observed::Observed;
use crate::plan::{refused, same_version};
use crate::resource::ResourceId;
use crate::topology::Roster;
use std::collections::BTreeMap;

/// How many extra nodes each pool has now; pools without any are not named.
pub(super) fn surge(
    manifest: &Manifest,
    roster: &Roster,
    seen: &Observed,
) -> BTreeMap<String, u32> {
    let Some(kubernetes) = &manifest.spec.kubernetes else {
        return BTreeMap::new();
    };
    let most = kubernetes.upgrade.max_surge;
    let extra = |pool: &NodePool| {
        let prefix = format!("{}/{}/", manifest.metadata.name, pool.name);
        let of_pool = |id: &ResourceId| id.as_str().starts_with(&prefix);
        let view = seen.cluster();
        match view.filter(|view| refused(view, &kubernetes.version).is_none()) {
            Some(view) => {
                let mut nodes = view.nodes.iter().filter(|node| of_pool(&node.machine));
                let old = nodes.any(|node| {
                    !node.version.is_empty() && !same_version(&node.version, &kubernetes.version)
                });
                if old { most } else { 0 }
            }
            // It must not go on, or whether it does cannot be seen: nothing is begun, and nobody is
            // sent away.
            None => {
                let there = roster.existing.iter().filter(|id| of_pool(id)).count() as u32;
                there.saturating_sub(roster.size_of(pool)).min(most)
            }
        }
    };
    let pools = manifest.spec.node_pools.iter().filter(|pool| {
        let only_works = pool.roles == [Role::Worker];
        most > 0 && only_works && pool.hosts.is_empty()
    });
    let extra = pools.map(|pool| (pool.name.clone(), extra(pool)));
    extra.filter(|(_, nodes)| *nodes > 0).collect()
}
