//! Phases, faults and changes over time.

use super::Prepared;
use super::clients::population;
use super::evidence::{Injected, Played};
use crate::kube::WorkloadId;
use crate::outcome::{Run, Track};
use crate::scenario::{Asks, Clients, Condition, Fault, FaultVerb, Phase, Start};
use crate::traffic::RequestKind;
use crate::world::{Applied, CrashPoint, Site, World, WorldSettings};
use quorate_engine::engine::Mode;
use quorate_engine::manifest::LbKind;
use quorate_engine::random::{Seed, Stream};
use quorate_engine::time::{Span, Time};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long the orchestrator may take to build the cluster before a scenario that starts with one.
const BUILD_LIMIT: Span = Span::from_secs(4 * 3_600);

/// How long workloads are held back at most until every node is Ready.
const READY_LIMIT: Span = Span::from_secs(600);

/// Clients are watched so long before the first phase: the steady state.
const WARM_UP: Span = Span::from_secs(60);

/// How often a condition is looked at.
const LOOK: Span = Span::from_ms(100);

/// After the last phase, requests under way may end.
const COOL_DOWN: Span = Span::from_secs(30);

/// One run under way.
pub(super) struct Play<'a> {
    pub(super) prepared: &'a Prepared,
    pub(super) seed: u64,
    pub(super) world: World,
    pub(super) zero: Time,
    pub(super) phases: Vec<Played>,
    pub(super) injected: Vec<Injected>,
    /// When something was changed on purpose.
    pub(super) changed: Vec<Time>,
    pub(super) workloads: BTreeMap<String, WorkloadId>,
    /// Why the run says nothing.
    pub(super) invalid: Vec<String>,
    on: Vec<(Applied, usize, Option<Time>)>,
    pub(super) parameters: Vec<(String, String)>,
}

/// What comes next in a phase.
#[derive(Debug, Clone, Copy)]
struct Due {
    at: Time,
    fault: usize,
    nth: u64,
}

impl<'a> Play<'a> {
    pub(super) fn new(prepared: &'a Prepared, seed: u64) -> Self {
        let scenario = &prepared.scenario;
        let settings = WorldSettings {
            manifest: Arc::clone(&prepared.manifest),
            seed: Seed(seed),
            mode: Mode::Keep {
                interval: scenario.orchestrator.interval.0,
            },
            patience: scenario.orchestrator.patience.0,
            restart: scenario.orchestrator.restart.0,
        };
        let mut world = World::new(&settings);
        for known in &scenario.round_trips {
            let [a, b] = &known.between;
            world.measured((a, b), known.rtt.0);
        }
        Self {
            prepared,
            seed,
            world,
            zero: Time::ZERO,
            phases: Vec::new(),
            injected: Vec::new(),
            changed: Vec::new(),
            workloads: BTreeMap::new(),
            invalid: Vec::new(),
            on: Vec::new(),
            parameters: Vec::new(),
        }
    }

    pub(super) fn run(mut self) -> Run {
        self.parameters = self.world.parameters();
        if self.prepared.scenario.start == Start::Built && !self.build() {
            return self.outcome();
        }
        self.find_workloads();
        self.zero = self.world.now();
        if self.prepared.scenario.start == Start::Empty {
            self.plan_crash();
            self.world.start_orchestrator();
        }
        for index in 0..self.prepared.scenario.phases.len() {
            self.phase(index);
        }
        for population in 0..self.populations() {
            self.world.stop_population(population);
        }
        let end = self.world.now() + COOL_DOWN;
        self.world.run(end);
        self.outcome()
    }

    pub(super) fn populations(&self) -> u16 {
        self.world.watch().populations().len() as u16
    }

    /// Lets the orchestrator build the cluster, and clients come to rest.
    fn build(&mut self) -> bool {
        self.world.start_orchestrator();
        let limit = self.world.now() + BUILD_LIMIT;
        self.world
            .run_until(limit, |world| world.converged_at().is_some());
        let Some(built) = self.world.converged_at() else {
            self.invalid
                .push(format!("the cluster was not built within {BUILD_LIMIT}"));
            return false;
        };
        let calls = self.world.journal().len();
        self.parameters.push((
            "built before the first phase".to_owned(),
            format!("in {}, {calls} journal entries", built.since(Time::ZERO)),
        ));
        if !self.prepared.scenario.orchestrator.heals {
            self.world.stop_orchestrator();
        }
        // Whoever deploys waits for the nodes first, or the first of them would get every pod.
        let patience = self.world.now() + READY_LIMIT;
        self.world.run_until(patience, World::nodes_ready);
        self.world.deploy();
        let started = self.world.now() + Span::from_secs(60);
        self.world.run(started);
        self.add_clients();
        // Backends, resolvers and elections settle; then the steady state is watched.
        let watched = self.world.now() + Span::from_secs(30);
        self.world.run(watched);
        let ready = watched + WARM_UP;
        self.world.run(ready);
        self.check_steady(watched, ready);
        self.world.take_notes();
        true
    }

    fn check_steady(&mut self, from: Time, to: Time) {
        for number in 0..self.populations() {
            let (ok, ended) = self.world.traffic().stats(number).between(from, to);
            let name = self.world.watch().population(number);
            if ended == 0 || ok * 100 < ended * 99 {
                self.invalid.push(format!(
                    "steady state: {ok} of {ended} requests of {name} succeeded before the first \
                     phase, and 99% are needed"
                ));
            }
        }
    }

    fn add_clients(&mut self) {
        let scenario = &self.prepared.scenario;
        for clients in &scenario.clients {
            let site = Site {
                name: clients.name.clone(),
                rtt: clients.rtt.0,
                caches: clients.caches,
            };
            let site = self.world.add_site(&site);
            let settings = population(clients, site, self.kind_of(clients));
            match self
                .world
                .add_population(&clients.name, &clients.through, settings)
            {
                Some(number) => self.world.start_population(number),
                None => self
                    .invalid
                    .push(format!("nothing leads to {}", clients.through)),
            }
        }
    }

    fn kind_of(&self, clients: &Clients) -> RequestKind {
        let balancers = &self.prepared.manifest.spec.load_balancers;
        let (balancer, role) = clients.through.split_once('/').unwrap_or_default();
        let role = role.split('@').next().unwrap_or_default();
        let roles = balancers
            .iter()
            .filter(|lb| lb.name == balancer)
            .flat_map(|lb| &lb.roles);
        let api = roles
            .clone()
            .any(|r| r.name == role && r.kind == LbKind::Api);
        match (api, clients.asks) {
            (false, _) => RequestKind::Ingress,
            (true, Asks::Read) => RequestKind::ApiRead,
            (true, Asks::Write) => RequestKind::ApiWrite,
        }
    }

    fn find_workloads(&mut self) {
        for workload in &self.prepared.manifest.spec.workloads {
            if let Some(id) = self.world.kube().workload(&workload.name) {
                self.workloads.insert(workload.name.clone(), id);
            }
        }
    }

    /// A crash whose entry is not given hits another entry with each seed, before or after it is
    /// durable: as many seeds as twice the entries cover them all.
    fn plan_crash(&mut self) {
        let mut faults = self
            .prepared
            .scenario
            .phases
            .iter()
            .flat_map(|phase| &phase.faults);
        let crash = faults
            .find(|fault| fault.verb == FaultVerb::OrchestratorCrash && fault.every.is_none());
        let Some(crash) = crash else { return };
        let durable = self.seed.is_multiple_of(2);
        let entry = crash.entry.unwrap_or_else(|| {
            let entries = self.entries_without_crash().max(1);
            ((self.seed.saturating_sub(1) / 2) % u64::from(entries)) as u32 + 1
        });
        let when = if durable { "after" } else { "before" };
        self.parameters.push((
            "crash".to_owned(),
            format!("{when} entry {entry} is durable"),
        ));
        self.world.crash_at(CrashPoint { entry, durable });
    }

    /// How long the journal gets if nothing dies, under the faults that are on from the start.
    fn entries_without_crash(&self) -> u32 {
        let mut calm = Play::new(self.prepared, self.seed);
        let faults = &self.prepared.scenario.phases[0].faults;
        for (number, fault) in faults.iter().enumerate() {
            let crash = fault.verb == FaultVerb::OrchestratorCrash;
            if !crash && fault.at.0 == Span::ZERO && fault.when.is_none() {
                // One that hits nothing is found out in the run itself.
                let _ = calm.world.begin(fault, &mut calm.target_luck(0, number, 0));
            }
        }
        calm.world.start_orchestrator();
        let limit = calm.world.now() + BUILD_LIMIT;
        calm.world
            .run_until(limit, |world| world.converged_at().is_some());
        calm.world.journal().len() as u32
    }

    fn phase(&mut self, index: usize) {
        let phase = &self.prepared.scenario.phases[index];
        let from = self.world.now();
        let to = from + phase.lasts.0;
        self.world.note(Track::Phase, phase.name.clone());
        let mut due = self.schedule(phase, index, from, to);
        let mut conditional: Vec<usize> = Vec::new();
        for (number, fault) in phase.faults.iter().enumerate() {
            if fault.when.is_some() {
                conditional.push(number);
            }
        }
        let mut changes: Vec<usize> = (0..phase.changes.len()).collect();
        loop {
            let next_due = due.iter().map(|due| due.at).min();
            let next_end = self.on.iter().filter_map(|(_, _, end)| *end).min();
            let next_change = changes.iter().map(|c| from + phase.changes[*c].at.0).min();
            let look = (!conditional.is_empty()).then(|| self.world.now() + LOOK);
            let next = [next_due, next_end, next_change, look]
                .into_iter()
                .flatten()
                .min();
            let next = next.unwrap_or(to).min(to);
            self.world.run(next);
            if next >= to {
                break;
            }
            self.end_due(next);
            self.change(index, next, from, &mut changes);
            self.conditions(phase, &mut conditional, &mut due);
            self.begin_due(index, next, to, &mut due);
        }
        self.end_all(to);
        self.close_phase(phase, from, to);
    }

    /// When each fault of a phase begins; conditional ones come later.
    fn schedule(&self, phase: &Phase, index: usize, from: Time, to: Time) -> Vec<Due> {
        let mut due = Vec::new();
        for (number, fault) in phase.faults.iter().enumerate() {
            if fault.when.is_some() || self.crash_is_planned(fault) {
                continue;
            }
            let mut at = from + fault.at.0;
            let mut nth = 0;
            let mut gaps = Seed(self.seed).stream(&format!("{index}/{number}"), "fault-gaps");
            while at < to {
                due.push(Due {
                    at,
                    fault: number,
                    nth,
                });
                nth += 1;
                let Some(every) = fault.every else { break };
                at += match fault.poisson {
                    true => gaps.exponential(every.0).max(Span::from_ms(1)),
                    false => every.0,
                };
            }
        }
        due
    }

    /// The crash at an entry is set up before the orchestrator starts.
    pub(super) fn crash_is_planned(&self, fault: &Fault) -> bool {
        fault.verb == FaultVerb::OrchestratorCrash
            && fault.every.is_none()
            && self.prepared.scenario.start == Start::Empty
    }

    fn conditions(&mut self, phase: &Phase, conditional: &mut Vec<usize>, due: &mut Vec<Due>) {
        let now = self.world.now();
        let world = &self.world;
        conditional.retain(|number| {
            let fault = &phase.faults[*number];
            let condition = fault.when.unwrap_or(Condition::Converged);
            let holds = world.holds(condition);
            if holds {
                due.push(Due {
                    at: now + fault.at.0,
                    fault: *number,
                    nth: 0,
                });
            }
            !holds
        });
    }

    fn begin_due(&mut self, index: usize, now: Time, to: Time, due: &mut Vec<Due>) {
        let mut begins: Vec<Due> = due.iter().copied().filter(|due| due.at <= now).collect();
        due.retain(|due| due.at > now);
        begins.sort_by_key(|due| (due.at, due.fault));
        for Due {
            fault: number, nth, ..
        } in begins
        {
            let fault = &self.prepared.scenario.phases[index].faults[number];
            let mut luck = self.target_luck(index, number, nth);
            let Ok(applied) = self.world.begin(fault, &mut luck) else {
                continue;
            };
            let end = fault.lasts.map(|lasts| now + lasts.0);
            self.injected.push(Injected {
                phase: index,
                fault: number,
                label: applied.label.clone(),
                from: now,
                to: end.unwrap_or(to).min(to),
            });
            self.on.push((applied, index, end));
        }
    }

    fn target_luck(&self, phase: usize, fault: usize, nth: u64) -> Stream {
        Seed(self.seed).stream(&format!("{phase}/{fault}/{nth}"), "fault-target")
    }

    fn end_due(&mut self, now: Time) {
        let (over, on) = std::mem::take(&mut self.on)
            .into_iter()
            .partition(|(_, _, end)| end.is_some_and(|end| end <= now));
        self.on = on;
        let over: Vec<(Applied, usize, Option<Time>)> = over;
        for (applied, _, _) in over {
            self.world.end(applied);
        }
    }

    fn end_all(&mut self, now: Time) {
        for injected in &mut self.injected {
            injected.to = injected.to.min(now);
        }
        for (applied, _, _) in std::mem::take(&mut self.on) {
            self.world.end(applied);
        }
    }

    fn change(&mut self, index: usize, now: Time, from: Time, changes: &mut Vec<usize>) {
        let phase = &self.prepared.scenario.phases[index];
        let due: Vec<usize> = changes
            .iter()
            .copied()
            .filter(|c| from + phase.changes[*c].at.0 <= now)
            .collect();
        changes.retain(|c| !due.contains(c));
        for number in due {
            self.changed.push(now);
            let change = &phase.changes[number];
            if let Some(path) = &change.apply {
                self.world.note(Track::Fault, format!("apply {path}"));
                self.world.retarget(&self.prepared.others[path]);
            }
            if let Some(scale) = &change.scale {
                let text = format!("scale {} to {} pods", scale.workload, scale.replicas);
                self.world.note(Track::Fault, text);
                self.world.scale(&scale.workload, scale.replicas);
            }
        }
    }

    fn close_phase(&mut self, phase: &Phase, from: Time, to: Time) {
        let played = Played {
            name: phase.name.clone(),
            from,
            to,
            machines: self.world.machines_by_pool(),
            voters: self.world.voters_by_provider(),
            failed_calls: self.world.failed_calls(),
        };
        self.phases.push(played);
        self.find_workloads();
    }
}
