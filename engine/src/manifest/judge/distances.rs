//! Measured distances: each pair of places once, and longer than nothing.
//!
//! Places that no pool stands at are allowed: a file of measurements outlives many manifests.

use super::view::{View, placed};
use crate::diagnostic::Finding;
use crate::time::Span;
use std::collections::BTreeSet;

pub(super) fn check(view: View<'_>, found: &mut Vec<Finding>) {
    let mut known = BTreeSet::new();
    for (path, distance) in placed(view.at("distances"), &view.spec.distances) {
        if !known.insert(distance.pair()) {
            let [a, b] = &distance.between;
            let message = format!("the distance of {} and {} stands twice", a.region, b.region);
            found.push(
                Finding::error("distance-twice", &path, message)
                    .why("a pair of places has one round trip, the same in both directions")
                    .fix("keep one of the two"),
            );
        }
        if distance.rtt.0 == Span::ZERO {
            found.push(
                Finding::error(
                    "distance-of-nothing",
                    &path.field("rtt"),
                    "a round trip takes time",
                )
                .fix("write what was measured, like `80us`"),
            );
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::manifest::judge::trial::{Case, case, run};
    use serde_json::{Value, json};

    const AT: &str = "/spec/distances";

    fn row(a: &str, b: &str, rtt: &str) -> Value {
        let place = |region| json!({"type": "hetzner", "region": region});
        json!({"between": [place(a), place(b)], "rtt": rtt})
    }

    pub(in super::super) fn cases() -> Vec<Case> {
        let twice = json!([row("fsn1", "nbg1", "3ms"), row("nbg1", "FSN1", "4ms")]);
        let nothing = json!([row("fsn1", "nbg1", "0s")]);
        vec![
            case("distance-twice", AT, twice).fails(),
            case("distance-of-nothing", AT, nothing).fails(),
        ]
    }

    #[test]
    fn each_mistake_is_found() {
        run(cases());
    }

    #[test]
    fn places_of_no_pool_are_nobody_s_mistake() {
        let rows = json!([row("fsn1", "hel1", "23ms"), row("fsn1", "fsn1", "400us")]);
        run(vec![Case::clean(AT, rows)]);
    }
}
