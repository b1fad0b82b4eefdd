//! What the cluster carries and must survive: storage, workloads, objectives.

use super::Resources;
use crate::units::{Bytes, Duration, Percent, Rate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Replicated storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// The file with the system's own manifest; by default that of a release which is known to work,
    /// from its project. Rook's `crds.yaml`, `common.yaml` and `operator.yaml` go into one file.
    /// Another path is another release: it is applied again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
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
    /// How its pods are kept apart; by default the scheduler only prefers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
    /// Its PodDisruptionBudget: so many pods stay while nodes are drained; by default all but one.
    /// With fewer it does not do its work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_available: Option<u32>,
    /// How much it grows in a month, in pods; for planning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growth: Option<Percent>,
}

impl Workload {
    /// Its PodDisruptionBudget: how many pods a drain leaves. By default all but one.
    #[must_use]
    pub fn budget(&self) -> u32 {
        disruption_budget(self.replicas, self.min_available)
    }

    /// How many pods it needs to do its work: what its author says in `minAvailable`; else one.
    #[must_use]
    pub fn needs(&self) -> u32 {
        self.min_available
            .unwrap_or(1)
            .clamp(1, self.replicas.max(1))
    }
}

/// How many of so many pods a drain leaves: what is asked for, by default all but one.
#[must_use]
pub fn disruption_budget(replicas: u32, min_available: Option<u32>) -> u32 {
    let usual = replicas.saturating_sub(1);
    min_available.unwrap_or(usual).min(replicas)
}

/// How pods of a workload are kept apart: a topology spread constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spread {
    /// By this domain.
    pub across: Domain,
    /// At most so many pods more in one domain than in the one with the fewest.
    #[serde(default = "one")]
    pub max_skew: u32,
    /// What becomes of a pod that would break it.
    #[serde(default)]
    pub when_unsatisfiable: WhenUnsatisfiable,
}

/// What becomes of a pod that would break a topology spread constraint, in Kubernetes' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum WhenUnsatisfiable {
    /// It waits.
    #[default]
    DoNotSchedule,
    /// It goes where it breaks it least.
    ScheduleAnyway,
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
    /// Writes to it; for planning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes: Option<Rate>,
    /// What a write weighs; by default 4 KiB, a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_size: Option<Bytes>,
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
    /// What an answer weighs; for planning: traffic that leaves a provider has a price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Bytes>,
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
