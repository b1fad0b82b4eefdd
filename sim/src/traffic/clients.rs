//! Populations of clients: who they are, when their requests begin, and how much patience they have.
//!
//! Arrivals are open-loop: a slow cluster is not asked less. Knows nothing of what happens to a
//! request on its way: that is `journey`. All luck of a request is drawn when it begins, so faults
//! do not shift the luck of others.

use crate::traffic::connect::{HappyEyeballs, Os};
use crate::traffic::ground::{RequestId, RequestKind};
use crate::traffic::stats::Stats;
use quorate_engine::random::{Seed, Stream, mix};
use quorate_engine::time::Span;
use std::collections::VecDeque;

/// How requests begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// Independently of each other: exponential gaps.
    Poisson,
    /// One after each interval, as a probe does.
    Regular,
}

/// Where clients send their requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// To a name: this record set.
    Name(u16),
    /// To this load balancer's address.
    Balancer(u16),
}

/// Clients of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct PopulationSettings {
    /// Where they are.
    pub site: u16,
    /// Whom they ask for names.
    pub resolvers: u16,
    /// Whom they ask for service.
    pub target: Target,
    /// The load balancer's role that takes their connections.
    pub role: u16,
    /// What they ask for.
    pub kind: RequestKind,
    /// The mean between two requests of the whole population.
    pub interval: Span,
    /// How requests begin.
    pub arrivals: Arrivals,
    /// Systems and their weights.
    pub os_mix: Vec<(Os, u32)>,
    /// How long a request may take from its beginning.
    pub request_timeout: Span,
    /// How long an application waits for a connection before it goes to the next address; `None`:
    /// as long as the system does.
    pub connect_timeout: Option<Span>,
    /// Whether IPv6 and IPv4 race.
    pub happy_eyeballs: HappyEyeballs,
    /// The share of requests that go over a connection kept open.
    pub keep_alive: f64,
    /// How many such connections there are.
    pub connections: u16,
    /// A new connection takes one more round trip, of TLS 1.3.
    pub tls: bool,
    /// What a request costs both ends beside the network: cryptography, queues for a processor.
    pub work: Span,
}

impl Default for PopulationSettings {
    fn default() -> Self {
        Self {
            site: 0,
            resolvers: 0,
            target: Target::Name(0),
            role: 0,
            kind: RequestKind::Ingress,
            interval: Span::from_ms(20),
            arrivals: Arrivals::Poisson,
            os_mix: vec![(Os::Linux, 1)],
            request_timeout: Span::from_secs(30),
            connect_timeout: Some(Span::from_secs(3)),
            happy_eyeballs: HappyEyeballs::Off,
            keep_alive: 0.0,
            connections: 0,
            tls: true,
            work: Span::ZERO,
        }
    }
}

/// A connection kept open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) balancer: u16,
    pub(crate) backend: u16,
    /// One of the machines has lost its state: what is sent here meets silence, then a reset.
    pub(crate) doomed: bool,
}

/// A population and what it has lived through.
#[derive(Debug)]
pub(crate) struct Population {
    pub(crate) settings: PopulationSettings,
    pub(crate) stats: Stats,
    pub(crate) lines: Vec<Option<Line>>,
    /// Which start of the population arrivals belong to; odd while it runs.
    pub(crate) start: u16,
    /// Requests in the order of their deadlines, some of them ended.
    pub(crate) pending: VecDeque<RequestId>,
    pub(crate) deadline_armed: bool,
    gaps: Stream,
    lucks: Stream,
    weight: u64,
}

/// What is decided by luck when a request begins.
pub(crate) struct Lot {
    pub(crate) luck: u64,
    pub(crate) os: Os,
    pub(crate) resolver: u16,
    pub(crate) line: Option<u16>,
}

/// The `n`-th draw below `limit` of a request with this luck.
pub(crate) fn draw(luck: u64, n: u64, limit: u64) -> u64 {
    let bits = mix(luck.wrapping_add(n.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    ((u128::from(bits) * u128::from(limit)) >> 64) as u64
}

/// Draws of a request, each for its own purpose.
const OS: u64 = 1;
const RESOLVER: u64 = 2;
const KEEP_ALIVE: u64 = 3;
const LINE: u64 = 4;
/// Further draws put addresses in order: one a place.
pub(crate) const ORDER: u64 = 5;

const MILLIONTHS: u64 = 1_000_000;

impl Population {
    pub(crate) fn new(seed: Seed, number: u16, settings: PopulationSettings) -> Self {
        let weight = settings.os_mix.iter().map(|(_, w)| u64::from(*w)).sum();
        assert!(weight > 0, "a population of clients without a system");
        assert!(
            settings.interval > Span::ZERO,
            "requests without a gap between them"
        );
        Self {
            stats: Stats::default(),
            lines: vec![None; usize::from(settings.connections)],
            start: 0,
            pending: VecDeque::new(),
            deadline_armed: false,
            gaps: seed.stream_of(u64::from(number), "traffic-arrivals"),
            lucks: seed.stream_of(u64::from(number), "traffic-requests"),
            weight,
            settings,
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.start % 2 == 1
    }

    pub(crate) fn next_gap(&mut self) -> Span {
        match self.settings.arrivals {
            Arrivals::Poisson => self.gaps.exponential(self.settings.interval),
            Arrivals::Regular => self.settings.interval,
        }
    }

    pub(crate) fn next_lot(&mut self, resolvers: u16) -> Lot {
        let luck = self.lucks.bits();
        let mut ticket = draw(luck, OS, self.weight);
        let mut os = self.settings.os_mix[0].0;
        for &(candidate, weight) in &self.settings.os_mix {
            os = candidate;
            if ticket < u64::from(weight) {
                break;
            }
            ticket -= u64::from(weight);
        }
        let lines = self.lines.len() as u64;
        let kept = (self.settings.keep_alive * MILLIONTHS as f64) as u64;
        let keeps = lines > 0 && draw(luck, KEEP_ALIVE, MILLIONTHS) < kept;
        Lot {
            luck,
            os,
            resolver: draw(luck, RESOLVER, u64::from(resolvers)) as u16,
            line: keeps.then(|| draw(luck, LINE, lines) as u16),
        }
    }
}
