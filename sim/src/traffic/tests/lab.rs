//! A small world for the tests: machines, paths, an etcd that can lose its leader.

use crate::kernel::Queue;
use crate::traffic::*;
use quorate_engine::time::{Span, Time};
use std::collections::BTreeSet;

/// From a client to a machine, one way.
pub(super) const CLIENT_MS: u64 = 2;
/// Between machines, one way.
pub(super) const HOST_MS: u64 = 1;
/// What a read takes at its backend; a write takes twice that.
pub(super) const SERVE_MS: u64 = 5;

#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    Traffic(TrafficEvent),
    Served(RequestId),
}

/// When etcd loses its leader, notices, and has a new one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Election {
    pub(super) lost: Time,
    pub(super) noticed: Time,
    pub(super) elected: Time,
}

#[derive(Default)]
pub(super) struct World {
    pub(super) queue: Queue<Event>,
    pub(super) cut: BTreeSet<(End, End)>,
    pub(super) off: BTreeSet<u16>,
    pub(super) stopped: BTreeSet<(u16, Service)>,
    pub(super) unready: BTreeSet<u16>,
    pub(super) election: Option<Election>,
    pub(super) fails: bool,
    pub(super) notes: Vec<(Time, TrafficNote)>,
    pub(super) served_by: Vec<u16>,
}

impl World {
    fn is_off(&self, end: End) -> bool {
        match end {
            End::Host(host) => self.off.contains(&host),
            End::Client(_) | End::DnsProvider(_) => false,
        }
    }

    fn write(&mut self, id: RequestId) -> Served {
        let now = self.queue.now();
        let takes = Span::from_ms(2 * SERVE_MS);
        let at = match self.election {
            // Forwarded to a leader that is no more: nobody answers.
            Some(e) if now >= e.lost && now < e.noticed => return Served::Later,
            Some(e) if now >= e.noticed && now < e.elected => e.elected + takes,
            Some(_) | None => now + takes,
        };
        self.queue.at(at, Event::Served(id));
        Served::Later
    }
}

impl Ground for World {
    fn now(&self) -> Time {
        self.queue.now()
    }

    fn after(&mut self, delay: Span, event: TrafficEvent) {
        self.queue.after(delay, Event::Traffic(event));
    }

    fn path(&mut self, from: End, to: End) -> Path {
        if self.cut.contains(&(from, to)) || self.is_off(from) || self.is_off(to) {
            return Path::Blackhole;
        }
        let ms = match (from, to) {
            (End::Host(_), End::Host(_)) => HOST_MS,
            _ => CLIENT_MS,
        };
        Path::Open {
            one_way: Span::from_ms(ms),
        }
    }

    fn listens(&self, host: u16, what: Service) -> bool {
        !self.off.contains(&host) && !self.stopped.contains(&(host, what))
    }

    fn health(&self, host: u16, _: Service, probe: Probe) -> Health {
        let now = self.queue.now();
        let leaderless = self
            .election
            .is_some_and(|e| now >= e.lost && now < e.elected);
        if self.unready.contains(&host) && probe != Probe::Connect {
            Health::Unready
        } else if leaderless && probe == Probe::Ready {
            Health::Silent
        } else {
            Health::Ready
        }
    }

    fn serve(&mut self, request: Request, host: u16) -> Served {
        assert!(!self.off.contains(&host), "a machine that is off serves");
        self.served_by.push(host);
        match request.kind {
            RequestKind::ApiWrite => self.write(request.id),
            _ if self.fails => Served::Fails(Span::from_ms(SERVE_MS)),
            RequestKind::ApiRead | RequestKind::Ingress => Served::After(Span::from_ms(SERVE_MS)),
        }
    }

    fn note(&mut self, note: TrafficNote) {
        self.notes.push((self.queue.now(), note));
    }
}

pub(super) struct Lab {
    pub(super) traffic: Traffic,
    pub(super) ground: World,
}

pub(super) fn secs(s: u64) -> Span {
    Span::from_secs(s)
}

pub(super) fn ms(ms: u64) -> Span {
    Span::from_ms(ms)
}

/// The load balancers of the lab.
pub(super) const BALANCERS: [u16; 3] = [1, 2, 3];
/// The backends of the lab.
pub(super) const BACKENDS: [u16; 3] = [11, 12, 13];

/// A record set with the usual check.
pub(super) fn record(ttl_secs: u64) -> RecordSettings {
    RecordSettings {
        provider: 0,
        ttl: secs(ttl_secs),
        check: Some(quorate_engine::manifest::DnsCheck::default()),
        probe: DnsProbe::LiveBackend { role: 0 },
        publish_delay: Span::ZERO,
        dual_stack: false,
    }
}

/// Resolvers that keep to TTLs.
pub(super) fn resolvers() -> ResolverSettings {
    ResolverSettings {
        extending_share: 0.0,
        ..ResolverSettings::default()
    }
}

impl Lab {
    /// Three load balancers before three backends, one name for them.
    pub(super) fn new(seed: u64, forward: ForwardSettings, record: RecordSettings) -> Self {
        let mut lab = Self {
            traffic: Traffic::new(quorate_engine::random::Seed(seed)),
            ground: World::default(),
        };
        for balancer in BALANCERS {
            lab.traffic.set_forward(balancer, 0, forward);
            lab.traffic
                .set_backends(&mut lab.ground, balancer, 0, &BACKENDS);
        }
        lab.traffic.add_record(&mut lab.ground, record, &BALANCERS);
        lab.traffic.add_resolvers(resolvers());
        lab
    }

    /// The usual lab for workloads.
    pub(super) fn ingress(seed: u64) -> Self {
        let check = quorate_engine::manifest::BackendCheck::default();
        let kind = quorate_engine::manifest::LbKind::Ingress;
        Self::new(seed, ForwardSettings::of(kind, &check), record(60))
    }

    pub(super) fn clients(&mut self, settings: PopulationSettings) -> u16 {
        let number = self.traffic.add_population(settings);
        self.traffic.start(&mut self.ground, number);
        number
    }

    pub(super) fn now(&self) -> Time {
        self.ground.queue.now()
    }

    pub(super) fn run(&mut self, span: Span) {
        let until = self.now() + span;
        while let Some(event) = self.ground.queue.pop_until(until) {
            match event {
                Event::Traffic(event) => self.traffic.handle(&mut self.ground, event),
                Event::Served(id) => {
                    self.traffic.served(&mut self.ground, id, true);
                }
            }
        }
    }

    pub(super) fn power_off(&mut self, host: u16) {
        self.ground.off.insert(host);
        self.traffic.host_lost(&mut self.ground, host);
    }

    pub(super) fn power_on(&mut self, host: u16) {
        self.ground.off.remove(&host);
        self.traffic.changed(&mut self.ground);
    }

    pub(super) fn noted(&self, wanted: impl Fn(&TrafficNote) -> bool) -> Vec<Time> {
        let notes = self.ground.notes.iter();
        notes
            .filter(|(_, n)| wanted(n))
            .map(|(at, _)| *at)
            .collect()
    }
}
