//! Random formulas, and what is true of them by going through every state.

use proptest::prelude::*;
use quorate_planning::algebra::{Event, EventId, Formula, Lengths, Rhythm};
use std::collections::BTreeSet;

/// An event with this rhythm.
pub(crate) fn event(per_year: f64, mean_minutes: f64) -> Event {
    Event {
        name: "event".to_owned(),
        rhythm: Rhythm {
            per_year,
            mean_minutes,
        },
        lengths: Lengths::Exponential,
        assumptions: Vec::new(),
    }
}

/// A formula over so many events; each may stand in several places.
pub(crate) fn any_formula(events: usize) -> impl Strategy<Value = Formula> {
    let leaf = (0..events).prop_map(|at| Formula::Event(EventId(at)));
    leaf.prop_recursive(3, 24, 5, |inner| {
        let parts = proptest::collection::vec(inner, 0..5);
        prop_oneof![
            parts.clone().prop_map(Formula::Any),
            parts.clone().prop_map(Formula::All),
            (0_u32..5, parts).prop_map(|(count, parts)| Formula::AtLeast(count, parts)),
        ]
    })
}

/// Events with rhythms of all sizes, and a formula over them.
pub(crate) fn system_of(most: usize) -> impl Strategy<Value = (Vec<Event>, Formula)> {
    (1..=most).prop_flat_map(|size| {
        let rhythm = (-1.0_f64..3.0, 0.5_f64..4.0);
        let one = rhythm.prop_map(|(rate, mean)| event(10_f64.powf(rate), 10_f64.powf(mean)));
        (proptest::collection::vec(one, size), any_formula(size))
    })
}

/// What is true of a formula.
pub(crate) struct Truth {
    /// How likely it holds.
    pub(crate) probability: f64,
    /// How often it begins to, in a year.
    pub(crate) per_year: f64,
    /// By how much each event makes it likelier.
    pub(crate) birnbaum: Vec<f64>,
    /// The smallest sets of events that bring it about.
    pub(crate) cut_sets: BTreeSet<BTreeSet<usize>>,
}

/// Goes through every state of the events.
pub(crate) fn enumerated(events: &[Event], formula: &Formula) -> Truth {
    let n = events.len();
    let q: Vec<f64> = events
        .iter()
        .map(|event| event.rhythm.unavailability())
        .collect();
    let holds: Vec<bool> = (0_usize..1 << n)
        .map(|state| formula.holds(&(0..n).map(|at| state >> at & 1 == 1).collect::<Vec<_>>()))
        .collect();
    let chance = |state: usize, without: usize| -> f64 {
        let others = (0..n).filter(|at| *at != without);
        others
            .map(|at| {
                if state >> at & 1 == 1 {
                    q[at]
                } else {
                    1.0 - q[at]
                }
            })
            .product()
    };
    let failing = (0..1 << n).filter(|state| holds[*state]);
    let probability = failing.map(|state| chance(state, n)).sum();
    let birnbaum: Vec<f64> = (0..n)
        .map(|at| {
            let without = (0..1_usize << n).filter(|state| state >> at & 1 == 0);
            let critical = without.filter(|state| holds[state | 1 << at] && !holds[*state]);
            critical.map(|state| chance(state, at)).sum()
        })
        .collect();
    let begins = birnbaum.iter().zip(events);
    let per_year = begins
        .map(|(b, event)| {
            b * event.rhythm.per_year
                / (1.0 + event.rhythm.per_year * event.rhythm.mean_minutes / 525_960.0)
        })
        .sum();
    let minimal = (0..1_usize << n).filter(|state| {
        let mut members = (0..n).filter(|at| state >> at & 1 == 1);
        holds[*state] && members.all(|at| !holds[state & !(1 << at)])
    });
    let sets = minimal.map(|state| (0..n).filter(|at| state >> at & 1 == 1).collect());
    Truth {
        probability,
        per_year,
        birnbaum,
        cut_sets: sets.collect(),
    }
}
