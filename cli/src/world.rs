//! The bridge to the simulated world: the only file that knows how a scenario is run.

use crate::input::ScenarioInput;
use quorate_engine::manifest::Manifest;
use quorate_engine::random::hash_name;
use quorate_sim::outcome::Run;

/// One run of a seed.
pub(crate) type Runner = Box<dyn Fn(u64) -> Run + Send + Sync>;

/// A scenario that can be run.
pub(crate) struct Prepared {
    /// The scenario's file, as it was given.
    pub(crate) file: String,
    pub(crate) scenario: String,
    pub(crate) title: String,
    /// Seeds 1 to this are run by default.
    pub(crate) seeds: u64,
    /// Fingerprint of the cluster's manifest.
    pub(crate) manifest: u64,
    /// The directory of measured data, where one was given.
    pub(crate) data: Option<String>,
    pub(crate) run: Runner,
}

/// Makes a scenario ready to run.
pub(crate) fn prepare(input: &ScenarioInput) -> Prepared {
    let scenario = &input.document.value;
    let ready = quorate_sim::run::Prepared::new(scenario.clone(), &input.manifests);
    Prepared {
        file: input.file.clone(),
        scenario: scenario.name.clone(),
        title: scenario.title.clone(),
        seeds: u64::from(scenario.seeds),
        manifest: fingerprint(&input.manifests[&scenario.manifest]),
        data: input.data.clone(),
        run: Box::new(move |seed| ready.run(seed)),
    }
}

fn fingerprint(manifest: &Manifest) -> u64 {
    hash_name(&serde_json::to_string(manifest).expect("a manifest is plain data"))
}
