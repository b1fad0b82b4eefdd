//! Votes and hysteresis.

use super::*;
use crate::check::{Check, Protocol};
use quorate_engine::time::Span;

fn target() -> Target {
    Target {
        address: "192.0.2.1".parse().unwrap(),
        check: Check::new(Protocol::Tcp, 443),
    }
}

fn watched() -> (Health, Target) {
    let (mut health, target) = (Health::default(), target());
    health.watch([&target]);
    (health, target)
}

fn at(secs: u64) -> Time {
    Time::ZERO + Span::from_secs(secs)
}

#[test]
fn three_in_a_row_change_a_mind_and_two_do_not() {
    // Results, and after each whether it is sick.
    let story = [
        (false, false),
        (false, false),
        (true, false),
        (false, false),
        (false, false),
        (false, true),
        (true, true),
        (true, true),
        (false, true),
        (true, true),
        (true, true),
        (true, false),
        (false, false),
    ];
    let (mut health, target) = watched();
    for (index, (well, sick)) in story.into_iter().enumerate() {
        let before = health.is_sick(&target);
        let notice = health.observe(at(index as u64), &target, well);
        assert_eq!(health.is_sick(&target), sick, "after result {index}");
        assert_eq!(
            notice.is_some(),
            before != sick,
            "a change is said once: {index}"
        );
    }
}

/// What we saw, what others said how many seconds ago, and the verdict: true is sick.
type Case = (Option<bool>, &'static [(bool, u64)], bool);

#[test]
fn more_than_half_of_those_who_looked_lately_decide() {
    // 32 s is fresh.
    let cases: [Case; 9] = [
        (Some(true), &[], true),
        (Some(true), &[(false, 1)], false),
        (Some(true), &[(false, 33)], true),
        (Some(true), &[(true, 1), (false, 1)], true),
        (Some(false), &[(true, 1)], false),
        (Some(false), &[(true, 1), (true, 1)], true),
        (Some(false), &[(true, 1), (true, 40)], false),
        (None, &[(true, 1)], true),
        (None, &[(true, 40)], false),
    ];
    for (own, others, sick) in cases {
        let (mut health, target) = watched();
        let now = at(100);
        for (index, &(sick, age)) in others.iter().enumerate() {
            let said = Opinion {
                sick,
                at: at(100 - age),
            };
            health.hear(now, &format!("peer {index}"), &target, said);
        }
        if let Some(own) = own {
            for _ in 0..3 {
                health.observe(now, &target, !own);
            }
        }
        assert_eq!(health.is_sick(&target), sick, "{own:?} {others:?}");
    }
}

#[test]
fn a_vantage_point_that_falls_silent_loses_its_vote() {
    let (mut health, target) = watched();
    let well = Opinion {
        sick: false,
        at: at(0),
    };
    health.hear(at(0), "other", &target, well);
    for secs in [10, 20, 30] {
        health.observe(at(secs), &target, false);
    }
    assert!(!health.is_sick(&target), "one against one");
    assert!(health.age(at(32)).is_empty());
    let notices = health.age(at(33));
    assert!(
        matches!(&notices[..], [Notice::Sick { votes: (1, 1), .. }]),
        "{notices:?}"
    );
}

#[test]
fn nobody_looks_and_nothing_changes() {
    let (mut health, target) = watched();
    for secs in [1, 2, 3] {
        health.observe(at(secs), &target, false);
    }
    assert!(health.is_sick(&target));
    assert!(health.age(at(10_000)).is_empty());
    assert!(health.is_sick(&target));
}

#[test]
fn what_is_known_survives_another_configuration() {
    let (mut health, target) = watched();
    for secs in [1, 2, 3] {
        health.observe(at(secs), &target, false);
    }
    let other = Target {
        address: "192.0.2.2".parse().unwrap(),
        ..target.clone()
    };
    health.watch([&other, &target]);
    assert!(health.is_sick(&target) && !health.is_sick(&other));
    health.watch([&other]);
    assert_eq!(
        health.observe(at(4), &target, false),
        None,
        "it is not watched any more"
    );
}
