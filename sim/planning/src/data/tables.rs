//! All tables as text, and a user's rows in the place of ours.
//!
//! Knows no meaning of a cell: every file that comes in is read by `typed` at once.

use super::read::rows_of;
use super::typed;
use super::{Mistake, Row, Table};
use std::collections::{BTreeMap, BTreeSet};

/// Measured round trips may lie beside the tables; they are read elsewhere.
const ROUND_TRIPS: &str = "rtt.csv";

/// What a file would change in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What is there now; none: the row is new.
    pub old: Option<Row>,
    /// What takes its place; none: it goes, as the tariff that it was a tier of is replaced.
    pub new: Option<Row>,
}

/// All tables as text, by key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables(BTreeMap<Table, BTreeMap<Vec<String>, Row>>);

impl Tables {
    /// No rows at all: to collect some in.
    #[must_use]
    pub fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// What is compiled in.
    ///
    /// # Panics
    /// If a row of ours is bad.
    #[must_use]
    pub fn built_in() -> Self {
        let mut tables = Self::none();
        for table in Table::ALL {
            let rows = Self::read(table, &table.file(), table.text())
                .unwrap_or_else(|mistakes| panic!("our own rows are good: {}", mistakes[0]));
            tables.replace(table, rows);
        }
        tables
    }

    /// The same with a user's files, by name and text. Measured round trips (`rtt.csv`) may be
    /// among them and are left to whom they concern.
    ///
    /// # Errors
    /// Every mistake of every file, in order.
    pub fn with(files: &[(String, String)]) -> Result<Self, Vec<Mistake>> {
        let mut tables = Self::built_in();
        let mut mistakes = Vec::new();
        for (name, text) in files {
            let base = name.rsplit('/').next().unwrap_or(name);
            if base == ROUND_TRIPS {
                continue;
            }
            let Some(table) = base.strip_suffix(".csv").and_then(Table::named) else {
                mistakes.push(unknown_file(name));
                continue;
            };
            match Self::read(table, name, text) {
                Ok(rows) => tables.replace(table, rows),
                Err(found) => mistakes.extend(found),
            }
        }
        mistakes.sort();
        if mistakes.is_empty() {
            Ok(tables)
        } else {
            Err(mistakes)
        }
    }

    /// The rows of one file, each of them good.
    ///
    /// # Errors
    /// Every mistake, in order.
    pub fn read(table: Table, file: &str, text: &str) -> Result<Vec<Row>, Vec<Mistake>> {
        let (rows, mut mistakes) = rows_of(table, file, text);
        let mut seen = BTreeMap::new();
        for row in &rows {
            typed::check(table, row, &mut mistakes);
            if let Some(first) = seen.insert(row.key(table), row.line) {
                mistakes.push(Mistake {
                    file: file.to_owned(),
                    line: row.line,
                    column: None,
                    message: format!("has the same {} as line {first}", table.key().join(", ")),
                    fix: "keep one of the two".to_owned(),
                });
            }
        }
        if mistakes.is_empty() {
            typed::check_tiers(table, &rows, &mut mistakes);
        }
        mistakes.sort();
        if mistakes.is_empty() {
            Ok(rows)
        } else {
            Err(mistakes)
        }
    }

    /// What these rows would change.
    #[must_use]
    pub fn changes(&self, table: Table, rows: &[Row]) -> Vec<Change> {
        let old: BTreeMap<_, _> = self.rows(table).map(|row| (row.key(table), row)).collect();
        let groups: BTreeSet<_> = rows.iter().map(|row| row.group(table)).collect();
        let keys: BTreeSet<_> = rows.iter().map(|row| row.key(table)).collect();
        let gone = old
            .iter()
            .filter(|(key, row)| groups.contains(&row.group(table)) && !keys.contains(*key));
        let mut changes: Vec<Change> = gone
            .map(|(_, row)| Change {
                old: Some((*row).clone()),
                new: None,
            })
            .collect();
        for row in rows {
            let before = old.get(&row.key(table));
            if before.is_none_or(|before| before.cells != row.cells) {
                changes.push(Change {
                    old: before.map(|row| (*row).clone()),
                    new: Some(row.clone()),
                });
            }
        }
        changes
    }

    /// Puts rows in the place of those with the same key.
    pub fn replace(&mut self, table: Table, rows: Vec<Row>) {
        let groups: BTreeSet<_> = rows.iter().map(|row| row.group(table)).collect();
        let kept = self.0.entry(table).or_default();
        kept.retain(|_, row| !groups.contains(&row.group(table)));
        kept.extend(rows.into_iter().map(|row| (row.key(table), row)));
    }

    /// The rows of a table, by key.
    pub fn rows(&self, table: Table) -> impl Iterator<Item = &Row> {
        self.0.get(&table).into_iter().flat_map(BTreeMap::values)
    }

    /// The rows as values.
    ///
    /// # Panics
    /// If a row is bad: none comes in that is.
    #[must_use]
    pub fn data(&self) -> super::Data {
        typed::data(self)
    }

    /// Rows as a file.
    ///
    /// # Panics
    /// If memory cannot be written to.
    #[must_use]
    pub fn csv<'a>(table: Table, rows: impl Iterator<Item = &'a Row>) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let header = writer.write_record(table.columns());
        header.expect("memory can be written to");
        for row in rows {
            let written = writer.write_record(&row.cells);
            written.expect("a row has a cell for each column");
        }
        let bytes = writer.into_inner().expect("memory can be written to");
        String::from_utf8(bytes).expect("cells are text")
    }
}

fn unknown_file(name: &str) -> Mistake {
    let known: Vec<String> = Table::ALL.into_iter().map(Table::file).collect();
    Mistake {
        file: name.to_owned(),
        line: 1,
        column: None,
        message: "is none of our tables".to_owned(),
        fix: format!("name it {} or {ROUND_TRIPS}", known.join(", ")),
    }
}
