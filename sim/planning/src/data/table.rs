//! Which files there are, their columns and keys, and a row as text.
//!
//! Knows no meaning of a cell: `typed` does.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The tables.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Table {
    /// Parameters of estimates.
    Assumptions,
    /// Prices of traffic.
    Egress,
    /// Published outages.
    Incidents,
    /// Prices of machines.
    Machines,
    /// Prices of addresses, disks and zones.
    Prices,
    /// Exchange rates.
    Rates,
}

impl Table {
    /// All of them, by name.
    pub const ALL: [Self; 6] = [
        Self::Assumptions,
        Self::Egress,
        Self::Incidents,
        Self::Machines,
        Self::Prices,
        Self::Rates,
    ];

    /// Its name: that of its file without `.csv`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Assumptions => "assumptions",
            Self::Egress => "egress",
            Self::Incidents => "incidents",
            Self::Machines => "machines",
            Self::Prices => "prices",
            Self::Rates => "rates",
        }
    }

    /// Its file.
    #[must_use]
    pub fn file(self) -> String {
        format!("{}.csv", self.name())
    }

    /// The table with this name, or of this file.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = name.strip_suffix(".csv").unwrap_or(name);
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    /// Its columns, in the order in which we write them.
    #[must_use]
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Assumptions => &[
                "key", "value", "low", "high", "unit", "meaning", "date", "source", "evidence",
            ],
            Self::Egress => &[
                "provider",
                "from",
                "to",
                "to_region",
                "tier_from",
                "tier_to",
                "tiers_per",
                "price",
                "currency",
                "per",
                "notes",
                "date",
                "source",
                "evidence",
            ],
            Self::Incidents => &[
                "start",
                "minutes",
                "provider",
                "scope_kind",
                "scope",
                "fault_class",
                "control_plane_impact",
                "data_plane_impact",
                "notes",
                "source",
                "evidence",
            ],
            Self::Machines => &[
                "provider",
                "region",
                "machine_type",
                "price",
                "per",
                "spot_price",
                "currency",
                "date",
                "source",
                "evidence",
            ],
            Self::Prices => &[
                "provider", "region", "item", "price", "per", "currency", "notes", "date",
                "source", "evidence",
            ],
            Self::Rates => &["base", "quote", "rate", "date", "source", "evidence"],
        }
    }

    /// The columns whose cells tell one row from another.
    pub(super) fn key(self) -> &'static [&'static str] {
        match self {
            Self::Assumptions => &["key"],
            Self::Egress => &["provider", "from", "to", "to_region", "tier_from"],
            Self::Incidents => &["start", "provider", "scope"],
            Self::Machines => &["provider", "region", "machine_type"],
            Self::Prices => &["provider", "region", "item"],
            Self::Rates => &["base", "quote"],
        }
    }

    /// How many columns of the key name what is replaced as one: all tiers of a tariff together.
    fn grouped(self) -> usize {
        match self {
            Self::Egress => 4,
            Self::Assumptions | Self::Incidents | Self::Machines | Self::Prices | Self::Rates => {
                self.key().len()
            }
        }
    }

    /// Where a column stands.
    ///
    /// # Panics
    /// If there is no such column.
    #[must_use]
    pub fn column(self, name: &str) -> usize {
        let at = self.columns().iter().position(|column| *column == name);
        at.unwrap_or_else(|| panic!("{} has a column `{name}`", self.file()))
    }

    /// What is compiled in.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Assumptions => include_str!("../../data/assumptions.csv"),
            Self::Egress => include_str!("../../data/egress.csv"),
            Self::Incidents => include_str!("../../data/incidents.csv"),
            Self::Machines => include_str!("../../data/machines.csv"),
            Self::Prices => include_str!("../../data/prices.csv"),
            Self::Rates => include_str!("../../data/rates.csv"),
        }
    }
}

/// A row of a table, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// In the order of [`Table::columns`].
    pub cells: Vec<String>,
    /// Its file, as it was named.
    pub file: String,
    /// Its line there, from 1.
    pub line: u64,
}

impl Row {
    /// What tells it from other rows of the table; case does not.
    #[must_use]
    pub fn key(&self, table: Table) -> Vec<String> {
        let cell = |name: &&str| self.cells[table.column(name)].to_ascii_lowercase();
        table.key().iter().map(cell).collect()
    }

    /// What names all that is replaced with it.
    pub(super) fn group(&self, table: Table) -> Vec<String> {
        let mut key = self.key(table);
        key.truncate(table.grouped());
        key
    }
}

/// A mistake in a file of data: the place, what is wrong, and what to write.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema, thiserror::Error)]
#[error("{file}:{line}{}: {message}; {fix}", .column.as_ref().map(|c| format!(", {c}")).unwrap_or_default())]
pub struct Mistake {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The column, by its heading; none: the row, or the file.
    pub column: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub fix: String,
}
