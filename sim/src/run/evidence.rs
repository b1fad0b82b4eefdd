//! What runs are judged by: a simulated world gives it, and so does a real one that is watched.
//!
//! Knows neither. Verdicts, recoveries and costs are functions of this alone, so that a drill on
//! real machines is held to the same word as the simulation.

use super::own;
use super::play::Play;
use crate::outcome::{Track, Unit};
use crate::scenario::{Expectation, Scenario};
use crate::traffic::Stats;
use quorate_engine::time::{Span, Time};
use std::collections::BTreeMap;

/// A fault that began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected {
    /// Index of its phase.
    pub phase: usize,
    /// Its index in the phase.
    pub fault: usize,
    /// Whom or what it hit.
    pub label: String,
    /// Its beginning.
    pub from: Time,
    /// Its end.
    pub to: Time,
}

/// A phase that was played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Played {
    /// Its name.
    pub name: String,
    /// Its beginning.
    pub from: Time,
    /// Its end.
    pub to: Time,
    /// Machines by pool, at its end.
    pub machines: BTreeMap<String, u64>,
    /// Voters of etcd by provider, at its end.
    pub voters: BTreeMap<String, u64>,
    /// Failed calls by provider, at its end.
    pub failed_calls: BTreeMap<String, u64>,
}

/// What was measured: a value with its unit, and what to say beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// None: what was waited for never came about.
    pub value: Option<u64>,
    /// What the value is.
    pub unit: Unit,
    /// For people.
    pub detail: String,
}

impl Measured {
    /// A length of time.
    pub fn ms(span: Span, detail: impl Into<String>) -> Self {
        Self {
            value: Some(span.as_ms()),
            unit: Unit::Ms,
            detail: detail.into(),
        }
    }

    /// A number of things.
    pub fn count(count: u64, detail: impl Into<String>) -> Self {
        Self {
            value: Some(count),
            unit: Unit::Count,
            detail: detail.into(),
        }
    }
}

/// What was measured in a run of a scenario.
pub trait Evidence {
    /// What was played.
    fn scenario(&self) -> &Scenario;
    /// When its first phase began.
    fn zero(&self) -> Time;
    /// Phases, in order.
    fn phases(&self) -> &[Played];
    /// Faults that began, in order.
    fn injected(&self) -> &[Injected];
    /// Names of populations of clients, by number.
    fn populations(&self) -> &[String];
    /// What a population's requests came to.
    fn stats(&self, population: u16) -> &Stats;
    /// Who led etcd with a quorum behind it, from when on; none: nobody.
    fn leader(&self) -> &[(Time, Option<String>)];
    /// Voters and healthy ones, from when on.
    fn quorum(&self) -> &[(Time, u32, u32)];
    /// When leaders were elected.
    fn elections(&self) -> &[Time];
    /// Nodes that became Ready (true) or NotReady (false), in order of time.
    fn readiness(&self) -> Vec<(Time, String, bool)>;
    /// Why an expectation cannot be judged here; none if it can.
    fn unmeasured(&self, expected: &Expectation) -> Option<String>;
    /// Which faults of a phase were not tried, and why; none if all were.
    fn untried(&self, phase: &str) -> Option<String>;
    /// Measures of the world itself: `converged`, `lost-writes`, `replaced`, `crashes`,
    /// `diagnosed` and `pods-missing`, in `[from, to)`. Not asked for what is [`Self::unmeasured`].
    fn world_measure(&self, expected: &Expectation, from: Time, to: Time) -> Measured;
}

impl Evidence for Play<'_> {
    fn scenario(&self) -> &Scenario {
        &self.prepared.scenario
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
        self.world.watch().populations()
    }

    fn stats(&self, population: u16) -> &Stats {
        self.world.traffic().stats(population)
    }

    fn leader(&self) -> &[(Time, Option<String>)] {
        self.world.watch().leader()
    }

    fn quorum(&self) -> &[(Time, u32, u32)] {
        self.world.watch().quorum()
    }

    fn elections(&self) -> &[Time] {
        self.world.watch().elections()
    }

    fn readiness(&self) -> Vec<(Time, String, bool)> {
        let notes = self.world.notes().iter();
        let said = |note: &crate::outcome::Note| {
            let rest = note.text.strip_prefix("node ")?;
            let (node, how) = rest.split_once(' ')?;
            match how {
                "Ready" => Some((note.at, node.to_owned(), true)),
                "NotReady" => Some((note.at, node.to_owned(), false)),
                _ => None,
            }
        };
        notes
            .filter(|note| note.track == Track::Kube)
            .filter_map(said)
            .collect()
    }

    fn unmeasured(&self, _expected: &Expectation) -> Option<String> {
        None
    }

    fn untried(&self, _phase: &str) -> Option<String> {
        None
    }

    fn world_measure(&self, expected: &Expectation, from: Time, to: Time) -> Measured {
        own::of_the_world(self, expected, from, to)
    }
}

/// Stretches in `[from, to)` in which nobody led.
#[must_use]
pub fn leaderless(leader: &[(Time, Option<String>)], from: Time, to: Time) -> Vec<(Time, Time)> {
    let mut gaps = Vec::new();
    for (index, (since, who)) in leader.iter().enumerate() {
        let until = leader.get(index + 1).map_or(to, |(at, _)| *at);
        let (begin, end) = ((*since).max(from), until.min(to));
        if who.is_none() && begin < end {
            gaps.push((begin, end));
        }
    }
    gaps
}

/// Until when what an injected fault did is its own doing: the next fault, or the end of its phase.
pub(super) fn alone_until(evidence: &dyn Evidence, index: usize) -> Time {
    let injected = &evidence.injected()[index];
    let later = evidence.injected()[index + 1..]
        .iter()
        .find(|next| next.from > injected.from);
    let end = evidence.phases().get(injected.phase);
    let end = end.map_or(injected.to, |phase| phase.to);
    later
        .map_or(end, |next| next.from)
        .max(injected.from + Span(1))
}
