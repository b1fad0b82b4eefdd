//! A plan for people: one line for each step, then the totals.

use super::{Planned, Source, Totals};
use quorate_engine::plan::Step;
use quorate_sim::report::plain;
use std::fmt::Write as _;

/// Steps that are shown unless all are asked for.
const STEPS: usize = 200;

/// Dependencies of a step that are shown unless all are asked for.
const AFTER: usize = 4;

const HEAD: [&str; 8] = [
    "#",
    "action",
    "resource",
    "reason",
    "after",
    "undo",
    "takes",
    "etcd after it",
];

/// The plan as a table.
pub(super) fn table(planned: &Planned, full: bool) -> String {
    let plan = &planned.plan;
    let mut out = String::new();
    let world = match planned.source {
        Source::Nothing => "nothing",
        Source::Saved => "the saved observation",
        Source::World => "the world as it is",
    };
    let cluster = plain(&planned.cluster);
    if plan.is_empty() {
        let _ = writeln!(out, "cluster {cluster}, from {world}: nothing to do");
    } else {
        let _ = writeln!(out, "cluster {cluster}, from {world}");
        if let Some(slack) = plan.slack {
            let _ = writeln!(out, "etcd now: {slack}");
        }
        if let Some(timing) = planned
            .timing
            .as_ref()
            .filter(|timing| !timing.is_default())
        {
            let _ = writeln!(out, "etcd has {}", plain(&timing.reason()));
        }
        out.push('\n');
        steps(&mut out, &plan.steps, full);
        totals(&mut out, planned);
    }
    if !plan.held.is_empty() {
        let _ = writeln!(out, "\nLeft alone on purpose:");
        for held in &plan.held {
            let _ = writeln!(
                out,
                "  {}: {}",
                plain(held.resource.as_str()),
                plain(&held.reason)
            );
        }
    }
    out
}

fn steps(out: &mut String, steps: &[Step], full: bool) {
    let shown = if full {
        steps.len()
    } else {
        STEPS.min(steps.len())
    };
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(
        steps[..shown]
            .iter()
            .enumerate()
            .map(|(index, step)| row(index, step, full)),
    );
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or_default()
    };
    let widths: [usize; HEAD.len()] = std::array::from_fn(width);
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let _ = match column {
                0 | 6 => write!(line, "{cell:>width$}  "),
                _ => write!(line, "{cell:<width$}  "),
            };
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    if let more @ 1.. = steps.len() - shown {
        let _ = writeln!(out, "… and {more} more; --full shows them all");
    }
}

fn row(index: usize, step: &Step, full: bool) -> [String; HEAD.len()] {
    [
        (index + 1).to_string(),
        step.verb.to_string(),
        plain(step.resource.as_str()),
        plain(&step.reason),
        after(step, full),
        step.reversible.to_string(),
        step.expected.to_string(),
        step.slack
            .map(|slack| slack.to_string())
            .unwrap_or_default(),
    ]
}

/// Numbers of the steps before it; in brackets those that only must have ended.
fn after(step: &Step, full: bool) -> String {
    let hard = step.after.iter().map(|before| (before + 1).to_string());
    let soft = step
        .settled
        .iter()
        .map(|before| format!("({})", before + 1));
    let all: Vec<String> = hard.chain(soft).collect();
    if full || all.len() <= AFTER {
        return all.join(" ");
    }
    format!("{} +{}", all[..AFTER].join(" "), all.len() - AFTER)
}

fn totals(out: &mut String, planned: &Planned) {
    let totals = Totals::of(&planned.plan);
    let verbs: Vec<String> = totals
        .by_verb
        .iter()
        .map(|(verb, count)| format!("{count} {verb}"))
        .collect();
    let count = planned.plan.steps.len();
    let steps = if count == 1 { "step" } else { "steps" };
    let _ = writeln!(out, "\n{count} {steps}: {}", verbs.join(", "));
    let _ = writeln!(
        out,
        "Usually takes {} along the longest chain; {} if done one by one.",
        totals.critical_path, totals.sum
    );
    if planned
        .plan
        .steps
        .iter()
        .any(|step| !step.settled.is_empty())
    {
        let _ = writeln!(
            out,
            "A number in brackets: that step must have ended, well or badly."
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_plan_reads_from_top_to_bottom() {
        insta::assert_snapshot!(table(&sample::planned(), false));
    }

    #[test]
    fn long_plans_are_cut_unless_asked_for() {
        let long = sample::long(300);
        let short = table(&long, false);
        assert!(
            short.contains("… and 100 more") && short.contains("1 2 3 4 +5"),
            "{short}"
        );
        let full = table(&long, true);
        assert!(
            full.contains("shop/w/299") && full.contains("1 2 3 4 5 6 7 8 9"),
            "{full}"
        );
        assert!(!full.contains('…'));
    }

    #[test]
    fn an_empty_plan_says_so() {
        assert_eq!(
            table(&sample::long(0), false),
            "cluster shop, from nothing: nothing to do\n"
        );
    }
}
