//! What a design costs: a normal month, a month with a failover, and what nobody knows.
//!
//! Reading order: `flows` (what leaves which place for where), `tariff` (what that costs), `bill`
//! (everything together), `month` (a normal one, and one without a provider), `section`. Totals are
//! "at least": what has no price is named beside them and never counted as zero. Discounts, taxes,
//! support and the people who run it are not in it.

mod bill;
mod flows;
mod month;
mod place;
mod section;
mod tariff;

pub use flows::Purpose;
pub use tariff::Step;

use crate::data::{Aged, Currency, Data, Date, STALE_DAYS, Used};
use crate::design::Design;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How a price is to be told.
#[derive(Debug, Clone, PartialEq)]
pub struct PriceOptions {
    /// Totals are given in this currency, too.
    pub currency: Currency,
    /// For how many hours of the failover month the provider is lost; none: as the assumption
    /// `failover.hours` says.
    pub failover_hours: Option<f64>,
    /// Rows older than 180 days on this day are warned of; none: nobody is warned.
    pub today: Option<Date>,
}

impl Default for PriceOptions {
    fn default() -> Self {
        Self {
            currency: Currency::Eur,
            failover_hours: None,
            today: None,
        }
    }
}

/// What a design costs.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Price {
    /// Of totals over several currencies.
    pub currency: Currency,
    /// A month of 730 hours in which nothing fails.
    pub normal: Month,
    /// The dearest month in which one provider is lost; none where there is only one.
    pub failover: Option<Failover>,
    /// Regimes under which traffic to other providers may cost less: to be asked for, not in totals.
    pub regimes: Vec<String>,
    /// The rows that these figures stand on.
    pub used: Vec<Used>,
    /// Those of them that are old, or of unknown age.
    pub aged: Vec<Aged>,
}

/// A month in which a provider is lost.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Failover {
    /// The provider's name.
    pub lost: String,
    /// For so many hours.
    pub hours: f64,
    /// What the month costs. The lost provider's machines are paid for as ever.
    pub month: Month,
}

/// What a month costs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
pub struct Month {
    /// Item by item.
    pub lines: Vec<Line>,
    /// What is known, by currency.
    pub totals: BTreeMap<Currency, f64>,
    /// The same in one currency, by the dated rate.
    pub together: f64,
    /// What is not in it.
    pub unknown: BTreeSet<Unknown>,
}

/// An item of a bill.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Line {
    /// What it is a part of.
    pub group: Group,
    /// The provider's name.
    pub provider: String,
    /// What it is: `workers-aws: m6i.xlarge in eu-central-1`.
    pub what: String,
    /// How much of it.
    pub quantity: f64,
    /// Of what: `machine-months`, `GB`.
    pub unit: &'static str,
    /// What it costs in the month; none: nobody knows.
    pub amount: Option<f64>,
    /// Its currency, where a price is known.
    pub currency: Option<Currency>,
    /// How traffic went through the tiers of its tariff.
    pub steps: Vec<Step>,
    /// The rows behind it.
    pub rows: Vec<Used>,
}

/// What items are parts of. In the order of a bill.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Machines with an API server and a member of etcd.
    ControlPlane,
    /// Machines with workloads.
    Workers,
    /// Machines that are entry points and nothing else.
    LoadBalancers,
    /// Machines of the mesh alone.
    OtherMachines,
    /// Additional disks.
    Disks,
    /// Public addresses.
    Addresses,
    /// Zones of DNS.
    Zones,
    /// Traffic that leaves a place.
    Egress,
}

impl Group {
    /// All of them, in order.
    pub const ALL: [Self; 8] = [
        Self::ControlPlane,
        Self::Workers,
        Self::LoadBalancers,
        Self::OtherMachines,
        Self::Disks,
        Self::Addresses,
        Self::Zones,
        Self::Egress,
    ];

    /// As people say it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::ControlPlane => "control plane",
            Self::Workers => "workers",
            Self::LoadBalancers => "load balancers",
            Self::OtherMachines => "other machines",
            Self::Disks => "disks",
            Self::Addresses => "addresses",
            Self::Zones => "DNS zones",
            Self::Egress => "egress",
        }
    }
}

/// Something that is not in a total.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Unknown {
    /// What.
    pub what: String,
    /// What would make it known.
    pub fix: String,
}

impl Month {
    /// What a group costs at a provider, by what is known, in one currency.
    #[must_use]
    pub fn of(&self, provider: &str, group: Group, data: &Data, currency: Currency) -> f64 {
        let lines = self.lines.iter();
        let fit = lines.filter(|line| line.provider == provider && line.group == group);
        let amounts = fit.filter_map(|line| Some((line.amount?, line.currency?)));
        amounts
            .map(|(amount, from)| data.exchange(amount, from, currency))
            .sum()
    }
}

/// The price of a design.
#[must_use]
pub fn price(design: &Design, data: &Data, options: &PriceOptions) -> Price {
    let hours = options
        .failover_hours
        .unwrap_or(data.assumption("failover.hours").value)
        .clamp(0.0, crate::data::MONTH_HOURS);
    let normal = month::normal(design, data, options.currency);
    let failover = month::worst(design, data, options.currency, hours);
    let mut used = BTreeSet::new();
    let months = [Some(&normal), failover.as_ref().map(|one| &one.month)];
    for line in months.iter().flatten().flat_map(|month| &month.lines) {
        used.extend(line.rows.iter().cloned());
    }
    let foreign = |month: &&&Month| month.totals.keys().any(|one| *one != options.currency);
    if months.iter().flatten().any(|month| foreign(&month)) {
        used.insert(data.rate_used());
    }
    let aged = options.today.as_ref().map_or_else(Vec::new, |today| {
        let old = used
            .iter()
            .filter_map(|row| row.older_than(STALE_DAYS, today));
        old.collect()
    });
    Price {
        currency: options.currency,
        normal,
        failover,
        regimes: tariff::regimes(design, data),
        used: used.into_iter().collect(),
        aged,
    }
}
