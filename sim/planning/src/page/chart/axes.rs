//! Axes and lines behind what is drawn on two of them.

use super::{Drawn, GRID, SOFT, fitting, text, tick};
use plotters::backend::SVGBackend;
use plotters::chart::ChartContext;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::style::TRANSPARENT;
use plotters::style::text_anchor::HPos;

/// An empty chart, ready to be filled.
pub(super) type Chart<'a, 'c, Y> = ChartContext<'c, SVGBackend<'a>, Cartesian2d<RangedCoordf64, Y>>;

/// Draws both axes with their names; `upright` lines go with values of the lower one.
pub(super) fn axes<Y>(chart: &mut Chart<'_, '_, Y>, (x, upright): (&str, bool), y: &str) -> Drawn
where
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut mesh = chart.configure_mesh();
    if !upright {
        mesh.disable_x_mesh();
    }
    mesh.x_labels(7)
        .y_labels(6)
        .x_label_formatter(&tick)
        .y_label_formatter(&tick)
        .x_desc(fitting(x, 400.0))
        .y_desc(fitting(y, 280.0))
        .label_style(text(&SOFT, HPos::Center))
        .axis_desc_style(text(&SOFT, HPos::Center))
        .axis_style(GRID)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .draw()
}
