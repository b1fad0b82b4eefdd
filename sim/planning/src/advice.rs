//! Advice: the cheapest change of the manifest that meets what it asks for, and what availability
//! costs beyond that.
//!
//! A search: `moves` says what could be changed in a manifest, each change is a JSON Patch (RFC
//! 6902), and every design on the way is judged by the same table, availability and price as the
//! report itself. A beam keeps the best few at each depth, so the best that was found is not
//! proven to be the best there is; how many were looked at is said. What is proposed has been
//! judged as a manifest, planned, checked, and lost domains in the simulated world.

mod moves;
mod patch;
mod section;

pub use patch::{Operation, apply};

use crate::availability::{self, Availability, SubjectKind, availability};
use crate::change;
use crate::data::{Currency, Data};
use crate::design::{Design, DomainKind};
use crate::failures::failures_with;
use crate::objectives::{self, Objective};
use crate::price::{PriceOptions, price};
use crate::proof::{Proof, proof};
use crate::recovery::Elections;
use crate::report::Progress;
use moves::Move;
use quorate_engine::diagnostic::Severity;
use quorate_engine::manifest::{Domain, Manifest, judge};
use quorate_engine::random::{Seed, hash_name};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How far the search goes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Changes in one proposal.
    pub depth: usize,
    /// Designs that are changed further, at each depth.
    pub width: usize,
    /// Designs looked at, in all.
    pub designs: usize,
}

impl Limits {
    /// As far as is worth waiting for: large designs take longer to judge.
    #[must_use]
    pub fn of(design: &Design) -> Self {
        let designs = match design.nodes().len() {
            0..=20 => 400,
            21..=50 => 200,
            _ => 100,
        };
        Self {
            depth: 3,
            width: 5,
            designs,
        }
    }
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Advice {
    /// The manifest as it is.
    pub now: Point,
    /// The best proposals, the cheapest that meets every objective first. Where none meets all, the
    /// nearest. Empty: nothing better was found.
    pub proposals: Vec<Proposal>,
    /// Whether anything that was looked at, the manifest itself included, meets every objective.
    pub reachable: bool,
    /// Designs that nothing else beats in both price and availability, the cheapest first.
    pub front: Vec<Point>,
    /// Designs looked at.
    pub looked_at: usize,
    /// Of prices.
    pub currency: Currency,
}

/// A design by what counts.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Point {
    /// What was changed; empty: the manifest as it is.
    pub changes: Vec<String>,
    /// What a month costs, as far as is known.
    pub monthly: f64,
    /// Items without a price.
    pub unpriced: usize,
    /// Minutes of a year without the worst of API, entry points and workloads.
    pub minutes_per_year: f64,
    /// Objectives that are missed.
    pub missed: usize,
}

/// A change that is proposed.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Proposal {
    /// What it comes to.
    pub point: Point,
    /// What it does to the manifest: a JSON Patch.
    pub patch: Vec<Operation>,
    /// The objectives, as the changed manifest meets them.
    pub objectives: Vec<Objective>,
    /// Warnings that judging the changed manifest gives.
    pub warnings: Vec<String>,
    /// Steps of the plan that leads there; checked.
    pub steps: usize,
    /// How long they usually take together, in minutes.
    pub minutes: f64,
    /// Losses of the changed design in the simulated world.
    pub proofs: Vec<Proof>,
}

/// A design on the way.
#[derive(Debug, Clone)]
struct Tried {
    moves: Vec<Move>,
    manifest: Arc<Manifest>,
    point: Point,
    objectives: Vec<Objective>,
    /// How far its objectives are missed, together.
    short: f64,
}

/// Searches for better designs.
#[must_use]
pub fn advice(
    manifest: &Arc<Manifest>,
    data: &Data,
    seed: u64,
    limits: Limits,
    progress: &mut Progress<'_>,
) -> Advice {
    let mut search = Search {
        data,
        seed,
        options: PriceOptions::default(),
        elections: Elections::default(),
        seen: BTreeSet::new(),
        tried: Vec::new(),
    };
    let start = search.judged(Vec::new(), Arc::clone(manifest));
    let start = start.expect("the report has resolved it already");
    let mut beam = vec![start.clone()];
    search.tried.push(start.clone());
    for _ in 0..limits.depth {
        let mut next = Vec::new();
        for from in &beam {
            for step in moves::moves(&from.manifest, data) {
                if search.tried.len() >= limits.designs {
                    break;
                }
                progress("advice", search.tried.len(), limits.designs);
                let Some(tried) = search.moved(from, step) else {
                    continue;
                };
                search.tried.push(tried.clone());
                next.push(tried);
            }
        }
        next.sort_by(|a, b| rank(a).partial_cmp(&rank(b)).expect("finite figures"));
        next.truncate(limits.width);
        beam = next;
    }
    let proposals = search.proposals(&start, progress);
    Advice {
        now: start.point,
        reachable: search.tried.iter().any(|tried| tried.point.missed == 0),
        proposals,
        front: front(&search.tried),
        looked_at: search.tried.len(),
        currency: search.options.currency,
    }
}

/// Nearer to the objectives first, then cheaper, then less often down.
fn rank(tried: &Tried) -> (usize, f64, f64, f64) {
    let point = &tried.point;
    (
        point.missed,
        tried.short,
        point.monthly,
        point.minutes_per_year,
    )
}

struct Search<'a> {
    data: &'a Data,
    seed: u64,
    options: PriceOptions,
    elections: Elections,
    /// Fingerprints of manifests that were looked at.
    seen: BTreeSet<u64>,
    tried: Vec<Tried>,
}

impl Search<'_> {
    /// None where it leads to no manifest, to a bad one, or to one that was looked at already.
    fn moved(&mut self, from: &Tried, step: Move) -> Option<Tried> {
        let manifest = Arc::new(apply(&from.manifest, &step.patch)?);
        if judge(&bare(&manifest)).iter().any(is_error) {
            return None;
        }
        let mut moves = from.moves.clone();
        moves.push(step);
        self.judged(moves, manifest)
    }

    fn judged(&mut self, moves: Vec<Move>, manifest: Arc<Manifest>) -> Option<Tried> {
        let text = serde_json::to_string(manifest.as_ref()).expect("a manifest is plain data");
        if !self.seen.insert(hash_name(&text)) {
            return None;
        }
        let design = Design::of(&manifest).ok()?;
        let seed = Seed(self.seed);
        let table = failures_with(&design, seed, &mut self.elections, &mut |_, _| ());
        let quick = availability::Options {
            seed: self.seed,
            samples: 0,
            outages: 0,
            sensitivity: false,
            ..availability::Options::default()
        };
        let availability = availability(&design, self.data, &quick);
        let price = price(&design, self.data, &self.options);
        let mut objectives = objectives::of_losses(&design, &table);
        objectives.extend(objectives::of_time(&design, &availability));
        let point = Point {
            changes: moves.iter().map(|step| step.words.clone()).collect(),
            monthly: price.normal.together,
            unpriced: price.normal.unknown.len(),
            minutes_per_year: worst(&availability),
            missed: objectives.iter().filter(|objective| !objective.met).count(),
        };
        Some(Tried {
            moves,
            manifest,
            point,
            short: objectives.iter().map(|objective| objective.short).sum(),
            objectives,
        })
    }

    /// The best three, proven: the cheapest that meets all, the next step up in availability, and
    /// where nothing meets all, the nearest.
    fn proposals(&self, start: &Tried, progress: &mut Progress<'_>) -> Vec<Proposal> {
        let mut better: Vec<&Tried> = self.tried.iter().filter(|t| beats(t, start)).collect();
        better.sort_by(|a, b| rank(a).partial_cmp(&rank(b)).expect("finite figures"));
        let mut chosen: Vec<&Tried> = Vec::new();
        for tried in better {
            let more = chosen
                .iter()
                .all(|known| tried.point.minutes_per_year < known.point.minutes_per_year * 0.8);
            if chosen.len() < 3 && more {
                chosen.push(tried);
            }
        }
        let all = chosen.len();
        let proposals = chosen.into_iter().enumerate().filter_map(|(at, tried)| {
            progress("proofs", at, all);
            self.proven(start, tried)
        });
        proposals.collect()
    }

    /// What stands up to the planner, its checker and the simulated world.
    fn proven(&self, start: &Tried, tried: &Tried) -> Option<Proposal> {
        let change = change::change(
            &start.manifest,
            &tried.manifest,
            self.data,
            0,
            &mut |_, _, _| (),
        );
        let change = change.ok().filter(|change| change.problems.is_empty())?;
        let design = Design::of(&tried.manifest).ok()?;
        let table = crate::failures::failures(&design, Seed(self.seed), &mut |_, _| ());
        let wanted = design
            .manifest
            .spec
            .resilience
            .survive
            .unwrap_or(Domain::Provider);
        let of_kind = design
            .domains
            .iter()
            .filter(|d| d.kind == DomainKind::from(wanted));
        let proofs: Vec<Proof> = of_kind
            .filter_map(|domain| {
                let row = table.row_of(domain)?;
                Some(proof(&design.manifest, domain, row, self.seed))
            })
            .collect();
        let warnings = judge(&tried.manifest);
        Some(Proposal {
            point: tried.point.clone(),
            patch: tried
                .moves
                .iter()
                .flat_map(|step| step.patch.clone())
                .collect(),
            objectives: tried.objectives.clone(),
            warnings: warnings
                .into_iter()
                .map(|finding| finding.message)
                .collect(),
            steps: change.steps.len(),
            minutes: change.expected_minutes,
            proofs,
        })
    }
}

fn is_error(finding: &quorate_engine::diagnostic::Finding) -> bool {
    finding.severity == Severity::Error
}

/// Without objectives: what they make an error of is what the search is to mend.
fn bare(manifest: &Manifest) -> Manifest {
    let mut bare = manifest.clone();
    bare.spec.resilience = quorate_engine::manifest::Resilience::default();
    bare
}

/// Nearer to the objectives; or as near, and cheaper or better.
fn beats(tried: &Tried, start: &Tried) -> bool {
    if tried.point.missed != start.point.missed {
        return tried.point.missed < start.point.missed;
    }
    let nearer = tried.short < start.short - 1e-9;
    let (point, now) = (&tried.point, &start.point);
    let cheaper = point.monthly < now.monthly - 0.01 && point.unpriced <= now.unpriced;
    let better = point.minutes_per_year < now.minutes_per_year * 0.8;
    nearer || (start.point.missed == 0 && (cheaper || better))
}

fn worst(availability: &Availability) -> f64 {
    let used = availability
        .subjects
        .iter()
        .filter(|subject| match subject.kind {
            SubjectKind::Api | SubjectKind::Ingress | SubjectKind::Workload => true,
            SubjectKind::Quorum | SubjectKind::Volume => false,
        });
    used.map(|subject| subject.minutes_per_year)
        .fold(0.0, f64::max)
}

/// Designs that no other beats in both figures.
fn front(tried: &[Tried]) -> Vec<Point> {
    let mut points: Vec<&Point> = tried.iter().map(|tried| &tried.point).collect();
    points.sort_by(|a, b| {
        let by_price = a.monthly.total_cmp(&b.monthly);
        by_price.then(a.minutes_per_year.total_cmp(&b.minutes_per_year))
    });
    let mut least = f64::INFINITY;
    let mut front = Vec::new();
    for point in points {
        if point.minutes_per_year < least {
            least = point.minutes_per_year;
            front.push(point.clone());
        }
    }
    front
}
