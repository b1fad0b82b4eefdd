//! Clients of a scenario against real entry points: open loop, Poisson by seed, a connection for
//! each request.
//!
//! Each population comes as the scenario says, by the name that leads to its load balancer; and once
//! more to each entry point alone, so that it shows which one hurt. Where the name does not resolve
//! here, the addresses come in an order drawn for each request, as round-robin DNS gives them.

use quorate_engine::random::{Seed, shuffle};
use quorate_engine::time::{Span, Time};
use quorate_sim::traffic::Cause;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What requests ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An object of the API is read.
    Read,
    /// An object of the API is changed.
    Write,
    /// Whatever answers behind an entry point of workloads.
    Ingress,
}

/// Clients that come the same way.
#[derive(Debug, Clone)]
pub struct Population {
    /// The scenario's name of it, or `name@pool/number` for those of one entry point.
    pub name: String,
    /// What they ask.
    pub kind: Kind,
    /// The name and port that lead there, if clients use one and it resolves here.
    pub by_name: Option<(String, u16)>,
    /// Entry points.
    pub entries: Vec<SocketAddr>,
    /// Mean between two requests.
    pub interval: Span,
    /// How long an attempt to connect to one address may take.
    pub connect_within: Duration,
    /// How long a request may take altogether.
    pub timeout: Duration,
}

/// One clock for everything that is recorded.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// It shows zero now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// What it shows at an instant.
    #[must_use]
    pub fn at(self, instant: Instant) -> Time {
        let passed = instant.saturating_duration_since(self.0);
        Time(passed.as_nanos() as u64)
    }

    /// What it shows now.
    #[must_use]
    pub fn now(self) -> Time {
        self.at(Instant::now())
    }
}

/// A request that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Whose.
    pub population: usize,
    /// Which of them, from 0.
    pub number: u64,
    /// When it began.
    pub start: Time,
    /// When its client knew.
    pub end: Time,
    /// What it came to.
    pub outcome: Result<(), Cause>,
}

/// Carries requests out.
pub trait Asker: Send + Sync + 'static {
    /// One request to the first of these addresses that takes the connection. Whoever calls ends it
    /// when its time is over.
    fn ask(
        &self,
        population: &Population,
        number: u64,
        order: &[SocketAddr],
    ) -> impl Future<Output = Result<(), Cause>> + Send;
}

/// Requests that have ended, in the order of their ends.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Request>>>);

impl Log {
    fn push(&self, request: Request) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request);
    }

    /// All of them, so far.
    #[must_use]
    pub fn all(&self) -> Vec<Request> {
        let mut all = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        all.sort_by_key(|request| (request.end, request.start));
        all
    }
}

/// Lets all populations send requests until `stop` is true, and waits for those under way.
pub async fn send<A: Asker>(
    asker: &Arc<A>,
    populations: &Arc<Vec<Population>>,
    seed: u64,
    clock: Clock,
    log: &Log,
    stop: &watch::Receiver<bool>,
) {
    let mut senders = JoinSet::new();
    for number in 0..populations.len() {
        let (asker, populations) = (Arc::clone(asker), Arc::clone(populations));
        let (log, stop) = (log.clone(), stop.clone());
        senders.spawn(async move {
            population(&asker, &populations, number, (seed, clock), &log, stop).await;
        });
    }
    while senders.join_next().await.is_some() {}
}

async fn population<A: Asker>(
    asker: &Arc<A>,
    populations: &Arc<Vec<Population>>,
    index: usize,
    (seed, clock): (u64, Clock),
    log: &Log,
    mut stop: watch::Receiver<bool>,
) {
    let clients = &populations[index];
    let mut gaps = Seed(seed).stream(&clients.name, "arrivals");
    let mut orders = Seed(seed).stream(&clients.name, "addresses");
    let mut under_way = JoinSet::new();
    let mut next = tokio::time::Instant::now();
    for number in 0.. {
        next += Duration::from_nanos(gaps.exponential(clients.interval).0);
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            _ = stop.wait_for(|over| *over) => break,
        }
        let mut order = clients.entries.clone();
        shuffle(&mut order, &mut orders);
        let (asker, populations, log) = (Arc::clone(asker), Arc::clone(populations), log.clone());
        under_way.spawn(async move {
            let clients = &populations[index];
            let start = clock.now();
            let asked = async {
                if let Some((name, port)) = &clients.by_name {
                    let found = tokio::net::lookup_host((name.as_str(), *port)).await;
                    order = found.map(Iterator::collect).unwrap_or_default();
                }
                asker.ask(clients, number, &order).await
            };
            let outcome = tokio::time::timeout(clients.timeout, asked).await;
            log.push(Request {
                population: index,
                number,
                start,
                end: clock.now(),
                outcome: outcome.unwrap_or(Err(Cause::Timeout)),
            });
        });
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Answers at once, unless told otherwise.
    #[derive(Debug, Default)]
    pub(crate) struct Fake {
        pub(crate) down: Arc<std::sync::atomic::AtomicBool>,
    }

    impl Asker for Fake {
        async fn ask(&self, _: &Population, _: u64, _: &[SocketAddr]) -> Result<(), Cause> {
            if self.down.load(std::sync::atomic::Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    }

    pub(crate) fn population(name: &str, rate_per_s: u64) -> Population {
        Population {
            name: name.to_owned(),
            kind: Kind::Write,
            by_name: None,
            entries: (1..=3)
                .map(|n| SocketAddr::from(([192, 0, 2, n], 6443)))
                .collect(),
            interval: Span::from_ms(1_000 / rate_per_s),
            connect_within: Duration::from_secs(1),
            timeout: Duration::from_millis(150),
        }
    }

    #[tokio::test]
    async fn clients_are_not_asked_less_when_nobody_answers() {
        let fake = Fake::default();
        let down = Arc::clone(&fake.down);
        let asker = Arc::new(fake);
        let all = Arc::new(vec![population("p", 50)]);
        let (over, stop) = watch::channel(false);
        let log = Log::default();
        let clock = Clock::start();
        let sent = send(&asker, &all, 1, clock, &log, &stop);
        let script = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            down.store(true, std::sync::atomic::Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            over.send(true).unwrap();
        };
        tokio::join!(sent, script);
        let all = log.all();
        let ok = all.iter().filter(|request| request.outcome.is_ok()).count();
        let failed = all.len() - ok;
        assert!(
            (20..100).contains(&ok) && (20..100).contains(&failed),
            "{ok} {failed}"
        );
        let late = |r: &&Request| r.outcome == Err(Cause::Timeout);
        for request in all.iter().filter(late) {
            assert!(request.end.since(request.start) >= Span::from_ms(150));
        }
        assert!(all.is_sorted_by_key(|request| request.end));
    }
}
