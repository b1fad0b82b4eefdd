//! Entry points: load balancers and the names that lead to them.

use crate::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An entry point on the nodes of one or several pools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadBalancer {
    /// A DNS label.
    pub name: String,
    /// Pools with the role `load-balancer`, in as many providers as are to carry it.
    pub pools: Vec<String>,
    /// What it forwards.
    pub roles: Vec<LbRole>,
    /// How it watches its backends.
    #[serde(default)]
    pub health_check: BackendCheck,
}

/// One forwarded port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LbRole {
    /// Unique in the load balancer.
    pub name: String,
    /// In front of the API servers, or of workloads.
    pub kind: LbKind,
    /// Where clients connect.
    pub port: u16,
    /// Where backends listen; by default the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_port: Option<u16>,
    /// Transport.
    #[serde(default)]
    pub protocol: Protocol,
    /// Pools whose nodes are the backends; by default all with the fitting role.
    #[serde(default)]
    pub target_pools: Vec<String>,
    /// Tell backends the client's address by the PROXY protocol.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// One client, one backend.
    #[serde(default)]
    pub sticky_sessions: bool,
}

/// What a load balancer stands in front of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LbKind {
    /// The Kubernetes API servers.
    Api,
    /// Workloads.
    Ingress,
}

/// Transport protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// How a load balancer watches its backends (HAProxy's words).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BackendCheck {
    /// Between checks.
    pub interval: Duration,
    /// How long a check may take.
    pub timeout: Duration,
    /// Failures until a backend is down.
    pub fall: u8,
    /// Successes until it is up again.
    pub rise: u8,
    /// How long a connection to a backend may take.
    pub connect_timeout: Duration,
}

impl Default for BackendCheck {
    fn default() -> Self {
        let ms = |n| Duration(crate::time::Span::from_ms(n));
        Self {
            interval: ms(500),
            timeout: ms(500),
            fall: 2,
            rise: 2,
            connect_timeout: ms(300),
        }
    }
}

/// A name that resolves to the addresses of a load balancer, in changing order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dns {
    /// The provider that keeps the zone.
    pub provider: String,
    /// The zone, `example.com`.
    pub zone: String,
    /// The name in the zone.
    pub hostname: String,
    /// The load balancer it leads to.
    pub load_balancer: String,
    /// Further names in the zone for the same addresses.
    #[serde(default)]
    pub alternative_names: Vec<String>,
    /// How long resolvers may keep an answer.
    #[serde(default = "default_ttl")]
    pub ttl: Duration,
    /// Takes dead addresses out of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<DnsCheck>,
}

fn default_ttl() -> Duration {
    Duration(crate::time::Span::from_secs(60))
}

/// How DNS watches the addresses it gives out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DnsCheck {
    /// Between checks.
    pub interval: Duration,
    /// Failures in a row until an address leaves the answer, and successes until it returns.
    pub threshold: u8,
    /// How long a check may take.
    pub timeout: Duration,
}

impl Default for DnsCheck {
    fn default() -> Self {
        let secs = |n| Duration(crate::time::Span::from_secs(n));
        Self {
            interval: secs(10),
            threshold: 3,
            timeout: secs(2),
        }
    }
}
