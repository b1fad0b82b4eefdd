//! Two designs side by side, under the same luck and the same data.
//!
//! Draws are keyed by what they are for, so what both designs have in common meets the same luck,
//! and a difference comes from the designs.

use crate::failures::standing::Fate;
use crate::failures::{Row, name, seconds};
use crate::page::{Block, Cell, Column, Section, Table, Tone};
use crate::report::Report;
use std::collections::BTreeSet;

/// The section that compares two reports.
#[must_use]
pub fn section(a: &Report, b: &Report, names: [&str; 2]) -> Section {
    let figures = figures(a, b);
    let better = |side: usize| -> usize {
        figures
            .iter()
            .filter(|figure| figure.better == Some(side))
            .count()
    };
    let lead = format!(
        "Of {} figures {} is better in {}, {} in {}; both met the same luck.",
        figures.len(),
        names[0],
        better(0),
        names[1],
        better(1)
    );
    Section {
        id: "comparison",
        title: "Side by side".to_owned(),
        lead,
        blocks: vec![
            Block::Table(figures_table(&figures, names)),
            Block::Table(losses_table(a, b, names)),
        ],
    }
}

/// A figure of both, where less is better.
struct Figure {
    what: String,
    values: [Option<f64>; 2],
    texts: [String; 2],
    /// Which of the two is better, if there is a difference.
    better: Option<usize>,
}

impl Figure {
    fn new(
        what: impl Into<String>,
        values: [Option<f64>; 2],
        text: impl Fn(f64) -> String,
    ) -> Self {
        let better = match values {
            [Some(a), Some(b)] if a < b => Some(0),
            [Some(a), Some(b)] if b < a => Some(1),
            _ => None,
        };
        let texts = values.map(|value| value.map_or("-".to_owned(), &text));
        Self {
            what: what.into(),
            values,
            texts,
            better,
        }
    }
}

fn figures(a: &Report, b: &Report) -> Vec<Figure> {
    let both = [a, b];
    let count = |value: f64| format!("{value:.0}");
    let fatal = |report: &Report| {
        let rows = report.failures.domains.iter();
        Some(rows.filter(|row| row.standing.fate() == Fate::Goes).count() as f64)
    };
    let missed = |report: &Report| {
        Some(
            report
                .objectives
                .iter()
                .filter(|objective| !objective.met)
                .count() as f64,
        )
    };
    let slowest = |report: &Report| {
        let writes = report
            .failures
            .domains
            .iter()
            .filter_map(|row| row.recovery.write);
        writes.map(|times| times.p99).reduce(f64::max)
    };
    let mut figures = vec![
        Figure::new("objectives missed", both.map(missed), count),
        Figure::new("losses with which something goes", both.map(fatal), count),
        Figure::new(
            "first API write after the worst loss, 99 %",
            both.map(slowest),
            seconds,
        ),
    ];
    let subjects = |report: &Report| -> Vec<String> {
        report
            .availability
            .subjects
            .iter()
            .map(|subject| subject.title())
            .collect()
    };
    let titles: BTreeSet<String> = both.iter().flat_map(|report| subjects(report)).collect();
    for title in titles {
        let down = both.map(|report| {
            let mut subjects = report.availability.subjects.iter();
            subjects
                .find(|subject| subject.title() == title)
                .map(|s| s.minutes_per_year)
        });
        figures.push(Figure::new(
            format!("{title}: minutes down a year"),
            down,
            |minutes| format!("{minutes:.2}"),
        ));
    }
    figures.push(monthly(both));
    figures
}

/// What is not known of a price makes it no better.
fn monthly(both: [&Report; 2]) -> Figure {
    let monthly = both.map(|report| Some(report.price.normal.together));
    let unknown = both.map(|report| report.price.normal.unknown.len());
    let currency = both[0].price.currency;
    let mut price = Figure::new(format!("a month, {currency}"), monthly, |v| {
        format!("{v:.2}")
    });
    for (side, unknown) in unknown.into_iter().enumerate() {
        if unknown > 0 {
            price.texts[side] = format!("at least {}", price.texts[side]);
            price.better = None;
        }
    }
    price
}

fn figures_table(figures: &[Figure], names: [&str; 2]) -> Table {
    let columns = vec![
        Column::words("figure"),
        Column::figures(names[0]),
        Column::figures(names[1]),
        Column::figures("difference"),
        Column::words("better"),
    ];
    let mut table = Table::new("comparison", "Figures of both; less is better", columns);
    for figure in figures {
        let cell = |side: usize| {
            let text = &figure.texts[side];
            let tone = if figure.better == Some(side) {
                Tone::Good
            } else {
                Tone::Plain
            };
            match figure.values[side] {
                Some(value) => Cell::figure(value, text).toned(tone),
                None => Cell::text(text),
            }
        };
        let difference = match figure.values {
            [Some(a), Some(b)] => Cell::figure(b - a, format!("{:+.2}", b - a)),
            _ => Cell::text("-"),
        };
        let better = figure.better.map_or("neither", |side| names[side]);
        table.push(vec![
            Cell::text(&figure.what),
            cell(0),
            cell(1),
            difference,
            Cell::text(better),
        ]);
    }
    table
}

/// What each loss leaves in both; losses that only one knows included.
fn losses_table(a: &Report, b: &Report, names: [&str; 2]) -> Table {
    let columns = vec![
        Column::words("lost"),
        Column::words(names[0]),
        Column::words(names[1]),
    ];
    let mut table = Table::new("comparison-losses", "What every loss leaves", columns);
    let mut seen = BTreeSet::new();
    for row in a.failures.domains.iter().chain(&b.failures.domains) {
        let key = (row.of[0].kind, row.of[0].name.clone());
        if !seen.insert(key.clone()) {
            continue;
        }
        let of = |report: &Report| {
            let mut rows = report.failures.domains.iter();
            let found = rows.find(|row| row.of[0].is(key.0, &key.1));
            found.map_or(Cell::text("is not in it"), worst)
        };
        table.push(vec![Cell::text(name(&row.of)), of(a), of(b)]);
    }
    table
}

fn worst(row: &Row) -> Cell {
    let fate = row.standing.fate();
    let words = match fate {
        Fate::Stays => "everything stays",
        Fate::Degrades => "goes on with less",
        Fate::Goes => "something goes",
    };
    Cell::text(words).toned(fate.into())
}
