//! One run: a scenario and a seed, from an empty world to a verdict.
//!
//! Pure: the same scenario and seed give the same [`Run`], on any machine. Reading order: `play`
//! (phases and faults over time), `evidence` (what was measured), `tell` (what it came to), `expect`
//! (what was measured against what was expected), `cost` (what each fault cost).

mod clients;
mod cost;
mod evidence;
mod expect;
mod judge;
mod own;
mod play;
mod tell;

pub use cost::costs;
pub use evidence::{Evidence, Injected, Measured, Played, leaderless};
pub use expect::{expectations, held};
pub use judge::judge;
pub use tell::{recoveries, series};

use crate::outcome::Run;
use crate::scenario::Scenario;
use quorate_engine::manifest::{self, Manifest};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A scenario with everything it refers to, ready to run.
#[derive(Debug, Clone)]
pub struct Prepared {
    scenario: Scenario,
    manifest: Arc<Manifest>,
    /// Manifests that changes refer to, by path.
    others: BTreeMap<String, Arc<Manifest>>,
    /// Codes of what checking the manifest found.
    codes: Vec<&'static str>,
}

impl Prepared {
    /// Makes a scenario ready. `manifests` holds every manifest it names, by the path it gives.
    /// Mistakes in the scenario are [`judge`]'s to find, before.
    ///
    /// # Panics
    /// If a manifest is missing that the scenario names.
    #[must_use]
    pub fn new(scenario: Scenario, manifests: &BTreeMap<String, Manifest>) -> Self {
        let get = |path: &String| {
            let found = manifests
                .get(path)
                .unwrap_or_else(|| panic!("{path} was loaded"));
            Arc::new(found.clone())
        };
        let changes = scenario.phases.iter().flat_map(|phase| &phase.changes);
        let paths = changes.filter_map(|change| change.apply.as_ref());
        let others = paths.map(|path| (path.clone(), get(path))).collect();
        let manifest = get(&scenario.manifest);
        let codes = manifest::judge(&manifest)
            .into_iter()
            .map(|finding| finding.code)
            .collect();
        Self {
            scenario,
            manifest,
            others,
            codes,
        }
    }

    /// The scenario.
    #[must_use]
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// Runs it with a seed.
    #[must_use]
    pub fn run(&self, seed: u64) -> Run {
        play::Play::new(self, seed).run()
    }
}
