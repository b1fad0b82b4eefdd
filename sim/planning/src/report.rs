//! A whole report: every section from one manifest and one set of data.

use crate::data::{Data, Date};
use crate::design::{Design, DomainKind};
use crate::failures::{Failures, failures};
use crate::objectives::{self, Objective};
use crate::page::{Block, Cell, Chart, Column, Drawing, Place, Section, Table, Tone};
use quorate_engine::manifest::{Manifest, Role};
use quorate_engine::random::{Seed, hash_name};
use quorate_engine::topology::MeshFull;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a report is made with, beside a manifest and data.
#[derive(Debug, Clone)]
pub struct Options {
    /// Luck of everything that is simulated. The same for two designs that are compared.
    pub seed: u64,
    /// For the age of data; nothing else knows the calendar.
    pub today: Date,
}

/// A report.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Report {
    /// The cluster's name.
    pub cluster: String,
    /// Fingerprint of the manifest: 16 hexadecimal digits.
    pub fingerprint: String,
    /// The seed of what is simulated.
    pub seed: u64,
    /// What the manifest asks for.
    pub objectives: Vec<Objective>,
    /// What survives which failure.
    pub failures: Failures,
    #[serde(skip)]
    map: Vec<Place>,
}

/// How far a report is: what is being made, and how much of it is done.
pub type Progress<'a> = dyn FnMut(&str, usize, usize) + 'a;

/// Makes a report.
///
/// # Errors
/// If the mesh has fewer addresses than there are nodes.
pub fn report(
    manifest: &Arc<Manifest>,
    _data: &Data,
    options: &Options,
    progress: &mut Progress<'_>,
) -> Result<Report, MeshFull> {
    let design = Design::of(manifest)?;
    let seed = Seed(options.seed);
    let failures = failures(&design, seed, &mut |done, all| {
        progress("failures", done, all)
    });
    let text = serde_json::to_string(manifest.as_ref()).expect("a manifest is plain data");
    Ok(Report {
        cluster: manifest.metadata.name.clone(),
        fingerprint: format!("{:016x}", hash_name(&text)),
        seed: options.seed,
        objectives: objectives::of_losses(&design, &failures),
        failures,
        map: map(&design),
    })
}

impl Report {
    /// Its sections, in order.
    #[must_use]
    pub fn sections(&self) -> Vec<Section> {
        vec![self.overview(), self.failures.section()]
    }

    /// Whether every objective is met.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.objectives.iter().all(|objective| objective.met)
    }

    fn overview(&self) -> Section {
        let missed = self
            .objectives
            .iter()
            .filter(|objective| !objective.met)
            .count();
        let lead = match (self.objectives.len(), missed) {
            (0, _) => "The manifest asks for nothing: set `spec.resilience`.".to_owned(),
            (all, 0) => format!("The design meets all {all} objectives."),
            (all, missed) => format!("The design misses {missed} of {all} objectives."),
        };
        let columns = vec![
            Column::words("asked"),
            Column::words("met"),
            Column::words("given"),
        ];
        let mut table = Table::new("objectives", "What the manifest asks for", columns);
        for Objective { asked, met, given } in &self.objectives {
            let (word, tone) = if *met {
                ("yes", Tone::Good)
            } else {
                ("no", Tone::Bad)
            };
            table.push(vec![
                Cell::text(asked),
                Cell::text(word).toned(tone),
                Cell::text(given),
            ]);
        }
        let map = Chart {
            id: "map",
            caption: "Failure domains, and what stands in them".to_owned(),
            drawing: Drawing::Map(self.map.clone()),
        };
        Section {
            id: "overview",
            title: format!("{} at a glance", self.cluster),
            lead,
            blocks: vec![Block::Table(table), Block::Chart(map)],
        }
    }
}

/// Providers, regions and zones, and the nodes in them.
fn map(design: &Design) -> Vec<Place> {
    let mut providers = BTreeMap::<_, BTreeMap<_, BTreeMap<_, Vec<Place>>>>::new();
    for node in design.nodes() {
        let zones = providers.entry(&node.provider).or_default();
        let nodes = zones
            .entry(&node.region)
            .or_default()
            .entry(&node.zone)
            .or_default();
        let marks = node.roles.iter().map(|role| match role {
            Role::ControlPlane => "etcd".to_owned(),
            Role::Worker => "worker".to_owned(),
            Role::LoadBalancer => "load balancer".to_owned(),
        });
        nodes.push(Place {
            name: node.id.to_string(),
            kind: DomainKind::Node.word().to_owned(),
            marks: marks.collect(),
            within: Vec::new(),
        });
    }
    let place = |name: &str, kind: DomainKind, within: Vec<Place>| Place {
        name: name.to_owned(),
        kind: kind.word().to_owned(),
        marks: Vec::new(),
        within,
    };
    let zones = |zones: BTreeMap<&String, Vec<Place>>| {
        let zones = zones.into_iter();
        zones
            .map(|(name, nodes)| place(name, DomainKind::Zone, nodes))
            .collect()
    };
    let regions = |regions: BTreeMap<&String, BTreeMap<_, _>>| {
        let regions = regions.into_iter();
        regions
            .map(|(name, of)| place(name, DomainKind::Region, zones(of)))
            .collect()
    };
    let providers = providers.into_iter();
    providers
        .map(|(name, of)| place(name, DomainKind::Provider, regions(of)))
        .collect()
}
