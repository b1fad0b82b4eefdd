//! Connections between members, after rafthttp: one stream in each direction of each pair.
//!
//! Messages of a stream arrive in order. A stream over a path that is cut breaks, what is sent
//! meanwhile is lost, and it is dialled again about once a second until both directions work.
//! A one-way cut breaks one direction only: the acknowledgements that TCP would miss are not
//! modelled, so a leader that can send and not hear goes on being heard.

use super::host::{PROBE_EVERY, Power};
use super::{Etcd, EtcdEvent, EtcdNote, Ground, Life};
use crate::etcd::member_id::MemberId;
use quorate_engine::random::Stream as Draws;
use quorate_engine::time::{Span, Time};

/// A member counts as healthy once connected for this long (`HealthInterval` in etcd's server).
pub(super) const HEALTHY_FOR: Span = Span::from_secs(5);
/// A broken stream is dialled again after this long. rafthttp tries every 100 ms, but a dial into
/// a cut path ends only when the kernel repeats its SYN: about a second later.
const REDIAL: Span = Span::from_secs(1);
/// A process that starts is dialled, and dials, within this time (rafthttp's retry of 100 ms).
const FIRST_DIAL: Span = Span::from_ms(100);
/// A frozen process's connections break after rafthttp's `ConnReadTimeout`.
const SILENCE_BREAKS: Span = Span::from_secs(5);

#[derive(Debug, Clone, Copy, Default)]
struct Stream {
    /// Usable from this instant on.
    up: Option<Time>,
    /// When the last message sent arrives: none overtakes it.
    arrival: Time,
    /// A dial is due.
    dialling: bool,
}

/// All streams, by sending and receiving member.
#[derive(Debug, Default)]
pub(super) struct Streams {
    rows: Vec<Vec<Stream>>,
    dials: Vec<Draws>,
}

impl Streams {
    pub(super) fn add(&mut self, dials: Draws) {
        let n = self.rows.len() + 1;
        self.rows.push(Vec::new());
        for row in &mut self.rows {
            row.resize(n, Stream::default());
        }
        self.dials.push(dials);
    }

    fn get(&mut self, from: MemberId, to: MemberId) -> &mut Stream {
        &mut self.rows[from.at()][to.at()]
    }

    /// Since when both directions are up.
    pub(super) fn up_since(&self, one: MemberId, other: MemberId) -> Option<Time> {
        let there = self.rows[one.at()][other.at()].up?;
        let back = self.rows[other.at()][one.at()].up?;
        Some(there.max(back))
    }

    pub(super) fn both_up(&self, one: MemberId, other: MemberId, now: Time) -> bool {
        self.up_since(one, other).is_some_and(|since| since <= now)
    }

    pub(super) fn healthy(&self, one: MemberId, other: MemberId, now: Time) -> bool {
        self.up_since(one, other)
            .is_some_and(|since| since + HEALTHY_FOR <= now)
    }
}

impl Etcd {
    /// How long a message takes that is sent now; None if it is lost, which breaks the stream.
    pub(super) fn delay<G: Ground>(
        &mut self,
        ground: &mut G,
        from: MemberId,
        to: MemberId,
    ) -> Option<Span> {
        let now = ground.now();
        let stream = self.streams.get(from, to);
        if stream.up.is_none_or(|since| since > now) {
            return None;
        }
        let Some(span) = ground.carry(from, to) else {
            self.break_stream(ground, from, to);
            return None;
        };
        let arrival = (now + span).max(stream.arrival);
        stream.arrival = arrival;
        Some(arrival.since(now))
    }

    fn break_stream<G: Ground>(&mut self, ground: &mut G, from: MemberId, to: MemberId) {
        let stream = self.streams.get(from, to);
        if stream.up.take().is_some() {
            ground.note(EtcdNote::Linked {
                from,
                to,
                up: false,
            });
        }
        self.dial_within(ground, from, to, REDIAL);
    }

    fn dial_within<G: Ground>(
        &mut self,
        ground: &mut G,
        from: MemberId,
        to: MemberId,
        limit: Span,
    ) {
        let wait = Span(self.streams.dials[from.at()].below(limit.0));
        let stream = self.streams.get(from, to);
        if !stream.dialling {
            stream.dialling = true;
            ground.after(wait, EtcdEvent::Dial { from, to });
        }
    }

    pub(super) fn dial<G: Ground>(&mut self, ground: &mut G, from: MemberId, to: MemberId) {
        let stream = self.streams.get(from, to);
        stream.dialling = false;
        let power = [from, to].map(|end| self.hosts[end.at()].power);
        if stream.up.is_some() || power.contains(&Power::Off) {
            return; // whoever starts, dials
        }
        let ways = (ground.carry(from, to), ground.carry(to, from));
        let (Some(there), Some(back), [Power::On, Power::On]) = (ways.0, ways.1, power) else {
            stream.dialling = true;
            ground.after(REDIAL, EtcdEvent::Dial { from, to });
            return;
        };
        let since = ground.now() + there + back;
        stream.up = Some(since);
        stream.arrival = since;
        ground.note(EtcdNote::Linked { from, to, up: true });
        self.found_a_peer(ground, from);
        self.found_a_peer(ground, to);
    }

    /// A member that starts and finds a peer lets all but two ticks of its time-out pass at once,
    /// to elect sooner (`advanceTicks` in etcd's embed).
    fn found_a_peer<G: Ground>(&mut self, ground: &mut G, member: MemberId) {
        let host = &mut self.hosts[member.at()];
        if std::mem::take(&mut host.alone) {
            host.catch_up(ground.now(), self.options.tick());
            host.member.advance(self.options.pace().election - 2);
            self.await_tick(ground, member);
        }
    }

    pub(super) fn dial_everybody<G: Ground>(&mut self, ground: &mut G, member: MemberId) {
        for other in self.members() {
            if other != member && self.hosts[other.at()].power != Power::Off {
                self.dial_within(ground, member, other, FIRST_DIAL);
                self.dial_within(ground, other, member, FIRST_DIAL);
            }
        }
    }

    /// The kernel of a stopped process resets its connections.
    pub(super) fn streams_of_stopped<G: Ground>(&mut self, ground: &mut G, member: MemberId) {
        for other in self.members() {
            for (from, to) in [(member, other), (other, member)] {
                if self.streams.get(from, to).up.take().is_some() {
                    ground.note(EtcdNote::Linked {
                        from,
                        to,
                        up: false,
                    });
                }
            }
        }
    }

    /// rafthttp's own heartbeats: a stream nobody uses is still found to be cut.
    pub(super) fn probe<G: Ground>(&mut self, ground: &mut G, life: Life) {
        ground.after(PROBE_EVERY, EtcdEvent::Probe(life));
        let now = ground.now();
        for other in self.members() {
            let Some(since) = self.streams.get(life.member, other).up else {
                continue;
            };
            let frozen = |end: MemberId| match self.hosts[end.at()].power {
                Power::Paused { since } => now.since(since) >= SILENCE_BREAKS,
                Power::On | Power::Off => false,
            };
            let cut = since <= now && ground.carry(life.member, other).is_none();
            if cut || frozen(other) || frozen(life.member) {
                self.break_stream(ground, life.member, other);
            }
        }
    }
}
