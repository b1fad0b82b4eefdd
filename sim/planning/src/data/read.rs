//! A file's rows as text: every column in its place, every row whole.
//!
//! Knows no meaning of a cell.

use super::{Mistake, Row, Table};
use std::collections::BTreeSet;

/// The rows that have a cell for every column, and what is wrong with the others.
pub(super) fn rows_of(table: Table, file: &str, text: &str) -> (Vec<Row>, Vec<Mistake>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_reader(text.as_bytes());
    let header = reader.headers().cloned();
    let header = header.unwrap_or_else(|error| panic!("text in memory is readable: {error}"));
    let mut mistakes = wrong_columns(table, file, &header);
    if !mistakes.is_empty() {
        return (Vec::new(), mistakes);
    }
    let order: Vec<usize> = table
        .columns()
        .iter()
        .filter_map(|column| header.iter().position(|found| found == *column))
        .collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.unwrap_or_else(|error| panic!("text in memory is readable: {error}"));
        let line = record.position().map_or(1, csv::Position::line);
        if record.len() == header.len() {
            rows.push(Row {
                cells: order.iter().map(|at| record[*at].to_owned()).collect(),
                file: file.to_owned(),
                line,
            });
        } else {
            mistakes.push(Mistake {
                file: file.to_owned(),
                line,
                column: None,
                message: format!("has {} cells instead of {}", record.len(), header.len()),
                fix: "write a cell for each column, and quotes around one that holds a comma"
                    .to_owned(),
            });
        }
    }
    (rows, mistakes)
}

/// What is wrong with a header.
fn wrong_columns(table: Table, file: &str, header: &csv::StringRecord) -> Vec<Mistake> {
    let mut messages = Vec::new();
    for column in table.columns() {
        if !header.iter().any(|found| found == *column) {
            messages.push(format!("has no column `{column}`"));
        }
    }
    let mut seen = BTreeSet::new();
    for found in header {
        if !table.columns().contains(&found) {
            messages.push(format!("has an unknown column `{found}`"));
        } else if !seen.insert(found) {
            messages.push(format!("has column `{found}` twice"));
        }
    }
    let mistake = |message| Mistake {
        file: file.to_owned(),
        line: 1,
        column: None,
        message,
        fix: format!("write the header `{}`", table.columns().join(",")),
    };
    messages.into_iter().map(mistake).collect()
}
