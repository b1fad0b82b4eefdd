//! The network of the simulated world: how long a packet takes from one place to another, now.
//!
//! Every ordered pair of endpoints has a link with a base delay, jitter, loss and what faults do
//! to it. A packet is judged when it is sent. Knows nothing of what packets carry, nor of machines:
//! whether somebody listens at the other end is the world's matter.

mod faults;
mod mesh;

pub use faults::{Effect, FaultId};

use faults::Faults;
use quorate_engine::catalog::{self, Distances};
use quorate_engine::manifest::ProviderKind;
use quorate_engine::random::{Seed, Stream, hash_name, mix};
use quorate_engine::time::{Span, Time};
use std::collections::BTreeMap;

/// Where an endpoint is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The provider instance; empty for what is at no provider of the cluster.
    pub provider: String,
    /// What the provider is.
    pub kind: ProviderKind,
    /// Its region.
    pub region: String,
    /// Its zone.
    pub zone: String,
}

/// One end of links. Numbers are given in order of [`Net::add`], from 0.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// A name that is stable over runs: it keys the random streams.
    pub name: String,
    /// Where it is; none for clients and others whose distance is given.
    pub place: Option<Place>,
    /// For endpoints without a place: round trip to anything.
    pub distance: Span,
    /// Part of the mesh: packets to other members are encrypted.
    pub meshed: bool,
    /// Nobody can dial in.
    pub behind_nat: bool,
}

/// A one-way link as it is now.
#[derive(Debug, Clone)]
struct Link {
    base: Span,
    jitter: Span,
    /// Thousandths of packets.
    loss_permille: u32,
    cut: bool,
    /// The mesh carries nothing before this instant: a handshake is under way.
    shaking_until: Time,
    /// When it was cut last.
    cut_at: Time,
    luck: Stream,
}

/// TCP's first retransmission time-out on a warm connection (Linux: `TCP_RTO_MIN`).
const RTO_MIN: Span = Span::from_ms(200);

/// The network.
#[derive(Debug, Clone)]
pub struct Net {
    seed: Seed,
    /// How far places are from each other.
    distances: Distances,
    endpoints: Vec<Endpoint>,
    links: Vec<Link>,
    sessions: mesh::Sessions,
    faults: Faults,
    /// Drawn once a run: how much farther the real paths are than the catalogue says.
    stretch_permille: u64,
    /// Between two providers, in order of name: measured, so that the catalogue is not asked.
    measured: BTreeMap<(String, String), Span>,
}

impl Net {
    /// A network without endpoints.
    #[must_use]
    pub fn new(seed: Seed, distances: Distances) -> Self {
        Self {
            seed,
            distances,
            endpoints: Vec::new(),
            links: Vec::new(),
            sessions: mesh::Sessions::new(seed),
            faults: Faults::default(),
            stretch_permille: 900 + seed.stream("net", "stretch").below(201),
            measured: BTreeMap::new(),
        }
    }

    /// Takes a round trip between the machines of two providers, or inside one, as measured.
    ///
    /// # Panics
    /// While a fault is on.
    pub fn measured(&mut self, between: (&str, &str), rtt: Span) {
        assert!(self.faults.is_empty(), "paths are measured before faults");
        self.measured.insert(ordered(between.0, between.1), rtt);
        let size = self.endpoints.len();
        for index in 0..size * size {
            self.links[index] = self.fresh(index / size, index % size);
        }
    }

    /// How long the paths of this run are, in thousandths of the catalogue's.
    #[must_use]
    pub fn stretch_permille(&self) -> u64 {
        self.stretch_permille
    }

    /// Adds an endpoint.
    pub fn add(&mut self, endpoint: Endpoint) -> u16 {
        let old = self.endpoints.len();
        self.endpoints.push(endpoint);
        let size = old + 1;
        let mut links = Vec::with_capacity(size * size);
        for from in 0..size {
            for to in 0..size {
                if from < old && to < old {
                    links.push(self.links[from * old + to].clone());
                } else {
                    links.push(self.fresh(from, to));
                }
            }
        }
        self.links = links;
        for other in 0..size {
            for (from, to) in [(old, other), (other, old)] {
                self.apply_faults(from, to);
            }
        }
        old as u16
    }

    fn fresh(&self, from: usize, to: usize) -> Link {
        let (a, b) = (&self.endpoints[from], &self.endpoints[to]);
        let (rtt, jitter, known) = match self.known(a, b) {
            Some(rtt) => (rtt, jitter(rtt), true),
            None => round_trip(&self.distances, a, b),
        };
        // What was measured is as long as it is; the catalogue may be wrong.
        let stretch = if known { 1_000 } else { self.stretch_permille };
        let base = Span(rtt.0 / 2 * stretch / 1_000);
        let key = mix(hash_name(&a.name)).wrapping_add(hash_name(&b.name));
        let luck = self.seed.stream_of(key, "link");
        let jitter = Span(jitter.0 / 2);
        Link {
            base,
            jitter,
            loss_permille: 0,
            cut: false,
            shaking_until: Time::ZERO,
            cut_at: Time::ZERO,
            luck,
        }
    }

    /// The measured round trip between two machines.
    fn known(&self, a: &Endpoint, b: &Endpoint) -> Option<Span> {
        let (here, there) = (a.place.as_ref()?, b.place.as_ref()?);
        let pair = ordered(&here.provider, &there.provider);
        self.measured.get(&pair).copied()
    }

    /// What an endpoint is.
    #[must_use]
    pub fn endpoint(&self, number: u16) -> &Endpoint {
        &self.endpoints[usize::from(number)]
    }

    /// All endpoints, in order of number.
    pub fn endpoints(&self) -> impl Iterator<Item = (u16, &Endpoint)> {
        self.endpoints
            .iter()
            .enumerate()
            .map(|(number, endpoint)| (number as u16, endpoint))
    }

    /// How long a packet takes that is sent now; none if it never arrives. A lost packet of a
    /// connection is sent again: that shows as delay.
    #[inline]
    pub fn carry(&mut self, now: Time, from: u16, to: u16) -> Option<Span> {
        let index = usize::from(from) * self.endpoints.len() + usize::from(to);
        let link = &mut self.links[index];
        if link.cut || now < link.shaking_until {
            return None;
        }
        let mut delay = Span(link.base.0 + link.luck.below(link.jitter.0 + 1));
        if link.loss_permille > 0 {
            let mut timeout = RTO_MIN;
            while link.luck.below(1_000) < u64::from(link.loss_permille) {
                delay += timeout;
                timeout += timeout;
                if timeout > Span::from_secs(60) {
                    return None;
                }
            }
        }
        Some(delay)
    }

    /// Whether a TCP connection in this direction has stopped to send because no acknowledgement
    /// comes back: after its retransmission time-out it repeats its oldest segment, and nothing new
    /// (RFC 6298, 5.4; RFC 5681, 3.1: the window is one segment then). Who cannot hear is soon not
    /// heard, either.
    #[must_use]
    pub fn is_unheard(&self, now: Time, from: u16, to: u16) -> bool {
        let back = &self.links[usize::from(to) * self.endpoints.len() + usize::from(from)];
        back.cut && now.since(back.cut_at) >= RTO_MIN + back.base + back.base
    }

    /// Whether packets pass in this direction, without drawing anything.
    #[must_use]
    pub fn is_open(&self, now: Time, from: u16, to: u16) -> bool {
        let link = &self.links[usize::from(from) * self.endpoints.len() + usize::from(to)];
        !link.cut && now >= link.shaking_until
    }

    /// The base round trip between two endpoints in this run, jitter and faults aside.
    #[must_use]
    pub fn base_rtt(&self, a: u16, b: u16) -> Span {
        let size = self.endpoints.len();
        let (a, b) = (usize::from(a), usize::from(b));
        self.links[a * size + b].base + self.links[b * size + a].base
    }

    /// A fault of the network begins on every ordered pair that `pairs` accepts. Returns its
    /// number and how many links it changed.
    pub fn inject(
        &mut self,
        now: Time,
        effect: Effect,
        pairs: impl Fn(&Endpoint, &Endpoint) -> bool,
    ) -> (FaultId, usize) {
        let size = self.endpoints.len();
        let hit = |index: &usize| {
            let (from, to) = (index / size, index % size);
            from != to && pairs(&self.endpoints[from], &self.endpoints[to])
        };
        let hits: Vec<usize> = (0..size * size).filter(hit).collect();
        let names = hits.iter().map(|index| self.pair_names(*index)).collect();
        let count = hits.len();
        let id = self.faults.begin(effect, names);
        for index in hits {
            self.refresh(now, index);
        }
        (id, count)
    }

    /// A fault ends. Where that opens a path of the mesh again, a handshake comes first if the old
    /// session has run out. Returns when the last such path is usable.
    pub fn lift(&mut self, now: Time, id: FaultId) -> Time {
        let size = self.endpoints.len();
        self.faults.end(id);
        let mut usable = now;
        for index in 0..size * size {
            usable = usable.max(self.refresh(now, index));
        }
        usable
    }

    fn pair_names(&self, index: usize) -> (String, String) {
        let size = self.endpoints.len();
        let name = |number: usize| self.endpoints[number].name.clone();
        (name(index / size), name(index % size))
    }

    fn apply_faults(&mut self, from: usize, to: usize) {
        let index = from * self.endpoints.len() + to;
        if !self.faults.is_empty() {
            self.refresh(Time::ZERO, index);
        }
    }

    /// Brings a link in line with the faults that are on; returns when it is usable.
    fn refresh(&mut self, now: Time, index: usize) -> Time {
        let size = self.endpoints.len();
        let (from, to) = (index / size, index % size);
        let (name, peer) = (&self.endpoints[from].name, &self.endpoints[to].name);
        let sum = self.faults.on(name, peer);
        let fresh = self.fresh(from, to);
        let meshed = self.endpoints[from].meshed && self.endpoints[to].meshed;
        let nat = self.endpoints[from].behind_nat || self.endpoints[to].behind_nat;
        let link = &mut self.links[index];
        link.base = fresh.base + sum.add;
        link.jitter = fresh.jitter + sum.jitter;
        link.loss_permille = sum.loss_permille;
        if sum.cut && !link.cut {
            link.cut = true;
            link.cut_at = now;
            if meshed {
                self.sessions.broken(now, from, to);
            }
        } else if !sum.cut && link.cut {
            link.cut = false;
            if meshed {
                let round = fresh.base + fresh.base;
                link.shaking_until = self.sessions.restored(now, (from, to), round, nat);
            }
        }
        link.shaking_until
    }
}

fn ordered(a: &str, b: &str) -> (String, String) {
    (a.min(b).to_owned(), a.max(b).to_owned())
}

/// How much a round trip varies where nobody has measured that.
fn jitter(rtt: Span) -> Span {
    Span(rtt.0 / 20 + Span::from_us(100).0)
}

/// Round trip and its jitter between two endpoints, and whether the user measured it.
fn round_trip(known: &Distances, a: &Endpoint, b: &Endpoint) -> (Span, Span, bool) {
    let (Some(here), Some(there)) = (&a.place, &b.place) else {
        let rtt = a.distance.max(b.distance);
        return (rtt, jitter(rtt), false);
    };
    let (from, to) = ((here.kind, &*here.region), (there.kind, &*there.region));
    if let Some(own) = known.measured(from, to) {
        return (own.rtt, own.jitter, true);
    }
    if here.provider == there.provider && here.region == there.region {
        let rtt = if here.zone == there.zone {
            catalog::WITHIN_ZONE
        } else {
            catalog::BETWEEN_ZONES
        };
        return (rtt.rtt, rtt.jitter, false);
    }
    let rtt = catalog::rtt(from, to);
    (rtt.rtt, rtt.jitter.max(Span::from_us(100)), false)
}

#[cfg(test)]
mod tests;
