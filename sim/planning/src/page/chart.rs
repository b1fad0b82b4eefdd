//! Charts as SVG, drawn by `plotters`: the parts that all of them share.
//!
//! Colours here are names: the page's style sheet gives each its shade in light, in dark and on
//! paper, by the attribute that plotters writes. Text is left to the reader's fonts, so its widths are
//! estimates. Does not know HTML.

mod axes;
mod bars;
mod lines;
mod points;

use super::Drawing;
use super::number::number;
use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{IntoFont, RGBColor, TextStyle};
use quorate_sim::report::plain;

/// Width of every chart, in pixels.
pub(super) const WIDTH: u32 = 860;

/// Width of a letter, at most, in pixels.
const LETTER: f64 = 6.8;

/// plotters takes the height of a line for the size of a font: 12 pixels.
const SIZE: f64 = 12.0 * 1.24;

const INK: RGBColor = RGBColor(0x1d, 0x23, 0x28);
const SOFT: RGBColor = RGBColor(0x59, 0x64, 0x6e);
const GRID: RGBColor = RGBColor(0xdd, 0xe1, 0xe4);
const SHEET: RGBColor = RGBColor(0xff, 0xff, 0xff);

/// Of parts and lines, in order: `page.css` has the same, and begins again after the last.
const SERIES: [RGBColor; 6] = [
    RGBColor(0x00, 0x62, 0x9b),
    RGBColor(0xc9, 0x7b, 0x00),
    RGBColor(0x00, 0x8f, 0x6b),
    RGBColor(0xb0, 0x52, 0x8a),
    RGBColor(0x4f, 0xa3, 0xdb),
    RGBColor(0x78, 0x82, 0x8b),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// What is inside of an `<svg>`, and how high that is. As wide as [`WIDTH`].
pub(super) struct Picture {
    /// Elements, escaped.
    pub(super) inside: String,
    /// In pixels.
    pub(super) height: u32,
}

/// How a series is told from the others.
pub(super) fn shade(at: usize) -> usize {
    at % SERIES.len()
}

fn colour(at: usize) -> RGBColor {
    SERIES[shade(at)]
}

/// None where there is nothing to draw, or where the drawing is a map.
pub(super) fn picture(drawing: &Drawing) -> Option<Picture> {
    match drawing {
        Drawing::Bars { unit, bars, .. } => {
            let bars = bars::Bars::of(unit, bars)?;
            Some(drawn(bars.height(), |area| bars.draw(area)))
        }
        Drawing::Lines { x, y, lines, log_y } => {
            let lines = lines::Lines::of(x, y, lines, *log_y)?;
            Some(drawn(lines::HEIGHT, |area| lines.draw(area)))
        }
        Drawing::Points { x, y, points } => {
            let points = points::Points::of(x, y, points)?;
            Some(drawn(points::HEIGHT, |area| points.draw(area)))
        }
        Drawing::Map(_) => None,
    }
}

fn drawn(height: u32, draw: impl FnOnce(&Area<'_>) -> Drawn) -> Picture {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
    let done = draw(&area).and_then(|()| area.present());
    done.expect("a chart is drawn into memory, which cannot fail");
    drop(area);
    let inside = svg
        .split_once('>')
        .and_then(|(_, rest)| rest.rsplit_once("</svg>"));
    let (inside, _) = inside.expect("plotters writes one svg element");
    Picture {
        inside: inside.to_owned(),
        height,
    }
}

/// Text of a chart, anchored where it is put.
fn text(colour: &RGBColor, across: HPos) -> TextStyle<'_> {
    let style = TextStyle::from(("sans-serif", SIZE).into_font()).color(colour);
    style.pos(Pos::new(across, VPos::Center))
}

/// A name that fits into so many pixels.
fn fitting(name: &str, width: f64) -> String {
    let name = plain(name);
    let most = (width / LETTER) as usize;
    if name.chars().count() <= most {
        return name;
    }
    name.chars()
        .take(most.saturating_sub(1))
        .chain(['…'])
        .collect()
}

/// Where an axis begins and ends, with room on both sides, and never empty.
fn padded(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (low, high) = values.fold(None, |all: Option<(f64, f64)>, value| match all {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })?;
    let room = match (high - low) * 0.06 {
        room if room > 0.0 => room,
        _ => low.abs().max(1.0) * 0.1,
    };
    // What is never negative does not begin below zero.
    let from = if low >= 0.0 {
        (low - room).max(0.0)
    } else {
        low - room
    };
    Some((from, high + room))
}

fn tick(value: &f64) -> String {
    number(*value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_room_and_are_never_empty() {
        assert_eq!(padded([0.0, 100.0].into_iter()), Some((0.0, 106.0)));
        assert_eq!(padded([50.0, 150.0].into_iter()), Some((44.0, 156.0)));
        assert_eq!(padded([5.0].into_iter()), Some((4.5, 5.5)));
        assert_eq!(padded([0.0].into_iter()), Some((0.0, 0.1)));
        assert_eq!(padded([-1.0, 1.0].into_iter()), Some((-1.12, 1.12)));
        assert_eq!(padded(std::iter::empty()), None);
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(fitting("short", 100.0), "short");
        assert_eq!(fitting("a very long name indeed", 50.0), "a very…");
    }

    #[test]
    fn what_cannot_be_drawn_is_no_picture() {
        let bars = |values: Vec<f64>| Drawing::Bars {
            unit: "EUR".to_owned(),
            parts: vec!["all".to_owned()],
            bars: values
                .into_iter()
                .map(|value| ("a".to_owned(), vec![value]))
                .collect(),
        };
        assert!(picture(&bars(vec![])).is_none());
        assert!(picture(&bars(vec![f64::NAN])).is_none());
        assert!(picture(&bars(vec![0.0])).is_some());
        assert!(picture(&bars(vec![-3.0, 7.0])).is_some());
        let lines = |points: Vec<(f64, f64)>, log_y| Drawing::Lines {
            x: "x".to_owned(),
            y: "y".to_owned(),
            lines: vec![("a".to_owned(), points)],
            log_y,
        };
        assert!(picture(&lines(vec![], false)).is_none());
        assert!(picture(&lines(vec![(1.0, f64::INFINITY)], false)).is_none());
        assert!(picture(&lines(vec![(1.0, 0.0)], true)).is_none());
        assert!(picture(&lines(vec![(1.0, 0.0)], false)).is_some());
        assert!(picture(&lines(vec![(1.0, 1e-9), (2.0, 1.0)], true)).is_some());
        let points = Drawing::Points {
            x: "x".to_owned(),
            y: "y".to_owned(),
            points: vec![("a".to_owned(), f64::NAN, 1.0, true)],
        };
        assert!(picture(&points).is_none());
    }

    #[test]
    fn a_hostile_name_stays_text() {
        let bars = Drawing::Bars {
            unit: "<b>".to_owned(),
            parts: vec!["all".to_owned()],
            bars: vec![("</text><a>\u{1b}".to_owned(), vec![1.0])],
        };
        let inside = picture(&bars).unwrap().inside;
        assert!(
            inside.contains("&lt;/text&gt;&lt;a&gt;\u{fffd}"),
            "{inside}"
        );
        assert!(!inside.contains("<a>") && !inside.contains("<b>"));
    }
}
