//! Figures of the page: a caption, a legend, the drawing with its description, and its data.

use super::table::table;
use crate::page::chart::{self, WIDTH};
use crate::page::map::map;
use crate::page::number::number;
use crate::page::{Chart, Drawing};
use maud::{Markup, PreEscaped, html};
use quorate_sim::report::plain;

/// Named in a description; the others are counted, and all are in the data.
const NAMED: usize = 8;

/// The figure of a chart.
pub(super) fn figure(chart: &Chart) -> Markup {
    let id = format!("chart-{}", chart.id);
    let data = chart.short_table();
    let domains = matches!(chart.drawing, Drawing::Map(_));
    let drawn = match &chart.drawing {
        Drawing::Map(places) => html! { (map(places)) },
        Drawing::Bars { .. } | Drawing::Lines { .. } | Drawing::Points { .. } => {
            picture(chart, &id)
        }
    };
    html! {
        figure.domains[domains] aria-labelledby=(id) {
            figcaption id=(id) { (plain(&chart.caption)) }
            (legend(&chart.drawing))
            (drawn)
            details {
                summary { "Data" span.heard { " of: " (plain(&chart.caption)) } }
                (table(&data, &format!("{id}-data")))
            }
        }
    }
}

fn picture(chart: &Chart, id: &str) -> Markup {
    let Some(picture) = chart::picture(&chart.drawing) else {
        return html! { p.soft { "Nothing to draw: no figure is known." } };
    };
    let (title, about) = (format!("{id}-title"), format!("{id}-about"));
    html! {
        div.wide role="group" tabindex="0" aria-labelledby=(id) {
            svg role="img" aria-labelledby=(format!("{title} {about}"))
                viewBox=(format!("0 0 {WIDTH} {}", picture.height)) {
                title id=(title) { (plain(&chart.caption)) }
                desc id=(about) { (plain(&description(&chart.drawing))) }
                (PreEscaped(&picture.inside))
            }
        }
    }
}

/// What the parts of bars are; lines and points have their names beside them.
fn legend(drawing: &Drawing) -> Markup {
    match drawing {
        Drawing::Bars { parts, .. } if parts.len() > 1 => html! {
            ul.legend {
                @for (at, part) in parts.iter().enumerate() {
                    li { span.swatch.(format!("shade{}", chart::shade(at))) {} (plain(part)) }
                }
            }
        },
        Drawing::Points { points, .. } if points.iter().any(|point| point.3) => html! {
            ul.legend {
                li { span.swatch.round.shade0 {} "stands out" }
                li { span.swatch.round.hollow {} "others" }
            }
        },
        Drawing::Bars { .. } | Drawing::Lines { .. } | Drawing::Points { .. } | Drawing::Map(_) => {
            html! {}
        }
    }
}

/// What is drawn, in words.
fn description(drawing: &Drawing) -> String {
    match drawing {
        Drawing::Bars { unit, bars, .. } => {
            let bar = |(name, parts): &(String, Vec<f64>)| {
                format!("{name} {} {unit}", number(parts.iter().sum()))
            };
            listed("bar", bars.iter().map(bar))
        }
        Drawing::Lines { x, y, lines, .. } => {
            let line = |(name, points): &(String, Vec<(f64, f64)>)| match points.as_slice() {
                [] => format!("{name}, without points"),
                [first, .., last] => {
                    format!("{name} from {} to {}", number(first.1), number(last.1))
                }
                [one] => format!("{name} {}", number(one.1)),
            };
            let all = listed("line", lines.iter().map(line));
            format!("{y} by {x}. {all}")
        }
        Drawing::Points { x, y, points } => {
            let ordered = points
                .iter()
                .filter(|one| one.3)
                .chain(points.iter().filter(|one| !one.3));
            let point = |(name, x, y, _): &(String, f64, f64, bool)| {
                format!("{name} at {}, {}", number(*x), number(*y))
            };
            format!("{y} by {x}. {}", listed("point", ordered.map(point)))
        }
        Drawing::Map(places) => listed("place", places.iter().map(|place| place.name.clone())),
    }
}

fn listed(what: &str, names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    let plural = if names.len() == 1 { "" } else { "s" };
    let more = names.len().saturating_sub(NAMED);
    let rest = if more > 0 {
        format!("; and {more} more")
    } else {
        String::new()
    };
    let named = names
        .iter()
        .take(NAMED)
        .cloned()
        .collect::<Vec<_>>()
        .join("; ");
    format!("{} {what}{plural}: {named}{rest}.", names.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_names_what_is_drawn() {
        let bars = (0..10)
            .map(|at| (format!("b{at}"), vec![1.0, f64::from(at)]))
            .collect();
        let drawing = Drawing::Bars {
            unit: "EUR".to_owned(),
            parts: vec!["a".to_owned(), "b".to_owned()],
            bars,
        };
        let said = description(&drawing);
        assert!(said.starts_with("10 bars: b0 1 EUR; b1 2 EUR; "), "{said}");
        assert!(said.ends_with("b7 8 EUR; and 2 more."), "{said}");
        let line = ("a".to_owned(), vec![(0.0, 5.0), (1.0, 7.0), (2.0, 6.0)]);
        let drawing = Drawing::Lines {
            x: "s".to_owned(),
            y: "ms".to_owned(),
            lines: vec![line],
            log_y: false,
        };
        assert_eq!(description(&drawing), "ms by s. 1 line: a from 5 to 6.");
    }
}
