//! Tables of the page, which `sort.js` makes sortable, and text with addresses as links.

use crate::page::{Cell, Table, Tone};
use maud::{Markup, html};
use quorate_sim::report::plain;

/// Tables of so many rows are kept on one sheet of paper.
const SHORT: usize = 14;

/// Tables of more columns stand closer.
const ROOMY: usize = 7;

/// Texts of so many letters stay on one line.
const BRIEF: usize = 12;

/// With fewer rows there is nothing to sort.
const SORTED: usize = 3;

/// A table with its caption. `id` is unique on the page.
pub(super) fn table(table: &Table, id: &str) -> Markup {
    let dense = table.columns.len() > ROOMY;
    let sorted = table.rows.len() >= SORTED;
    let length = if table.rows.len() <= SHORT {
        "short"
    } else {
        "long"
    };
    html! {
        div.wide role="group" tabindex="0" aria-labelledby=(id) {
            table.(length).dense[dense] data-sort[sorted] {
                caption { span id=(id) { (plain(&table.caption)) } }
                thead { tr {
                    @for column in &table.columns {
                        th scope="col" class=(class(column.numeric)) { (plain(&column.title)) }
                    }
                } }
                tbody { @for row in &table.rows { tr {
                    @for (at, (cell, column)) in row.iter().zip(&table.columns).enumerate() {
                        @let class = cell_class(cell, column.numeric);
                        @if at == 0 {
                            th scope="row" class=(class) data-value=[value(cell)] { (shown(cell)) }
                        } @else {
                            td class=(class) data-value=[value(cell)] { (shown(cell)) }
                        }
                    }
                } } }
            }
        }
    }
}

fn class(numeric: bool) -> &'static str {
    if numeric { "n" } else { "w" }
}

/// Dates and a word or two are not broken.
fn cell_class(cell: &Cell, numeric: bool) -> &'static str {
    let brief = cell.text.chars().count() <= BRIEF;
    if brief && !numeric {
        "w brief"
    } else {
        class(numeric)
    }
}

fn value(cell: &Cell) -> Option<f64> {
    cell.value.filter(|value| value.is_finite())
}

/// A tone is a sign for eyes, a word for ears, and then a colour.
fn shown(cell: &Cell) -> Markup {
    let tone = match cell.tone {
        Tone::Plain => return linked(&cell.text),
        Tone::Good => "good",
        Tone::Warn => "warn",
        Tone::Bad => "bad",
        Tone::Unknown => "unknown",
    };
    let word = cell.tone.word();
    html! {
        span.tone.(tone) {
            span.sign aria-hidden="true" { (cell.tone.sign()) }
            @if cell.text != word { span.heard { (word) ": " } }
            (linked(&cell.text))
        }
    }
}

/// Text with web addresses as links: they lead away only if somebody follows them.
pub(super) fn linked(text: &str) -> Markup {
    let text = plain(text);
    let words: Vec<&str> = text.split(' ').collect();
    html! {
        @for (at, word) in words.iter().enumerate() {
            @if at > 0 { " " }
            @match address(word) {
                Some((before, address, after)) => {
                    (before) a href=(address) rel="noreferrer" { (address) } (after)
                }
                None => (word),
            }
        }
    }
}

/// A word's web address, with what stands before and after it.
fn address(word: &str) -> Option<(&str, &str, &str)> {
    let begin = word.find("https://")?;
    let (before, rest) = word.split_at(begin);
    let address = rest.trim_end_matches(['.', ',', ';', ':', ')', ']', '"', '\'']);
    let proper = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#@!$&*+,;=%()".contains(c);
    let has_host = address.len() > "https://".len();
    let whole =
        has_host && address.chars().all(proper) && before.chars().all(|c| "([\"'".contains(c));
    whole.then(|| (before, address, &rest[address.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_links_and_nothing_else_is() {
        let link = |to: &str| format!("<a href=\"{to}\" rel=\"noreferrer\">{to}</a>");
        let cases = [
            (
                "see https://a.example/b?c=1.",
                format!("see {}.", link("https://a.example/b?c=1")),
            ),
            (
                "(https://a.example)",
                format!("({})", link("https://a.example")),
            ),
            ("javascript:alert(1)", "javascript:alert(1)".to_owned()),
            ("http://a.example", "http://a.example".to_owned()),
            ("https://", "https://".to_owned()),
            ("xhttps://a", "xhttps://a".to_owned()),
            (
                "https://a\"onclick=b",
                "https://a&quot;onclick=b".to_owned(),
            ),
            ("a  b", "a  b".to_owned()),
        ];
        for (text, expected) in cases {
            assert_eq!(linked(text).into_string(), expected);
        }
    }

    #[test]
    fn a_tone_is_seen_and_heard() {
        let lost = shown(&Cell::text("lost").toned(Tone::Bad)).into_string();
        let expected = "<span class=\"tone bad\"><span class=\"sign\" aria-hidden=\"true\">✗</span>\
                        <span class=\"heard\">bad: </span>lost</span>";
        assert_eq!(lost, expected);
        let unknown = shown(&Cell::unknown("unknown")).into_string();
        assert_eq!(
            unknown.matches("unknown").count(),
            2,
            "class and text: {unknown}"
        );
    }
}
