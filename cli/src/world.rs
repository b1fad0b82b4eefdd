//! The bridge to the simulated world: the only file that knows how a scenario is run.

use crate::input::ScenarioInput;
use quorate_engine::diagnostic::Finding;
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
    pub(crate) run: Runner,
}

/// Makes a scenario ready to run.
///
/// # Errors
/// Mistakes of the scenario that only show beside its manifests.
pub(crate) fn prepare(input: &ScenarioInput) -> Result<Prepared, Vec<Finding>> {
    let run = runner(input)?;
    let scenario = &input.document.value;
    Ok(Prepared {
        file: input.file.clone(),
        scenario: scenario.name.clone(),
        title: scenario.title.clone(),
        seeds: u64::from(scenario.seeds),
        manifest: fingerprint(&input.manifests[&scenario.manifest]),
        run,
    })
}

fn fingerprint(manifest: &Manifest) -> u64 {
    hash_name(&serde_json::to_string(manifest).expect("a manifest is plain data"))
}

/// How a seed of this scenario is run.
fn runner(_input: &ScenarioInput) -> Result<Runner, Vec<Finding>> {
    let place = quorate_engine::diagnostic::Path::root();
    let finding = Finding::error("no-world", &place, "this build has no simulated world");
    Err(vec![finding.fix("use a build of the whole workspace")])
}
