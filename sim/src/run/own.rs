//! Measures that only the simulated world can take of itself.

use super::evidence::{Injected, Measured};
use super::play::Play;
use crate::outcome::Unit;
use crate::scenario::{Expectation, Measure};
use crate::world::Invariant;
use quorate_engine::time::{Span, Time};

/// What only the simulated world knows of itself.
pub(super) fn of_the_world(
    play: &Play<'_>,
    expected: &Expectation,
    from: Time,
    to: Time,
) -> Measured {
    let of = expected.of.as_deref().unwrap_or_default();
    let watch = play.world.watch();
    match expected.measure {
        Measure::Converged => converged(play, from, to),
        Measure::LostWrites => {
            let broken = watch
                .violations()
                .iter()
                .filter(|v| v.invariant == Invariant::Raft);
            Measured::count(broken.count() as u64, "")
        }
        Measure::Replaced => {
            let within = |(at, _): &&(Time, _)| *at >= from && *at <= to;
            let all: Vec<String> = watch
                .replaced()
                .iter()
                .filter(within)
                .map(|(_, id)| id.to_string())
                .collect();
            Measured::count(all.len() as u64, all.join(", "))
        }
        Measure::Crashes => Measured::count(u64::from(play.world.crashes()), ""),
        Measure::Diagnosed => {
            let found = play.prepared.codes.iter().filter(|code| **code == of);
            Measured::count(found.count() as u64, play.prepared.codes.join(", "))
        }
        Measure::PodsMissing => pods_missing(play, of, from, to),
        Measure::Leaderless
        | Measure::Availability
        | Measure::Recovery
        | Measure::FailedOutsideElections
        | Measure::Machines
        | Measure::Voters
        | Measure::FailedCalls
        | Measure::Elections => panic!("{:?} is measured anywhere", expected.measure),
    }
}

fn converged(play: &Play<'_>, from: Time, to: Time) -> Measured {
    let within = |i: &&Injected| i.from >= from && i.from <= to;
    let last = play
        .injected
        .iter()
        .filter(within)
        .map(|i| i.to)
        .chain(
            play.changed
                .iter()
                .copied()
                .filter(|at| *at >= from && *at <= to),
        )
        .max()
        .unwrap_or(from);
    match play.world.watch().calm_after(last) {
        Some(at) => Measured::ms(at.since(last), ""),
        None => Measured {
            value: None,
            unit: Unit::Ms,
            detail: "the orchestrator still found something to do at the end".to_owned(),
        },
    }
}

fn pods_missing(play: &Play<'_>, of: &str, from: Time, to: Time) -> Measured {
    let Some(id) = play.workloads.get(of) else {
        return Measured {
            value: None,
            unit: Unit::Ms,
            detail: format!("no workload {of}"),
        };
    };
    let series = play.world.kube().series(*id);
    let mut longest = Span::ZERO;
    let mut since: Option<Time> = None;
    for (at, counts) in series.iter().filter(|(at, _)| *at <= to) {
        match (counts.ready < counts.desired, since) {
            (true, None) => since = Some(*at),
            (false, Some(begin)) => {
                longest = longest.max(at.max(&from).since(begin.max(from)));
                since = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }
    if let Some(begin) = since {
        longest = longest.max(to.since(begin.max(from)));
    }
    Measured::ms(longest, "")
}
