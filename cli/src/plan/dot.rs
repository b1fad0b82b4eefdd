//! A plan as a graph for Graphviz: full arrows for what must succeed, dashed for what must end.

use super::Planned;
use quorate_engine::plan::{Reversibility, Step};
use quorate_sim::report::plain;
use std::fmt::Write as _;

/// The plan in the DOT language.
pub(super) fn dot(planned: &Planned) -> String {
    let mut out = String::from("digraph plan {\n  rankdir=LR;\n");
    let _ = writeln!(out, "  label={};", quoted(&planned.cluster));
    out.push_str("  node [shape=box, fontname=\"sans-serif\"];\n");
    for (index, step) in planned.plan.steps.iter().enumerate() {
        let border = match step.reversible {
            Reversibility::ReadOnly => ", style=dotted",
            Reversibility::Reversible | Reversibility::Costly => "",
            Reversibility::Irreversible => ", style=bold",
        };
        let _ = writeln!(
            out,
            "  s{index} [label={}{border}];",
            quoted(&label(index, step))
        );
    }
    for (index, step) in planned.plan.steps.iter().enumerate() {
        for before in &step.after {
            let _ = writeln!(out, "  s{before} -> s{index};");
        }
        for before in &step.settled {
            let _ = writeln!(out, "  s{before} -> s{index} [style=dashed];");
        }
    }
    out.push_str("}\n");
    out
}

fn label(index: usize, step: &Step) -> String {
    let title = plain(&step.title());
    format!(
        "{}. {title}\n{} ({})",
        index + 1,
        plain(&step.reason),
        step.expected
    )
}

/// A string of the DOT language: only quotes end it, and a backslash begins an escape of labels.
fn quoted(text: &str) -> String {
    let text = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_plan_as_a_graph() {
        insta::assert_snapshot!(dot(&sample::planned()));
    }
}
