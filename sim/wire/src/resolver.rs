//! Resolvers of a population: caches that keep answers for their time, and real DNS messages to the
//! name servers.
//!
//! How many there are, how long one waits, and how many keep answers for longer than they should is
//! what the model of traffic has too (`ResolverSettings`): the two rungs differ in who answers.

use crate::journal::{Journal, now};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use quorate_engine::random::{Seed, Stream};
use quorate_engine::time::{Span, Time};
use quorate_sim::traffic::ResolverSettings;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use turmoil::net::UdpSocket;

/// The largest answer that is asked for (DNS Flag Day 2020).
const PAYLOAD: u16 = 1_232;

#[derive(Debug, Clone, Default)]
struct Cache {
    /// It keeps answers for longer than it should.
    extends: bool,
    addresses: Vec<Ipv4Addr>,
    expires: Time,
    /// Until then the name servers count as dead.
    dead_until: Time,
}

/// All resolvers of a population.
pub(crate) struct Resolvers {
    settings: ResolverSettings,
    caches: Mutex<Vec<Cache>>,
    name: Name,
    servers: Vec<SocketAddr>,
    journal: Journal,
}

impl Resolvers {
    pub(crate) fn new(
        seed: Seed,
        population: &str,
        name: Name,
        servers: Vec<SocketAddr>,
        journal: Journal,
    ) -> Arc<Self> {
        let settings = ResolverSettings::default();
        let mut extending = seed.stream(population, "resolver-extends-ttl");
        let cache = |_| Cache {
            extends: extending.chance(settings.extending_share),
            ..Cache::default()
        };
        Arc::new(Self {
            settings,
            caches: Mutex::new((0..settings.resolvers).map(cache).collect()),
            name,
            servers,
            journal,
        })
    }

    /// The addresses of the name, as one of the resolvers has them; none where it has none.
    pub(crate) async fn look_up(&self, luck: &mut Stream) -> Option<Vec<Ipv4Addr>> {
        let which = luck.below(u64::from(self.settings.resolvers)) as usize;
        let first = luck.below(self.servers.len() as u64) as usize;
        let known = self.with(which, |cache| cache.clone());
        if now() < known.expires {
            return Some(known.addresses);
        }
        if now() < known.dead_until {
            return None;
        }
        for attempt in 0..usize::from(self.settings.attempts) {
            let server = self.servers[(first + attempt) % self.servers.len()];
            let within = Duration::from_nanos(self.settings.query_timeout.0);
            let asked = tokio::time::timeout(within, self.ask(server, luck.bits() as u16));
            let Ok(Some((addresses, ttl))) = asked.await else {
                continue;
            };
            let kept = match known.extends {
                true => ttl.max(self.settings.extended_ttl),
                false => ttl,
            };
            self.with(which, |cache| {
                cache.addresses.clone_from(&addresses);
                cache.expires = now() + kept.max(self.settings.ttl_floor);
                cache.dead_until = Time::ZERO;
            });
            return Some(addresses);
        }
        let failure_ttl = self.settings.failure_ttl;
        self.with(which, |cache| cache.dead_until = now() + failure_ttl);
        None
    }

    fn with<T>(&self, which: usize, change: impl FnOnce(&mut Cache) -> T) -> T {
        let mut caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut caches[which])
    }

    /// One query. None where nothing of use comes back.
    async fn ask(&self, server: SocketAddr, id: u16) -> Option<(Vec<Ipv4Addr>, Span)> {
        let mut query = Message::new(id, MessageType::Query, OpCode::Query);
        query.add_query(Query::query(self.name.clone(), RecordType::A));
        let mut edns = Edns::new();
        edns.set_max_payload(PAYLOAD);
        query.edns = Some(edns);
        let query = query.to_vec().expect("a question can be written");
        let socket = UdpSocket::bind(("0.0.0.0", 0)).await.ok()?;
        socket.send_to(&query, server).await.ok()?;
        let mut packet = [0; PAYLOAD as usize];
        loop {
            let (length, from) = socket.recv_from(&mut packet).await.ok()?;
            let answer = Message::from_vec(&packet[..length]).ok()?;
            if from == server && answer.metadata.id == id {
                self.journal.message(now(), &packet[..length]);
                return read(&answer);
            }
        }
    }
}

/// Addresses and how long they may be kept.
fn read(answer: &Message) -> Option<(Vec<Ipv4Addr>, Span)> {
    if answer.metadata.response_code != ResponseCode::NoError || answer.metadata.truncation {
        return None;
    }
    let mut addresses = Vec::new();
    for record in &answer.answers {
        if let RData::A(address) = &record.data {
            addresses.push(address.0);
        }
    }
    let ttl_s = answer.answers.iter().map(|record| record.ttl).min()?;
    (!addresses.is_empty()).then(|| (addresses, Span::from_secs(u64::from(ttl_s))))
}
