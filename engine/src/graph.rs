//! The desired resources and what each needs before it: the one place where dependencies stand.
//!
//! An edge means "must exist before". Nodes go in by key order, so nothing depends on hashing.
//! Knows nothing of what exists; that is the planner's.

use crate::catalog;
use crate::manifest::{
    CniName, Kubernetes, LbKind, Manifest, Mtu, NodePool, Role, Taint, TaintEffect,
};
use crate::resource::{Backend, Forward, PodBridge, Resource, ResourceId, Spec, Workplace};
use crate::timing::Timing;
use crate::topology::{Node, Topology};
use ipnet::Ipv4Net;
use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// WireGuard's overhead over IPv6, in bytes: 40 IPv6 + 8 UDP + 32 WireGuard.
const MESH_OVERHEAD: u16 = 80;

/// Port of the API server on control planes.
const API_PORT: u16 = 6443;

/// Where nodes find the API servers on their own loopback address.
pub const API_PROXY_PORT: u16 = 7443;

/// The desired resources of a cluster.
#[derive(Debug, Clone)]
pub struct Desired {
    /// Where it comes from.
    pub topology: Arc<Topology>,
    graph: DiGraph<Arc<Resource>, ()>,
    by_id: BTreeMap<ResourceId, NodeIndex>,
}

impl Desired {
    /// Builds the graph of a topology.
    ///
    /// # Panics
    /// If it has a cycle: edges go up the ranks of resource kinds only.
    #[must_use]
    pub fn of(topology: Arc<Topology>) -> Self {
        let mut build = Build {
            topology: &topology,
            timing: Timing::of(&topology.manifest),
            resources: BTreeMap::new(),
        };
        build.shared();
        for node in &topology.nodes {
            build.node(node);
        }
        build.records();
        build.storage();
        let resources = build.resources;
        let mut graph = DiGraph::with_capacity(resources.len(), resources.len() * 2);
        let by_id: BTreeMap<_, _> = resources
            .iter()
            .map(|(id, (resource, _))| (id.clone(), graph.add_node(Arc::clone(resource))))
            .collect();
        for (id, (_, needs)) in &resources {
            for need in needs {
                graph.add_edge(by_id[need], by_id[id], ());
            }
        }
        assert!(
            !petgraph::algo::is_cyclic_directed(&graph),
            "the resource graph has a cycle"
        );
        Self {
            topology,
            graph,
            by_id,
        }
    }

    /// All resources, in order of id.
    pub fn resources(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.graph.node_weights()
    }

    /// One resource.
    #[must_use]
    pub fn get(&self, id: &ResourceId) -> Option<&Arc<Resource>> {
        self.by_id.get(id).map(|index| &self.graph[*index])
    }

    /// What must exist before it, in order of id.
    #[must_use]
    pub fn needs(&self, id: &ResourceId) -> Vec<&ResourceId> {
        let Some(index) = self.by_id.get(id) else {
            return Vec::new();
        };
        let neighbours = self.graph.neighbors_directed(*index, Direction::Incoming);
        let mut needs: Vec<_> = neighbours.map(|need| &self.graph[need].id).collect();
        needs.sort_unstable();
        needs
    }
}

/// Resources so far, each with what must exist before it.
struct Build<'a> {
    topology: &'a Topology,
    timing: Timing,
    resources: BTreeMap<ResourceId, (Arc<Resource>, BTreeSet<ResourceId>)>,
}

impl Build<'_> {
    fn add(&mut self, id: &ResourceId, provider: &str, spec: Spec, needs: &[&ResourceId]) {
        let resource = Resource {
            id: id.clone(),
            provider: provider.to_owned(),
            spec,
        };
        let needs = needs.iter().map(|need| (*need).clone()).collect();
        let before = self
            .resources
            .insert(id.clone(), (Arc::new(resource), needs));
        assert!(before.is_none(), "two resources are called {id}");
    }

    /// Networks and firewalls, one per provider and region with machines of ours.
    fn shared(&mut self) {
        let made = self
            .topology
            .nodes
            .iter()
            .filter(|node| node.existing.is_none());
        let places: BTreeSet<_> = made
            .map(|node| (node.provider.clone(), node.region.clone()))
            .collect();
        let public_ports = self.public_ports();
        let mut subnets = BTreeMap::new();
        for (provider, region) in places {
            let index: &mut u32 = subnets.entry(provider.clone()).or_default();
            let (network, firewall) = shared_ids(self.topology, &provider, &region);
            let cidr = subnet(self.topology, &provider, *index);
            *index += 1;
            self.add(
                &network,
                &provider,
                Spec::Network {
                    region: region.clone(),
                    cidr,
                },
                &[],
            );
            let mesh_port = self.topology.manifest.spec.mesh.port;
            let public_ports = public_ports.clone();
            let spec = Spec::Firewall {
                region,
                mesh_port,
                public_ports,
            };
            self.add(&firewall, &provider, spec, &[]);
        }
    }

    fn public_ports(&self) -> Vec<u16> {
        let balancers = &self.topology.manifest.spec.load_balancers;
        let roles = balancers.iter().flat_map(|balancer| &balancer.roles);
        let ports: BTreeSet<u16> = roles.map(|role| role.port).collect();
        ports.into_iter().collect()
    }

    fn node(&mut self, node: &Node) {
        let (network, firewall) = shared_ids(self.topology, &node.provider, &node.region);
        let needs: &[&ResourceId] = if node.existing.is_some() {
            &[]
        } else {
            &[&network, &firewall]
        };
        self.add(
            &node.id,
            &node.provider,
            machine(self.topology, node),
            needs,
        );
        let settings = self.topology.manifest.spec.kubernetes.as_ref();
        let kubernetes = settings.map(|k| k.version.clone()).unwrap_or_default();
        let runs = node.is(Role::ControlPlane) || node.is(Role::Worker);
        let host = node.id.child("host");
        let spec = Spec::Host {
            kubernetes: if runs {
                kubernetes.clone()
            } else {
                String::new()
            },
            pods: self.pods(node),
        };
        self.add(&host, &node.provider, spec, &[&node.id]);
        let peer = node.id.child("peer");
        let mesh = &self.topology.manifest.spec.mesh;
        let spec = Spec::Peer {
            address: node.mesh_address,
            port: mesh.port,
            mtu: mesh_mtu(&self.topology.manifest),
            underlay: node.underlay(),
            dial_out: node.behind_nat,
            pods: self.pods(node).map(|bridge| bridge.subnet),
        };
        self.add(&peer, &node.provider, spec, &[&host]);
        let links = node.id.child("links");
        let spec = Spec::Links {
            keepalive_s: mesh.keepalive.0.as_secs() as u16,
        };
        self.add(&links, &node.provider, spec, &[&peer]);
        if let Some(settings) = settings.filter(|_| runs) {
            self.kubernetes(node, settings, &links);
        }
        if node.is(Role::LoadBalancer) {
            let spec = Spec::Balancer {
                forwards: forwards(self.topology, node),
            };
            self.add(&node.id.child("balancer"), &node.provider, spec, &[&links]);
        }
    }

    /// What makes a machine a node of Kubernetes.
    fn kubernetes(&mut self, node: &Node, settings: &Kubernetes, links: &ResourceId) {
        let (provider, version) = (&node.provider, settings.version.clone());
        let proxy = node.id.child("api-proxy");
        let spec = Spec::ApiProxy {
            name: api_name(&self.topology.manifest),
            port: API_PROXY_PORT,
            servers: backends(self.topology.with(Role::ControlPlane)),
        };
        self.add(&proxy, provider, spec, &[links]);
        let place = workplace(self.topology, node);
        let plane = node.id.child("control-plane");
        if node.is(Role::ControlPlane) {
            let member = node.id.child("etcd");
            let spec = member_spec(&self.timing, node.mesh_address);
            self.add(&member, provider, spec, &[links, &proxy]);
            let spec = Spec::ControlPlane {
                version: version.clone(),
                address: node.mesh_address,
                names: certificate_names(&self.topology.manifest, settings),
                place: place.clone(),
            };
            self.add(&plane, provider, spec, &[&member]);
        }
        if node.is(Role::Worker) {
            let spec = Spec::Worker {
                version,
                address: node.mesh_address,
                place,
            };
            let need = if node.is(Role::ControlPlane) {
                &plane
            } else {
                &proxy
            };
            self.add(&node.id.child("worker"), provider, spec, &[links, need]);
        }
    }

    /// The pods' network on a node, where it is ours to make: the mesh address's number in the mesh
    /// is the number of the /24 in the cluster's pod addresses, so it is kept for life, too.
    fn pods(&self, node: &Node) -> Option<PodBridge> {
        let settings = self.topology.manifest.spec.kubernetes.as_ref()?;
        let runs = node.is(Role::ControlPlane) || node.is(Role::Worker);
        if settings.cni.name != CniName::Bridge || !runs {
            return None;
        }
        let mesh = &self.topology.manifest.spec.mesh;
        let number = u32::from(node.mesh_address) - u32::from(mesh.cidr.network());
        let first = u32::from(settings.pod_cidr.network()).saturating_add(number << 8);
        let mtu = match settings.cni.mtu {
            Mtu::Auto => mesh_mtu(&self.topology.manifest),
            Mtu::Fixed(bytes) => bytes,
        };
        Some(PodBridge {
            subnet: Ipv4Net::new_assert(Ipv4Addr::from(first), 24),
            all: settings.pod_cidr,
            mtu,
        })
    }

    fn records(&mut self) {
        let spec = &self.topology.manifest.spec;
        for dns in &spec.dns {
            let balancer = spec
                .load_balancers
                .iter()
                .find(|lb| lb.name == dns.load_balancer);
            let Some(balancer) = balancer else { continue };
            let machines: Vec<_> = self
                .topology
                .carriers(balancer)
                .map(|node| node.id.clone())
                .collect();
            for hostname in std::iter::once(&dns.hostname).chain(&dns.alternative_names) {
                let name = format!("{hostname}.{}", dns.zone);
                let id = self.topology.id(&format!("dns.{}/{name}", dns.provider));
                let record = Spec::RecordSet {
                    zone: dns.zone.clone(),
                    name,
                    ttl_s: dns.ttl.0.as_secs() as u32,
                    machines: machines.clone(),
                    check: dns.health_check,
                };
                self.add(&id, &dns.provider, record, &[]);
            }
        }
    }

    fn storage(&mut self) {
        if let Some(storage) = &self.topology.manifest.spec.storage {
            let spec = Spec::StoragePool {
                engine: storage.engine,
                replicas: storage.replicas,
                spread: storage.spread,
                manifest: storage.manifest.clone(),
            };
            self.add(&self.topology.id("storage"), "", spec, &[]);
        }
    }
}

fn shared_ids(topology: &Topology, provider: &str, region: &str) -> (ResourceId, ResourceId) {
    let id = |what: &str| topology.id(&format!("{what}.{provider}/{region}"));
    (id("network"), id("firewall"))
}

/// The `index`th /24 of the provider's CIDR; by default of 10.0.0.0/16.
fn subnet(topology: &Topology, provider: &str, index: u32) -> Ipv4Net {
    let providers = &topology.manifest.spec.providers;
    let given = providers
        .iter()
        .find(|p| p.name == provider)
        .and_then(|p| p.network_cidr);
    let whole = given.unwrap_or(Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 16));
    let first = u32::from(whole.network()).saturating_add(index << 8);
    Ipv4Net::new_assert(Ipv4Addr::from(first), whole.prefix_len().max(24))
}

fn machine(topology: &Topology, node: &Node) -> Spec {
    let pool = &topology.manifest.spec.node_pools[node.pool];
    Spec::Machine {
        region: node.region.clone(),
        zone: node.zone.clone(),
        machine_type: pool.machine_type.clone().unwrap_or_default(),
        image: pool.image.clone().unwrap_or_default(),
        spot: pool.spot,
        roles: node.roles.clone(),
        existing: node.existing.clone(),
    }
}

/// The MTU of the mesh, in bytes: what every path between its nodes carries unharmed.
fn mesh_mtu(manifest: &Manifest) -> u16 {
    let providers = manifest.spec.providers.iter();
    let used = |name: &str| {
        manifest
            .spec
            .node_pools
            .iter()
            .any(|pool| pool.provider == name)
    };
    let kinds = providers.filter(|p| used(&p.name)).map(|p| p.kind);
    match manifest.spec.mesh.mtu {
        Mtu::Auto => catalog::path_mtu(kinds) - MESH_OVERHEAD,
        Mtu::Fixed(bytes) => bytes,
    }
}

fn member_spec(timing: &Timing, address: Ipv4Addr) -> Spec {
    Spec::EtcdMember {
        address,
        heartbeat_ms: timing.heartbeat.as_ms() as u32,
        election_ms: timing.election.as_ms() as u32,
    }
}

/// Machines as backends, in order of id.
fn backends<'a>(nodes: impl Iterator<Item = &'a Node>) -> Vec<Backend> {
    let backend = |node: &Node| Backend {
        machine: node.id.clone(),
        address: node.mesh_address,
    };
    nodes.map(backend).collect()
}

/// The name under which the API is known to everybody: that of the first DNS record that leads to
/// a load balancer in front of it. Without one, a name that only the nodes know.
#[must_use]
pub fn api_name(manifest: &Manifest) -> String {
    let spec = &manifest.spec;
    let fronts_api = |name: &str| {
        let mut balancers = spec.load_balancers.iter().filter(|lb| lb.name == name);
        balancers.any(|lb| lb.roles.iter().any(|role| role.kind == LbKind::Api))
    };
    let dns = spec.dns.iter().find(|dns| fronts_api(&dns.load_balancer));
    dns.map_or_else(
        || format!("api.{}.internal", manifest.metadata.name),
        |dns| format!("{}.{}", dns.hostname, dns.zone),
    )
}

/// Names and addresses that API servers' certificates are valid for, beside those that kubeadm
/// puts there itself: all names of the API, the loopback address, and what the manifest asks for.
#[must_use]
pub fn certificate_names(manifest: &Manifest, settings: &Kubernetes) -> Vec<String> {
    let mut names = BTreeSet::from([api_name(manifest), "127.0.0.1".to_owned()]);
    names.extend(settings.cert_sans.iter().cloned());
    for dns in &manifest.spec.dns {
        let hosts = std::iter::once(&dns.hostname).chain(&dns.alternative_names);
        names.extend(hosts.map(|host| format!("{host}.{}", dns.zone)));
    }
    names.into_iter().collect()
}

/// kubeadm's own taint of control planes.
const CONTROL_PLANE_TAINT: &str = "node-role.kubernetes.io/control-plane";

fn workplace(topology: &Topology, node: &Node) -> Workplace {
    let place = [
        ("topology.kubernetes.io/region", &node.region),
        ("topology.kubernetes.io/zone", &node.zone),
    ];
    let place = place.map(|(key, value)| (key.to_owned(), value.clone()));
    pool_workplace(&topology.manifest.spec.node_pools[node.pool], place)
}

/// What pods find on the nodes of a pool, with further labels of a single node. A control plane
/// that is no worker has kubeadm's own taint.
pub fn pool_workplace(
    pool: &NodePool,
    further: impl IntoIterator<Item = (String, String)>,
) -> Workplace {
    let mut labels = pool.labels.clone();
    labels.extend(further);
    labels.insert("quorate.dev/provider".to_owned(), pool.provider.clone());
    labels.insert("quorate.dev/pool".to_owned(), pool.name.clone());
    let mut taints = pool.taints.clone();
    let works = pool.roles.contains(&Role::Worker);
    if !works && !taints.iter().any(|taint| taint.key == CONTROL_PLANE_TAINT) {
        taints.push(Taint {
            key: CONTROL_PLANE_TAINT.to_owned(),
            value: String::new(),
            effect: TaintEffect::NoSchedule,
        });
    }
    Workplace {
        labels: labels.into_iter().collect(),
        taints,
    }
}

fn forwards(topology: &Topology, node: &Node) -> Vec<Forward> {
    let balancers = &topology.manifest.spec.load_balancers;
    let here = balancers
        .iter()
        .filter(|lb| lb.pools.iter().any(|p| p == topology.pool_name(node)));
    let mut forwards = Vec::new();
    for balancer in here {
        for role in &balancer.roles {
            let api = role.kind == LbKind::Api;
            let wanted = if api {
                Role::ControlPlane
            } else {
                Role::Worker
            };
            let targeted = |node: &&Node| {
                let pool = topology.pool_name(node);
                role.target_pools.is_empty() || role.target_pools.iter().any(|p| p == pool)
            };
            let backends = backends(topology.with(wanted).filter(targeted));
            forwards.push(Forward {
                role: format!("{}/{}", balancer.name, role.name),
                api,
                port: role.port,
                target_port: role
                    .target_port
                    .unwrap_or(if api { API_PORT } else { role.port }),
                backends,
                check: balancer.health_check,
                proxy_protocol: role.proxy_protocol,
                sticky: role.sticky_sessions,
            });
        }
    }
    forwards
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Roster;
    use crate::topology::tests::manifest;

    fn desired(pools: &[(&str, &str, u32, &[&str])]) -> Desired {
        let topology = Topology::resolve(&manifest(pools), &Roster::default()).unwrap();
        Desired::of(Arc::new(topology))
    }

    #[test]
    fn a_control_plane_stands_on_its_machine() {
        let desired = desired(&[("cp", "a", 1, &["control-plane"])]);
        let ids: Vec<_> = desired
            .resources()
            .map(|resource| resource.id.to_string())
            .collect();
        assert_eq!(
            ids,
            [
                "shop/cp/1",
                "shop/cp/1/api-proxy",
                "shop/cp/1/control-plane",
                "shop/cp/1/etcd",
                "shop/cp/1/host",
                "shop/cp/1/links",
                "shop/cp/1/peer",
                "shop/firewall.a/fsn1",
                "shop/network.a/fsn1",
            ]
        );
        let needs = |id: &str| {
            let needs = desired.needs(&ResourceId::new(id));
            needs
                .into_iter()
                .map(ResourceId::as_str)
                .collect::<Vec<_>>()
        };
        assert_eq!(needs("shop/cp/1/control-plane"), ["shop/cp/1/etcd"]);
        assert_eq!(
            needs("shop/cp/1"),
            ["shop/firewall.a/fsn1", "shop/network.a/fsn1"]
        );
    }

    #[test]
    fn a_new_node_leaves_every_other_spec_as_it_was() {
        let small = desired(&[("cp", "a", 3, &["control-plane"])]);
        let large = desired(&[
            ("cp", "a", 3, &["control-plane"]),
            ("w", "b", 1, &["worker"]),
        ]);
        for resource in small.resources() {
            assert_eq!(
                large.get(&resource.id).unwrap().spec,
                resource.spec,
                "{}",
                resource.id
            );
        }
    }
}
