//! What a run on the wire came to: evidence for the simulator's own judgement.

use crate::cast::Cast;
use crate::journal::Kept;
use quorate_engine::time::{Span, Time};
use quorate_sim::outcome::{Held, Note, Run, Unit, Verdict};
use quorate_sim::run::{Evidence, Injected, Measured, Played, expectations, recoveries, series};
use quorate_sim::scenario::{Expectation, Measure, Scenario};
use quorate_sim::traffic::Stats;
use std::sync::Arc;
use std::time::Duration;

/// Everything that was recorded of a run.
pub(crate) struct Record {
    scenario: Arc<Scenario>,
    zero: Time,
    kept: Kept,
    phases: Vec<Played>,
    injected: Vec<Injected>,
    populations: Vec<String>,
    stats: Vec<Stats>,
    parameters: Vec<(String, String)>,
}

impl Record {
    pub(crate) fn new(
        scenario: &Arc<Scenario>,
        cast: &Cast,
        zero: Time,
        kept: Kept,
        phases: Vec<Played>,
        injected: Vec<Injected>,
    ) -> Self {
        let populations = scenario.clients.iter().map(|clients| clients.name.clone());
        let mut stats: Vec<Stats> = cast.guests.iter().map(|_| Stats::default()).collect();
        for stats in &mut stats {
            for fault in &injected {
                stats.mark(fault.from);
            }
        }
        for request in &kept.requests {
            stats[request.population].count(request.start, request.end, request.outcome);
        }
        let servers: Vec<&str> = cast.servers.iter().map(|s| s.name.as_str()).collect();
        let hosts = cast.servers.len() + cast.balancers.len() + cast.guests.len();
        let parameters = [
            ("rung", "wire".to_owned()),
            ("hosts", hosts.to_string()),
            ("name servers", servers.join(", ")),
        ];
        Self {
            scenario: Arc::clone(scenario),
            zero,
            populations: populations.collect(),
            stats,
            kept,
            phases,
            injected,
            parameters: parameters
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
        }
    }

    /// As reports show it.
    pub(crate) fn run(mut self, seed: u64, simulated: Span, warm_up: Span, tick: Duration) -> Run {
        let of = |name: &str, value: String| (name.to_owned(), value);
        self.parameters.push(of("warm-up", warm_up.to_string()));
        self.parameters
            .push(of("tick", format!("{} ms", tick.as_millis())));
        let mut held: Vec<Held> = self.validity(warm_up).into_iter().collect();
        held.extend(expectations(&self));
        let worst = held.iter().map(|held| held.verdict).max();
        let zero = self.zero;
        let notes = self.kept.notes.iter().filter(|note| note.at >= zero);
        let shifted = |note: &Note| Note {
            at: Time(note.at.since(zero).0),
            ..note.clone()
        };
        Run {
            scenario: self.scenario.name.clone(),
            seed,
            verdict: worst.unwrap_or(Verdict::Invalid),
            trace_hash: format!("{:016x}", self.kept.chain.hash()),
            events: self.kept.chain.links(),
            simulated,
            recoveries: recoveries(&self),
            notes: notes.map(shifted).collect(),
            series: series(&self),
            parameters: self.parameters,
            expectations: held,
        }
    }

    /// The reasons for which the run says nothing, as one expectation that did not hold.
    fn validity(&self, warm_up: Span) -> Option<Held> {
        let mut reasons = Vec::new();
        // Caches are cold in the first half.
        let from = Time(self.zero.0 - warm_up.0 / 2);
        for (stats, name) in self.stats.iter().zip(&self.populations) {
            let (ok, ended) = stats.between(from, self.zero);
            if ended == 0 || ok * 100 < ended * 99 {
                reasons.push(format!(
                    "steady state: {ok} of {ended} requests of {name} succeeded before the first \
                     phase, and 99% are needed"
                ));
            }
        }
        for (index, phase) in self.scenario.phases.iter().enumerate() {
            for (number, fault) in phase.faults.iter().enumerate() {
                let is = |one: &Injected| (one.phase, one.fault) == (index, number);
                if !self.injected.iter().any(is) {
                    let name = &phase.name;
                    reasons.push(format!("{:?} of phase {name} hit nobody", fault.verb));
                }
            }
        }
        (!reasons.is_empty()).then(|| Held {
            name: "the run is valid".to_owned(),
            verdict: Verdict::Invalid,
            detail: reasons.join("; "),
            value: None,
            unit: Unit::None,
        })
    }
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
        &[]
    }

    fn quorum(&self) -> &[(Time, u32, u32)] {
        &[]
    }

    fn elections(&self) -> &[Time] {
        &[]
    }

    fn readiness(&self) -> Vec<(Time, String, bool)> {
        Vec::new()
    }

    fn unmeasured(&self, expected: &Expectation) -> Option<String> {
        let why = match expected.measure {
            Measure::Availability | Measure::Recovery => return None,
            Measure::Leaderless
            | Measure::LostWrites
            | Measure::FailedOutsideElections
            | Measure::Voters
            | Measure::Elections => "there is no etcd on the wire",
            Measure::Converged
            | Measure::Replaced
            | Measure::Machines
            | Measure::Crashes
            | Measure::FailedCalls => "there is no orchestrator on the wire",
            Measure::Diagnosed => "`quorate check` says it",
            Measure::PodsMissing => "there are no workloads on the wire",
        };
        Some(why.to_owned())
    }

    fn untried(&self, _phase: &str) -> Option<String> {
        None
    }

    fn world_measure(&self, expected: &Expectation, _from: Time, _to: Time) -> Measured {
        panic!("{:?} is not measured on the wire", expected.measure)
    }
}
