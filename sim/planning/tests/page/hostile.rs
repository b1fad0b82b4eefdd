//! The sample with names and texts that somebody means ill by.

use crate::sample;
use quorate_planning::page::{Block, Cell, Drawing, Page, Place};

/// A formula, a tag, Markdown, a terminal's commands, a change of direction.
const NAME: &str =
    "=cmd()\"><script>alert(1)</script>|`*_[x](javascript:alert(1))\u{1b}[2J\u{202e}\n";

/// The report.
pub(crate) fn page() -> Page {
    let mut page = sample::page();
    page.title = NAME.to_owned();
    page.subtitle = NAME.to_owned();
    page.version = NAME.to_owned();
    page.made_of.push((NAME.to_owned(), NAME.to_owned()));
    for section in &mut page.sections {
        spoil(&mut section.title);
        spoil(&mut section.lead);
        section.blocks.iter_mut().for_each(block);
    }
    page
}

fn spoil(text: &mut String) {
    text.insert_str(0, NAME);
}

fn block(block: &mut Block) {
    match block {
        Block::Heading(text) | Block::Text(text) | Block::Caution(text) => spoil(text),
        // It has lines of its own.
        Block::Code(text) => text.insert_str(0, &NAME.replace(['\n', '\r'], "")),
        Block::Table(table) => {
            spoil(&mut table.caption);
            table
                .columns
                .iter_mut()
                .for_each(|column| spoil(&mut column.title));
            for cell in table.rows.iter_mut().flatten() {
                let spoiled = Cell::text(format!("{NAME}{}", cell.text));
                *cell = spoiled.toned(cell.tone);
            }
        }
        Block::Chart(chart) => {
            spoil(&mut chart.caption);
            drawing(&mut chart.drawing);
        }
    }
}

fn drawing(drawing: &mut Drawing) {
    match drawing {
        Drawing::Bars { unit, parts, bars } => {
            spoil(unit);
            parts.iter_mut().for_each(spoil);
            bars.iter_mut().for_each(|bar| spoil(&mut bar.0));
        }
        Drawing::Lines { x, y, lines, .. } => {
            spoil(x);
            spoil(y);
            lines.iter_mut().for_each(|line| spoil(&mut line.0));
        }
        Drawing::Points { x, y, points } => {
            spoil(x);
            spoil(y);
            points.iter_mut().for_each(|point| spoil(&mut point.0));
        }
        Drawing::Map(places) => places.iter_mut().for_each(place),
    }
}

fn place(place: &mut Place) {
    spoil(&mut place.name);
    spoil(&mut place.kind);
    place.marks.iter_mut().for_each(spoil);
    place.within.iter_mut().for_each(self::place);
}
