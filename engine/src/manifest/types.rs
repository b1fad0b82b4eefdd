//! The types of a `Cluster` manifest: the one source of its decoding and of its JSON Schema.
//!
//! Field docs are what an editor shows. References between parts are by name.

mod distance;
mod entry;
mod etcd;
mod workload;

pub use distance::*;
pub use entry::*;
pub use etcd::*;
pub use workload::*;

use crate::units::{Bytes, Cidr, Cpu, Duration};
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// A Quorate manifest: one Kubernetes cluster across several providers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// Always `quorate.dev/v1`.
    pub api_version: ApiVersion,
    /// Always `Cluster`.
    pub kind: Kind,
    /// What the cluster is called.
    pub metadata: Metadata,
    /// What it consists of.
    pub spec: Cluster,
}

/// The version of the manifest format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The only version so far.
    #[serde(rename = "quorate.dev/v1")]
    V1,
}

/// The kind of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Kind {
    /// A cluster.
    Cluster,
}

/// What the cluster is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// A DNS label of at most 28 characters: it begins the name of every machine.
    pub name: String,
}

/// The cluster itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cluster {
    /// Kubernetes, its network plugin and its etcd. Without it: machines joined by a mesh, and
    /// nothing on them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Kubernetes>,
    /// Where machines and DNS records come from.
    pub providers: Vec<Provider>,
    /// Groups of equal nodes.
    pub node_pools: Vec<NodePool>,
    /// How machines are logged into.
    #[serde(default)]
    pub ssh: Ssh,
    /// The WireGuard network that joins all nodes.
    #[serde(default)]
    pub mesh: Mesh,
    /// Entry points in front of the API servers and of the workers.
    #[serde(default)]
    pub load_balancers: Vec<LoadBalancer>,
    /// Names under which the load balancers are found.
    #[serde(default)]
    pub dns: Vec<Dns>,
    /// Replicated storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// What will run here, for simulation and planning.
    #[serde(default)]
    pub workloads: Vec<Workload>,
    /// What the cluster must survive, and how well.
    #[serde(default)]
    pub resilience: Resilience,
    /// Measured round trips between places, which count before those of the catalogue. `--data` of
    /// the commands puts a file's rows here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub distances: Vec<Distance>,
}

/// Kubernetes, its network plugin and its etcd.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kubernetes {
    /// `1.35.2`, with or without a leading `v`.
    pub version: String,
    /// The network plugin.
    #[serde(default)]
    pub cni: Cni,
    /// Addresses of pods.
    #[serde(default = "default_pod_cidr")]
    #[schemars(with = "Cidr")]
    pub pod_cidr: Ipv4Net,
    /// Addresses of services.
    #[serde(default = "default_service_cidr")]
    #[schemars(with = "Cidr")]
    pub service_cidr: Ipv4Net,
    /// etcd: version and timing. By default the version that kubeadm brings, and etcd's own timing.
    #[serde(default)]
    pub etcd: EtcdSettings,
    /// Where nodes get kubeadm, kubelet and images; by default from the Kubernetes project's own
    /// package repository and registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packages: Option<Packages>,
    /// Another registry than `registry.k8s.io` for Kubernetes' own images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_repository: Option<String>,
    /// Further names and addresses that API servers' certificates are valid for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cert_sans: Vec<String>,
    /// Further settings of every kubelet, in the words of `KubeletConfiguration`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kubelet: BTreeMap<String, serde_json::Value>,
    /// Further settings of kube-proxy, in the words of `KubeProxyConfiguration`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kube_proxy: BTreeMap<String, serde_json::Value>,
    /// How nodes get another version.
    #[serde(default)]
    pub upgrade: Upgrade,
    /// Checks of `kubeadm`'s preflight that only warn, by its own names; `all` for all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore_preflight_errors: Vec<String>,
}

impl Kubernetes {
    /// The 35 of 1.35.2; none of what is no version of Kubernetes 1.
    #[must_use]
    pub fn minor(&self) -> Option<u32> {
        let (major, minor) = release(&self.version)?;
        (major == 1).then_some(minor)
    }
}

/// Major and minor version, of text with or without a leading `v`.
pub(crate) fn release(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// How nodes get another version. Control planes always go one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Upgrade {
    /// So many workers of a pool at a time.
    pub max_unavailable: u32,
    /// So many nodes more than usual in a pool of workers while its nodes are upgraded: pods that
    /// are led away have room. Existing hosts cannot be more than there are.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_surge: u32,
}

impl Default for Upgrade {
    fn default() -> Self {
        Self {
            max_unavailable: 1,
            max_surge: 0,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Where nodes get Kubernetes from. Exactly one of the fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Packages {
    /// The address of a tar archive (`.tar`, `.tar.gz`) with the content of such a directory.
    Archive(String),
    /// A directory on the machine that Quorate runs on: `bin/` with executables, `images/` with
    /// images as tar files, `cni/` with network plugins. Nodes then need no way to the outside.
    Directory(String),
    /// A directory with the same content on the machines themselves: their image brought it along. What
    /// containerd has already need not be in it again.
    Preinstalled(String),
}

fn default_pod_cidr() -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(10, 244, 0, 0), 16)
}

fn default_service_cidr() -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 12)
}

/// The network plugin and its MTU.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Cni {
    /// Which plugin.
    pub name: CniName,
    /// `auto` solves it from the mesh.
    pub mtu: Mtu,
    /// The file with the plugin's own manifest; by default that of a release which is known to
    /// work, from its project. Cilium has none: `helm template` writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
}

/// Network plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CniName {
    /// Cilium.
    #[default]
    Cilium,
    /// Calico.
    Calico,
    /// Flannel.
    Flannel,
    /// A bridge on each node whose pods the mesh leads to: nothing to install, no encapsulation,
    /// and no network policies.
    Bridge,
}

/// A maximum transmission unit: solved, or fixed in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mtu {
    /// From the smallest underlay and the overheads above it.
    #[default]
    Auto,
    /// Fixed, in bytes.
    #[serde(untagged)]
    Fixed(u16),
}

/// A provider instance: an account at a cloud, a libvirt host, a set of machines, a DNS service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provider {
    /// How the rest of the manifest refers to it; a DNS label of at most 15 characters.
    pub name: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: ProviderKind,
    /// Where its credentials are to be found; they are never written here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Addresses of the private networks made there; one /24 is taken per region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Cidr>")]
    pub network_cidr: Option<Ipv4Net>,
    /// API or connection address, where it is not the vendor's own (`qemu:///system`, a private cloud).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Nodes here have a private address behind 1:1 NAT instead of a public one on the interface.
    #[serde(default)]
    pub nat: bool,
    /// Shared causes: groups (an account, a backbone, a building) that fail together.
    #[serde(default)]
    pub failure_groups: Vec<String>,
}

/// What a provider is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// Hetzner Cloud.
    Hetzner,
    /// Amazon Web Services.
    Aws,
    /// Google Cloud.
    Gcp,
    /// Microsoft Azure.
    Azure,
    /// DigitalOcean.
    Digitalocean,
    /// An OpenStack cloud.
    Openstack,
    /// A libvirt host.
    Libvirt,
    /// Machines that exist already, reached by ssh.
    Static,
    /// Oracle Cloud Infrastructure.
    Oci,
    /// Exoscale.
    Exoscale,
    /// OVHcloud.
    Ovh,
    /// CloudRift.
    Cloudrift,
    /// Verda.
    Verda,
    /// Cloudflare: DNS only.
    Cloudflare,
    /// A name server that takes RFC 2136 updates: DNS only.
    Rfc2136,
    /// Quorate's own authoritative name servers: DNS only.
    Builtin,
}

impl ProviderKind {
    /// Whether machines can be had there.
    #[must_use]
    pub fn has_machines(self) -> bool {
        !matches!(self, Self::Cloudflare | Self::Rfc2136 | Self::Builtin)
    }

    /// Whether records can be kept there.
    #[must_use]
    pub fn has_dns(self) -> bool {
        match self {
            Self::Hetzner | Self::Aws | Self::Gcp | Self::Azure | Self::Digitalocean => true,
            Self::Oci | Self::Exoscale | Self::Ovh | Self::Openstack => true,
            Self::Cloudflare | Self::Rfc2136 | Self::Builtin => true,
            Self::Libvirt | Self::Static | Self::Cloudrift | Self::Verda => false,
        }
    }
}

/// Where credentials are to be found. Exactly one of the fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Credentials {
    /// The name of an environment variable.
    Env(String),
    /// The path of a file.
    File(String),
    /// A Kubernetes Secret, as `namespace/name`.
    Secret(String),
}

/// A group of equal nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodePool {
    /// A DNS label of at most 20 characters.
    pub name: String,
    /// The provider's name.
    pub provider: String,
    /// The provider's region; required except for static hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The zone in the region; by default nodes are spread over its zones in turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The provider's machine type; required except for static hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_type: Option<String>,
    /// The provider's image; required except for static hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// How many nodes; or `autoscale`; or `hosts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Between how many nodes the pool may grow and shrink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscale: Option<Autoscale>,
    /// Machines that exist already (providers of type `static`).
    #[serde(default)]
    pub hosts: Vec<StaticHost>,
    /// What the nodes do. Without Kubernetes they do nothing but be part of the mesh.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// Kubernetes labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Kubernetes annotations.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Kubernetes taints.
    #[serde(default)]
    pub taints: Vec<Taint>,
    /// Machines that the provider may take back at any time.
    #[serde(default)]
    pub spot: bool,
    /// Additional disks.
    #[serde(default)]
    pub disks: Vec<Disk>,
    /// What a node can hold, where the machine type is not known to Quorate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Resources>,
}

/// Bounds of a pool that grows with demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Autoscale {
    /// At least so many nodes; also the size at the start.
    pub min: u32,
    /// At most so many nodes.
    pub max: u32,
}

/// A machine that exists already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StaticHost {
    /// Where ssh reaches it: an IPv4 address or a name.
    pub address: String,
    /// Who logs in.
    #[serde(default = "default_ssh_user")]
    pub ssh_user: String,
    /// Where sshd listens.
    #[serde(default = "default_ssh_port")]
    pub ssh_port: u16,
    /// It can dial out, but nobody can dial in.
    #[serde(default)]
    pub behind_nat: bool,
    /// Where its ssh key is to be found; by default with the provider's credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
}

fn default_ssh_user() -> String {
    "root".to_owned()
}

fn default_ssh_port() -> u16 {
    22
}

/// How machines are logged into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Ssh {
    /// Who logs in to machines that are made; needs sudo without a password where it is not root.
    pub user: String,
    /// Where sshd listens there.
    pub port: u16,
    /// The private key. By default: the agent, or what your ssh configuration says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
}

impl Default for Ssh {
    fn default() -> Self {
        Self {
            user: default_ssh_user(),
            port: default_ssh_port(),
            credentials: None,
        }
    }
}

/// What a node does.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// API server, controllers, scheduler and an etcd member.
    ControlPlane,
    /// Runs workloads.
    Worker,
    /// Entry point.
    LoadBalancer,
}

/// A Kubernetes taint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
    /// What it does to pods without a toleration.
    pub effect: TaintEffect,
}

/// What a taint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// Nothing new is put there.
    NoSchedule,
    /// Only if there is no other place.
    PreferNoSchedule,
    /// What is there must go.
    NoExecute,
}

/// An additional disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Disk {
    /// Its size.
    pub size: Bytes,
}

/// CPU and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// Cores.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Bytes,
}

/// The WireGuard network that joins all nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Mesh {
    /// Addresses of nodes; an address is given once and kept for the node's life.
    #[schemars(with = "Cidr")]
    pub cidr: Ipv4Net,
    /// UDP port.
    pub port: u16,
    /// `auto` solves it from the underlay.
    pub mtu: Mtu,
    /// Between keepalives to peers behind NAT.
    pub keepalive: Duration,
}

impl Default for Mesh {
    fn default() -> Self {
        Self {
            cidr: Ipv4Net::new_assert(Ipv4Addr::new(10, 88, 0, 0), 16),
            port: 51_820,
            mtu: Mtu::Auto,
            keepalive: Duration(crate::time::Span::from_secs(25)),
        }
    }
}
