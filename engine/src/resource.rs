//! Resources: what a cluster consists of, each with a stable id and the spec it should have.
//!
//! Knows nothing of how a resource is made or who makes it.

use crate::manifest::{BackendCheck, DnsCheck, Domain, Role, StorageEngine, Taint};
use crate::random::{hash_name, mix};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// A stable path: `shop/htz-cp/1` is a machine, `shop/htz-cp/1/etcd` the member on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceId(Arc<str>);

impl ResourceId {
    /// From a path.
    #[must_use]
    pub fn new(path: impl AsRef<str>) -> Self {
        Self(Arc::from(path.as_ref()))
    }

    /// The resource `name` below this one.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        let mut path = String::with_capacity(self.0.len() + 1 + name.len());
        path.push_str(&self.0);
        path.push('/');
        path.push_str(name);
        Self(path.into())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A number that is stable between runs and machines.
    #[must_use]
    pub fn number(&self) -> u64 {
        hash_name(&self.0)
    }

    /// Whether it is what providers list: three parts, as `shop/htz-cp/1`, `shop/dns.cf/example.com`.
    /// What is on a machine has a fourth one, and what the cluster has as a whole only two.
    #[must_use]
    pub fn at_provider(&self) -> bool {
        self.0.matches('/').count() == 2
    }

    /// The machine a resource sits on: `shop/htz-cp/1` for `shop/htz-cp/1/etcd` and for itself.
    #[must_use]
    pub fn machine(&self) -> Self {
        let end = self
            .0
            .match_indices('/')
            .nth(2)
            .map_or(self.0.len(), |(at, _)| at);
        Self(Arc::from(&self.0[..end]))
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The kinds of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A provider's private network in one region.
    Network,
    /// Its packet filter.
    Firewall,
    /// A virtual machine, or a host that exists already.
    Machine,
    /// A prepared operating system: container runtime, packages, kernel settings.
    Host,
    /// A machine's own end of the mesh: WireGuard interface, key, address.
    Peer,
    /// Its tunnels to the other peers.
    Links,
    /// A member of etcd.
    EtcdMember,
    /// API server, controller manager and scheduler.
    ControlPlane,
    /// A kubelet that runs workloads.
    Worker,
    /// A load balancer's process on one node.
    Balancer,
    /// The way of a node to the API servers: a balancer of its own over all of them.
    ApiProxy,
    /// The addresses under one DNS name.
    RecordSet,
    /// The replicated storage.
    StoragePool,
}

impl Kind {
    /// Whether it is made and removed by a provider's API.
    #[must_use]
    pub fn at_provider(self) -> bool {
        matches!(
            self,
            Self::Network | Self::Firewall | Self::Machine | Self::RecordSet
        )
    }

    /// What a machine's path is followed by in the id of this kind of thing on it; none for what is
    /// not on a machine.
    #[must_use]
    pub fn on_machine(self) -> Option<&'static str> {
        match self {
            Self::Host => Some("host"),
            Self::Peer => Some("peer"),
            Self::Links => Some("links"),
            Self::EtcdMember => Some("etcd"),
            Self::ControlPlane => Some("control-plane"),
            Self::Worker => Some("worker"),
            Self::Balancer => Some("balancer"),
            Self::ApiProxy => Some("api-proxy"),
            Self::Network
            | Self::Firewall
            | Self::Machine
            | Self::RecordSet
            | Self::StoragePool => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Network => "network",
            Self::Firewall => "firewall",
            Self::Machine => "machine",
            Self::Host => "host",
            Self::Peer => "mesh peer",
            Self::Links => "mesh links",
            Self::EtcdMember => "etcd member",
            Self::ControlPlane => "control plane",
            Self::Worker => "worker",
            Self::Balancer => "load balancer",
            Self::ApiProxy => "API proxy",
            Self::RecordSet => "record set",
            Self::StoragePool => "storage pool",
        })
    }
}

/// A resource as it should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// Its stable path.
    pub id: ResourceId,
    /// The provider instance it belongs to; empty for what belongs to the cluster as a whole.
    pub provider: String,
    /// What it should be.
    pub spec: Spec,
}

/// What a resource should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Spec {
    /// See [`Kind::Network`].
    Network {
        /// The provider's region.
        region: String,
        /// Its addresses.
        cidr: Ipv4Net,
    },
    /// See [`Kind::Firewall`].
    Firewall {
        /// The provider's region.
        region: String,
        /// UDP port of the mesh, open to the other nodes.
        mesh_port: u16,
        /// TCP ports open to everybody.
        public_ports: Vec<u16>,
    },
    /// See [`Kind::Machine`].
    Machine {
        /// The provider's region.
        region: String,
        /// The provider's zone.
        zone: String,
        /// The provider's machine type; empty for hosts that exist already.
        machine_type: String,
        /// The provider's image; empty for hosts that exist already.
        image: String,
        /// May be taken back by the provider at any time.
        spot: bool,
        /// What it is for.
        roles: Vec<Role>,
        /// Where a host that exists already is reached; such a machine is never made nor deleted.
        existing: Option<String>,
    },
    /// See [`Kind::Host`].
    Host {
        /// Kubernetes version of its packages; empty for a node without Kubernetes.
        kubernetes: String,
        /// The pods' own network on it, where that is ours to make.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pods: Option<PodBridge>,
    },
    /// See [`Kind::Peer`].
    Peer {
        /// Mesh address, kept for the node's life.
        address: Ipv4Addr,
        /// UDP port.
        port: u16,
        /// Bytes.
        mtu: u16,
        /// Peers of the same underlay reach each other at their private addresses.
        underlay: String,
        /// Nobody can dial in from outside the underlay.
        dial_out: bool,
        /// Pods behind it, which the others reach through it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pods: Option<Ipv4Net>,
    },
    /// See [`Kind::Links`]. Whom they lead to stands in the call: keys are made on the machines.
    Links {
        /// Between keepalives to peers behind NAT, in seconds; 0 turns them off.
        keepalive_s: u16,
    },
    /// See [`Kind::EtcdMember`].
    EtcdMember {
        /// Where the others find it: the node's mesh address.
        address: Ipv4Addr,
        /// Milliseconds.
        heartbeat_ms: u32,
        /// Milliseconds.
        election_ms: u32,
    },
    /// See [`Kind::ControlPlane`].
    ControlPlane {
        /// Kubernetes version.
        version: String,
        /// Where its API server is found: the node's mesh address.
        address: Ipv4Addr,
        /// Further names and addresses its certificate is valid for, in order.
        names: Vec<String>,
        /// What pods find there.
        place: Workplace,
    },
    /// See [`Kind::Worker`].
    Worker {
        /// Kubernetes version.
        version: String,
        /// The node's mesh address.
        address: Ipv4Addr,
        /// What pods find there.
        place: Workplace,
    },
    /// See [`Kind::Balancer`].
    Balancer {
        /// What it forwards.
        forwards: Vec<Forward>,
    },
    /// See [`Kind::ApiProxy`].
    ApiProxy {
        /// The API's name, which leads to the API servers themselves on this node.
        name: String,
        /// Where it listens, on the loopback address.
        port: u16,
        /// The API servers.
        servers: Vec<Backend>,
    },
    /// See [`Kind::RecordSet`].
    RecordSet {
        /// The zone.
        zone: String,
        /// The full name.
        name: String,
        /// Seconds.
        ttl_s: u32,
        /// Machines whose public addresses are the answer.
        machines: Vec<ResourceId>,
        /// Takes dead addresses out of the answer.
        check: Option<DnsCheck>,
    },
    /// See [`Kind::StoragePool`].
    StoragePool {
        /// Which system.
        engine: StorageEngine,
        /// Copies of each volume.
        replicas: u32,
        /// What keeps copies apart.
        spread: Domain,
        /// The file with its release; none: the project's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        manifest: Option<String>,
    },
}

/// One forwarded port of a load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// The load balancer and its role in the manifest, as `web/https`.
    pub role: String,
    /// In front of API servers; else of workers.
    pub api: bool,
    /// Where clients connect.
    pub port: u16,
    /// Where backends listen.
    pub target_port: u16,
    /// Machines behind it.
    pub backends: Vec<Backend>,
    /// How backends are watched.
    pub check: BackendCheck,
    /// Backends are told the client's address by the PROXY protocol.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// One client, one backend.
    #[serde(default)]
    pub sticky: bool,
}

/// A machine that traffic is sent to, through the mesh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// Which.
    pub machine: ResourceId,
    /// Its mesh address.
    pub address: Ipv4Addr,
}

/// What pods find on a node, as the scheduler sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workplace {
    /// Labels, in order of key.
    pub labels: Vec<(String, String)>,
    /// Taints, as written.
    pub taints: Vec<Taint>,
}

/// The pods' network on one node: a bridge whose addresses the mesh leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodBridge {
    /// Addresses of the pods here.
    pub subnet: Ipv4Net,
    /// Addresses of pods anywhere.
    pub all: Ipv4Net,
    /// Bytes.
    pub mtu: u16,
}

impl Spec {
    /// Which kind of resource it describes.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Network { .. } => Kind::Network,
            Self::Firewall { .. } => Kind::Firewall,
            Self::Machine { .. } => Kind::Machine,
            Self::Host { .. } => Kind::Host,
            Self::Peer { .. } => Kind::Peer,
            Self::Links { .. } => Kind::Links,
            Self::EtcdMember { .. } => Kind::EtcdMember,
            Self::ControlPlane { .. } => Kind::ControlPlane,
            Self::Worker { .. } => Kind::Worker,
            Self::Balancer { .. } => Kind::Balancer,
            Self::ApiProxy { .. } => Kind::ApiProxy,
            Self::RecordSet { .. } => Kind::RecordSet,
            Self::StoragePool { .. } => Kind::StoragePool,
        }
    }

    /// Machines whose public addresses must be known to make it.
    #[must_use]
    pub fn refers_to(&self) -> &[ResourceId] {
        match self {
            Self::RecordSet { machines, .. } => machines,
            Self::Network { .. }
            | Self::Firewall { .. }
            | Self::Machine { .. }
            | Self::Host { .. }
            | Self::Peer { .. }
            | Self::Links { .. }
            | Self::EtcdMember { .. }
            | Self::ControlPlane { .. }
            | Self::Worker { .. }
            | Self::Balancer { .. }
            | Self::ApiProxy { .. }
            | Self::StoragePool { .. } => &[],
        }
    }

    /// [`Self::fingerprint`] together with the addresses of the machines it refers to: a record
    /// set is stale when a machine was replaced, although its spec is as it was.
    #[must_use]
    pub fn fingerprint_at(&self, addresses: &[(ResourceId, Ipv4Addr)]) -> u64 {
        let known = |id: &ResourceId| addresses.iter().find(|(known, _)| known == id);
        let refers = self.refers_to().iter().filter_map(known);
        refers.fold(self.fingerprint(), |hash, (_, address)| {
            mix(hash ^ u64::from(address.to_bits()))
        })
    }

    /// A fingerprint that is equal exactly where the spec is; it travels as a label.
    ///
    /// # Panics
    /// Never: a spec has no map with keys other than text.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        hash_name(&serde_json::to_string(self).expect("a spec is plain data"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resource_knows_its_machine() {
        let machine = ResourceId::new("shop/htz-cp/1");
        assert_eq!(machine.child("etcd").machine(), machine);
        assert_eq!(machine.machine(), machine);
    }
}
