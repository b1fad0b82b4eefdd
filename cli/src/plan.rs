//! `quorate plan`: the steps from what exists to what is wanted, in order, with their reasons.

mod dot;
mod json;
mod table;

use crate::apply;
use crate::args::Plan as Args;
use crate::diagnostics;
use crate::exit::Exit;
use crate::input;
use crate::live;
use crate::terminal;
use quorate_engine::check::{Problem, check};
use quorate_engine::engine::{Mode, etcd_version, fitting, policy};
use quorate_engine::manifest::Manifest;
use quorate_engine::observed::Observed;
use quorate_engine::plan::{Plan, critical_path, plan};
use quorate_engine::seam::Verb;
use quorate_engine::time::Span;
use quorate_engine::timing::Timing;
use quorate_engine::topology::Roster;
use quorate_sim::report::plain;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// From which world a plan leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// None: nothing exists.
    Nothing,
    /// An observation that was saved.
    Saved,
    /// The real one, as it was just seen.
    World,
}

/// A plan with what is said about it beside its steps.
struct Planned {
    cluster: String,
    /// etcd's timing, where there is to be one.
    timing: Option<Timing>,
    source: Source,
    plan: Plan,
}

/// Figures over all steps.
struct Totals {
    /// In the order of [`Verb`].
    by_verb: BTreeMap<Verb, usize>,
    /// The longest chain of steps that wait for each other.
    critical_path: Span,
    /// All steps, one after the other.
    sum: Span,
}

impl Totals {
    fn of(plan: &Plan) -> Self {
        let mut by_verb = BTreeMap::new();
        for step in &plan.steps {
            *by_verb.entry(step.verb).or_insert(0) += 1;
        }
        Self {
            by_verb,
            critical_path: critical_path(&plan.steps),
            sum: plan
                .steps
                .iter()
                .fold(Span::ZERO, |sum, step| sum + step.expected),
        }
    }
}

/// Plans, and prints the plan.
pub(crate) fn run(args: &Args) -> Exit {
    let planned = match planned(args) {
        Ok(planned) => planned,
        Err(exit) => return exit,
    };
    terminal::print(&match (args.json, args.dot) {
        (true, _) => json::json(&planned),
        (false, true) => dot::dot(&planned),
        (false, false) => table::table(&planned, args.full),
    });
    if planned.plan.is_empty() {
        Exit::Fine
    } else {
        Exit::Changes
    }
}

/// A plan for people, as other commands show it.
pub(crate) fn shown(manifest: &Manifest, source: Source, plan: Plan) -> String {
    let planned = Planned {
        cluster: manifest.metadata.name.clone(),
        timing: timing(manifest),
        source,
        plan,
    };
    table::table(&planned, false)
}

fn timing(manifest: &Manifest) -> Option<Timing> {
    let there = manifest.spec.kubernetes.is_some();
    there.then(|| Timing::of(manifest))
}

/// The fingerprint of a plan that was saved as JSON.
pub(crate) fn saved(file: &Path) -> Result<u64, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let print = value["fingerprint"].as_str().unwrap_or_default();
    u64::from_str_radix(print, 16).map_err(|_| {
        format!(
            "{} is no saved plan: `quorate plan --json` writes one",
            file.display()
        )
    })
}

/// The plan; where there is none, why has been said.
fn planned(args: &Args) -> Result<Planned, Exit> {
    let manifest = apply::manifest(
        &args.file,
        args.cluster.as_deref(),
        args.live.data.as_deref(),
    )?;
    let cluster = manifest.metadata.name.clone();
    let (source, plan, problems) = match (&args.observed, args.offline) {
        (Some(file), _) => {
            let coloured = terminal::stderr_coloured();
            let seen = input::observed(file).map_err(|checked| {
                terminal::eprint(&diagnostics::rendered(&[checked], coloured));
                Exit::Failed
            })?;
            from(Source::Saved, &manifest, &seen)?
        }
        (None, true) => from(Source::Nothing, &manifest, &Observed::default())?,
        (None, false) => from_world(args, &manifest)?,
    };
    if !problems.is_empty() {
        let list: Vec<String> = problems.iter().map(|one| format!("\n  {one}")).collect();
        let text = format!("the plan does not stand its check:{}", list.concat());
        return Err(refused(&text));
    }
    Ok(Planned {
        cluster,
        timing: timing(&manifest),
        source,
        plan,
    })
}

fn refused(text: &str) -> Exit {
    terminal::eprint(&format!("error: {}\n", plain(text)));
    Exit::Failed
}

type Found = (Source, Plan, Vec<Problem>);

fn from(source: Source, manifest: &Arc<Manifest>, seen: &Observed) -> Result<Found, Exit> {
    let roster = Roster {
        existing: seen.history.prepared.clone(),
        ..Roster::default()
    };
    let desired = fitting(manifest, roster, seen).map_err(|full| refused(&full.to_string()))?;
    let plan = plan(&desired, seen);
    let policy = policy(&desired, seen, false);
    let problems = check(&plan, seen, etcd_version(manifest), &policy);
    Ok((source, plan, problems))
}

/// Looks at the real world, and changes nothing.
fn from_world(args: &Args, manifest: &Arc<Manifest>) -> Result<Found, Exit> {
    let (engine, _) = live::looked(manifest, &args.live)?;
    let preview = engine.preview(Mode::Apply);
    let preview = preview.map_err(|full| refused(&full.to_string()))?;
    Ok((Source::World, preview.plan, preview.problems))
}

#[cfg(test)]
mod sample {
    //! A small plan for the tests of its views.

    use super::{Plan, Planned, Source, Verb};
    use quorate_engine::plan::{Held, MemberChange, Reversibility, Slack, Step};
    use quorate_engine::resource::{Kind, ResourceId};
    use quorate_engine::seam::Lane;

    pub(super) fn step(verb: Verb, id: &str, kind: Kind, after: &[u32], settled: &[u32]) -> Step {
        Step {
            resource: ResourceId::new(id),
            kind,
            verb,
            lane: Lane::Cluster,
            desired: None,
            reason: "absent".to_owned(),
            after: after.to_vec(),
            settled: settled.to_vec(),
            reversible: quorate_engine::plan::reversibility(verb, kind),
            expected: quorate_engine::plan::expected(verb, kind),
            deadline: quorate_engine::plan::deadline(verb, kind),
            change: None,
            slack: None,
            until: None,
        }
    }

    pub(super) fn planned() -> Planned {
        let member = "shop/htz-cp/2/etcd";
        let mut steps = vec![
            step(Verb::Create, "shop/htz-cp/2", Kind::Machine, &[], &[]),
            step(Verb::Create, "shop/htz-cp/2/host", Kind::Host, &[0], &[]),
            step(Verb::AddLearner, member, Kind::EtcdMember, &[1], &[]),
            step(Verb::Promote, member, Kind::EtcdMember, &[2], &[]),
            step(
                Verb::RemoveMember,
                "shop/htz-cp/1/etcd",
                Kind::EtcdMember,
                &[3],
                &[2],
            ),
        ];
        steps[3].change = Some(MemberChange::Promote(ResourceId::new("shop/htz-cp/2")));
        steps[3].slack = Some(Slack {
            voters: 4,
            healthy: 4,
        });
        steps[4].slack = Some(Slack {
            voters: 3,
            healthy: 3,
        });
        steps[4].reason = "not in the \"manifest\" \\ any more".to_owned();
        assert_eq!(steps[4].reversible, Reversibility::Costly);
        let held = vec![Held {
            resource: ResourceId::new("shop/aws-w/1"),
            reason: "the API of aws does not answer".to_owned(),
        }];
        let plan = Plan {
            steps,
            held,
            slack: Some(Slack {
                voters: 3,
                healthy: 3,
            }),
        };
        Planned {
            timing: None,
            cluster: "shop".to_owned(),
            source: Source::Saved,
            plan,
        }
    }

    pub(super) fn long(steps: u32) -> Planned {
        let step = |n: u32| {
            let before: Vec<u32> = (0..n.min(9)).collect();
            step(
                Verb::Create,
                &format!("shop/w/{n}"),
                Kind::Machine,
                &before,
                &[],
            )
        };
        let plan = Plan {
            steps: (0..steps).map(step).collect(),
            ..Plan::default()
        };
        Planned {
            timing: None,
            cluster: "shop".to_owned(),
            source: Source::Nothing,
            plan,
        }
    }
}
