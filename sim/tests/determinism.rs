//! Every scenario's seed gives one run: twice in one process it is the same in every part.
//!
//! Two processes are compared by `ci/determinism`. Does not know what a scenario expects.

use quorate_engine::document;
use quorate_engine::manifest::{self, Manifest};
use quorate_sim::outcome::Run;
use quorate_sim::run::Prepared;
use quorate_sim::scenario::Scenario;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The seed of the golden transcripts.
const GOLDEN_SEED: u64 = 1;

#[expect(
    clippy::disallowed_methods,
    reason = "a test reads the files it is about"
)]
fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn manifest(directory: &Path, path: &str) -> Manifest {
    let loaded = manifest::load(&read(&directory.join(path)), None);
    loaded
        .manifest
        .unwrap_or_else(|| panic!("{path}: {:#?}", loaded.diagnostics))
}

fn prepared(file: &Path) -> Prepared {
    let directory = file.parent().expect("a scenario lies in a folder");
    let scenario = document::read::<Scenario>(&read(file), &[])
        .unwrap_or_else(|found| panic!("{}: {found:#?}", file.display()))
        .value;
    let changes = scenario.phases.iter().flat_map(|phase| &phase.changes);
    let applied = changes.filter_map(|change| change.apply.clone());
    let paths: BTreeSet<String> = applied.chain([scenario.manifest.clone()]).collect();
    let manifests: BTreeMap<String, Manifest> = paths
        .into_iter()
        .map(|path| (path.clone(), manifest(directory, &path)))
        .collect();
    Prepared::new(scenario, &manifests)
}

/// Where two runs part, in words: the first note that differs says when and where.
fn difference(one: &Run, other: &Run) -> Option<String> {
    let pairs = one.notes.iter().zip(&other.notes);
    if let Some((one, other)) = pairs.into_iter().find(|(one, other)| one != other) {
        return Some(format!("first {one:?}, then {other:?}"));
    }
    if one.trace_hash != other.trace_hash {
        return Some(format!(
            "equal notes, and hashes {} and {}",
            one.trace_hash, other.trace_hash
        ));
    }
    (one != other).then(|| "equal notes and hashes, and different figures".to_owned())
}

#[test]
fn a_seed_is_one_run() {
    let mut hashes = BTreeSet::new();
    let mut files = 0;
    insta::glob!("../../scenarios", "*.yaml", |file| {
        let prepared = prepared(file);
        let name = &prepared.scenario().name;
        let (one, other) = (prepared.run(GOLDEN_SEED), prepared.run(GOLDEN_SEED));
        assert_eq!(difference(&one, &other), None, "{name}, seed {GOLDEN_SEED}");
        assert!(one.events > 10_000, "{name} simulated next to nothing");
        files += 1;
        hashes.insert(one.trace_hash);
    });
    assert_eq!(hashes.len(), files, "different scenarios, different traces");
}

#[test]
fn another_seed_is_another_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let prepared = prepared(&folder.join("provider-outage.yaml"));
    let (one, other) = (prepared.run(GOLDEN_SEED), prepared.run(GOLDEN_SEED + 1));
    assert_ne!(one.trace_hash, other.trace_hash);
    assert_ne!(
        one.parameters, other.parameters,
        "what is drawn is drawn anew"
    );
}
