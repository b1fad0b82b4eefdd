//! Proposals, their application, changes of the configuration, and leader transfer.

use super::{Member, Role};
use crate::etcd::log::{Entries, EntryId, Index, Payload};
use crate::etcd::member_id::{Config, MemberId};
use crate::etcd::message::{Body, Message};
use crate::etcd::progress::Progress;

/// A proposal that raft dropped: no leader, a leader that is no member any more, or leadership
/// on the move. It has left no trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped;

impl Member {
    pub(super) fn propose_for(
        &mut self,
        payload: Payload,
        by: MemberId,
        entries: &mut Entries,
        out: &mut Vec<Message>,
    ) -> Result<(), Dropped> {
        match self.role {
            Role::Candidate | Role::PreCandidate => return Err(Dropped),
            Role::Follower => {
                let leader = self.leader.ok_or(Dropped)?;
                out.push(self.message(leader, Body::Propose { payload, by }));
                return Ok(());
            }
            Role::Leader => {}
        }
        if !self.config.all().contains(self.id) || self.transferee.is_some() {
            return Err(Dropped);
        }
        let refused = matches!(payload, Payload::Change(_)) && self.pending_change > self.applied;
        // One change at a time: a second becomes an empty entry, and its proposer waits in vain.
        self.append(if refused { Payload::Empty } else { payload }, by, entries);
        if !refused && matches!(payload, Payload::Change(_)) {
            self.pending_change = self.log.last();
        }
        self.broadcast_append(entries, out);
        Ok(())
    }

    /// Applies the next entry that is committed and on this member's disk.
    pub fn apply_next(&mut self, entries: &mut Entries, out: &mut Vec<Message>) -> Option<EntryId> {
        if self.applied >= self.committed.min(self.persisted) {
            return None;
        }
        self.applied += 1;
        let id = self
            .log
            .id(self.applied)
            .expect("what is committed is in the log");
        let before = std::mem::replace(&mut self.config, entries.config(id));
        if matches!(entries.get(id).payload, Payload::Change(_)) {
            self.change_applied(before, entries, out);
        }
        Some(id)
    }

    fn change_applied(&mut self, before: Config, entries: &Entries, out: &mut Vec<Message>) {
        if self.role != Role::Leader {
            return;
        }
        for joiner in self.config.all() {
            if self.peers.len() <= joiner.at() {
                self.peers.resize(joiner.at() + 1, Progress::new(1));
            }
            if !before.all().contains(joiner) {
                // Counted as active, or CheckQuorum might depose the leader before it speaks.
                self.peers[joiner.at()] = Progress {
                    active: true,
                    ..Progress::new(self.log.last())
                };
            }
        }
        if !self.config.voters.contains(self.id) || self.config.voters.is_empty() {
            return;
        }
        if self.commit_what_a_quorum_holds() {
            self.broadcast_append(entries, out);
        } else {
            for to in self.config.all().without(self.id) {
                self.send_append(to, false, entries, out);
            }
        }
        if self
            .transferee
            .is_some_and(|to| !self.config.voters.contains(to))
        {
            self.transferee = None;
        }
    }

    /// Hands leadership to `to`, which must be a voter: it is asked to campaign once it holds
    /// everything. Given up after an election time-out. Nothing happens unless this member leads.
    pub fn transfer(&mut self, to: MemberId, entries: &Entries, out: &mut Vec<Message>) {
        let possible = self.role == Role::Leader && self.config.voters.contains(to);
        if !possible || self.transferee == Some(to) {
            return;
        }
        self.transferee = None; // another target ends the transfer under way, even the leader
        if to == self.id {
            return;
        }
        self.elapsed = 0;
        self.transferee = Some(to);
        if self.peers[to.at()].matched == self.log.last() {
            out.push(self.message(to, Body::TimeoutNow));
        } else {
            self.send_append(to, true, entries, out);
        }
    }

    /// Forgets the log before `index`, which must be applied. Followers that need it are sent a
    /// snapshot.
    pub fn compact(&mut self, index: Index) {
        assert!(
            index <= self.applied,
            "only what is applied may be compacted"
        );
        self.log.compact(index);
    }
}
