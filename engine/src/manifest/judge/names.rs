//! Names: characters, lengths, and each only once.
//!
//! Does not ask whether a name leads anywhere: references do.

use super::view::{View, placed};
use crate::diagnostic::{Finding, Path};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// Longest cluster name.
const CLUSTER_MAX: usize = 28;
/// Longest pool name.
const POOL_MAX: usize = 20;
/// Longest provider name.
const PROVIDER_MAX: usize = 15;
/// Longest DNS label (RFC 1035, section 2.3.4), and so the longest name of a node.
const LABEL_MAX: usize = 63;

// A node is called after cluster, pool and a number: within these limits it is short enough.
const _: () = assert!(CLUSTER_MAX + 1 + POOL_MAX + 1 + "4294967295".len() <= LABEL_MAX);

pub(super) fn check(view: View<'_>, found: &mut Vec<Finding>) {
    let spec = view.spec;
    let cluster = Path::root().field("metadata").field("name");
    label(
        &cluster,
        "cluster",
        &view.manifest.metadata.name,
        CLUSTER_MAX,
        found,
    );
    named(
        view.at("providers"),
        &spec.providers,
        "provider",
        PROVIDER_MAX,
        |p| &p.name,
        found,
    );
    named(
        view.at("nodePools"),
        &spec.node_pools,
        "pool",
        POOL_MAX,
        |p| &p.name,
        found,
    );
    balancers(view, found);
    named(
        view.at("workloads"),
        &spec.workloads,
        "workload",
        LABEL_MAX,
        |w| &w.name,
        found,
    );
    hosts(view, found);
    dns(view, found);
    labels(view, found);
}

fn balancers(view: View<'_>, found: &mut Vec<Finding>) {
    let spec = view.spec;
    let balancers = view.at("loadBalancers");
    named(
        balancers.clone(),
        &spec.load_balancers,
        "load balancer",
        LABEL_MAX,
        |b| &b.name,
        found,
    );
    for (path, balancer) in placed(balancers, &spec.load_balancers) {
        named(
            path.field("roles"),
            &balancer.roles,
            "role",
            LABEL_MAX,
            |r| &r.name,
            found,
        );
        once(
            path.field("pools"),
            &balancer.pools,
            "pool",
            String::as_str,
            found,
        );
        for (role_path, role) in placed(path.field("roles"), &balancer.roles) {
            let pools = role_path.field("targetPools");
            once(
                pools,
                &role.target_pools,
                "target pool",
                String::as_str,
                found,
            );
        }
    }
}

fn labels(view: View<'_>, found: &mut Vec<Finding>) {
    for (path, pool) in view.pools() {
        keys(&path.field("labels"), &pool.labels, true, found);
        keys(&path.field("annotations"), &pool.annotations, false, found);
        for (path, taint) in placed(path.field("taints"), &pool.taints) {
            let one = BTreeMap::from([(taint.key.clone(), taint.value.clone())]);
            keys(&path, &one, true, found);
        }
    }
}

fn named<T>(
    list: Path,
    items: &[T],
    what: &str,
    max: usize,
    name: impl Fn(&T) -> &String,
    found: &mut Vec<Finding>,
) {
    for (path, item) in placed(list.clone(), items) {
        label(&path.field("name"), what, name(item), max, found);
    }
    once(list, items, what, |item| name(item).as_str(), found);
}

/// Whether a text is a DNS label but for its length: small letters, digits, hyphens inside.
fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn label(path: &Path, what: &str, name: &str, max: usize, found: &mut Vec<Finding>) {
    if !is_label(name) {
        let message = format!("`{name}` cannot be the name of a {what}");
        found.push(
            Finding::error("name-not-a-dns-label", path, message)
                .why("names become parts of host names: small letters, digits, hyphens inside")
                .fix(match suggestion(name) {
                    Some(better) => format!("write `{better}`"),
                    None => "write a name like `web-1`".to_owned(),
                }),
        );
    }
    let length = name.chars().count();
    if length > max {
        let message =
            format!("the {what} name `{name}` has {length} characters, {max} are allowed");
        found.push(
            Finding::error("name-too-long", path, message)
                .why("node names are made of cluster and pool name and end at 63 characters")
                .fix(format!("shorten it by {}", length - max)),
        );
    }
}

/// The nearest label to a text that is none.
fn suggestion(text: &str) -> Option<String> {
    let small = text.to_ascii_lowercase();
    let kept = small.replace(['_', ' ', '.', '/'], "-");
    let kept: String = kept
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect();
    let kept = kept.trim_matches('-');
    is_label(kept).then(|| kept.to_owned())
}

fn once<T>(
    list: Path,
    items: &[T],
    what: &str,
    name: impl Fn(&T) -> &str,
    found: &mut Vec<Finding>,
) {
    let mut seen = BTreeSet::new();
    for (path, item) in placed(list, items) {
        let name = name(item);
        if !seen.insert(name) {
            let message = format!("the {what} `{name}` stands here twice");
            found.push(
                Finding::error("duplicate-name", &path, message)
                    .why("other parts refer to it by name, and must mean exactly one")
                    .fix("rename or remove one of the two"),
            );
        }
    }
}

/// An IPv4 address or a name; what consists of numbers is meant as an address.
fn is_host(text: &str) -> bool {
    let numeric = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if text.split('.').all(numeric) {
        return text.parse::<Ipv4Addr>().is_ok();
    }
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let part = |part: &str| !part.is_empty() && part.len() <= LABEL_MAX && part.chars().all(inner);
    text.len() <= 253 && text.split('.').all(part)
}

fn hosts(view: View<'_>, found: &mut Vec<Finding>) {
    let mut seen = BTreeSet::new();
    for (path, pool) in view.pools() {
        for (path, host) in placed(path.field("hosts"), &pool.hosts) {
            if !is_host(&host.address) {
                let message = format!("`{}` is no IPv4 address and no host name", host.address);
                found.push(
                    Finding::error("bad-host-address", &path.field("address"), message)
                        .fix("write it like `203.0.113.11` or `rack-1.example.com`"),
                );
            }
            if !seen.insert((host.address.as_str(), host.ssh_port)) {
                let message = format!("the host {} is in the cluster twice", host.address);
                found.push(
                    Finding::error("duplicate-host", &path.field("address"), message)
                        .why("one machine is one node")
                        .fix("remove one of the two, or correct its address or sshPort"),
                );
            }
        }
    }
}

fn dns(view: View<'_>, found: &mut Vec<Finding>) {
    let mut seen = BTreeSet::new();
    for (path, dns) in placed(view.at("dns"), &view.spec.dns) {
        let hostname = (path.field("hostname"), &dns.hostname);
        let others = placed(path.field("alternativeNames"), &dns.alternative_names);
        for (path, name) in std::iter::once(hostname).chain(others) {
            let full = format!("{name}.{}", dns.zone);
            host_name(&path, &full, found);
            if !seen.insert(full.clone()) {
                found.push(
                    Finding::error(
                        "duplicate-dns-name",
                        &path,
                        format!("{full} is given twice"),
                    )
                    .why("one name has one set of addresses: the last writer would win")
                    .fix("choose another name for one of the two"),
                );
            }
            if name.ends_with(&format!(".{}", dns.zone)) {
                let message = format!("the name already contains the zone: it becomes {full}");
                found.push(
                    Finding::warning("hostname-repeats-zone", &path, message)
                        .why("names are given inside the zone, which is added to them")
                        .fix(format!("leave `.{}` out", dns.zone)),
                );
            }
        }
    }
}

/// RFC 1035: labels of at most 63 characters, 253 in all; `*` may stand first.
fn host_name(path: &Path, full: &str, found: &mut Vec<Finding>) {
    let body = full.strip_prefix("*.").unwrap_or(full);
    let good = |part: &str| is_label(part) && part.len() <= LABEL_MAX;
    if full.len() > 253 || !body.split('.').all(good) {
        found.push(
            Finding::error("bad-dns-name", path, format!("`{full}` is not a DNS name"))
                .why("each part is a DNS label of at most 63 characters, the whole has at most 253")
                .fix("use small letters, digits and hyphens, as in `api.shop`"),
        );
    }
}

/// The syntax of label, annotation and taint keys, and of label values (Kubernetes
/// documentation, "Labels and selectors").
fn keys(path: &Path, map: &BTreeMap<String, String>, values: bool, found: &mut Vec<Finding>) {
    let ends = |text: &str| {
        let outer = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        outer(text.chars().next()) && outer(text.chars().last())
    };
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name = |text: &str| text.len() <= LABEL_MAX && ends(text) && text.chars().all(inner);
    for (key, value) in map {
        let (prefix, last) = key.rsplit_once('/').unwrap_or(("example", key));
        let prefixed = prefix.len() <= 253 && prefix.split('.').all(is_label);
        if !name(last) || !prefixed || (values && !value.is_empty() && !name(value)) {
            let message = format!("Kubernetes refuses `{key}: {value}`");
            found.push(
                Finding::error("bad-label", path, message)
                    .why("keys and values have at most 63 letters, digits, `-`, `_` and `.`")
                    .fix("write it like `example.com/tier: web`"),
            );
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::manifest::judge::trial::{Case, case, run};
    use serde_json::json;

    pub(in super::super) fn cases() -> Vec<Case> {
        let long = "a".repeat(64);
        vec![
            case("name-not-a-dns-label", "/metadata/name", json!("My_Shop")),
            case(
                "name-not-a-dns-label",
                "/spec/workloads/1/name",
                json!("-x"),
            ),
            case("name-too-long", "/metadata/name", json!("a".repeat(29))),
            case(
                "name-too-long",
                "/spec/nodePools/0/name",
                json!("a".repeat(21)),
            ),
            case("name-too-long", "/spec/workloads/0/name", json!(long)),
            case("duplicate-name", "/spec/nodePools/0/name", json!("rack")),
            case(
                "duplicate-name",
                "/spec/loadBalancers/0/pools/1",
                json!("lb-htz"),
            ),
            case(
                "duplicate-host",
                "/spec/nodePools/3/hosts/1/address",
                json!("203.0.113.11"),
            ),
            case(
                "bad-host-address",
                "/spec/nodePools/3/hosts/1/address",
                json!("203.0.113.300"),
            ),
            case(
                "bad-host-address",
                "/spec/nodePools/3/hosts/1/address",
                json!("rack 1"),
            ),
            case(
                "bad-host-address",
                "/spec/nodePools/3/hosts/1/address",
                json!(""),
            ),
            case(
                "duplicate-dns-name",
                "/spec/dns/1/alternativeNames/0",
                json!("api.shop"),
            ),
            case("bad-dns-name", "/spec/dns/0/hostname", json!("api shop")),
            case(
                "hostname-repeats-zone",
                "/spec/dns/1/hostname",
                json!("shop.example.com"),
            ),
            case(
                "bad-label",
                "/spec/nodePools/3/labels",
                json!({"ti er": "base"}),
            ),
            case(
                "bad-label",
                "/spec/nodePools/3/labels",
                json!({"tier": "-"}),
            ),
            case(
                "bad-label",
                "/spec/nodePools/3/taints",
                json!([{"key": "UPPER.example/x", "effect": "NoSchedule"}]),
            ),
        ]
    }

    #[test]
    fn each_mistake_is_found() {
        run(cases());
    }

    #[test]
    fn host_names_are_taken_as_they_are_found() {
        let host = "/spec/nodePools/3/hosts/0/address";
        run(vec![
            Case::clean(host, json!("rack-1.lan_2.Example")),
            Case::clean(host, json!("10.9.8.7")),
        ]);
    }

    #[test]
    fn a_better_name_is_proposed() {
        assert_eq!(super::suggestion("My_Shop "), Some("my-shop".to_owned()));
        assert_eq!(super::suggestion("__"), None);
    }
}
