//! What goes wrong in a scenario, and whom it hits: part of the one source of the file's decoding and
//! of its JSON Schema.

use super::types::yes;
use quorate_engine::manifest::Role;
use quorate_engine::units::{Duration, Percent, Rate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// What.
    #[serde(rename = "do")]
    pub verb: FaultVerb,
    /// To whom.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Between whom: exactly two, for faults of the network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub between: Vec<Target>,
    /// For partitions: in both directions; else the second of `between` cannot reach the first.
    #[serde(default = "yes")]
    pub symmetric: bool,
    /// Since the beginning of the phase.
    #[serde(default)]
    pub at: Duration,
    /// Again and again, at this distance, from `at` to the end of the phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Duration>,
    /// The distance is the mean of a Poisson process.
    #[serde(default)]
    pub poisson: bool,
    /// Not before this holds; `at` counts from then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
    /// How long it lasts; by default until the end of the phase.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Duration>,
    /// For provider outages: what is hit. By default both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub planes: Vec<Plane>,
    /// For errors, lost replies and packet loss: how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Percent>,
    /// For delays: what is added one way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add: Option<Duration>,
    /// For delays: uniformly more, up to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Duration>,
    /// For throttles: requests allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// For quotas: machines allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// For processes: which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// For crashes of the orchestrator: before which entry of its journal; by default every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<u32>,
}

/// What can go wrong.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum FaultVerb {
    /// A provider, or a part of it, is gone.
    #[serde(rename = "provider.outage")]
    ProviderOutage,
    /// A provider's API takes fewer requests.
    #[serde(rename = "provider.api-throttle")]
    ApiThrottle,
    /// A provider's API answers a share of requests with 5xx.
    #[serde(rename = "provider.api-error")]
    ApiError,
    /// A share of replies of a provider's API never arrives; the work may be done or not.
    #[serde(rename = "provider.lost-reply")]
    LostReply,
    /// A provider gives no more than so many machines.
    #[serde(rename = "provider.quota")]
    Quota,
    /// A provider has no machines left.
    #[serde(rename = "provider.stock-out")]
    StockOut,
    /// Power cut: at the end of the fault the machine starts again.
    #[serde(rename = "node.kill")]
    NodeKill,
    /// The machine stands still, and goes on where it was.
    #[serde(rename = "node.pause")]
    NodePause,
    /// The machine restarts.
    #[serde(rename = "node.reboot")]
    NodeReboot,
    /// The machine and its disk are gone for good.
    #[serde(rename = "node.destroy")]
    NodeDestroy,
    /// A process dies by SIGKILL; whoever watches over it starts it again.
    #[serde(rename = "process.kill")]
    ProcessKill,
    /// A process stands still and keeps its connections, and goes on where it was.
    #[serde(rename = "process.pause")]
    ProcessPause,
    /// No packet passes.
    #[serde(rename = "net.partition")]
    Partition,
    /// Packets take longer.
    #[serde(rename = "net.delay")]
    Delay,
    /// Packets are lost.
    #[serde(rename = "net.loss")]
    Loss,
    /// A DNS provider answers no queries and takes no changes.
    #[serde(rename = "dns.outage")]
    DnsOutage,
    /// The orchestrator dies, and starts again from its journal.
    #[serde(rename = "orchestrator.crash")]
    OrchestratorCrash,
}

/// A process that can be killed or paused, and who starts it again.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Process {
    /// The member on a control plane. kubelet starts it again: at once, and after 10 s, 20 s, 40 s
    /// and so on up to 5 minutes where it dies again within ten minutes.
    Etcd,
    /// The API server on a control plane; kubelet starts it again, likewise.
    KubeApiserver,
    /// The agent of a node; systemd starts it again after 2 s. Pods run on.
    Kubelet,
    /// The load balancer's; systemd starts it again after 100 ms.
    Haproxy,
    /// Our own name servers, of a provider of type `builtin` in `where`; systemd starts them again
    /// after 100 ms.
    NameServer,
}

impl Process {
    /// Whether machines with this role have it.
    #[must_use]
    pub fn runs_on(self, role: Role) -> bool {
        match self {
            Self::Etcd | Self::KubeApiserver => role == Role::ControlPlane,
            Self::Kubelet => role != Role::LoadBalancer,
            Self::Haproxy => role == Role::LoadBalancer,
            Self::NameServer => false,
        }
    }

    /// As scenarios write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::Kubelet => "kubelet",
            Self::Haproxy => "haproxy",
            Self::NameServer => "name-server",
        }
    }
}

/// What of a provider is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Plane {
    /// Its API.
    Control,
    /// Its machines and their network.
    Data,
}

/// Whom a fault hits. Every field that is given must fit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Target {
    /// A provider's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// A region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// A zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// A pool's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// A machine, as `pool/number`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What its nodes do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// A label of its nodes, as `key=value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// How many of those that fit.
    pub pick: Pick,
}

/// How many of those that fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pick {
    /// Every one.
    #[default]
    All,
    /// One, at random.
    One,
    /// Fewer than half, at random.
    Minority,
    /// More than half, at random.
    Majority,
    /// The machine whose etcd member leads.
    Leader,
}

/// What must hold before a fault begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// The world is as desired.
    Converged,
    /// The orchestrator carries out a plan.
    Changing,
    /// etcd has no leader.
    Leaderless,
    /// etcd takes a learner in.
    LearnerInFlight,
}
