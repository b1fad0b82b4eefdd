//! The machine-readable report: every run, and the figures over all of them.

use super::tally::Tally;
use super::times::Row;
use super::{Campaign, Suite};
use crate::outcome::{Run, Verdict};
use serde::Serialize;

#[derive(Serialize)]
struct Report<'a> {
    /// Of the program.
    version: &'a str,
    runs: Vec<OneRun<'a>>,
    summary: Summary<'a>,
}

#[derive(Serialize)]
struct OneRun<'a> {
    #[serde(flatten)]
    run: &'a Run,
    file: &'a str,
    manifest: String,
    replay: String,
}

#[derive(Serialize)]
struct Summary<'a> {
    verdict: Verdict,
    runs: usize,
    held: usize,
    scenarios: Vec<Scenario<'a>>,
}

#[derive(Serialize)]
struct Scenario<'a> {
    scenario: &'a str,
    title: &'a str,
    file: &'a str,
    /// Fingerprint of the cluster's manifest: 16 hexadecimal digits.
    manifest: String,
    #[serde(flatten)]
    tally: Tally,
    #[serde(skip_serializing_if = "<[Row]>::is_empty")]
    times: &'a [Row],
}

/// A campaign as JSON, indented. Ends with a line break.
///
/// # Panics
/// Never: a report has no map with keys other than names.
#[must_use]
pub fn json(campaign: &Campaign) -> String {
    let runs: Vec<OneRun<'_>> = campaign
        .suites
        .iter()
        .flat_map(|suite| suite.runs.iter().map(|run| one_run(suite, run)))
        .collect();
    let held = runs.iter().filter(|one| one.run.verdict.holds()).count();
    let report = Report {
        version: &campaign.version,
        summary: Summary {
            verdict: campaign.verdict(),
            runs: runs.len(),
            held,
            scenarios: campaign.suites.iter().map(scenario).collect(),
        },
        runs,
    };
    let mut text = serde_json::to_string_pretty(&report).expect("a report is plain data");
    text.push('\n');
    text
}

fn one_run<'a>(suite: &'a Suite, run: &'a Run) -> OneRun<'a> {
    OneRun {
        run,
        file: &suite.file,
        manifest: fingerprint(suite),
        replay: suite.replay(run.seed),
    }
}

fn scenario(suite: &Suite) -> Scenario<'_> {
    Scenario {
        scenario: &suite.scenario,
        title: &suite.title,
        file: &suite.file,
        manifest: fingerprint(suite),
        tally: Tally::of(&suite.runs),
        times: &suite.times,
    }
}

/// The manifest's fingerprint: 16 hexadecimal digits.
pub(super) fn fingerprint(suite: &Suite) -> String {
    format!("{:016x}", suite.manifest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use serde_json::Value;

    fn parsed(campaign: &Campaign) -> Value {
        serde_json::from_str(&json(campaign)).unwrap()
    }

    #[test]
    fn every_run_has_what_a_program_asks_for() {
        let report = parsed(&sample::campaign());
        assert_eq!(report["version"], "0.1.0");
        let run = &report["runs"][2];
        insta::assert_snapshot!(serde_json::to_string_pretty(run).unwrap());
        assert_eq!(report["runs"].as_array().unwrap().len(), 4);
    }

    #[test]
    fn the_summary_has_the_figures() {
        insta::assert_snapshot!(
            serde_json::to_string_pretty(&parsed(&sample::campaign())["summary"]).unwrap()
        );
    }

    #[test]
    fn hostile_names_come_back_as_they_were() {
        let campaign = sample::hostile();
        let report = parsed(&campaign);
        assert_eq!(
            report["runs"][0]["scenario"],
            campaign.suites[0].scenario.as_str()
        );
    }
}
