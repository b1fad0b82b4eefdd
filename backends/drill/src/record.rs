//! What a drill came to: evidence for the simulator's own judgement, and the run that reports show.

use crate::clients::Request;
use crate::eyes::Sight;
use quorate_engine::random::hash_name;
use quorate_engine::time::{Span, Time};
use quorate_sim::outcome::{Held, Note, Run, Track, Unit, Verdict};
use quorate_sim::run::{Evidence, Injected, Measured, Played, expectations, recoveries, series};
use quorate_sim::scenario::{Expectation, Measure, Scenario};
use quorate_sim::traffic::Stats;

/// A fault that was not tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untried {
    /// Index of its phase.
    pub phase: usize,
    /// What it is, as in the scenario.
    pub what: String,
    /// Why.
    pub reason: String,
    /// It was tried, and went wrong.
    pub failed: bool,
}

/// Everything that was recorded of a drill.
#[derive(Debug, Clone)]
pub struct Record {
    /// What was played.
    pub scenario: Scenario,
    /// The seed of picks and arrivals.
    pub seed: u64,
    /// When the first phase began.
    pub zero: Time,
    /// Phases.
    pub phases: Vec<Played>,
    /// Faults that began.
    pub injected: Vec<Injected>,
    /// Faults that did not.
    pub untried: Vec<Untried>,
    /// Why the drill says nothing.
    pub invalid: Vec<String>,
    /// Names of populations.
    pub populations: Vec<String>,
    /// What their requests came to.
    pub stats: Vec<Stats>,
    /// What was seen of etcd and nodes.
    pub sight: Sight,
    /// What a good request took at the median before the first phase.
    pub steady: Option<Span>,
    /// Acknowledged writes that were not there at the end; none: nobody could look.
    pub lost: Option<u64>,
    /// Every parameter, for the report.
    pub parameters: Vec<(String, String)>,
    /// What happened, in order of time.
    pub notes: Vec<Note>,
}

/// Counts requests, each in its population, with a mark at each fault.
#[must_use]
pub fn stats(populations: usize, requests: &[Request], marks: &[Time]) -> Vec<Stats> {
    let mut all: Vec<Stats> = (0..populations).map(|_| Stats::default()).collect();
    for stats in &mut all {
        for mark in marks {
            stats.mark(*mark);
        }
    }
    for request in requests {
        all[request.population].count(request.start, request.end, request.outcome);
    }
    all
}

/// What a good request took at the median, of those that began and ended before `until`.
#[must_use]
pub fn steady(requests: &[Request], until: Time) -> Option<Span> {
    let good = requests
        .iter()
        .filter(|r| r.outcome.is_ok() && r.end <= until);
    let mut took: Vec<Span> = good.map(|r| r.end.since(r.start)).collect();
    took.sort_unstable();
    took.get(took.len() / 2).copied()
}

impl Evidence for Record {
    fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    fn zero(&self) -> Time {
        self.zero
    }

    fn phases(&self) -> &[Played] {
        &self.phases
    }

    fn injected(&self) -> &[Injected] {
        &self.injected
    }

    fn populations(&self) -> &[String] {
        &self.populations
    }

    fn stats(&self, population: u16) -> &Stats {
        &self.stats[usize::from(population)]
    }

    fn leader(&self) -> &[(Time, Option<String>)] {
        &self.sight.leader
    }

    fn quorum(&self) -> &[(Time, u32, u32)] {
        &self.sight.quorum
    }

    fn elections(&self) -> &[Time] {
        &self.sight.elections
    }

    fn readiness(&self) -> Vec<(Time, String, bool)> {
        self.sight.readiness.clone()
    }

    fn unmeasured(&self, expected: &Expectation) -> Option<String> {
        let blind = "nobody looked at etcd".to_owned();
        let seen = !self.sight.met().is_empty();
        match expected.measure {
            Measure::Availability | Measure::Recovery => {
                let of = expected.of.as_ref();
                let known = of.is_none_or(|of| self.populations.contains(of));
                (!known).then(|| format!("{} sent no requests", of.map_or("", |of| of)))
            }
            Measure::FailedOutsideElections if self.populations.is_empty() => {
                Some("nobody sent requests".to_owned())
            }
            Measure::Leaderless | Measure::FailedOutsideElections | Measure::Voters => {
                (!seen).then_some(blind)
            }
            Measure::Elections => match self.untried_in(expected.phase.as_deref()) {
                Some(reason) => Some(reason),
                None => (!seen).then_some(blind),
            },
            Measure::LostWrites => match self.lost {
                Some(_) => None,
                None => Some("no write could be read back".to_owned()),
            },
            Measure::Converged
            | Measure::Replaced
            | Measure::Machines
            | Measure::Crashes
            | Measure::FailedCalls => Some("a drill runs no orchestrator".to_owned()),
            Measure::Diagnosed => Some("`quorate check` says it".to_owned()),
            Measure::PodsMissing => Some("a drill does not watch workloads".to_owned()),
        }
    }

    fn untried(&self, phase: &str) -> Option<String> {
        self.untried_in(Some(phase))
    }

    fn world_measure(&self, expected: &Expectation, _from: Time, _to: Time) -> Measured {
        assert_eq!(
            expected.measure,
            Measure::LostWrites,
            "only what can be measured is asked for"
        );
        let lost = self.lost.expect("it can be measured");
        Measured::count(lost, "")
    }
}

impl Record {
    fn untried_in(&self, phase: Option<&str>) -> Option<String> {
        let name = |one: &Untried| self.scenario.phases[one.phase].name.as_str();
        let within = |one: &&Untried| phase.is_none_or(|phase| phase == name(one));
        let all = self.untried.iter().filter(within);
        let all: Vec<String> = all
            .map(|one| format!("{}: {}", one.what, one.reason))
            .collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// As reports show it.
    #[must_use]
    pub fn run(&self) -> Run {
        let mut held = Vec::new();
        if !self.invalid.is_empty() {
            held.push(said(
                "the drill is valid",
                Verdict::Invalid,
                self.invalid.join("; "),
            ));
        }
        for one in &self.untried {
            let phase = &self.scenario.phases[one.phase].name;
            let verdict = match one.failed {
                true => Verdict::Invalid,
                false => Verdict::Skipped,
            };
            let name = format!("{} in \"{phase}\" is injected", one.what);
            held.push(said(&name, verdict, one.reason.clone()));
        }
        if !self.phases.is_empty() {
            held.extend(expectations(self));
        }
        let worst = held.iter().map(|held| held.verdict).max();
        let ended: u64 = self.stats.iter().map(|stats| stats.begun).sum();
        let end = self.phases.last().map_or(self.zero, |phase| phase.to);
        let shifted = |note: &Note| Note {
            at: Time(note.at.since(self.zero).0),
            ..note.clone()
        };
        let notes: Vec<Note> = self.notes.iter().map(shifted).collect();
        // A real run is never the same again: its hash only says which one it was.
        let text: String = notes.iter().map(|note| format!("{note:?}")).collect();
        Run {
            scenario: self.scenario.name.clone(),
            seed: self.seed,
            verdict: worst.unwrap_or(Verdict::Invalid),
            trace_hash: format!("{:016x}", hash_name(&text)),
            events: ended,
            simulated: Span(end.since(self.zero).0),
            expectations: held,
            recoveries: recoveries(self),
            parameters: self.parameters.clone(),
            notes,
            series: series(self),
        }
    }

    /// Notes of what was seen of etcd and nodes, beside those of faults.
    pub fn tell_sight(&mut self) {
        for (at, leader) in &self.sight.leader {
            let text = match leader {
                Some(label) => format!("{label} leads"),
                None => "nobody leads".to_owned(),
            };
            self.notes.push(note(*at, Track::Etcd, text));
        }
        for (at, node, ready) in &self.sight.readiness {
            let how = if *ready { "Ready" } else { "NotReady" };
            self.notes
                .push(note(*at, Track::Kube, format!("node {node} {how}")));
        }
        self.notes.retain(|note| note.at >= self.zero);
        self.notes.sort_by_key(|note| note.at);
    }
}

pub(crate) fn note(at: Time, track: Track, text: impl Into<String>) -> Note {
    Note {
        at,
        track,
        text: text.into(),
    }
}

fn said(name: &str, verdict: Verdict, detail: String) -> Held {
    Held {
        name: name.to_owned(),
        verdict,
        detail,
        value: None,
        unit: Unit::None,
    }
}
