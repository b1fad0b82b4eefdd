//! etcd's members along the steps of a plan: how many may fail at each, and how likely too many do.

use super::Step;
use crate::design::{Design, DomainKind};
use quorate_engine::plan::{MemberChange, Plan, Until};
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::Verb;
use quorate_engine::time::Span;
use std::collections::BTreeSet;

const YEAR_MINUTES: f64 = crate::algebra::YEAR_MINUTES;

/// What the walk came to.
pub(super) struct Walked {
    pub(super) steps: Vec<Step>,
    pub(super) least_slack: Option<i64>,
    pub(super) bare_minutes: f64,
    pub(super) risk: f64,
}

/// Walks the plan in the order of its steps' earliest begins.
pub(super) fn walk(plan: &Plan, designs: &[&Design; 2], rates: &[Vec<f64>]) -> Walked {
    let begins = begins(plan);
    let mut order: Vec<usize> = (0..plan.steps.len()).collect();
    order.sort_by_key(|at| (begins[*at], *at));
    let mut voters: BTreeSet<ResourceId> = members(designs[0]);
    let whole = !voters.is_empty();
    let mut walked = Walked {
        steps: Vec::new(),
        least_slack: None,
        bare_minutes: 0.0,
        risk: 0.0,
    };
    let end = begins
        .iter()
        .zip(&plan.steps)
        .map(|(at, step)| *at + step.expected)
        .max();
    let end = end.unwrap_or(Span::ZERO);
    for (turn, at) in order.iter().enumerate() {
        let step = &plan.steps[*at];
        let away = away(step.change.as_ref(), &mut voters);
        let slack = whole.then(|| slack(voters.len(), usize::from(away.is_some())));
        let next = order.get(turn + 1).map_or(end, |next| begins[*next]);
        let stretch = minutes(next.max(begins[*at]) - begins[*at]);
        if let Some(slack) = slack {
            walked.least_slack = Some(walked.least_slack.map_or(slack, |least| least.min(slack)));
            walked.bare_minutes += if slack <= 0 { stretch } else { 0.0 };
            walked.risk += hazard(designs, rates, &voters, slack) * stretch / YEAR_MINUTES;
        }
        if !reads(step.verb) {
            walked.steps.push(Step {
                title: step.title(),
                reason: step.reason.clone(),
                begins: minutes(begins[*at]),
                lasts: minutes(step.expected),
                reversible: step.reversible.to_string(),
                slack,
            });
        }
    }
    walked
}

fn reads(verb: Verb) -> bool {
    matches!(verb, Verb::List | Verb::Describe | Verb::Probe)
}

fn minutes(span: Span) -> f64 {
    span.0 as f64 / 60e9
}

/// The earliest begin of each step, from the begin of the plan.
fn begins(plan: &Plan) -> Vec<Span> {
    let mut begins = Vec::<Span>::with_capacity(plan.steps.len());
    for step in &plan.steps {
        let needs = step.after.iter().chain(&step.settled);
        let ends = needs.map(|at| {
            let at = *at as usize;
            begins[at] + length(&plan.steps[at])
        });
        begins.push(ends.max().unwrap_or(Span::ZERO));
    }
    begins
}

fn length(step: &quorate_engine::plan::Step) -> Span {
    match step.until {
        Some(Until::Elapsed(span)) => span.max(step.expected),
        _ => step.expected,
    }
}

fn members(design: &Design) -> BTreeSet<ResourceId> {
    let of = design.with(quorate_engine::manifest::Role::ControlPlane);
    of.map(|at| design.nodes()[at].id.clone()).collect()
}

/// The voters after a step's change; and who is away while it runs.
fn away(change: Option<&MemberChange>, voters: &mut BTreeSet<ResourceId>) -> Option<ResourceId> {
    match change? {
        MemberChange::AddLearner(_) | MemberChange::MoveLeader(_) => None,
        MemberChange::Promote(id) => {
            voters.insert(id.clone());
            None
        }
        MemberChange::Remove(id) => {
            voters.remove(id);
            None
        }
        MemberChange::Restart(id) => Some(id.clone()),
    }
}

fn slack(voters: usize, away: usize) -> i64 {
    voters as i64 - away as i64 - (voters as i64 / 2 + 1)
}

/// Failures a year, of single domains, that take more members than may fail.
fn hazard(
    designs: &[&Design; 2],
    rates: &[Vec<f64>],
    voters: &BTreeSet<ResourceId>,
    slack: i64,
) -> f64 {
    let mut seen = BTreeSet::<(DomainKind, &str)>::new();
    let mut sum = 0.0;
    for (design, rates) in designs.iter().zip(rates) {
        for (domain, rate) in design.domains.iter().zip(rates) {
            // A domain of both designs may have members of both in it.
            let hit = voters
                .iter()
                .filter(|id| within(designs, domain.kind, &domain.name, id));
            if seen.insert((domain.kind, &domain.name)) && hit.count() as i64 > slack {
                sum += rate;
            }
        }
    }
    sum
}

fn within(designs: &[&Design; 2], kind: DomainKind, name: &str, id: &ResourceId) -> bool {
    designs.iter().any(|design| {
        let at = design.nodes().iter().position(|node| node.id == *id);
        let domain = design.domain(kind, name).map(|at| &design.domains[at]);
        domain
            .zip(at)
            .is_some_and(|(domain, at)| domain.nodes.contains(&at))
    })
}
