//! DNS: TTLs, health checks, how fast a dead address is forgotten, and what DNS shares a fate with.

use super::view::{View, graded, nodes, placed, providers};
use crate::diagnostic::{Finding, Path};
use crate::manifest::{Dns, Domain, ProviderKind};
use crate::time::Span;
use crate::units::Duration;

/// The longest TTL that makes sense for addresses that may die; RFC 8767 caps caches at a week.
const TTL_MAX: Span = Span::from_secs(7 * 86_400);

pub(super) fn check(view: View<'_>, found: &mut Vec<Finding>) {
    if view.spec.kubernetes.is_none() {
        return; // refused as a whole
    }
    for (path, dns) in placed(view.at("dns"), &view.spec.dns) {
        ttl(view, &path.field("ttl"), dns, found);
        health(view, &path, dns, found);
        fate(view, &path.field("provider"), dns, found);
    }
    for (path, balancer) in placed(view.at("loadBalancers"), &view.spec.load_balancers) {
        if !view
            .spec
            .dns
            .iter()
            .any(|dns| dns.load_balancer == balancer.name)
        {
            let message = format!("no name leads to `{}`", balancer.name);
            found.push(
                Finding::warning("load-balancer-without-name", &path, message)
                    .why("clients that know one address lose the way in with that address")
                    .fix("add an entry to spec.dns"),
            );
        }
    }
}

fn ttl(view: View<'_>, path: &Path, dns: &Dns, found: &mut Vec<Finding>) {
    let ttl = dns.ttl.0;
    if ttl < Span::from_secs(1) || ttl > TTL_MAX || !ttl.0.is_multiple_of(1_000_000_000) {
        found.push(
            Finding::error(
                "ttl-out-of-bounds",
                path,
                format!("a TTL of {} cannot be used", dns.ttl),
            )
            .why("TTLs are whole seconds (RFC 1035), and caches keep nothing beyond a week")
            .fix("write `60s`"),
        );
    } else if view.provider(&dns.provider).map(|p| p.kind) == Some(ProviderKind::Cloudflare)
        && ttl < Span::from_secs(60)
    {
        let message = format!("Cloudflare refuses a TTL of {}", dns.ttl);
        found.push(
            Finding::warning("ttl-below-minimum", path, message)
                .why("its lower bound is 60 s, and 30 s for Enterprise zones only")
                .fix("write `60s`, or use a provider of type `builtin` for this name"),
        );
    }
}

fn health(view: View<'_>, path: &Path, dns: &Dns, found: &mut Vec<Finding>) {
    let Some(check) = dns.health_check else {
        let message = format!(
            "`{}.{}` keeps giving out dead addresses",
            dns.hostname, dns.zone
        );
        found.push(
            Finding::warning("dns-without-health-check", path, message)
                .why(
                    "plain round robin has no health check: with one of n entry points lost, one \
                     connection in n waits for its time-out, up to 131 s on Linux",
                )
                .fix("add `healthCheck: { interval: 10s, threshold: 3 }`"),
        );
        return;
    };
    let zero = check.interval.0.0 == 0 || check.timeout.0.0 == 0 || check.threshold == 0;
    if zero || check.timeout > check.interval {
        let message = "a health check that cannot work";
        found.push(
            Finding::error("dns-check-invalid", &path.field("healthCheck"), message)
                .why("none of its numbers may be zero, and a check must end before the next begins")
                .fix("write `healthCheck: { interval: 10s, threshold: 3, timeout: 2s }`"),
        );
        return;
    }
    let notice = check.interval.0.times(check.threshold.into());
    let forgotten = notice + dns.ttl.0;
    if let Some(rto) = view.spec.resilience.rto
        && forgotten > rto.0
    {
        let message = format!(
            "a dead address is given out for {notice} and remembered for {}: {forgotten}, \
             the RTO is {rto}",
            dns.ttl
        );
        found.push(
            Finding::warning("dns-slower-than-rto", &path.field("ttl"), message)
                .why("clients that try one address only are away that long")
                .fix(format!(
                    "lower ttl, interval or threshold, or set resilience.rto to `{}`",
                    Duration(forgotten)
                )),
        );
    }
}

/// Whether the provider that keeps the zone also carries what the zone points to.
fn fate(view: View<'_>, path: &Path, dns: &Dns, found: &mut Vec<Finding>) {
    let (Some(keeper), Some(balancer)) = (
        view.provider(&dns.provider),
        view.spec
            .load_balancers
            .iter()
            .find(|b| b.name == dns.load_balancer),
    ) else {
        return;
    };
    let pools = balancer.pools.iter().filter_map(|name| view.pool(name));
    let carriers = providers(pools.filter(|pool| nodes(pool).1 > 0));
    let shared = |name: &str| {
        let carrier = view.provider(name);
        name == keeper.name
            || carrier.is_some_and(|c| {
                c.failure_groups
                    .iter()
                    .any(|g| keeper.failure_groups.contains(g))
            })
    };
    if view.must_survive(Domain::Provider)
        && let Some(carrier) = carriers.iter().find(|name| shared(name))
    {
        let message = if **carrier == keeper.name {
            format!("`{carrier}` keeps the zone and carries what it points to")
        } else {
            format!(
                "`{}` keeps the zone and fails together with `{carrier}`, which carries \
                what it points to",
                keeper.name
            )
        };
        found.push(
            graded(false, "dns-shares-fate", path, message)
                .why("when it is lost, nobody can take its dead addresses out of the answers")
                .fix("keep the zone at a provider that carries no load balancer"),
        );
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::manifest::judge::trial::{Case, case, run};
    use serde_json::{Value, json};

    pub(in super::super) fn cases() -> Vec<Case> {
        let check = |interval: &str, threshold: u8, timeout: &str| {
            json!({
                "interval": interval, "threshold": threshold, "timeout": timeout
            })
        };
        vec![
            case("ttl-out-of-bounds", "/spec/dns/0/ttl", json!("0s")),
            case("ttl-out-of-bounds", "/spec/dns/0/ttl", json!("1500ms")),
            case("ttl-out-of-bounds", "/spec/dns/0/ttl", json!("8d")).with("dns-slower-than-rto"),
            case("ttl-below-minimum", "/spec/dns/0/ttl", json!("30s")),
            case(
                "dns-without-health-check",
                "/spec/dns/1/healthCheck",
                Value::Null,
            ),
            case(
                "dns-check-invalid",
                "/spec/dns/1/healthCheck",
                check("10s", 0, "2s"),
            ),
            case(
                "dns-check-invalid",
                "/spec/dns/1/healthCheck",
                check("1s", 3, "2s"),
            ),
            case("dns-slower-than-rto", "/spec/dns/1/ttl", json!("61s")),
            case("dns-slower-than-rto", "/spec/dns/1/ttl", json!("7d")),
            case("dns-slower-than-rto", "/spec/resilience/rto", json!("89s")),
            case("dns-shares-fate", "/spec/dns/1/provider", json!("aws")),
            case(
                "dns-shares-fate",
                "/spec/providers/3/failureGroups",
                json!(["backbone"]),
            )
            .and_set("/spec/providers/1/failureGroups", json!(["backbone"])),
            case("load-balancer-without-name", "/spec/dns/1", Value::Null),
        ]
    }

    #[test]
    fn each_mistake_is_found() {
        run(cases());
    }
}
