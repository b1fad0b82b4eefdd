//! From a sound `InputManifest` to our manifest of one of its clusters.
//!
//! Claudie's fixed values are written out: mesh MTU and keepalive, pod and service addresses,
//! labels and taints, storage. Relies on the rules: every reference leads somewhere.

use super::entry;
use super::input::{Cluster, LbCluster, SecretRef};
use super::names::as_label;
use super::pools::{Instance, instances, node_pool};
use super::report::Report;
use super::rules::{Index, Pool, balancers_path, clusters_path, providers_path};
use crate::diagnostic::{Path, Span};
use crate::manifest::{
    ApiVersion, Cluster as Ours, Cni, Credentials, Domain, EtcdSettings, Kind, Kubernetes,
    Manifest, Mesh, Metadata, Mtu, Provider, ProviderKind, Resilience, Role, Ssh, Storage,
    StorageEngine, Upgrade,
};
use crate::time;
use crate::units::{Cidr, Duration};
use crate::yaml::{Node, shown};
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// The MTU of Claudie's WireGuard interfaces, in bytes.
const MESH_MTU: u16 = 1_380;
/// WireGuard keepalive between machines that Claudie makes, in seconds.
const KEEPALIVE_S: u64 = 30;
/// Copies that Claudie's Longhorn keeps of each volume.
const REPLICAS: u32 = 3;
/// The provider under which all static pools stand.
const STATIC: &str = "static";

/// Where the parts of our manifest come from.
pub(super) struct Origins<'n> {
    root: &'n Node,
    pub(super) places: BTreeMap<Path, Span>,
}

impl Origins<'_> {
    /// The part `ours` of the translation comes from `theirs`.
    pub(super) fn record(&mut self, ours: Path, theirs: &Path) {
        self.places.insert(ours, self.root.locate(theirs));
    }
}

/// What is known while one cluster is translated.
pub(super) struct Target<'i> {
    pub(super) index: &'i Index<'i>,
    pub(super) cluster: &'i Cluster,
    /// Its load balancers, with their places.
    pub(super) balancers: Vec<(&'i LbCluster, Path)>,
    pub(super) instances: Vec<Instance<'i>>,
    /// Our names of the providers in use, by Claudie's.
    providers: BTreeMap<&'i str, String>,
    /// Our name of the provider of all static pools.
    fixed: String,
}

impl<'i> Target<'i> {
    fn new(index: &'i Index<'i>, number: usize) -> Self {
        let cluster = &index.input.spec.kubernetes.clusters[number];
        let balancers = balancers_of(index, cluster);
        let mut used: BTreeSet<&str> = BTreeSet::new();
        let instances = instances(index, cluster, &clusters_path().index(number), &balancers);
        for instance in &instances {
            if let Pool::Dynamic(pool, _) = &instance.pool {
                used.insert(&pool.provider_spec.name);
            }
        }
        used.extend(
            balancers
                .iter()
                .filter_map(|(b, _)| Some(&*b.dns.as_ref()?.provider)),
        );
        let mut taken = BTreeSet::new();
        let mut providers = BTreeMap::new();
        for provider in index
            .input
            .spec
            .providers
            .iter()
            .filter(|p| used.contains(&*p.name))
        {
            providers.insert(&*provider.name, free(&as_label(&provider.name), &mut taken));
        }
        let fixed = free(STATIC, &mut taken);
        Self {
            index,
            cluster,
            balancers,
            instances,
            providers,
            fixed,
        }
    }

    /// Our name of a provider.
    pub(super) fn provider(&self, theirs: &str) -> String {
        self.providers
            .get(theirs)
            .expect("every provider in use has a name")
            .clone()
    }

    /// Our name of the provider of a pool.
    pub(super) fn provider_of(&self, pool: &Pool<'_>) -> String {
        match pool {
            Pool::Dynamic(pool, _) => self.provider(&pool.provider_spec.name),
            Pool::Static(..) => self.fixed.clone(),
        }
    }
}

/// The load balancers of a cluster. One without machines or roles does nothing and is left out.
pub(super) fn balancers_of<'i>(index: &Index<'i>, cluster: &Cluster) -> Vec<(&'i LbCluster, Path)> {
    let all = index.input.spec.load_balancers.clusters.iter().enumerate();
    all.filter(|(_, balancer)| balancer.targeted_k8s == cluster.name)
        .filter(|(_, balancer)| !balancer.pools.is_empty() && !balancer.roles.is_empty())
        .map(|(n, balancer)| (balancer, balancers_path().index(n)))
        .collect()
}

/// A name that is not taken: as wanted, or with the first number that is free.
pub(super) fn free(wanted: &str, taken: &mut BTreeSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{wanted}-{number}"));
    let name = std::iter::once(wanted.to_owned())
        .chain(numbered)
        .find(|n| !taken.contains(n));
    let name = name.expect("some number is free");
    taken.insert(name.clone());
    name
}

/// Where a Secret is to be found.
pub(super) fn secret(reference: &SecretRef) -> Credentials {
    Credentials::Secret(format!("{}/{}", reference.namespace, reference.name))
}

/// Translates the cluster with this number.
pub(super) fn translate(
    index: &Index<'_>,
    number: usize,
    root: &Node,
    report: &mut Report<'_>,
) -> (Manifest, BTreeMap<Path, Span>) {
    let target = Target::new(index, number);
    let mut origins = Origins {
        root,
        places: BTreeMap::new(),
    };
    let from = clusters_path().index(number);
    let spec = Path::root().field("spec");
    let kubernetes = spec.field("kubernetes");
    origins.record(Path::root(), &from);
    origins.record(
        Path::root().field("metadata").field("name"),
        &from.field("name"),
    );
    origins.record(kubernetes.field("version"), &from.field("version"));
    origins.record(spec.field("mesh"), &from.field("network"));
    origins.record(spec.field("nodePools"), &from.field("pools"));

    let pools = target.instances.iter().enumerate().map(|(n, instance)| {
        node_pool(
            &target,
            instance,
            &spec.field("nodePools").index(n),
            &mut origins,
        )
    });
    let node_pools = pools.collect();
    let cluster = Ours {
        kubernetes: Some(settings(target.cluster)),
        ssh: Ssh::default(),
        providers: providers(&target, &spec.field("providers"), &mut origins, report),
        node_pools,
        mesh: mesh(target.cluster),
        load_balancers: entry::load_balancers(&target, &mut origins, report),
        dns: entry::dns(&target, &mut origins, report),
        storage: storage(&target, &from, report),

        workloads: Vec::new(),
        resilience: Resilience::default(),
        distances: Vec::new(),
    };
    let manifest = Manifest {
        api_version: ApiVersion::V1,
        kind: Kind::Cluster,
        metadata: Metadata {
            name: as_label(&target.cluster.name),
        },
        spec: cluster,
    };
    (manifest, origins.places)
}

fn settings(cluster: &Cluster) -> Kubernetes {
    let version = cluster
        .version
        .strip_prefix('v')
        .unwrap_or(&cluster.version);
    Kubernetes {
        version: version.to_owned(),
        cni: Cni::default(),
        pod_cidr: Ipv4Net::new_assert(Ipv4Addr::new(10, 244, 0, 0), 16),
        service_cidr: Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 12),
        etcd: EtcdSettings::default(),
        packages: None,
        image_repository: None,
        cert_sans: Vec::new(),
        kubelet: BTreeMap::new(),
        kube_proxy: BTreeMap::new(),
        ignore_preflight_errors: Vec::new(),
        upgrade: Upgrade::default(),
    }
}

fn mesh(cluster: &Cluster) -> Mesh {
    let Cidr(cidr) = cluster
        .network
        .parse()
        .expect("the rules have checked the network");
    Mesh {
        cidr,
        mtu: Mtu::Fixed(MESH_MTU),
        keepalive: Duration(time::Span::from_secs(KEEPALIVE_S)),
        ..Mesh::default()
    }
}

/// Claudie puts Longhorn on every cluster with workers. More copies than there are workers would
/// leave each volume degraded for ever, so no more are asked for.
fn storage(target: &Target<'_>, path: &Path, report: &mut Report<'_>) -> Option<Storage> {
    let workers = target
        .instances
        .iter()
        .filter(|instance| instance.role == Role::Worker);
    let nodes: u32 = workers.map(Instance::nodes).sum();
    if nodes < REPLICAS && !target.cluster.pools.compute.is_empty() {
        let message = format!(
            "Claudie asks Longhorn for {REPLICAS} copies of each volume, and {nodes} workers are \
             there at the start"
        );
        let then = if nodes == 0 {
            "there is no storage".to_owned()
        } else {
            format!("volumes have {nodes} copies")
        };
        let fix = format!("have {REPLICAS} workers; until then {then}");
        let place = path.field("pools").field("compute");
        report.warning("claudie-storage-copies", &place, message, fix);
    }
    (nodes > 0).then_some(Storage {
        engine: StorageEngine::Longhorn,
        replicas: nodes.min(REPLICAS),
        // Longhorn's own rule: copies on different nodes; no more than that is promised.
        spread: Domain::Node,
        manifest: None,
    })
}

fn providers(
    target: &Target<'_>,
    base: &Path,
    origins: &mut Origins<'_>,
    report: &mut Report<'_>,
) -> Vec<Provider> {
    let mut out = Vec::new();
    let plain = |name: &str, kind| Provider {
        name: name.to_owned(),
        kind,
        credentials: None,
        network_cidr: None,
        endpoint: None,
        nat: false,
        failure_groups: Vec::new(),
    };
    for (number, provider) in target.index.input.spec.providers.iter().enumerate() {
        let Some(name) = target.providers.get(provider.name.as_str()) else {
            continue;
        };
        let (ours, theirs) = (base.index(out.len()), providers_path().index(number));
        origins.record(ours.field("name"), &theirs.field("name"));
        origins.record(ours.field("type"), &theirs.field("providerType"));
        origins.record(ours.field("credentials"), &theirs.field("secretRef"));
        origins.record(ours, &theirs);
        out.push(Provider {
            credentials: Some(secret(&provider.secret_ref)),
            ..plain(name, provider.provider_type.kind())
        });
    }
    let fixed = target
        .instances
        .iter()
        .filter(|i| matches!(i.pool, Pool::Static(..)));
    let fixed: Vec<_> = fixed.collect();
    if let Some(first) = fixed.first() {
        origins.record(base.index(out.len()), first.pool.path());
        out.push(plain(&target.fixed, ProviderKind::Static));
    }
    if let [_, second, ..] = fixed[..] {
        let message = format!(
            "all static pools are taken as one location, {}: nothing says otherwise",
            shown(&target.fixed)
        );
        let fix = "write a Quorate manifest with a provider for each location, if there are more";
        report.note("claudie-static-location", second.pool.path(), message, fix);
    }
    out
}
