//! What workloads ask beside room: how their pods are kept apart, how many stay, how they grow.
//!
//! Whether a spread can be met is judged with every pool at its largest and whole machines: what is
//! refused here can never be met, what passes may still not be.

use super::view::{View, domain_name, nodes, placed};
use super::workloads::capacity;
use crate::diagnostic::{Finding, Path};
use crate::manifest::{
    Domain, NodePool, Resources, Role, Spread, TaintEffect, WhenUnsatisfiable, Workload,
};
use std::collections::BTreeMap;

/// More in a month makes more than a hundredfold of a year.
const GROWTH_MAX_PERCENT: u64 = 47;

pub(super) fn check(view: View<'_>, found: &mut Vec<Finding>) {
    for (path, workload) in placed(view.at("workloads"), &view.spec.workloads) {
        budget(&path, workload, found);
        growth(&path, workload, found);
        if let Some(spread) = workload.spread {
            let path = path.field("spread");
            let skew = u64::from(spread.max_skew);
            super::pools::zero(
                &path.field("maxSkew"),
                "a skew that no pod could keep to",
                skew,
                found,
            );
            if skew > 0 {
                places(view, &path, (workload, spread), found);
            }
        }
    }
}

fn budget(path: &Path, workload: &Workload, found: &mut Vec<Finding>) {
    let Some(kept) = workload.min_available else {
        return;
    };
    let path = path.field("minAvailable");
    let (name, replicas) = (&workload.name, workload.replicas);
    if kept > replicas {
        let message = format!("`{name}` is to keep {kept} pods, and has {replicas}");
        found.push(
            Finding::error("budget-exceeds-replicas", &path, message)
                .why("such a budget is never met: no node could be drained, and it never works")
                .fix(format!(
                    "set minAvailable to less than {replicas}, or raise replicas"
                )),
        );
    } else if kept == replicas && kept > 0 {
        let message = format!("`{name}` is to keep all of its {replicas} pods");
        found.push(
            Finding::warning("budget-blocks-drains", &path, message)
                .why("no pod may leave a node, so drains, upgrades and replacements get stuck")
                .fix(format!(
                    "set minAvailable to {}, or raise replicas",
                    kept - 1
                )),
        );
    }
}

fn growth(path: &Path, workload: &Workload, found: &mut Vec<Finding>) {
    let Some(growth) = workload.growth else {
        return;
    };
    let path = path.field("growth");
    super::pools::zero(&path, "growth by nothing", growth.0, found);
    if growth.0 > GROWTH_MAX_PERCENT * 10_000 {
        let message = format!("`{}` is to grow by {growth} every month", workload.name);
        found.push(
            Finding::warning("growth-implausible", &path, message)
                .why("that is more than a hundredfold in a year")
                .fix("write what it grows by in a month, not in a year"),
        );
    }
}

/// How many pods a place can hold, and whether it has nodes even with pools at their smallest.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    holds: u64,
    always: bool,
}

fn places(
    view: View<'_>,
    path: &Path,
    (workload, spread): (&Workload, Spread),
    found: &mut Vec<Finding>,
) {
    let what = domain_name(spread.across);
    let pools: Vec<&NodePool> = view
        .with_role(Role::Worker)
        .filter(|p| takes_pods(p))
        .collect();
    let Some(places) = holding(view, &pools, workload.requests, spread.across) else {
        return;
    };
    if places.len() == 1 && workload.replicas > 1 {
        let message = format!(
            "`{}` is to be kept apart by {what}, and workers stand in one",
            workload.name
        );
        found.push(
            Finding::warning("spread-over-one-place", &path.field("across"), message)
                .why(format!("with that {what} all of its pods are lost"))
                .fix(format!("add a pool of workers in another {what}")),
        );
    }
    let strict = match spread.when_unsatisfiable {
        WhenUnsatisfiable::DoNotSchedule => true,
        WhenUnsatisfiable::ScheduleAnyway => false,
    };
    // The place with the least room is full first, and holds the others up from then on.
    let least = places.iter().filter(|place| place.always);
    let Some(least) = least.map(|place| place.holds).min().filter(|_| strict) else {
        return;
    };
    let allowed = least.saturating_add(spread.max_skew.into());
    let total = places.iter().fold(0u64, |sum, place| {
        sum.saturating_add(place.holds.min(allowed))
    });
    let fits_somewhere = places.iter().any(|place| place.holds > 0);
    if total < u64::from(workload.replicas) && fits_somewhere {
        let message = format!(
            "only {total} of {} pods of `{}` can keep to their spread",
            workload.replicas, workload.name
        );
        found.push(
            Finding::warning("spread-never-met", path, message)
                .why(format!(
                    "one {what} holds no more than {least} of them, and others may have only {} \
                     more: the rest stays pending",
                    spread.max_skew
                ))
                .fix(format!(
                    "set whenUnsatisfiable: ScheduleAnyway, raise maxSkew, or add workers in the \
                     smallest {what}"
                )),
        );
    }
}

/// What each place can hold; none where nobody knows.
fn holding(
    view: View<'_>,
    pools: &[&NodePool],
    pod: Resources,
    across: Domain,
) -> Option<Vec<Place>> {
    let mut places = BTreeMap::<String, Place>::new();
    for (at, pool) in pools.iter().enumerate() {
        let node = capacity(view, pool)?;
        let share = |all: u64, one: u64| all.checked_div(one).unwrap_or(u64::MAX);
        let cpu = share(node.cpu.0, pod.cpu.0);
        let each = cpu.min(share(node.memory.0, pod.memory.0));
        let (smallest, largest) = nodes(pool);
        if across == Domain::Node {
            // Nodes of a pool are alike: the first stands for all that there always are, and the
            // last for the others, each with what one of them holds.
            for (name, number, always) in [
                ("always", smallest, true),
                ("at most", largest.saturating_sub(smallest), false),
            ] {
                let room = Place {
                    holds: each,
                    always,
                };
                for one in 0..number.min(MANY) {
                    places.insert(format!("{at} {name} {one}"), room);
                }
            }
            continue;
        }
        let of = || std::iter::once(*pool);
        let always = view.census(of(), across);
        for (name, count) in view.census_of(of(), across, |_| largest) {
            let place = places.entry(label(&name)).or_default();
            place.holds = place.holds.saturating_add(count.saturating_mul(each));
            place.always |= always.contains_key(&name);
        }
    }
    Some(places.into_values().collect())
}

/// More nodes of one pool than this are not told apart: they hold more pods than anybody has.
const MANY: u64 = 10_000;

/// Places as Kubernetes' labels name them: without what they are in.
fn label(place: &str) -> String {
    let mut parts = place.rsplit('/');
    let last = parts.find(|part| !part.is_empty());
    last.unwrap_or_default().to_owned()
}

fn takes_pods(pool: &NodePool) -> bool {
    pool.taints.iter().all(|taint| match taint.effect {
        TaintEffect::NoSchedule | TaintEffect::NoExecute => false,
        TaintEffect::PreferNoSchedule => true,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use crate::manifest::judge::trial::{Case, case, run};
    use serde_json::{Value, json};

    /// The shipped workers: two in the rack (16 cores), two at htz (8), one to six at aws (4).
    pub(in super::super) fn cases() -> Vec<Case> {
        let web = |field: &str| format!("/spec/workloads/0/{field}");
        let spread = |across: &str, skew: u32| json!({"across": across, "maxSkew": skew});
        vec![
            case("budget-exceeds-replicas", &web("minAvailable"), json!(7)),
            case("budget-blocks-drains", &web("minAvailable"), json!(6)),
            case("zero", &web("growth"), json!("0%")),
            case("growth-implausible", &web("growth"), json!("48%")),
            case("zero", &web("spread"), spread("node", 0)),
            // Htz holds 32 pods of half a core, so the others have 33 at most.
            case("spread-never-met", &web("spread"), spread("provider", 1))
                .and_set(&web("replicas"), json!(99))
                .with("capacity-short-after-loss"),
            // A node at aws holds 8 pods, so any other has 9 at most: 72 + 36 with ten nodes.
            case("spread-never-met", &web("spread"), spread("node", 1))
                .and_set(&web("replicas"), json!(85))
                .with("capacity-short-after-loss"),
            case("spread-over-one-place", "/spec/nodePools/4", Value::Null)
                .and_set("/spec/nodePools/4", Value::Null)
                .and_set("/spec/storage", Value::Null)
                .and_set("/spec/workloads/1", Value::Null)
                .and_set("/spec/resilience/survive", Value::Null)
                .and_set(&web("spread"), spread("provider", 1))
                .with("workers-in-one-place"),
        ]
    }

    #[test]
    fn each_mistake_is_found() {
        run(cases());
    }

    #[test]
    fn what_can_be_kept_to_passes() {
        let spread = "/spec/workloads/0/spread";
        let web = |field: &str| format!("/spec/workloads/0/{field}");
        run(vec![
            Case::clean(spread, json!({"across": "provider"})),
            Case::clean(spread, json!({"across": "node", "maxSkew": 2})),
            Case::clean(&web("minAvailable"), json!(5)),
            Case::clean(&web("minAvailable"), json!(0)),
            Case::clean(&web("growth"), json!("47%")),
            Case::clean(
                spread,
                json!({"across": "provider", "whenUnsatisfiable": "ScheduleAnyway"}),
            )
            .and_set(&web("replicas"), json!(140))
            .and_set("/spec/resilience/survive", Value::Null),
        ]);
    }
}
