//! Every mistake of meaning in a manifest, at once: what types cannot say.
//!
//! Pure functions over the typed manifest; each rule adds findings with a place, a reason and a
//! fix. A name that leads nowhere is reported once, by `references`, and other rules pass over it.
//! Knows nothing of text, lines or files, and makes nothing of the manifest: topology does.

mod addresses;
mod balancers;
mod distances;
mod dns;
mod etcd;
mod kubernetes;
mod mesh;
mod mtu;
mod names;
mod pools;
mod ports;
mod providers;
mod quorum;
mod references;
mod spreads;
mod storage;
#[cfg(test)]
mod trial;
mod view;
mod workloads;

use crate::diagnostic::Finding;
use crate::manifest::{Manifest, Role};
use crate::timing::Farthest;

/// Every code that [`judge`] may give, by rule, in the order of judging.
pub const CODES: &[&str] = &[
    // names
    "name-not-a-dns-label",
    "name-too-long",
    "duplicate-name",
    "bad-host-address",
    "duplicate-host",
    "duplicate-dns-name",
    "hostname-repeats-zone",
    "bad-dns-name",
    "bad-label",
    // references
    "unknown-load-balancer",
    "unknown-provider",
    "unknown-pool",
    "unknown-traffic-way",
    "preference-without-workers",
    "unused-provider",
    "unused-load-balancer-pool",
    // providers
    "provider-without-machines",
    "provider-without-dns",
    "credentials-missing",
    "credentials-malformed",
    "provider-not-in-catalogue",
    "endpoint-missing",
    "endpoint-with-secret",
    "unknown-region",
    "unknown-zone",
    "unknown-machine-type",
    "capacity-unknown",
    // pools
    "no-control-plane",
    "no-worker",
    "pool-size-missing",
    "pool-size-twice",
    "pool-empty",
    "autoscale-inverted",
    "autoscale-not-of-workers",
    "pool-too-large",
    "roles-missing",
    "roles-without-kubernetes",
    "role-twice",
    "spot-control-plane",
    "spot-load-balancer",
    "hosts-outside-static",
    "region-missing",
    "machine-type-missing",
    "image-missing",
    "hosts-missing",
    "static-field-ignored",
    "load-balancer-behind-nat",
    "zero",
    // ports
    "port-zero",
    "proxy-protocol-over-udp",
    "proxy-protocol-to-api",
    "api-over-udp",
    "api-target-port",
    "port-clash",
    // balancers
    "load-balancer-without-roles",
    "not-a-load-balancer-pool",
    "load-balancer-empty",
    "load-balancer-without-pools",
    "load-balancer-single-node",
    "load-balancer-in-one-place",
    "api-target-not-control-plane",
    "ingress-target-not-worker",
    "role-without-targets",
    "health-check-zero",
    "api-without-load-balancer",
    "api-twice",
    // dns
    "load-balancer-without-name",
    "ttl-out-of-bounds",
    "ttl-below-minimum",
    "dns-without-health-check",
    "dns-check-invalid",
    "dns-slower-than-rto",
    "dns-shares-fate",
    // addresses
    "cidr-has-host-bits",
    "cidr-not-private",
    "provider-networks-overlap",
    "cidr-overlap",
    "host-inside-cidr",
    "mesh-too-small",
    "pods-too-small",
    "bridge-pods-too-small",
    "services-too-small",
    "services-too-large",
    "provider-network-too-small",
    // mesh
    "keepalive-out-of-bounds",
    "keepalive-outlives-nat",
    "etcd-behind-nat",
    // mtu
    "mesh-mtu-too-large",
    "mesh-mtu-too-small",
    "cni-mtu-too-large",
    "cni-mtu-too-small",
    // distances
    "distance-twice",
    "distance-of-nothing",
    // quorum
    "even-voters",
    "too-many-voters",
    "two-providers-give-one",
    "majority-in-one-location",
    "zero-slack-after-loss",
    "failure-group-holds-majority",
    // etcd
    "etcd-timing-not-whole",
    "etcd-election-ratio",
    "etcd-election-too-long",
    "etcd-heartbeat-below-rtt",
    "etcd-election-below-rtt",
    "etcd-timing-solved",
    "etcd-members-far-apart",
    "etcd-snapshots-often",
    "etcd-snapshots-none-kept",
    "etcd-version-form",
    "etcd-version-unsupported",
    "etcd-adds-only-when-whole",
    // kubernetes
    "kubernetes-version-form",
    "kubernetes-version-unsupported",
    "needs-kubernetes",
    // storage
    "data-without-storage",
    "rpo-needs-copies",
    "storage-replicas-exceed-domains",
    "storage-spread-too-narrow",
    "storage-far-apart",
    // workloads, and what they ask beside room
    "budget-exceeds-replicas",
    "budget-blocks-drains",
    "growth-implausible",
    "spread-over-one-place",
    "spread-never-met",
    "workers-in-one-place",
    "workload-without-pods",
    "workload-single-pod",
    "workload-fits-nowhere",
    "workloads-exceed-capacity",
    "capacity-short-after-loss",
];

/// Judges a manifest: every mistake of meaning, in the order of the rules above.
///
/// Empty for a manifest that can be used as it is. Errors make it unusable; warnings and notes do
/// not. What must be survived (`spec.resilience.survive`) decides which of the two it is for
/// whatever stands in one place only.
#[must_use]
pub fn judge(manifest: &Manifest) -> Vec<Finding> {
    let view = view::View::new(manifest);
    let rules = [
        names::check,
        references::check,
        providers::check,
        pools::check,
        ports::check,
        balancers::check,
        dns::check,
        addresses::check,
        mesh::check,
        mtu::check,
        distances::check,
        quorum::check,
        etcd::check,
        kubernetes::check,
        storage::check,
        workloads::check,
    ];
    let mut found = Vec::new();
    for rule in rules {
        rule(view, &mut found);
    }
    for finding in &mut found {
        assert!(CODES.contains(&finding.code), "{} is listed", finding.code);
        for text in [&mut finding.message, &mut finding.why, &mut finding.fix] {
            *text = printable(text);
        }
    }
    found
}

/// The longest round trip between nodes of a role that stand in different places.
#[must_use]
pub fn farthest(manifest: &Manifest, role: Role) -> Option<Farthest> {
    let view = view::View::new(manifest);
    view::longest(view, view.with_role(role))
}

/// Names come from the user, and are shown: what moves a terminal's cursor is written out.
fn printable(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn findings_cannot_move_the_cursor() {
        assert_eq!(super::printable("a\u{1b}[2J\nü"), "a\\u{1b}[2J\\nü");
    }
}
