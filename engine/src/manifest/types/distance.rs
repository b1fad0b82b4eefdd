//! Measured round trips, as a manifest holds them.

use super::ProviderKind;
use crate::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The round trip between two places, or between two machines in one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Distance {
    /// The two places; the same one twice is two machines inside it.
    pub between: [Place; 2],
    /// There and back.
    pub rtt: Duration,
    /// Its mean deviation; by default what is usual over such a distance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Duration>,
    /// What the figure is of all samples, like `p50`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub statistic: String,
    /// The day it was measured, like `2026-11-22`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub date: String,
    /// Where it is from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
}

/// A place, as the catalogue knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Place {
    /// What the provider is.
    #[serde(rename = "type")]
    pub kind: ProviderKind,
    /// The region by its name in the provider's API; at a provider without regions the name that
    /// pools have there.
    pub region: String,
}
