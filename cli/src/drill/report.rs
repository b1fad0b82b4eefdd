//! Reports of a drill: those of a campaign, and predicted beside measured.

use super::entries;
use super::paths::Paths;
use crate::args::Drill as Args;
use crate::exit::Exit;
use crate::input::ScenarioInput;
use crate::terminal;
use crate::world;
use quorate_engine::engine::etcd_version;
use quorate_engine::topology::{Roster, Topology};
use quorate_sim::outcome::{Run, Series};
use quorate_sim::report::times::{Row, rows, table};
use quorate_sim::report::{Campaign, Suite, chosen, html, json, junit, plain, summary};
use quorate_sim::run::Prepared;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Reports that were asked for, open before anything is touched.
pub(super) struct Files {
    json: Option<(PathBuf, File)>,
    junit: Option<(PathBuf, File)>,
    html: Option<(PathBuf, File)>,
}

impl Files {
    pub(super) fn open(args: &Args) -> Result<Self, String> {
        let open = |path: &Option<PathBuf>| match path {
            None => Ok(None),
            Some(path) => match File::create(path) {
                Ok(file) => Ok(Some((path.clone(), file))),
                Err(error) => Err(unwritable(path, &error)),
            },
        };
        Ok(Self {
            json: open(&args.json)?,
            junit: open(&args.junit)?,
            html: open(&args.html)?,
        })
    }

    /// Says how it went, and writes what was asked for.
    pub(super) fn write(
        self,
        input: &ScenarioInput,
        runs: Vec<Run>,
        predicted: &[Run],
    ) -> Result<Exit, String> {
        let scenario = &input.document.value;
        let rows = rows(scenario, predicted, &runs);
        let times = plain_lines(&table(&rows));
        let campaign = campaign(input, runs, rows);
        terminal::print(&summary(&campaign));
        terminal::print(&format!("\n{times}"));
        let texts = [
            (self.json, json::json(&campaign)),
            (self.junit, junit::junit(&campaign)),
            (self.html, html::page(&campaign)),
        ];
        for (file, text) in texts {
            if let Some((path, mut file)) = file {
                let written = file.write_all(text.as_bytes());
                written.map_err(|error| unwritable(&path, &error))?;
            }
        }
        Ok(Exit::of(campaign.verdict()))
    }
}

fn plain_lines(text: &str) -> String {
    text.lines()
        .map(|line| format!("{}\n", plain(line)))
        .collect()
}

fn unwritable(path: &Path, error: &std::io::Error) -> String {
    format!("{} cannot be written: {error}", path.display())
}

fn campaign(input: &ScenarioInput, runs: Vec<Run>, times: Vec<Row>) -> Campaign {
    let prepared = world::prepare(input);
    let worth = chosen(&runs);
    let shown = worth
        .iter()
        .filter_map(|seed| runs.iter().find(|run| run.seed == *seed));
    let shown = shown.cloned().collect();
    Campaign {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        suites: vec![Suite {
            file: prepared.file,
            scenario: prepared.scenario,
            title: prepared.title,
            manifest: prepared.manifest,
            data: prepared.data,
            runs,
            times,
            shown,
        }],
    }
}

/// The same scenario in the simulator: with etcd's version and round trips as they were found, nobody
/// who heals, and clients at each entry point alone, too.
pub(super) fn predicted(
    input: &ScenarioInput,
    version: Option<&str>,
    paths: &Paths,
    args: &Args,
) -> Vec<Run> {
    let scenario = &input.document.value;
    let mut manifests = input.manifests.clone();
    let manifest = manifests.get_mut(&scenario.manifest).expect("it was read");
    if let (Some(version), Some(kubernetes)) = (version, &mut manifest.spec.kubernetes) {
        kubernetes.etcd.version = Some(version.to_owned());
        terminal::eprint(&format!(
            "predicting with etcd {:?}, {} seeds\n",
            etcd_version(manifest),
            args.predict
        ));
    }
    let manifest = Arc::new(manifest.clone());
    let Ok(topology) = Topology::resolve(&manifest, &Roster::default()) else {
        return Vec::new();
    };
    let label = |node: &quorate_engine::topology::Node| {
        let (_, rest) = node.id.as_str().split_once('/')?;
        Some(rest.to_owned())
    };
    let labels: Vec<String> = topology.nodes.iter().filter_map(label).collect();
    let mirrored = entries::mirrored(scenario, &manifest, &labels, paths);
    let prepared = Prepared::new(mirrored, &manifests);
    simulated(&prepared, args.predict)
}

/// Seeds 1 to `seeds`; of each run only what its faults cost.
fn simulated(prepared: &Prepared, seeds: u64) -> Vec<Run> {
    let next = AtomicU64::new(1);
    let done: Mutex<Vec<Run>> = Mutex::new(Vec::new());
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > seeds {
                        break;
                    }
                    let run = prepared.run(seed);
                    let series = Series {
                        costs: run.series.costs,
                        ..Series::default()
                    };
                    let run = Run {
                        notes: Vec::new(),
                        series,
                        ..run
                    };
                    done.lock().expect("no run panicked").push(run);
                }
            });
        }
    });
    let mut runs = done.into_inner().expect("no run panicked");
    runs.sort_by_key(|run| run.seed);
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser as _;

    #[test]
    fn the_simulator_predicts_for_every_entry_point_alone() {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../scenarios/one-way-partition.yaml"
        );
        let input = crate::input::scenario(Path::new(file), &crate::measured::Measured::default())
            .unwrap_or_else(|_| panic!("it is sound"));
        let line = ["quorate", "drill", file, "--predict", "1"];
        let Command::Drill(args) = Cli::parse_from(line).command else {
            panic!("a drill");
        };
        let runs = predicted(&input, None, &Paths::default(), &args);
        assert_eq!(runs.len(), 1);
        let costs = &runs[0].series.costs;
        assert!(!costs.is_empty(), "faults were injected");
        let scenario = &input.document.value;
        let first = &scenario.clients[0].name;
        let alone = format!("{first}@");
        for cost in costs {
            let felt: Vec<&str> = cost.felt.iter().map(|felt| felt.of.as_str()).collect();
            assert!(felt.contains(&first.as_str()), "{felt:?}");
            assert!(felt.iter().any(|of| of.starts_with(&alone)), "{felt:?}");
        }
        let rows = rows(scenario, &runs, &[]);
        let text = json::json(&campaign(&input, runs, rows));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let times = &value["summary"]["scenarios"][0]["times"];
        assert!(times[0]["predicted"]["p50"].is_u64(), "{times}");
    }
}
