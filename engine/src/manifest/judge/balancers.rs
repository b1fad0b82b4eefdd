//! Load balancers: their pools, their targets, and whether one loss takes an entry point away.

use super::view::{View, domain_name, graded, nodes, placed};
use crate::diagnostic::{Finding, Path};
use crate::manifest::{Domain, LbKind, LbRole, LoadBalancer, NodePool, Role};

pub(super) fn check(view: View<'_>, found: &mut Vec<Finding>) {
    if view.spec.kubernetes.is_none() {
        return; // refused as a whole
    }
    let balancers = &view.spec.load_balancers;
    for (path, balancer) in placed(view.at("loadBalancers"), balancers) {
        pools(view, &path, balancer, found);
        if balancer.roles.is_empty() {
            let message = format!("`{}` forwards nothing", balancer.name);
            found.push(
                Finding::error("load-balancer-without-roles", &path, message)
                    .fix("add a role, or remove the load balancer"),
            );
        }
        for (path, role) in placed(path.field("roles"), &balancer.roles) {
            targets(view, &path, role, found);
        }
        backend_check(&path.field("healthCheck"), balancer, found);
    }
    api(view, found);
}

fn pools(view: View<'_>, path: &Path, balancer: &LoadBalancer, found: &mut Vec<Finding>) {
    let path = path.field("pools");
    for (path, name) in placed(path.clone(), &balancer.pools) {
        if view
            .pool(name)
            .is_some_and(|p| !p.roles.contains(&Role::LoadBalancer))
        {
            let message = format!("`{name}` has not the role load-balancer");
            found.push(
                Finding::error("not-a-load-balancer-pool", &path, message)
                    .fix("give the pool the role, or choose another one"),
            );
        }
    }
    let pools: Vec<&NodePool> = balancer.pools.iter().filter_map(|p| view.pool(p)).collect();
    if pools.len() < balancer.pools.len() {
        return;
    }
    if let Some(empty) = pools.iter().find(|pool| nodes(pool).0 == 0) {
        let message = format!("`{}` may have no node at `{}`", balancer.name, empty.name);
        found.push(
            Finding::error("load-balancer-empty", &path, message)
                .fix("let each of its pools have at least one node"),
        );
        return;
    }
    let count: u64 = pools.iter().map(|pool| nodes(pool).0).sum();
    let domain = view.spec.resilience.survive.unwrap_or(Domain::Provider);
    if pools.is_empty() {
        let message = format!("`{}` stands on no pool", balancer.name);
        found.push(
            Finding::error("load-balancer-without-pools", &path, message)
                .fix("name at least one pool with the role load-balancer"),
        );
    } else if count == 1 {
        let hard = view.must_survive(Domain::Node);
        let message = format!("`{}` stands on a single node", balancer.name);
        found.push(
            graded(hard, "load-balancer-single-node", &path, message)
                .why("the loss of that machine closes the way in")
                .fix("add a second load-balancer pool in another provider"),
        );
    } else if view.places(pools.iter().copied(), domain) == 1 {
        let hard = view.spec.resilience.survive.is_some();
        let what = domain_name(domain);
        let message = format!("`{}` stands in one {what} only", balancer.name);
        found.push(
            graded(hard, "load-balancer-in-one-place", &path, message)
                .why(format!(
                    "the loss of that {what} closes the way in, however many nodes it has"
                ))
                .fix(format!("add a load-balancer pool in another {what}")),
        );
    }
}

fn targets(view: View<'_>, path: &Path, role: &LbRole, found: &mut Vec<Finding>) {
    let (wanted, code, what) = match role.kind {
        LbKind::Api => (
            Role::ControlPlane,
            "api-target-not-control-plane",
            "runs no API server",
        ),
        LbKind::Ingress => (
            Role::Worker,
            "ingress-target-not-worker",
            "runs no workloads",
        ),
    };
    for (path, name) in placed(path.field("targetPools"), &role.target_pools) {
        if view
            .pool(name)
            .is_some_and(|pool| !pool.roles.contains(&wanted))
        {
            found.push(
                Finding::error(code, &path, format!("`{name}` {what}"))
                    .why("the load balancer would find every backend there down")
                    .fix("remove it; without targetPools all fitting pools are the targets"),
            );
        }
    }
    if role.target_pools.is_empty() && view.with_role(wanted).next().is_none() {
        found.push(
            Finding::error(
                "role-without-targets",
                path,
                format!("`{}` has no backend", role.name),
            )
            .fix("add a pool with the fitting role: control-plane for api, worker for ingress"),
        );
    }
}

fn backend_check(path: &Path, balancer: &LoadBalancer, found: &mut Vec<Finding>) {
    let check = balancer.health_check;
    let spans = [check.interval, check.timeout, check.connect_timeout];
    if spans.iter().any(|d| d.0.0 == 0) || check.fall == 0 || check.rise == 0 {
        found.push(
            Finding::error(
                "health-check-zero",
                path,
                "a health check with a zero in it",
            )
            .why("it would mark every backend down, or none ever")
            .fix("leave the check out: the defaults notice a dead backend within 1.5 s"),
        );
    }
}

/// The API servers' entry point: needed beyond one member, and only one.
fn api(view: View<'_>, found: &mut Vec<Finding>) {
    let balancers = &view.spec.load_balancers;
    let has_api = |b: &LoadBalancer| b.roles.iter().any(|r| r.kind == LbKind::Api);
    let entries: Vec<_> = placed(view.at("loadBalancers"), balancers)
        .filter(|(_, balancer)| has_api(balancer))
        .collect();
    let members: u64 = view.with_role(Role::ControlPlane).map(|p| nodes(p).0).sum();
    if entries.is_empty() && members > 1 {
        let hard = view.must_survive(Domain::Node);
        let message = format!("{members} API servers stand behind no load balancer");
        found.push(
            graded(
                hard,
                "api-without-load-balancer",
                &view.at("loadBalancers"),
                message,
            )
            .why(
                "kubeadm's endpoint cannot be added later: nodes would follow one API server \
                     and be lost with it",
            )
            .fix("add a load balancer with a role of `kind: api` on port 6443"),
        );
    }
    if let [_, (path, second), ..] = entries.as_slice() {
        let message = format!("`{}` is a second entry to the API servers", second.name);
        found.push(
            Finding::warning("api-twice", path, message)
                .why("a cluster has one control-plane endpoint; the others stay unused by nodes")
                .fix("keep the api role on one load balancer, on pools of several providers"),
        );
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::manifest::judge::trial::{Case, case, run};
    use serde_json::{Value, json};

    pub(in super::super) fn cases() -> Vec<Case> {
        let balancer = |index: u32, field: &str| format!("/spec/loadBalancers/{index}/{field}");
        let no_objective = ("/spec/resilience/survive", Value::Null);
        let pools = vec![
            case(
                "not-a-load-balancer-pool",
                &balancer(1, "pools/0"),
                json!("workers-htz"),
            ),
            case(
                "load-balancer-without-pools",
                &balancer(1, "pools"),
                json!([]),
            ),
            case(
                "load-balancer-without-roles",
                &balancer(1, "roles"),
                json!([]),
            )
            .with("unknown-traffic-way"),
            case("load-balancer-empty", "/spec/nodePools/6/count", json!(0)).with("pool-empty"),
            case(
                "load-balancer-single-node",
                &balancer(1, "pools"),
                json!(["lb-aws"]),
            )
            .fails(),
            case(
                "load-balancer-in-one-place",
                &balancer(1, "pools"),
                json!(["lb-aws"]),
            )
            .and_set("/spec/nodePools/7/count", json!(2))
            .fails(),
            case(
                "load-balancer-in-one-place",
                &balancer(1, "pools"),
                json!(["lb-aws"]),
            )
            .and_set("/spec/nodePools/7/count", json!(2))
            .and_set(no_objective.0, no_objective.1)
            .only_warns(),
        ];
        pools.into_iter().chain(targets()).collect()
    }

    fn targets() -> Vec<Case> {
        let balancer = |index: u32, field: &str| format!("/spec/loadBalancers/{index}/{field}");
        let second_api = json!({"name": "api", "kind": "api", "port": 7443, "targetPort": 6443});
        vec![
            case(
                "api-target-not-control-plane",
                &balancer(0, "roles/0/targetPools"),
                json!(["rack"]),
            ),
            case(
                "ingress-target-not-worker",
                &balancer(1, "roles/0/targetPools"),
                json!(["lb-aws"]),
            ),
            case(
                "role-without-targets",
                "/spec/nodePools/0/roles",
                json!(["worker"]),
            )
            .and_set("/spec/nodePools/1/roles", json!(["worker"]))
            .and_set("/spec/nodePools/2/roles", json!(["worker"]))
            .with("no-control-plane"),
            case(
                "health-check-zero",
                &balancer(0, "healthCheck"),
                json!({"fall": 0}),
            ),
            case(
                "health-check-zero",
                &balancer(0, "healthCheck"),
                json!({"interval": "0s"}),
            ),
            case(
                "api-without-load-balancer",
                "/spec/loadBalancers/0",
                Value::Null,
            )
            .and_set("/spec/dns/0", Value::Null)
            .fails(),
            case("api-twice", &balancer(1, "roles/-"), second_api),
        ]
    }

    #[test]
    fn a_single_api_server_needs_no_load_balancer() {
        let one = case(
            "majority-in-one-location",
            "/spec/loadBalancers/0",
            Value::Null,
        )
        .and_set("/spec/dns/0", Value::Null)
        .and_set("/spec/nodePools/2", Value::Null)
        .and_set("/spec/nodePools/1", Value::Null);
        run(vec![one]);
    }

    #[test]
    fn each_mistake_is_found() {
        run(cases());
    }
}
