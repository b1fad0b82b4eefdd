//! Address ranges: network addresses, private, apart from each other, and large enough.
//!
//! Assigns no address: topology does.

use super::view::{View, nodes, placed};
use crate::diagnostic::{Finding, Path};
use crate::manifest::{CniName, Provider, Role};
use ipnet::Ipv4Net;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Addresses of a provider's /24 that nodes can have: AWS and Azure keep five of 256 for
/// themselves, the others fewer.
const NODES_PER_SUBNET: u64 = 251;
/// The prefix of the pod range that each node is given by kubeadm's default.
const POD_PREFIX: u8 = 24;
/// kubeadm gives the tenth service address to DNS; 16 is the smallest range that has one.
const SERVICE_PREFIX_MAX: u8 = 28;
/// API servers refuse service ranges of more than 20 bits.
const SERVICE_PREFIX_MIN: u8 = 12;

struct Range {
    path: Path,
    what: String,
    net: Ipv4Net,
    /// Routed inside one provider only, so that two of them may be equal.
    local: bool,
}

pub(super) fn check(view: View<'_>, found: &mut Vec<Finding>) {
    let ranges = ranges(view);
    for range in &ranges {
        network_address(range, found);
    }
    for (i, b) in ranges.iter().enumerate() {
        for a in &ranges[..i] {
            overlap(a, b, &ranges, found);
        }
    }
    hosts(view, &ranges, found);
    mesh(view, found);
    pods(view, found);
    bridge(view, found);
    services(view, found);
    for (path, provider) in placed(view.at("providers"), &view.spec.providers) {
        provider_network(view, &path, provider, found);
    }
}

fn ranges(view: View<'_>) -> Vec<Range> {
    let (spec, kubernetes) = (view.spec, view.at("kubernetes"));
    let range = |path: Path, what: &str, net| Range {
        path,
        what: what.to_owned(),
        net,
        local: false,
    };
    let mut ranges = vec![range(
        view.at("mesh").field("cidr"),
        "the mesh",
        spec.mesh.cidr,
    )];
    if let Some(given) = &spec.kubernetes {
        let services = kubernetes.field("serviceCidr");
        ranges.extend([
            range(kubernetes.field("podCidr"), "pods", given.pod_cidr),
            range(services, "services", given.service_cidr),
        ]);
    }
    for (path, provider) in placed(view.at("providers"), &spec.providers) {
        if let Some(net) = provider.network_cidr {
            ranges.push(Range {
                path: path.field("networkCidr"),
                what: format!("the network of `{}`", provider.name),
                net,
                local: true,
            });
        }
    }
    ranges
}

fn network_address(range: &Range, found: &mut Vec<Finding>) {
    let (net, path) = (range.net, &range.path);
    if net.addr() != net.network() {
        let message = format!("{net} is an address inside its range, not the range's own");
        found.push(
            Finding::error("cidr-has-host-bits", path, message)
                .why("clouds and Kubernetes refuse ranges with bits set behind the prefix")
                .fix(format!("write `{}`", net.trunc())),
        );
    }
    let private = [
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
    ];
    let private = private.map(|net| net.parse::<Ipv4Net>().expect("constants are ranges"));
    if !private.iter().any(|home| home.contains(&net.trunc())) {
        let message = format!("{net} for {} is not private", range.what);
        found.push(
            Finding::warning("cidr-not-private", path, message)
                .why("whoever owns these addresses in the internet becomes unreachable from nodes")
                .fix("choose a range inside 10.0.0.0/8 (RFC 1918) or 100.64.0.0/10 (RFC 6598)"),
        );
    }
}

/// A range of about the same size that nobody has, inside 10.0.0.0/8.
fn free(like: Ipv4Net, taken: &[Range]) -> Option<Ipv4Net> {
    let prefix = match like.prefix_len() {
        exact @ SERVICE_PREFIX_MIN..=16 => exact,
        _ => 16,
    };
    let home = Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8);
    let mut nets = home.subnets(prefix).expect("the prefix is longer than 8");
    nets.find(|net| !taken.iter().any(|range| meet(*net, range.net)))
}

fn meet(a: Ipv4Net, b: Ipv4Net) -> bool {
    a.contains(&b.trunc()) || b.contains(&a.trunc())
}

fn overlap(a: &Range, b: &Range, all: &[Range], found: &mut Vec<Finding>) {
    if !meet(a.net, b.net) {
        return;
    }
    let message = format!("{} ({}) and {} ({}) overlap", b.what, b.net, a.what, a.net);
    if a.local && b.local {
        found.push(
            Finding::note("provider-networks-overlap", &b.path, message)
                .why("they meet nowhere, as the mesh joins nodes, but cannot be peered later")
                .fix("give each provider a range of its own, such as 10.20.0.0/16"),
        );
    } else {
        found.push(
            Finding::error("cidr-overlap", &b.path, message)
                .why("a node would not know which of the two an address belongs to")
                .fix(match free(b.net, all) {
                    Some(net) => format!("move one of them, {} for example to `{net}`", b.what),
                    None => "make the ranges smaller".to_owned(),
                }),
        );
    }
}

fn hosts(view: View<'_>, ranges: &[Range], found: &mut Vec<Finding>) {
    for (path, pool) in view.pools() {
        for (path, host) in placed(path.field("hosts"), &pool.hosts) {
            let Ok(address) = host.address.parse::<Ipv4Addr>() else {
                continue;
            };
            let inside = |range: &&Range| !range.local && range.net.contains(&address);
            if let Some(range) = ranges.iter().find(inside) {
                let message = format!("{address} lies in the range of {}", range.what);
                found.push(
                    Finding::error("host-inside-cidr", &path.field("address"), message)
                        .why("nodes would look for the host inside the cluster")
                        .fix(format!(
                            "move {} away from the hosts' own network",
                            range.what
                        )),
                );
            }
        }
    }
}

/// How many addresses of a range can be given to machines.
fn usable(net: Ipv4Net) -> u64 {
    (1u64 << (32 - net.prefix_len())).saturating_sub(2)
}

/// The longest prefix with room for `count` usable addresses.
fn prefix_for(count: u64) -> u8 {
    let bits = (count + 2).next_power_of_two().trailing_zeros();
    u8::try_from(32u32.saturating_sub(bits)).expect("a prefix is at most 32")
}

fn mesh(view: View<'_>, found: &mut Vec<Finding>) {
    let net = view.spec.mesh.cidr;
    let most: u64 = view.spec.node_pools.iter().map(|p| nodes(p).1).sum();
    if usable(net) < most {
        let message = format!("{net} has {} addresses for up to {most} nodes", usable(net));
        found.push(
            Finding::error("mesh-too-small", &view.at("mesh").field("cidr"), message)
                .why("each node keeps its mesh address for life; the range cannot be changed later")
                .fix(format!(
                    "use a prefix of /{} or shorter; /16 is usual",
                    prefix_for(most)
                )),
        );
    }
}

fn pods(view: View<'_>, found: &mut Vec<Finding>) {
    let Some(net) = view.spec.kubernetes.as_ref().map(|k| k.pod_cidr) else {
        return;
    };
    let runs_pods = |roles: &[Role]| roles.iter().any(|role| *role != Role::LoadBalancer);
    let members = view.spec.node_pools.iter().filter(|p| runs_pods(&p.roles));
    let most: u64 = members.map(|p| nodes(p).1).sum();
    let room = match POD_PREFIX.checked_sub(net.prefix_len()) {
        Some(bits) => 1u64 << bits,
        None => 0,
    };
    if room < most {
        let message = format!("{net} has room for {room} nodes of a /24 each, there may be {most}");
        let prefix = 24u32.saturating_sub(most.next_power_of_two().trailing_zeros());
        found.push(
            Finding::error(
                "pods-too-small",
                &view.at("kubernetes").field("podCidr"),
                message,
            )
            .why("a node without a pod range of its own never becomes ready")
            .fix(format!("use a prefix of /{prefix} or shorter")),
        );
    }
}

/// The built-in bridge numbers the pods' networks as the mesh numbers the nodes.
fn bridge(view: View<'_>, found: &mut Vec<Finding>) {
    let kubernetes = view.spec.kubernetes.as_ref();
    let Some(kubernetes) = kubernetes.filter(|k| k.cni.name == CniName::Bridge) else {
        return;
    };
    let (pods, mesh) = (
        kubernetes.pod_cidr.prefix_len(),
        view.spec.mesh.cidr.prefix_len(),
    );
    // As many bits for numbers in the mesh as there are between the pods' prefix and /24.
    let room = POD_PREFIX.saturating_sub(pods);
    if 32 - mesh <= room {
        return;
    }
    let message = format!(
        "{} has more addresses than {} has ranges of a /24",
        view.spec.mesh.cidr, kubernetes.pod_cidr
    );
    found.push(
        Finding::error(
            "bridge-pods-too-small",
            &view.at("mesh").field("cidr"),
            message,
        )
        .why("with the plugin `bridge` a node's number in the mesh is that of its pods' range")
        .fix(format!(
            "use a prefix of /{} or longer for the mesh",
            32 - room
        )),
    );
}

fn services(view: View<'_>, found: &mut Vec<Finding>) {
    let Some(net) = view.spec.kubernetes.as_ref().map(|k| k.service_cidr) else {
        return;
    };
    let path = view.at("kubernetes").field("serviceCidr");
    if net.prefix_len() > SERVICE_PREFIX_MAX {
        found.push(
            Finding::error(
                "services-too-small",
                &path,
                format!("{net} is too small for services"),
            )
            .why("kubeadm gives its tenth address to cluster DNS")
            .fix(format!(
                "use a prefix of /{SERVICE_PREFIX_MAX} or shorter; /16 is usual"
            )),
        );
    } else if net.prefix_len() < SERVICE_PREFIX_MIN {
        found.push(
            Finding::error(
                "services-too-large",
                &path,
                format!("{net} is too large for services"),
            )
            .why("API servers refuse service ranges of more than 20 bits")
            .fix(format!(
                "use a prefix of /{SERVICE_PREFIX_MIN} or longer; /16 is usual"
            )),
        );
    }
}

/// One /24 per region, each with room for all nodes of its pools.
fn provider_network(view: View<'_>, path: &Path, provider: &Provider, found: &mut Vec<Finding>) {
    let Some(net) = provider.network_cidr else {
        return;
    };
    let mut regions = BTreeMap::<&str, u64>::new();
    let pools = view.spec.node_pools.iter();
    for pool in pools.filter(|pool| pool.provider == provider.name) {
        *regions
            .entry(pool.region.as_deref().unwrap_or(""))
            .or_default() += nodes(pool).1;
    }
    let path = path.field("networkCidr");
    let subnets = 24u8
        .checked_sub(net.prefix_len())
        .map_or(0, |bits| 1u64 << bits);
    let needed = regions.len() as u64;
    if subnets < needed {
        let message = format!("{net} has {subnets} subnets of a /24; regions in use: {needed}");
        found.push(
            Finding::error("provider-network-too-small", &path, message)
                .why("one /24 is taken per region")
                .fix("use a prefix of /16"),
        );
    }
    if let Some((region, count)) = regions.iter().find(|(_, n)| **n > NODES_PER_SUBNET) {
        let message = format!("up to {count} nodes in {region} share a /24 of {NODES_PER_SUBNET}");
        found.push(
            Finding::error("provider-network-too-small", &path, message)
                .why("one /24 is taken per region, and providers keep some of its addresses")
                .fix("spread the pools over several regions, or lower their maximum"),
        );
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Ipv4Addr, Ipv4Net, usable};
    use crate::manifest::judge::trial::{Case, case, run};
    use serde_json::json;

    pub(in super::super) fn cases() -> Vec<Case> {
        let mesh = "/spec/mesh/cidr";
        let pods = "/spec/kubernetes/podCidr";
        let services = "/spec/kubernetes/serviceCidr";
        let aws = "/spec/providers/1/networkCidr";
        vec![
            case("cidr-has-host-bits", mesh, json!("10.88.0.1/16")),
            case("cidr-not-private", mesh, json!("198.18.0.0/16")),
            case("cidr-not-private", pods, json!("8.0.0.0/8")),
            case("cidr-overlap", mesh, json!("10.244.128.0/17")),
            case("cidr-overlap", services, json!("10.20.16.0/20")),
            case("cidr-overlap", aws, json!("10.88.0.0/15")),
            case("cidr-overlap", pods, json!("10.0.0.0/8")),
            case("provider-networks-overlap", aws, json!("10.10.0.0/16")),
            case(
                "host-inside-cidr",
                "/spec/nodePools/3/hosts/0/address",
                json!("10.88.3.4"),
            ),
            // 16 nodes at most: three members, two of the rack, two and six workers, three LBs.
            case("mesh-too-small", mesh, json!("10.88.0.0/28")),
            case("pods-too-small", pods, json!("10.244.0.0/21")),
            case("pods-too-small", pods, json!("10.244.0.0/25")),
            case(
                "bridge-pods-too-small",
                "/spec/kubernetes/cni/name",
                json!("bridge"),
            ),
            case("services-too-small", services, json!("10.96.0.0/29")),
            case("services-too-large", services, json!("10.160.0.0/11")),
            case("provider-network-too-small", aws, json!("10.20.0.0/25")),
            case("provider-network-too-small", aws, json!("10.20.0.0/24"))
                .and_set("/spec/nodePools/7/region", json!("eu-west-1")),
            case(
                "provider-network-too-small",
                "/spec/nodePools/5/autoscale/max",
                json!(250),
            )
            .with("pods-too-small"),
        ]
    }

    #[test]
    fn each_mistake_is_found() {
        run(cases());
    }

    #[test]
    fn the_proposed_range_is_free() {
        let range = |net: &str| super::Range {
            path: super::Path::root(),
            what: String::new(),
            net: net.parse().unwrap(),
            local: false,
        };
        let taken = ["10.0.0.0/15", "10.3.0.0/16", "10.2.128.0/17"].map(range);
        let free = |like: &str| {
            super::free(like.parse().unwrap(), &taken)
                .unwrap()
                .to_string()
        };
        assert_eq!(free("10.1.0.0/16"), "10.4.0.0/16");
        assert_eq!(free("10.1.7.0/24"), "10.4.0.0/16");
        assert_eq!(free("10.0.0.0/12"), "10.16.0.0/12");
        assert_eq!(
            super::free("10.0.0.0/16".parse().unwrap(), &[range("10.0.0.0/8")]),
            None
        );
    }

    #[test]
    fn just_enough_is_enough() {
        run(vec![
            Case::clean("/spec/mesh/cidr", json!("10.88.0.0/27")),
            Case::clean("/spec/kubernetes/podCidr", json!("10.244.0.0/20")),
            Case::clean("/spec/kubernetes/cni/name", json!("bridge"))
                .and_set("/spec/mesh/cidr", json!("10.88.0.0/24")),
            Case::clean("/spec/providers/1/networkCidr", json!("10.20.0.0/24")),
            Case::clean("/spec/kubernetes/serviceCidr", json!("10.96.0.0/28")),
        ]);
    }

    #[test]
    fn the_proposed_prefix_has_room() {
        for count in [1, 2, 3, 14, 15, 254, 255, 65_534, 65_535] {
            let of = |prefix| usable(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, prefix));
            let prefix = super::prefix_for(count);
            assert!(of(prefix) >= count, "{count}");
            assert!(prefix == 30 || of(prefix + 1) < count, "{count}");
        }
    }
}
