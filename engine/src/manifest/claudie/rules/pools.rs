//! Providers and node pools.

use super::super::input::{DynamicPool, InputManifest, ProviderType, StaticPool, Taint};
use super::super::names;
use super::super::report::Report;
use super::{Index, providers_path};
use crate::diagnostic::Path;
use crate::yaml::shown;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The longest name of a provider that Claudie can use.
const PROVIDER_NAME: usize = 15;
/// The longest name of a pool.
const POOL_NAME: usize = 14;
/// The largest pool.
const NODES: i32 = 255;
/// The smallest additional disk, in GB.
const DISK_GB: i32 = 50;
/// All annotations of a node together, in bytes.
const ANNOTATIONS: usize = 262_144;

pub(super) fn providers(input: &InputManifest, report: &mut Report<'_>) {
    let base = providers_path();
    for (index, provider) in input.spec.providers.iter().enumerate() {
        let path = base.index(index);
        report.name(&path.field("name"), &provider.name, PROVIDER_NAME);
        let secret = path.field("secretRef");
        report.filled(&secret.field("name"), &provider.secret_ref.name);
        report.filled(&secret.field("namespace"), &provider.secret_ref.namespace);
        if let Some(templates) = &provider.templates_ref {
            report.filled(&path.field("templatesRef").field("name"), &templates.name);
        }
    }
    let names = input.spec.providers.iter().enumerate();
    report.unique(
        "provider",
        names.map(|(n, p)| (p.name.as_str(), base.index(n).field("name"))),
    );
}

pub(super) fn pools(index: &Index<'_>, report: &mut Report<'_>) {
    let base = Path::root().field("spec").field("nodePools");
    let spec = &index.input.spec;
    let dynamic = spec.node_pools.dynamic.iter().enumerate();
    let fixed = spec.node_pools.fixed.iter().enumerate();
    let names = dynamic.map(|(n, pool)| (pool.name.as_str(), base.field("dynamic").index(n)));
    let names = names.chain(fixed.map(|(n, p)| (p.name.as_str(), base.field("static").index(n))));
    let names: Vec<_> = names
        .map(|(name, path)| (name, path.field("name")))
        .collect();
    let clusters = spec.kubernetes.clusters.iter();
    let used: BTreeSet<&str> = clusters
        .flat_map(|cluster| cluster.pools.control.iter().chain(&cluster.pools.compute))
        .chain(
            spec.load_balancers
                .clusters
                .iter()
                .flat_map(|balancer| &balancer.pools),
        )
        .map(String::as_str)
        .collect();
    for (name, path) in &names {
        report.name(path, name, POOL_NAME);
        if !used.contains(name) {
            let message = format!("the node pool {} is not used", shown(name));
            let fix = "use it in a cluster or a load balancer, or remove it";
            report.error("claudie-unused-pool", path, message, fix);
        }
    }
    report.unique("node pool", names);
    for (number, pool) in spec.node_pools.dynamic.iter().enumerate() {
        dynamic_pool(index, pool, &base.field("dynamic").index(number), report);
    }
    let mut addresses = BTreeMap::new();
    for (number, pool) in spec.node_pools.fixed.iter().enumerate() {
        static_pool(
            pool,
            &base.field("static").index(number),
            &mut addresses,
            report,
        );
    }
}

fn dynamic_pool(index: &Index<'_>, pool: &DynamicPool, path: &Path, report: &mut Report<'_>) {
    let spec = path.field("providerSpec");
    let providers = &index.input.spec.providers;
    let provider = providers.iter().find(|p| p.name == pool.provider_spec.name);
    if provider.is_none() {
        let known = providers.iter().map(|p| p.name.as_str());
        report.undefined(
            "provider",
            &spec.field("name"),
            &pool.provider_spec.name,
            known,
        );
    }
    let kind = provider.map(|provider| provider.provider_type);
    report.filled(&spec.field("region"), &pool.provider_spec.region);
    report.filled(&path.field("serverType"), &pool.server_type);
    report.filled(&path.field("image"), &pool.image);
    size(pool, path, report);
    if pool
        .storage_disk_size
        .is_some_and(|gb| gb != 0 && gb < DISK_GB)
    {
        let message = format!("a disk has at least {DISK_GB} GB");
        let fix = format!("write 0 for no disk, or at least {DISK_GB}");
        report.error("claudie-disk", &path.field("storageDiskSize"), message, fix);
    }
    machine(pool, kind, path, report);
    if let Some(kind) = kind {
        provider_fits(index, pool, kind, path, report);
    }
    marks(&pool.labels, &pool.taints, path, report);
}

fn provider_fits(
    index: &Index<'_>,
    pool: &DynamicPool,
    kind: ProviderType,
    path: &Path,
    report: &mut Report<'_>,
) {
    let spec = path.field("providerSpec");
    if !kind.kind().has_machines() {
        let message = format!(
            "no machine can be had at `{}`: it keeps DNS only",
            kind.word()
        );
        let fix = "name a provider that has machines";
        report.error("claudie-dns-only", &spec.field("name"), message, fix);
    }
    if kind == ProviderType::Openstack && pool.provider_spec.external_network_name.is_none() {
        let message = "`externalNetworkName` is missing, which OpenStack needs for Claudie";
        let fix = "name the network that has public addresses";
        report.warning("claudie-external-network", &spec, message, fix);
    }
    if !pool.spot {
        return;
    }
    if !kind.has_spot() {
        let message = format!("there are no spot machines at `{}`", kind.word());
        let fix = "remove `spot`, or choose gcp, verda, aws, azure or oci";
        report.error("claudie-spot", &path.field("spot"), message, fix);
    }
    if index.control.contains(pool.name.as_str()) {
        let message = "a pool of the control plane cannot be `spot`";
        let fix = "remove `spot`, or use the pool for workers only";
        report.error("claudie-spot", &path.field("spot"), message, fix);
    }
}

/// Exactly one of `count` and `autoscaler`; a count of zero is absent.
fn size(pool: &DynamicPool, path: &Path, report: &mut Report<'_>) {
    let count = pool.count.filter(|count| *count != 0);
    match (count, pool.autoscaler) {
        (Some(_), Some(_)) => {
            let message = "both `count` and `autoscaler` are given";
            report.error("claudie-size", path, message, "keep one of the two");
        }
        (None, None) => {
            let message = "neither `count` nor `autoscaler` says how many nodes there are";
            report.error(
                "claudie-size",
                path,
                message,
                "add `count:` with at least 1",
            );
        }
        (Some(count), None) if !(1..=NODES).contains(&count) => {
            let message = format!("a pool cannot have {count} nodes");
            let fix = format!("write 1 to {NODES}");
            report.error("claudie-size", &path.field("count"), message, fix);
        }
        (None, Some(scale)) => {
            if scale.min < 0 || scale.max < scale.min || !(1..=NODES).contains(&scale.max) {
                let message = format!(
                    "a pool cannot grow from {} to {} nodes",
                    scale.min, scale.max
                );
                let fix = format!("write a `min` from 0, and a `max` from `min` to {NODES}");
                report.error("claudie-size", &path.field("autoscaler"), message, fix);
            }
        }
        (Some(_), None) => {}
    }
}

fn machine(pool: &DynamicPool, kind: Option<ProviderType>, path: &Path, report: &mut Report<'_>) {
    let Some(spec) = &pool.machine_spec else {
        return;
    };
    let path = path.field("machineSpec");
    let given = |number: Option<i32>| number.filter(|n| *n != 0);
    if given(spec.cpu_count).is_some() != given(spec.memory).is_some() {
        let message = "`cpuCount` and `memory` need each other";
        report.error(
            "claudie-machine-spec",
            &path,
            message,
            "give both, or neither",
        );
    }
    for (name, number) in [
        ("cpuCount", spec.cpu_count),
        ("memory", spec.memory),
        ("nvidiaGpuCount", spec.nvidia_gpu_count),
        ("nvidiaGpu", spec.nvidia_gpu),
    ] {
        if number.is_some_and(|number| number < 0) {
            let message = format!("`{name}` cannot be negative");
            report.error(
                "claudie-machine-spec",
                &path.field(name),
                message,
                "write 0 or more",
            );
        }
    }
    let typed = spec
        .nvidia_gpu_type
        .as_ref()
        .is_some_and(|kind| !kind.is_empty());
    if kind == Some(ProviderType::Gcp) && spec.gpus() > 0 && !typed {
        let message = "`nvidiaGpuType` is missing, which gcp needs";
        let fix = "add `nvidiaGpuType:` with the accelerator's name";
        report.error("claudie-machine-spec", &path, message, fix);
    }
}

fn static_pool<'i>(
    pool: &'i StaticPool,
    path: &Path,
    addresses: &mut BTreeMap<&'i str, Path>,
    report: &mut Report<'_>,
) {
    if pool.nodes.is_empty() || pool.nodes.len() > NODES as usize {
        let message = format!("a pool cannot have {} nodes", pool.nodes.len());
        let fix = format!("list 1 to {NODES} nodes");
        report.error("claudie-size", &path.field("nodes"), message, fix);
    }
    for (number, node) in pool.nodes.iter().enumerate() {
        let path = path.field("nodes").index(number);
        let endpoint = path.field("endpoint");
        if !matches!(node.endpoint.parse(), Ok(IpAddr::V4(_))) {
            let message = format!("{} is not an IPv4 address", shown(&node.endpoint));
            let fix = "write the address at which ssh reaches the machine";
            report.error("claudie-address", &endpoint, message, fix);
        }
        if let Some(first) = addresses.get(node.endpoint.as_str()) {
            let message = format!(
                "{} is given twice: first at line {}",
                shown(&node.endpoint),
                report.line(first)
            );
            report.error(
                "claudie-address",
                &endpoint,
                message,
                "list each machine once",
            );
        } else {
            addresses.insert(&node.endpoint, endpoint);
        }
        let secret = path.field("secretRef");
        report.filled(&secret.field("name"), &node.secret_ref.name);
        report.filled(&secret.field("namespace"), &node.secret_ref.namespace);
    }
    if pool
        .ssh_port
        .is_some_and(|port| !(1..=65_535).contains(&port))
    {
        let message = "a port is a number from 1 to 65535";
        report.error(
            "claudie-port",
            &path.field("sshPort"),
            message,
            "write 22, or where sshd is",
        );
    }
    marks(&pool.labels, &pool.taints, path, report);
    let at = path.field("annotations");
    for key in pool.annotations.keys() {
        if let Some(error) = names::key_error(&key.to_lowercase()) {
            let message = format!("{} is no annotation key: {error}", shown(key));
            report.error(
                "claudie-label",
                &at.field(key),
                message,
                "rename the annotation",
            );
        }
    }
    let size: usize = pool
        .annotations
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if size > ANNOTATIONS {
        let message = format!("the annotations have {size} bytes, and {ANNOTATIONS} are allowed");
        report.error("claudie-label", &at, message, "shorten the annotations");
    }
}

/// Labels and taints.
fn marks(
    labels: &BTreeMap<String, String>,
    taints: &[Taint],
    path: &Path,
    report: &mut Report<'_>,
) {
    let syntax = "use at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at \
        both ends";
    let keys = labels
        .iter()
        .map(|(key, value)| (key, value, path.field("labels").field(key)));
    let taints = taints.iter().enumerate();
    let all = keys
        .chain(taints.map(|(n, taint)| (&taint.key, &taint.value, path.field("taints").index(n))));
    for (key, value, place) in all {
        if let Some(error) = names::key_error(key) {
            let message = format!("{} is no key: {error}", shown(key));
            report.error("claudie-label", &place, message, syntax);
        }
        if !names::is_value(value) {
            let message = format!("{} is no value of a label or taint", shown(value));
            report.error("claudie-label", &place, message, syntax);
        }
    }
}
