//! A whole report: every section from one manifest and one set of data.

use crate::advice::{self, Advice, advice};
use crate::availability::{self, Availability, availability};
use crate::capacity::{Capacity, capacity};
use crate::change::Change;
use crate::data::{Data, Date, Evidence};
use crate::design::{Design, DomainKind};
use crate::distance::{Distance, distance};
use crate::failures::{Failures, failures};
use crate::objectives::{self, Objective};
use crate::page::{Block, Cell, Chart, Column, Drawing, Place, Section, Table, Tone};
use crate::price::{Price, PriceOptions, price};
use crate::proof::{Proof, proof};
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
    /// Search for better designs.
    pub advice: bool,
    /// Lose every domain in the simulated world, too, and compare.
    pub simulate: bool,
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
    /// The same losses in the simulated world, where that was asked for.
    pub proofs: Vec<Proof>,
    /// How available it is.
    pub availability: Availability,
    /// What still fits.
    pub capacity: Capacity,
    /// What distance costs.
    pub distance: Distance,
    /// What it costs.
    pub price: Price,
    /// What could be changed; none if it was not asked.
    pub advice: Option<Advice>,
    #[serde(skip)]
    data: Data,
    #[serde(skip)]
    map: Vec<Place>,
}

/// What `quorate report --json` writes.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Document {
    /// Of the program.
    pub version: String,
    /// One for each manifest, in the order of the command line.
    pub reports: Vec<Report>,
    /// The change from the first to the second, where that was asked for.
    pub change: Option<Change>,
}

/// The JSON Schema of a [`Document`].
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Document);
    let id = "https://quorate.dev/schema/v1/report.json";
    schema.insert("$id".to_owned(), id.into());
    schema.insert("title".to_owned(), "Quorate planning report".into());
    schema.into()
}

/// How far a report is: what is being made, and how much of it is done.
pub type Progress<'a> = dyn FnMut(&str, usize, usize) + 'a;

/// Makes a report.
///
/// # Errors
/// If the mesh has fewer addresses than there are nodes.
pub fn report(
    manifest: &Arc<Manifest>,
    data: &Data,
    options: &Options,
    progress: &mut Progress<'_>,
) -> Result<Report, MeshFull> {
    let design = Design::of(manifest)?;
    let seed = Seed(options.seed);
    let failures = failures(&design, seed, &mut |done, all| {
        progress("failures", done, all)
    });
    let proofs = proofs(&design, &failures, options, progress);
    progress("availability", 0, 1);
    let asked = availability::Options {
        seed: options.seed,
        ..availability::Options::default()
    };
    let availability = availability(&design, data, &asked);
    progress("capacity", 0, 1);
    let capacity = capacity(&design)?;
    let priced = PriceOptions {
        today: Some(options.today.clone()),
        ..PriceOptions::default()
    };
    let mut objectives = objectives::of_losses(&design, &failures);
    objectives.extend(objectives::of_time(&design, &availability));
    let text = serde_json::to_string(manifest.as_ref()).expect("a manifest is plain data");
    let limits = advice::Limits::of(&design);
    let searched = options
        .advice
        .then(|| advice(manifest, data, options.seed, limits, progress));
    Ok(Report {
        cluster: manifest.metadata.name.clone(),
        fingerprint: format!("{:016x}", hash_name(&text)),
        seed: options.seed,
        objectives,
        failures,
        proofs,
        availability,
        capacity,
        distance: distance(&design, data),
        price: price(&design, data, &priced),
        advice: searched,
        data: data.clone(),
        map: map(&design),
    })
}

/// Every domain lost in the simulated world.
fn proofs(
    design: &Design,
    failures: &Failures,
    options: &Options,
    progress: &mut Progress<'_>,
) -> Vec<Proof> {
    if !options.simulate {
        return Vec::new();
    }
    let all = design.domains.len();
    let domains = design.domains.iter().enumerate();
    let proven = domains.filter_map(|(at, domain)| {
        progress("simulated losses", at, all);
        let row = failures.row_of(domain)?;
        Some(proof(&design.manifest, domain, row, options.seed))
    });
    proven.collect()
}

impl Report {
    /// Its sections, in order.
    #[must_use]
    pub fn sections(&self) -> Vec<Section> {
        let mut sections = vec![self.overview(), self.failures.section()];
        if !self.proofs.is_empty() {
            sections.push(simulated(&self.proofs));
        }
        sections.extend([
            self.availability.section(),
            self.capacity.section(),
            self.distance.section(),
            self.price.section(&self.data),
        ]);
        sections.extend(self.advice.iter().map(Advice::section));
        sections.push(self.assumptions());
        sections
    }

    /// Whether every objective is met.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.objectives.iter().all(|objective| objective.met)
    }

    /// Each parameter with its source and date, and how to give another.
    fn assumptions(&self) -> Section {
        let columns = vec![
            Column::words("key"),
            Column::figures("value"),
            Column::figures("low"),
            Column::figures("high"),
            Column::words("unit"),
            Column::words("meaning"),
            Column::words("evidence"),
            Column::words("date"),
            Column::words("source"),
        ];
        let caption =
            "Parameters; low and high are the 5th and 95th percentile of what they may be";
        let mut table = Table::new("assumptions", caption, columns);
        let figure = |value: f64| Cell::figure(value, format!("{value}"));
        for row in &self.data.assumptions {
            let tone = match row.source.evidence {
                Evidence::Measured | Evidence::Read => Tone::Plain,
                Evidence::Judgement | Evidence::GeneralKnowledge => Tone::Warn,
            };
            let date = row.source.date.as_ref().map_or("-", |date| date.0.as_str());
            table.push(vec![
                Cell::text(&row.key),
                figure(row.value),
                figure(row.low),
                figure(row.high),
                Cell::text(&row.unit),
                Cell::text(&row.meaning),
                Cell::text(evidence(row.source.evidence)).toned(tone),
                Cell::text(date),
                Cell::text(&row.source.source),
            ]);
        }
        let how = "Every row can be replaced: put a file of the same name and columns into a \
                   directory and give it with --data; `quorate data show` prints all tables, `quorate \
                   data check DIR` looks for mistakes. Round trips of your own network come from \
                   `quorate measure rtt`.";
        Section {
            id: "assumptions",
            title: "Assumptions".to_owned(),
            lead: format!(
                "{} parameters, each with its source.",
                self.data.assumptions.len()
            ),
            blocks: vec![Block::Text(how.to_owned()), Block::Table(table)],
        }
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
        for Objective {
            asked, met, given, ..
        } in &self.objectives
        {
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
            title: "Objectives".to_owned(),
            lead,
            blocks: vec![Block::Table(table), Block::Chart(map)],
        }
    }
}

fn evidence(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Measured => "measured",
        Evidence::Read => "read",
        Evidence::Judgement => "judgement",
        Evidence::GeneralKnowledge => "general knowledge",
    }
}

/// Losses in the simulated world beside the table.
fn simulated(proofs: &[Proof]) -> Section {
    let claims: usize = proofs.iter().map(|proof| proof.claims).sum();
    let differences: Vec<&String> = proofs.iter().flat_map(|proof| &proof.differences).collect();
    let columns = vec![
        Column::words("lost"),
        Column::figures("claims compared"),
        Column::figures("differences"),
        Column::figures("new leader after"),
        Column::figures("first API write after"),
    ];
    let mut table = Table::new(
        "simulated",
        "Every loss, played once in the simulated world",
        columns,
    );
    let seconds = |s: Option<f64>| match s {
        Some(s) => Cell::figure(s, crate::failures::seconds(s)),
        None => Cell::text("-"),
    };
    for proof in proofs {
        let found = proof.differences.len();
        let tone = if found == 0 { Tone::Good } else { Tone::Bad };
        table.push(vec![
            Cell::text(&proof.of),
            Cell::figure(proof.claims as f64, proof.claims.to_string()),
            Cell::figure(found as f64, found.to_string()).toned(tone),
            seconds(proof.leader_s),
            seconds(proof.write_s),
        ]);
    }
    let mut blocks = vec![Block::Table(table)];
    blocks.extend(
        differences
            .iter()
            .map(|text| Block::Caution((*text).clone())),
    );
    Section {
        id: "simulated",
        title: "The same losses in the simulated world".to_owned(),
        lead: format!(
            "{claims} claims were compared; {} differ.",
            differences.len()
        ),
        blocks,
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
