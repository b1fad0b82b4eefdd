//! From raft to disk and network, in etcd's order (`raftNode.start`): take what raft has said, let
//! a leader send at once and others only what needs no write or is written, then take again.
//!
//! While a write is under way raft goes on, but nothing more leaves the member: a slow disk delays
//! a leader's heartbeats, as it does in life.

use super::host::compaction;
use super::{Etcd, EtcdEvent, Ground};
use crate::etcd::log::Payload;
use crate::etcd::member_id::MemberId;
use crate::etcd::message::{Body, Message};
use crate::etcd::raft::Role;

impl Etcd {
    /// To be called after anything was done to a member: what follows from it.
    pub(super) fn settle<G: Ground>(&mut self, ground: &mut G, member: MemberId) {
        self.hand_on(ground, member);
        self.await_tick(ground, member);
    }

    fn hand_on<G: Ground>(&mut self, ground: &mut G, member: MemberId) {
        self.observe(ground, member);
        if self.hosts[member.at()].member.ruined().is_some() {
            self.safety
                .ruined(ground.now(), &self.hosts[member.at()].member);
            ground.note(super::EtcdNote::Violated);
            self.crash(ground, member);
            return;
        }
        self.propose_parked(member);
        if self.hosts[member.at()].writing.is_some() {
            return;
        }
        self.apply(ground, member);
        let host = &mut self.hosts[member.at()];
        if !host.member.unsynced() {
            if !host.outbox.is_empty() {
                self.send_outbox(ground, member);
            }
            return;
        }
        host.writing = Some(host.member.to_write());
        let life = host.now_is();
        if host.member.role() == Role::Leader {
            self.send_outbox(ground, member);
        } else {
            std::mem::swap(&mut host.outbox, &mut host.held);
        }
        let delay = ground.fsync(member);
        ground.after(delay, EtcdEvent::Written(life));
    }

    /// The disk is done.
    pub(super) fn written<G: Ground>(&mut self, ground: &mut G, member: MemberId) {
        let host = &mut self.hosts[member.at()];
        if host.power != super::Power::On {
            host.missed_write = true;
            return;
        }
        host.catch_up(ground.now(), self.options.tick());
        let written = host.writing.take().expect("a write was under way");
        host.durable = written;
        let mut held = std::mem::take(&mut host.held);
        for message in held.drain(..) {
            self.send(ground, message);
        }
        let host = &mut self.hosts[member.at()];
        host.held = held;
        host.member
            .persisted(&written, &mut self.entries, &mut host.outbox);
        self.settle(ground, member);
    }

    fn send_outbox<G: Ground>(&mut self, ground: &mut G, member: MemberId) {
        let mut outbox = std::mem::take(&mut self.hosts[member.at()].outbox);
        for message in outbox.drain(..) {
            self.send(ground, message);
        }
        // The vector goes back for its memory; sending says nothing new by itself.
        let host = &mut self.hosts[member.at()];
        assert!(host.outbox.is_empty(), "sending does not make raft speak");
        host.outbox = outbox;
    }

    fn send<G: Ground>(&mut self, ground: &mut G, message: Message) {
        match self.delay(ground, message.from, message.to) {
            Some(delay) => {
                let life = self.hosts[message.to.at()].life;
                ground.after(delay, EtcdEvent::Deliver { life, message });
            }
            None => self.lost(&message),
        }
    }

    /// A message will not arrive: rafthttp tells its sender's raft.
    pub(super) fn lost(&mut self, message: &Message) {
        let raft = &mut self.hosts[message.from.at()].member;
        match message.body {
            Body::Snapshot { .. } => raft.snapshot_ended(message.to, false),
            Body::Append { .. } => raft.unreachable(message.to),
            Body::Heartbeat { .. }
            | Body::HeartbeatHeard
            | Body::Appended { .. }
            | Body::Rejected { .. }
            | Body::Vote { .. }
            | Body::VoteAnswer { .. }
            | Body::PreVote { .. }
            | Body::PreVoteAnswer { .. }
            | Body::TimeoutNow
            | Body::Propose { .. } => {}
        }
    }

    /// Applies what is committed and on disk, and answers those who waited for it.
    fn apply<G: Ground>(&mut self, ground: &mut G, member: MemberId) {
        loop {
            let host = &mut self.hosts[member.at()];
            let before = host.member.config();
            let Some(id) = host.member.apply_next(&mut self.entries, &mut host.outbox) else {
                break;
            };
            let entry = self.entries.get(id);
            let (by, payload, index) = (entry.by, entry.payload, entry.index);
            if matches!(payload, Payload::Change(_)) || before.all().is_empty() {
                self.applied_config(ground, member, before);
            }
            if by == member {
                self.answer(ground, member, (payload, index), before);
            }
        }
        self.observe(ground, member);
        let (count, keep) = (self.options.snapshot_count, self.options.catch_up_entries);
        let host = &mut self.hosts[member.at()];
        if let Some(upto) = compaction(&host.member, host.compacted_at, count, keep) {
            host.compacted_at = host.member.applied();
            if upto > host.member.log().base() {
                host.member.compact(upto);
                self.release();
            }
        }
    }
}
