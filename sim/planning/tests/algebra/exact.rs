//! The algebra against published figures and against enumeration of everything.

use crate::formulas::{any_formula, enumerated, event, system_of};
use proptest::prelude::*;
use quorate_planning::algebra::{
    Event, EventId, Forest, Formula, Lengths, Limits, Rhythm, Solution, Solved, System,
    YEAR_MINUTES, bounds,
};
use std::collections::BTreeSet;

fn exact(events: &[Event], formula: &Formula) -> Solution {
    let order: Vec<EventId> = (0..events.len()).map(EventId).collect();
    let system = System {
        events,
        order: &order,
    };
    match system.solve(formula, Limits::default()) {
        Solved::Exact(solution) => solution,
        Solved::Bounded(interval) => panic!("a small formula is exact, not {interval:?}"),
    }
}

/// An event that fails for this share of time.
fn share(q: f64) -> Event {
    // Mean outage of an hour.
    event(q / (1.0 - q) * YEAR_MINUTES / 60.0, 60.0)
}

fn one(at: usize) -> Formula {
    Formula::Event(EventId(at))
}

/// A majority of members is gone; each with its provider. Events: provider, its nodes, and so on.
fn members(layout: &[usize], provider: f64, node: f64) -> (Vec<Event>, Formula) {
    let (mut events, mut gone) = (Vec::new(), Vec::new());
    for count in layout {
        let shared = events.len();
        events.push(share(1.0 - provider));
        for _ in 0..*count {
            gone.push(Formula::Any(vec![one(shared), one(events.len())]));
            events.push(share(1.0 - node));
        }
    }
    let lost = gone.len() - gone.len() / 2;
    (events, Formula::AtLeast(lost as u32, gone))
}

#[test]
fn majorities_of_independent_members() {
    let each = [0.99, 0.995, 0.999, 0.9995, 0.9999];
    let table = [
        (1, [1.0e-2, 5.0e-3, 1.0e-3, 5.0e-4, 1.0e-4]),
        (3, [2.9800e-4, 7.4750e-5, 2.9980e-6, 7.4975e-7, 2.9998e-8]),
        (5, [9.8506e-6, 1.2406e-6, 9.9850e-9, 1.2491e-9, 9.9985e-12]),
        (
            7,
            [3.4167e-7, 2.1614e-8, 3.4916e-11, 2.1849e-12, 3.4992e-15],
        ),
    ];
    for (size, row) in table {
        for (p, expected) in each.into_iter().zip(row) {
            let events = vec![share(1.0 - p); size];
            let lost = size - size / 2;
            let formula = Formula::AtLeast(lost as u32, (0..size).map(one).collect());
            let found = exact(&events, &formula).unavailability;
            let digits = format!("{found:.4e}");
            assert_eq!(digits, format!("{expected:.4e}"), "{size} members of {p}");
        }
    }
}

#[test]
fn members_over_providers_in_minutes_a_year() {
    let layouts: [&[usize]; 11] = [
        &[1],
        &[3],
        &[5],
        &[2, 1],
        &[3, 2],
        &[1, 1, 1],
        &[2, 2, 1],
        &[3, 3, 1],
        &[2, 2, 3],
        &[2, 2, 2],
        &[1, 1, 1, 1, 1],
    ];
    let table: [(f64, f64, [&str; 11]); 3] = [
        (
            0.999,
            0.99,
            [
                "5780.3", "682.5", "531.1", "692.8", "546.7", "189.2", "38.2", "43.1", "23.5",
                "73.9", "6.87",
            ],
        ),
        (
            0.9995,
            0.999,
            [
                "788.7", "264.6", "263.0", "265.1", "263.8", "3.54", "1.98", "2.49", "1.45",
                "3.55", "0.02",
            ],
        ),
        (
            0.9999,
            0.999,
            [
                "578.5", "54.2", "52.6", "54.3", "52.8", "1.91", "0.34", "0.44", "0.23", "0.66",
                "0.01",
            ],
        ),
    ];
    for (provider, node, row) in table {
        for (layout, expected) in layouts.into_iter().zip(row) {
            let (events, formula) = members(layout, provider, node);
            let minutes = exact(&events, &formula).unavailability * YEAR_MINUTES;
            let digits = expected.len() - expected.find('.').map_or(0, |dot| dot + 1);
            let found = format!("{minutes:.digits$}");
            assert_eq!(
                found, expected,
                "{layout:?} at {provider}/{node}: {minutes}"
            );
        }
    }
}

#[test]
fn a_shared_cause_of_one_percent_costs_four_times() {
    let q = 1e-3;
    let table = [
        (0.0, "2.998e-6"),
        (0.01, "1.294e-5"),
        (0.05, "5.271e-5"),
        (0.1, "1.024e-4"),
    ];
    for (beta, expected) in table {
        let mut events = vec![share(q * (1.0 - beta)); 3];
        events.push(if beta > 0.0 {
            share(q * beta)
        } else {
            event(0.0, 60.0)
        });
        let two = Formula::AtLeast(2, (0..3).map(one).collect());
        let solution = exact(&events, &Formula::Any(vec![one(3), two]));
        assert_eq!(format!("{:.3e}", solution.unavailability), expected);
    }
}

#[test]
fn two_of_three_with_repair() {
    let hours_a_year = YEAR_MINUTES / 60.0;
    let events = vec![event(hours_a_year / 1_000.0, 60.0); 3];
    let formula = Formula::AtLeast(2, (0..3).map(one).collect());
    let solution = exact(&events, &formula);
    assert_eq!(format!("{:.3e}", solution.unavailability), "2.992e-6");
    // After a repair one of the three is still down: from new, its failure is waited for as well.
    let up = hours_a_year * (1.0 - solution.unavailability) / solution.per_year;
    let from_new = up + 1_000.0 / 3.0;
    assert!((from_new - 167_500.0).abs() < 1e-3, "{from_new}");
    // Two are repaired at once: half an hour; longer where the third fails meanwhile.
    let mean = solution.mean_minutes.expect("it fails");
    assert!((mean - 30.0 * (1.0 + 1.0 / 3_000.0)).abs() < 1e-9, "{mean}");
}

#[test]
fn a_thousand_nodes_are_exact() {
    let (events, formula) = members(&[334, 333, 333], 0.9995, 0.99);
    let solution = exact(&events, &formula);
    // Two of three providers: 3 p^2 - 2 p^3. Anything else is far rarer: 500 nodes of 1000.
    let p: f64 = 5e-4;
    let two = 3.0 * p * p - 2.0 * p * p * p;
    assert!(
        (solution.unavailability / two - 1.0).abs() < 1e-6,
        "{}",
        solution.unavailability
    );
}

#[test]
fn what_is_too_large_is_an_interval_that_holds_the_truth() {
    let (events, formula) = members(&[4, 4, 3, 4], 0.99, 0.95);
    let truth = exact(&events, &formula).unavailability;
    let failed: Vec<f64> = events.iter().map(|e| e.rhythm.unavailability()).collect();
    let order: Vec<EventId> = (0..events.len()).map(EventId).collect();
    let system = System {
        events: &events,
        order: &order,
    };
    let small = Limits {
        nodes: 10,
        splits: 0,
        ..Limits::default()
    };
    let Solved::Bounded(rough) = system.solve(&formula, small) else {
        panic!("ten nodes are too few");
    };
    assert!(
        rough.holds(truth) && rough.low < rough.high,
        "{rough:?} {truth}"
    );
    let mut last = rough;
    for splits in [1, 3, 7, 15] {
        let next = bounds(&formula, &failed, splits);
        assert!(next.holds(truth), "{next:?} {truth}");
        assert!(next.high - next.low <= last.high - last.low + 1e-15);
        last = next;
    }
    // Four providers: after all are set, what is left shares nothing.
    let done = bounds(&formula, &failed, 64);
    assert!((done.high / done.low - 1.0).abs() < 2e-3, "{done:?}");
}

#[test]
fn one_large_formula_does_not_spoil_the_others() {
    let (events, large) = members(&[6, 6, 6], 0.99, 0.95);
    let small = Formula::All(vec![one(0), one(7)]);
    let order: Vec<EventId> = (0..events.len()).map(EventId).collect();
    let failed: Vec<f64> = events.iter().map(|e| e.rhythm.unavailability()).collect();
    let forest = Forest::of(&[&large, &small], &order, 20);
    let found = forest.probabilities(&failed);
    assert!(found[0].is_err());
    let both = found[1].expect("two events fit");
    assert!((both - failed[0] * failed[7]).abs() < 1e-15);
}

#[test]
fn a_mixture_changes_no_steady_state() {
    let (lengths, mean) = Lengths::mixture(&[(0.9, 10.0, 1.0), (0.1, 500.0, 1.5)]);
    let rhythm = Rhythm {
        per_year: 4.0,
        mean_minutes: mean,
    };
    let mixed = Event {
        lengths,
        rhythm,
        ..event(4.0, mean)
    };
    let plain = event(4.0, mean);
    let at = |event: Event| exact(&[event], &one(0)).unavailability;
    assert_eq!(at(mixed).to_bits(), at(plain).to_bits());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exact_is_what_enumeration_finds((events, formula) in system_of(12)) {
        let truth = enumerated(&events, &formula);
        let solution = exact(&events, &formula);
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-12 + 1e-9 * b.abs();
        prop_assert!(near(solution.unavailability, truth.probability));
        prop_assert!(near(solution.per_year, truth.per_year));
        for (found, importance) in solution.importances.iter().zip(&truth.birnbaum) {
            prop_assert!(near(found.birnbaum, *importance));
        }
        let failed: Vec<f64> = events.iter().map(|e| e.rhythm.unavailability()).collect();
        for splits in [0, 1, 20] {
            let interval = bounds(&formula, &failed, splits);
            let slack = 1e-12;
            prop_assert!(interval.low <= truth.probability + slack, "{interval:?}");
            prop_assert!(interval.high >= truth.probability - slack, "{interval:?}");
        }
    }

    #[test]
    fn cut_sets_are_what_enumeration_finds((events, formula) in system_of(9)) {
        let truth = enumerated(&events, &formula);
        let order: Vec<EventId> = (0..events.len()).map(EventId).collect();
        let system = System { events: &events, order: &order };
        let limits = Limits { cut_sets: 10_000, ..Limits::default() };
        let Solved::Exact(solution) = system.solve(&formula, limits) else {
            panic!("a small formula is exact");
        };
        let found = solution.cut_sets.expect("they are few");
        let sets: BTreeSet<BTreeSet<usize>> = found
            .listed
            .iter()
            .map(|set| set.events.iter().map(|event| event.0).collect())
            .collect();
        prop_assert_eq!(found.listed.len(), sets.len());
        prop_assert_eq!(found.count, Some(truth.cut_sets.len() as f64));
        prop_assert_eq!(sets, truth.cut_sets);
        prop_assert!(found.listed.is_sorted_by(|a, b| a.probability >= b.probability));
        if truth.probability > 0.0 {
            let shares: f64 = found.listed.iter().map(|set| set.share).sum();
            prop_assert!((shares - 1.0).abs() < 1e-9, "{}", shares);
            prop_assert!(found.rest.expect("they are few") < 1e-9);
        }
    }

    #[test]
    fn formulas_hold_as_they_are_written(formula in any_formula(6), state in 0_u32..64) {
        fn plainly(formula: &Formula, failed: &[bool]) -> bool {
            let count = |parts: &[Formula]| parts.iter().filter(|p| plainly(p, failed)).count();
            match formula {
                Formula::Event(event) => failed[event.0],
                Formula::Any(parts) => count(parts) > 0,
                Formula::All(parts) => count(parts) == parts.len(),
                Formula::AtLeast(n, parts) => count(parts) >= *n as usize,
            }
        }
        let failed: Vec<bool> = (0..6).map(|bit| state >> bit & 1 == 1).collect();
        prop_assert_eq!(formula.holds(&failed), plainly(&formula, &failed));
    }
}
