//! Traffic: clients, their resolvers, DNS round robin, load balancers and backends.
//!
//! A request looks a name up, connects to one address after the other, is carried to a backend and
//! comes back. Each part is a state machine in virtual time; the surroundings (network, machines,
//! the service itself) come through [`Ground`]. Knows nothing of clouds, etcd or Kubernetes.
//!
//! ```text
//! clients ── resolver ── name servers        checks: name servers ── load balancer ── backend
//!    └────── load balancer ── backend
//! ```

mod backend;
pub mod balancer;
mod checks;
pub mod clients;
pub mod connect;
pub mod dns;
mod flow;
pub mod ground;
mod journey;
pub mod resolver;
pub mod stats;
#[cfg(test)]
mod tests;

pub use balancer::ForwardSettings;
pub use clients::{Arrivals, PopulationSettings, Target};
pub use connect::{HappyEyeballs, Os};
pub use dns::{DnsProbe, RecordSettings};
pub use ground::{
    AddressRef, BackendRef, End, Ground, Health, Path, Probe, Request, RequestId, RequestKind,
    Served, Service, TrafficEvent, TrafficNote,
};
pub use resolver::ResolverSettings;
pub use stats::{Cause, Failed, Outage, Second, Stats};

use balancer::Balancers;
use clients::Population;
use dns::Dns;
use journey::Journey;
use quorate_engine::random::Seed;
use quorate_engine::time::Span;
use resolver::Resolvers;

/// What stands between clients and backends.
#[derive(Debug)]
pub(crate) struct Entry {
    dns: Dns,
    resolvers: Resolvers,
    balancers: Balancers,
    /// The world may change without telling.
    watchful: bool,
    /// Grows with each change that the world has told of.
    version: u32,
}

/// All traffic of a run.
#[derive(Debug)]
pub struct Traffic {
    seed: Seed,
    entry: Entry,
    populations: Vec<Population>,
    journeys: Vec<Journey>,
    free: Vec<u32>,
}

impl Traffic {
    /// No traffic yet. It is watchful: see [`Self::set_watchful`].
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self {
            seed,
            entry: Entry {
                dns: Dns::new(seed),
                resolvers: Resolvers::default(),
                balancers: Balancers::default(),
                watchful: true,
                version: 0,
            },
            populations: Vec::new(),
            journeys: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Adds a group of resolvers with cold caches; returns its number, from 0.
    pub fn add_resolvers(&mut self, settings: ResolverSettings) -> u16 {
        self.entry.resolvers.add(self.seed, settings)
    }

    /// Adds a record set that answers at once; returns its number, from 0.
    ///
    /// # Panics
    /// If there are more than [`dns::MAX_ADDRESSES`] addresses.
    pub fn add_record(
        &mut self,
        ground: &mut impl Ground,
        settings: RecordSettings,
        hosts: &[u16],
    ) -> u16 {
        self.entry.dns.add(ground, settings, hosts)
    }

    /// Gives a record set these load balancers as addresses, after its publish delay and while its
    /// provider's control plane is up. New addresses count as healthy.
    ///
    /// # Panics
    /// If there are more than [`dns::MAX_ADDRESSES`] addresses.
    pub fn set_record(&mut self, ground: &mut impl Ground, record: u16, hosts: &[u16]) {
        self.entry.dns.set(ground, record, hosts);
    }

    /// The addresses that name servers give out now.
    #[must_use]
    pub fn published(&self, record: u16) -> Vec<u16> {
        self.entry.dns.published(record).0.hosts().to_vec()
    }

    /// The planes of a DNS provider: `control` changes records, `data` answers queries.
    pub fn set_dns_planes(
        &mut self,
        ground: &mut impl Ground,
        provider: u16,
        control: bool,
        data: bool,
    ) {
        self.entry.dns.set_planes(ground, provider, control, data);
    }

    /// The name servers of a provider stand still, and keep what they are asked; or they go on.
    pub fn set_names_still(&mut self, provider: u16, still: bool) {
        self.entry.dns.set_still(provider, still);
    }

    /// A load balancer forwards a role, or forwards it differently from now on.
    pub fn set_forward(&mut self, balancer: u16, role: u16, settings: ForwardSettings) {
        self.entry.balancers.set_forward(balancer, role, settings);
    }

    /// Makes these the backends of a role. Those that leave get nothing new and keep what they
    /// have; new ones get connections at once, and their first check within an interval.
    ///
    /// # Panics
    /// If the role is not forwarded there.
    pub fn set_backends(
        &mut self,
        ground: &mut impl Ground,
        balancer: u16,
        role: u16,
        hosts: &[u16],
    ) {
        let balancers = &mut self.entry.balancers;
        let new = balancers.set_backends(balancer, role, hosts);
        for at in new {
            let key = [at.balancer, at.role, at.slot, at.serial];
            let key = key.iter().fold(0, |key, part| key << 16 | u64::from(*part));
            let mut stream = self.seed.stream_of(key, "traffic-check-phase");
            let forward = balancers.forward(balancer, role);
            let interval = forward.map_or(Span::ZERO, |forward| forward.settings.interval);
            let phase = Span(stream.below(interval.0));
            ground.after(phase, TrafficEvent::Check(at));
        }
    }

    /// Whether a load balancer has a backend of a role that it holds for up.
    #[must_use]
    pub fn has_live_backend(&self, balancer: u16, role: u16) -> bool {
        self.entry.balancers.has_live(balancer, role)
    }

    /// Takes a load balancer's configuration away. Its process is the world's to stop.
    pub fn remove_balancer(&mut self, balancer: u16) {
        self.entry.balancers.remove(balancer);
    }

    /// Adds clients, at rest; returns their number, from 0.
    ///
    /// # Panics
    /// If the interval is zero or no system has a weight.
    pub fn add_population(&mut self, settings: PopulationSettings) -> u16 {
        let number = self.populations.len() as u16;
        self.populations
            .push(Population::new(self.seed, number, settings));
        number
    }

    /// Clients begin to send requests. Without effect while they do.
    pub fn start(&mut self, ground: &mut impl Ground, population: u16) {
        let clients = &mut self.populations[usize::from(population)];
        if !clients.is_running() {
            clients.start = clients.start.wrapping_add(1);
            let start = clients.start;
            ground.after(
                clients.next_gap(),
                TrafficEvent::Arrival { population, start },
            );
        }
    }

    /// Clients begin no more requests; those under way go on.
    pub fn stop(&mut self, population: u16) {
        let clients = &mut self.populations[usize::from(population)];
        if clients.is_running() {
            clients.start = clients.start.wrapping_add(1);
        }
    }

    /// What a population was added with.
    #[must_use]
    pub fn population(&self, population: u16) -> &PopulationSettings {
        &self.populations[usize::from(population)].settings
    }

    /// What a population's requests came to.
    #[must_use]
    pub fn stats(&self, population: u16) -> &Stats {
        &self.populations[usize::from(population)].stats
    }

    /// Asks all populations to remember when service is there again, seen from now:
    /// [`Stats::first_success_after`].
    pub fn mark(&mut self, ground: &impl Ground) {
        for clients in &mut self.populations {
            clients.stats.mark(ground.now());
        }
    }

    /// How many requests are under way.
    #[must_use]
    pub fn open_requests(&self) -> usize {
        self.journeys.len() - self.free.len()
    }

    /// Whether the world may change without telling. With `false` the world promises to call
    /// [`Self::changed`] at each change of a path, a process or a health; checks that could only
    /// confirm then rest, and an answer's way back is not looked at again.
    pub fn set_watchful(&mut self, ground: &mut impl Ground, watchful: bool) {
        self.entry.watchful = watchful;
        self.changed(ground);
    }

    /// A path, a process or a health has changed.
    pub fn changed(&mut self, ground: &mut impl Ground) {
        self.entry.version = self.entry.version.wrapping_add(1);
        self.entry.balancers.wake_checks(ground);
    }

    /// A machine has lost its state (power, reboot, deletion): connections through it meet silence,
    /// and a reset once it is back. Tells of a change, too.
    pub fn host_lost(&mut self, ground: &mut impl Ground, host: u16) {
        for journey in self.journeys.iter_mut().filter(|journey| journey.is_open) {
            journey.host_lost(host);
        }
        for clients in &mut self.populations {
            for line in clients.lines.iter_mut().flatten() {
                line.doomed |= line.balancer == host || line.backend == host;
            }
        }
        self.changed(ground);
    }

    /// A process of a machine that runs has died, a load balancer or what is behind one: its kernel
    /// resets the connections that it had. Tells of a change, too.
    pub fn process_died(&mut self, ground: &mut impl Ground, host: u16) {
        for slot in 0..self.journeys.len() {
            let journey = &self.journeys[slot];
            if !journey.is_open || !journey.is_carried_by(host) {
                continue;
            }
            let settings = &self.populations[usize::from(journey.population)].settings;
            let ends = (End::Host(journey.balancer()), End::Client(settings.site));
            if matches!(ground.path(ends.0, ends.1), Path::Open { .. }) {
                self.finish(ground, slot as u32, Err(Cause::Reset));
            }
        }
        // What was kept open, and what hears of it later.
        self.host_lost(ground, host);
    }

    /// A load balancer's process has begun anew: it believes in every backend until a check fails.
    pub fn balancer_restarted(&mut self, balancer: u16) {
        self.entry.balancers.restarted(balancer);
    }

    /// The answer to a request that [`Ground::serve`] wanted to answer later. False if its client
    /// has gone: the answer reaches nobody.
    pub fn served(&mut self, ground: &mut impl Ground, request: RequestId, ok: bool) -> bool {
        let journey = &mut self.journeys[request.slot as usize];
        if !journey.is_open || journey.id != request {
            return false;
        }
        let Some(after) = journey.served(ok) else {
            return false;
        };
        if ground.now() + after < journey.deadline {
            ground.after(after, TrafficEvent::Wake { request });
        }
        true
    }

    /// A timer is due.
    pub fn handle<G: Ground>(&mut self, ground: &mut G, event: TrafficEvent) {
        match event {
            TrafficEvent::Arrival { population, start } => self.arrive(ground, population, start),
            TrafficEvent::Deadline { population } => self.expire(ground, population),
            TrafficEvent::Wake { request } => {
                let journey = &self.journeys[request.slot as usize];
                if journey.is_open && journey.id == request {
                    self.advance(ground, request.slot);
                }
            }
            TrafficEvent::Check(at) => {
                let restful = !self.entry.watchful;
                let fell = self.entry.balancers.check(ground, at, restful);
                self.after_fall(ground, at, fell);
            }
            TrafficEvent::Checked { backend, silent } => {
                let fell = self.entry.balancers.checked(ground, backend, silent);
                self.after_fall(ground, backend, fell);
            }
            TrafficEvent::DnsCheck(at) => {
                let Entry { dns, balancers, .. } = &mut self.entry;
                dns.check(ground, balancers, at);
            }
            TrafficEvent::DnsChecked { address, ok } => self.entry.dns.checked(ground, address, ok),
            TrafficEvent::DnsPublish { record } => self.entry.dns.publish(ground, record),
        }
    }
}
