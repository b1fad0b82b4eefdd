//! Simulation against exact results, within its stated confidence.

use crate::formulas::{enumerated, event, system_of};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use quorate_engine::random::Seed;
use quorate_planning::algebra::dynamics::{Way, outages, run};
use quorate_planning::algebra::{Event, EventId, Forest, Formula, Lengths, Rhythm, System};

/// Random systems, the same in every run; with repairs of every shape.
fn systems(count: usize, most: usize) -> Vec<(Vec<Event>, Formula)> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut found = Vec::new();
    while found.len() < count {
        let tree = system_of(most)
            .new_tree(&mut runner)
            .expect("a strategy that gives");
        let (mut events, formula) = tree.current();
        for (at, event) in events.iter_mut().enumerate() {
            // Not rarer than a run of some centuries shows, and with moderate tails.
            event.rhythm.per_year = event.rhythm.per_year.clamp(0.5, 60.0);
            event.rhythm.mean_minutes = event.rhythm.mean_minutes.clamp(30.0, 5_000.0);
            let parts = [(0.8, 1.0, 0.6), (0.2, 5.0, 0.9)];
            if at % 2 == 0 {
                event.lengths = Lengths::mixture(&parts).0;
            }
        }
        let truth = enumerated(&events, &formula);
        if truth.per_year > 1e-9 && truth.probability < 0.5 {
            found.push((events, formula));
        }
    }
    found
}

/// Of `n` intervals at this level, so many may miss the truth: with more, an interval that is
/// right would have to have bad luck of less than 1 in 10,000 (normal approximation, 3.72).
fn may_miss(n: usize, level: f64) -> usize {
    let expected = n as f64 * (1.0 - level);
    (expected + 3.72 * (expected * level).sqrt()).ceil() as usize
}

#[test]
fn outages_by_cut_set_agree_with_enumeration() {
    let systems = systems(300, 8);
    for level in [0.95, 0.99] {
        let (mut checks, mut misses, mut lengths) = (0, 0, 0);
        for (number, (events, formula)) in systems.iter().enumerate() {
            let order: Vec<EventId> = (0..events.len()).map(EventId).collect();
            let system = System {
                events,
                order: &order,
            };
            let forest = Forest::of(&[formula], &order, 100_000);
            let seed = Seed(number as u64);
            let seen = outages(&system, &forest, (0, formula), 1_000, level, seed);
            let seen = seen.expect("small").expect("it fails");
            assert_eq!(seen.way, Way::CutSets);
            let truth = enumerated(events, formula);
            let mean = truth.probability * 525_960.0 / truth.per_year;
            let share = seen.unavailability.expect("by cut set");
            let rate = seen.per_year.expect("by cut set");
            misses += usize::from(!share.holds(truth.probability));
            misses += usize::from(!rate.holds(truth.per_year));
            lengths += usize::from(!seen.mean_minutes.holds(mean));
            checks += 2;
        }
        assert!(
            misses <= may_miss(checks, level),
            "{misses} of {checks} at {level}"
        );
        // Means of skewed lengths: the normal interval misses more often than it says; half as
        // much again is allowed for that.
        let allowed = may_miss(systems.len(), level) * 3 / 2;
        assert!(
            lengths <= allowed,
            "{lengths} of {} lengths at {level}",
            systems.len()
        );
    }
}

#[test]
fn a_run_of_everything_agrees_with_enumeration() {
    let systems = systems(150, 6);
    let (mut checks, mut misses) = (0, 0);
    for (number, (events, formula)) in systems.iter().enumerate() {
        let truth = enumerated(events, formula);
        // Rare failures are not for this method.
        if truth.per_year < 0.05 {
            continue;
        }
        let seen = run(events, formula, 60, 20.0, 0.99, Seed(number as u64));
        misses += usize::from(!seen.unavailability.holds(truth.probability));
        misses += usize::from(!seen.per_year.holds(truth.per_year));
        checks += 2;
    }
    assert!(checks > 100, "{checks} are enough to judge by");
    // Intervals of skewed sums of few outages: the same allowance as above.
    let allowed = may_miss(checks, 0.99) * 3 / 2;
    assert!(misses <= allowed, "{misses} of {checks}");
}

/// Two of three with exponential repairs: outages are exponential with half the mean repair.
fn two_of_three() -> (Vec<Event>, Formula) {
    let rhythm = Rhythm {
        per_year: 2.0,
        mean_minutes: 120.0,
    };
    let events = vec![
        Event {
            rhythm,
            ..event(0.0, 0.0)
        };
        3
    ];
    let all = (0..3).map(|at| Formula::Event(EventId(at))).collect();
    (events, Formula::AtLeast(2, all))
}

#[test]
fn rare_outages_have_the_lengths_they_should() {
    let (events, formula) = two_of_three();
    let order: Vec<EventId> = (0..3).map(EventId).collect();
    let system = System {
        events: &events,
        order: &order,
    };
    let forest = Forest::of(&[&formula], &order, 1_000);
    let seen = outages(&system, &forest, (0, &formula), 20_000, 0.99, Seed(4));
    let minutes = seen
        .expect("small")
        .expect("it fails")
        .minutes
        .expect("outages");
    for (p, found) in [(0.5, minutes.p50), (0.9, minutes.p90), (0.99, minutes.p99)] {
        let expected = -60.0 * (1.0_f64 - p).ln();
        assert!(found.holds(expected), "p{p}: {found:?} {expected}");
        assert!(found.high / found.low < 1.3, "{found:?} says something");
    }
}

#[test]
fn with_too_many_cut_sets_lengths_come_from_the_diagram() {
    // 10 of 16: 8008 sets. Outages end with the next repair, but for failures that come first.
    let rhythm = Rhythm {
        per_year: 20.0,
        mean_minutes: 3_000.0,
    };
    let mut events = vec![
        Event {
            rhythm,
            ..event(0.0, 0.0)
        };
        16
    ];
    for event in events.iter_mut().step_by(3) {
        event.lengths = Lengths::mixture(&[(0.8, 1.0, 0.6), (0.2, 5.0, 0.9)]).0;
    }
    let order: Vec<EventId> = (0..16).map(EventId).collect();
    let all = order.iter().copied().map(Formula::Event).collect();
    let formula = Formula::AtLeast(10, all);
    let system = System {
        events: &events,
        order: &order,
    };
    let forest = Forest::of(&[&formula], &order, 10_000);
    let seen = outages(&system, &forest, (0, &formula), 4_000, 0.999, Seed(9));
    let seen = seen.expect("small").expect("it fails");
    assert_eq!(seen.way, Way::Diagram);
    let truth = enumerated(&events, &formula);
    let mean = truth.probability * 525_960.0 / truth.per_year;
    assert!(
        seen.mean_minutes.holds(mean),
        "{:?} {mean}",
        seen.mean_minutes
    );
}

#[test]
fn a_simulation_is_a_function_of_its_seed() {
    let (events, formula) = two_of_three();
    let at = |seed| run(&events, &formula, 10, 50.0, 0.95, Seed(seed));
    assert_eq!(at(1), at(1));
    assert_ne!(at(1), at(2));
}
