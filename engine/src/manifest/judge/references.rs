//! References by name: each leads somewhere, and what nothing leads to is mentioned.

use super::view::{View, name_fix, placed, providers};
use crate::diagnostic::{Finding, Path};
use crate::manifest::{LbKind, Role};

pub(super) fn check(view: View<'_>, found: &mut Vec<Finding>) {
    let spec = view.spec;
    for (path, pool) in view.pools() {
        provider(view, &path.field("provider"), &pool.provider, found);
    }
    for (path, balancer) in placed(view.at("loadBalancers"), &spec.load_balancers) {
        pools(view, path.field("pools"), &balancer.pools, found);
        for (path, role) in placed(path.field("roles"), &balancer.roles) {
            pools(view, path.field("targetPools"), &role.target_pools, found);
        }
    }
    for (path, dns) in placed(view.at("dns"), &spec.dns) {
        provider(view, &path.field("provider"), &dns.provider, found);
        if !spec
            .load_balancers
            .iter()
            .any(|b| b.name == dns.load_balancer)
        {
            let known = spec.load_balancers.iter().map(|b| b.name.as_str());
            let fix = name_fix(
                &dns.load_balancer,
                known,
                "declare it in spec.loadBalancers",
            );
            let message = format!("there is no load balancer `{}`", dns.load_balancer);
            let path = path.field("loadBalancer");
            found.push(Finding::error("unknown-load-balancer", &path, message).fix(fix));
        }
    }
    workloads(view, found);
    unused(view, found);
}

fn provider(view: View<'_>, path: &Path, name: &str, found: &mut Vec<Finding>) {
    if view.provider(name).is_none() {
        let known = view.spec.providers.iter().map(|p| p.name.as_str());
        let fix = name_fix(name, known, "declare it in spec.providers");
        let message = format!("there is no provider `{name}`");
        found.push(Finding::error("unknown-provider", path, message).fix(fix));
    }
}

fn pools(view: View<'_>, list: Path, names: &[String], found: &mut Vec<Finding>) {
    for (path, name) in placed(list, names) {
        if view.pool(name).is_none() {
            let known = view.spec.node_pools.iter().map(|p| p.name.as_str());
            let fix = name_fix(name, known, "declare it in spec.nodePools");
            let message = format!("there is no pool `{name}`");
            found.push(Finding::error("unknown-pool", &path, message).fix(fix));
        }
    }
}

fn workloads(view: View<'_>, found: &mut Vec<Finding>) {
    let balancers = &view.spec.load_balancers;
    let ways: Vec<String> = balancers
        .iter()
        .flat_map(|b| b.roles.iter().map(move |r| (b, r)))
        .filter(|(_, role)| role.kind == LbKind::Ingress)
        .map(|(b, role)| format!("{}/{}", b.name, role.name))
        .collect();
    let homes = providers(view.with_role(Role::Worker));
    for (path, workload) in placed(view.at("workloads"), &view.spec.workloads) {
        if let Some(traffic) = &workload.traffic
            && !ways.contains(&traffic.through)
        {
            let known = ways.iter().map(String::as_str);
            let fix = name_fix(
                &traffic.through,
                known,
                "add an ingress role to a load balancer",
            );
            let message = format!("no ingress role is called `{}`", traffic.through);
            found.push(
                Finding::error(
                    "unknown-traffic-way",
                    &path.field("traffic").field("through"),
                    message,
                )
                .why("clients reach a workload by a load balancer's role: `balancer/role`")
                .fix(fix),
            );
        }
        if let Some(prefer) = &workload.prefer {
            let path = path.field("prefer").field("provider");
            provider(view, &path, &prefer.provider, found);
            if view.provider(&prefer.provider).is_some()
                && !homes.contains(prefer.provider.as_str())
            {
                let message = format!("no worker stands at `{}`", prefer.provider);
                found.push(
                    Finding::warning("preference-without-workers", &path, message)
                        .why("the preference can never be followed")
                        .fix(name_fix(
                            &prefer.provider,
                            homes.iter().copied(),
                            "add workers there",
                        )),
                );
            }
        }
    }
}

fn unused(view: View<'_>, found: &mut Vec<Finding>) {
    let spec = view.spec;
    for (path, provider) in placed(view.at("providers"), &spec.providers) {
        let for_pools = spec.node_pools.iter().any(|p| p.provider == provider.name);
        let for_dns = spec.dns.iter().any(|d| d.provider == provider.name);
        if !for_pools && !for_dns {
            let message = format!("nothing uses the provider `{}`", provider.name);
            found.push(
                Finding::note("unused-provider", &path, message)
                    .fix("remove it, or give it a pool or a DNS zone"),
            );
        }
    }
    for (path, pool) in view.pools() {
        let used = spec
            .load_balancers
            .iter()
            .any(|b| b.pools.contains(&pool.name));
        if pool.roles == [Role::LoadBalancer] && !used {
            let message = format!("no load balancer stands on the pool `{}`", pool.name);
            found.push(
                Finding::warning("unused-load-balancer-pool", &path, message)
                    .why("its machines cost money and carry nothing")
                    .fix("name it in `pools` of a load balancer, or remove it"),
            );
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::manifest::judge::trial::{Case, case, run};
    use serde_json::json;

    pub(in super::super) fn cases() -> Vec<Case> {
        let lb_pool = json!({
            "name": "spare", "provider": "htz", "region": "fsn1", "machineType": "cx23",
            "image": "ubuntu-24.04", "count": 1, "roles": ["load-balancer"],
        });
        vec![
            case(
                "unknown-provider",
                "/spec/nodePools/6/provider",
                json!("hzt"),
            ),
            case(
                "unknown-provider",
                "/spec/workloads/1/prefer/provider",
                json!("azure"),
            ),
            case(
                "unknown-pool",
                "/spec/loadBalancers/0/pools/0",
                json!("lb-hzt"),
            ),
            case(
                "unknown-pool",
                "/spec/loadBalancers/1/roles/0/targetPools",
                json!(["workers-htz", "worker"]),
            ),
            case(
                "unknown-load-balancer",
                "/spec/dns/1/loadBalancer",
                json!("wbe"),
            )
            .with("load-balancer-without-name"),
            case(
                "unknown-traffic-way",
                "/spec/workloads/0/traffic/through",
                json!("web/http"),
            ),
            case(
                "unknown-traffic-way",
                "/spec/workloads/0/traffic/through",
                json!("api/api"),
            ),
            case(
                "preference-without-workers",
                "/spec/workloads/1/prefer/provider",
                json!("gcp"),
            ),
            case(
                "unused-provider",
                "/spec/providers/-",
                json!({"name": "home", "type": "libvirt"}),
            ),
            case("unused-load-balancer-pool", "/spec/nodePools/-", lb_pool),
        ]
    }

    #[test]
    fn each_mistake_is_found() {
        run(cases());
    }
}
