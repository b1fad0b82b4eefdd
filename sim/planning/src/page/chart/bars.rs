//! Bars that lie: a name, parts one after the other, and what they add up to.

use super::{Area, Drawn, GRID, INK, SHEET, SOFT, colour, fitting, text, tick};
use crate::page::number::number;
use plotters::chart::ChartBuilder;
use plotters::element::{EmptyElement, Rectangle, Text};
use plotters::style::text_anchor::HPos;
use plotters::style::{Color, TRANSPARENT};

/// Pixels for names, for a bar with the space around it, and for the axis.
const NAMES: u32 = 210;
const ROW: u32 = 30;
const AXIS: u32 = 46;

/// How much of its row a bar takes.
const THICK: f64 = 0.62;

/// What is drawn of bars: finite parts only.
pub(super) struct Bars {
    unit: String,
    bars: Vec<(String, Vec<f64>)>,
    from: f64,
    to: f64,
}

impl Bars {
    /// None without a finite figure.
    pub(super) fn of(unit: &str, bars: &[(String, Vec<f64>)]) -> Option<Self> {
        let known = bars
            .iter()
            .flat_map(|bar| &bar.1)
            .any(|part| part.is_finite());
        if !known {
            return None;
        }
        let finite = |value: &f64| if value.is_finite() { *value } else { 0.0 };
        let bars: Vec<(String, Vec<f64>)> = bars
            .iter()
            .map(|(name, parts)| (name.clone(), parts.iter().map(finite).collect()))
            .collect();
        let ends = bars.iter().map(|bar| ends(&bar.1));
        let (from, to) = ends.fold((0.0, 0.0), |(from, to): (f64, f64), (low, high)| {
            (from.min(low), to.max(high))
        });
        let room = if to > from { (to - from) * 0.12 } else { 1.0 };
        Some(Self {
            unit: unit.to_owned(),
            bars,
            from: if from < 0.0 { from - room } else { 0.0 },
            to: to + room,
        })
    }

    /// In pixels.
    pub(super) fn height(&self) -> u32 {
        let rows = u32::try_from(self.bars.len()).expect("a chart has few bars");
        rows * ROW + AXIS + 8
    }

    pub(super) fn draw(&self, area: &Area<'_>) -> Drawn {
        let rows = self.bars.len() as f64;
        let mut chart = ChartBuilder::on(area)
            .margin_top(8)
            .margin_right(16)
            .x_label_area_size(AXIS)
            .y_label_area_size(NAMES)
            .build_cartesian_2d(self.from..self.to, 0.0..rows)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .y_labels(0)
            .x_labels(7)
            .x_label_formatter(&tick)
            .x_desc(fitting(&self.unit, 400.0))
            .label_style(text(&SOFT, HPos::Center))
            .axis_desc_style(text(&SOFT, HPos::Center))
            .axis_style(GRID)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .draw()?;
        for (row, (name, parts)) in self.bars.iter().enumerate() {
            let middle = rows - row as f64 - 0.5;
            let name = fitting(name, f64::from(NAMES) - 16.0);
            let name = Text::new(name, (-10, 0), text(&INK, HPos::Right));
            let begin = EmptyElement::at((self.from, middle)) + name;
            chart.draw_series(std::iter::once(begin))?;
            let (mut low, mut high) = (0.0, 0.0);
            for (at, part) in parts.iter().enumerate().filter(|(_, part)| **part != 0.0) {
                let side = if *part < 0.0 { &mut low } else { &mut high };
                let corners = [
                    (*side, middle - THICK / 2.0),
                    (*side + part, middle + THICK / 2.0),
                ];
                *side += part;
                let fill = Rectangle::new(corners, colour(at).filled());
                let edge = Rectangle::new(corners, SHEET.stroke_width(1));
                chart.draw_series([fill, edge])?;
            }
            let sum = Text::new(number(low + high), (6, 0), text(&INK, HPos::Left));
            let end = EmptyElement::at((high, middle)) + sum;
            chart.draw_series(std::iter::once(end))?;
        }
        Ok(())
    }
}

/// How far a bar goes below and above zero.
fn ends(parts: &[f64]) -> (f64, f64) {
    let below: f64 = parts.iter().filter(|part| **part < 0.0).sum();
    let above: f64 = parts.iter().filter(|part| **part > 0.0).sum();
    (below, above)
}
