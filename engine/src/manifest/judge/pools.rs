//! Node pools: how many nodes, of what, for which roles.
//!
//! Does not ask whether region or machine type exist, nor where control planes stand.

use super::view::{View, nodes, placed};
use crate::diagnostic::{Finding, Path};
use crate::manifest::{NodePool, ProviderKind, Role};
use std::collections::BTreeSet;

/// More nodes than any Kubernetes cluster has been published with; a slip of the finger.
const NODES_MAX: u64 = 20_000;

pub(super) fn check(view: View<'_>, found: &mut Vec<Finding>) {
    for (path, pool) in view.pools() {
        size(&path, pool, found);
        roles(&path, pool, view.spec.kubernetes.is_some(), found);
        if let Some(kind) = view.kind(pool) {
            if kind == ProviderKind::Static {
                of_hosts(&path, pool, found);
            } else if kind.has_machines() {
                of_machines(&path, pool, found);
            }
        }
        zeros(&path, pool, found);
    }
    if view.spec.kubernetes.is_none() {
        return;
    }
    let whole = view.at("nodePools");
    if view.with_role(Role::ControlPlane).next().is_none() {
        found.push(
            Finding::error(
                "no-control-plane",
                &whole,
                "no pool has the role control-plane",
            )
            .why("without API servers and etcd there is no cluster")
            .fix("give a pool the role: three pools of one node in three providers is best"),
        );
    }
    if view.with_role(Role::Worker).next().is_none() {
        found.push(
            Finding::warning("no-worker", &whole, "no pool has the role worker")
                .why("control planes are tainted: workloads would have no place")
                .fix("add a pool with the role worker"),
        );
    }
}

fn size(path: &Path, pool: &NodePool, found: &mut Vec<Finding>) {
    let hosts = !pool.hosts.is_empty();
    let ways = [pool.count.is_some(), pool.autoscale.is_some(), hosts];
    match ways.into_iter().filter(|way| *way).count() {
        0 => found.push(
            Finding::error(
                "pool-size-missing",
                path,
                format!("`{}` has no size", pool.name),
            )
            .fix("add `count: 1`, `autoscale: { min: 1, max: 3 }`, or `hosts` if it is static"),
        ),
        1 => {}
        _ => found.push(
            Finding::error(
                "pool-size-twice",
                path,
                format!("`{}` has two sizes", pool.name),
            )
            .why("`count`, `autoscale` and `hosts` exclude each other")
            .fix("keep one of them"),
        ),
    }
    if pool.count == Some(0) {
        found.push(
            Finding::error("pool-empty", &path.field("count"), "a pool of no nodes")
                .fix("write at least 1, or remove the pool"),
        );
    }
    if let Some(bounds) = pool.autoscale {
        let path = path.field("autoscale");
        if bounds.max == 0 {
            found.push(
                Finding::error(
                    "pool-empty",
                    &path.field("max"),
                    "a pool that never has a node",
                )
                .fix("raise max to at least 1, or remove the pool"),
            );
        } else if bounds.min > bounds.max {
            let message = format!("min {} is more than max {}", bounds.min, bounds.max);
            found.push(Finding::error("autoscale-inverted", &path, message).fix("swap the two"));
        }
        let fixed = pool.roles.iter().find(|role| **role != Role::Worker);
        if let Some(role) = fixed {
            let what = match role {
                Role::ControlPlane => "etcd members must not come and go with load",
                Role::LoadBalancer => "the addresses in DNS must not come and go with load",
                Role::Worker => unreachable!("workers may be scaled"),
            };
            found.push(
                Finding::error("autoscale-not-of-workers", &path, what)
                    .why(
                        "each change of members needs a quorum, and each change of addresses a TTL",
                    )
                    .fix("write `count` for this pool"),
            );
        }
    }
    let most = nodes(pool).1;
    if most > NODES_MAX {
        let message = format!("{most} nodes are more than any cluster has");
        found.push(Finding::error("pool-too-large", path, message).fix(format!(
            "stay below {NODES_MAX}; Kubernetes itself supports 5000"
        )));
    }
}

fn roles(path: &Path, pool: &NodePool, kubernetes: bool, found: &mut Vec<Finding>) {
    let path = path.field("roles");
    if !kubernetes && !pool.roles.is_empty() {
        let message = format!("`{}` has roles, and there is no Kubernetes", pool.name);
        found.push(
            Finding::error("roles-without-kubernetes", &path, message)
                .why("without `spec.kubernetes` machines are joined by a mesh, and nothing more")
                .fix("remove the roles, or add `spec.kubernetes`"),
        );
    } else if kubernetes && pool.roles.is_empty() {
        found.push(
            Finding::error(
                "roles-missing",
                &path,
                format!("`{}` has no role", pool.name),
            )
            .fix("write `roles: [worker]`, or control-plane, or load-balancer"),
        );
    }
    let mut seen = BTreeSet::new();
    for (path, role) in placed(path.clone(), &pool.roles) {
        if !seen.insert(role) {
            found.push(
                Finding::error("role-twice", &path, "the role stands here twice")
                    .fix("remove one of the two"),
            );
        }
    }
    if pool.spot && pool.roles.contains(&Role::ControlPlane) {
        found.push(
            Finding::error(
                "spot-control-plane",
                &path,
                "etcd members on machines that may be taken back",
            )
            .why("the provider may take all of them in one minute, and the quorum with them")
            .fix("remove `spot` here; workers bear it"),
        );
    } else if pool.spot && pool.roles.contains(&Role::LoadBalancer) {
        found.push(
            Finding::warning(
                "spot-load-balancer",
                &path,
                "an entry point that may be taken back",
            )
            .why("each loss costs its clients a TTL")
            .fix("remove `spot` here; workers bear it"),
        );
    }
}

fn of_machines(path: &Path, pool: &NodePool, found: &mut Vec<Finding>) {
    if !pool.hosts.is_empty() {
        let message = format!(
            "`{}` makes its machines and cannot take hosts",
            pool.provider
        );
        found.push(
            Finding::error("hosts-outside-static", &path.field("hosts"), message)
                .fix("use `count`, or move the hosts to a provider of type static"),
        );
    }
    let parts = [
        ("region-missing", "region", pool.region.is_some()),
        (
            "machine-type-missing",
            "machineType",
            pool.machine_type.is_some(),
        ),
        ("image-missing", "image", pool.image.is_some()),
    ];
    for (code, field, given) in parts {
        if !given {
            let message = format!("`{}` does not say its {field}", pool.name);
            found.push(
                Finding::error(code, path, message)
                    .why("a machine cannot be ordered without it")
                    .fix(format!("add `{field}:` with the provider's name for it")),
            );
        }
    }
}

fn of_hosts(path: &Path, pool: &NodePool, found: &mut Vec<Finding>) {
    if pool.hosts.is_empty() && (pool.count.is_some() || pool.autoscale.is_some()) {
        let message = format!("`{}` is static: its machines must be listed", pool.provider);
        found.push(
            Finding::error("hosts-missing", path, message)
                .why("nothing can be made there, so a number alone gives no machine")
                .fix("write `hosts: [{ address: 203.0.113.11 }]` in place of the number"),
        );
    }
    let idle = [
        ("machineType", pool.machine_type.is_some()),
        ("image", pool.image.is_some()),
        ("spot", pool.spot),
    ];
    for (field, given) in idle {
        if given {
            let message = format!("`{field}` has no meaning for machines that exist already");
            found.push(
                Finding::warning("static-field-ignored", &path.field(field), message)
                    .fix("remove it"),
            );
        }
    }
    for (path, host) in placed(path.field("hosts"), &pool.hosts) {
        if host.behind_nat && pool.roles.contains(&Role::LoadBalancer) {
            let message = format!("nobody can dial {}, which is behind NAT", host.address);
            found.push(
                Finding::error(
                    "load-balancer-behind-nat",
                    &path.field("behindNat"),
                    message,
                )
                .why("an entry point must be reachable from outside")
                .fix("use a host with a public address as load balancer"),
            );
        }
    }
}

fn zeros(path: &Path, pool: &NodePool, found: &mut Vec<Finding>) {
    for (path, disk) in placed(path.field("disks"), &pool.disks) {
        zero(&path.field("size"), "a disk of no size", disk.size.0, found);
    }
    if let Some(capacity) = pool.capacity {
        let path = path.field("capacity");
        zero(
            &path.field("cpu"),
            "a node without CPU",
            capacity.cpu.0,
            found,
        );
        zero(
            &path.field("memory"),
            "a node without memory",
            capacity.memory.0,
            found,
        );
    }
}

/// Refuses a quantity that must be more than nothing.
pub(super) fn zero(path: &Path, what: &str, amount: u64, found: &mut Vec<Finding>) {
    if amount == 0 {
        found
            .push(Finding::error("zero", path, what).fix("write what it has, or remove the entry"));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::manifest::judge::trial::{Case, case, run};
    use serde_json::{Value, json};

    pub(in super::super) fn cases() -> Vec<Case> {
        let scaled = json!({"min": 1, "max": 3});
        let sizes = vec![
            case("pool-size-missing", "/spec/nodePools/6/count", Value::Null)
                .with("load-balancer-empty"),
            case(
                "pool-size-twice",
                "/spec/nodePools/4/autoscale",
                scaled.clone(),
            ),
            case("pool-empty", "/spec/nodePools/4/count", json!(0))
                .with("storage-replicas-exceed-domains"),
            case(
                "pool-empty",
                "/spec/nodePools/5/autoscale",
                json!({"min": 0, "max": 0}),
            )
            .with("storage-replicas-exceed-domains"),
            case(
                "autoscale-inverted",
                "/spec/nodePools/5/autoscale",
                json!({"min": 7, "max": 6}),
            ),
            case(
                "autoscale-not-of-workers",
                "/spec/nodePools/0/count",
                Value::Null,
            )
            .and_set("/spec/nodePools/0/autoscale", scaled.clone()),
            case(
                "autoscale-not-of-workers",
                "/spec/nodePools/6/count",
                Value::Null,
            )
            .and_set("/spec/nodePools/6/autoscale", scaled),
            case(
                "pool-too-large",
                "/spec/nodePools/4/count",
                json!(4_000_000_000u32),
            )
            .with("mesh-too-small")
            .with("pods-too-small")
            .with("provider-network-too-small"),
        ];
        sizes.into_iter().chain(of_roles()).collect()
    }

    fn of_roles() -> Vec<Case> {
        let hosts = json!([{"address": "203.0.113.20"}]);
        vec![
            case("roles-missing", "/spec/nodePools/4/roles", json!([]))
                .with("storage-replicas-exceed-domains")
                .with("preference-without-workers"),
            case("roles-without-kubernetes", "/spec/kubernetes", Value::Null)
                .with("needs-kubernetes")
                .fails(),
            case("role-twice", "/spec/nodePools/4/roles/-", json!("worker")),
            case("spot-control-plane", "/spec/nodePools/1/spot", json!(true)),
            case("spot-load-balancer", "/spec/nodePools/7/spot", json!(true)),
            case("hosts-outside-static", "/spec/nodePools/4/hosts", hosts).with("pool-size-twice"),
            case("region-missing", "/spec/nodePools/7/region", Value::Null),
            case(
                "machine-type-missing",
                "/spec/nodePools/7/machineType",
                Value::Null,
            ),
            case("image-missing", "/spec/nodePools/7/image", Value::Null),
            case("hosts-missing", "/spec/nodePools/3/hosts", Value::Null)
                .and_set("/spec/nodePools/3/count", json!(2)),
            case(
                "static-field-ignored",
                "/spec/nodePools/3/image",
                json!("ubuntu-24.04"),
            ),
            case(
                "load-balancer-behind-nat",
                "/spec/nodePools/3/hosts/0/behindNat",
                json!(true),
            )
            .and_set("/spec/nodePools/3/roles/-", json!("load-balancer")),
            case("zero", "/spec/nodePools/4/disks/0/size", json!("0")),
            case("zero", "/spec/nodePools/3/capacity/cpu", json!("0")),
            case(
                "no-control-plane",
                "/spec/nodePools/0/roles",
                json!(["worker"]),
            )
            .and_set("/spec/nodePools/1/roles", json!(["worker"]))
            .and_set("/spec/nodePools/2/roles", json!(["worker"]))
            .with("role-without-targets"),
            case(
                "no-worker",
                "/spec/nodePools/3/roles",
                json!(["load-balancer"]),
            )
            .and_set("/spec/nodePools/4", Value::Null)
            .and_set("/spec/nodePools/4", Value::Null)
            .with("role-without-targets")
            .with("unused-load-balancer-pool")
            .with("storage-replicas-exceed-domains")
            .with("preference-without-workers"),
        ]
    }

    #[test]
    fn each_mistake_is_found() {
        run(cases());
    }
}
