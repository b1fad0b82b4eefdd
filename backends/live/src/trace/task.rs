//! A task as it stands in a run's record: enough to make the same engine again.
//!
//! The driver itself goes by what was written and read again, so that nothing can differ.

use quorate_engine::engine::{Mode, Task};
use quorate_engine::exec::{Guard, LaneLimit, Limits};
use quorate_engine::manifest::Manifest;
use quorate_engine::quorum::{EtcdVersion, Policy};
use quorate_engine::random::Seed;
use quorate_engine::seam::{Lane, Verb};
use quorate_engine::time::Span;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A task.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TaskForm {
    manifest: Arc<Manifest>,
    mode: ModeForm,
    patience: Span,
    limits: LimitsForm,
    seed: u64,
    uid: u64,
    agreed: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ModeForm {
    Apply,
    Keep { interval: Span },
    Destroy,
    Look,
}

#[derive(Debug, Serialize, Deserialize)]
struct LimitsForm {
    etcd: EtcdVersion,
    declared: u32,
    scale_down: bool,
    force: bool,
    lanes: Vec<(Lane, LaneForm)>,
    provider: LaneForm,
    hosts: LaneForm,
    cluster: LaneForm,
    attempts: u32,
    /// Zero in traces of releases that knew no such patience.
    #[serde(default)]
    boot: Span,
    backoff_base: Span,
    backoff_cap: Span,
    poll: Span,
    capacity_backoff: Span,
    timeouts: Vec<(Verb, Span)>,
    timeout: Span,
}

#[derive(Debug, Serialize, Deserialize)]
struct LaneForm {
    in_flight: u32,
    burst: u32,
    refill: Span,
    settle: Span,
}

impl TaskForm {
    /// A task as text, and as it comes back from that.
    pub(crate) fn of(task: &Task) -> (String, Task) {
        // Every field by name: one that is new has to be written down too.
        let Task {
            manifest,
            mode,
            patience,
            limits,
            seed,
            uid,
            agreed,
        } = task;
        let form = Self {
            manifest: Arc::clone(manifest),
            mode: match *mode {
                Mode::Apply => ModeForm::Apply,
                Mode::Keep { interval } => ModeForm::Keep { interval },
                Mode::Destroy => ModeForm::Destroy,
                Mode::Look => ModeForm::Look,
            },
            patience: *patience,
            limits: LimitsForm::of(limits),
            seed: seed.0,
            uid: *uid,
            agreed: *agreed,
        };
        let text = serde_json::to_string(&form).expect("a task is plain data");
        let again = Self::task(&text).expect("what was written can be read");
        (text, again)
    }

    /// A task from its text.
    pub(crate) fn task(text: &str) -> Result<Task, serde_json::Error> {
        let form: Self = serde_json::from_str(text)?;
        Ok(Task {
            manifest: form.manifest,
            mode: match form.mode {
                ModeForm::Apply => Mode::Apply,
                ModeForm::Keep { interval } => Mode::Keep { interval },
                ModeForm::Destroy => Mode::Destroy,
                ModeForm::Look => Mode::Look,
            },
            patience: form.patience,
            limits: form.limits.limits(),
            seed: Seed(form.seed),
            uid: form.uid,
            agreed: form.agreed,
        })
    }
}

impl LimitsForm {
    fn of(limits: &Limits) -> Self {
        let Limits {
            guard,
            lanes,
            provider,
            hosts,
            cluster,
            attempts,
            boot,
            backoff_base,
            backoff_cap,
            poll,
            capacity_backoff,
            timeouts,
            timeout,
        } = limits;
        let Guard { version, policy } = guard;
        let Policy {
            declared,
            scale_down,
            force,
        } = *policy;
        let lane = |(lane, limit): (&Lane, &LaneLimit)| (lane.clone(), LaneForm::of(*limit));
        Self {
            etcd: *version,
            declared,
            scale_down,
            force,
            lanes: lanes.iter().map(lane).collect(),
            provider: LaneForm::of(*provider),
            hosts: LaneForm::of(*hosts),
            cluster: LaneForm::of(*cluster),
            attempts: *attempts,
            boot: *boot,
            backoff_base: *backoff_base,
            backoff_cap: *backoff_cap,
            poll: *poll,
            capacity_backoff: *capacity_backoff,
            timeouts: timeouts.iter().map(|(verb, span)| (*verb, *span)).collect(),
            timeout: *timeout,
        }
    }

    fn limits(self) -> Limits {
        let policy = Policy {
            declared: self.declared,
            scale_down: self.scale_down,
            force: self.force,
        };
        let lane = |(lane, form): (Lane, LaneForm)| (lane, form.limit());
        Limits {
            guard: Guard {
                version: self.etcd,
                policy,
            },
            lanes: self.lanes.into_iter().map(lane).collect(),
            provider: self.provider.limit(),
            hosts: self.hosts.limit(),
            cluster: self.cluster.limit(),
            attempts: self.attempts,
            boot: self.boot,
            backoff_base: self.backoff_base,
            backoff_cap: self.backoff_cap,
            poll: self.poll,
            capacity_backoff: self.capacity_backoff,
            timeouts: self.timeouts.into_iter().collect(),
            timeout: self.timeout,
        }
    }
}

impl LaneForm {
    fn of(limit: LaneLimit) -> Self {
        let LaneLimit {
            in_flight,
            burst,
            refill,
            settle,
        } = limit;
        Self {
            in_flight,
            burst,
            refill,
            settle,
        }
    }

    fn limit(self) -> LaneLimit {
        LaneLimit {
            in_flight: self.in_flight,
            burst: self.burst,
            refill: self.refill,
            settle: self.settle,
        }
    }
}
