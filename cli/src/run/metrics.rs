//! Figures of a service, from what its run tells.
//!
//! Knows the names of metrics, and not who asks for them.

use crate::apply::is_read;
use crate::terminal;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use quorate_engine::quorum::slack;
use quorate_engine::seam::{ClusterView, Notice, Outcome, Reply};
use quorate_engine::time::Time;
use quorate_live::{InFlight, News, Observer};
use quorate_sim::report::plain;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The longest that a single call may take (a drain), and a little more.
const SILENCE: Duration = Duration::from_secs(1000);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    lane: String,
    verb: String,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Step {
    outcome: String,
}

/// The figures.
pub(super) struct Metrics {
    registry: Registry,
    calls: Family<Call, Counter>,
    took: Histogram,
    in_flight: Gauge,
    steps: Family<Step, Counter>,
    planned: Gauge,
    held: Gauge,
    converged: Gauge,
    converged_at: Gauge,
    voters: Gauge,
    healthy: Gauge,
    slack: Gauge,
    nodes: Gauge,
    ready: Gauge,
    pending: Gauge,
    snapshots: Family<Step, Counter>,
    snapshot_at: Gauge,
    snapshot_age: Gauge,
    snapshot_bytes: Gauge,
    reloads: Family<Step, Counter>,
    interval: Duration,
    /// When anything was last heard of the run; and why it cannot begin, if so.
    heard: Mutex<(Instant, bool)>,
}

impl Metrics {
    /// All at zero.
    pub(super) fn new(interval: Duration) -> Self {
        let mut registry = Registry::with_prefix("quorate");
        let gauge = |registry: &mut Registry, name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let calls = Family::default();
        registry.register(
            "calls",
            "Calls that ended, by lane and outcome",
            calls.clone(),
        );
        let took = Histogram::new(exponential_buckets(0.01, 4.0, 9));
        let help = "How long calls took";
        registry.register_with_unit("call", help, Unit::Seconds, took.clone());
        let steps = Family::default();
        registry.register("steps", "Steps that ended, by outcome", steps.clone());
        let reloads = Family::default();
        registry.register(
            "manifest_reloads",
            "Readings of the manifest",
            reloads.clone(),
        );
        let snapshots = Family::default();
        let help = "Snapshots of etcd on schedule, by outcome";
        registry.register("etcd_snapshots", help, snapshots.clone());
        let mut new = |name, help| gauge(&mut registry, name, help);
        Self {
            in_flight: new("calls_in_flight", "Calls under way"),
            planned: new("planned_steps", "Steps of the last plan"),
            held: new(
                "held_resources",
                "Resources that the last plan leaves alone",
            ),
            converged: new("converged", "1 if the world is as the manifest wants it"),
            converged_at: new(
                "converged_timestamp_seconds",
                "When the world was last found as the manifest wants it",
            ),
            voters: new("etcd_voters", "Voting members of etcd"),
            healthy: new("etcd_healthy_voters", "Those of them that are healthy"),
            slack: new(
                "etcd_slack",
                "Members that may fail before etcd loses its quorum",
            ),
            nodes: new("nodes", "Nodes of Kubernetes"),
            ready: new("ready_nodes", "Those of them that are ready"),
            pending: new("pending_pods", "Pods that fit nowhere"),
            snapshot_at: new(
                "etcd_snapshot_timestamp_seconds",
                "When the newest snapshot of etcd was taken; 0: there is none",
            ),
            snapshot_age: new(
                "etcd_snapshot_age_seconds",
                "Since the newest snapshot of etcd was taken; -1: there is none",
            ),
            snapshot_bytes: new(
                "etcd_snapshot_bytes",
                "Size of the last snapshot that was taken on schedule",
            ),
            snapshots,
            calls,
            took,
            steps,
            reloads,
            interval,
            heard: Mutex::new((Instant::now(), false)),
            registry,
        }
    }

    /// As Prometheus reads it.
    pub(super) fn text(&self) -> String {
        let at = self.snapshot_at.get();
        let age = unix(SystemTime::now()) - at;
        self.snapshot_age.set(if at == 0 { -1 } else { age.max(0) });
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes any text");
        text
    }

    /// Whether nothing is left to do.
    pub(super) fn is_converged(&self) -> bool {
        self.converged.get() == 1
    }

    /// Why the service does not do its work, if so.
    pub(super) fn stuck(&self) -> Option<String> {
        let (heard, blocked) = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let since = heard.elapsed();
        if blocked {
            return Some("the world cannot be opened: see the log".to_owned());
        }
        let most = self.interval.saturating_mul(3).max(SILENCE);
        (since > most).then(|| format!("nothing has happened for {} s", since.as_secs()))
    }

    /// The world cannot be opened.
    pub(super) fn blocked(&self) {
        self.hear(true);
        self.converged.set(0);
    }

    /// The manifest was read again.
    pub(super) fn reloaded(&self, taken: bool) {
        let outcome = if taken { "taken" } else { "refused" }.to_owned();
        self.reloads.get_or_create(&Step { outcome }).inc();
    }

    /// Whether a cluster was ever seen.
    pub(super) fn is_founded(&self) -> bool {
        self.voters.get() > 0
    }

    /// The newest snapshot that there is.
    pub(super) fn has_snapshot(&self, newest: Option<SystemTime>) {
        self.snapshot_at.set(newest.map_or(0, unix));
    }

    /// A snapshot was due: its bytes, where it was taken.
    pub(super) fn took_snapshot(&self, bytes: Option<u64>) {
        let outcome = if bytes.is_some() { "ok" } else { "failed" }.to_owned();
        self.snapshots.get_or_create(&Step { outcome }).inc();
        if let Some(bytes) = bytes {
            self.snapshot_bytes.set(bytes as i64);
            self.snapshot_at.set(unix(SystemTime::now()));
        }
    }

    fn hear(&self, blocked: bool) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        *heard = (Instant::now(), blocked);
    }

    fn step(&self, outcome: &str) {
        let outcome = outcome.to_owned();
        self.steps.get_or_create(&Step { outcome }).inc();
    }

    fn answered(&self, now: Time, flight: &InFlight, outcome: &Outcome) {
        let call = Call {
            lane: flight.call.lane.to_string(),
            verb: flight.call.verb.to_string(),
            outcome: match outcome {
                Ok(_) => "ok".to_owned(),
                Err(fault) => fault.class.to_string(),
            },
        };
        self.calls.get_or_create(&call).inc();
        self.took
            .observe(now.since(flight.since).as_ms() as f64 / 1e3);
        if let Ok(Reply::Cluster(view)) = outcome {
            self.cluster(view);
        }
    }

    fn cluster(&self, view: &ClusterView) {
        let slack = slack(&view.members);
        self.voters.set(i64::from(slack.voters));
        self.healthy.set(i64::from(slack.healthy));
        let needed = i64::from(slack.voters) / 2 + 1;
        self.slack.set(i64::from(slack.healthy) - needed);
        self.nodes.set(view.nodes.len() as i64);
        let ready = view.nodes.iter().filter(|node| node.ready).count();
        self.ready.set(ready as i64);
        self.pending.set(i64::from(view.pending_pods));
    }
}

/// Seconds since 1970.
fn unix(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as i64)
}

/// Turns a run's news into figures, and into a calm log.
pub(super) struct Watch {
    metrics: Arc<Metrics>,
    /// What was said of things that are left alone: it is repeated at every look.
    said: BTreeSet<String>,
}

impl Watch {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            said: BTreeSet::new(),
        }
    }

    fn notice(&mut self, notice: &Notice) {
        let metrics = &self.metrics;
        match notice {
            Notice::Planned { steps, held } => {
                metrics.planned.set(i64::from(*steps));
                metrics.held.set(held.len() as i64);
                if *steps > 0 || !held.is_empty() {
                    metrics.converged.set(0);
                }
                if *steps > 0 {
                    log(&format!("a plan of {steps} steps"));
                }
                let now: BTreeSet<String> = held.iter().cloned().collect();
                for held in now.difference(&self.said) {
                    log(&format!("left alone: {held}"));
                }
                self.said = now;
            }
            Notice::Converged => {
                if metrics.converged.get() == 0 {
                    log("the world is as the manifest wants it");
                }
                metrics.converged.set(1);
                metrics.converged_at.set(unix(SystemTime::now()));
            }
            Notice::Started { .. } => {}
            Notice::Finished { step, took } => {
                metrics.step("ok");
                if !is_read(step) {
                    log(&format!("{step}  {took}"));
                }
            }
            Notice::Retrying { step, fault, after } => {
                log(&format!("{step} waits {after}: {fault}"));
            }
            Notice::Failed { step, fault } => {
                metrics.step("failed");
                log(&format!("{step} FAILED: {fault}"));
            }
            Notice::Forced { step, refusal } => log(&format!("{step} FORCED against: {refusal}")),
            Notice::Scaled { pool, size, reason } => {
                log(&format!("{pool} to {size} nodes: {reason}"));
            }
            Notice::Refused { problems } => {
                metrics.step("refused");
                log(&format!("the plan is refused: {}", problems.join("; ")));
            }
        }
    }
}

fn log(text: &str) {
    terminal::eprint(&format!("{}\n", plain(text)));
}

impl Observer for Watch {
    fn see(&mut self, now: Time, news: News<'_>) {
        self.metrics.hear(false);
        match news {
            News::Notice(notice) => self.notice(notice),
            News::Answered(flight, outcome) => self.metrics.answered(now, flight, outcome),
            News::InFlight(calls) => {
                self.metrics.in_flight.set(calls.len() as i64);
            }
            News::Signal { first, .. } => log(if first {
                "nothing more is begun, what runs is waited for"
            } else {
                "stopping at once"
            }),
            News::Plan(_) | News::Recorded(_) | News::Called(_) => {}
        }
    }
}
