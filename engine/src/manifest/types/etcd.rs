//! etcd's version, timing and snapshots.

use crate::time::Span;
use crate::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// etcd's version and timing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EtcdSettings {
    /// `3.5.21`; by default what kubeadm of this Kubernetes version brings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Heartbeat interval; by default etcd's own 100 ms, or more where control planes are far apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Duration>,
    /// Election time-out; by default etcd's own 1 s, or ten heartbeats where those are longer; at
    /// most 50 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub election: Option<Duration>,
    /// Snapshots that `quorate run` takes and keeps beside the state.
    pub snapshots: SnapshotSchedule,
}

/// When snapshots of etcd are taken, and how many stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SnapshotSchedule {
    /// Between two; `0s` for none.
    pub every: Duration,
    /// So many stay, those before changes of membership included; never less than one that is good.
    pub keep: u32,
}

impl Default for SnapshotSchedule {
    fn default() -> Self {
        Self {
            every: Duration(Span::from_secs(6 * 3_600)),
            keep: 14,
        }
    }
}
