//! Replicated storage: enough places for its copies, far enough apart and near enough.
//!
//! Does not weigh disks: what they hold is known only when data is there.

use super::view::{View, domain_name, graded, longest};
use crate::diagnostic::Finding;
use crate::manifest::{Domain, Role, Storage};
use crate::time::Span;

/// Above it, mounts of Longhorn volumes were seen to fail (Claudie's documentation on clusters
/// that span clouds).
const RTT_MAX: Span = Span::from_ms(100);

pub(super) fn check(view: View<'_>, found: &mut Vec<Finding>) {
    if view.spec.kubernetes.is_none() {
        return; // refused as a whole
    }
    let path = view.at("storage");
    let with_data = || view.spec.workloads.iter().filter(|w| w.data.is_some());
    let copies = view
        .spec
        .storage
        .as_ref()
        .map_or(1, |storage| storage.replicas);
    if view.spec.storage.is_none()
        && let Some(workload) = with_data().next()
    {
        let hard = view.must_survive(Domain::Node);
        let message = format!(
            "`{}` has data, and there is no replicated storage",
            workload.name
        );
        found.push(
            graded(hard, "data-without-storage", &path, message)
                .why("its data would lie on one node and be lost with it")
                .fix("add `storage: { engine: longhorn, replicas: 3, spread: provider }`"),
        );
    } else if let Some(rpo) = view.spec.resilience.rpo
        && copies == 1
        && with_data().next().is_some()
    {
        let message = format!("an RPO of {rpo} with one copy of the data");
        found.push(
            Finding::error("rpo-needs-copies", &path.field("replicas"), message)
                .why("only copies that are written at the same time lose nothing with a node")
                .fix("set replicas to 3, or at least 2"),
        );
    }
    if let Some(storage) = &view.spec.storage {
        places(view, storage, found);
        distance(view, found);
    }
}

fn places(view: View<'_>, storage: &Storage, found: &mut Vec<Finding>) {
    let path = view.at("storage");
    super::pools::zero(
        &path.field("replicas"),
        "no copy of anything",
        storage.replicas.into(),
        found,
    );
    let workers = || view.with_role(Role::Worker);
    let domains = view.places(workers(), storage.spread);
    if u64::from(storage.replicas) > domains {
        let what = domain_name(storage.spread);
        let message = format!(
            "{} copies kept apart by {what}, and workers stand in {domains}",
            storage.replicas
        );
        found.push(
            Finding::error(
                "storage-replicas-exceed-domains",
                &path.field("replicas"),
                message,
            )
            .why("the copies that find no place leave every volume degraded for ever")
            .fix(format!(
                "add workers in another {what}, or set replicas to {}",
                domains.max(1)
            )),
        );
    }
    if let Some(survive) = view.spec.resilience.survive
        && storage.spread < survive
    {
        let (spread, wanted) = (domain_name(storage.spread), domain_name(survive));
        let message =
            format!("copies are kept apart by {spread}, and a whole {wanted} may be lost");
        found.push(
            Finding::error("storage-spread-too-narrow", &path.field("spread"), message)
                .why(format!("all copies of a volume may stand in one {wanted}"))
                .fix(format!("set `spread: {wanted}`")),
        );
    }
}

fn distance(view: View<'_>, found: &mut Vec<Finding>) {
    if let Some(far) = longest(view, view.with_role(Role::Worker))
        && far.rtt > RTT_MAX
    {
        let (rtt, [a, b]) = (far.rtt, &far.between);
        let message = format!("{rtt} of round trip between workers of {a} and {b}");
        found.push(
            Finding::warning("storage-far-apart", &view.at("storage"), message)
                .why("each write waits for all copies; above 100 ms mounts begin to fail")
                .fix("keep workers with data in regions of one continent"),
        );
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::manifest::judge::trial::{Case, case, run};
    use serde_json::{Value, json};

    pub(in super::super) fn cases() -> Vec<Case> {
        let (spread, replicas) = ("/spec/storage/spread", "/spec/storage/replicas");
        vec![
            case("data-without-storage", "/spec/storage", Value::Null).fails(),
            case("data-without-storage", "/spec/storage", Value::Null)
                .and_set("/spec/resilience/survive", Value::Null)
                .only_warns(),
            case("rpo-needs-copies", replicas, json!(1)),
            case("zero", replicas, json!(0)),
            case("storage-replicas-exceed-domains", replicas, json!(4)),
            case("storage-spread-too-narrow", spread, json!("node")),
            case("storage-spread-too-narrow", spread, json!("region")),
            case(
                "storage-far-apart",
                "/spec/nodePools/5/region",
                json!("us-west-2"),
            ),
        ]
    }

    #[test]
    fn each_mistake_is_found() {
        run(cases());
    }

    #[test]
    fn nodes_are_enough_where_only_a_node_may_be_lost() {
        let one = Case::clean("/spec/storage/spread", json!("node"))
            .and_set("/spec/resilience/survive", json!("node"))
            .and_set("/spec/storage/replicas", json!(5));
        run(vec![one]);
    }
}
