//! The bridge to the simulated worlds: the only file that knows how a scenario is run.

use crate::input::{Checked, ScenarioInput};
use quorate_engine::diagnostic::in_order;
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

/// Makes a scenario ready to run on the model.
pub(crate) fn prepare(input: &ScenarioInput) -> Prepared {
    let scenario = input.document.value.clone();
    let ready = quorate_sim::run::Prepared::new(scenario, &input.manifests);
    prepared(input, Box::new(move |seed| ready.run(seed)))
}

/// Makes a scenario ready to run on the wire, or says what of it does not fit there.
pub(crate) fn prepare_wire(
    mut input: ScenarioInput,
) -> Result<(Prepared, Vec<Checked>), Vec<Checked>> {
    let scenario = &input.document.value;
    let manifest = &input.manifests[&scenario.manifest];
    let misfits = quorate_wire::judge(scenario, manifest);
    if !misfits.is_empty() {
        let placed = misfits.into_iter().map(|one| input.document.locate(one));
        let own = &mut input.checked[0].diagnostics;
        own.extend(placed);
        *own = in_order(std::mem::take(own));
        return Err(input.checked);
    }
    let ready = quorate_wire::Prepared::new(scenario.clone(), manifest);
    let prepared = prepared(&input, Box::new(move |seed| ready.run(seed)));
    Ok((prepared, input.checked))
}

fn prepared(input: &ScenarioInput, run: Runner) -> Prepared {
    let scenario = &input.document.value;
    Prepared {
        file: input.file.clone(),
        scenario: scenario.name.clone(),
        title: scenario.title.clone(),
        seeds: u64::from(scenario.seeds),
        manifest: fingerprint(&input.manifests[&scenario.manifest]),
        data: input.data.clone(),
        run,
    }
}

fn fingerprint(manifest: &Manifest) -> u64 {
    hash_name(&serde_json::to_string(manifest).expect("a manifest is plain data"))
}
