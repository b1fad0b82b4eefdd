//! How often failure domains fail and for how long: one rate for all of a kind at a provider.
//!
//! Where nobody's own figure is given (`zone.outages.htz`, by the provider's name or type), a
//! gamma prior is updated with the published outages of that type of provider: each counts by its
//! impact, over the places of the provider times the years of the list, times the share of outages
//! that such lists hold. Knows no formulas.

use super::assumed::Assumed;
use super::gamma::Gamma;
use super::incidents::{Counted, counted};
use crate::algebra::{Event, Lengths, Rhythm};
use crate::data::Data;
use crate::design::{Design, DomainKind, FailureDomain};
use quorate_engine::manifest::ProviderKind;
use quorate_engine::random::{Seed, hash_name};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// How often something fails, and why that is believed.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Rate {
    /// `zone.outages aws`: the assumption, and whose.
    pub name: String,
    /// Failures in a year.
    pub per_year: f64,
    /// The 5th percentile of what that may be.
    pub low: f64,
    /// The 95th.
    pub high: f64,
    /// Mean length of an outage, in minutes.
    pub mean_minutes: f64,
    /// Published outages that were counted.
    pub incidents: usize,
    /// What they weigh together, by their impact.
    pub weight: f64,
    /// Over so many years of one such place.
    pub exposure_years: f64,
    /// Keys of the assumptions behind it.
    pub assumptions: Vec<String>,
}

/// A kind of failure at a provider.
#[derive(Debug, Clone)]
pub(super) struct Class {
    pub(super) name: String,
    /// The assumption with its rate.
    pub(super) key: String,
    kind: Kind,
    /// Outages to count; none: the user's own figure, or nothing is published of it.
    counted: Option<Counted>,
    prior: Option<Gamma>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Node,
    Spot,
    Site,
    Zone,
    Region,
    Provider,
    Dns,
    Group,
}

impl Kind {
    fn key(self) -> &'static str {
        match self {
            Self::Node => "node.failures",
            Self::Spot => "node.spot.failures",
            Self::Site => "site.outages",
            Self::Zone => "zone.outages",
            Self::Region => "region.outages",
            Self::Provider => "provider.outages",
            Self::Dns => "dns.outages",
            Self::Group => "group.outages",
        }
    }
}

/// All kinds, and which one each domain of a design is.
#[derive(Debug, Clone)]
pub(super) struct Classes {
    pub(super) all: Vec<Class>,
    /// By number of the domain; none: it fails with what is around it, and never by itself.
    pub(super) of: Vec<Option<usize>>,
}

impl Classes {
    pub(super) fn of(design: &Design, data: &Data) -> Self {
        let assumed = Assumed::of(data);
        let mut all: Vec<Class> = Vec::new();
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        let mut of = Vec::with_capacity(design.domains.len());
        for domain in &design.domains {
            let found = class(design, domain, &assumed);
            of.push(found.map(|(kind, key, whose)| {
                let name = match whose.is_some() && key == kind.key() {
                    true => format!("{key} {}", whose.as_deref().unwrap_or_default()),
                    false => key.clone(),
                };
                *known.entry(name.clone()).or_insert_with(|| {
                    all.push(Class::new(
                        name,
                        key,
                        kind,
                        whose.as_deref(),
                        &assumed,
                        data,
                    ));
                    all.len() - 1
                })
            }));
        }
        Self { all, of }
    }
}

type Found = (Kind, String, Option<String>);

/// What a domain is, the key of its rate, and whose published outages speak of it.
fn class(design: &Design, domain: &FailureDomain, assumed: &Assumed<'_>) -> Option<Found> {
    let spec = &design.manifest.spec;
    let first = domain.nodes.first().map(|at| &design.nodes()[*at]);
    let name = match domain.kind {
        DomainKind::Dns => &domain.name,
        DomainKind::Group => {
            return Some((
                Kind::Group,
                own(assumed, Kind::Group, &[&domain.name]),
                None,
            ));
        }
        _ => &first?.provider,
    };
    let provider = spec
        .providers
        .iter()
        .find(|provider| provider.name == *name)?;
    let kind = match (domain.kind, is_site(provider.kind)) {
        (DomainKind::Node, _) => {
            let spot = first.is_some_and(|node| spec.node_pools[node.pool].spot);
            if spot { Kind::Spot } else { Kind::Node }
        }
        (DomainKind::Zone | DomainKind::Region, true) => return None,
        (DomainKind::Provider, true) => Kind::Site,
        (DomainKind::Zone, false) => Kind::Zone,
        (DomainKind::Region, false) => Kind::Region,
        (DomainKind::Provider, false) => Kind::Provider,
        (DomainKind::Dns, _) => Kind::Dns,
        (DomainKind::Group, _) => Kind::Group,
    };
    let vendor = vendor(provider.kind);
    let key = own(assumed, kind, &[name, &vendor]);
    let whose = match kind {
        Kind::Zone | Kind::Region | Kind::Provider | Kind::Dns => Some(vendor),
        Kind::Node | Kind::Spot | Kind::Site | Kind::Group => None,
    };
    Some((kind, key, whose))
}

/// The most special assumption there is.
fn own(assumed: &Assumed<'_>, kind: Kind, names: &[&str]) -> String {
    let mut keys = names.iter().map(|name| format!("{}.{name}", kind.key()));
    let found = keys.find(|key| assumed.has(key));
    found.unwrap_or_else(|| kind.key().to_owned())
}

/// Machines of one's own: no vendor publishes their outages, and they have one site.
fn is_site(kind: ProviderKind) -> bool {
    matches!(kind, ProviderKind::Static | ProviderKind::Libvirt)
}

fn vendor(kind: ProviderKind) -> String {
    let text = serde_json::to_value(kind).unwrap_or_default();
    text.as_str().unwrap_or_default().to_owned()
}

impl Class {
    fn new(
        name: String,
        key: String,
        kind: Kind,
        vendor: Option<&str>,
        assumed: &Assumed<'_>,
        data: &Data,
    ) -> Self {
        let scope = match kind {
            Kind::Zone => Some(DomainKind::Zone),
            Kind::Region => Some(DomainKind::Region),
            Kind::Provider => Some(DomainKind::Provider),
            Kind::Dns => Some(DomainKind::Dns),
            Kind::Node | Kind::Spot | Kind::Site | Kind::Group => None,
        };
        let row = assumed.row(&key);
        let generic = key == kind.key();
        let range = row.filter(|row| generic && row.low > 0.0 && row.high > row.low);
        let prior = range.map(|row| Gamma::fitted(row.value, row.low, row.high));
        let scope = scope.zip(vendor).filter(|_| prior.is_some());
        let counted = scope.and_then(|(scope, vendor)| counted(data, vendor, scope, assumed));
        Self {
            name,
            key,
            kind,
            prior: prior.filter(|_| counted.is_some()),
            counted,
        }
    }

    /// What is believed of its rate after counting; none: the assumption is taken as it is.
    fn belief(&self, assumed: &Assumed<'_>) -> Option<Gamma> {
        let (prior, counted) = (self.prior?, self.counted.as_ref()?);
        Some(prior.after(counted.weight(assumed), counted.exposure(assumed)))
    }

    /// Failures in a year: the mean of the belief.
    pub(super) fn per_year(&self, assumed: &Assumed<'_>) -> f64 {
        let belief = self.belief(assumed).map(Gamma::mean);
        belief.unwrap_or_else(|| assumed.value(&self.key))
    }

    /// The rate that belongs to a sample of assumptions.
    pub(super) fn drawn(&self, assumed: &Assumed<'_>, seed: Seed, sample: u32) -> f64 {
        let entity = hash_name(&self.name).wrapping_add(u64::from(sample));
        let belief = self.belief(assumed);
        let draw = |belief: Gamma| belief.draw(&mut seed.stream_of(entity, "rate"));
        belief.map_or_else(|| assumed.value(&self.key), draw)
    }

    /// The 5th and the 95th percentile of its rate.
    pub(super) fn ends(&self, assumed: &Assumed<'_>) -> (f64, f64) {
        if let Some(belief) = self.belief(assumed) {
            return (belief.quantile(0.05), belief.quantile(0.95));
        }
        let row = assumed.row(&self.key);
        row.map_or((0.0, 0.0), |row| (row.low, row.high))
    }

    /// Failures in a year at this rate and what is beside it, and how long they last.
    pub(super) fn rhythm(&self, per_year: f64, assumed: &Assumed<'_>) -> (Rhythm, Lengths) {
        let value = |key: &str| assumed.value(key);
        let short = value("outage.headline");
        let logical = |weight: f64| part(assumed, "logical", weight, short);
        let physical = |weight: f64| part(assumed, "physical", weight, short);
        let both = |share: f64| {
            vec![
                logical(per_year * (1.0 - share)),
                physical(per_year * share),
            ]
        };
        // A machine, or a site of one's own, is repaired as a machine is: e-fold spread.
        let mended = |key: &str| vec![(per_year, value(key), 1.0)];
        let parts = match self.kind {
            Kind::Node => mended("node.outage"),
            Kind::Spot => mended("node.spot.outage"),
            Kind::Site => mended("site.outage"),
            Kind::Zone => both(value("zone.physical")),
            Kind::Region => {
                let mut parts = both(value("region.physical"));
                parts.push((value("region.loss"), value("region.loss.outage"), 0.5));
                parts
            }
            Kind::Provider | Kind::Group => both(value("provider.physical")),
            Kind::Dns => vec![part(assumed, "dns", per_year, short)],
        };
        let (lengths, mean_minutes) = Lengths::mixture(&parts);
        let per_year = parts.iter().map(|part| part.0).sum();
        let rhythm = Rhythm {
            per_year,
            mean_minutes,
        };
        (rhythm, lengths)
    }

    /// Keys of all assumptions behind it.
    pub(super) fn keys(&self) -> Vec<String> {
        let lengths: &[&str] = match self.kind {
            Kind::Node => &["node.outage"],
            Kind::Spot => &["node.spot.outage"],
            Kind::Site => &["site.outage"],
            Kind::Zone => &["zone.physical"],
            Kind::Region => &["region.physical", "region.loss", "region.loss.outage"],
            Kind::Provider | Kind::Group => &["provider.physical"],
            Kind::Dns => &["outage.dns.median", "outage.dns.sigma", "outage.headline"],
        };
        let mixed: &[&str] = match self.kind {
            Kind::Zone | Kind::Region | Kind::Provider | Kind::Group => &[
                "outage.logical.median",
                "outage.logical.sigma",
                "outage.physical.median",
                "outage.physical.sigma",
                "outage.headline",
            ],
            Kind::Node | Kind::Spot | Kind::Site | Kind::Dns => &[],
        };
        let mut keys = vec![self.key.clone()];
        keys.extend(lengths.iter().chain(mixed).map(|key| (*key).to_owned()));
        keys.extend(self.counted.iter().flat_map(Counted::keys));
        keys
    }

    /// For people.
    pub(super) fn told(&self, assumed: &Assumed<'_>) -> Rate {
        let counted = self.counted.as_ref();
        let (rhythm, _) = self.rhythm(self.per_year(assumed), assumed);
        let (low, high) = self.ends(assumed);
        Rate {
            name: self.name.clone(),
            per_year: self.per_year(assumed),
            low,
            high,
            mean_minutes: rhythm.mean_minutes,
            incidents: counted.map_or(0, |counted| counted.incidents()),
            weight: counted.map_or(0.0, |counted| counted.weight(assumed)),
            exposure_years: counted.map_or(0.0, |counted| counted.exposure(assumed)),
            assumptions: self.keys(),
        }
    }
}

fn part(assumed: &Assumed<'_>, cause: &str, weight: f64, short: f64) -> (f64, f64, f64) {
    let sigma = assumed.value(&format!("outage.{cause}.sigma"));
    let median = assumed.value(&format!("outage.{cause}.median"));
    (
        weight,
        short * median * libm::exp(sigma * sigma / 2.0),
        sigma,
    )
}

/// The events of a design, by number of the domain, at these rates of classes.
pub(super) fn events(
    design: &Design,
    classes: &Classes,
    rates: &[f64],
    assumed: &Assumed<'_>,
) -> Vec<Event> {
    let all = classes.all.iter().zip(rates);
    let made: Vec<_> = all
        .map(|(class, rate)| class.rhythm(*rate, assumed))
        .collect();
    let domains = design.domains.iter().zip(&classes.of);
    let events = domains.map(|(domain, class)| {
        let name = format!("{} {}", domain.kind.word(), domain.name);
        let never = Rhythm {
            per_year: 0.0,
            mean_minutes: 0.0,
        };
        let (rhythm, lengths) = class.map_or((never, Lengths::Exponential), |at| made[at].clone());
        Event {
            name,
            rhythm,
            lengths,
            assumptions: class.map_or_else(Vec::new, |at| classes.all[at].keys()),
        }
    });
    events.collect()
}
