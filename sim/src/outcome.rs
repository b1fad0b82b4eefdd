//! What a run, and a campaign of runs, came to. All reports are folds over these values.

use quorate_engine::time::{Span, Time};
use serde::Serialize;
use std::fmt;

/// How an expectation, or a run, ended. A run's verdict is the worst of its expectations'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It held.
    Pass,
    /// The cluster could not serve, and the design says so.
    UnavailableByDesign,
    /// Not tried, with a reason.
    Skipped,
    /// A service level was missed.
    FailSlo,
    /// It did not recover in time.
    FailLiveness,
    /// An invariant was broken.
    FailSafety,
    /// The run says nothing: a fault was never injected, or the steady state was not reached.
    Invalid,
    /// Two runs of one seed differ: our bug.
    Nondeterministic,
}

impl Verdict {
    /// Whether a campaign may end well with it.
    #[must_use]
    pub fn holds(self) -> bool {
        matches!(self, Self::Pass | Self::UnavailableByDesign | Self::Skipped)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::UnavailableByDesign => "unavailable by design",
            Self::Skipped => "skipped",
            Self::FailSlo => "fail (slo)",
            Self::FailLiveness => "fail (liveness)",
            Self::FailSafety => "fail (safety)",
            Self::Invalid => "invalid",
            Self::Nondeterministic => "nondeterministic",
        })
    }
}

/// One run: a scenario and a seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// The scenario's name.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// The worst verdict of all expectations.
    pub verdict: Verdict,
    /// The hash chain over everything that happened: 16 hexadecimal digits.
    pub trace_hash: String,
    /// Events simulated.
    pub events: u64,
    /// Time simulated, from the first event to the last.
    #[serde(rename = "simulated_ms", serialize_with = "ms")]
    pub simulated: Span,
    /// Safety invariants first, then what the scenario expects, in its order.
    pub expectations: Vec<Held>,
    /// How long each fault hurt each population.
    pub recoveries: Vec<Recovery>,
    /// Every parameter that was drawn for this run, in order.
    pub parameters: Vec<(String, String)>,
    /// What a person wants to know, in order of time.
    #[serde(skip)]
    pub notes: Vec<Note>,
    /// For plots.
    #[serde(skip)]
    pub series: Series,
}

fn ms<S: serde::Serializer>(span: &Span, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(span.as_ms())
}

/// How one expectation ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Held {
    /// Its name: `availability of shoppers >= 99.9%`.
    pub name: String,
    /// How it ended.
    pub verdict: Verdict,
    /// What was measured, and where it went wrong.
    pub detail: String,
    /// What was measured, in milliseconds, millionths or as a count; for distributions over seeds.
    pub value: Option<u64>,
    /// What `value` is.
    pub unit: Unit,
}

/// What a measured value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Milliseconds.
    Ms,
    /// Millionths.
    Share,
    /// A number of things.
    Count,
    /// Nothing is measured: it holds or not.
    None,
}

/// How long a fault hurt a population.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// The fault, as in the timeline.
    pub fault: String,
    /// When it began.
    #[serde(rename = "at_ms", serialize_with = "time_ms")]
    pub at: Time,
    /// Who was hurt.
    pub of: String,
    /// From the fault to the end of the last request that failed; zero: nobody noticed.
    #[serde(rename = "recovery_ms", serialize_with = "ms")]
    pub recovery: Span,
    /// Requests that failed.
    pub failed: u64,
}

fn time_ms<S: serde::Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(time.0 / 1_000_000)
}

/// One line of the timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// When.
    pub at: Time,
    /// Who says so.
    pub track: Track,
    /// What happened.
    pub text: String,
}

/// Who says something in a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Track {
    /// The scenario: phases.
    Phase,
    /// Faults and their end, changes made on purpose.
    Fault,
    /// etcd.
    Etcd,
    /// Kubernetes.
    Kube,
    /// Load balancers and DNS.
    Entry,
    /// Clients.
    Client,
    /// Providers.
    Cloud,
    /// The orchestrator.
    Engine,
    /// Invariants.
    Check,
}

impl fmt::Display for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Phase => "phase",
            Self::Fault => "fault",
            Self::Etcd => "etcd",
            Self::Kube => "kube",
            Self::Entry => "entry",
            Self::Client => "client",
            Self::Cloud => "cloud",
            Self::Engine => "engine",
            Self::Check => "check",
        })
    }
}

/// What a run looked like over time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Series {
    /// When the run began and ended, on its own clock.
    pub span: (Time, Time),
    /// Phases.
    pub phases: Vec<Bar>,
    /// Faults.
    pub faults: Vec<Bar>,
    /// Who led etcd from when on; none: nobody.
    pub leader: Vec<(Time, Option<String>)>,
    /// Voters and healthy ones from when on.
    pub quorum: Vec<(Time, u32, u32)>,
    /// Each population's successes and failures, by bucket.
    pub success: Vec<Success>,
    /// What each fault cost, in the order of `faults`.
    pub costs: Vec<Cost>,
}

/// What a fault cost, in the times that people ask for. None: it did not come to that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// Index of its phase.
    pub phase: usize,
    /// Its index in the phase.
    pub fault: usize,
    /// Whom or what it hit.
    pub label: String,
    /// From the fault to another leader of etcd with a quorum behind it.
    pub election: Option<Span>,
    /// From the fault until a node is NotReady: one for each that becomes so.
    pub not_ready: Vec<Span>,
    /// From its end until such a node is Ready again.
    pub ready: Vec<Span>,
    /// From its end until all members of etcd are healthy again.
    pub whole: Option<Span>,
    /// What populations of clients felt of it.
    pub felt: Vec<Felt>,
}

/// What a population of clients felt of a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Felt {
    /// The population.
    pub of: String,
    /// From the fault to the first good answer to a request that began after it.
    pub first: Option<Span>,
    /// From the fault to the end of the last request that failed before the fault's own end; zero:
    /// nobody noticed.
    pub clean: Span,
    /// From the fault's end to the last request that failed after it: what comes back hurts, too.
    /// None where nothing was ended.
    pub healed: Option<Span>,
    /// Requests that failed, before its end.
    pub failed: u64,
}

/// A stretch of time with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// Its name.
    pub label: String,
    /// Its beginning.
    pub from: Time,
    /// Its end.
    pub to: Time,
}

/// A population's successes and failures over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Success {
    /// The population.
    pub name: String,
    /// Width of a bucket.
    pub bucket: Span,
    /// Successes and failures of requests that ended in each bucket, from the start of the series.
    pub counts: Vec<(u32, u32)>,
}
