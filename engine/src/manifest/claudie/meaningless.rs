//! What an `InputManifest` says of one cluster that has no meaning here: each is named.

use super::input::{Cluster, DynamicPool, InputManifest, ProxyMode};
use super::report::Report;
use super::rules::{Index, Pool, clusters_path, providers_path, roles_path};
use super::translate::balancers_of;
use crate::diagnostic::Path;
use crate::manifest::Protocol;
use crate::yaml::shown;
use std::collections::BTreeSet;

/// The templates that Claudie takes where none are named.
const DEFAULT_TEMPLATES: &str = "claudie-default-templates";

/// Names all that is read over for the cluster with this number.
pub(super) fn name_all(index: &Index<'_>, number: usize, report: &mut Report<'_>) {
    let cluster = &index.input.spec.kubernetes.clusters[number];
    document(index.input, report);
    proxy(cluster, &clusters_path().index(number), report);
    let balancers = balancers_of(index, cluster);
    let control: BTreeSet<&str> = cluster.pools.control.iter().map(String::as_str).collect();
    let compute: BTreeSet<&str> = cluster.pools.compute.iter().map(String::as_str).collect();
    let serving = balancers.iter().flat_map(|(balancer, _)| &balancer.pools);
    let serving: BTreeSet<&str> = serving.map(String::as_str).collect();
    for (name, pool) in &index.pools {
        let node = control.contains(name) || compute.contains(name);
        if !node && !serving.contains(name) {
            continue;
        }
        if !node {
            unused_marks(pool, report);
        }
        taints(pool, report);
        if let Pool::Dynamic(pool, path) = pool {
            dynamic(pool, path, compute.contains(name), report);
        }
    }
    providers(index, report);
    if let Some((_, first)) = balancers.first() {
        let message = "backends are checked here; Claudie's Envoy does not check any";
        let fix = "nothing needs to be done; a Quorate manifest can set `healthCheck`";
        report.note("claudie-backend-checks", first, message, fix);
    }
    let balancers = &index.input.spec.load_balancers;
    for (number, role) in balancers.roles.iter().enumerate() {
        if balancers
            .clusters
            .iter()
            .all(|balancer| !balancer.roles.contains(&role.name))
        {
            let message = format!("the role {} is not used", shown(&role.name));
            let fix = "name it in a load balancer, or remove it";
            report.note(
                "claudie-unused-role",
                &roles_path().index(number),
                message,
                fix,
            );
        }
        let plain = role.is_api() || role.protocol == Protocol::Udp;
        if plain
            && role
                .settings
                .is_some_and(|settings| settings.proxy_protocol)
        {
            let message = "API servers and UDP have no PROXY protocol: it is left out";
            let fix = "write `proxyProtocol: false`";
            let place = roles_path()
                .index(number)
                .field("settings")
                .field("proxyProtocol");
            report.warning("claudie-ignored-proxy-protocol", &place, message, fix);
        }
    }
}

fn document(input: &InputManifest, report: &mut Report<'_>) {
    let metadata = Path::root().field("metadata");
    for field in ["namespace", "labels", "annotations"] {
        if input.metadata.contains_key(field) {
            let message = format!("`{field}` of the document has no meaning here");
            let fix = "nothing needs to be done; it describes the resource, not the cluster";
            report.note(
                "claudie-ignored-metadata",
                &metadata.field(field),
                message,
                fix,
            );
        }
    }
    if input.status.is_some() {
        let message = "`status` has no meaning here: it is Claudie's own";
        let fix = "remove it";
        report.note(
            "claudie-ignored-status",
            &Path::root().field("status"),
            message,
            fix,
        );
    }
}

fn proxy(cluster: &Cluster, path: &Path, report: &mut Report<'_>) {
    let Some(proxy) = &cluster.installation_proxy else {
        return;
    };
    let path = path.field("installationProxy");
    match proxy.mode {
        ProxyMode::Off => {}
        ProxyMode::On | ProxyMode::Default => {
            let message = "`installationProxy` has no meaning here: machines load packages \
                directly";
            let fix = "make sure that machines reach package and image servers, or set `mode: \
                \"off\"`";
            report.warning("claudie-ignored-proxy", &path, message, fix);
        }
    }
}

fn providers(index: &Index<'_>, report: &mut Report<'_>) {
    let spec = &index.input.spec;
    let pools = spec
        .node_pools
        .dynamic
        .iter()
        .map(|pool| &pool.provider_spec.name);
    let dns = spec
        .load_balancers
        .clusters
        .iter()
        .filter_map(|b| Some(&b.dns.as_ref()?.provider));
    let used: BTreeSet<&String> = pools.chain(dns).collect();
    for (number, provider) in spec.providers.iter().enumerate() {
        let path = providers_path().index(number);
        if let Some(templates) = &provider.templates_ref
            && templates.name != DEFAULT_TEMPLATES
        {
            let name = shown(&templates.name);
            let message = format!("the templates {name} have no meaning here");
            let fix = "check what they change: Quorate makes machines without templates";
            report.warning(
                "claudie-ignored-templates",
                &path.field("templatesRef"),
                message,
                fix,
            );
        }
        if !used.contains(&provider.name) {
            let message = format!("the provider {} is not used", shown(&provider.name));
            report.note(
                "claudie-unused-provider",
                &path,
                message,
                "use it, or remove it",
            );
        }
    }
}

fn dynamic(pool: &DynamicPool, path: &Path, worker: bool, report: &mut Report<'_>) {
    if !worker && pool.storage_disk_size.is_some_and(|gb| gb > 0) {
        let message = "only workers have an additional disk: the size has no effect";
        let fix = "remove `storageDiskSize`";
        report.warning(
            "claudie-ignored-disk",
            &path.field("storageDiskSize"),
            message,
            fix,
        );
    }
    if pool.provider_spec.external_network_name.is_some() {
        let place = path.field("providerSpec").field("externalNetworkName");
        let message = "`externalNetworkName` has no meaning here";
        let fix = "make sure that the project has one network with public addresses";
        report.warning("claudie-ignored-external-network", &place, message, fix);
    }
    if let Some(spec) = &pool.machine_spec {
        let typed = spec.nvidia_gpu_type.is_some();
        if spec.gpus() > 0 || typed {
            let message = "GPUs are not asked for: `machineSpec` gives cores and memory only";
            let fix = "choose a server type that has the GPU";
            report.warning(
                "claudie-ignored-gpu",
                &path.field("machineSpec"),
                message,
                fix,
            );
        }
    }
}

fn taints(pool: &Pool<'_>, report: &mut Report<'_>) {
    let (list, path) = match pool {
        Pool::Dynamic(pool, path) => (&pool.taints, path),
        Pool::Static(pool, path) => (&pool.taints, path),
    };
    for (number, taint) in list.iter().enumerate() {
        if taint.time_added.is_some() {
            let place = path.field("taints").index(number).field("timeAdded");
            let message = "`timeAdded` has no meaning here: Kubernetes sets it itself";
            report.warning("claudie-ignored-time", &place, message, "remove it");
        }
    }
}

/// Labels and the like on machines that are no Kubernetes nodes.
fn unused_marks(pool: &Pool<'_>, report: &mut Report<'_>) {
    let (labels, annotations, taints) = match pool {
        Pool::Dynamic(p, _) => (p.labels.len(), p.annotations.len(), p.taints.len()),
        Pool::Static(p, _) => (p.labels.len(), p.annotations.len(), p.taints.len()),
    };
    for (field, count) in [
        ("labels", labels),
        ("annotations", annotations),
        ("taints", taints),
    ] {
        if count > 0 {
            let message = format!("`{field}` have no effect: these machines are no nodes");
            let fix = format!("remove `{field}`, or use the pool in a cluster");
            let place = pool.path().field(field);
            report.warning("claudie-ignored-marks", &place, message, fix);
        }
    }
}
