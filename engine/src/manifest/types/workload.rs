//! What the cluster carries and must survive: storage, workloads, objectives.

use super::Resources;
use crate::units::{Bytes, Duration, Percent, Rate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Replicated storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Storage {
    /// Which system.
    pub engine: StorageEngine,
    /// Copies of each volume.
    #[serde(default = "default_replicas")]
    pub replicas: u32,
    /// Copies are kept apart by this domain.
    #[serde(default)]
    pub spread: Domain,
}

fn default_replicas() -> u32 {
    3
}

/// Storage systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StorageEngine {
    /// Longhorn.
    Longhorn,
    /// Ceph by Rook.
    RookCeph,
}

/// A failure domain: a provider contains regions, a region zones, a zone nodes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Domain {
    /// One machine.
    Node,
    /// One zone.
    Zone,
    /// One region.
    Region,
    /// One provider.
    #[default]
    Provider,
}

/// What will run here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Workload {
    /// A DNS label.
    pub name: String,
    /// Pods.
    #[serde(default = "one")]
    pub replicas: u32,
    /// What a pod asks for.
    #[serde(default)]
    pub requests: Resources,
    /// Its data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataSet>,
    /// Where it is best placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefer: Option<Preference>,
    /// What clients ask of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
}

fn one() -> u32 {
    1
}

/// A data set on replicated storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DataSet {
    /// Its size.
    pub size: Bytes,
}

/// Where a workload is best placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Preference {
    /// The provider's name.
    pub provider: String,
}

/// What clients ask of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Traffic {
    /// Requests.
    pub rate: Rate,
    /// The load balancer's ingress role it comes through, as `balancer/role`.
    pub through: String,
}

/// What the cluster must survive, and how well.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Resilience {
    /// The largest failure domain of which any one may be lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub survive: Option<Domain>,
    /// Recovery time objective.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rto: Option<Duration>,
    /// Recovery point objective.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpo: Option<Duration>,
    /// Share of time, or of requests, that must succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability: Option<Percent>,
}
