//! The manifest, resolved: which nodes there are to be, where, and at which mesh address.
//!
//! A pure function of the manifest, the sizes of growing pools, and what the journal fixed for
//! life. Knows nothing of what exists, except the roster it is told.

use crate::catalog;
use crate::manifest::{
    Domain, LoadBalancer, Manifest, NodePool, Provider, ProviderKind, Resources, Role,
};
use crate::resource::ResourceId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// A node that is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its machine.
    pub id: ResourceId,
    /// Index of its pool in the manifest.
    pub pool: usize,
    /// Number in the pool, from 1.
    pub number: u32,
    /// The provider instance's name.
    pub provider: String,
    /// What the provider is.
    pub provider_kind: ProviderKind,
    /// The provider's region; the provider's name for hosts without one.
    pub region: String,
    /// The provider's zone; the region where none is known.
    pub zone: String,
    /// What it does.
    pub roles: Vec<Role>,
    /// What it holds; none where neither the manifest nor the catalogue says.
    pub capacity: Option<Resources>,
    /// Kept for life.
    pub mesh_address: Ipv4Addr,
    /// Nobody can dial in.
    pub behind_nat: bool,
    /// Where a host that exists already is reached.
    pub existing: Option<String>,
}

impl Node {
    /// Whether it has the role.
    #[must_use]
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// The network in which its neighbours reach it at its private address.
    #[must_use]
    pub fn underlay(&self) -> String {
        match self.existing {
            Some(_) => self.provider.clone(),
            None => format!("{}/{}", self.provider, self.region),
        }
    }

    /// The name of the failure domain it is in, unique over the cluster.
    #[must_use]
    pub fn domain(&self, domain: Domain) -> String {
        match domain {
            Domain::Provider => self.provider.clone(),
            Domain::Region => format!("{}/{}", self.provider, self.region),
            Domain::Zone => format!("{}/{}/{}", self.provider, self.region, self.zone),
            Domain::Node => self.id.to_string(),
        }
    }
}

/// The cluster as it is to be.
#[derive(Debug, Clone)]
pub struct Topology {
    /// What the user wrote.
    pub manifest: Arc<Manifest>,
    /// In order of id.
    pub nodes: Vec<Node>,
    /// Mesh addresses that are new and must be recorded before use.
    pub allocated: Vec<(ResourceId, Ipv4Addr)>,
}

/// What decides, beside the manifest, which nodes there are to be.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    /// Machines that exist and fit: their numbers are kept.
    pub existing: BTreeSet<ResourceId>,
    /// Machines to be replaced by others: their numbers are not used.
    pub retired: BTreeSet<ResourceId>,
    /// Sizes of growing pools, by pool name; a pool that is not named has its minimum.
    pub sizes: BTreeMap<String, u32>,
    /// Nodes beyond a pool's size for now, by pool name: while its workers are upgraded.
    pub surge: BTreeMap<String, u32>,
    /// Mesh addresses given for life.
    pub addresses: BTreeMap<ResourceId, Ipv4Addr>,
}

impl Roster {
    /// How many nodes a pool of rented machines has, without extra ones.
    #[must_use]
    pub fn size_of(&self, pool: &NodePool) -> u32 {
        match pool.autoscale {
            Some(bounds) => {
                let asked = self.sizes.get(&pool.name).copied().unwrap_or(bounds.min);
                asked.clamp(bounds.min, bounds.max)
            }
            None => pool.count.unwrap_or(0),
        }
    }
}

/// No room in the mesh's CIDR for another node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the mesh {cidr} has no address left for {node}: give `spec.mesh.cidr` a shorter prefix")]
pub struct MeshFull {
    /// The mesh's addresses.
    pub cidr: String,
    /// Who needs one.
    pub node: ResourceId,
}

impl Topology {
    /// Resolves a manifest.
    ///
    /// # Errors
    /// If the mesh has fewer addresses than there are nodes.
    ///
    /// # Panics
    /// If the manifest refers to a provider it does not have: diagnostics come first.
    pub fn resolve(manifest: &Arc<Manifest>, roster: &Roster) -> Result<Self, MeshFull> {
        let mut addresses = Addresses::new(manifest, roster);
        let mut nodes = Vec::new();
        for (index, pool) in manifest.spec.node_pools.iter().enumerate() {
            for number in numbers(manifest, pool, roster) {
                nodes.push(node(manifest, index, number, &mut addresses)?);
            }
        }
        nodes.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Self {
            manifest: Arc::clone(manifest),
            nodes,
            allocated: addresses.fresh,
        })
    }

    /// The cluster's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.manifest.metadata.name
    }

    /// The id of something that belongs to the cluster.
    #[must_use]
    pub fn id(&self, path: &str) -> ResourceId {
        ResourceId::new(format!("{}/{path}", self.name()))
    }

    /// The node on this machine.
    #[must_use]
    pub fn node(&self, machine: &ResourceId) -> Option<&Node> {
        let at = self
            .nodes
            .binary_search_by(|node| node.id.cmp(machine))
            .ok()?;
        Some(&self.nodes[at])
    }

    /// Nodes with a role, in order of id.
    pub fn with(&self, role: Role) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.is(role))
    }

    /// The name of a node's pool.
    #[must_use]
    pub fn pool_name(&self, node: &Node) -> &str {
        &self.manifest.spec.node_pools[node.pool].name
    }

    /// Nodes that carry a load balancer.
    pub fn carriers<'a>(&'a self, balancer: &'a LoadBalancer) -> impl Iterator<Item = &'a Node> {
        self.nodes
            .iter()
            .filter(|node| balancer.pools.iter().any(|p| p == self.pool_name(node)))
    }
}

fn provider<'a>(manifest: &'a Manifest, name: &str) -> &'a Provider {
    let found = manifest
        .spec
        .providers
        .iter()
        .find(|provider| provider.name == name);
    found.unwrap_or_else(|| panic!("the checked manifest has no provider `{name}`"))
}

/// The numbers of a pool's nodes: those that exist and fit first, then the lowest free ones.
fn numbers(manifest: &Manifest, pool: &NodePool, roster: &Roster) -> Vec<u32> {
    if !pool.hosts.is_empty() {
        return (1..=pool.hosts.len() as u32).collect();
    }
    let id = |number: u32| machine_id(manifest, pool, number);
    let size = (roster.size_of(pool) + roster.surge.get(&pool.name).unwrap_or(&0)) as usize;
    let prefix = format!("{}/{}/", manifest.metadata.name, pool.name);
    let existing = roster
        .existing
        .iter()
        .filter_map(|id| id.as_str().strip_prefix(&prefix));
    let mut kept: Vec<u32> = existing
        .filter_map(|number| number.parse().ok())
        .filter(|number| !roster.retired.contains(&id(*number)))
        .collect();
    kept.sort_unstable();
    kept.truncate(size);
    let taken: BTreeSet<u32> = kept.iter().copied().collect();
    let free = (1..).filter(|n| !taken.contains(n) && !roster.retired.contains(&id(*n)));
    kept.extend(free.take(size - taken.len()));
    kept
}

fn machine_id(manifest: &Manifest, pool: &NodePool, number: u32) -> ResourceId {
    ResourceId::new(format!("{}/{}/{number}", manifest.metadata.name, pool.name))
}

fn node(
    manifest: &Manifest,
    index: usize,
    number: u32,
    addresses: &mut Addresses,
) -> Result<Node, MeshFull> {
    let pool = &manifest.spec.node_pools[index];
    let provider = provider(manifest, &pool.provider);
    let id = machine_id(manifest, pool, number);
    let host = pool.hosts.get(number as usize - 1);
    let region = pool.region.clone().unwrap_or_else(|| provider.name.clone());
    let zones = catalog::region(provider.kind, &region).map_or(&[][..], |r| &r.zones);
    let in_turn = || {
        zones
            .get((number as usize - 1) % zones.len().max(1))
            .map(|z| (*z).to_owned())
    };
    let zone = pool
        .zone
        .clone()
        .or_else(in_turn)
        .unwrap_or_else(|| region.clone());
    let known = || {
        pool.machine_type
            .as_ref()
            .and_then(|name| catalog::machine(provider.kind, name))
    };
    Ok(Node {
        mesh_address: addresses.of(&id)?,
        id,
        pool: index,
        number,
        provider: provider.name.clone(),
        provider_kind: provider.kind,
        region,
        zone,
        roles: pool.roles.clone(),
        capacity: pool.capacity.or_else(known),
        behind_nat: host.is_some_and(|host| host.behind_nat),
        existing: host.map(|host| host.address.clone()),
    })
}

/// Gives out mesh addresses: those fixed for life, then the lowest that nobody ever had.
struct Addresses<'a> {
    manifest: &'a Manifest,
    fixed: &'a BTreeMap<ResourceId, Ipv4Addr>,
    used: BTreeSet<Ipv4Addr>,
    free: ipnet::Ipv4AddrRange,
    fresh: Vec<(ResourceId, Ipv4Addr)>,
}

impl<'a> Addresses<'a> {
    fn new(manifest: &'a Manifest, roster: &'a Roster) -> Self {
        let fixed = &roster.addresses;
        let used = fixed.values().copied().collect();
        let free = manifest.spec.mesh.cidr.hosts();
        Self {
            manifest,
            fixed,
            used,
            free,
            fresh: Vec::new(),
        }
    }

    fn of(&mut self, id: &ResourceId) -> Result<Ipv4Addr, MeshFull> {
        if let Some(address) = self.fixed.get(id) {
            return Ok(*address);
        }
        let used = &self.used;
        let Some(address) = self.free.find(|address| !used.contains(address)) else {
            let cidr = self.manifest.spec.mesh.cidr.to_string();
            return Err(MeshFull {
                cidr,
                node: id.clone(),
            });
        };
        self.fresh.push((id.clone(), address));
        Ok(address)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// A cluster of `pools`, each `(name, provider, count, roles)`.
    pub(crate) fn manifest(pools: &[(&str, &str, u32, &[&str])]) -> Arc<Manifest> {
        let names: BTreeSet<&str> = pools.iter().map(|pool| pool.1).collect();
        let providers: Vec<_> = names
            .iter()
            .map(|name| json!({"name": name, "type": "hetzner"}))
            .collect();
        let pools: Vec<_> = pools
            .iter()
            .map(|(name, provider, count, roles)| {
                json!({"name": name, "provider": provider, "region": "fsn1", "count": count,
                       "machineType": "cx33", "image": "debian-12", "roles": roles})
            })
            .collect();
        let text = json!({
            "apiVersion": "quorate.dev/v1", "kind": "Cluster", "metadata": {"name": "shop"},
            "spec": {"kubernetes": {"version": "1.35.2"}, "providers": providers,
                     "nodePools": pools}
        });
        Arc::new(serde_json::from_value(text).expect("a valid manifest"))
    }

    fn ids(topology: &Topology) -> Vec<&str> {
        topology.nodes.iter().map(|node| node.id.as_str()).collect()
    }

    #[test]
    fn a_replaced_node_gets_a_new_number_and_keeps_it() {
        let manifest = manifest(&[("cp", "a", 2, &["control-plane"])]);
        let mut roster = Roster::default();
        roster.retired.insert(ResourceId::new("shop/cp/1"));
        roster
            .existing
            .extend(["shop/cp/1", "shop/cp/2"].map(ResourceId::new));
        let topology = Topology::resolve(&manifest, &roster).unwrap();
        assert_eq!(ids(&topology), ["shop/cp/2", "shop/cp/3"]);
        let existing = ["shop/cp/2", "shop/cp/3"].map(ResourceId::new).into();
        let later = Roster {
            existing,
            ..Roster::default()
        };
        assert_eq!(
            ids(&Topology::resolve(&manifest, &later).unwrap()),
            ids(&topology)
        );
    }

    #[test]
    fn a_mesh_address_is_kept_for_life() {
        let small = manifest(&[("b", "a", 1, &["worker"])]);
        let first = Topology::resolve(&small, &Roster::default()).unwrap();
        let addresses = first.allocated.iter().cloned().collect();
        let grown = manifest(&[("a", "a", 2, &["worker"]), ("b", "a", 1, &["worker"])]);
        let roster = Roster {
            addresses,
            ..Roster::default()
        };
        let second = Topology::resolve(&grown, &roster).unwrap();
        let address = |t: &Topology| t.node(&ResourceId::new("shop/b/1")).unwrap().mesh_address;
        assert_eq!(address(&first), address(&second));
        let all: BTreeSet<_> = second.nodes.iter().map(|node| node.mesh_address).collect();
        assert_eq!(all.len(), 3);
        assert_eq!(
            second.allocated.len(),
            2,
            "only new addresses are to be recorded"
        );
    }

    #[test]
    fn a_full_mesh_says_so() {
        let mut manifest = (*manifest(&[("a", "a", 3, &["worker"])])).clone();
        manifest.spec.mesh.cidr = "10.0.0.0/30".parse().unwrap();
        let error = Topology::resolve(&Arc::new(manifest), &Roster::default()).unwrap_err();
        assert!(error.to_string().contains("10.0.0.0/30"), "{error}");
    }
}
