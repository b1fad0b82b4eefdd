//! Published outages, counted: which of them speak of a kind of place of a provider.
//!
//! Counted since 2019, as the list is thin before. Rows of one tenant, of one service, and of
//! causes that cross providers are left out; of rows of one provider with the same start only that
//! of the largest scope counts, as they describe one event. Outages of several regions, or of all,
//! count as the provider's, by their impact; outages of several zones once for each named zone.

use super::assumed::Assumed;
use crate::data::{Data, Incident};
use crate::design::DomainKind;
use std::collections::BTreeMap;

/// Outages of a kind of place of a provider, and over what they were seen.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    /// So many times an outage of such impact: the assumption with its weight, and whether only
    /// part of such outages concern name servers.
    seen: BTreeMap<(&'static str, bool), usize>,
    years: f64,
    /// The assumption with the number of such places; none: there is one.
    places: Option<String>,
    /// The assumption with the share that is published.
    published: &'static str,
}

/// The list begins with this year.
const FIRST_YEAR: f64 = 2019.0;

/// None where nothing can be learnt: the number of places is not known, or there is no list.
pub(super) fn counted(
    data: &Data,
    vendor: &str,
    scope: DomainKind,
    assumed: &Assumed<'_>,
) -> Option<Counted> {
    let (places, published) = match scope {
        DomainKind::Zone => (Some(format!("zones.{vendor}")), "published.zone"),
        DomainKind::Region => (Some(format!("regions.{vendor}")), "published.region"),
        DomainKind::Provider | DomainKind::Dns => (None, "published.provider"),
        DomainKind::Group | DomainKind::Node => return None,
    };
    let theirs = |incident: &&Incident| incident.provider == vendor;
    let listed = data.incidents.iter().any(|incident| theirs(&incident));
    let known = places.as_ref().is_none_or(|key| assumed.has(key));
    let years = window(data);
    if !known || years <= 0.0 || !(listed || places.is_some()) {
        return None;
    }
    let mut seen = BTreeMap::new();
    for incident in data
        .incidents
        .iter()
        .filter(theirs)
        .filter(|i| counts(i, data))
    {
        let names = incident.scope.contains("DNS");
        let times = match (scope, scope_of(incident)) {
            (DomainKind::Dns, Some(_)) if names => 1,
            (DomainKind::Dns, Some(DomainKind::Provider)) => usize::from(edge(vendor)),
            (DomainKind::Zone, Some(DomainKind::Zone)) => incident.scope.split(';').count(),
            (asked, found) => usize::from(found == Some(asked)),
        };
        if let (Some(impact), true) = (impact(incident), times > 0) {
            let share = scope == DomainKind::Dns && !names;
            *seen.entry((impact, share)).or_default() += times;
        }
    }
    Some(Counted {
        seen,
        years,
        places,
        published,
    })
}

/// Providers whose business is the edge: their outages may be of their name servers.
fn edge(vendor: &str) -> bool {
    matches!(vendor, "cloudflare" | "fastly" | "akamai")
}

impl Counted {
    pub(super) fn incidents(&self) -> usize {
        self.seen.values().sum()
    }

    /// What they weigh together.
    pub(super) fn weight(&self, assumed: &Assumed<'_>) -> f64 {
        let seen = self.seen.iter();
        let weights = seen.map(|((impact, share), times)| {
            let part = if *share {
                assumed.value("dns.share")
            } else {
                1.0
            };
            *times as f64 * assumed.value(impact) * part
        });
        weights.sum()
    }

    /// Years of one such place, as far as they are published.
    pub(super) fn exposure(&self, assumed: &Assumed<'_>) -> f64 {
        let places = self.places.as_ref().map_or(1.0, |key| assumed.value(key));
        self.years * places * assumed.value(self.published)
    }

    pub(super) fn keys(&self) -> Vec<String> {
        let mut keys = vec![self.published.to_owned()];
        keys.extend(self.places.clone());
        let exact = |key: &&str| *key != "impact.full";
        let impacts = self.seen.keys().map(|(impact, _)| *impact).filter(exact);
        keys.extend(impacts.map(str::to_owned));
        keys.extend(
            self.seen
                .keys()
                .any(|seen| seen.1)
                .then(|| "dns.share".to_owned()),
        );
        keys.dedup();
        keys
    }
}

fn impact(incident: &Incident) -> Option<&'static str> {
    match incident.data_plane_impact.as_str() {
        "full" => Some("impact.full"),
        "major" => Some("impact.major"),
        "partial" => Some("impact.partial"),
        "minor" => Some("impact.minor"),
        _ => None,
    }
}

fn scope_of(incident: &Incident) -> Option<DomainKind> {
    match incident.scope_kind.as_str() {
        "az" | "multi-az" => Some(DomainKind::Zone),
        "region" => Some(DomainKind::Region),
        "multi-region" | "global" => Some(DomainKind::Provider),
        _ => None,
    }
}

fn counts(incident: &Incident, data: &Data) -> bool {
    let since = moment(&incident.start.0).is_some_and(|year| year >= FIRST_YEAR);
    let larger = |other: &&Incident| {
        other.provider == incident.provider
            && other.start == incident.start
            && scope_of(other).is_some()
            && scope_of(other) < scope_of(incident)
    };
    since && !data.incidents.iter().any(|other| larger(&other))
}

/// Years from the beginning of the list to its last outage.
pub(super) fn window(data: &Data) -> f64 {
    let moments = data.incidents.iter().filter_map(|i| moment(&i.start.0));
    (moments.fold(FIRST_YEAR, f64::max) - FIRST_YEAR).max(0.0)
}

/// `2021-03-09T23:47:00Z`, `2021-03-09`, `2021-03` or `2021` as a year with its part; to a day.
fn moment(text: &str) -> Option<f64> {
    let day = text.split('T').next()?;
    let mut parts = day.split('-').map(str::parse::<f64>);
    let year = parts.next()?.ok()?;
    let month = parts.next().and_then(Result::ok).unwrap_or(1.0);
    let day = parts.next().and_then(Result::ok).unwrap_or(1.0);
    Some(year + (month - 1.0) / 12.0 + (day - 1.0) / 365.25)
}
