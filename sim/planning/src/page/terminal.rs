//! A report in a terminal: paragraphs and tables in lines of limited width, tones as signs.
//!
//! Widths are those of a terminal's cells, so letters of any script stand in columns. Does not know
//! whether there is a terminal, and uses no colour: that is for whoever prints.

use super::{Block, Cell, Chart, Page, Section, Table, plain_lines};
use quorate_sim::report::plain;
use std::fmt::Write as _;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns of a terminal that people have.
pub const WIDTH: usize = 100;

/// No column of words gets narrower than this, as long as others can.
const NARROWEST: usize = 8;

/// Between two columns.
const GAP: usize = 2;

/// What a report came to: its title, and of each section the title, what it came to and what to be
/// careful about. Ends with a line break.
///
/// # Panics
/// If short names are not unique, or a row is not whole.
#[must_use]
pub fn summary(page: &Page) -> String {
    page.assert_sound();
    let mut out = format!("{}\n", plain(&page.title));
    paragraph(&mut out, "", &page.subtitle);
    let widest = page
        .sections
        .iter()
        .map(|one| plain(&one.title).width())
        .max();
    let indent = " ".repeat(widest.unwrap_or_default() + GAP);
    for section in &page.sections {
        let title = plain(&section.title);
        let mut text = String::new();
        paragraph(&mut text, &indent, &section.lead);
        for block in &section.blocks {
            if let Block::Caution(caution) = block {
                paragraph(&mut text, &indent, &format!("! {caution}"));
            }
        }
        let pad = " ".repeat(indent.len() - title.width());
        let first = text.strip_prefix(&indent).unwrap_or("\n");
        let _ = write!(out, "\n{title}{pad}{first}");
    }
    let made: Vec<String> = page
        .made_of
        .iter()
        .map(|(name, what)| format!("{name} {what}"))
        .collect();
    out.push('\n');
    paragraph(
        &mut out,
        "",
        &format!("quorate {} · {}", page.version, made.join(" · ")),
    );
    out
}

/// A whole section, with its tables; of charts the data. Ends with a line break.
#[must_use]
pub fn section(section: &Section) -> String {
    let mut out = format!("{}\n", plain(&section.title));
    paragraph(&mut out, "  ", &section.lead);
    for block in &section.blocks {
        out.push('\n');
        match block {
            Block::Heading(text) => paragraph(&mut out, "  ", text),
            Block::Text(text) => paragraph(&mut out, "  ", text),
            Block::Caution(text) => paragraph(&mut out, "  ", &format!("! {text}")),
            Block::Code(text) => {
                for line in plain_lines(text).lines() {
                    let _ = writeln!(out, "    {line}");
                }
            }
            Block::Table(one) => out.push_str(&table(one)),
            Block::Chart(chart) => out.push_str(&charted(chart)),
        }
    }
    out
}

fn charted(chart: &Chart) -> String {
    table(&chart.short_table())
}

/// A table under its caption, in lines of at most [`WIDTH`]: words go on in further lines of their
/// column. Only figures that need more than that make lines longer. Ends with a line break.
#[must_use]
pub fn table(table: &Table) -> String {
    let mut out = String::new();
    paragraph(&mut out, "  ", &table.caption);
    let head: Vec<String> = table
        .columns
        .iter()
        .map(|column| plain(&column.title))
        .collect();
    let body = table.rows.iter().map(|row| row.iter().map(shown).collect());
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(body).collect();
    let widths = fitted(table, &rows);
    for (at, row) in rows.iter().enumerate() {
        write_row(&mut out, table, row, &widths);
        if at == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
            let _ = writeln!(out, "  {}", rules.join(&" ".repeat(GAP)));
        }
    }
    out
}

/// A cell's text with the sign of its tone.
#[must_use]
pub fn shown(cell: &Cell) -> String {
    let text = plain(&cell.text);
    match (cell.tone.sign(), text.as_str()) {
        ("", _) => text,
        (sign, "") => sign.to_owned(),
        (sign, text) => format!("{sign} {text}"),
    }
}

fn write_row(out: &mut String, table: &Table, row: &[String], widths: &[usize]) {
    let cells = row.iter().zip(widths);
    let cells: Vec<Vec<String>> = cells.map(|(text, width)| wrapped(text, *width)).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or_default();
    for at in 0..height {
        let mut line = String::from("  ");
        for (column, lines) in cells.iter().enumerate() {
            let text = lines.get(at).map_or("", String::as_str);
            let pad = " ".repeat(widths[column].saturating_sub(text.width()));
            let (before, after) = match table.columns[column].numeric {
                true => (pad.as_str(), ""),
                false => ("", pad.as_str()),
            };
            let _ = write!(line, "{before}{text}{after}{:GAP$}", "");
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

/// Widths of the columns: as wide as needed, and where that is too much the widest give way, at
/// first to the width of their longest word.
fn fitted(table: &Table, rows: &[Vec<String>]) -> Vec<usize> {
    let natural = |column: usize| {
        rows.iter()
            .map(|row| row[column].width())
            .max()
            .unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..table.columns.len()).map(natural).collect();
    let whole: Vec<usize> = (0..widths.len()).map(|at| least(table, rows, at)).collect();
    shrink(&mut widths, &whole);
    let broken = whole
        .iter()
        .zip(&table.columns)
        .map(|(whole, column)| match column.numeric {
            true => *whole,
            false => NARROWEST.min(*whole),
        });
    shrink(&mut widths, &broken.collect::<Vec<usize>>());
    widths
}

/// Takes from the widest columns that are above their least width until a line fits.
fn shrink(widths: &mut [usize], least: &[usize]) {
    while widths.iter().map(|width| width + GAP).sum::<usize>() > WIDTH {
        let gives = |column: &usize| widths[*column] > least[*column];
        let widest = (0..widths.len())
            .filter(gives)
            .max_by_key(|column| widths[*column]);
        let Some(column) = widest else { return };
        widths[column] -= 1;
    }
}

/// A column's longest word; figures are one word.
fn least(table: &Table, rows: &[Vec<String>], column: usize) -> usize {
    let numeric = table.columns[column].numeric;
    let longest = |(at, row): (usize, &Vec<String>)| match numeric && at > 0 {
        true => row[column].width(),
        false => row[column]
            .split(' ')
            .map(UnicodeWidthStr::width)
            .max()
            .unwrap_or_default(),
    };
    rows.iter()
        .enumerate()
        .map(longest)
        .max()
        .unwrap_or_default()
}

fn paragraph(out: &mut String, indent: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    for line in wrapped(&plain(text), WIDTH - indent.len()) {
        let _ = writeln!(out, "{indent}{line}");
    }
}

/// Text in lines of at most so many columns, broken between words, and inside one that is longer
/// than a line. At least one line.
#[must_use]
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if used > 0 && used + 1 + word.width() <= width {
            lines.last_mut().expect("there is a line").push(' ');
            used += 1;
        } else if used > 0 {
            lines.push(String::new());
            used = 0;
        }
        for c in word.chars() {
            let wide = c.width().unwrap_or_default();
            if used > 0 && used + wide > width {
                lines.push(String::new());
                used = 0;
            }
            lines.last_mut().expect("there is a line").push(c);
            used += wide;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{Column, Tone};

    #[test]
    fn lines_are_broken_between_words_and_inside_long_ones() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrapped("", 4), [""]);
        assert_eq!(wrapped("東京都", 4), ["東京", "都"]);
    }

    #[test]
    fn columns_stand_below_each_other_in_any_script() {
        let mut one = Table::new("t", "", vec![Column::words("Where"), Column::figures("ms")]);
        one.push(vec![Cell::text("東京"), Cell::figure(1.0, "1")]);
        one.push(vec![
            Cell::text("Bonn"),
            Cell::figure(20.0, "20").toned(Tone::Warn),
        ]);
        let expected = "  Where    ms\n  ─────  ────\n  東京      1\n  Bonn   ! 20\n";
        assert_eq!(table(&one), expected);
    }

    #[test]
    fn words_are_broken_last() {
        let mut one = Table::new("t", "", ["a", "b"].map(Column::words).to_vec());
        one.push(vec![
            Cell::text("unreadable ".repeat(9)),
            Cell::text("x ".repeat(60)),
        ]);
        let text = table(&one);
        assert_eq!(text.matches("unreadable").count(), 9, "{text}");
        assert!(text.lines().all(|line| line.width() <= WIDTH), "{text}");
        one.push(vec![
            Cell::text("y".repeat(120)),
            Cell::text("z".repeat(120)),
        ]);
        assert!(table(&one).lines().all(|line| line.width() <= WIDTH));
    }

    #[test]
    fn a_table_keeps_to_the_width_and_loses_nothing() {
        let words = "all requests are answered by the load balancers that are left ".repeat(4);
        let columns = ["Domain", "What happens"].map(Column::words);
        let mut one = Table::new("t", "A caption", columns.to_vec());
        one.push(vec![Cell::text("x".repeat(70)), Cell::text(words.as_str())]);
        let text = table(&one);
        assert!(text.lines().all(|line| line.width() <= WIDTH), "{text}");
        assert_eq!(text.matches("answered").count(), 4);
        assert_eq!(text.matches('x').count(), 70);
    }
}
