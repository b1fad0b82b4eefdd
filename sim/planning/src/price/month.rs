//! Whole months: a normal one, and the dearest of those in which one provider is lost.

use super::bill::{self, Bill, Sizes};
use super::flows::{Flows, Scene};
use super::tariff;
use super::{Failover, Month};
use crate::data::{Currency, Data, MONTH_HOURS};
use crate::design::{Design, DomainKind, Lost};
use quorate_engine::manifest::NodePool;
use std::collections::BTreeMap;

/// A month in which nothing fails.
pub(super) fn normal(design: &Design, data: &Data, currency: Currency) -> Month {
    let sizes = bill::sizes(&design.manifest, |_| false, 0.0);
    let nothing = Lost::default();
    let whole = Scene::of(design, data, &nothing, MONTH_HOURS);
    month(design, data, currency, &sizes, &whole.flows())
}

/// The dearest month without one of the providers; none if there is only one with machines.
pub(super) fn worst(
    design: &Design,
    data: &Data,
    currency: Currency,
    hours: f64,
) -> Option<Failover> {
    let providers = design.domains.iter().enumerate();
    let providers = providers.filter(|(_, domain)| domain.kind == DomainKind::Provider);
    let everyone = design.nodes().len();
    let mut worst: Option<Failover> = None;
    for (at, domain) in providers.filter(|(_, domain)| domain.nodes.len() < everyone) {
        let month = without(design, data, currency, (&domain.name, at), hours);
        if worst
            .as_ref()
            .is_none_or(|one| month.together > one.month.together)
        {
            worst = Some(Failover {
                lost: domain.name.clone(),
                hours,
                month,
            });
        }
    }
    worst
}

/// Without a provider for some hours, in which all growing pools elsewhere have their largest size.
fn without(
    design: &Design,
    data: &Data,
    currency: Currency,
    (provider, at): (&str, usize),
    hours: f64,
) -> Month {
    let bursting = |pool: &NodePool| pool.provider != provider;
    let sizes = bill::sizes(&design.manifest, bursting, hours);
    let grown = grown(design, provider);
    let lost_now = grown.domain(DomainKind::Provider, provider);
    let lost = grown.lost(&[lost_now.expect("a provider has machines at every size")]);
    let before = design.lost(&[at]);
    let nothing = Lost::default();
    let mut flows = Scene::of(design, data, &nothing, MONTH_HOURS - hours).flows();
    flows.merge(Scene::of(&grown, data, &lost, hours).flows());
    if hours > 0.0 {
        let whole = Scene::of(design, data, &nothing, hours);
        flows.merge(Scene::of(design, data, &before, hours).rebuild(&whole));
    }
    month(design, data, currency, &sizes, &flows)
}

/// The design with every growing pool elsewhere at its largest size.
fn grown(design: &Design, provider: &str) -> Design {
    let pools = design.manifest.spec.node_pools.iter();
    let elsewhere = pools.filter(|pool| pool.provider != provider);
    let sizes = elsewhere.filter_map(|pool| Some((pool.name.clone(), pool.autoscale?.max)));
    let sizes: BTreeMap<String, u32> = sizes.collect();
    // A mesh without an address for them cannot grow either: what it can hold is priced.
    Design::sized(&design.manifest, sizes).unwrap_or_else(|_| design.clone())
}

fn month(design: &Design, data: &Data, currency: Currency, sizes: &Sizes, flows: &Flows) -> Month {
    let mut bill = Bill {
        manifest: &design.manifest,
        data,
        lines: Vec::new(),
        unknown: std::collections::BTreeSet::new(),
    };
    bill.fixed(sizes);
    let (egress, unpriced) = tariff::lines(flows, data);
    bill.lines.extend(egress);
    bill.unknown.extend(unpriced);
    let totals = bill::totals(&bill.lines);
    let each = totals.iter();
    let together = each
        .map(|(from, amount)| data.exchange(*amount, *from, currency))
        .sum();
    Month {
        lines: bill.lines,
        totals,
        together,
        unknown: bill.unknown,
    }
}
