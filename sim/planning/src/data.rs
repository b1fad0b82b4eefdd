//! What reports assume: prices, published outages, and the figures behind every estimate; each with
//! its source and date.
//!
//! The tables are compiled in, and a user's files take their place, row by row. Nothing in them is
//! current by itself: every row says when it was true, and reports warn by its age. Reading order:
//! `table` (what files there are, and their rows as text), `typed` (rows as values), `age`.

mod age;
mod calendar;
mod read;
mod table;
mod tables;
mod typed;
mod vendor;

pub(crate) use age::word;
pub use age::{Aged, STALE_DAYS, Used};
pub use table::{Mistake, Row, Table};
pub use tables::{Change, Tables};
pub use vendor::{VendorList, vendor_rows};

use quorate_engine::manifest::ProviderKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A day of the calendar, or a month or a year where no more is known: `2026-08-03`, `2026-08`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Date(pub String);

/// Hours of a month, as providers count them: 365 days of 24 hours, divided by 12.
pub const MONTH_HOURS: f64 = 730.0;

/// Where a row comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Source {
    /// Addresses, or `repository@commit path`.
    pub source: String,
    /// When it was true; none: nobody says.
    pub date: Option<Date>,
    /// How well it is known.
    pub evidence: Evidence,
}

/// How well a row is known.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// Measured, by the user or by a command of this repository.
    Measured,
    /// Read in the named source.
    Read,
    /// A judgement, with its reason in the source.
    Judgement,
    /// From memory, unchecked: to be replaced before it decides anything.
    #[serde(rename = "general knowledge")]
    GeneralKnowledge,
}

/// Currencies of prices, by ISO 4217.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Currency {
    /// Euro.
    Eur,
    /// Dollar of the United States.
    Usd,
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Eur => "EUR",
            Self::Usd => "USD",
        })
    }
}

/// A parameter of an estimate: its value, and the range it may well lie in.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Assumption {
    /// `node.failures`, `provider.outages.gcp`: how `--data` names it.
    pub key: String,
    /// Its value.
    pub value: f64,
    /// The 5th percentile of what it may be; equal to `value` where it is exact.
    pub low: f64,
    /// The 95th percentile.
    pub high: f64,
    /// `per year`, `min`, `ms`.
    pub unit: String,
    /// What it is, in one line.
    pub meaning: String,
    /// Who says so.
    pub source: Source,
}

/// A published outage.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Incident {
    /// When it began.
    pub start: Date,
    /// How long it lasted, in minutes; none: not published.
    pub minutes: Option<f64>,
    /// `aws`, `gcp`, `cloudflare`.
    pub provider: String,
    /// `az`, `multi-az`, `region`, `multi-region`, `global`, `service`, `account`, `cross-provider`.
    pub scope_kind: String,
    /// Its place or service.
    pub scope: String,
    /// `power`, `cooling`, `fire`, `kinetic`, `network`, `config`, `software`, `capacity`, `ddos`,
    /// `dependency`.
    pub fault_class: String,
    /// `none`, `minor`, `partial`, `major`, `full`.
    pub control_plane_impact: String,
    /// In the same words.
    pub data_plane_impact: String,
    /// Who says so.
    pub source: Source,
}

/// The price of a machine type in a region.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct MachinePrice {
    /// The provider.
    pub provider: ProviderKind,
    /// The region; none: the same in all.
    pub region: Option<String>,
    /// The machine type.
    pub machine_type: String,
    /// For a month of 730 hours.
    pub monthly: f64,
    /// The same for a machine that the provider may take back.
    pub spot_monthly: Option<f64>,
    /// Of both.
    pub currency: Currency,
    /// Who says so.
    pub source: Source,
}

/// The price of traffic that leaves a place, in a tier of the month's volume.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct EgressPrice {
    /// The provider it leaves.
    pub provider: ProviderKind,
    /// The regions it leaves, as patterns with `;` between them (`us-east-1;eu-*`); none: all.
    pub from: Option<String>,
    /// Where it goes.
    pub to: Destination,
    /// Only to this region of the provider.
    pub to_region: Option<String>,
    /// The tier begins at so many GB a month.
    pub tier_from_gb: f64,
    /// It ends there; none: it has no end.
    pub tier_to_gb: Option<f64>,
    /// Whose volume the tiers measure.
    pub tiers_per: Meter,
    /// For a GB (10⁹ bytes); none: not a list price, and the notes say why.
    pub per_gb: Option<f64>,
    /// Its currency.
    pub currency: Currency,
    /// What else there is to say.
    pub notes: String,
    /// Who says so.
    pub source: Source,
}

/// Where traffic goes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Destination {
    /// Outside: clients, and other providers.
    Internet,
    /// Another zone of the region.
    Zone,
    /// Another region of the provider on the same continent.
    Region,
    /// Another region of the provider on another continent.
    Continent,
    /// Another provider, by a regime that has to be asked for: never part of a total.
    OtherProvider,
}

/// Whose volume the tiers of a price measure.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Meter {
    /// That of all machines of the account together.
    Account,
    /// That of each machine for itself.
    Machine,
}

/// The price of something else that a provider bills.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct OtherPrice {
    /// The provider.
    pub provider: ProviderKind,
    /// The region; none: the same in all others.
    pub region: Option<String>,
    /// What it is.
    pub item: Item,
    /// For a month of 730 hours: of one address, of one zone, or of one GB (10⁹ bytes) of disk.
    pub monthly: f64,
    /// Its currency.
    pub currency: Currency,
    /// Who says so.
    pub source: Source,
}

/// What providers bill beside machines and traffic.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Item {
    /// A public IPv4 address.
    Address,
    /// Block storage.
    Disk,
    /// A hosted zone of DNS.
    Zone,
}

/// All tables.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Data {
    /// Parameters of estimates, by key.
    pub assumptions: Vec<Assumption>,
    /// Published outages, by start.
    pub incidents: Vec<Incident>,
    /// Prices of machines.
    pub machines: Vec<MachinePrice>,
    /// Prices of traffic.
    pub egress: Vec<EgressPrice>,
    /// Prices of addresses, disks, zones.
    pub others: Vec<OtherPrice>,
    /// Dollars for one euro, and who says so.
    pub dollars_for_euro: (f64, Source),
}

impl Data {
    /// What is compiled in.
    ///
    /// # Panics
    /// If a row of ours is bad.
    #[must_use]
    pub fn built_in() -> Self {
        Tables::built_in().data()
    }

    /// The same with a user's files, by name and text: their rows take the place of rows with the
    /// same key, all others stay.
    ///
    /// # Errors
    /// Every mistake of every file, in order.
    pub fn with(files: &[(String, String)]) -> Result<Self, Vec<Mistake>> {
        Ok(Tables::with(files)?.data())
    }

    /// A parameter of an estimate.
    ///
    /// # Panics
    /// If there is none of this name: files replace rows and never take any away.
    #[must_use]
    pub fn assumption(&self, key: &str) -> &Assumption {
        let found = self.assumptions.iter().find(|row| row.key == key);
        found.unwrap_or_else(|| panic!("the table of assumptions has a row `{key}`"))
    }

    /// An amount in another currency, by the dated rate.
    #[must_use]
    pub fn exchange(&self, amount: f64, from: Currency, to: Currency) -> f64 {
        let dollars = self.dollars_for_euro.0;
        match (from, to) {
            (Currency::Eur, Currency::Usd) => amount * dollars,
            (Currency::Usd, Currency::Eur) => amount / dollars,
            (Currency::Eur, Currency::Eur) | (Currency::Usd, Currency::Usd) => amount,
        }
    }
}

#[cfg(test)]
mod tests;
