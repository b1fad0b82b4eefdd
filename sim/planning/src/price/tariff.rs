//! What traffic costs: the tariff of a way, and how a volume goes through its tiers.

use super::flows::{Flows, Way};
use super::{Group, Line, Unknown};
use crate::data::{Currency, Data, Destination, EgressPrice, Meter, Used};
use crate::design::Design;
use quorate_engine::manifest::ProviderKind;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A volume in a tier.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Step {
    /// In GB (10⁹ bytes).
    pub gb: f64,
    /// What a GB costs there; none: beyond the last tier that is known.
    pub per_gb: Option<f64>,
}

/// Whether a name fits one of the patterns, which have `;` between them and `*` for any text.
/// How exactly: the number of letters that the pattern says; more than any if it says all.
fn fit(patterns: &str, name: &str) -> Option<usize> {
    let name = name.to_ascii_lowercase();
    let one = |pattern: &str| {
        let pattern = pattern.trim().to_ascii_lowercase();
        let Some((head, tail)) = pattern.split_once('*') else {
            return (pattern == name).then_some(usize::MAX);
        };
        let long = name.len() >= head.len() + tail.len();
        let fits = long && name.starts_with(head) && name.ends_with(tail);
        fits.then_some(head.len() + tail.len())
    };
    patterns.split(';').filter_map(one).max()
}

/// The tiers for a way out of a region, the most exact tariff there is.
pub(super) fn tiers<'a>(
    data: &'a Data,
    (kind, region): (ProviderKind, &str),
    (to, to_region): (Destination, Option<&str>),
) -> Vec<&'a EgressPrice> {
    let rank = |row: &EgressPrice| {
        let there = match (&row.to_region, to_region) {
            (None, _) => 0,
            (Some(said), Some(there)) if said.eq_ignore_ascii_case(there) => 1,
            (Some(_), _) => return None,
        };
        let here = row
            .from
            .as_deref()
            .map_or(Some(0), |from| fit(from, region))?;
        (row.provider == kind && row.to == to).then_some((there, here))
    };
    let Some(best) = data.egress.iter().filter_map(&rank).max() else {
        return Vec::new();
    };
    let mut tiers: Vec<&EgressPrice> = Vec::new();
    for row in data.egress.iter().filter(|row| rank(row) == Some(best)) {
        // Two tariffs may fit equally well; they are never mixed.
        if tiers.first().is_none_or(|first| first.from == row.from) {
            tiers.push(row);
        }
    }
    tiers
}

/// How a volume goes through tiers.
pub(super) fn steps(tiers: &[&EgressPrice], gb: f64) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut end = 0.0;
    for tier in tiers {
        end = tier.tier_to_gb.unwrap_or(f64::INFINITY);
        let within = (gb.min(end) - tier.tier_from_gb).max(0.0);
        if within > 0.0 {
            steps.push(Step {
                gb: within,
                per_gb: tier.per_gb,
            });
        }
    }
    if gb > end {
        steps.push(Step {
            gb: gb - end,
            per_gb: None,
        });
    }
    steps
}

/// A way and how much of it each machine sends, in GB.
type Sent<'a> = (&'a Way, &'a BTreeMap<String, f64>);

/// What one meter of a provider counts: everything under one tariff, wherever it leaves.
type MeterKey = (String, Destination, Option<String>, Option<String>);

/// The lines of all traffic, and what of it has no price.
pub(super) fn lines(flows: &Flows, data: &Data) -> (Vec<Line>, BTreeSet<Unknown>) {
    let mut unknown = flows.unknown.clone();
    let mut meters: BTreeMap<MeterKey, Vec<Sent<'_>>> = BTreeMap::new();
    let mut lines = Vec::new();
    for (way, senders) in &flows.gb {
        let tiers = tiers_of(way, data);
        let Some(first) = tiers.first() else {
            unknown.insert(unpriced(way));
            lines.push(line(way, senders.values().sum(), None));
            continue;
        };
        let key = (
            way.from.provider.clone(),
            way.to,
            first.from.clone(),
            first.to_region.clone(),
        );
        meters.entry(key).or_default().push((way, senders));
    }
    for ways in meters.values() {
        metered(ways, data, &mut lines, &mut unknown);
    }
    lines.sort_by(|a, b| (&a.provider, &a.what).cmp(&(&b.provider, &b.what)));
    (lines, unknown)
}

fn tiers_of<'a>(way: &Way, data: &'a Data) -> Vec<&'a EgressPrice> {
    let to_region = way.there.as_ref().map(|there| there.region.as_str());
    tiers(data, (way.from.kind, &way.from.region), (way.to, to_region))
}

fn metered(ways: &[Sent<'_>], data: &Data, lines: &mut Vec<Line>, unknown: &mut BTreeSet<Unknown>) {
    let tiers = tiers_of(ways[0].0, data);
    let mut machines: BTreeMap<&str, f64> = BTreeMap::new();
    for (_, senders) in ways {
        for (node, gb) in *senders {
            let name = match tiers[0].tiers_per {
                Meter::Account => "",
                Meter::Machine => node.as_str(),
            };
            *machines.entry(name).or_default() += gb;
        }
    }
    let total: f64 = machines.values().sum();
    let mut merged: Vec<Step> = Vec::new();
    for gb in machines.values() {
        for step in steps(&tiers, *gb) {
            match merged.iter_mut().find(|one| one.per_gb == step.per_gb) {
                Some(same) => same.gb += step.gb,
                None => merged.push(step),
            }
        }
    }
    for (way, senders) in ways {
        let gb: f64 = senders.values().sum();
        let share = gb / total;
        let mine = merged.iter().map(|step| Step {
            gb: step.gb * share,
            per_gb: step.per_gb,
        });
        let mine: Vec<Step> = mine.collect();
        if mine.iter().any(|step| step.per_gb.is_none()) {
            unknown.insert(unpriced(way));
        }
        let rows = tiers.iter().filter(|tier| tier.tier_from_gb <= total);
        let rows = rows.map(|tier| tier.used()).collect();
        lines.push(line(way, gb, Some((mine, tiers[0].currency, rows))));
    }
}

type Priced = (Vec<Step>, Currency, Vec<Used>);

/// A line of traffic. Of a volume beyond the last known tier, what is known is the amount.
fn line(way: &Way, gb: f64, priced: Option<Priced>) -> Line {
    let there = way
        .there
        .as_ref()
        .map_or_else(|| "clients".to_owned(), super::place::Place::name);
    let there = match way.to {
        Destination::Zone => format!("{there}, another zone"),
        Destination::Internet
        | Destination::Region
        | Destination::Continent
        | Destination::OtherProvider => there,
    };
    let what = format!("{}: {} to {there}", way.purpose.word(), way.from.name());
    let (steps, currency, rows) = match priced {
        Some((steps, currency, rows)) => (steps, Some(currency), rows),
        None => (Vec::new(), None, Vec::new()),
    };
    let amount: f64 = steps
        .iter()
        .filter_map(|step| Some(step.gb * step.per_gb?))
        .sum();
    Line {
        group: Group::Egress,
        provider: way.from.provider.clone(),
        what,
        quantity: gb,
        unit: "GB",
        amount: currency.is_some().then_some(amount),
        currency,
        steps,
        rows,
    }
}

fn unpriced(way: &Way) -> Unknown {
    let kind = crate::data::word(&way.from.kind);
    let region = &way.from.region;
    let to = crate::data::word(&way.to);
    Unknown {
        what: format!("traffic from {} ({to})", way.from.name()),
        fix: format!("a row of `egress.csv` with provider {kind}, from {region}, to {to}"),
    }
}

/// Regimes for traffic to other providers that this design may ask for.
pub(super) fn regimes(design: &Design, data: &Data) -> Vec<String> {
    let places: BTreeSet<(ProviderKind, &str)> = design
        .nodes()
        .iter()
        .map(|node| (node.provider_kind, node.region.as_str()))
        .collect();
    let rows = data.egress.iter().filter(|row| {
        row.to == Destination::OtherProvider
            && places.iter().any(|(kind, region)| {
                let here = row
                    .from
                    .as_deref()
                    .is_none_or(|from| fit(from, region).is_some());
                *kind == row.provider && here
            })
    });
    let said = rows.map(|row| {
        let price = row.per_gb.map_or_else(
            || "no list price".to_owned(),
            |price| format!("{price} {} per GB", row.currency),
        );
        let provider = crate::data::word(&row.provider);
        format!("{provider}: {price}, {}", row.notes)
    });
    said.collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_exact_pattern_decides() {
        assert_eq!(fit("us-east-1;eu-*", "eu-central-1"), Some(3));
        assert_eq!(fit("us-east-1;eu-*", "us-east-1"), Some(usize::MAX));
        assert_eq!(fit("us-east-1;eu-*", "us-east-2"), None);
        assert_eq!(fit("*india", "centralindia"), Some(5));
        assert_eq!(fit("aa*a", "aa"), None, "letters are not used twice");
        let data = Data::built_in();
        let per = |region, to, there| {
            let tiers = tiers(&data, (ProviderKind::Aws, region), (to, there));
            tiers.first().and_then(|tier| tier.per_gb)
        };
        let inside = Destination::Region;
        assert_eq!(per("us-east-1", inside, Some("us-east-2")), Some(0.01));
        assert_eq!(per("us-east-1", inside, Some("us-west-2")), Some(0.02));
        assert_eq!(per("sa-east-1", inside, Some("us-west-2")), None);
    }

    #[test]
    fn a_volume_goes_through_every_tier() {
        let data = Data::built_in();
        let frankfurt = (ProviderKind::Aws, "eu-central-1");
        let tiers = tiers(&data, frankfurt, (Destination::Internet, None));
        let steps = steps(&tiers, 200_000.0);
        let amounts: Vec<f64> = steps.iter().map(|step| step.gb).collect();
        assert_eq!(amounts, [100.0, 10_140.0, 40_960.0, 102_400.0, 46_400.0]);
        let singapore = (ProviderKind::Aws, "ap-southeast-1");
        let tiers = super::tiers(&data, singapore, (Destination::Internet, None));
        let beyond = super::steps(&tiers, 20_000.0);
        assert_eq!(
            beyond.last().map(|s| (s.gb, s.per_gb)),
            Some((9_760.0, None))
        );
    }
}
