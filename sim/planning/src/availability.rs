//! How available a design is: exact, with what it hangs on, and how sure that is.
//!
//! Every failure domain is an event with a rate and a spread of outages (`rates`, from assumptions
//! and counted `incidents`); every subject is a formula over them (`subjects`). The algebra solves
//! them; here assumptions are moved over their ranges, one by one and all together. Domains fail
//! independently of each other: what is shared has to be a domain of its own.

mod assumed;
mod claim;
mod gamma;
mod incidents;
mod rates;
mod section;
mod subjects;

pub use claim::Claim;
pub use rates::Rate;
pub use subjects::SubjectKind;

use crate::algebra::dynamics::{Simulated, outages};
use crate::algebra::{Event, EventId, Forest, Formula, Interval, Limits, Solved, System};
use crate::algebra::{TooLarge, YEAR_MINUTES};
use crate::data::Data;
use crate::design::{Design, DomainKind};
use assumed::Assumed;
use quorate_engine::random::Seed;
use rates::Classes;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use subjects::{Asked, Parts};

/// What to do, and how much of it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Of all draws.
    pub seed: u64,
    /// Sets of assumptions that are drawn; fewer where diagrams are large.
    pub samples: u32,
    /// Outages of each subject that are simulated for their lengths; fewer where it is large.
    pub outages: u32,
    /// Move every assumption to both ends of its range, too.
    pub sensitivity: bool,
    /// How far exact solutions go.
    pub limits: Limits,
    /// When workloads are down, by name, instead of the default: event n is the n-th domain of the
    /// design.
    pub workloads: Vec<(String, Formula)>,
    /// When volumes are lost, by name of their workload, likewise.
    pub volumes: Vec<(String, Formula)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            samples: 1_000,
            outages: 2_000,
            sensitivity: true,
            limits: Limits::default(),
            workloads: Vec::new(),
            volumes: Vec::new(),
        }
    }
}

/// How available a design is.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Availability {
    /// What was asked about.
    pub subjects: Vec<Subject>,
    /// How often what fails, and why that is believed.
    pub rates: Vec<Rate>,
    /// Published outages were counted over so many years.
    pub window_years: f64,
    /// Sets of assumptions that were drawn.
    pub samples: u32,
    /// The rule by which availability is claimed.
    pub rule: String,
}

/// One of the things that can be down.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Subject {
    /// What it is.
    pub kind: SubjectKind,
    /// Which one.
    pub name: String,
    /// The share of time in which it is down; where only an interval is proven, its upper end.
    pub unavailability: f64,
    /// The interval, where its formula is too large for an exact solution.
    pub interval: Option<Interval>,
    /// The same in minutes of a year.
    pub minutes_per_year: f64,
    /// The same as a number of nines: the negative decimal logarithm of the unavailability. None:
    /// it is never down by what is counted here.
    pub nines: Option<f64>,
    /// Outages in a year; none: only an interval is proven.
    pub per_year: Option<f64>,
    /// Mean length of an outage, in minutes.
    pub mean_minutes: Option<f64>,
    /// How long outages last, by simulation.
    pub simulated: Option<Simulated>,
    /// Minutes of a year over all that the assumptions may be.
    pub range: Option<Range>,
    /// What the evidence holds.
    pub claim: Claim,
    /// Why it is down, by place: shares of the downtime, the largest first.
    pub causes: Vec<Cause>,
    /// The share of the downtime that no listed cause explains.
    pub rest: Option<f64>,
    /// Minimal cut sets, the likeliest first.
    pub cut_sets: Vec<NamedSet>,
    /// How many there are, where all were found.
    pub cut_set_count: Option<f64>,
    /// What each assumption does to it, the largest first.
    pub sensitivity: Vec<Swing>,
    /// What its formula leaves out or assumes.
    pub note: Option<String>,
}

/// Percentiles, in minutes of a year.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Range {
    /// In 5 % of cases it is less.
    pub p5: f64,
    /// In half of them.
    pub p50: f64,
    /// In 5 % of them it is more.
    pub p95: f64,
}

/// Places that are down together.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Cause {
    /// `htz and aws at once`.
    pub name: String,
    /// Its share of the downtime.
    pub share: f64,
}

/// A minimal cut set by names.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct NamedSet {
    /// Names of its events.
    pub events: Vec<String>,
    /// How likely they have all failed, at any moment.
    pub probability: f64,
    /// The share of the downtime in which it is complete (Fussell and Vesely).
    pub fussell_vesely: f64,
    /// The share of the downtime in which it is complete and none before it is.
    pub share: f64,
}

/// What an assumption does: minutes of a year at both ends of its range.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Swing {
    /// The assumption's key, or the name of a rate.
    pub name: String,
    /// Its low end.
    pub low: f64,
    /// Its high end.
    pub high: f64,
    /// Minutes at the low end.
    pub minutes_at_low: f64,
    /// Minutes at the high end.
    pub minutes_at_high: f64,
}

/// Visits of diagram nodes that all samples of assumptions may cost together.
const SAMPLED_VISITS: usize = 40_000_000;
/// The same for simulated outages of one subject, counted by size of its formula.
const SIMULATED_VISITS: usize = 20_000_000;
/// Samples below which percentiles mean nothing.
const FEWEST_SAMPLES: usize = 100;

/// How available a design is.
///
/// # Panics
/// If `data` lacks an assumption that its built-in tables have.
#[must_use]
pub fn availability(design: &Design, data: &Data, options: &Options) -> Availability {
    let assumed = Assumed::of(data);
    let classes = Classes::of(design, data);
    let rates: Vec<f64> = classes.all.iter().map(|c| c.per_year(&assumed)).collect();
    let events = rates::events(design, &classes, &rates, &assumed);
    let order = order(design);
    let parts = Parts::of(design, |domain| classes.of[domain].is_some());
    let asked = subjects::subjects(&parts, &options.workloads, &options.volumes);
    let formulas: Vec<&Formula> = asked.iter().map(|asked| &asked.down).collect();
    let study = Study {
        design,
        assumed,
        classes,
        forest: Forest::of(&formulas, &order, options.limits.nodes),
        events,
        order,
        options,
    };
    let (samples, mut ranges) = study.ranges(asked.len());
    let mut swings = match options.sensitivity {
        true => study.swings(asked.len()),
        false => vec![Vec::new(); asked.len()],
    };
    let window_years = incidents::window(data);
    let unseen = claim::unseen(window_years, study.assumed.value("unseen.outage"));
    let subjects = asked.into_iter().enumerate().map(|(at, asked)| {
        let range = ranges[at].take();
        let sensitivity = std::mem::take(&mut swings[at]);
        let mut subject = study.subject(at, asked, range, unseen);
        subject.sensitivity = sensitivity;
        subject
    });
    Availability {
        subjects: subjects.collect(),
        rates: study
            .classes
            .all
            .iter()
            .map(|c| c.told(&study.assumed))
            .collect(),
        window_years,
        samples,
        rule: claim::rule(window_years, unseen),
    }
}

/// Every domain of a design as an event, in their order.
#[must_use]
pub fn events(design: &Design, data: &Data) -> Vec<Event> {
    let assumed = Assumed::of(data);
    let classes = Classes::of(design, data);
    let rates: Vec<f64> = classes.all.iter().map(|c| c.per_year(&assumed)).collect();
    rates::events(design, &classes, &rates, &assumed)
}

/// All domains, each directly before what it takes: causes that places share, then place by place.
fn order(design: &Design) -> Vec<EventId> {
    let path = |at: usize| {
        let domain = &design.domains[at];
        let node = domain.nodes.first().map(|node| &design.nodes()[*node]);
        let shared = matches!(domain.kind, DomainKind::Group | DomainKind::Dns);
        let parts = node.filter(|_| !shared).map(|node| {
            let depth = domain.kind as usize - DomainKind::Provider as usize;
            let parts = [&node.provider, &node.region, &node.zone].map(String::as_str);
            let within = parts.into_iter().take(depth + 1).map(str::to_owned);
            within.collect::<Vec<_>>()
        });
        (parts, domain.kind, at)
    };
    let mut all: Vec<usize> = (0..design.domains.len()).collect();
    all.sort_by_cached_key(|at| path(*at));
    all.into_iter().map(EventId).collect()
}

/// A design with its formulas, ready to be asked.
struct Study<'a> {
    design: &'a Design,
    assumed: Assumed<'a>,
    classes: Classes,
    forest: Forest,
    events: Vec<Event>,
    order: Vec<EventId>,
    options: &'a Options,
}

impl Study<'_> {
    /// Unavailability of each subject under other assumptions.
    fn under(&self, assumed: &Assumed<'_>, rates: &[f64]) -> Vec<Result<f64, TooLarge>> {
        let all = self.classes.all.iter().zip(rates);
        let made = all.map(|(class, rate)| class.rhythm(*rate, assumed).0.unavailability());
        let made: Vec<f64> = made.collect();
        let domains = self.classes.of.iter();
        let failed: Vec<f64> = domains
            .map(|class| class.map_or(0.0, |at| made[at]))
            .collect();
        self.forest.probabilities(&failed)
    }

    /// All assumptions drawn from their ranges: how many times, and what each subject comes to.
    fn ranges(&self, subjects: usize) -> (u32, Vec<Option<Range>>) {
        let most = SAMPLED_VISITS / self.forest.len().max(1);
        let samples = (self.options.samples as usize).min(most.max(FEWEST_SAMPLES)) as u32;
        let seed = Seed(self.options.seed);
        let mut seen = vec![Vec::new(); subjects];
        for sample in 0..samples {
            let drawn = self.assumed.drawn(seed, sample);
            let classes = self.classes.all.iter();
            let rates: Vec<f64> = classes.map(|c| c.drawn(&drawn, seed, sample)).collect();
            for (seen, now) in seen.iter_mut().zip(self.under(&drawn, &rates)) {
                seen.extend(now.ok().map(|share| share * YEAR_MINUTES));
            }
        }
        let ranges = seen.into_iter().map(|mut minutes: Vec<f64>| {
            minutes.sort_by(f64::total_cmp);
            let at = |p: f64| minutes[((p * minutes.len() as f64) as usize).min(minutes.len() - 1)];
            (!minutes.is_empty()).then(|| Range {
                p5: at(0.05),
                p50: at(0.5),
                p95: at(0.95),
            })
        });
        (samples, ranges.collect())
    }

    /// Each assumption and each counted rate at both ends of its range, the others as they are.
    fn swings(&self, subjects: usize) -> Vec<Vec<Swing>> {
        let base: Vec<f64> = self.rates(&self.assumed);
        let counted: Vec<&str> = self.classes.all.iter().map(|c| c.key.as_str()).collect();
        let mut swings = vec![Vec::new(); subjects];
        let mut add = |name: &str, ends: (f64, f64), at: [Vec<Result<f64, TooLarge>>; 2]| {
            let [low, high] = at;
            for (swings, (low, high)) in swings.iter_mut().zip(low.into_iter().zip(high)) {
                if let (Ok(low), Ok(high)) = (low, high) {
                    swings.push(Swing {
                        name: name.to_owned(),
                        low: ends.0,
                        high: ends.1,
                        minutes_at_low: low * YEAR_MINUTES,
                        minutes_at_high: high * YEAR_MINUTES,
                    });
                }
            }
        };
        for (at, class) in self.classes.all.iter().enumerate() {
            let ends = class.ends(&self.assumed);
            let results = [ends.0, ends.1].map(|rate| {
                let mut rates = base.clone();
                rates[at] = rate;
                self.under(&self.assumed, &rates)
            });
            add(&class.name, ends, results);
        }
        let mut keys: Vec<String> = self.classes.all.iter().flat_map(|c| c.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys.iter().filter(|key| !counted.contains(&key.as_str())) {
            let Some(row) = self.assumed.row(key) else {
                continue;
            };
            let results = [row.low, row.high].map(|value| {
                let changed = self.assumed.with(key, value);
                self.under(&changed, &self.rates(&changed))
            });
            add(key, (row.low, row.high), results);
        }
        let size = |swing: &Swing| (swing.minutes_at_high - swing.minutes_at_low).abs();
        for swings in &mut swings {
            swings.retain(|swing| size(swing) > 0.0);
            swings.sort_by(|a, b| size(b).total_cmp(&size(a)));
        }
        swings
    }

    fn rates(&self, assumed: &Assumed<'_>) -> Vec<f64> {
        self.classes
            .all
            .iter()
            .map(|class| class.per_year(assumed))
            .collect()
    }

    fn subject(&self, at: usize, asked: Asked, range: Option<Range>, unseen: f64) -> Subject {
        let system = System {
            events: &self.events,
            order: &self.order,
        };
        let solved = system.solve_in(&self.forest, at, &asked.down, self.options.limits);
        let work = asked.down.size() + self.events.len();
        let fits = SIMULATED_VISITS / work;
        let count = (self.options.outages as usize).min(fits.max(FEWEST_SAMPLES)) as u32;
        let seed = Seed(self.options.seed);
        // One outage has no spread, and a search for designs asks for none.
        let simulated = (count > 1)
            .then(|| outages(&system, &self.forest, (at, &asked.down), count, 0.95, seed))
            .and_then(Result::ok);
        let (unavailability, interval, solution) = match solved {
            Solved::Exact(solution) => (solution.unavailability, None, Some(solution)),
            Solved::Bounded(interval) => (interval.high, Some(interval), None),
        };
        let sets = solution
            .as_ref()
            .and_then(|solution| solution.cut_sets.as_ref());
        let likely = range.map_or(unavailability, |range| range.p95 / YEAR_MINUTES);
        Subject {
            kind: asked.kind,
            name: asked.name,
            unavailability,
            interval,
            minutes_per_year: unavailability * YEAR_MINUTES,
            nines: (unavailability > 0.0).then(|| -libm::log10(unavailability)),
            per_year: solution.as_ref().map(|solution| solution.per_year),
            mean_minutes: solution.as_ref().and_then(|solution| solution.mean_minutes),
            simulated: simulated.flatten(),
            range,
            claim: Claim::of(likely.max(unavailability), unseen),
            causes: sets.map_or_else(Vec::new, |sets| self.causes(&sets.listed)),
            rest: sets.and_then(|sets| sets.rest),
            cut_sets: sets.map_or_else(Vec::new, |sets| self.named(&sets.listed)),
            cut_set_count: sets.and_then(|sets| sets.count),
            sensitivity: Vec::new(),
            note: asked.note,
        }
    }

    fn named(&self, sets: &[crate::algebra::CutSet]) -> Vec<NamedSet> {
        let name = |event: &EventId| self.events[event.0].name.clone();
        let sets = sets.iter().map(|set| NamedSet {
            events: set.events.iter().map(name).collect(),
            probability: set.probability,
            fussell_vesely: set.fussell_vesely,
            share: set.share,
        });
        sets.collect()
    }

    /// Shares of the downtime by the places that are down together, whatever it is that fails
    /// there.
    fn causes(&self, sets: &[crate::algebra::CutSet]) -> Vec<Cause> {
        let mut shares: BTreeMap<Vec<String>, f64> = BTreeMap::new();
        for set in sets {
            let mut places: Vec<String> =
                set.events.iter().map(|event| self.place(*event)).collect();
            places.sort_unstable();
            places.dedup();
            *shares.entry(places).or_default() += set.share;
        }
        let mut causes: Vec<Cause> = shares
            .into_iter()
            .map(|(places, share)| Cause {
                name: together(&places),
                share,
            })
            .collect();
        causes.sort_by(|a, b| b.share.total_cmp(&a.share));
        causes
    }

    /// Where an event takes place, as people say it.
    fn place(&self, event: EventId) -> String {
        let domain = &self.design.domains[event.0];
        let node = domain.nodes.first().map(|at| &self.design.nodes()[*at]);
        match (domain.kind, node) {
            (DomainKind::Group | DomainKind::Dns, _) | (_, None) => {
                format!("{} {}", domain.kind.word(), domain.name)
            }
            (_, Some(node)) => node.provider.clone(),
        }
    }
}

fn together(places: &[String]) -> String {
    match places {
        [] => "nothing: it never worked".to_owned(),
        [one] => format!("{one} alone"),
        [some @ .., last] => format!("{} and {last} at once", some.join(", ")),
    }
}
