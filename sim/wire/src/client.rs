//! A host of clients: open-loop arrivals, a look-up for each request, and one address after the
//! other until a connection is taken.

use crate::balancer::{ANSWER, REQUEST};
use crate::journal::{Journal, Request, now};
use crate::resolver::Resolvers;
use quorate_engine::random::{Seed, Stream, shuffle};
use quorate_engine::time::Span;
use quorate_sim::traffic::{Cause, Os};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep_until, timeout};
use turmoil::net::TcpStream;

/// A population, as its host runs it.
pub(crate) struct Population {
    pub(crate) index: usize,
    pub(crate) name: String,
    /// Where load balancers listen for it.
    pub(crate) port: u16,
    /// The mean between two requests.
    pub(crate) interval: Span,
    /// Systems and their weights.
    pub(crate) systems: Vec<(Os, u64)>,
    /// How long an application waits for one connection.
    pub(crate) connect_timeout: Option<Span>,
    /// How long a request may take.
    pub(crate) timeout: Span,
    /// No request begins later.
    pub(crate) until: Span,
}

fn duration(span: Span) -> Duration {
    Duration::from_nanos(span.0)
}

/// Sends requests until it is over.
pub(crate) async fn stand(
    population: Arc<Population>,
    resolvers: Arc<Resolvers>,
    seed: Seed,
    journal: Journal,
) -> turmoil::Result {
    let began = Instant::now();
    let over = began + duration(population.until);
    let mut gaps = seed.stream(&population.name, "arrivals");
    let mut next = began;
    for number in 0_u64.. {
        next += duration(gaps.exponential(population.interval));
        if next >= over {
            break;
        }
        sleep_until(next).await;
        let (population, resolvers) = (Arc::clone(&population), Arc::clone(&resolvers));
        let journal = journal.clone();
        let luck = seed.stream(&format!("{}/{number}", population.name), "request");
        tokio::spawn(one(population, resolvers, luck, journal));
    }
    std::future::pending().await
}

async fn one(
    population: Arc<Population>,
    resolvers: Arc<Resolvers>,
    mut luck: Stream,
    journal: Journal,
) {
    let start = now();
    let os = system(&population.systems, &mut luck);
    let asked = ask(&population, &resolvers, os, &mut luck);
    let outcome = timeout(duration(population.timeout), asked).await;
    journal.request(Request {
        population: population.index,
        start,
        end: now(),
        outcome: outcome.unwrap_or(Err(Cause::Timeout)),
    });
}

fn system(systems: &[(Os, u64)], luck: &mut Stream) -> Os {
    let all = systems.iter().map(|(_, weight)| weight).sum();
    let mut drawn = luck.below(all);
    for (os, weight) in systems {
        if drawn < *weight {
            return *os;
        }
        drawn -= weight;
    }
    unreachable!("a number below the sum of all weights falls on one of them")
}

async fn ask(
    population: &Population,
    resolvers: &Resolvers,
    os: Os,
    luck: &mut Stream,
) -> Result<(), Cause> {
    let mut addresses = resolvers.look_up(luck).await.ok_or(Cause::Dns)?;
    // Resolvers permute what they have in their cache.
    shuffle(&mut addresses, luck);
    let patience = population.connect_timeout.unwrap_or(os.gives_up_after());
    let patience = duration(patience.min(os.gives_up_after()));
    let mut cause = Cause::Dns;
    for address in addresses {
        match connect(address, population.port, patience).await {
            Ok(line) => return exchange(line).await,
            Err(why) => cause = why,
        }
    }
    Err(cause)
}

async fn connect(address: Ipv4Addr, port: u16, patience: Duration) -> Result<TcpStream, Cause> {
    let to = SocketAddr::from((address, port));
    match timeout(patience, TcpStream::connect(to)).await {
        Ok(Ok(line)) => Ok(line),
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => Err(Cause::Refused),
        Ok(Err(_)) => Err(Cause::Reset),
        Err(_) => Err(Cause::ConnectTimeout),
    }
}

async fn exchange(mut line: TcpStream) -> Result<(), Cause> {
    let sent = line.write_all(REQUEST).await;
    let mut answer = [0; ANSWER.len()];
    match (sent, line.read_exact(&mut answer).await) {
        (Ok(()), Ok(_)) if &answer == ANSWER => Ok(()),
        (Ok(()), Ok(_)) => Err(Cause::Error),
        (_, Err(error)) if error.kind() == ErrorKind::UnexpectedEof => Err(Cause::NoBackend),
        (Err(_), _) | (_, Err(_)) => Err(Cause::Reset),
    }
}
