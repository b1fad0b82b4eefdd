//! The map of failure domains, as boxes in boxes: a list of lists, which any reader can follow.
//!
//! Many equal places inside one are drawn once, with their number, so that a hundred nodes are as
//! legible as nine. Does not know what is inside of what: names of kinds are the caller's.

use super::Place;
use maud::{Markup, html};
use quorate_sim::report::plain;
use std::collections::BTreeSet;

/// So many equal innermost places are still drawn one by one, and on a large map only one.
const SINGLY: usize = 3;

/// More innermost places make a map large.
const LARGE: usize = 30;

/// Colours of marks; marks beyond them share one. Each mark has its word.
const MARKS: usize = 6;

/// The boxes.
pub(super) fn map(places: &[Place]) -> Markup {
    let mut names = BTreeSet::new();
    collect(places, &mut names);
    let names: Vec<&str> = names.into_iter().collect();
    let singly = if innermost(places) > LARGE { 1 } else { SINGLY };
    html! { div.map { (level(places, 0, &Legend { names, singly })) } }
}

/// What holds for the whole map: names of marks in order, and how many equal places stand alone.
struct Legend<'a> {
    names: Vec<&'a str>,
    singly: usize,
}

fn innermost(places: &[Place]) -> usize {
    let count = |place: &Place| innermost(&place.within).max(1);
    places.iter().map(count).sum()
}

fn collect<'a>(places: &'a [Place], names: &mut BTreeSet<&'a str>) {
    for place in places {
        names.extend(place.marks.iter().map(String::as_str));
        collect(&place.within, names);
    }
}

fn level(places: &[Place], depth: usize, legend: &Legend<'_>) -> Markup {
    html! {
        ul.places.(format!("depth{}", depth.min(3))) {
            @for alike in alike(places, legend.singly) {
                @match alike.as_slice() {
                    [one] => (boxed(one, depth, legend)),
                    many => (collapsed(many, legend)),
                }
            }
        }
    }
}

/// Innermost places that differ in nothing but their name, where there are many; any other alone.
fn alike(places: &[Place], singly: usize) -> Vec<Vec<&Place>> {
    let same = |a: &Place, b: &Place| a.kind == b.kind && a.marks == b.marks;
    let mut groups: Vec<Vec<&Place>> = Vec::new();
    for place in places {
        let equal = |other: &&Place| other.within.is_empty() && same(place, other);
        let many = places.iter().filter(equal).count() > singly && place.within.is_empty();
        let known = groups.iter_mut().find(|group| many && equal(&group[0]));
        match known {
            Some(group) => group.push(place),
            None => groups.push(vec![place]),
        }
    }
    groups
}

fn boxed(place: &Place, depth: usize, legend: &Legend<'_>) -> Markup {
    let inner = if place.within.is_empty() {
        "leaf"
    } else {
        "around"
    };
    html! {
        li.place.(inner) {
            div.label {
                span.kind { (plain(&place.kind)) } " "
                span.name { (plain(&place.name)) }
            }
            (marks(&place.marks, legend))
            @if !place.within.is_empty() { (level(&place.within, depth + 1, legend)) }
        }
    }
}

fn collapsed(places: &[&Place], legend: &Legend<'_>) -> Markup {
    let first = places[0];
    html! {
        li.place.leaf.many {
            div.label {
                span.count { (places.len()) " ×" } " " span.kind { (plain(&first.kind)) }
            }
            (marks(&first.marks, legend))
            details {
                summary { "names" }
                ul.names { @for place in places { li { (plain(&place.name)) } } }
            }
        }
    }
}

fn marks(marks: &[String], legend: &Legend<'_>) -> Markup {
    html! {
        @if !marks.is_empty() {
            ul.marks {
                @for mark in marks {
                    @let at = legend.names.iter().position(|name| name == mark).unwrap_or_default();
                    li.(format!("mark{}", at % MARKS)) { (plain(mark)) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: usize, mark: &str) -> Place {
        Place {
            name: format!("n{name}"),
            kind: "node".to_owned(),
            marks: vec![mark.to_owned()],
            within: Vec::new(),
        }
    }

    fn sizes(places: &[Place]) -> Vec<usize> {
        alike(places, SINGLY).iter().map(Vec::len).collect()
    }

    #[test]
    fn many_equal_nodes_are_one_box() {
        let workers = |count| (0..count).map(|at| node(at, "worker"));
        let three: Vec<Place> = workers(3).collect();
        assert_eq!(sizes(&three), [1, 1, 1]);
        let mixed: Vec<Place> = workers(2)
            .chain([node(9, "etcd")])
            .chain(workers(40))
            .collect();
        assert_eq!(sizes(&mixed), [42, 1]);
        let text = map(&mixed).into_string();
        assert!(text.contains("42 ×") && text.contains("n39"), "{text}");
    }

    #[test]
    fn a_large_map_joins_pairs() {
        let zone = |at| Place {
            within: vec![node(at, "worker"), node(at + 1, "worker")],
            marks: Vec::new(),
            ..node(at, "")
        };
        let joined = |zones: usize| {
            let places: Vec<Place> = (0..zones).map(zone).collect();
            map(&places).into_string().matches("2 ×").count()
        };
        assert_eq!((joined(15), joined(16)), (0, 16));
    }

    #[test]
    fn places_with_something_inside_stay_apart() {
        let zone = |at| Place {
            within: vec![node(1, "worker")],
            marks: Vec::new(),
            ..node(at, "")
        };
        let zones: Vec<Place> = (0..9).map(zone).collect();
        assert_eq!(sizes(&zones), [1; 9]);
    }
}
