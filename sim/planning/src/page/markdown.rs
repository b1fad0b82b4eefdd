//! A report as Markdown, in GitHub's dialect: tables as tables, charts as the tables of their data.
//!
//! Text from manifests cannot become markup: what would mean something is escaped.

use super::terminal::shown;
use super::{Block, Cell, Chart, Column, Drawing, Page, Place, Section, Table, plain_lines};
use quorate_sim::report::plain;
use std::fmt::Write as _;

/// The whole report. Ends with a line break.
///
/// # Panics
/// If short names are not unique, or a row is not whole.
#[must_use]
pub fn markdown(page: &Page) -> String {
    page.assert_sound();
    let mut out = format!("# {}\n", inline(&page.title));
    paragraph(&mut out, &page.subtitle);
    for one in &page.sections {
        section(&mut out, one);
    }
    out.push_str("\n## What this was made of\n\n");
    let _ = writeln!(out, "- quorate {}", inline(&page.version));
    for (name, what) in &page.made_of {
        let _ = writeln!(out, "- {}: {}", inline(name), inline(what));
    }
    out
}

fn section(out: &mut String, section: &Section) {
    let _ = writeln!(out, "\n## {}", inline(&section.title));
    paragraph(out, &section.lead);
    for block in &section.blocks {
        match block {
            Block::Heading(text) => {
                let _ = writeln!(out, "\n### {}", inline(text));
            }
            Block::Text(text) => paragraph(out, text),
            Block::Caution(text) => {
                let _ = writeln!(out, "\n> **Caution:** {}", inline(text));
            }
            Block::Code(text) => fenced(out, text),
            Block::Table(one) => table(out, one),
            Block::Chart(one) => chart(out, one),
        }
    }
}

/// Code in a fence that is longer than any in it.
fn fenced(out: &mut String, text: &str) {
    let text = plain_lines(text);
    let mut fence = "```".to_owned();
    while text.contains(&fence) {
        fence.push('`');
    }
    let _ = writeln!(out, "\n{fence}\n{}\n{fence}", text.trim_end());
}

fn paragraph(out: &mut String, text: &str) {
    if !text.is_empty() {
        let _ = writeln!(out, "\n{}", inline(text));
    }
}

fn chart(out: &mut String, chart: &Chart) {
    match &chart.drawing {
        Drawing::Map(places) => {
            let _ = writeln!(out, "\n**{}**\n", inline(&chart.caption));
            for one in places {
                place(out, 0, one);
            }
        }
        Drawing::Bars { .. } | Drawing::Lines { .. } | Drawing::Points { .. } => {
            table(out, &chart.short_table());
        }
    }
}

fn place(out: &mut String, depth: usize, one: &Place) {
    let indent = "  ".repeat(depth);
    let _ = write!(out, "{indent}- {} {}", inline(&one.kind), inline(&one.name));
    if !one.marks.is_empty() {
        let _ = write!(out, ": {}", inline(&one.marks.join(", ")));
    }
    out.push('\n');
    for inner in &one.within {
        place(out, depth + 1, inner);
    }
}

fn table(out: &mut String, table: &Table) {
    let _ = writeln!(out, "\n**{}**\n", inline(&table.caption));
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let heads = table.columns.iter().map(|column| inline(&column.title));
    out.push_str(&row(heads.collect()));
    let rule = |column: &Column| if column.numeric { "---:" } else { "---" }.to_owned();
    out.push_str(&row(table.columns.iter().map(rule).collect()));
    for cells in &table.rows {
        out.push_str(&row(cells
            .iter()
            .map(|cell: &Cell| inline(&shown(cell)))
            .collect()));
    }
}

/// Text that stays text: nothing in it starts emphasis, code, a link, a tag, an entity, a column or,
/// at its beginning, a heading, a quote or a list.
fn inline(text: &str) -> String {
    let text = plain(text);
    let text = text.trim();
    let mut out = String::new();
    let letters: Vec<char> = text.chars().collect();
    let number = letters.iter().take_while(|c| c.is_ascii_digit()).count();
    for (at, c) in letters.iter().copied().enumerate() {
        let inside = |at: usize| letters.get(at).is_some_and(|c| c.is_alphanumeric());
        let means = match c {
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '~' | '&' | '$' => true,
            '_' => at == 0 || !inside(at - 1) || !inside(at + 1),
            '#' | '+' | '-' | '=' => at == 0,
            '.' | ')' => {
                number > 0 && at == number && letters.get(at + 1).is_none_or(|c| *c == ' ')
            }
            _ => false,
        };
        if means {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        let cases = [
            ("shop/htz-cp/1", "shop/htz-cp/1"),
            ("a_b_c", "a_b_c"),
            ("_a_", r"\_a\_"),
            ("a|b", r"a\|b"),
            ("a\\|b", r"a\\\|b"),
            ("<script>", r"\<script\>"),
            ("&lt;", r"\&lt;"),
            ("[a](https://b)", r"\[a\](https://b)"),
            ("# a", r"\# a"),
            ("- a", r"\- a"),
            ("1. a", r"1\. a"),
            ("12) a", r"12\) a"),
            ("1.5 ms", "1.5 ms"),
            ("0 of 3", "0 of 3"),
            ("`a` *b* ~c~", r"\`a\` \*b\* \~c\~"),
            ("a\nb", "a\u{fffd}b"),
            ("  a", "a"),
        ];
        for (text, expected) in cases {
            assert_eq!(inline(text), expected);
        }
    }

    #[test]
    fn a_hostile_cell_adds_no_column() {
        let mut one = Table::new("t", "c", vec![Column::words("a"), Column::figures("b")]);
        one.push(vec![Cell::text("x | y\n| z"), Cell::figure(1.0, "1")]);
        let mut out = String::new();
        table(&mut out, &one);
        let expected = "\n**c**\n\n| a | b |\n| --- | ---: |\n| x \\| y\u{fffd}\\| z | 1 |\n";
        assert_eq!(out, expected);
    }
}
