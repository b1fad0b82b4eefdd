//! A file of comma-separated values for every table and chart, by RFC 4180: for spreadsheets and
//! programs.
//!
//! A cell with a value is written as that value, with all its digits, so that nothing is rounded
//! twice; any other as its text. A tone has no column of its own: it follows from what is there.
//!
//! Spreadsheets take text that begins with `=`, `+`, `-`, `@`, a tab or a line break for a formula,
//! and names come from manifests. The rule: such text, also behind spaces and in its full-width
//! forms, gets an apostrophe before it, which spreadsheets do not show. Values are written by us and
//! stay as they are, negative ones too.

use super::{Cell, Page, Table};
use quorate_sim::report::plain;

/// The name and the text of each file: of tables as they are called, of charts with `-chart`.
///
/// # Panics
/// If short names are not unique, or a row is not whole.
#[must_use]
pub fn csv(page: &Page) -> Vec<(String, String)> {
    page.assert_sound();
    let tables = page
        .tables()
        .map(|table| (table.id.to_owned(), sheet(table)));
    let charts = page
        .charts()
        .map(|chart| (format!("{}-chart", chart.id), sheet(&chart.table())));
    let mut files: Vec<(String, String)> = tables.chain(charts).collect();
    for (name, _) in &mut files {
        name.push_str(".csv");
    }
    let mut names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), files.len(), "every CSV file has its own name");
    files
}

fn sheet(table: &Table) -> String {
    let mut writer = ::csv::WriterBuilder::new()
        .terminator(::csv::Terminator::CRLF)
        .from_writer(Vec::new());
    let head = table.columns.iter().map(|column| guarded(&column.title));
    let rows = table.rows.iter().map(|row| row.iter().map(raw).collect());
    for record in std::iter::once(head.collect::<Vec<String>>()).chain(rows) {
        writer
            .write_record(record)
            .expect("rows are whole, and memory takes them");
    }
    let bytes = writer.into_inner().expect("memory takes what is written");
    String::from_utf8(bytes).expect("text stays text")
}

fn raw(cell: &Cell) -> String {
    match cell.value.filter(|value| value.is_finite()) {
        Some(value) => value.to_string(),
        None => guarded(&cell.text),
    }
}

fn guarded(text: &str) -> String {
    let begins = |c: char| "=+-@＝＋－＠\t\r\n".contains(c);
    let formula = text.trim_start_matches(' ').starts_with(begins);
    let guard = if formula { "'" } else { "" };
    format!("{guard}{}", plain(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Column;

    #[test]
    fn what_a_spreadsheet_would_run_is_guarded() {
        let cases = [
            ("=cmd()", "'=cmd()"),
            ("  =cmd()", "'  =cmd()"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("＝cmd()", "'＝cmd()"),
            ("\t=cmd()", "'\u{fffd}=cmd()"),
            ("\r\n=cmd()", "'\u{fffd}\u{fffd}=cmd()"),
            ("a=b", "a=b"),
            ("shop/htz-cp/1", "shop/htz-cp/1"),
            ("", ""),
        ];
        for (text, guarded_text) in cases {
            assert_eq!(guarded(text), guarded_text, "{text:?}");
        }
    }

    #[test]
    fn values_have_all_their_digits_and_quotes_are_doubled() {
        let mut table = Table::new("t", "", vec![Column::words("a,b"), Column::figures("-v")]);
        table.push(vec![
            Cell::text("say \"no\""),
            Cell::figure(-0.1234567891, "−0.12"),
        ]);
        table.push(vec![Cell::text("x"), Cell::unknown("no price known")]);
        table.push(vec![Cell::text("y"), Cell::figure(f64::INFINITY, "never")]);
        let expected = "\"a,b\",'-v\r\n\"say \"\"no\"\"\",-0.1234567891\r\n\
                        x,no price known\r\ny,never\r\n";
        assert_eq!(sheet(&table), expected);
        let mut reader = ::csv::Reader::from_reader(expected.as_bytes());
        let back: Vec<::csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(&back[0][0], "say \"no\"");
    }
}
