//! The types of an `InputManifest`, as Claudie's resource definition has them.
//!
//! Only types: rules that Claudie's webhook checks are in `rules`. Fields that Claudie does not
//! know are ignored there and give a warning here. A list or object without content is absent.

use crate::manifest::{Protocol, ProviderKind, TaintEffect};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// A whole `InputManifest`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct InputManifest {
    /// Always `claudie.io/v1beta1`.
    pub(super) api_version: String,
    /// Always `InputManifest`.
    pub(super) kind: String,
    /// Name, namespace, labels, and what the API server adds.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(with = "Option<BTreeMap<String, Value>>")]
    pub(super) metadata: BTreeMap<String, Value>,
    /// What is wanted.
    pub(super) spec: Spec,
    /// What Claudie has written back.
    pub(super) status: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    /// Accounts at clouds.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(with = "Option<Vec<Provider>>")]
    pub(super) providers: Vec<Provider>,
    /// Blueprints of groups of machines.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(with = "Option<NodePools>")]
    pub(super) node_pools: NodePools,
    /// Clusters.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(with = "Option<Kubernetes>")]
    pub(super) kubernetes: Kubernetes,
    /// Entry points.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(with = "Option<LoadBalancers>")]
    pub(super) load_balancers: LoadBalancers,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Provider {
    /// At most 15 characters.
    pub(super) name: String,
    /// Which vendor.
    pub(super) provider_type: ProviderType,
    /// The Secret with the credentials.
    pub(super) secret_ref: SecretRef,
    /// Other templates than the default ones.
    pub(super) templates_ref: Option<TemplatesRef>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ProviderType {
    Gcp,
    Hetzner,
    Aws,
    Oci,
    Azure,
    Cloudflare,
    Openstack,
    Exoscale,
    Cloudrift,
    Verda,
    Ovh,
}

impl ProviderType {
    /// The same in our manifest.
    pub(super) fn kind(self) -> ProviderKind {
        match self {
            Self::Gcp => ProviderKind::Gcp,
            Self::Hetzner => ProviderKind::Hetzner,
            Self::Aws => ProviderKind::Aws,
            Self::Oci => ProviderKind::Oci,
            Self::Azure => ProviderKind::Azure,
            Self::Cloudflare => ProviderKind::Cloudflare,
            Self::Openstack => ProviderKind::Openstack,
            Self::Exoscale => ProviderKind::Exoscale,
            Self::Cloudrift => ProviderKind::Cloudrift,
            Self::Verda => ProviderKind::Verda,
            Self::Ovh => ProviderKind::Ovh,
        }
    }

    /// As it is written.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Gcp => "gcp",
            Self::Hetzner => "hetzner",
            Self::Aws => "aws",
            Self::Oci => "oci",
            Self::Azure => "azure",
            Self::Cloudflare => "cloudflare",
            Self::Openstack => "openstack",
            Self::Exoscale => "exoscale",
            Self::Cloudrift => "cloudrift",
            Self::Verda => "verda",
            Self::Ovh => "ovh",
        }
    }

    /// Whether Claudie gets machines there that may be taken back.
    pub(super) fn has_spot(self) -> bool {
        match self {
            Self::Gcp | Self::Verda | Self::Aws | Self::Azure | Self::Oci => true,
            Self::Hetzner | Self::Cloudflare | Self::Openstack => false,
            Self::Exoscale | Self::Cloudrift | Self::Ovh => false,
        }
    }

    /// Whether Claudie keeps records there.
    pub(super) fn has_dns(self) -> bool {
        match self {
            Self::Gcp | Self::Aws | Self::Azure | Self::Oci | Self::Cloudflare => true,
            Self::Hetzner | Self::Exoscale | Self::Ovh => true,
            Self::Openstack | Self::Cloudrift | Self::Verda => false,
        }
    }

    /// Whether Claudie has DNS health checks there; at Cloudflare they are a paid add-on.
    pub(super) fn has_dns_checks(self) -> bool {
        match self {
            Self::Aws | Self::Azure | Self::Gcp | Self::Oci | Self::Cloudflare => true,
            Self::Hetzner | Self::Ovh | Self::Exoscale => false,
            Self::Openstack | Self::Cloudrift | Self::Verda => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecretRef {
    /// The Secret's name.
    pub(super) name: String,
    /// The Secret's namespace.
    pub(super) namespace: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TemplatesRef {
    /// The TemplateGitReference's name.
    pub(super) name: String,
    /// Its namespace.
    pub(super) namespace: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NodePools {
    /// Machines to be made.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(with = "Option<Vec<DynamicPool>>")]
    pub(super) dynamic: Vec<DynamicPool>,
    /// Machines that exist.
    #[serde(default, rename = "static", deserialize_with = "or_default")]
    #[schemars(with = "Option<Vec<StaticPool>>")]
    pub(super) fixed: Vec<StaticPool>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DynamicPool {
    /// At most 14 characters.
    pub(super) name: String,
    /// Where the machines are made.
    pub(super) provider_spec: ProviderSpec,
    /// How many; or `autoscaler`.
    pub(super) count: Option<i32>,
    /// Between how many.
    pub(super) autoscaler: Option<Autoscaler>,
    /// Machine type.
    pub(super) server_type: String,
    /// Image.
    pub(super) image: String,
    /// Of the additional disk, in GB; 0 for none, by default 50.
    pub(super) storage_disk_size: Option<i32>,
    /// What a machine can hold.
    pub(super) machine_spec: Option<MachineSpec>,
    /// Kubernetes labels.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub(super) labels: BTreeMap<String, String>,
    /// Kubernetes annotations.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub(super) annotations: BTreeMap<String, String>,
    /// Kubernetes taints.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(with = "Option<Vec<Taint>>")]
    pub(super) taints: Vec<Taint>,
    /// Machines that may be taken back.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(with = "Option<bool>")]
    pub(super) spot: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProviderSpec {
    /// The provider's name.
    pub(super) name: String,
    /// Region.
    pub(super) region: String,
    /// Zone; by default the region's zones in turn.
    pub(super) zone: Option<String>,
    /// For OpenStack: the network with public addresses.
    pub(super) external_network_name: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Autoscaler {
    /// At least so many.
    #[serde(default)]
    pub(super) min: i32,
    /// At most so many.
    #[serde(default)]
    pub(super) max: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MachineSpec {
    /// Cores.
    pub(super) cpu_count: Option<i32>,
    /// Memory in GB.
    pub(super) memory: Option<i32>,
    /// GPUs.
    pub(super) nvidia_gpu_count: Option<i32>,
    /// The older name for the number of GPUs.
    pub(super) nvidia_gpu: Option<i32>,
    /// Which GPU.
    pub(super) nvidia_gpu_type: Option<String>,
}

impl MachineSpec {
    /// How many GPUs are asked for: the older field counts where the newer one does not.
    pub(super) fn gpus(&self) -> i32 {
        let newer = self.nvidia_gpu_count.filter(|count| *count != 0);
        newer.or(self.nvidia_gpu).unwrap_or(0)
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Taint {
    /// Key.
    pub(super) key: String,
    /// Value.
    #[serde(default)]
    pub(super) value: String,
    /// What it does.
    pub(super) effect: TaintEffect,
    /// When it was set.
    pub(super) time_added: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StaticPool {
    /// At most 14 characters.
    pub(super) name: String,
    /// The machines.
    pub(super) nodes: Vec<StaticNode>,
    /// Where sshd listens.
    pub(super) ssh_port: Option<i32>,
    /// Kubernetes labels.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub(super) labels: BTreeMap<String, String>,
    /// Kubernetes annotations.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub(super) annotations: BTreeMap<String, String>,
    /// Kubernetes taints.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(with = "Option<Vec<Taint>>")]
    pub(super) taints: Vec<Taint>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StaticNode {
    /// Its address.
    pub(super) endpoint: String,
    /// Who logs in; by default root.
    pub(super) username: Option<String>,
    /// The Secret with the ssh key.
    pub(super) secret_ref: SecretRef,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kubernetes {
    /// Clusters.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(with = "Option<Vec<Cluster>>")]
    pub(super) clusters: Vec<Cluster>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cluster {
    /// At most 28 characters.
    pub(super) name: String,
    /// `1.35.2`, with or without a leading `v`.
    pub(super) version: String,
    /// Addresses of the nodes in the VPN.
    pub(super) network: String,
    /// Which pools.
    pub(super) pools: Pools,
    /// A proxy for packages and images.
    pub(super) installation_proxy: Option<Proxy>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pools {
    /// Pools of the control plane.
    pub(super) control: Vec<String>,
    /// Pools of workers.
    pub(super) compute: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Proxy {
    /// When it is used.
    pub(super) mode: ProxyMode,
    /// Its address.
    pub(super) endpoint: Option<String>,
    /// What is reached without it.
    pub(super) no_proxy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ProxyMode {
    On,
    Off,
    Default,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LoadBalancers {
    /// Ports that are forwarded.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(with = "Option<Vec<LbRole>>")]
    pub(super) roles: Vec<LbRole>,
    /// Groups of machines that forward them.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(with = "Option<Vec<LbCluster>>")]
    pub(super) clusters: Vec<LbCluster>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LbRole {
    /// Unique.
    pub(super) name: String,
    /// Transport.
    pub(super) protocol: Protocol,
    /// Where clients connect.
    pub(super) port: i32,
    /// Where nodes listen; 6443 is the API server.
    pub(super) target_port: i32,
    /// Pools whose nodes are the backends.
    pub(super) target_pools: Vec<String>,
    /// By default the PROXY protocol and no stickiness.
    pub(super) settings: Option<LbSettings>,
}

impl LbRole {
    /// Whether it stands in front of the API servers.
    pub(super) fn is_api(&self) -> bool {
        self.target_port == super::API_PORT
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LbSettings {
    /// Tells backends the client's address.
    pub(super) proxy_protocol: bool,
    /// One client, one backend.
    pub(super) sticky_sessions: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LbCluster {
    /// At most 28 characters.
    pub(super) name: String,
    /// Names of roles.
    pub(super) roles: Vec<String>,
    /// Its name in DNS.
    pub(super) dns: Option<LbDns>,
    /// The cluster behind it.
    pub(super) targeted_k8s: String,
    /// Pools of its machines.
    pub(super) pools: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LbDns {
    /// Zone.
    pub(super) dns_zone: String,
    /// The provider that keeps the zone.
    pub(super) provider: String,
    /// The name in the zone; by default random.
    pub(super) hostname: Option<String>,
    /// Further names in the zone.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(with = "Option<Vec<String>>")]
    pub(super) alternative_names: Vec<String>,
}

/// The API server drops fields without content, so nothing means the default.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
