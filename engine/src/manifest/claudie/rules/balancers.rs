//! Load balancers: their roles, machines and names in DNS.

use super::super::API_PORT;
use super::super::input::{LbCluster, LbDns, LbRole, Provider};
use super::super::report::Report;
use super::{Index, Pool, balancers_path, roles_path};
use crate::diagnostic::Path;
use crate::yaml::shown;
use std::collections::{BTreeMap, BTreeSet};

/// The longest name of a load balancer.
const NAME: usize = 28;
/// The most roles of one.
const ROLES: usize = 1_018;
/// Ports that Claudie keeps for itself.
const RESERVED: std::ops::RangeInclusive<i32> = 64_512..=65_535;

pub(super) fn roles(index: &Index<'_>, report: &mut Report<'_>) {
    let base = roles_path();
    let roles = &index.input.spec.load_balancers.roles;
    for (number, role) in roles.iter().enumerate() {
        let path = base.index(number);
        report.filled(&path.field("name"), &role.name);
        for (name, port) in [("port", role.port), ("targetPort", role.target_port)] {
            if !(0..=65_535).contains(&port) {
                let message = format!("{port} is no port");
                report.error(
                    "claudie-port",
                    &path.field(name),
                    message,
                    "write 1 to 65535",
                );
            }
        }
        if RESERVED.contains(&role.port) {
            let message = format!(
                "Claudie keeps the ports from 64512 for itself: {}",
                role.port
            );
            report.error(
                "claudie-port",
                &path.field("port"),
                message,
                "choose a port below 64512",
            );
        }
        if role.is_api() && role.port != API_PORT {
            let message = format!("the API server is reached at {API_PORT}, not {}", role.port);
            report.error("claudie-port", &path.field("port"), message, "write 6443");
        }
        let targets = path.field("targetPools");
        if role.target_pools.is_empty() {
            let message = "the role has no target";
            report.error(
                "claudie-role",
                &targets,
                message,
                "name the pools it forwards to",
            );
        }
        index.references(report, &targets, &role.target_pools);
    }
    let names = roles.iter().enumerate();
    report.unique(
        "role",
        names.map(|(n, role)| (&*role.name, base.index(n).field("name"))),
    );
}

pub(super) fn clusters(index: &Index<'_>, report: &mut Report<'_>) {
    let base = balancers_path();
    let balancers = &index.input.spec.load_balancers.clusters;
    let names = balancers.iter().enumerate();
    let names = names.map(|(n, b)| (&*b.name, base.index(n).field("name")));
    report.unique("load balancer", names);
    let mut api: BTreeMap<&str, Path> = BTreeMap::new();
    let mut hosts = Vec::new();
    for (number, balancer) in balancers.iter().enumerate() {
        let path = base.index(number);
        let roles = one(index, balancer, &path, report);
        if let Some(dns) = &balancer.dns {
            hosts.extend(
                dns.hostname
                    .iter()
                    .map(|host| (host, &dns.dns_zone, path.field("dns").field("hostname"))),
            );
            let names = dns.alternative_names.iter().enumerate();
            let at = path.field("dns").field("alternativeNames");
            hosts.extend(names.map(|(n, name)| (name, &dns.dns_zone, at.index(n))));
        }
        if roles.iter().any(|role| role.is_api()) {
            if let Some(first) = api.get(balancer.targeted_k8s.as_str()) {
                let line = report.line(first);
                let message =
                    format!("the API servers have a load balancer already, at line {line}");
                let fix = "keep one role with target port 6443 for each cluster";
                report.error("claudie-api", &path.field("roles"), message, fix);
            }
            api.entry(&balancer.targeted_k8s).or_insert(path);
        }
    }
    let names: Vec<_> = hosts
        .into_iter()
        .map(|(h, zone, path)| (format!("{h}.{zone}"), path))
        .collect();
    report.unique(
        "DNS name",
        names.iter().map(|(name, path)| (&**name, path.clone())),
    );
}

/// Checks one load balancer and gives its roles, as far as they are defined.
fn one<'i>(
    index: &Index<'i>,
    balancer: &'i LbCluster,
    path: &Path,
    report: &mut Report<'_>,
) -> Vec<&'i LbRole> {
    report.name(&path.field("name"), &balancer.name, NAME);
    let roles = defined_roles(index, balancer, &path.field("roles"), report);
    let clusters = &index.input.spec.kubernetes.clusters;
    let target = clusters
        .iter()
        .find(|cluster| cluster.name == balancer.targeted_k8s);
    let at = path.field("targetedK8s");
    match target {
        None => {
            let known = clusters.iter().map(|cluster| cluster.name.as_str());
            report.undefined("cluster", &at, &balancer.targeted_k8s, known);
        }
        Some(target) => {
            if target.name.to_lowercase() != target.name {
                let (lower, name) = (target.name.to_lowercase(), shown(&target.name));
                let message = format!(
                    "Claudie builds the cluster as `{lower}` and drops this load balancer, which \
                     names {name}"
                );
                let fix = "write the name of the cluster in lower case, here and there";
                report.warning("claudie-name-case", &at, message, fix);
            }
            for role in &roles {
                let control = &target.pools.control;
                for pool in &role.target_pools {
                    let known = control.contains(pool) || target.pools.compute.contains(pool);
                    let fits = if role.is_api() {
                        control.contains(pool)
                    } else {
                        known
                    };
                    if !fits && index.pools.contains_key(pool.as_str()) {
                        let what = if role.is_api() { "a control" } else { "a" };
                        let message = format!(
                            "the role {} forwards to {}, which is not {what} pool of {}",
                            shown(&role.name),
                            shown(pool),
                            shown(&target.name)
                        );
                        let fix = "name pools of that cluster, or give it a role of its own";
                        report.error("claudie-role", &path.field("roles"), message, fix);
                    }
                }
            }
        }
    }
    index.references(report, &path.field("pools"), &balancer.pools);
    machines(index, balancer, path, report);
    let api = roles.iter().any(|role| role.is_api());
    dns(index, balancer.dns.as_ref(), api, path, report);
    roles
}

fn defined_roles<'i>(
    index: &Index<'i>,
    balancer: &'i LbCluster,
    path: &Path,
    report: &mut Report<'_>,
) -> Vec<&'i LbRole> {
    let all = &index.input.spec.load_balancers.roles;
    if balancer.roles.len() > ROLES {
        let message = format!("there are {} roles, and {ROLES} fit", balancer.roles.len());
        report.error(
            "claudie-role",
            path,
            message,
            "spread them over several load balancers",
        );
    }
    if balancer.roles.is_empty() {
        let message = "the load balancer has no role: it is left out";
        report.warning("claudie-role", path, message, "name its roles");
    }
    let mut seen = BTreeSet::new();
    let mut ports: BTreeMap<(i32, bool), &str> = BTreeMap::new();
    let mut found: Vec<&LbRole> = Vec::new();
    for (number, name) in balancer.roles.iter().enumerate() {
        let path = path.index(number);
        let Some(role) = all.iter().find(|role| role.name == *name) else {
            report.undefined(
                "role",
                &path,
                name,
                all.iter().map(|role| role.name.as_str()),
            );
            continue;
        };
        if !seen.insert(name) {
            let message = format!("the role {} is given twice", shown(name));
            report.warning("claudie-role", &path, message, "name it once");
            continue;
        }
        let tcp = role.protocol == crate::manifest::Protocol::Tcp;
        if let Some(other) = ports.get(&(role.port, tcp)) {
            let (name, other) = (shown(name), shown(other));
            let message = format!(
                "{other} has the port {} already: {name} is left out",
                role.port
            );
            let fix = "give each role a port of its own: only one can listen";
            report.warning("claudie-port-twice", &path, message, fix);
        }
        ports.entry((role.port, tcp)).or_insert(name);
        if role.is_api() && found.iter().any(|role| role.is_api()) {
            let message = "a second role leads to the API servers";
            let fix = "keep one role with target port 6443";
            report.warning("claudie-api", &path, message, fix);
        }
        found.push(role);
    }
    found
}

/// Machines that are there at the start.
fn machines(index: &Index<'_>, balancer: &LbCluster, path: &Path, report: &mut Report<'_>) {
    let path = path.field("pools");
    if balancer.pools.is_empty() {
        let message = "the load balancer has no machines: it is left out";
        report.warning("claudie-lb-machines", &path, message, "name its pools");
    }
    for (number, name) in balancer.pools.iter().enumerate() {
        if let Some(Pool::Dynamic(pool, _)) = index.pools.get(name.as_str())
            && let Some(scale) = pool.autoscaler
        {
            let message = format!(
                "the pool {} grows by demand for pods, so it stays at {} machines",
                shown(name),
                scale.min
            );

            let fix = "use a pool with `count`: no pod runs on a load balancer";
            report.warning("claudie-lb-machines", &path.index(number), message, fix);
        }
    }
}

fn dns(index: &Index<'_>, dns: Option<&LbDns>, api: bool, path: &Path, report: &mut Report<'_>) {
    let Some(dns) = dns else {
        let message = "`dns` is missing: nobody would find the load balancer";
        let fix = "add `dns:` with `dnsZone` and `provider`";
        return report.error("claudie-dns", path, message, fix);
    };
    let path = path.field("dns");
    report.filled(&path.field("dnsZone"), &dns.dns_zone);
    let providers = &index.input.spec.providers;
    match providers
        .iter()
        .find(|provider| provider.name == dns.provider)
    {
        None => {
            let known = providers.iter().filter(|p| p.provider_type.has_dns());
            let known = known.map(|p: &Provider| p.name.as_str());
            report.undefined("provider", &path.field("provider"), &dns.provider, known);
        }
        Some(provider) if !provider.provider_type.has_dns() => {
            let kind = provider.provider_type.word();
            let message = format!("Claudie keeps no DNS records at `{kind}`");
            let fix = "name a provider of gcp, aws, azure, oci, cloudflare, hetzner, exoscale or \
                ovh";
            report.error("claudie-dns", &path.field("provider"), message, fix);
        }
        Some(_) => {}
    }
    let at = path.field("alternativeNames");
    for (number, name) in dns.alternative_names.iter().enumerate() {
        report.filled(&at.index(number), name);
    }
    if api && !dns.alternative_names.is_empty() {
        let message = "a load balancer of API servers cannot have alternative names";
        let fix = "remove them, or give ingress a load balancer of its own";
        report.error("claudie-dns", &at, message, fix);
    }
}
