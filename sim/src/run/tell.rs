//! What a run came to: verdict, recoveries, timeline and series, from the world as it was left.

use super::cost::costs;
use super::evidence::{Evidence, alone_until};
use super::expect;
use super::play::Play;
use crate::outcome::{Bar, Held, Note, Recovery, Run, Series, Success, Unit, Verdict};
use quorate_engine::time::{Span, Time};

impl Play<'_> {
    pub(super) fn outcome(mut self) -> Run {
        self.find_silent_faults();
        let expectations = expect::all(&self);
        let verdict = expectations
            .iter()
            .map(|held| held.verdict)
            .max()
            .unwrap_or(Verdict::Invalid);
        let zero = self.zero;
        let shifted = |note: &Note| Note {
            at: Time(note.at.since(zero).0),
            ..note.clone()
        };
        Run {
            scenario: self.prepared.scenario.name.clone(),
            seed: self.seed,
            verdict,
            trace_hash: format!("{:016x}", self.world.trace_hash()),
            events: self.world.events(),
            simulated: self.world.now().since(Time::ZERO),
            recoveries: recoveries(&self),
            notes: self.world.notes().iter().map(shifted).collect(),
            series: series(&self),
            parameters: self.parameters,
            expectations,
        }
    }

    /// A scenario that injects nothing it was asked for says nothing.
    fn find_silent_faults(&mut self) {
        if self.phases.is_empty() {
            return;
        }
        for (index, phase) in self.prepared.scenario.phases.iter().enumerate() {
            for (number, fault) in phase.faults.iter().enumerate() {
                let hit = self
                    .injected
                    .iter()
                    .any(|i| (i.phase, i.fault) == (index, number));
                let crashed = self.crash_is_planned(fault) && self.world.crashes() > 0;
                if !hit && !crashed {
                    let name = &phase.name;
                    self.invalid.push(format!(
                        "{:?} of phase {name} was never injected",
                        fault.verb
                    ));
                }
            }
        }
    }

    /// The reasons for which the run says nothing, as one expectation that did not hold.
    pub(super) fn validity(&self) -> Option<Held> {
        (!self.invalid.is_empty()).then(|| Held {
            name: "the run is valid".to_owned(),
            verdict: Verdict::Invalid,
            detail: self.invalid.join("; "),
            value: None,
            unit: Unit::None,
        })
    }
}

/// How long each fault hurt each population.
#[must_use]
pub fn recoveries(evidence: &dyn Evidence) -> Vec<Recovery> {
    let mut recoveries = Vec::new();
    for (index, injected) in evidence.injected().iter().enumerate() {
        let until = alone_until(evidence, index);
        for (population, name) in evidence.populations().iter().enumerate() {
            let stats = evidence.stats(population as u16);
            let (recovery, failed) = expect::hurt(stats, injected.from, until);
            recoveries.push(Recovery {
                fault: injected.label.clone(),
                at: Time(injected.from.since(evidence.zero()).0),
                of: name.clone(),
                recovery,
                failed,
            });
        }
    }
    recoveries
}

/// What a run looked like over time.
#[must_use]
pub fn series(evidence: &dyn Evidence) -> Series {
    let zero = evidence.zero();
    let end = evidence.phases().last().map_or(zero, |phase| phase.to);
    let on = |time: Time| Time(time.since(zero).0);
    let bar = |label: &str, from, to| Bar {
        label: label.to_owned(),
        from: on(from),
        to: on(to),
    };
    let leader = evidence.leader();
    let first = leader
        .partition_point(|(at, _)| *at <= zero)
        .saturating_sub(1);
    let leader = &leader[first.min(leader.len())..];
    let quorum = evidence.quorum();
    let first = quorum
        .partition_point(|(at, _, _)| *at <= zero)
        .saturating_sub(1);
    Series {
        span: (Time::ZERO, on(end)),
        phases: evidence
            .phases()
            .iter()
            .map(|p| bar(&p.name, p.from, p.to))
            .collect(),
        faults: evidence
            .injected()
            .iter()
            .map(|i| bar(&i.label, i.from, i.to))
            .collect(),
        leader: leader.iter().map(|(at, x)| (on(*at), x.clone())).collect(),
        quorum: quorum[first.min(quorum.len())..]
            .iter()
            .map(|(at, voters, healthy)| (on(*at), *voters, *healthy))
            .collect(),
        success: (0..evidence.populations().len() as u16)
            .map(|number| success(evidence, number, end))
            .collect(),
        costs: costs(evidence),
    }
}

/// A population's successes and failures in some 300 buckets.
fn success(evidence: &dyn Evidence, number: u16, end: Time) -> Success {
    let first = evidence.zero().since(Time::ZERO).as_secs() as usize;
    let last = end.since(Time::ZERO).as_secs() as usize;
    let width = (last - first).div_ceil(300).max(1);
    let seconds = &evidence.stats(number).seconds;
    let seconds = &seconds[first.min(seconds.len())..last.min(seconds.len())];
    let sum = |bucket: &[crate::traffic::Second]| {
        bucket
            .iter()
            .fold((0, 0), |(ok, failed), s| (ok + s.ok, failed + s.failed))
    };
    Success {
        name: evidence.populations()[usize::from(number)].clone(),
        bucket: Span::from_secs(width as u64),
        counts: seconds.chunks(width).map(sum).collect(),
    }
}
