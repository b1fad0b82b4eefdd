//! The time to detect and replace a crashed leader, after Fig. 16 of the Raft paper (Ongaro and
//! Ousterhout, 2014): five servers, two of the four survivors hold the newest entry.
//!
//! Round trips are uniform in [0.5, 1] x 15 ms for each pair; a quarter of one passes until a
//! request is recorded, the rest until its answer is. The quarter is fitted; all four rows depend
//! on it.

use super::election::Summary;
use crate::etcd::log::{Entries, GENESIS, Index, Payload, Term, Write};
use crate::etcd::member_id::{Config, MemberId, Members};
use crate::etcd::message::{Body, Message};
use crate::etcd::raft::{Member, Role, Tuning};
use crate::etcd::version::Pace;
use crate::kernel::Queue;
use quorate_engine::random::Seed;
use quorate_engine::time::{Span, Time};

const SERVERS: usize = 5;
const BROADCAST: Span = Span::from_ms(15);
const TICK: Span = Span::from_us(100);
const TERM: Term = 1;

/// One row: time-outs are uniform between these, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutRange {
    /// Shortest.
    pub low_ms: u32,
    /// Longest.
    pub high_ms: u32,
}

/// The times in milliseconds until there is a new leader, of those trials that have one within
/// `patience`; and how many have not.
#[must_use]
pub fn fig16(range: TimeoutRange, seed: u64, trials: usize, patience: Span) -> (Summary, usize) {
    let elected = |trial| {
        let seed = Seed(Seed(seed).stream_of(trial, "trial").bits());
        Trial::new(range, seed).run(patience)
    };
    let all: Vec<Option<Span>> = (0..trials as u64).map(elected).collect();
    let mut times: Vec<f64> = all
        .iter()
        .flatten()
        .map(|span| span.0 as f64 / 1e6)
        .collect();
    times.sort_by(f64::total_cmp);
    (Summary::of(&times), trials - times.len())
}

enum Due {
    /// The server's clock may have reached its time-out.
    Wake(usize),
    Arrives(Message),
}

struct Server {
    member: Member,
    /// The instant of its first tick, and ticks counted.
    phase: Span,
    ticks: u64,
}

struct Trial {
    queue: Queue<Due>,
    entries: Entries,
    servers: Vec<Server>,
    distances: Vec<Span>,
    crash: Time,
    out: Vec<Message>,
}

impl Trial {
    fn new(range: TimeoutRange, seed: Seed) -> Self {
        let per_ms = (Span::from_ms(1).0 / TICK.0) as u32;
        let tuning = Tuning {
            pace: Pace {
                heartbeat: range.low_ms * per_ms / 2,
                election: range.low_ms * per_ms,
                shortest: range.low_ms * per_ms,
                longest: range.high_ms * per_ms,
            },
            pre_vote: false,
            check_quorum: false,
            fresh_wait: false,
        };
        let config = Config {
            voters: Members::first(SERVERS),
            learners: Members::NONE,
        };
        let server = |id: usize| Server {
            member: Member::new(
                MemberId(id as u8),
                tuning,
                config,
                seed.stream_of(id as u64, "time-out"),
            ),
            phase: Span(seed.stream_of(id as u64, "phase").below(TICK.0)),
            ticks: 0,
        };
        let mut round_trips = seed.stream("pairs", "round trip");
        let half = Span(BROADCAST.0 / 2);
        let pairs = SERVERS * SERVERS;
        let distances = (0..pairs)
            .map(|_| round_trips.between(half, BROADCAST))
            .collect();
        let interval = Span::from_ms(u64::from(range.low_ms)).0 / 2;
        let crash = Time::ZERO + Span(seed.stream("leader", "crash").below(interval));
        let mut trial = Self {
            queue: Queue::default(),
            entries: Entries::new(config),
            servers: (0..SERVERS).map(server).collect(),
            distances,
            crash,
            out: Vec::new(),
        };
        trial.last_heartbeat();
        trial
    }

    /// At time zero server 0, the leader, speaks for the last time; servers 1 and 2 have all of
    /// its log, 3 and 4 lack the last entry.
    fn last_heartbeat(&mut self) {
        let old = self
            .entries
            .follow(GENESIS, TERM, Payload::Empty, MemberId(0));
        let write = Payload::Write(Write::new(1));
        let new = self.entries.follow(old, TERM, write, MemberId(0));
        for to in 1..SERVERS {
            let (tip, prev, prev_term): (_, Index, Term) = (if to < 3 { new } else { old }, 0, 0);
            let body = Body::Append {
                prev,
                prev_term,
                commit: 0,
                tip: Some(tip),
            };
            let (from, to) = (MemberId(0), MemberId(to as u8));
            let message = Message {
                from,
                to,
                term: TERM,
                body,
            };
            self.queue
                .after(self.delay(&message), Due::Arrives(message));
        }
    }

    fn delay(&self, message: &Message) -> Span {
        let (from, to) = (message.from.at(), message.to.at());
        let pair = from.min(to) * SERVERS + from.max(to);
        let quarter = Span(self.distances[pair].0 / 4);
        if message.body.is_answer() {
            quarter.times(3)
        } else {
            quarter
        }
    }

    /// Counts the ticks that have passed on a server's clock by now.
    fn catch_up(&mut self, at: usize) {
        let now = self.queue.now().0;
        let server = &mut self.servers[at];
        let due = now.saturating_sub(server.phase.0) / TICK.0;
        let passed = due.saturating_sub(server.ticks);
        server.ticks += passed;
        if passed > 0 && u64::from(server.member.patience()) <= passed {
            server.member.advance(u32::MAX / 2);
            server.member.tick(&mut self.entries, &mut self.out);
        } else {
            server.member.advance(passed as u32);
        }
    }

    /// Sends what was said, and looks again when the server's patience may end.
    fn follow_up(&mut self, at: usize) {
        let server = &mut self.servers[at];
        let written = server.member.to_write();
        server
            .member
            .persisted(&written, &mut self.entries, &mut self.out);
        let wake = (server.ticks + u64::from(server.member.patience())) * TICK.0 + server.phase.0;
        let wait = Span(wake.saturating_sub(self.queue.now().0));
        self.queue.after(wait, Due::Wake(at));
        for message in std::mem::take(&mut self.out) {
            if message.to != MemberId(0) {
                self.queue
                    .after(self.delay(&message), Due::Arrives(message));
            }
        }
    }

    fn run(mut self, patience: Span) -> Option<Span> {
        let until = self.crash + patience;
        while let Some(due) = self.queue.pop_until(until) {
            let at = match due {
                Due::Wake(at) => {
                    self.catch_up(at);
                    if self.out.is_empty() {
                        continue;
                    }
                    at
                }
                Due::Arrives(message) => {
                    let at = message.to.at();
                    self.catch_up(at);
                    let server = &mut self.servers[at].member;
                    server.step(&message, &mut self.entries, &mut self.out);
                    at
                }
            };
            if self.servers[at].member.role() == Role::Leader {
                return Some(self.queue.now().since(self.crash));
            }
            self.follow_up(at);
        }
        None
    }
}
