//! The types of a `Scenario` file: the one source of its decoding and of its JSON Schema.

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
    /// How long a connection attempt to one address may take; by default the system's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<Duration>,
    /// How long a request may take altogether.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// Round trip from the clients to the nearest load balancer.
    #[serde(default = "default_distance")]
    pub rtt: Duration,
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
    /// For crashes of the orchestrator: before which entry of its journal; by default every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<u32>,
}

fn yes() -> bool {
    true
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
    pub role: Option<quorate_engine::manifest::Role>,
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
