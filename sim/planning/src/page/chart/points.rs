//! Points with names: those that stand out filled and always named, the others where there is room.

use super::axes::axes;
use super::{Area, Drawn, INK, LETTER, SHEET, SOFT, colour, fitting, padded, text};
use plotters::chart::ChartBuilder;
use plotters::element::{Circle, Text};
use plotters::style::Color;
use plotters::style::text_anchor::HPos;

/// In pixels.
pub(super) const HEIGHT: u32 = 380;

/// Half the height of a name, and from a point to a name beside it and to the middle of one above.
const HALF: i32 = 9;
const BESIDE: i32 = 10;
const ABOVE: i32 = 22;

/// Right of the axes, in pixels.
const MARGIN: i32 = 24;

/// Letters of a name, at most, in pixels.
const NAME: f64 = 220.0;

/// What is drawn of points: finite ones.
pub(super) struct Points {
    x: String,
    y: String,
    points: Vec<(String, f64, f64, bool)>,
    across: (f64, f64),
    up: (f64, f64),
}

/// A name's rectangle: left, right, top, bottom.
type Box4 = (i32, i32, i32, i32);

impl Points {
    /// None without such a point.
    pub(super) fn of(x: &str, y: &str, points: &[(String, f64, f64, bool)]) -> Option<Self> {
        let shown = |point: &&(String, f64, f64, bool)| point.1.is_finite() && point.2.is_finite();
        let mut points: Vec<_> = points.iter().filter(shown).cloned().collect();
        // Names of those that stand out are placed first.
        points.sort_by_key(|point| !point.3);
        Some(Self {
            x: x.to_owned(),
            y: y.to_owned(),
            across: padded(points.iter().map(|point| point.1))?,
            up: padded(points.iter().map(|point| point.2))?,
            points,
        })
    }

    pub(super) fn draw(&self, area: &Area<'_>) -> Drawn {
        let mut chart = ChartBuilder::on(area)
            .margin_top(14)
            .margin_right(MARGIN)
            .x_label_area_size(46)
            .y_label_area_size(84)
            .build_cartesian_2d(self.across.0..self.across.1, self.up.0..self.up.1)?;
        axes(&mut chart, (&self.x, true), &self.y)?;
        let at = |point: &(String, f64, f64, bool)| chart.backend_coord(&(point.1, point.2));
        let places: Vec<(i32, i32)> = self.points.iter().map(at).collect();
        let dots = places.iter().map(|(x, y)| (x - 7, x + 7, y - 7, y + 7));
        let mut taken: Vec<Box4> = dots.collect();
        let (pixels_x, pixels_y) = chart.plotting_area().get_pixel_range();
        for ((name, _, _, out), place) in self.points.iter().zip(&places) {
            if *out {
                area.draw(&Circle::new(*place, 6, colour(0).filled()))?;
            } else {
                area.draw(&Circle::new(*place, 4, SHEET.filled()))?;
                area.draw(&Circle::new(*place, 4, SOFT.stroke_width(2)))?;
            }
            let name = fitting(name, NAME);
            let within = (
                pixels_x.start,
                pixels_x.end + MARGIN,
                pixels_y.start - HALF,
                pixels_y.end + HALF,
            );
            let Some((left, right, top, _)) = free(*place, &name, &taken, within, *out) else {
                continue;
            };
            taken.push((left, right, top, top + 2 * HALF));
            let colour = if *out { INK } else { SOFT };
            let style = text(&colour, HPos::Center);
            area.draw(&Text::new(
                name,
                (i32::midpoint(left, right), top + HALF),
                style,
            ))?;
        }
        Ok(())
    }
}

/// Room for a name right of its point, left of it, above, below or slantwise. One that has to be shown takes the
/// first place that covers no other name inside, and the first of all if there is none.
fn free(
    (x, y): (i32, i32),
    name: &str,
    taken: &[Box4],
    within: Box4,
    needed: bool,
) -> Option<Box4> {
    let wide = (name.chars().count() as f64 * LETTER) as i32;
    let at = |left: i32, middle: i32| (left, left + wide, middle - HALF, middle + HALF);
    let places = [
        at(x + BESIDE, y),
        at(x - BESIDE - wide, y),
        at(x - wide / 2, y - ABOVE),
        at(x - wide / 2, y + ABOVE),
        at(x - wide, y - ABOVE),
        at(x, y - ABOVE),
    ];
    let inside =
        |b: &Box4| b.0 >= within.0 && b.1 <= within.1 && b.2 >= within.2 && b.3 <= within.3;
    let apart = |b: &Box4| {
        taken
            .iter()
            .all(|o| b.1 < o.0 || o.1 < b.0 || b.3 < o.2 || o.3 < b.2)
    };
    let found = places.iter().find(|place| inside(place) && apart(place));
    let any = || places.iter().find(|place| inside(place)).or(places.first());
    found.or_else(|| any().filter(|_| needed)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Box4 = (0, 800, 0, 400);

    #[test]
    fn a_name_stands_where_room_is() {
        let wide = (4.0 * LETTER) as i32;
        let right = (110, 110 + wide, 91, 109);
        assert_eq!(free((100, 100), "name", &[], WITHIN, false), Some(right));
        let left = (90 - wide, 90, 91, 109);
        assert_eq!(
            free((100, 100), "name", &[right], WITHIN, false),
            Some(left)
        );
        assert_eq!(free((795, 100), "name", &[], WITHIN, false).unwrap().1, 785);
    }

    #[test]
    fn without_room_only_the_needed_are_named() {
        let all = [WITHIN];
        assert_eq!(free((100, 100), "name", &all, WITHIN, false), None);
        assert!(free((100, 100), "name", &all, WITHIN, true).is_some());
    }
}
