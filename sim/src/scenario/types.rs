//! The types of a `Scenario` file: the one source of its decoding and of its JSON Schema.

use super::fault::Fault;
use quorate_engine::manifest::ApiVersion;
use quorate_engine::units::{Duration, Percent, Rate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A chaos scenario: what happens to a cluster, and what must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// Always `quorate.dev/v1`.
    pub api_version: ApiVersion,
    /// Always `Scenario`.
    pub kind: ScenarioKind,
    /// A short name, as in the file's name.
    pub name: String,
    /// What it shows, in one sentence.
    #[serde(default)]
    pub title: String,
    /// The cluster's manifest, as a path relative to this file.
    pub manifest: String,
    /// Seeds 1 to this number are run, unless the command line says otherwise.
    #[serde(default = "default_seeds")]
    pub seeds: u32,
    /// What is there when the first phase begins.
    #[serde(default)]
    pub start: Start,
    /// Who uses the cluster.
    #[serde(default)]
    pub clients: Vec<Clients>,
    /// Round trips between providers as they were measured, in the place of the catalogue's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub round_trips: Vec<RoundTrip>,
    /// How the orchestrator behaves.
    #[serde(default)]
    pub orchestrator: Orchestrator,
    /// Parts of the run, one after the other.
    pub phases: Vec<Phase>,
    /// What must hold. Safety invariants are always on and need not be listed.
    pub expect: Vec<Expectation>,
}

/// The kind of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScenarioKind {
    /// A scenario.
    Scenario,
}

fn default_seeds() -> u32 {
    100
}

/// What is there when the first phase begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// The cluster, built by the orchestrator in the simulated world before time zero.
    #[default]
    Built,
    /// Nothing: the orchestrator builds it during the phases, under their faults.
    Empty,
}

/// A measured round trip between the machines of two providers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoundTrip {
    /// Both providers; the same one twice: inside it.
    pub between: [String; 2],
    /// There and back, at the median.
    pub rtt: Duration,
}

/// A population of clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Clients {
    /// Its name.
    pub name: String,
    /// The load balancer's role they come through, as `balancer/role`.
    pub through: String,
    /// New requests, as a Poisson process.
    pub rate: Rate,
    /// What they ask, where they come through the API: `read` or `write`.
    #[serde(default)]
    pub asks: Asks,
    /// Shares of operating systems; by default Linux alone.
    #[serde(default)]
    pub systems: BTreeMap<OperatingSystem, Percent>,
    /// IPv6 and IPv4 race, with a head start of 250 ms (RFC 8305). Every entry point has an address
    /// of both families; clients without this use IPv4 alone.
    #[serde(default)]
    pub happy_eyeballs: bool,
    /// Resolvers on their way keep answers for the record's TTL, and some of them longer; without,
    /// each request asks the name servers.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub caches: bool,
    /// How long a connection attempt to one address may take; by default the system's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<Duration>,
    /// How long a request may take altogether.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// What a request costs both ends beside the network and etcd: cryptography, and waiting for a
    /// processor that others use, too.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub work: Duration,
    /// Round trip from the clients to the nearest load balancer.
    #[serde(default = "default_distance")]
    pub rtt: Duration,
}

pub(super) fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

fn is_nothing(value: &Duration) -> bool {
    *value == Duration::default()
}

fn default_timeout() -> Duration {
    Duration(quorate_engine::time::Span::from_secs(10))
}

fn default_distance() -> Duration {
    Duration(quorate_engine::time::Span::from_ms(20))
}

/// What API clients ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Asks {
    /// Answered by an API server from its cache, or by a workload.
    #[default]
    Read,
    /// Through etcd: answered when a quorum has it on disk.
    Write,
}

/// Operating systems, by how they connect.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum OperatingSystem {
    /// Linux 6.5 and later.
    Linux,
    /// Linux before 6.5.
    LinuxOld,
    /// Windows 11.
    Windows,
    /// macOS.
    Macos,
    /// iOS.
    Ios,
    /// Android.
    Android,
}

/// How the orchestrator behaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Orchestrator {
    /// It watches and heals during the phases.
    pub heals: bool,
    /// Between looks at the world.
    pub interval: Duration,
    /// How long a machine may be silent before it is replaced.
    pub patience: Duration,
    /// How long it is down after a crash.
    pub restart: Duration,
}

impl Default for Orchestrator {
    fn default() -> Self {
        let secs = |n| Duration(quorate_engine::time::Span::from_secs(n));
        Self {
            heals: true,
            interval: secs(30),
            patience: secs(300),
            restart: secs(5),
        }
    }
}

/// A part of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// How long it lasts.
    #[serde(rename = "for")]
    pub lasts: Duration,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// What somebody changes on purpose.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// It is known that the cluster cannot serve writes here: the phase passes exactly if so.
    #[serde(default)]
    pub unavailable_by_design: bool,
}

/// Something that somebody changes on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Change {
    /// Since the beginning of the phase.
    #[serde(default)]
    pub at: Duration,
    /// The orchestrator gets this manifest, a path relative to this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply: Option<String>,
    /// A workload gets another number of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
}

/// Another number of pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scale {
    /// The workload's name.
    pub workload: String,
    /// Pods.
    pub replicas: u32,
}

/// What must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expectation {
    /// What is measured.
    pub measure: Measure,
    /// Of whom: a population of clients, a pool, a provider, a diagnostic's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// In which phase; by default over the whole run.
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// No more than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Amount>,
    /// No less than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Amount>,
}

/// A bound: a duration, a percentage or a count, as the measure wants it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Amount {
    /// A count.
    Count(u64),
    /// `90s` or `99.9%`.
    Text(String),
}

/// What is measured.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Longest time without an etcd leader that a quorum follows. Duration.
    Leaderless,
    /// From the end of the last fault of a phase until the orchestrator finds nothing to do. Duration.
    Converged,
    /// Share of a population's requests that succeeded. Percentage.
    Availability,
    /// From a fault until the end of the last request that failed for it, worst case. Duration.
    Recovery,
    /// Requests that failed while a leader was there and settled. Count.
    FailedOutsideElections,
    /// Acknowledged writes that no leader has any more. Count.
    LostWrites,
    /// Machines that were deleted, or made again. Count.
    Replaced,
    /// Machines of a pool at the end. Count.
    Machines,
    /// Voters of etcd at a provider at the end. Count.
    Voters,
    /// Leaders elected. Count.
    Elections,
    /// Crashes of the orchestrator. Count.
    Crashes,
    /// Whether checking the manifest gives the diagnostic with this code. Count.
    Diagnosed,
    /// Longest time with fewer ready pods of a workload than it should have. Duration.
    PodsMissing,
    /// Calls that a provider's API refused, failed or left unanswered. Count.
    FailedCalls,
}
