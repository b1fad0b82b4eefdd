//! Replication: what a leader sends, what a follower answers, and what is thereby committed.

use super::{Member, Role, Ruined};
use crate::etcd::log::{Entries, EntryId, Index, Payload, Term, Unfit};
use crate::etcd::member_id::MemberId;
use crate::etcd::message::{Body, Message};
use crate::etcd::progress::Flow;

impl Member {
    /// A leader's own new entry.
    pub(super) fn append(&mut self, payload: Payload, by: MemberId, entries: &mut Entries) {
        assert_eq!(self.role, Role::Leader, "only a leader makes entries");
        let id = entries.follow(self.log.tip(), self.term, payload, by);
        self.log.push(id, self.term);
    }

    pub(super) fn broadcast_heartbeat(&self, out: &mut Vec<Message>) {
        for to in self.config.all().without(self.id) {
            let commit = self.committed.min(self.peers[to.at()].matched);
            out.push(self.message(to, Body::Heartbeat { commit }));
        }
    }

    pub(super) fn broadcast_append(&mut self, entries: &Entries, out: &mut Vec<Message>) {
        for to in self.config.all().without(self.id) {
            self.send_append(to, true, entries, out);
        }
    }

    /// Sends what `to` lacks; with `even_empty` also a bare commit index. Whether it sent.
    pub(super) fn send_append(
        &mut self,
        to: MemberId,
        even_empty: bool,
        entries: &Entries,
        out: &mut Vec<Message>,
    ) -> bool {
        let peer = self.peers[to.at()];
        if peer.is_paused() {
            return false;
        }
        let last = self.log.last();
        let prev = peer.next - 1;
        if prev == last && !even_empty {
            return false;
        }
        let Some(prev_term) = self.log.term(prev) else {
            return self.send_snapshot(to, entries, out);
        };
        let tip = (prev < last).then(|| self.log.tip());
        if tip.is_some() {
            self.peers[to.at()].sent(last);
        }
        let commit = self.committed;
        out.push(self.message(
            to,
            Body::Append {
                prev,
                prev_term,
                commit,
                tip,
            },
        ));
        true
    }

    /// What `to` lacks is compacted: all state instead, if it lives.
    fn send_snapshot(&mut self, to: MemberId, entries: &Entries, out: &mut Vec<Message>) -> bool {
        if !self.peers[to.at()].active {
            return false;
        }
        let tip = self
            .log
            .id(self.applied)
            .expect("what is applied is in the log");
        let pending = entries.get(tip).index;
        self.peers[to.at()].flow = Flow::Snapshot { pending };
        out.push(self.message(to, Body::Snapshot { tip }));
        true
    }

    /// The transport could not deliver to `to`: stop sending ahead.
    pub fn unreachable(&mut self, to: MemberId) {
        if self.role == Role::Leader && self.config.all().contains(to) {
            let peer = &mut self.peers[to.at()];
            if peer.flow == Flow::Replicate {
                peer.probe();
            }
        }
    }

    /// The transport says what became of a snapshot to `to`.
    pub fn snapshot_ended(&mut self, to: MemberId, delivered: bool) {
        if self.role == Role::Leader && self.config.all().contains(to) {
            self.peers[to.at()].snapshot_ended(delivered);
        }
    }

    /// The leader of this term speaks.
    pub(super) fn hear_leader(
        &mut self,
        message: &Message,
        entries: &mut Entries,
        out: &mut Vec<Message>,
    ) {
        match self.role {
            Role::Leader => return, // etcd's leader ignores these: there is no other in its term
            Role::Candidate | Role::PreCandidate => {
                self.become_follower(message.term, Some(message.from));
            }
            Role::Follower => {
                self.elapsed = 0;
                self.leader = Some(message.from);
            }
        }
        let answer = match message.body {
            Body::Heartbeat { commit } => {
                self.commit_to(commit);
                Some(Body::HeartbeatHeard)
            }
            Body::Append {
                prev,
                prev_term,
                commit,
                tip,
            } => self.take_entries((prev, prev_term), commit, tip, entries),
            Body::Snapshot { tip } => {
                let last = self.take_snapshot(tip, entries);
                Some(Body::Appended { last })
            }
            Body::HeartbeatHeard
            | Body::Appended { .. }
            | Body::Rejected { .. }
            | Body::Vote { .. }
            | Body::VoteAnswer { .. }
            | Body::PreVote { .. }
            | Body::PreVoteAnswer { .. }
            | Body::TimeoutNow
            | Body::Propose { .. } => unreachable!("only a leader's messages come here"),
        };
        if let Some(answer) = answer.filter(|_| self.ruined.is_none()) {
            out.push(self.message(message.from, answer));
        }
    }

    fn take_entries(
        &mut self,
        (prev, prev_term): (Index, Term),
        commit: Index,
        tip: Option<EntryId>,
        entries: &Entries,
    ) -> Option<Body> {
        if prev < self.committed {
            let last = self.committed;
            return Some(Body::Appended { last });
        }
        if self.log.term(prev) != Some(prev_term) {
            let (hint, hint_term) = self.log.last_at_most(prev, prev_term);
            return Some(Body::Rejected {
                prev,
                hint,
                hint_term,
            });
        }
        let mut last = prev;
        if let Some(tip) = tip {
            let kept = match self.log.splice(entries, prev, tip, self.committed) {
                Ok(kept) => kept,
                Err(Unfit::Released) => return None,
                Err(Unfit::Contradicts) => {
                    self.ruin(commit);
                    return None;
                }
            };
            self.persisted = self.persisted.min(kept);
            last = entries.get(tip).index;
        }
        self.commit_to(commit.min(last));
        Some(Body::Appended { last })
    }

    /// Takes a snapshot that is newer than what is here. How far the log reaches, or is committed.
    fn take_snapshot(&mut self, tip: EntryId, entries: &Entries) -> Index {
        let Some(index) = entries.find(tip).map(|entry| entry.index) else {
            return self.committed;
        };
        let config = entries.config(tip);
        if index <= self.committed || !config.all().contains(self.id) {
            return self.committed;
        }
        if self.log.id(index) == Some(tip) {
            self.commit_to(index);
            return self.committed;
        }
        self.log.restore(entries, tip);
        self.config = config;
        self.committed = index;
        self.applied = index;
        self.persisted = 0;
        index
    }

    /// A follower's answer, to its leader.
    pub(super) fn hear_follower(
        &mut self,
        message: &Message,
        entries: &mut Entries,
        out: &mut Vec<Message>,
    ) {
        let from = message.from;
        let last = self.log.last();
        let peer = &mut self.peers[from.at()];
        peer.active = true;
        match message.body {
            Body::HeartbeatHeard => {
                peer.resume();
                if peer.matched < last {
                    self.send_append(from, true, entries, out);
                }
            }
            Body::Rejected {
                prev,
                hint,
                hint_term,
            } => {
                let hint = if hint_term > 0 {
                    self.log.last_at_most(hint, hint_term).0
                } else {
                    hint
                };
                if self.peers[from.at()].refused(prev, hint) {
                    self.send_append(from, true, entries, out);
                }
            }
            Body::Appended { last } => self.hear_acknowledgement(from, last, entries, out),
            Body::Heartbeat { .. }
            | Body::Append { .. }
            | Body::Snapshot { .. }
            | Body::Vote { .. }
            | Body::VoteAnswer { .. }
            | Body::PreVote { .. }
            | Body::PreVoteAnswer { .. }
            | Body::TimeoutNow
            | Body::Propose { .. } => unreachable!("only a follower's messages come here"),
        }
    }

    fn hear_acknowledgement(
        &mut self,
        from: MemberId,
        last: Index,
        entries: &Entries,
        out: &mut Vec<Message>,
    ) {
        let peer = &mut self.peers[from.at()];
        let was_paused = peer.is_paused();
        if !peer.acknowledged(last) {
            return;
        }
        if self.commit_what_a_quorum_holds() {
            self.broadcast_append(entries, out);
        } else if was_paused {
            self.send_append(from, true, entries, out);
        }
        self.send_append(from, false, entries, out);
        if self.transferee == Some(from) && self.peers[from.at()].matched == self.log.last() {
            out.push(self.message(from, Body::TimeoutNow));
        }
    }

    /// Commits up to where a majority of voters hold the log, if that is an entry of this term
    /// (Raft paper, 5.4.2). Whether anything was committed.
    pub(super) fn commit_what_a_quorum_holds(&mut self) -> bool {
        let quorum = self.config.quorum();
        let held = |index: Index| {
            let holders = self
                .config
                .voters
                .filter(|m| self.peers[m.at()].matched >= index);
            holders.count() >= quorum
        };
        let best = self.config.voters.map(|m| self.peers[m.at()].matched);
        let best = best
            .filter(|&index| index > self.committed && held(index))
            .max();
        match best {
            Some(index) if self.log.term(index) == Some(self.term) => {
                self.committed = index;
                true
            }
            Some(_) | None => false,
        }
    }

    /// The leader says that everything up to here is committed.
    fn commit_to(&mut self, commit: Index) {
        if commit > self.log.last() {
            self.ruin(commit);
        } else {
            self.committed = self.committed.max(commit);
        }
    }

    fn ruin(&mut self, commit: Index) {
        self.ruined = Some(Ruined {
            commit,
            last: self.log.last(),
        });
    }
}
