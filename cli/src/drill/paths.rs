//! How far things are from one another, measured before a drill: what the catalogue does not know of
//! a lab, and what a prediction for it needs.

use quorate_drill::cast::{Cast, Member};
use quorate_engine::time::Span;
use quorate_hosts::{Hosts, Job};
use quorate_sim::scenario::RoundTrip;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What was measured.
#[derive(Debug, Clone, Default)]
pub(super) struct Paths {
    /// Between machines of two providers, through the mesh.
    pub(super) between: Vec<RoundTrip>,
    /// From here to the entry points.
    pub(super) here: Option<Span>,
    /// What a good request takes altogether while all is well.
    pub(super) request: Option<Span>,
}

/// Measures all of it. What cannot be measured is left to the catalogue.
pub(super) async fn measured(hosts: &Hosts, cast: &Cast, doors: &[SocketAddr]) -> Paths {
    let mut first: BTreeMap<&str, &Member> = BTreeMap::new();
    for member in &cast.members {
        first.entry(&member.provider).or_insert(member);
    }
    let mut between = Vec::new();
    for (near, from) in &first {
        for (far, to) in first.range(*near..).skip(1) {
            if let Some(rtt) = ping(hosts, from, to).await {
                between.push(RoundTrip {
                    between: [(*near).to_owned(), (*far).to_owned()],
                    rtt: quorate_engine::units::Duration(rtt),
                });
            }
        }
    }
    Paths {
        between,
        here: knock(doors).await,
        request: None,
    }
}

/// The median of ten pings through the mesh.
async fn ping(hosts: &Hosts, from: &Member, to: &Member) -> Option<Span> {
    let job = Job {
        title: "measure a round trip",
        parts: vec!["has ping || fail 65 \"no ping\"\nping -n -c 10 -i 0.2 -W 1 \"$Q_TO\"\n"],
        arguments: Vec::new(),
        input: None,
        limit: Duration::from_secs(15),
        mutates: false,
    };
    let job = job.with("Q_TO", to.mesh.to_string());
    let output = hosts.run(&from.id, &[], job).await.ok()?;
    median(pinged(&output.stdout))
}

/// Times that ping(8) tells.
fn pinged(text: &str) -> Vec<Span> {
    let one = |line: &str| {
        let (_, rest) = line.split_once("time=")?;
        let ms: f64 = rest.split_whitespace().next()?.parse().ok()?;
        Some(Span::from_us((ms * 1_000.0) as u64))
    };
    text.lines().filter_map(one).collect()
}

/// The median time that connections to entry points take.
async fn knock(doors: &[SocketAddr]) -> Option<Span> {
    let mut took = Vec::new();
    for door in doors.iter().cycle().take(doors.len() * 5) {
        let begun = Instant::now();
        let limit = Duration::from_secs(1);
        let tried = tokio::time::timeout(limit, tokio::net::TcpStream::connect(door)).await;
        if matches!(tried, Ok(Ok(_))) {
            took.push(Span::from_us(begun.elapsed().as_micros() as u64));
        }
    }
    median(took)
}

fn median(mut all: Vec<Span>) -> Option<Span> {
    all.sort_unstable();
    all.get(all.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_what_ping_says_is_taken() {
        let text = "PING 10.88.0.2 (10.88.0.2) 56(84) bytes of data.\n\
            64 bytes from 10.88.0.2: icmp_seq=1 ttl=64 time=4.80 ms\n\
            64 bytes from 10.88.0.2: icmp_seq=2 ttl=64 time=0.51 ms\n\
            64 bytes from 10.88.0.2: icmp_seq=3 ttl=64 time=0.62 ms\n\
            rtt min/avg/max/mdev = 0.510/1.976/4.800/1.9 ms\n";
        assert_eq!(median(pinged(text)), Some(Span::from_us(620)));
        assert_eq!(median(pinged("100% packet loss")), None);
    }
}
