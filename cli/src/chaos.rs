//! `quorate chaos`: scenarios times seeds, progress, summary and reports.

use crate::args::{Chaos, Rung};
use crate::campaign;
use crate::diagnostics::{self, Counts};
use crate::exit::Exit;
use crate::input::{self, Checked};
use crate::measured::Measured;
use crate::terminal;
use crate::world::{self, Prepared};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use quorate_sim::report::{Campaign, html, json, junit, plain, summary};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Makes a report of a campaign.
type Written = fn(&Campaign) -> String;

/// A report that was asked for. Its file is open before the first run: a wrong path does not
/// cost a campaign.
struct Report {
    path: PathBuf,
    /// None: the standard output.
    file: Option<File>,
    written: Written,
}

/// Runs scenarios and reports what held.
pub(crate) fn run(args: &Chaos) -> Exit {
    let scenarios = match prepare(&args.files, args.data.as_deref(), args.rung) {
        Ok(scenarios) => scenarios,
        Err(exit) => return exit,
    };
    let reports = match reports(args) {
        Ok(reports) => reports,
        Err(exit) => return exit,
    };
    let campaign = carried_out(args, &scenarios);
    let text = summary(&campaign);
    if reports.iter().any(|report| report.file.is_none()) {
        terminal::eprint(&text);
    } else {
        terminal::print(&text);
    }
    for report in reports {
        if let Err(exit) = write(report, &campaign) {
            return exit;
        }
    }
    Exit::of(campaign.verdict())
}

/// Reads all scenarios. Prints the diagnostics of those that cannot be run, and of all others too.
pub(crate) fn prepare(
    files: &[PathBuf],
    dir: Option<&Path>,
    rung: Rung,
) -> Result<Vec<Prepared>, Exit> {
    let data = Measured::read(dir).map_err(|bad| {
        let text = diagnostics::rendered(&[bad], terminal::stderr_coloured());
        terminal::eprint(&text);
        Exit::Invalid
    })?;
    let mut prepared = Vec::new();
    let mut checked: Vec<Checked> = Vec::new();
    for file in files {
        let read = input::scenario(file, &data).and_then(|input| match rung {
            Rung::Model => Ok((world::prepare(&input), input.checked)),
            Rung::Wire => world::prepare_wire(input),
        });
        let found = match read {
            Ok((ready, found)) => {
                prepared.push(ready);
                found
            }
            Err(found) => found,
        };
        for one in found {
            if !checked.iter().any(|known| known.name == one.name) {
                checked.push(one);
            }
        }
    }
    if prepared.len() == files.len() {
        return Ok(prepared);
    }
    let mut text = diagnostics::rendered(&checked, terminal::stderr_coloured());
    text.push_str(&format!("nothing was run: {}\n", Counts::of(&checked)));
    terminal::eprint(&text);
    Err(Exit::Invalid)
}

fn carried_out(args: &Chaos, scenarios: &[Prepared]) -> Campaign {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.map_or(available, usize::from);
    let seeds: Vec<Vec<u64>> = scenarios.iter().map(|one| seeds(args, one.seeds)).collect();
    let total: usize = seeds.iter().map(Vec::len).sum();
    let bar = bar(total as u64, !args.no_progress && terminal::watched());
    let suites = scenarios.iter().zip(&seeds).map(|(scenario, seeds)| {
        bar.set_message(plain(&scenario.scenario));
        campaign::suite(scenario, seeds, jobs, &|_| bar.inc(1))
    });
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let campaign = Campaign {
        version,
        suites: suites.collect(),
    };
    bar.finish_and_clear();
    campaign
}

fn seeds(args: &Chaos, by_scenario: u64) -> Vec<u64> {
    match (args.seed, args.seeds) {
        (Some(seed), _) => vec![seed],
        (None, count) => (1..=count.unwrap_or(by_scenario)).collect(),
    }
}

fn bar(total: u64, shown: bool) -> ProgressBar {
    if !shown {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len} runs, {eta} left  {wide_msg}");
    let style = style
        .expect("the template is well-formed")
        .progress_chars("━━─");
    // Four times a second is enough for a person.
    ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(4))
        .with_style(style)
}

fn reports(args: &Chaos) -> Result<Vec<Report>, Exit> {
    let asked: [(&Option<PathBuf>, Written); 3] = [
        (&args.json, json::json),
        (&args.junit, junit::junit),
        (&args.html, html::page),
    ];
    let asked = asked
        .into_iter()
        .filter_map(|(path, written)| Some((path.clone()?, written)));
    asked
        .map(|(path, written)| {
            let file = if path.as_os_str() == "-" {
                None
            } else {
                Some(File::create(&path).map_err(|error| unwritable(&path, &error))?)
            };
            Ok(Report {
                path,
                file,
                written,
            })
        })
        .collect()
}

fn write(report: Report, campaign: &Campaign) -> Result<(), Exit> {
    let text = (report.written)(campaign);
    let Some(mut file) = report.file else {
        terminal::print(&text);
        return Ok(());
    };
    file.write_all(text.as_bytes())
        .map_err(|error| unwritable(&report.path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Exit {
    let path = plain(&path.display().to_string());
    terminal::eprint(&format!("error: {path} cannot be written: {error}\n"));
    Exit::Invalid
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use crate::campaign::tests::prepared;
    use clap::Parser as _;
    use quorate_sim::outcome::Verdict;

    fn args(line: &str) -> Chaos {
        match Cli::parse_from(line.split(' ')).command {
            Command::Chaos(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn seeds_come_from_the_command_line_or_the_scenario() {
        assert_eq!(seeds(&args("quorate chaos a"), 3), [1, 2, 3]);
        assert_eq!(seeds(&args("quorate chaos a --seeds 2"), 3), [1, 2]);
        assert_eq!(seeds(&args("quorate chaos a --seed 9"), 3), [9]);
    }

    #[test]
    fn a_campaign_runs_every_scenario() {
        let scenarios = [
            prepared(crate::campaign::tests::run),
            prepared(crate::campaign::tests::run),
        ];
        let campaign = carried_out(&args("quorate chaos a --jobs 2"), &scenarios);
        let runs: Vec<usize> = campaign
            .suites
            .iter()
            .map(|suite| suite.runs.len())
            .collect();
        assert_eq!(runs, [10, 10]);
        assert_eq!(campaign.verdict(), Verdict::FailSlo);
        assert_eq!(campaign.version, env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn a_report_that_cannot_be_written_is_known_before_the_first_run() {
        let refused = reports(&args("quorate chaos a --junit no/such/place/junit.xml"));
        assert_eq!(refused.err(), Some(Exit::Invalid));
        let both = reports(&args("quorate chaos a --json - --html -"))
            .ok()
            .unwrap();
        assert!(both.len() == 2 && both.iter().all(|report| report.file.is_none()));
    }
}
