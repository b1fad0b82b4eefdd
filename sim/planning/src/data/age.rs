//! How old rows are, and which of them a report stands on.

use super::{Data, Date, Evidence, Source, Table};
use schemars::JsonSchema;
use serde::Serialize;

/// Prices older than so many days deserve a second look: lists of the large providers change a few
/// times a year.
pub const STALE_DAYS: i64 = 180;

/// A row that a figure stands on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Used {
    /// Its table.
    pub table: Table,
    /// Its key, as people read it: `aws eu-central-1 m6i.large`.
    pub row: String,
    /// Who says so.
    pub source: Source,
}

/// A row and its age.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Aged {
    /// The row.
    pub row: Used,
    /// Its age in days; none: nobody says when it was true.
    pub days: Option<i64>,
}

impl Used {
    /// The row with its age, if it is older than `days`, or of unknown age.
    #[must_use]
    pub fn older_than(&self, days: i64, today: &Date) -> Option<Aged> {
        let date = self.source.date.as_ref();
        let age = date.and_then(|date| date.age_days(today));
        age.is_none_or(|age| age > days).then(|| Aged {
            row: self.clone(),
            days: age,
        })
    }

    /// Whether somebody has looked it up or measured it.
    #[must_use]
    pub fn is_checked(&self) -> bool {
        match self.source.evidence {
            Evidence::Measured | Evidence::Read | Evidence::Judgement => true,
            Evidence::GeneralKnowledge => false,
        }
    }
}

impl Data {
    /// Rows of all tables of prices and of rates. Outages and assumptions do not grow old.
    #[must_use]
    pub fn priced(&self) -> Vec<Used> {
        let mut rows: Vec<Used> = Vec::new();
        rows.extend(self.machines.iter().map(super::MachinePrice::used));
        rows.extend(self.egress.iter().map(super::EgressPrice::used));
        rows.extend(self.others.iter().map(super::OtherPrice::used));
        rows.push(self.rate_used());
        rows.sort();
        rows.dedup();
        rows
    }

    /// Prices and rates that are older than `days`, or of unknown age.
    #[must_use]
    pub fn stale(&self, today: &Date, days: i64) -> Vec<Aged> {
        let rows = self.priced().into_iter();
        rows.filter_map(|row| row.older_than(days, today)).collect()
    }

    /// The exchange rate as a row.
    #[must_use]
    pub fn rate_used(&self) -> Used {
        Used {
            table: Table::Rates,
            row: "EUR USD".to_owned(),
            source: self.dollars_for_euro.1.clone(),
        }
    }
}

impl super::Assumption {
    /// As a row that a figure stands on.
    #[must_use]
    pub fn used(&self) -> Used {
        Used {
            table: Table::Assumptions,
            row: self.key.clone(),
            source: self.source.clone(),
        }
    }
}

impl super::MachinePrice {
    /// As a row that a figure stands on.
    #[must_use]
    pub fn used(&self) -> Used {
        Used {
            table: Table::Machines,
            row: shown(
                self.provider,
                &[self.region.as_deref(), Some(&self.machine_type)],
            ),
            source: self.source.clone(),
        }
    }
}

impl super::EgressPrice {
    /// As a row that a figure stands on.
    #[must_use]
    pub fn used(&self) -> Used {
        let to = word(&self.to);
        let tier = format!("from {:.0} GB", self.tier_from_gb);
        let rest = [
            self.from.as_deref(),
            Some(to.as_str()),
            self.to_region.as_deref(),
            Some(tier.as_str()),
        ];
        Used {
            table: Table::Egress,
            row: shown(self.provider, &rest),
            source: self.source.clone(),
        }
    }
}

impl super::OtherPrice {
    /// As a row that a figure stands on.
    #[must_use]
    pub fn used(&self) -> Used {
        let item = word(&self.item);
        Used {
            table: Table::Prices,
            row: shown(self.provider, &[self.region.as_deref(), Some(&item)]),
            source: self.source.clone(),
        }
    }
}

fn shown(provider: quorate_engine::manifest::ProviderKind, rest: &[Option<&str>]) -> String {
    let mut text = word(&provider);
    for part in rest.iter().flatten() {
        text.push(' ');
        text.push_str(part);
    }
    text
}

/// A variant as files write it.
pub(crate) fn word(of: &impl Serialize) -> String {
    match serde_json::to_value(of) {
        Ok(serde_json::Value::String(word)) => word,
        other => panic!("a variant without fields is written as a word: {other:?}"),
    }
}
