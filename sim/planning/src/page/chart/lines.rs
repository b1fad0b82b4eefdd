//! Lines with their names at their ends, so that nobody has to compare colours with a legend.

use super::axes::{Chart, axes};
use super::{Area, Drawn, INK, colour, fitting, padded, text};
use plotters::chart::ChartBuilder;
use plotters::coord::combinators::IntoLogRange;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::element::{Circle, PathElement, Text};
use plotters::style::Color;
use plotters::style::text_anchor::HPos;

/// In pixels.
pub(super) const HEIGHT: u32 = 340;

/// Pixels for the names of lines, right of them, and between two names.
const NAMES: u32 = 170;
const APART: i32 = 16;

/// Points of a line that are marked, at most.
const MARKED: usize = 24;

/// What is drawn of lines: finite points, positive ones on a logarithmic axis.
pub(super) struct Lines {
    x: String,
    y: String,
    lines: Vec<(String, Vec<(f64, f64)>)>,
    across: (f64, f64),
    up: (f64, f64),
    log_y: bool,
}

impl Lines {
    /// None without such a point.
    pub(super) fn of(
        x: &str,
        y: &str,
        lines: &[(String, Vec<(f64, f64)>)],
        log_y: bool,
    ) -> Option<Self> {
        let shown = |(x, y): &(f64, f64)| x.is_finite() && y.is_finite() && (!log_y || *y > 0.0);
        let lines: Vec<(String, Vec<(f64, f64)>)> = lines
            .iter()
            .map(|(name, points)| (name.clone(), points.iter().copied().filter(shown).collect()))
            .collect();
        let all = || lines.iter().flat_map(|line| line.1.iter().copied());
        let low = all().map(|point| point.0).reduce(f64::min)?;
        let high = all().map(|point| point.0).reduce(f64::max)?;
        let across = if low < high {
            (low, high)
        } else {
            padded([low].into_iter())?
        };
        let up = if log_y {
            let low = all().map(|point| point.1).reduce(f64::min)?;
            let high = all().map(|point| point.1).reduce(f64::max)?;
            decades(low, high)
        } else {
            padded(all().map(|point| point.1))?
        };
        Some(Self {
            x: x.to_owned(),
            y: y.to_owned(),
            lines,
            across,
            up,
            log_y,
        })
    }

    pub(super) fn draw(&self, area: &Area<'_>) -> Drawn {
        let mut builder = ChartBuilder::on(area);
        builder
            .margin_top(14)
            .margin_right(NAMES)
            .x_label_area_size(46)
            .y_label_area_size(74);
        let (across, up) = (self.across.0..self.across.1, self.up.0..self.up.1);
        if self.log_y {
            self.fill(area, builder.build_cartesian_2d(across, up.log_scale())?)
        } else {
            self.fill(area, builder.build_cartesian_2d(across, up)?)
        }
    }

    fn fill<'a, Y>(&self, area: &Area<'a>, mut chart: Chart<'a, '_, Y>) -> Drawn
    where
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        axes(&mut chart, (&self.x, false), &self.y)?;
        let mut ends = Vec::new();
        for (at, (name, points)) in self.lines.iter().enumerate() {
            let Some(last) = points.last() else { continue };
            let path = PathElement::new(points.clone(), colour(at).stroke_width(2));
            chart.draw_series(std::iter::once(path))?;
            if points.len() <= MARKED {
                let dot = |point: &(f64, f64)| Circle::new(*point, 3, colour(at).filled());
                chart.draw_series(points.iter().map(dot))?;
            }
            ends.push((chart.backend_coord(last), at, name));
        }
        let wished: Vec<i32> = ends.iter().map(|((_, y), ..)| *y).collect();
        let most = i32::try_from(HEIGHT).expect("a chart is small") - 46;
        for (((x, y), at, name), beside) in ends.iter().zip(spread(&wished, most)) {
            let lead = vec![(*x + 5, *y), (*x + 14, beside), (*x + 20, beside)];
            area.draw(&PathElement::new(lead, colour(*at).stroke_width(1)))?;
            let name = fitting(name, f64::from(NAMES) - 30.0);
            area.draw(&Text::new(name, (*x + 24, beside), text(&INK, HPos::Left)))?;
        }
        Ok(())
    }
}

/// Powers of ten around what is there.
fn decades(low: f64, high: f64) -> (f64, f64) {
    let below = libm::floor(libm::log10(low));
    let above = libm::ceil(libm::log10(high)).max(below + 1.0);
    (libm::pow(10.0, below), libm::pow(10.0, above))
}

/// Heights near the wished ones, in the same order, so far apart that text fits between.
fn spread(wished: &[i32], most: i32) -> Vec<i32> {
    let mut order: Vec<usize> = (0..wished.len()).collect();
    order.sort_by_key(|at| (wished[*at], *at));
    let mut placed = wished.to_vec();
    for pair in order.windows(2) {
        placed[pair[1]] = placed[pair[1]].max(placed[pair[0]] + APART);
    }
    let mut lowest = most;
    for at in order.iter().rev() {
        placed[*at] = placed[*at].min(lowest);
        lowest = placed[*at] - APART;
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_cover_each_other_and_stay_inside() {
        assert_eq!(spread(&[100, 100, 101], 300), [100, 116, 132]);
        assert_eq!(spread(&[300, 10, 295], 300), [300, 10, 284]);
        assert_eq!(spread(&[50, 20], 300), [50, 20]);
        assert!(spread(&[], 300).is_empty());
    }

    #[test]
    fn a_logarithmic_axis_has_whole_decades() {
        let close = |(a, b): (f64, f64), (c, d): (f64, f64)| {
            assert!(
                (a / c - 1.0).abs() < 1e-12 && (b / d - 1.0).abs() < 1e-12,
                "{a} {b}"
            );
        };
        close(decades(0.002, 0.5), (0.001, 1.0));
        close(decades(10.0, 10.0), (10.0, 100.0));
    }
}
