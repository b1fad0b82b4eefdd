//! Upgrades with nodes beyond a pool's size.

use super::*;
use crate::engine::fitting;
use crate::manifest::Role;
use std::collections::{BTreeMap, BTreeSet};

/// The desired resources after what was seen; addresses are kept for life, as the journal does.
fn fitted(manifest: &Arc<Manifest>, seen: &Observed, addresses: &mut Kept) -> Desired {
    let roster = Roster {
        addresses: addresses.clone(),
        ..Roster::default()
    };
    let desired = fitting(manifest, roster, seen).unwrap();
    let nodes = desired.topology.nodes.iter();
    addresses.extend(nodes.map(|node| (node.id.clone(), node.mesh_address)));
    desired
}

type Kept = BTreeMap<ResourceId, std::net::Ipv4Addr>;

/// Three clouds one minor version later, with so many extra nodes.
fn upgraded(old: &Arc<Manifest>, surge: u32) -> Arc<Manifest> {
    let mut new = Manifest::clone(&with_version(old, "1.36.0"));
    new.spec.kubernetes.as_mut().unwrap().upgrade.max_surge = surge;
    Arc::new(new)
}

/// Pools that can have extra nodes.
fn rented_workers(manifest: &Manifest) -> BTreeSet<&str> {
    let pools = manifest.spec.node_pools.iter();
    let pools = pools.filter(|pool| pool.roles == [Role::Worker] && pool.hosts.is_empty());
    pools.map(|pool| pool.name.as_str()).collect()
}

fn pool_of(id: &ResourceId) -> &str {
    id.as_str().split('/').nth(1).unwrap()
}

fn machines(desired: &Desired) -> BTreeSet<&ResourceId> {
    desired.topology.nodes.iter().map(|node| &node.id).collect()
}

#[test]
fn extra_nodes_make_room_for_an_upgrade_and_go_after_it() {
    let old = three_clouds();
    let mut kept = Kept::new();
    let mut seen = built(&old);
    let before = fitted(&old, &seen, &mut kept);
    assert_eq!(titles(&plan_of(&before, &seen)), Vec::<String>::new());

    let new = upgraded(&old, 1);
    let pools = rented_workers(&new);
    let more = fitted(&new, &seen, &mut kept);
    let (usual, now) = (machines(&before), machines(&more));
    let extra: BTreeSet<_> = now.difference(&usual).copied().collect();
    let of: BTreeSet<_> = extra.iter().map(|id| pool_of(id)).collect();
    assert_eq!((extra.len(), of), (pools.len(), pools.clone()), "{extra:?}");

    let plan = run(&more, &mut seen);
    for drain in plan.steps.iter().filter(|step| step.verb == Verb::Drain) {
        let pool = pool_of(&drain.resource);
        let makes_room = |at: &u32| {
            let step = &plan.steps[*at as usize];
            step.verb == Verb::Create && extra.contains(&step.resource.machine())
        };
        let waits = drain.after.iter().any(makes_room);
        assert_eq!(waits, pools.contains(pool), "{}", drain.resource);
    }

    // All nodes have the version: the extra ones are not desired any more, and nobody else leaves.
    let after = fitted(&new, &seen, &mut kept);
    assert_eq!(machines(&after), usual);
    let plan = run(&after, &mut seen);
    let left = plan.steps.iter().filter(|step| step.kind == Kind::Machine);
    let left: BTreeSet<_> = left.map(|step| &step.resource).collect();
    assert_eq!(left, extra, "{:#?}", titles(&plan));
    assert_eq!(titles(&plan_of(&after, &seen)), Vec::<String>::new());
}

#[test]
fn an_upgrade_that_is_cut_short_keeps_its_extra_nodes() {
    let old = three_clouds();
    let mut kept = Kept::new();
    let mut seen = built(&old);
    fitted(&old, &seen, &mut kept);
    let new = upgraded(&old, 1);
    let more = fitted(&new, &seen, &mut kept);
    run(&more, &mut seen);
    // One node was not reached: its pool keeps its extra node until it is.
    let cluster = seen.cluster.as_mut().unwrap().as_mut().unwrap();
    let late = cluster.nodes.iter_mut().find(|node| {
        let pool = pool_of(&node.machine);
        rented_workers(&new).contains(pool)
    });
    let late = late.unwrap();
    late.version = "v1.35.2".to_owned();
    let pool = pool_of(&late.machine).to_owned();
    let still = fitted(&new, &seen, &mut kept);
    let of_pool = |desired: &Desired| {
        let machines = machines(desired);
        machines.iter().filter(|id| pool_of(id) == pool).count()
    };
    assert_eq!(of_pool(&still), of_pool(&more));
    assert_eq!(
        machines(&still).len() + rented_workers(&new).len() - 1,
        machines(&more).len()
    );

    // A version that must not be: nothing is done, so nobody need make room, nor go.
    let mut far = Manifest::clone(&new);
    far.spec.kubernetes.as_mut().unwrap().version = "1.39.0".to_owned();
    let far = Arc::new(far);
    assert_eq!(machines(&fitted(&far, &seen, &mut kept)), machines(&more));
    assert_eq!(
        machines(&fitted(&far, &built(&old), &mut kept)),
        machines(&fitted(&old, &built(&old), &mut kept))
    );

    // Nobody answers: nothing can be known, so nobody is sent away, and nothing is begun.
    let view = seen.cluster.take();
    let blind = fitted(&new, &seen, &mut kept);
    assert_eq!(machines(&blind), machines(&more));
    seen.cluster = view;
    let untouched = built(&old);
    let mut blind = untouched.clone();
    blind.cluster = None;
    assert_eq!(
        machines(&fitted(&new, &blind, &mut kept)).len(),
        machines(&fitted(&old, &untouched, &mut kept)).len()
    );
}
