//! The process of a member: start, stop, crash, pause, ticks, and what it is seen to do.

use super::requests::Waiting;
use super::{Etcd, EtcdEvent, EtcdNote, Ground, Life};
use crate::etcd::log::{GENESIS, Index, Payload, Term};
use crate::etcd::member_id::{Config, MemberId, Members};
use crate::etcd::message::Message;
use crate::etcd::raft::{Durable, Member, Role};
use quorate_engine::random::Stream;
use quorate_engine::time::{Span, Time};
use std::collections::VecDeque;

/// A removed member's server ends a second after it has applied its removal (`stopWithDelay` in
/// etcd's `applyConfChange`).
const REMOVED_STOPS_AFTER: Span = Span::from_secs(1);
/// How often idle streams are looked at: a third of rafthttp's `ConnReadTimeout` of 5 s.
pub(super) const PROBE_EVERY: Span = Span::from_ms(5_000 / 3);
/// What waits in a paused process's sockets: the buffer of rafthttp's stream writer.
const INBOX: usize = 4096;

/// Whether a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    Off,
    On,
    Paused { since: Time },
}

/// What was last told of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    role: Role,
    term: Term,
    leader: Option<MemberId>,
    committed: Index,
}

/// One member's process with its disk.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) member: Member,
    pub(super) power: Power,
    pub(super) life: u16,
    pub(super) durable: Durable,
    /// Said by raft, not yet given to disk or network.
    pub(super) outbox: Vec<Message>,
    /// A write is under way; what must wait for it.
    pub(super) writing: Option<Durable>,
    pub(super) held: Vec<Message>,
    /// Came while the process was frozen.
    pub(super) inbox: Vec<Message>,
    pub(super) missed_tick: bool,
    pub(super) missed_write: bool,
    pub(super) seen: Seen,
    /// Proposals that wait for a leader, and all that wait for their application.
    pub(super) parked: Vec<Payload>,
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) transfer: Option<(MemberId, u64, Time)>,
    pub(super) stops_at: Option<Time>,
    /// Members it knows to be removed.
    pub(super) removed: Members,
    pub(super) compacted_at: Index,
    /// It has not found a peer since its start.
    pub(super) alone: bool,
    /// The first tick of its clock that has not been counted.
    next_tick: Time,
    /// The tick it is to be woken at: those before it change nothing but a count.
    wakes_at: Time,
    clock: Stream,
}

/// No tick is awaited.
const NEVER: Time = Time(u64::MAX);

impl Seen {
    fn of(member: &Member) -> Self {
        Self {
            role: member.role(),
            term: member.term(),
            leader: member.leader(),
            committed: member.committed(),
        }
    }
}

impl Host {
    pub(super) fn new(member: Member, clock: Stream) -> Self {
        Self {
            seen: Seen::of(&member),
            member,
            power: Power::Off,
            life: 0,
            durable: Durable::BLANK,
            outbox: Vec::new(),
            writing: None,
            held: Vec::new(),
            inbox: Vec::new(),
            missed_tick: false,
            missed_write: false,
            parked: Vec::new(),
            waiting: VecDeque::new(),
            transfer: None,
            stops_at: None,
            removed: Members::NONE,
            compacted_at: 0,
            alone: true,
            next_tick: NEVER,
            wakes_at: NEVER,
            clock,
        }
    }

    pub(super) fn now_is(&self) -> Life {
        Life {
            member: self.member.id(),
            number: self.life,
        }
    }

    /// Counts the ticks that have come, up to one that may do more than count.
    pub(super) fn catch_up(&mut self, now: Time, tick: Span) {
        if self.power != Power::On || self.next_tick > now {
            return;
        }
        let come = now.since(self.next_tick).0 / tick.0 + 1;
        let quiet = self.member.patience().saturating_sub(1);
        self.count(come.min(u64::from(quiet)), tick);
    }

    fn count(&mut self, ticks: u64, tick: Span) {
        self.member.pass(ticks as u32);
        self.next_tick += Span(ticks * tick.0);
    }

    /// The next tick at which something may happen: an election, a heartbeat, a request's end.
    fn next_event(&self, tick: Span) -> Time {
        let each = self.member.role() == Role::Leader
            || self.stops_at.is_some()
            || self.transfer.is_some();
        let patience = if each { 0 } else { self.member.patience() };
        let quiet = Span(u64::from(patience.saturating_sub(1)) * tick.0);
        let expiry = self.waiting.front().map_or(NEVER, |waiting| {
            let ahead = waiting.deadline.since(self.next_tick).0;
            self.next_tick + Span(ahead.div_ceil(tick.0) * tick.0)
        });
        expiry.min(self.next_tick + quiet)
    }
}

impl Etcd {
    /// Starts a member with what its disk holds. Nothing happens if it runs.
    pub fn start<G: Ground>(&mut self, ground: &mut G, member: MemberId) {
        let host = &mut self.hosts[member.at()];
        if host.power != Power::Off {
            return;
        }
        host.power = Power::On;
        host.life = host.life.wrapping_add(1);
        host.alone = true;
        host.member.restart(&host.durable, &self.entries);
        host.compacted_at = host.member.applied();
        host.seen = Seen::of(&host.member);
        let life = host.now_is();
        let phase = Span(host.clock.below(self.options.tick().0));
        ground.note(EtcdNote::Started(member));
        host.next_tick = ground.now() + phase;
        host.wakes_at = NEVER;
        self.await_tick(ground, member);
        ground.after(PROBE_EVERY, EtcdEvent::Probe(life));
        self.dial_everybody(ground, member);
    }

    /// Starts a member on an empty disk, under its old name: what an operator must never do to a
    /// voter, and what the safety observer is there for.
    pub fn start_without_data<G: Ground>(&mut self, ground: &mut G, member: MemberId) {
        let host = &mut self.hosts[member.at()];
        if host.power == Power::Off {
            host.durable = Durable::BLANK;
            self.start(ground, member);
        }
    }

    /// Starts everybody who is stopped.
    pub fn start_all<G: Ground>(&mut self, ground: &mut G) {
        for member in self.members() {
            self.start(ground, member);
        }
    }

    /// Ends a process without warning. What was not on its disk is gone, and its clients do not
    /// learn what became of their writes.
    pub fn crash<G: Ground>(&mut self, ground: &mut G, member: MemberId) {
        let host = &mut self.hosts[member.at()];
        if host.power == Power::Off {
            return;
        }
        host.power = Power::Off;
        host.outbox.clear();
        host.held.clear();
        host.inbox.clear();
        host.writing = None;
        host.missed_tick = false;
        host.missed_write = false;
        host.stops_at = None;
        if host.removed.contains(member) {
            host.durable = Durable::BLANK; // of no use to anybody: etcd refuses to start with it
        }
        self.streams_of_stopped(ground, member);
        self.abandon_requests(ground, member);
        ground.note(EtcdNote::Stopped(member));
    }

    /// Ends a process politely: a leader first hands over, as etcd does on SIGTERM, and waits for
    /// it no longer than a request may take.
    pub fn stop<G: Ground>(&mut self, ground: &mut G, member: MemberId) {
        let host = &self.hosts[member.at()];
        let leads = host.power == Power::On && host.member.role() == Role::Leader;
        let heir = self.heir(member, ground.now()).filter(|_| leads);
        let Some(heir) = heir else {
            self.crash(ground, member);
            return;
        };
        let deadline = ground.now() + self.options.request_timeout();
        let host = &mut self.hosts[member.at()];
        host.catch_up(ground.now(), self.options.tick());
        host.stops_at = Some(deadline);
        host.member.transfer(heir, &self.entries, &mut host.outbox);
        self.settle(ground, member);
    }

    /// The voter with the longest live connection (`longestConnected` in etcd).
    fn heir(&self, member: MemberId, now: Time) -> Option<MemberId> {
        let voters = self.hosts[member.at()]
            .member
            .config()
            .voters
            .without(member);
        let linked = voters.filter(|peer| self.streams.both_up(member, *peer, now));
        linked.min_by_key(|peer| self.streams.up_since(member, *peer))
    }

    /// Freezes a process: its clock and ears stand still, the network keeps what comes.
    pub fn pause<G: Ground>(&mut self, ground: &mut G, member: MemberId) {
        let host = &mut self.hosts[member.at()];
        if host.power == Power::On {
            host.catch_up(ground.now(), self.options.tick());
            host.power = Power::Paused {
                since: ground.now(),
            };
        }
    }

    /// Thaws it: one missed tick is made up, then what had come is read.
    pub fn resume<G: Ground>(&mut self, ground: &mut G, member: MemberId) {
        let host = &mut self.hosts[member.at()];
        if !matches!(host.power, Power::Paused { .. }) {
            return;
        }
        host.power = Power::On;
        let (now, tick) = (ground.now(), self.options.tick());
        if host.next_tick <= now {
            let missed = now.since(host.next_tick).0 / tick.0 + 1;
            host.next_tick += Span(missed * tick.0);
            host.missed_tick = true;
        }
        if std::mem::take(&mut host.missed_tick) {
            host.member.tick(&mut self.entries, &mut host.outbox);
        }
        let inbox = std::mem::take(&mut host.inbox);
        for message in &inbox {
            host.member
                .step(message, &mut self.entries, &mut host.outbox);
        }
        let missed_write = std::mem::take(&mut host.missed_write);
        if missed_write {
            self.written(ground, member);
        } else {
            self.settle(ground, member);
        }
    }

    pub(super) fn tick<G: Ground>(&mut self, ground: &mut G, member: MemberId) {
        let (now, tick) = (ground.now(), self.options.tick());
        let host = &mut self.hosts[member.at()];
        if host.wakes_at != now {
            return; // an earlier one took its place
        }
        host.wakes_at = NEVER;
        if host.power != Power::On {
            host.missed_tick = true;
            host.next_tick = now + tick;
            self.await_tick(ground, member);
            return;
        }
        host.count(now.since(host.next_tick).0 / tick.0, tick);
        assert_eq!(host.next_tick, now, "it wakes at a tick of its clock");
        host.next_tick += tick;
        host.member.tick(&mut self.entries, &mut host.outbox);
        let due = host.stops_at.is_some_and(|at| at <= ground.now());
        let handed_over = host.stops_at.is_some() && host.member.role() != Role::Leader;
        let leaves = !host.member.config().all().contains(member);
        if due || (handed_over && !leaves) {
            self.crash(ground, member);
            return;
        }
        self.expire_requests(ground, member);
        self.settle(ground, member);
    }

    /// Sees to it that a member wakes for its next tick at which something may happen.
    pub(super) fn await_tick<G: Ground>(&mut self, ground: &mut G, member: MemberId) {
        let host = &mut self.hosts[member.at()];
        if host.power == Power::Off {
            return;
        }
        let at = host.next_event(self.options.tick());
        if at < host.wakes_at {
            host.wakes_at = at;
            ground.after(at.since(ground.now()), EtcdEvent::Tick(host.now_is()));
        }
    }

    pub(super) fn deliver<G: Ground>(&mut self, ground: &mut G, message: Message) {
        let host = &mut self.hosts[message.to.at()];
        if host.removed.contains(message.from) {
            // rafthttp answers a removed member with 410 Gone, and its server stops.
            self.crash(ground, message.from);
            return;
        }
        if host.power != Power::On {
            if host.inbox.len() < INBOX {
                host.inbox.push(message);
            } else {
                self.lost(&message);
            }
            return;
        }
        host.catch_up(ground.now(), self.options.tick());
        host.member
            .step(&message, &mut self.entries, &mut host.outbox);
        if let crate::etcd::message::Body::Snapshot { .. } = message.body {
            self.hosts[message.from.at()]
                .member
                .snapshot_ended(message.to, true);
        }
        self.settle(ground, message.to);
    }

    /// Tells what a member's last step changed, and lets the observer look.
    pub(super) fn observe<G: Ground>(&mut self, ground: &mut G, member: MemberId) {
        let host = &mut self.hosts[member.at()];
        let now = Seen::of(&host.member);
        if now == host.seen {
            return;
        }
        let before = std::mem::replace(&mut host.seen, now);
        if now.leader.is_some() {
            self.started = self.started.with(member);
        }
        tell(ground, member, before, now);
        let violations = self.safety.violations().len();
        let host = &self.hosts[member.at()];
        if now.role == Role::Leader && (before.role, before.term) != (now.role, now.term) {
            self.safety.leads(ground.now(), &host.member, &self.entries);
        }
        if now.committed > before.committed
            && self
                .safety
                .commits(ground.now(), &host.member, &self.entries)
        {
            let index = now.committed;
            ground.note(EtcdNote::Committed { index, by: member });
        }
        if self.safety.violations().len() > violations {
            ground.note(EtcdNote::Violated);
        }
    }

    /// The configuration a member has just applied, told once.
    pub(super) fn applied_config<G: Ground>(
        &mut self,
        ground: &mut G,
        member: MemberId,
        before: Config,
    ) {
        let host = &mut self.hosts[member.at()];
        let now = host.member.config();
        if now == before {
            return;
        }
        host.removed = before
            .all()
            .filter(|m| !now.all().contains(*m))
            .fold(host.removed, Members::with);
        host.removed = now.all().fold(host.removed, Members::without);
        if host.removed.contains(member) {
            host.stops_at = Some(ground.now() + REMOVED_STOPS_AFTER);
        }
        if host.member.applied() > self.config_at {
            self.config_at = host.member.applied();
            self.config = now;
            ground.note(EtcdNote::Configured {
                voters: now.voters.len() as u8,
                learners: now.learners.len() as u8,
            });
        }
    }

    /// Drops what every log has compacted.
    pub(super) fn release(&mut self) {
        let oldest = |host: &Host| {
            let live = (host.power != Power::Off).then(|| host.member.to_write());
            let logs = [Some(host.durable), host.writing, live];
            // An empty log needs no entry.
            let logs = logs.into_iter().flatten().filter(|log| log.tip != GENESIS);
            logs.map(|log| log.oldest).min()
        };
        let Some(oldest) = self.hosts.iter().filter_map(oldest).min() else {
            return;
        };
        let index = self.entries.get(oldest).index;
        self.entries.release_before(oldest);
        self.safety.release_before(index);
    }
}

fn tell<G: Ground>(ground: &mut G, member: MemberId, before: Seen, now: Seen) {
    let term = now.term;
    let changed = (before.role, before.term) != (now.role, now.term);
    if before.role == Role::Leader && (now.role != Role::Leader || changed) {
        ground.note(EtcdNote::SteppedDown { member, term });
    }
    match now.role {
        Role::Leader if changed => ground.note(EtcdNote::Leads { member, term }),
        Role::Candidate | Role::PreCandidate if changed => {
            let pre = now.role == Role::PreCandidate;
            let term = term + Term::from(pre);
            ground.note(EtcdNote::Campaigns { member, term, pre });
        }
        Role::Leader | Role::Candidate | Role::PreCandidate | Role::Follower => {}
    }
    match (before.leader, now.leader) {
        (Some(_), None) => ground.note(EtcdNote::LostLeader { member, term }),
        (old, Some(leader)) if leader != member && (old != Some(leader) || changed) => {
            ground.note(EtcdNote::Follows {
                member,
                leader,
                term,
            });
        }
        (None, None) | (_, Some(_)) => {}
    }
}

/// Whether a log has grown enough to be compacted, and up to where.
pub(super) fn compaction(member: &Member, since: Index, count: u32, keep: u32) -> Option<Index> {
    let due = member.applied().saturating_sub(since) >= count;
    due.then(|| member.applied().saturating_sub(keep))
}
