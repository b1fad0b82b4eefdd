//! Workloads: whether a node can hold a pod, and the cluster all of them, before and after a loss.
//!
//! A rough sum over requests, no scheduler: what it refuses cannot fit, what it passes may not.

use super::view::{View, domain_name, graded, nodes, placed};
use crate::catalog;
use crate::diagnostic::Finding;
use crate::manifest::{Domain, NodePool, Resources, Role};
use std::collections::BTreeMap;

pub(super) fn check(view: View<'_>, found: &mut Vec<Finding>) {
    if view.spec.kubernetes.is_none() {
        return; // refused as a whole
    }
    for (path, workload) in placed(view.at("workloads"), &view.spec.workloads) {
        let size = workload.data.map_or(1, |data| data.size.0);
        super::pools::zero(
            &path.field("data").field("size"),
            "a data set of no size",
            size,
            found,
        );
        let rate = workload
            .traffic
            .as_ref()
            .map_or(1, |traffic| traffic.rate.0);
        super::pools::zero(
            &path.field("traffic").field("rate"),
            "traffic of no rate",
            rate,
            found,
        );
        let path = path.field("replicas");
        if workload.replicas == 0 {
            found.push(
                Finding::warning("workload-without-pods", &path, "it runs nowhere")
                    .fix("set replicas to at least 1, or remove the workload"),
            );
        } else if workload.replicas == 1 && view.must_survive(Domain::Node) {
            let message = format!("`{}` has a single pod", workload.name);
            found.push(
                Finding::warning("workload-single-pod", &path, message)
                    .why(
                        "when its node is lost, Kubernetes waits 40 s for the node and 300 s more \
                         before it starts the pod elsewhere",
                    )
                    .fix("set replicas to 2 or more"),
            );
        }
    }
    super::spreads::check(view, found);
    spread(view, found);
    room(view, found);
}

/// Whether the workers outlive what must be survived.
fn spread(view: View<'_>, found: &mut Vec<Finding>) {
    let domain = view.spec.resilience.survive.unwrap_or(Domain::Provider);
    if view.places(view.with_role(Role::Worker), domain) == 1 {
        let what = domain_name(domain);
        let hard = view.spec.resilience.survive.is_some();
        let message = format!("all workers stand in one {what}");
        found.push(
            graded(hard, "workers-in-one-place", &view.at("nodePools"), message)
                .why(format!(
                    "with that {what} every workload is lost, though the cluster lives"
                ))
                .fix(format!("add a pool of workers in another {what}")),
        );
    }
}

/// What a node of a pool can hold, if anybody knows.
pub(super) fn capacity(view: View<'_>, pool: &NodePool) -> Option<Resources> {
    let by_type = || catalog::machine(view.kind(pool)?, pool.machine_type.as_deref()?);
    pool.capacity.or_else(by_type)
}

/// CPU in thousandths of a core, and memory in bytes, added up without overflow.
type Sum = (u128, u128);

fn times(resources: Resources, n: u64) -> Sum {
    let n = u128::from(n);
    (
        u128::from(resources.cpu.0) * n,
        u128::from(resources.memory.0) * n,
    )
}

fn total(sums: impl Iterator<Item = Sum>) -> Sum {
    sums.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
}

fn exceeds(a: Sum, b: Sum) -> bool {
    a.0 > b.0 || a.1 > b.1
}

fn room(view: View<'_>, found: &mut Vec<Finding>) {
    let known = view
        .with_role(Role::Worker)
        .map(|pool| Some((pool, capacity(view, pool)?)));
    let Some(workers) = known.collect::<Option<Vec<_>>>() else {
        return;
    };
    if workers.is_empty() {
        return;
    }
    let mut misfits = false;
    for (path, workload) in placed(view.at("workloads"), &view.spec.workloads) {
        let pod = times(workload.requests, 1);
        if workers
            .iter()
            .all(|(_, node)| exceeds(pod, times(*node, 1)))
        {
            misfits = true;
            let Resources { cpu, memory } = workload.requests;
            let message = format!(
                "no node can hold a pod of `{}`: {cpu} CPU, {memory}",
                workload.name
            );
            found.push(
                Finding::error("workload-fits-nowhere", &path.field("requests"), message)
                    .why("its pods would stay pending for ever")
                    .fix("lower the requests, or use a larger machine type for a worker pool"),
            );
        }
    }
    if misfits {
        return;
    }
    let pods = view.spec.workloads.iter();
    let asked = total(pods.map(|w| times(w.requests, w.replicas.into())));
    let mut by_provider = BTreeMap::<&str, Sum>::new();
    for (pool, node) in &workers {
        let most = times(*node, nodes(pool).1);
        let sum = by_provider.entry(&pool.provider).or_default();
        *sum = total([*sum, most].into_iter());
    }
    let all = total(by_provider.values().copied());
    let path = view.at("workloads");
    if exceeds(asked, all) {
        found.push(
            Finding::warning(
                "workloads-exceed-capacity",
                &path,
                "workloads ask for more than workers have",
            )
            .why("some pods would stay pending even with every pool at its maximum")
            .fix("raise count or autoscale.max of a worker pool, or lower requests"),
        );
        return;
    }
    let lost = by_provider
        .iter()
        .find(|(_, part)| exceeds(asked, (all.0 - part.0, all.1 - part.1)));
    if let Some((provider, _)) = lost.filter(|_| view.must_survive(Domain::Provider)) {
        let message = format!("without {provider} the workers cannot hold all workloads");
        found.push(
            Finding::warning("capacity-short-after-loss", &path, message)
                .why("the cluster keeps its quorum then, and a part of the pods stays pending")
                .fix("raise count or autoscale.max of workers in the other providers"),
        );
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::manifest::judge::trial::{Case, case, run};
    use serde_json::{Value, json};

    pub(in super::super) fn cases() -> Vec<Case> {
        let web = |field: &str| format!("/spec/workloads/0/{field}");
        vec![
            case("zero", "/spec/workloads/1/data/size", json!("0")),
            case("zero", &web("traffic/rate"), json!("0/s")),
            case("workers-in-one-place", "/spec/nodePools/4", Value::Null)
                .and_set("/spec/nodePools/4", Value::Null)
                .and_set("/spec/storage/spread", json!("node"))
                .and_set("/spec/storage/replicas", json!(2))
                .with("storage-spread-too-narrow")
                .with("preference-without-workers")
                .with("capacity-short-after-loss")
                .fails(),
            case("workload-without-pods", &web("replicas"), json!(0)),
            case("workload-single-pod", &web("replicas"), json!(1)),
            case(
                "workload-fits-nowhere",
                &web("requests/cpu"),
                json!("16500m"),
            ),
            case(
                "workload-fits-nowhere",
                &web("requests/memory"),
                json!("65Gi"),
            ),
            // The rack has 32 cores, htz 16 and aws up to 24; orders ask for 2.
            case("workloads-exceed-capacity", &web("replicas"), json!(141)),
            case("capacity-short-after-loss", &web("replicas"), json!(77)),
        ]
    }

    #[test]
    fn each_mistake_is_found() {
        run(cases());
    }

    #[test]
    fn what_just_fits_passes() {
        run(vec![
            Case::clean(&web_replicas(), json!(76)),
            Case::clean("/spec/workloads/0/requests/cpu", json!(4)),
            Case::clean(&web_replicas(), json!(140))
                .and_set("/spec/resilience/survive", Value::Null),
        ]);
    }

    fn web_replicas() -> String {
        "/spec/workloads/0/replicas".to_owned()
    }
}
