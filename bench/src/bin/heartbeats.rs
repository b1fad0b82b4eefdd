//! The heartbeat benchmark on Quorate's simulation core: prints one line, as `measure` describes.
//!
//! A leader sends to each follower each 100 ms, each follower acknowledges. Each message has a
//! latency drawn from the stream of its link, and each delivery is an event of its own and a
//! link of the trace's hash chain, as in the product. No protocol beyond that, and no faults.

use quorate_bench::measure::{self, PERIOD, Request, Traffic};
use quorate_engine::random::{Seed, Stream};
use quorate_engine::time::{Span, Time};
use quorate_sim::kernel::{Chain, Queue};
use std::process::ExitCode;
use std::time::Duration;

/// What happens in this world.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// The leader's timer.
    Beat,
    /// A heartbeat of this round reaches a follower.
    Heartbeat { to: u32, round: u32 },
    /// A follower's acknowledgement of this round reaches the leader.
    Ack { from: u32, round: u32 },
}

/// One follower, its two directions of the link, and what either end knows.
struct Link {
    to_follower: Stream,
    to_leader: Stream,
    /// The latest round the follower heard of.
    heard: u32,
    /// The latest round the leader knows to be heard.
    acknowledged: u32,
}

struct World {
    queue: Queue<Event>,
    chain: Chain,
    links: Vec<Link>,
    round: u32,
    traffic: Traffic,
}

/// Latency of one message, of 1 ms on average.
fn latency(stream: &mut Stream) -> Span {
    stream.between(Span::from_us(500), Span::from_us(1_500))
}

impl World {
    fn new(nodes: usize, seed: Seed) -> Self {
        let followers = 1..nodes as u64;
        let links = followers.map(|node| Link {
            to_follower: seed.stream_of(node, "latency to follower"),
            to_leader: seed.stream_of(node, "latency to leader"),
            heard: 0,
            acknowledged: 0,
        });
        let mut world = Self {
            queue: Queue::default(),
            chain: Chain::default(),
            links: links.collect(),
            round: 0,
            traffic: Traffic {
                heartbeats: 0,
                acks: 0,
            },
        };
        world.queue.after(Span::from_ms(1), Event::Beat);
        world
    }

    fn advance(&mut self, slice: Duration) -> Traffic {
        let until = self.queue.now() + Span::from_ns(slice.as_nanos() as u64);
        while let Some(event) = self.queue.pop_until(until) {
            self.happen(event);
        }
        self.traffic
    }

    fn happen(&mut self, event: Event) {
        let now = self.queue.now();
        match event {
            Event::Beat => self.beat(now),
            Event::Heartbeat { to, round } => {
                self.chain.add(trace_word(1, to, round), now.0);
                let link = &mut self.links[to as usize];
                link.heard = link.heard.max(round);
                let delay = latency(&mut link.to_leader);
                self.queue.after(delay, Event::Ack { from: to, round });
                self.traffic.heartbeats += 1;
            }
            Event::Ack { from, round } => {
                self.chain.add(trace_word(2, from, round), now.0);
                let link = &mut self.links[from as usize];
                assert!(
                    round <= link.heard,
                    "an acknowledgement of what was never heard"
                );
                link.acknowledged = link.acknowledged.max(round);
                self.traffic.acks += 1;
            }
        }
    }

    fn beat(&mut self, now: Time) {
        self.round += 1;
        let round = self.round;
        self.chain.add(trace_word(0, 0, round), now.0);
        for (to, link) in self.links.iter_mut().enumerate() {
            let to = to as u32;
            let delay = latency(&mut link.to_follower);
            self.queue.after(delay, Event::Heartbeat { to, round });
        }
        let period = Span::from_ns(PERIOD.as_nanos() as u64);
        self.queue.after(period, Event::Beat);
    }
}

/// What happened, in one word of the trace.
fn trace_word(kind: u64, node: u32, round: u32) -> u64 {
    kind << 62 ^ u64::from(node) << 32 ^ u64::from(round)
}

fn run(request: Request) -> Result<String, String> {
    let mut world = World::new(request.nodes, Seed(7));
    let sample = measure::measure(request, PERIOD, |slice| world.advance(slice));
    sample.verify()?;
    let Traffic { heartbeats, acks } = world.traffic;
    let beats = u64::from(world.round);
    assert_eq!(
        world.chain.links(),
        heartbeats + acks + beats,
        "something happened outside the trace"
    );
    Ok(sample.line())
}

fn main() -> ExitCode {
    match measure::request(std::env::args().skip(1)).and_then(run) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
