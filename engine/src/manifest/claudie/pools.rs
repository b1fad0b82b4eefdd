//! Node pools: each reference to a blueprint is machines of its own.

use super::input::{Cluster, DynamicPool, LbCluster, StaticPool, Taint as Theirs};
use super::names::{as_label, as_value};
use super::rules::{Index, Pool};
use super::translate::{Origins, Target, free, secret};
use crate::diagnostic::Path;
use crate::manifest::{Autoscale, Disk, NodePool, Resources, Role, StaticHost, Taint, TaintEffect};
use crate::units::{Bytes, Cpu};
use std::collections::{BTreeMap, BTreeSet};

/// The additional disk of a worker where nothing is said, in GB.
const DISK_GB: i32 = 50;
/// Bytes in a GB.
const GB: u64 = 1_000_000_000;

/// One use of a pool.
pub(super) struct Instance<'i> {
    pub(super) pool: Pool<'i>,
    /// The pool's name in Claudie.
    pub(super) theirs: &'i str,
    pub(super) role: Role,
    /// Which load balancer, counted within the cluster.
    pub(super) balancers: Vec<usize>,
    /// Our name of it.
    pub(super) name: String,
    /// Where it is referred to.
    pub(super) at: Path,
}

impl Instance<'_> {
    /// How many nodes it has at the start.
    pub(super) fn nodes(&self) -> u32 {
        let nodes = match &self.pool {
            Pool::Dynamic(pool, _) => pool.autoscaler.map_or(pool.count.unwrap_or(0), |s| s.min),
            Pool::Static(pool, _) => i32::try_from(pool.nodes.len()).unwrap_or(i32::MAX),
        };
        u32::try_from(nodes).expect("the rules have checked the size")
    }
}

/// All uses of pools by one cluster and its load balancers. A pool that is used once keeps its
/// name; of several uses each adds what it is for.
pub(super) fn instances<'i>(
    index: &'i Index<'i>,
    cluster: &'i Cluster,
    path: &Path,
    balancers: &[(&'i LbCluster, Path)],
) -> Vec<Instance<'i>> {
    let mut uses: Vec<(&'i str, Role, Option<usize>, Path)> = Vec::new();
    let pools = path.field("pools");
    for (name, list, role) in [
        ("control", &cluster.pools.control, Role::ControlPlane),
        ("compute", &cluster.pools.compute, Role::Worker),
    ] {
        let places = list.iter().enumerate();
        uses.extend(places.map(|(n, pool)| (&**pool, role, None, pools.field(name).index(n))));
    }
    for (number, (balancer, path)) in balancers.iter().enumerate() {
        let pools = path.field("pools");
        let places = balancer.pools.iter().enumerate();
        let place = |(n, pool): (usize, &'i String)| {
            (&**pool, Role::LoadBalancer, Some(number), pools.index(n))
        };
        uses.extend(places.map(place));
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, ..) in &uses {
        *counts.entry(name).or_default() += 1;
    }
    let mut taken = BTreeSet::new();
    let mut out: Vec<Instance<'i>> = Vec::new();
    for (theirs, role, balancer, at) in uses {
        let pool = index
            .pools
            .get(theirs)
            .expect("the rules have checked the reference")
            .clone();
        // Machines that exist are the same ones, whichever load balancer they serve.
        let fixed = matches!(pool, Pool::Static(..));
        if let Some(known) = out.iter_mut().find(|known| fixed && known.theirs == theirs) {
            known.balancers.extend(balancer);
            continue;
        }
        let base = as_label(theirs);
        let name = match role {
            _ if counts[theirs] == 1 || fixed => base,
            Role::ControlPlane => format!("{base}-cp"),
            Role::Worker => format!("{base}-wk"),
            Role::LoadBalancer => format!("{base}-lb"),
        };
        out.push(Instance {
            pool,
            theirs,
            role,
            balancers: balancer.into_iter().collect(),
            name: free(&name, &mut taken),
            at,
        });
    }
    out
}

/// Our pool for one use of theirs.
pub(super) fn node_pool(
    target: &Target<'_>,
    instance: &Instance<'_>,
    ours: &Path,
    origins: &mut Origins<'_>,
) -> NodePool {
    let theirs = instance.pool.path();
    origins.record(ours.clone(), theirs);
    origins.record(ours.field("roles"), &instance.at);
    for field in ["name", "labels", "annotations", "taints"] {
        origins.record(ours.field(field), &theirs.field(field));
    }
    let mut pool = NodePool {
        name: instance.name.clone(),
        provider: target.provider_of(&instance.pool),
        region: None,
        zone: None,
        machine_type: None,
        image: None,
        count: None,
        autoscale: None,
        hosts: Vec::new(),
        roles: vec![instance.role],
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        taints: Vec::new(),
        spot: false,
        disks: Vec::new(),
        capacity: None,
    };
    match &instance.pool {
        Pool::Dynamic(from, at) => {
            dynamic(&mut pool, from, instance.role);
            if instance.role == Role::LoadBalancer && from.autoscaler.is_some() {
                // It would grow by demand for pods, and none runs there.
                pool.autoscale = None;
                pool.count = Some(instance.nodes());
            }
            let spec = at.field("providerSpec");
            origins.record(ours.field("provider"), &spec.field("name"));
            for (mine, place) in [
                ("region", spec.field("region")),
                ("zone", spec.field("zone")),
                ("machineType", at.field("serverType")),
                ("image", at.field("image")),
                ("count", at.field("count")),
                ("autoscale", at.field("autoscaler")),
                ("spot", at.field("spot")),
                ("disks", at.field("storageDiskSize")),
                ("capacity", at.field("machineSpec")),
            ] {
                origins.record(ours.field(mine), &place);
            }
        }
        Pool::Static(from, at) => {
            pool.hosts = hosts(from);
            for number in 0..from.nodes.len() {
                let place = at.field("nodes").index(number);
                origins.record(ours.field("hosts").index(number), &place.field("endpoint"));
            }
        }
    }
    if instance.role != Role::LoadBalancer {
        mark(&mut pool, instance, target);
    }
    pool
}

fn dynamic(pool: &mut NodePool, from: &DynamicPool, role: Role) {
    let size = |number: i32| u32::try_from(number).expect("the rules have checked the size");
    pool.region = Some(from.provider_spec.region.clone());
    pool.zone = from
        .provider_spec
        .zone
        .clone()
        .filter(|zone| !zone.is_empty());
    pool.machine_type = Some(from.server_type.clone());
    pool.image = Some(from.image.clone());
    pool.count = from.count.filter(|count| *count != 0).map(size);
    pool.autoscale = from.autoscaler.map(|scale| Autoscale {
        min: size(scale.min),
        max: size(scale.max),
    });
    pool.spot = from.spot;
    let gigabytes = |number: i32| Bytes(u64::from(size(number)) * GB);
    let disk = from.storage_disk_size.unwrap_or(DISK_GB);
    if role == Role::Worker && disk > 0 {
        pool.disks.push(Disk {
            size: gigabytes(disk),
        });
    }
    if let Some(spec) = &from.machine_spec
        && let (Some(cores), Some(memory)) = (spec.cpu_count, spec.memory)
        && cores > 0
    {
        pool.capacity = Some(Resources {
            cpu: Cpu(u64::from(size(cores)) * 1_000),
            memory: gigabytes(memory),
        });
    }
}

fn hosts(from: &StaticPool) -> Vec<StaticHost> {
    let port = from.ssh_port.unwrap_or(22);
    let host = |node: &super::input::StaticNode| StaticHost {
        address: node.endpoint.clone(),
        ssh_user: node.username.clone().unwrap_or_else(|| "root".to_owned()),
        ssh_port: u16::try_from(port).expect("the rules have checked the port"),
        behind_nat: false,
        credentials: Some(secret(&node.secret_ref)),
    };
    from.nodes.iter().map(host).collect()
}

/// Labels, annotations and taints: Claudie's own, then the user's.
fn mark(pool: &mut NodePool, instance: &Instance<'_>, target: &Target<'_>) {
    let control = instance.role == Role::ControlPlane;
    let kind = if control { "control" } else { "compute" };
    let (labels, annotations, taints) = match &instance.pool {
        Pool::Dynamic(from, _) => (&from.labels, &from.annotations, &from.taints),
        Pool::Static(from, _) => (&from.labels, &from.annotations, &from.taints),
    };
    let mut set = |key: &str, value: &str| {
        pool.labels.insert(key.to_owned(), as_value(value));
    };
    set("claudie.io/nodepool", instance.theirs);
    set("claudie.io/node-type", kind);
    set("kubernetes.io/os", "linux");
    set("kubernetes.io/arch", "amd64");
    set("v1.kubeone.io/operating-system", "ubuntu");
    match &instance.pool {
        Pool::Dynamic(from, _) => {
            let providers = &target.index.input.spec.providers;
            let provider = providers.iter().find(|p| p.name == from.provider_spec.name);
            let provider = provider.expect("the rules have checked the provider");
            set("claudie.io/provider", provider.provider_type.word());
            set("claudie.io/provider-instance", &provider.name);
            set("topology.kubernetes.io/region", &from.provider_spec.region);
            if let Some(zone) = &from.provider_spec.zone {
                set("topology.kubernetes.io/zone", zone);
            }
            if from.spot {
                set("claudie.io/spot", "true");
            }
        }
        Pool::Static(..) => {
            set("claudie.io/provider", "static");
            set("claudie.io/provider-instance", "static");
        }
    }
    pool.labels.extend(
        labels
            .iter()
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    pool.annotations.extend(
        annotations
            .iter()
            .map(|(key, text)| (key.clone(), text.clone())),
    );
    let own = |key: &str, value: &str| Taint {
        key: key.to_owned(),
        value: value.to_owned(),
        effect: TaintEffect::NoSchedule,
    };
    if control {
        pool.taints
            .push(own("node-role.kubernetes.io/control-plane", ""));
    }
    if pool.spot {
        pool.taints.push(own("claudie.io/spot", "true"));
    }
    let theirs = |taint: &Theirs| Taint {
        key: taint.key.clone(),
        value: taint.value.clone(),
        effect: taint.effect,
    };
    for taint in taints.iter().map(theirs) {
        if !pool.taints.contains(&taint) {
            pool.taints.push(taint);
        }
    }
}
