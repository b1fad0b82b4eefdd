//! A run: hosts are set up, phases follow each other, faults hold links and end hosts.
//!
//! A link that is cut is *held*, never partitioned: turmoil refuses a connection over a partition at
//! once, where a real one falls silent. What was held is delivered when the link is released, as
//! what was sent again would be.

use crate::balancer::{self, Live};
use crate::cast::{Cast, label};
use crate::client::{self, Population};
use crate::journal::Journal;
use crate::record::Record;
use crate::resolver::Resolvers;
use crate::server;
use hickory_proto::rr::Name;
use quorate_engine::random::{Seed, Stream};
use quorate_engine::resource::ResourceId;
use quorate_engine::time::{Span, Time};
use quorate_sim::outcome::{Run, Track};
use quorate_sim::run::{Injected, Played};
use quorate_sim::scenario::{Fault, FaultVerb, OperatingSystem, Scenario};
use quorate_sim::traffic::Os;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use turmoil::Sim;

/// How often hosts take turns. Messages arrive at the beginning of a turn.
const TICK: Duration = Duration::from_millis(10);

/// Clients are watched so long before the first phase.
const WARM_UP: Span = Span::from_secs(60);

/// One way between machines of neighbouring regions: half of what is measured between clouds in
/// Frankfurt and Paris.
const ONE_WAY: Duration = Duration::from_millis(5);

/// Segments and connections that may wait at a socket. What a cut held back arrives at once when it
/// heals, and turmoil ends with a panic where there is no room for it.
const HELD: usize = 1 << 20;

/// When every run begins: 2026-01-01.
const EPOCH: Duration = Duration::from_secs(1_767_225_600);

#[expect(
    clippy::disallowed_types,
    reason = "hosts' clocks begin there; nobody asks the system's"
)]
fn epoch() -> std::time::SystemTime {
    std::time::SystemTime::UNIX_EPOCH + EPOCH
}

/// What a fault did, to be undone.
#[derive(Debug, Default)]
struct Applied {
    label: String,
    cut: Vec<(IpAddr, IpAddr)>,
    down: Vec<IpAddr>,
    /// Machines that serve nobody, hosts or not.
    dead: Vec<ResourceId>,
    for_good: bool,
}

/// A run under way.
pub(crate) struct Play<'a> {
    scenario: &'a Arc<Scenario>,
    cast: &'a Cast,
    seed: Seed,
    sim: Sim<'static>,
    journal: Journal,
    /// By service.
    live: Vec<Live>,
    cut: BTreeMap<(IpAddr, IpAddr), u32>,
    down: BTreeMap<IpAddr, u32>,
    dead: BTreeMap<ResourceId, u32>,
    on: Vec<(Applied, Option<Time>)>,
    phases: Vec<Played>,
    injected: Vec<Injected>,
}

impl<'a> Play<'a> {
    pub(crate) fn new(scenario: &'a Arc<Scenario>, cast: &'a Cast, seed: u64) -> Self {
        let sim = turmoil::Builder::new()
            .rng_seed(seed)
            .epoch(epoch())
            .tick_duration(TICK)
            .min_message_latency(ONE_WAY)
            .max_message_latency(ONE_WAY)
            .simulation_duration(Duration::MAX)
            .tcp_capacity(HELD)
            .udp_capacity(HELD)
            .build();
        let live = |_| Arc::new(AtomicBool::new(true));
        let mut play = Self {
            scenario,
            cast,
            seed: Seed(seed),
            sim,
            journal: Journal::default(),
            live: cast.services.iter().map(live).collect(),
            cut: BTreeMap::new(),
            down: BTreeMap::new(),
            dead: BTreeMap::new(),
            on: Vec::new(),
            phases: Vec::new(),
            injected: Vec::new(),
        };
        play.servers();
        play.balancers();
        play.clients();
        play.distances();
        play
    }

    fn servers(&mut self) {
        let labels = Arc::new(self.cast.labels());
        for server in &self.cast.servers {
            let file = self.cast.files[&server.provider].clone();
            let seed = self.seed.stream(&server.name, "name-server").bits();
            let (name, labels) = (server.name.clone(), Arc::clone(&labels));
            let journal = self.journal.clone();
            self.sim.host(server.at, move || {
                let (name, file) = (name.clone(), file.clone());
                server::stand(name, file, seed, Arc::clone(&labels), journal.clone())
            });
        }
    }

    fn balancers(&mut self) {
        for balancer in &self.cast.balancers {
            let port = |role: &usize| {
                let port = self.cast.services[*role].port;
                (port, Arc::clone(&self.live[*role]))
            };
            let ports: Vec<(u16, Live)> = balancer.roles.iter().map(port).collect();
            self.sim
                .host(balancer.at, move || balancer::stand(ports.clone()));
        }
    }

    fn clients(&mut self) {
        let scenario = Arc::clone(self.scenario);
        let phases: Span = scenario
            .phases
            .iter()
            .fold(WARM_UP, |sum, phase| sum + phase.lasts.0);
        for (index, (clients, guests)) in scenario.clients.iter().zip(&self.cast.guests).enumerate()
        {
            let weight = |(system, share): (&OperatingSystem, &quorate_engine::units::Percent)| {
                (os(*system), share.0)
            };
            let mut systems: Vec<(Os, u64)> = clients.systems.iter().map(weight).collect();
            if systems.is_empty() {
                systems.push((Os::Linux, 1));
            }
            let population = Arc::new(Population {
                index,
                name: clients.name.clone(),
                port: self.cast.services[guests.service].port,
                interval: Span(Span::from_secs(1_000).0 / clients.rate.0.max(1)),
                systems,
                connect_timeout: clients.connect_timeout.map(|timeout| timeout.0),
                timeout: clients.timeout.0,
                until: phases,
            });
            let servers = self
                .cast
                .servers
                .iter()
                .filter(|s| s.provider == guests.provider);
            let servers: Vec<SocketAddr> = servers
                .map(|s| SocketAddr::from((s.at, server::PORT)))
                .collect();
            let name = Name::from_ascii(&guests.hostname).expect("a manifest's names are names");
            let (seed, journal) = (self.seed, self.journal.clone());
            self.sim.host(guests.at, move || {
                let of = (name.clone(), servers.clone());
                let resolvers = Resolvers::new(seed, &population.name, of.0, of.1, journal.clone());
                client::stand(Arc::clone(&population), resolvers, seed, journal.clone())
            });
        }
    }

    /// How far clients are from everybody else.
    fn distances(&self) {
        for (clients, guests) in self.scenario.clients.iter().zip(&self.cast.guests) {
            let here = IpAddr::V4(guests.at);
            let one_way = Duration::from_nanos(clients.rtt.0.0 / 2);
            for other in self.others(&[here]) {
                self.sim.set_link_latency(here, other, one_way);
            }
        }
    }

    pub(crate) fn run(mut self) -> Run {
        self.until(Time::ZERO + WARM_UP);
        let zero = self.now();
        for index in 0..self.scenario.phases.len() {
            self.phase(index);
        }
        let patience = self
            .scenario
            .clients
            .iter()
            .map(|clients| clients.timeout.0)
            .max();
        let end = self.now() + patience.unwrap_or_default() + Span::from_secs(1);
        self.until(end);
        let simulated = Span(self.now().0);
        let kept = std::mem::take(&mut *self.journal.kept());
        let record = Record::new(
            self.scenario,
            self.cast,
            zero,
            kept,
            self.phases,
            self.injected,
        );
        record.run(self.seed.0, simulated, WARM_UP, TICK)
    }

    fn now(&self) -> Time {
        Time(self.sim.elapsed().as_nanos() as u64)
    }

    fn until(&mut self, end: Time) {
        while self.now() < end {
            let stepped = self.sim.step();
            stepped.unwrap_or_else(|error| panic!("a host ended by itself: {error}"));
        }
    }

    fn phase(&mut self, index: usize) {
        let scenario = Arc::clone(self.scenario);
        let phase = &scenario.phases[index];
        let from = self.now();
        let to = from + phase.lasts.0;
        self.journal.note(from, Track::Phase, phase.name.clone());
        let mut due: Vec<usize> = (0..phase.faults.len()).collect();
        loop {
            let begins = due.iter().map(|fault| from + phase.faults[*fault].at.0);
            let ends = self.on.iter().filter_map(|(_, end)| *end);
            let next = begins.chain(ends).min().unwrap_or(to).min(to);
            self.until(next);
            if next >= to {
                break;
            }
            self.end(|end| end.is_some_and(|end| end <= next));
            let (now, later) = due
                .into_iter()
                .partition(|fault: &usize| from + phase.faults[*fault].at.0 <= next);
            due = later;
            let now: Vec<usize> = now;
            for number in now {
                self.begin(index, number, to);
            }
        }
        self.end(|_| true);
        self.phases.push(Played {
            name: phase.name.clone(),
            from,
            to,
            machines: BTreeMap::new(),
            voters: BTreeMap::new(),
            failed_calls: BTreeMap::new(),
        });
    }

    fn begin(&mut self, index: usize, number: usize, to: Time) {
        let scenario = Arc::clone(self.scenario);
        let fault = &scenario.phases[index].faults[number];
        // The model draws from the same stream: the same seed hits the same machine.
        let mut luck = self
            .seed
            .stream(&format!("{index}/{number}/0"), "fault-target");
        let Some(applied) = self.means(fault, &mut luck) else {
            return;
        };
        let now = self.now();
        for (one, other) in &applied.cut {
            let count = self.cut.entry((*one, *other)).or_default();
            if *count == 0 {
                self.sim.hold(*one, *other);
            }
            *count += 1;
        }
        for host in &applied.down {
            let count = self.down.entry(*host).or_default();
            if *count == 0 {
                self.sim.crash(*host);
            }
            *count += 1;
        }
        for machine in &applied.dead {
            *self.dead.entry(machine.clone()).or_default() += 1;
        }
        self.look_behind();
        self.journal.note(now, Track::Fault, applied.label.clone());
        let end = fault.lasts.map(|lasts| now + lasts.0);
        self.injected.push(Injected {
            phase: index,
            fault: number,
            label: applied.label.clone(),
            from: now,
            to: end.unwrap_or(to).min(to),
        });
        self.on.push((applied, end));
    }

    /// What a fault does; none if it hits nobody.
    fn means(&self, fault: &Fault, luck: &mut Stream) -> Option<Applied> {
        let target = fault.target.clone().unwrap_or_default();
        if fault.verb == FaultVerb::DnsOutage {
            let servers = self.cast.pick_servers(&target, luck);
            let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
            return (!servers.is_empty()).then(|| Applied {
                label: format!("{}: answers no queries", names.join(", ")),
                down: servers.iter().map(|server| IpAddr::V4(server.at)).collect(),
                ..Applied::default()
            });
        }
        let machines = self.cast.pick(&target, luck);
        let names: Vec<&str> = machines.iter().map(|node| label(&node.id)).collect();
        let dead: Vec<ResourceId> = machines.iter().map(|node| node.id.clone()).collect();
        let hit = self
            .cast
            .balancers
            .iter()
            .filter(|known| dead.contains(&known.id));
        let hosts: Vec<IpAddr> = hit.map(|known| IpAddr::V4(known.at)).collect();
        let others = self.others(&hosts);
        let pairs = hosts
            .iter()
            .flat_map(|one| others.iter().map(|other| (*one, *other)));
        let (what, ends) = match fault.verb {
            FaultVerb::NodeKill => ("power cut", true),
            FaultVerb::NodeDestroy => ("destroyed", true),
            FaultVerb::NodePause => ("paused", false),
            FaultVerb::ProviderOutage => ("provider outage", false),
            FaultVerb::Partition => ("cut off", false),
            other => panic!("{other:?} is refused before"),
        };
        (!machines.is_empty()).then(|| Applied {
            label: format!("{}: {what}", names.join(", ")),
            cut: pairs.collect(),
            down: if ends { hosts.clone() } else { Vec::new() },
            for_good: fault.verb == FaultVerb::NodeDestroy,
            dead,
        })
    }

    /// All hosts but these.
    fn others(&self, hosts: &[IpAddr]) -> Vec<IpAddr> {
        let servers = self.cast.servers.iter().map(|server| server.at);
        let balancers = self.cast.balancers.iter().map(|balancer| balancer.at);
        let guests = self.cast.guests.iter().map(|guests| guests.at);
        let all = servers.chain(balancers).chain(guests).map(IpAddr::V4);
        all.filter(|host| !hosts.contains(host)).collect()
    }

    fn end(&mut self, is_over: impl Fn(Option<Time>) -> bool) {
        let now = self.now();
        for (applied, end) in std::mem::take(&mut self.on) {
            if !is_over(end) {
                self.on.push((applied, end));
                continue;
            }
            if applied.for_good {
                continue;
            }
            for pair in &applied.cut {
                if fewer(&mut self.cut, pair) {
                    self.sim.release(pair.0, pair.1);
                }
            }
            for host in &applied.down {
                if fewer(&mut self.down, host) {
                    self.sim.bounce(*host);
                }
            }
            for machine in &applied.dead {
                fewer(&mut self.dead, machine);
            }
            self.look_behind();
            self.journal
                .note(now, Track::Fault, format!("{}: over", applied.label));
        }
    }

    /// Whether each service has a backend left.
    fn look_behind(&self) {
        for (service, live) in self.cast.services.iter().zip(&self.live) {
            let mut backends = service.backends.iter();
            let left = backends.any(|backend| !self.dead.contains_key(backend));
            live.store(left, Ordering::Relaxed);
        }
    }
}

/// One reason less. True where none is left.
fn fewer<K: Ord>(counts: &mut BTreeMap<K, u32>, key: &K) -> bool {
    let count = counts.get_mut(key).expect("what ends has begun");
    *count -= 1;
    let none = *count == 0;
    if none {
        counts.remove(key);
    }
    none
}

fn os(system: OperatingSystem) -> Os {
    match system {
        OperatingSystem::Linux => Os::Linux,
        OperatingSystem::LinuxOld => Os::LinuxOld,
        OperatingSystem::Windows => Os::Windows,
        OperatingSystem::Macos => Os::Macos,
        OperatingSystem::Ios => Os::Ios,
        OperatingSystem::Android => Os::Android,
    }
}
