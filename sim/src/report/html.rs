//! One self-contained page: no script, no external resource, readable in light, dark and on paper.
//!
//! What is text goes through `maud`, which escapes it; nothing here writes markup as text, except
//! our own style sheet.

mod figure;
mod scale;

use super::summary::{cause, counted};
use super::tally::{ExpectationTally, RecoveryTally, Tally};
use super::times::{Agreement, Row};
use super::{Campaign, Suite, plain, shown_value, timeline};
use crate::outcome::{Held, Run, Unit, Verdict};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("html/page.css");

/// Nothing but our own style sheet may be used, whatever a name says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Most lines of notes of a run.
const NOTES: usize = 2_000;

/// Failing seeds that are listed; the others are counted.
const LISTED: usize = 20;

/// The page of a campaign.
#[must_use]
pub fn page(campaign: &Campaign) -> String {
    let runs: usize = campaign.suites.iter().map(|suite| suite.runs.len()).sum();
    let scenarios = counted(campaign.suites.len(), "scenario");
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Quorate: " (scenarios) ", " (campaign.verdict()) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "Chaos campaign: " (verdict(campaign.verdict())) }
                    p.soft {
                        (scenarios) ", " (counted(runs, "run")) " · quorate "
                        (plain(&campaign.version))
                    }
                }
                (figure::patterns())
                main {
                    @for (index, one) in campaign.suites.iter().enumerate() { (suite(index, one)) }
                }
            }
        }
    };
    markup.into_string()
}

fn verdict(verdict: Verdict) -> Markup {
    let (class, mark) = if verdict.holds() {
        ("good", "✓")
    } else {
        ("bad", "✗")
    };
    html! { span.verdict.(class) { span aria-hidden="true" { (mark) " " } (verdict) } }
}

fn suite(index: usize, suite: &Suite) -> Markup {
    let tally = Tally::of(&suite.runs);
    let id = format!("s{index}");
    html! {
        section aria-labelledby=(id) {
            h2 id=(id) { (plain(&suite.scenario)) }
            @if !suite.title.is_empty() { p { (plain(&suite.title)) } }
            p.soft {
                (counted(tally.runs, "run")) ":"
                @for (kind, count) in &tally.verdicts { " " (count) " " (verdict(*kind)) }
                " · manifest " code { (super::json::fingerprint(suite)) }
            }
            @if !tally.expectations.is_empty() { (expectations(&tally.expectations)) }
            @if !tally.recoveries.is_empty() { (recoveries(&tally.recoveries)) }
            @if !suite.times.is_empty() { (times(&suite.times)) }
            @if !tally.failing.is_empty() { (failing(suite)) }
            @for (number, one) in suite.shown.iter().enumerate() {
                (run(suite, one, &format!("s{index}r{number}")))
            }
        }
    }
}

fn figures_head() -> Markup {
    html! {
        th.n scope="col" { "worst seed" }
        th.n scope="col" { "p50" } th.n scope="col" { "p90" } th.n scope="col" { "p99" }
        th.n scope="col" { "worst" }
    }
}

fn expectations(rows: &[ExpectationTally]) -> Markup {
    html! {
        div.wide { table {
            caption { "Expectations over all runs. p90: nine of ten runs were no worse." }
            thead { tr {
                th scope="col" { "expectation" } th scope="col" { "verdict" } (figures_head())
            } }
            tbody { @for row in rows { tr {
                td { (plain(&row.name)) }
                td { (verdict(row.verdict)) }
                td.n { @if row.values.is_some() || !row.verdict.holds() { (row.worst_seed) } }
                (figures(row.values, row.unit))
            } } }
        } }
    }
}

/// Predicted beside measured.
fn times(rows: &[Row]) -> Markup {
    html! {
        div.wide { table {
            caption {
                "Predicted and measured, in seconds from the fault. Predicted: p50 (p10-p90) of "
                "simulated runs. Measured: least / median / most. Ratio of medians; close: within "
                "a fifth, or a tenth of a second."
            }
            thead { tr {
                th scope="col" { "fault" } th scope="col" { "time" }
                th.n scope="col" { "predicted" } th.n scope="col" { "measured" }
                th.n scope="col" { "ratio" } th scope="col" { "prediction" }
            } }
            tbody { @for row in rows { tr {
                td { (plain(&row.fault)) }
                td { (plain(&row.what)) }
                @for cell in row.cells() { td.n { (cell) } }
                td { (agreement(row.verdict)) }
            } } }
        } }
    }
}

fn agreement(verdict: Agreement) -> Markup {
    match verdict {
        Agreement::Close => html! { span.verdict.good { "✓ close" } },
        Agreement::Off => html! { span.verdict.bad { "✗ off" } },
        Agreement::Few | Agreement::Alone => html! { (verdict.name()) },
    }
}

fn recoveries(rows: &[RecoveryTally]) -> Markup {
    html! {
        div.wide { table {
            caption {
                "Recovery: from a fault to the end of the last request that failed for it."
            }
            thead { tr {
                th scope="col" { "fault" } th scope="col" { "who" } (figures_head())
            } }
            tbody { @for row in rows { tr {
                td { (plain(&row.fault)) }
                td {
                    (plain(&row.of))
                    @if row.unnoticed > 0 {
                        span.soft { " (" (row.unnoticed) " of " (row.times) " unnoticed)" }
                    }
                }
                td.n { (row.worst_seed) }
                (figures(Some(row.recovery), Unit::Ms))
            } } }
        } }
    }
}

fn figures(values: Option<super::Distribution>, unit: Unit) -> Markup {
    let shown = values.map(|v| [v.p50, v.p90, v.p99, v.worst].map(|v| shown_value(v, unit)));
    html! { @for text in shown.unwrap_or_default() { td.n { (text) } } }
}

fn failing(suite: &Suite) -> Markup {
    let failing: Vec<&Run> = suite
        .runs
        .iter()
        .filter(|run| !run.verdict.holds())
        .collect();
    html! {
        h3 { "Failing seeds" }
        ul { @for run in failing.iter().take(LISTED) {
            li { code { (suite.replay(run.seed)) } br; span.soft { (plain(&cause(run))) } }
        } }
        @if failing.len() > LISTED { p.soft { "and " (failing.len() - LISTED) " more" } }
    }
}

fn run(suite: &Suite, run: &Run, id: &str) -> Markup {
    html! {
        article aria-labelledby=(format!("{id}h")) {
            h3 id=(format!("{id}h")) { "Seed " (run.seed) ": " (verdict(run.verdict)) }
            p.soft {
                (run.simulated) " simulated, " (run.events) " events, trace "
                code { (plain(&run.trace_hash)) } " · " code { (suite.replay(run.seed)) }
            }
            (figure::figure(run, id))
            @if !run.expectations.is_empty() { (held(&run.expectations)) }
            @if !run.notes.is_empty() {
                details {
                    summary { "What happened: " (counted(run.notes.len(), "note")) }
                    pre { (notes(run)) }
                }
            }
            @if !run.parameters.is_empty() {
                details {
                    summary { "What was drawn: " (counted(run.parameters.len(), "parameter")) }
                    dl { @for (name, value) in &run.parameters {
                        dt { (plain(name)) } dd { (plain(value)) }
                    } }
                }
            }
        }
    }
}

fn held(expectations: &[Held]) -> Markup {
    html! {
        div.wide { table {
            caption { "Expectations of this run" }
            thead { tr {
                th scope="col" { "expectation" } th scope="col" { "verdict" }
                th scope="col" { "measured" }
            } }
            tbody { @for held in expectations { tr {
                td { (plain(&held.name)) } td { (verdict(held.verdict)) }
                td { (plain(&held.detail)) }
            } } }
        } }
    }
}

fn notes(run: &Run) -> String {
    timeline::lines(&run.notes, NOTES).join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_page_of_a_campaign() {
        insta::assert_snapshot!(page(&sample::campaign()));
    }

    #[test]
    fn hostile_names_stay_text() {
        let page = page(&sample::hostile());
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("&lt;script&gt;"));
        assert!(!page.contains('\u{0}') && !page.contains('\x1b'));
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        let page = page(&sample::campaign());
        for loading in [
            "src=", "href=", "@import", "http:", "https:", "<script", "onload",
        ] {
            assert!(!page.contains(loading), "{loading}");
        }
        let references = page.matches("url(").count();
        assert_eq!(references, page.matches("url(#").count());
    }

    #[test]
    fn every_id_is_unique_and_every_reference_leads_somewhere() {
        let page = page(&sample::campaign());
        let attribute = |name: &str| -> Vec<String> {
            let begin = format!(" {name}=\"");
            let after = page.split(begin.as_str()).skip(1);
            after
                .map(|rest| rest[..rest.find('"').unwrap()].to_owned())
                .collect()
        };
        let ids = attribute("id");
        let mut unique = ids.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(ids.len(), unique.len(), "{ids:?}");
        let references = attribute("aria-labelledby");
        assert!(references.len() >= 6, "{references:?}");
        for id in references.iter().flat_map(|all| all.split(' ')) {
            assert!(unique.iter().any(|known| known == id), "{id}");
        }
    }
}
