//! A plan for programs. Durations are in milliseconds, indices count from 0.

use super::{Planned, Source, Totals};
use quorate_engine::plan::{Held, Reversibility, Slack, Step, Until};
use quorate_engine::resource::{Kind, Resource};
use quorate_engine::seam::{Lane, Verb};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct Report<'a> {
    cluster: &'a str,
    /// Whether it starts from an observation; else nothing exists.
    observed: bool,
    changes: bool,
    /// Equal exactly where the same steps come in the same order: 16 hexadecimal digits.
    fingerprint: String,
    etcd: Option<Etcd>,
    timing: Option<Pace>,
    steps: Vec<OneStep<'a>>,
    held: &'a [Held],
    totals: Sum,
}

#[derive(Serialize)]
struct OneStep<'a> {
    index: usize,
    verb: Verb,
    resource: &'a str,
    kind: Kind,
    lane: &'a Lane,
    reason: &'a str,
    /// Must have succeeded.
    after: &'a [u32],
    /// Must have ended.
    settled: &'a [u32],
    reversibility: Reversibility,
    expected_ms: u64,
    deadline_ms: u64,
    until: Option<Until>,
    /// After this step, if it changes the membership.
    etcd: Option<Etcd>,
    desired: Option<&'a Resource>,
}

#[derive(Serialize)]
struct Etcd {
    voters: u32,
    healthy: u32,
    /// Healthy voters beyond a quorum; negative: there is none.
    tolerates: i64,
}

/// How members of etcd watch each other.
#[derive(Serialize)]
struct Pace {
    heartbeat_ms: u64,
    election_ms: u64,
    reason: String,
}

#[derive(Serialize)]
struct Sum {
    steps: usize,
    by_verb: BTreeMap<Verb, usize>,
    critical_path_ms: u64,
    sum_ms: u64,
}

/// The plan as JSON, indented. Ends with a line break.
pub(super) fn json(planned: &Planned) -> String {
    let plan = &planned.plan;
    let totals = Totals::of(plan);
    let report = Report {
        cluster: &planned.cluster,
        observed: planned.source != Source::Nothing,
        changes: !plan.is_empty(),
        fingerprint: format!("{:016x}", plan.fingerprint()),
        etcd: plan.slack.map(etcd),
        timing: planned.timing.as_ref().map(|timing| Pace {
            heartbeat_ms: timing.heartbeat.as_ms(),
            election_ms: timing.election.as_ms(),
            reason: timing.reason(),
        }),
        steps: plan.steps.iter().enumerate().map(one_step).collect(),
        held: &plan.held,
        totals: Sum {
            steps: plan.steps.len(),
            by_verb: totals.by_verb,
            critical_path_ms: totals.critical_path.as_ms(),
            sum_ms: totals.sum.as_ms(),
        },
    };
    let mut text = serde_json::to_string_pretty(&report).expect("a plan is plain data");
    text.push('\n');
    text
}

fn one_step((index, step): (usize, &Step)) -> OneStep<'_> {
    OneStep {
        index,
        verb: step.verb,
        resource: step.resource.as_str(),
        kind: step.kind,
        lane: &step.lane,
        reason: &step.reason,
        after: &step.after,
        settled: &step.settled,
        reversibility: step.reversible,
        expected_ms: step.expected.as_ms(),
        deadline_ms: step.deadline.as_ms(),
        until: step.until,
        etcd: step.slack.map(etcd),
        desired: step.desired.as_deref(),
    }
}

fn etcd(slack: Slack) -> Etcd {
    let Slack { voters, healthy } = slack;
    Etcd {
        voters,
        healthy,
        tolerates: slack.tolerance(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_plan_for_programs() {
        let value: serde_json::Value = serde_json::from_str(&json(&sample::planned())).unwrap();
        assert_eq!(value["totals"]["steps"], 5);
        assert_eq!(value["changes"], true);
        let step = serde_json::to_string_pretty(&value["steps"][4]).unwrap();
        insta::assert_snapshot!(step);
    }
}
