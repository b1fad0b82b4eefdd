//! The calm text at the end of a campaign: what held, the figures, and how to see a failure again.

use super::tally::{Distribution, ExpectationTally, RecoveryTally, Tally};
use super::{Campaign, Suite, plain, shown_value};
use crate::outcome::{Run, Unit, Verdict};
use std::fmt::Write as _;

/// Failing seeds that are listed; the others are counted.
const LISTED: usize = 5;

/// The widest name; longer ones are cut.
const WIDEST: usize = 64;

/// What a campaign came to, for a terminal. Ends with a line break.
#[must_use]
pub fn summary(campaign: &Campaign) -> String {
    let mut out = String::new();
    for suite in &campaign.suites {
        scenario(&mut out, suite);
        out.push('\n');
    }
    let runs: Vec<&Run> = campaign
        .suites
        .iter()
        .flat_map(|suite| &suite.runs)
        .collect();
    let held = runs.iter().filter(|run| run.verdict.holds()).count();
    let failed = runs.len() - held;
    let scenarios = counted(campaign.suites.len(), "scenario");
    let _ = write!(
        out,
        "{scenarios}, {}: {held} held",
        counted(runs.len(), "run")
    );
    let _ = match failed {
        0 => writeln!(out, "."),
        failed => writeln!(out, ", {failed} did not."),
    };
    out
}

/// `1 run`, `3 runs`.
pub(super) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn scenario(out: &mut String, suite: &Suite) {
    let tally = Tally::of(&suite.runs);
    let _ = match suite.title.as_str() {
        "" => writeln!(out, "{}", plain(&suite.scenario)),
        title => writeln!(out, "{}: {}", plain(&suite.scenario), plain(title)),
    };
    let verdicts: Vec<String> = tally
        .verdicts
        .iter()
        .map(|(verdict, count)| format!("{count} {verdict}"))
        .collect();
    let _ = writeln!(
        out,
        "  {}: {}",
        counted(tally.runs, "run"),
        verdicts.join(", ")
    );
    if !tally.expectations.is_empty() {
        let head = ["expectation", "verdict", "worst seed", "p50", "p90", "p99"];
        let rows = tally.expectations.iter().map(expectation).collect();
        table(out, head, rows);
    }
    if !tally.recoveries.is_empty() {
        let head = ["recovery after", "of", "worst seed", "p50", "p90", "p99"];
        let rows = tally.recoveries.iter().map(recovery).collect();
        table(out, head, rows);
    }
    failures(out, suite, &tally);
}

fn expectation(tally: &ExpectationTally) -> [String; 6] {
    // Where nothing was measured and all is well, one seed is as good as another.
    let tells = tally.values.is_some() || !tally.verdict.holds();
    let seed = if tells {
        tally.worst_seed.to_string()
    } else {
        String::new()
    };
    let [p50, p90, p99] = percentiles(tally.values, tally.unit);
    [
        cut(&tally.name),
        tally.verdict.to_string(),
        seed,
        p50,
        p90,
        p99,
    ]
}

fn recovery(tally: &RecoveryTally) -> [String; 6] {
    let [p50, p90, p99] = percentiles(Some(tally.recovery), Unit::Ms);
    let seed = tally.worst_seed.to_string();
    [cut(&tally.fault), cut(&tally.of), seed, p50, p90, p99]
}

fn percentiles(values: Option<Distribution>, unit: Unit) -> [String; 3] {
    match values {
        Some(values) => [values.p50, values.p90, values.p99].map(|v| shown_value(v, unit)),
        None => std::array::from_fn(|_| String::new()),
    }
}

fn cut(name: &str) -> String {
    let name = plain(name);
    if name.chars().count() <= WIDEST {
        return name;
    }
    name.chars().take(WIDEST - 1).chain(['…']).collect()
}

/// Two columns of text, four of figures.
fn table(out: &mut String, head: [&str; 6], rows: Vec<[String; 6]>) {
    let all: Vec<[String; 6]> = std::iter::once(head.map(str::to_owned))
        .chain(rows)
        .collect();
    let width = |column: usize| {
        let widths = all.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or_default()
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    out.push('\n');
    for row in &all {
        let mut line = String::from(" ");
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let _ = match column {
                0 | 1 => write!(line, " {cell:<width$} "),
                _ => write!(line, " {cell:>width$} "),
            };
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

fn failures(out: &mut String, suite: &Suite, tally: &Tally) {
    if tally.failing.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n  failing seeds");
    let failing = suite.runs.iter().filter(|run| !run.verdict.holds());
    for run in failing.take(LISTED) {
        let _ = writeln!(out, "    {}", suite.replay(run.seed));
        let _ = writeln!(out, "      {}", plain(&cause(run)));
    }
    if let Some(more @ 1..) = tally.failing.len().checked_sub(LISTED) {
        let _ = writeln!(out, "    and {more} more");
    }
}

/// Why a run does not hold, in one line: its first expectation with its verdict.
pub(super) fn cause(run: &Run) -> String {
    let guilty = run
        .expectations
        .iter()
        .find(|held| held.verdict == run.verdict);
    match guilty {
        Some(held) if held.detail.is_empty() => format!("{}: {}", run.verdict, held.name),
        Some(held) => format!("{}: {}: {}", run.verdict, held.name, held.detail),
        None if run.verdict == Verdict::Nondeterministic => {
            format!("{}: run again, the trace was another one", run.verdict)
        }
        None => run.verdict.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_campaign_at_a_glance() {
        insta::assert_snapshot!(summary(&sample::campaign()));
    }

    #[test]
    fn many_failing_seeds_are_counted() {
        let suite = Suite {
            file: "all.yaml".to_owned(),
            runs: (1..=8)
                .map(|seed| sample::bare(seed, Verdict::Invalid))
                .collect(),
            ..Suite::default()
        };
        let text = summary(&Campaign {
            suites: vec![suite],
            ..Campaign::default()
        });
        assert!(
            text.contains("--seed 5\n") && !text.contains("--seed 6"),
            "{text}"
        );
        assert!(text.contains("    and 3 more\n"), "{text}");
        assert!(
            text.ends_with("1 scenario, 8 runs: 0 held, 8 did not.\n"),
            "{text}"
        );
    }

    #[test]
    fn hostile_names_stay_on_their_line() {
        let text = summary(&sample::hostile());
        assert!(
            text.chars().all(|c| c == '\n' || !c.is_control()),
            "{text:?}"
        );
    }
}
