//! Elections: campaigns, votes, leases, and what a stale term is told.

use super::{Member, Role};
use crate::etcd::log::{Entries, Index, Payload, Term};
use crate::etcd::member_id::{MemberId, Members};
use crate::etcd::message::{Body, Message};
use crate::etcd::progress::Progress;

/// Why a member stands for election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Campaign {
    /// It asks first whether it would win.
    Pre,
    /// Its time-out, or a pre-vote it won.
    Election,
    /// The leader asked it to: neither leases nor pre-vote count.
    Transfer,
}

impl Campaign {
    pub(super) const fn by_timeout(pre_vote: bool) -> Self {
        if pre_vote { Self::Pre } else { Self::Election }
    }
}

impl Member {
    /// Stands for election.
    pub(super) fn campaign(
        &mut self,
        why: Campaign,
        entries: &mut Entries,
        out: &mut Vec<Message>,
    ) {
        assert_ne!(self.role, Role::Leader, "a leader does not campaign");
        if self.has_unapplied_change(entries) {
            return;
        }
        let role = if why == Campaign::Pre {
            self.leader = None;
            self.granted = Members::NONE;
            self.refused = Members::NONE;
            Role::PreCandidate
        } else {
            self.reset(self.term + 1);
            self.vote = Some(self.id);
            Role::Candidate
        };
        self.role = role;
        self.count_vote(self.id, true, entries, out);
        if self.role != role {
            return; // alone, it has won by its own vote
        }
        let (last, last_term) = (self.log.last(), self.log.last_term());
        for to in self.config.voters.without(self.id) {
            out.push(match why {
                Campaign::Pre => Message {
                    term: self.term + 1,
                    ..self.message(to, Body::PreVote { last, last_term })
                },
                Campaign::Election | Campaign::Transfer => {
                    let force = why == Campaign::Transfer;
                    self.message(
                        to,
                        Body::Vote {
                            last,
                            last_term,
                            force,
                        },
                    )
                }
            });
        }
    }

    /// A committed change of the configuration that is not applied forbids to campaign.
    fn has_unapplied_change(&self, entries: &Entries) -> bool {
        (self.applied + 1..=self.committed).any(|index| {
            let id = self.log.id(index).expect("what is committed is in the log");
            matches!(entries.get(id).payload, Payload::Change(_))
        })
    }

    /// The lease: a member that hears a leader does not help to depose it.
    pub(super) fn ignores(&self, message: &Message) -> bool {
        let asks = match message.body {
            Body::Vote { force, .. } => !force,
            Body::PreVote { .. } => true,
            Body::Heartbeat { .. }
            | Body::HeartbeatHeard
            | Body::Append { .. }
            | Body::Appended { .. }
            | Body::Rejected { .. }
            | Body::Snapshot { .. }
            | Body::VoteAnswer { .. }
            | Body::PreVoteAnswer { .. }
            | Body::TimeoutNow
            | Body::Propose { .. } => false,
        };
        asks && self.tuning.check_quorum
            && self.leader.is_some()
            && self.elapsed < self.tuning.pace.election
    }

    /// A higher term was heard: follow it, unless it is only asked about.
    pub(super) fn adopt_term(&mut self, message: &Message) {
        let leader = match message.body {
            Body::PreVote { .. } | Body::PreVoteAnswer { granted: true } => return,
            Body::Heartbeat { .. } | Body::Append { .. } | Body::Snapshot { .. } => {
                Some(message.from)
            }
            Body::HeartbeatHeard
            | Body::Appended { .. }
            | Body::Rejected { .. }
            | Body::Vote { .. }
            | Body::VoteAnswer { .. }
            | Body::PreVoteAnswer { granted: false }
            | Body::TimeoutNow
            | Body::Propose { .. } => None,
        };
        match leader {
            Some(_) => self.become_follower(message.term, leader),
            None => self.fall_back(message.term),
        }
    }

    /// A lower term was heard. A leader of the past must learn of this term, or a member that
    /// raised its term alone could never come back: followers under a lease ignore its requests.
    pub(super) fn answer_the_past(&self, message: &Message, out: &mut Vec<Message>) {
        let from_leader = matches!(message.body, Body::Heartbeat { .. } | Body::Append { .. });
        if from_leader && (self.tuning.check_quorum || self.tuning.pre_vote) {
            out.push(self.message(message.from, Body::Appended { last: 0 }));
        } else if matches!(message.body, Body::PreVote { .. }) {
            out.push(self.message(message.from, Body::PreVoteAnswer { granted: false }));
        }
    }

    /// Gives or refuses a vote: one per term, and only for a log at least as complete.
    pub(super) fn answer_candidate(
        &mut self,
        message: &Message,
        (last, last_term): (Index, Term),
        out: &mut Vec<Message>,
    ) {
        let pre = matches!(message.body, Body::PreVote { .. });
        let free = self.vote == Some(message.from)
            || (self.vote.is_none() && self.leader.is_none())
            || (pre && message.term > self.term);
        let granted = free && self.log.is_matched_by(last, last_term);
        let body = if pre {
            Body::PreVoteAnswer { granted }
        } else {
            Body::VoteAnswer { granted }
        };
        out.push(Message {
            // Granted in the term that was asked about, refused in the term that refuses.
            term: if granted { message.term } else { self.term },
            ..self.message(message.from, body)
        });
        if granted && !pre {
            self.elapsed = 0;
            self.vote = Some(message.from);
        }
    }

    /// Counts a vote, and becomes what the count makes of it.
    pub(super) fn count_vote(
        &mut self,
        from: MemberId,
        granted: bool,
        entries: &mut Entries,
        out: &mut Vec<Message>,
    ) {
        if !self.granted.or(self.refused).contains(from) {
            let side = if granted {
                &mut self.granted
            } else {
                &mut self.refused
            };
            *side = side.with(from);
        }
        let voters = self.config.voters;
        let won = self.granted.and(voters).len() >= self.config.quorum();
        let lost = voters.len() - self.refused.and(voters).len() < self.config.quorum();
        match self.role {
            Role::PreCandidate if won => {
                self.campaign(Campaign::Election, entries, out);
            }
            Role::Candidate if won => {
                self.become_leader(entries);
                self.broadcast_append(entries, out);
            }
            Role::PreCandidate | Role::Candidate if lost => self.fall_back(self.term),
            Role::PreCandidate | Role::Candidate => {}
            Role::Follower | Role::Leader => panic!("votes are counted by candidates only"),
        }
    }

    fn become_leader(&mut self, entries: &mut Entries) {
        assert_eq!(self.role, Role::Candidate, "only a candidate can win");
        self.reset(self.term);
        self.role = Role::Leader;
        self.leader = Some(self.id);
        let last = self.log.last();
        self.peers.clear();
        let slots = 1 + self
            .config
            .all()
            .or(Members::NONE.with(self.id))
            .last()
            .map_or(0, MemberId::at);
        self.peers.resize(slots, Progress::new(last + 1));
        let me = &mut self.peers[self.id.at()];
        me.matched = self.persisted;
        me.replicate();
        // Nobody knows whether the tail holds a change of the configuration: none is taken until
        // all of it is applied.
        self.pending_change = last;
        self.append(Payload::Empty, self.id, entries);
    }

    /// CheckQuorum: whether a majority was heard since the last time; asks anew.
    pub(super) fn quorum_was_active(&mut self) -> bool {
        let mut heard = Members::NONE.with(self.id);
        for member in self.config.all().without(self.id) {
            if std::mem::take(&mut self.peers[member.at()].active) {
                heard = heard.with(member);
            }
        }
        heard.and(self.config.voters).len() >= self.config.quorum()
    }
}
