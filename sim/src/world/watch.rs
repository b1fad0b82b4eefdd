//! What is measured during a run, and what must never happen.
//!
//! An observer: it never influences the world. A broken invariant is kept as a value, so that the
//! run ends with a verdict and a timeline instead of a panic.

use super::World;
use super::stage::Stage;
use crate::etcd::Etcd;
use crate::kube::{Counts, WorkloadId};
use crate::outcome::{Note, Track};
use quorate_engine::journal::Entry;
use quorate_engine::quorum::quorum;
use quorate_engine::resource::{Resource, ResourceId};
use quorate_engine::seam::Verb;
use quorate_engine::time::{Span, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// What must always hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// One leader per term, no acknowledged write lost, agreeing committed prefixes.
    Raft,
    /// No change of membership leaves fewer than a quorum healthy.
    Guard,
    /// What exists at providers is desired, and exists once.
    Owned,
    /// Machines of a world that is as desired reach each other over the mesh.
    Mesh,
    /// Every plan is sound, and a world that is as desired plans empty.
    Plan,
}

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// When.
    pub at: Time,
    /// What.
    pub text: String,
}

/// What is measured, and what must never happen and did.
#[derive(Debug, Default)]
pub struct Watch {
    violations: Vec<Violation>,
    /// Who led etcd with a quorum behind it, from when on.
    leader: Vec<(Time, Option<String>)>,
    /// Voters and healthy ones, from when on.
    quorum: Vec<(Time, u32, u32)>,
    elections: Vec<Time>,
    addresses: BTreeMap<ResourceId, Ipv4Addr>,
    /// Machines deleted, and machines made again, by us.
    replaced: Vec<(Time, ResourceId)>,
    made: BTreeSet<ResourceId>,
    balancers: BTreeMap<u16, Arc<Resource>>,
    populations: Vec<String>,
    counts: BTreeMap<WorkloadId, Vec<(Time, Counts)>>,
    said: BTreeSet<String>,
    /// When the orchestrator found nothing to do.
    calm: Vec<Time>,
}

impl Watch {
    /// Broken invariants, in order of time.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Who led etcd with a quorum behind it, from when on; none: nobody.
    #[must_use]
    pub fn leader(&self) -> &[(Time, Option<String>)] {
        &self.leader
    }

    /// Voters and healthy ones, from when on.
    #[must_use]
    pub fn quorum(&self) -> &[(Time, u32, u32)] {
        &self.quorum
    }

    /// When leaders were elected.
    #[must_use]
    pub fn elections(&self) -> &[Time] {
        &self.elections
    }

    /// Machines that the orchestrator deleted, or made a second time, with the instant.
    #[must_use]
    pub fn replaced(&self) -> &[(Time, ResourceId)] {
        &self.replaced
    }

    /// Numbers of a workload's pods, from when on.
    #[must_use]
    pub fn pods(&self, workload: WorkloadId) -> &[(Time, Counts)] {
        self.counts.get(&workload).map_or(&[], Vec::as_slice)
    }

    /// Stretches in `[from, to)` in which nobody led.
    #[must_use]
    pub fn leaderless(&self, from: Time, to: Time) -> Vec<(Time, Time)> {
        let mut gaps = Vec::new();
        for (index, (since, leader)) in self.leader.iter().enumerate() {
            let until = self.leader.get(index + 1).map_or(to, |(at, _)| *at);
            let (begin, end) = ((*since).max(from), until.min(to));
            if leader.is_none() && begin < end {
                gaps.push((begin, end));
            }
        }
        gaps
    }

    /// The longest time in `[from, to)` without a leader.
    #[must_use]
    pub fn longest_leaderless(&self, from: Time, to: Time) -> Span {
        let gaps = self.leaderless(from, to);
        gaps.into_iter()
            .map(|(begin, end)| end.since(begin))
            .max()
            .unwrap_or_default()
    }

    pub(super) fn violated(&mut self, invariant: Invariant, at: Time, text: impl Into<String>) {
        let violation = Violation {
            invariant,
            at,
            text: text.into(),
        };
        if !self
            .violations
            .iter()
            .any(|known| known.text == violation.text)
        {
            self.violations.push(violation);
        }
    }

    /// When the orchestrator first found nothing to do at or after this instant.
    #[must_use]
    pub fn calm_after(&self, at: Time) -> Option<Time> {
        let next = self.calm.partition_point(|calm| *calm < at);
        self.calm.get(next).copied()
    }

    pub(super) fn calm_at(&mut self, at: Time) {
        self.calm.push(at);
    }

    pub(super) fn elected_at(&mut self, at: Time) {
        self.elections.push(at);
    }

    pub(super) fn up(&mut self, machine: &ResourceId, address: Ipv4Addr) {
        self.addresses.insert(machine.clone(), address);
    }

    pub(super) fn address_of(&self, machine: &ResourceId) -> Option<Ipv4Addr> {
        self.addresses.get(machine).copied()
    }

    pub(super) fn balancer(&mut self, host: u16, resource: &Arc<Resource>) {
        self.balancers.insert(host, Arc::clone(resource));
    }

    pub(super) fn balancers(&self) -> Vec<(u16, Arc<Resource>)> {
        self.balancers
            .iter()
            .map(|(host, resource)| (*host, Arc::clone(resource)))
            .collect()
    }

    pub(super) fn add_population(&mut self, name: &str) {
        self.populations.push(name.to_owned());
    }

    /// The name of a population.
    #[must_use]
    pub fn population(&self, number: u16) -> &str {
        self.populations
            .get(usize::from(number))
            .map_or("?", String::as_str)
    }

    /// Names of all populations, by number.
    #[must_use]
    pub fn populations(&self) -> &[String] {
        &self.populations
    }

    pub(super) fn counts(&mut self, at: Time, workload: WorkloadId, counts: Counts) {
        self.counts.entry(workload).or_default().push((at, counts));
    }

    /// An entry of the journal is durable: what it says of machines is counted.
    pub(super) fn recorded(&mut self, at: Time, entry: &Entry) {
        let Entry::Finished {
            resource,
            verb,
            outcome: Ok(()),
            ..
        } = entry
        else {
            return;
        };
        if *resource != resource.machine() || resource.as_str().matches('/').count() != 2 {
            return;
        }
        let shared = resource
            .as_str()
            .split('/')
            .nth(1)
            .is_some_and(|part| part.contains('.'));
        let replaced = match verb {
            _ if shared => false,
            Verb::Delete => true,
            Verb::Create => !self.made.insert(resource.clone()),
            _ => false,
        };
        if replaced {
            self.replaced.push((at, resource.clone()));
        }
    }

    /// Says something the first time only.
    pub(super) fn say_once(&mut self, stage: &mut Stage, track: Track, text: String) {
        if self.said.insert(text.clone()) {
            stage.note(track, text);
        }
    }

    /// From now on everything may be said again.
    pub(super) fn forget_said(&mut self) {
        self.said.clear();
    }
}

impl World {
    /// Looks who leads etcd and with whom, and keeps what changed.
    pub(super) fn look_at_etcd(&mut self) {
        let Some(etcd) = &self.etcd else { return };
        let now = self.stage.now();
        let voters = etcd.config().voters;
        // A leader that a quorum follows and is connected with: it can commit.
        let leader = etcd.leader().filter(|leader| {
            let follows = |m: &crate::etcd::MemberId| {
                let near = m == leader || etcd.linked(*leader, *m, now);
                near && etcd.status(*m).leader == Some(*leader)
            };
            voters.filter(follows).count() as u32 >= quorum(voters.len() as u32)
        });
        let label = leader.map(|leader| self.stage.label(self.stage.host_of(leader)).to_owned());
        let healthy = healthy_voters(etcd, leader, now);
        if self.watch.leader.last().map(|(_, known)| known) != Some(&label) {
            self.watch.leader.push((now, label));
        }
        let quorum = (now, voters.len() as u32, healthy);
        let known = self
            .watch
            .quorum
            .last()
            .map(|(_, voters, healthy)| (*voters, *healthy));
        if known != Some((quorum.1, quorum.2)) {
            self.watch.quorum.push(quorum);
        }
    }

    pub(super) fn elected(&mut self) {
        let now = self.stage.now();
        self.watch.elected_at(now);
    }

    /// Keeps a note of the world's own, for whoever drives it.
    pub fn note(&mut self, track: Track, text: impl Into<String>) {
        self.stage.note(track, text);
    }

    /// Takes the timeline out.
    pub fn take_notes(&mut self) -> Vec<Note> {
        self.watch.forget_said();
        std::mem::take(&mut self.stage.notes)
    }
}

/// Voters that run and are connected with the leader; those that run, where nobody leads.
fn healthy_voters(etcd: &Etcd, leader: Option<crate::etcd::MemberId>, now: Time) -> u32 {
    let runs = |m: crate::etcd::MemberId| {
        let status = etcd.status(m);
        status.running && !status.paused
    };
    let near = |m: crate::etcd::MemberId| {
        leader.is_none_or(|leader| m == leader || etcd.linked(leader, m, now))
    };
    etcd.config()
        .voters
        .filter(|m| runs(*m) && near(*m))
        .count() as u32
}
