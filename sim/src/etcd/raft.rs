//! One member of a raft group, with the semantics of etcd's library.
//!
//! Pure: ticks and messages go in, messages come out in a vector that the caller reuses. Time is
//! counted in ticks; nothing here knows a clock, a network, a disk or another member's state.
//! Durability is the caller's promise: it keeps back what [`Member::unsynced`] forbids to send,
//! and says [`Member::persisted`] when the disk has it.
//!
//! Followed: etcd `raft/raft.go` v3.4 to v3.6. Left out, because nothing here could tell the
//! difference: flow-control windows, read indices, joint configurations, and snapshots' contents.

mod election;
mod membership;
mod replication;
#[cfg(test)]
mod tests;

pub use membership::Dropped;

use super::log::{Entries, EntryId, GENESIS, Index, Log, Payload, Term};
use super::member_id::{Config, MemberId, Members};
use super::message::{Body, Message};
use super::progress::Progress;
use super::version::Pace;
use election::Campaign;
use quorate_engine::random::Stream;

/// What a member is in its term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether it would be voted for.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

/// The settings of one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Timers.
    pub pace: Pace,
    /// Ask before campaigning.
    pub pre_vote: bool,
    /// Leaders step down without a quorum, and followers of a live leader ignore candidates.
    pub check_quorum: bool,
    /// A member that adopts a term, or loses an election, waits for a whole new time-out: so does
    /// etcd. In the Raft paper only a vote given and a leader heard restart the wait.
    pub fresh_wait: bool,
}

/// What survives a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durable {
    /// The term.
    pub term: Term,
    /// The vote given in it.
    pub vote: Option<MemberId>,
    /// Known to be committed.
    pub commit: Index,
    /// The oldest entry of the log.
    pub oldest: EntryId,
    /// The newest.
    pub tip: EntryId,
}

impl Durable {
    /// An empty disk.
    pub const BLANK: Self = Self {
        term: 0,
        vote: None,
        commit: 0,
        oldest: GENESIS,
        tip: GENESIS,
    };
}

/// Why a member cannot go on: committed entries that it had acknowledged are gone. etcd panics
/// here ("tocommit is out of range. Was the raft log corrupted, truncated, or lost?").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ruined {
    /// What it should have committed.
    pub commit: Index,
    /// Where its log ends, or starts to differ.
    pub last: Index,
}

/// One member.
#[derive(Debug, Clone)]
pub struct Member {
    id: MemberId,
    tuning: Tuning,
    role: Role,
    term: Term,
    vote: Option<MemberId>,
    leader: Option<MemberId>,
    elapsed: u32,
    since_heartbeat: u32,
    timeout: u32,
    log: Log,
    committed: Index,
    applied: Index,
    persisted: Index,
    synced: (Term, Option<MemberId>),
    config: Config,
    founding: Config,
    granted: Members,
    refused: Members,
    peers: Vec<Progress>,
    transferee: Option<MemberId>,
    pending_change: Index,
    ruined: Option<Ruined>,
    draws: Stream,
}

impl Member {
    /// A member with an empty log that knows `config`; [`Config::default`] for one that joins and
    /// has yet to hear who its cluster is. `draws` gives its time-outs.
    #[must_use]
    pub fn new(id: MemberId, tuning: Tuning, config: Config, draws: Stream) -> Self {
        let mut member = Self {
            id,
            tuning,
            role: Role::Follower,
            term: 0,
            vote: None,
            leader: None,
            elapsed: 0,
            since_heartbeat: 0,
            timeout: 0,
            log: Log::default(),
            committed: 0,
            applied: 0,
            persisted: 0,
            synced: (0, None),
            config,
            founding: config,
            granted: Members::NONE,
            refused: Members::NONE,
            peers: Vec::new(),
            transferee: None,
            pending_change: 0,
            ruined: None,
            draws,
        };
        member.reset(0);
        member
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> MemberId {
        self.id
    }

    /// Its role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Its term.
    #[must_use]
    pub fn term(&self) -> Term {
        self.term
    }

    /// The leader it knows.
    #[must_use]
    pub fn leader(&self) -> Option<MemberId> {
        self.leader
    }

    /// The vote it gave in its term.
    #[must_use]
    pub fn vote(&self) -> Option<MemberId> {
        self.vote
    }

    /// What it knows to be committed.
    #[must_use]
    pub fn committed(&self) -> Index {
        self.committed
    }

    /// What it has applied.
    #[must_use]
    pub fn applied(&self) -> Index {
        self.applied
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The configuration it has applied.
    #[must_use]
    pub fn config(&self) -> Config {
        self.config
    }

    /// Ticks without a leader after which it campaigns: the draw in force.
    #[must_use]
    pub fn timeout(&self) -> u32 {
        self.timeout
    }

    /// Ticks that may pass until it campaigns, if it hears nothing. 0 for a leader.
    #[must_use]
    pub fn patience(&self) -> u32 {
        match self.role {
            Role::Leader => 0,
            Role::Follower | Role::PreCandidate | Role::Candidate => {
                self.timeout.saturating_sub(self.elapsed)
            }
        }
    }

    /// A leader's view of another member. None unless this one leads and knows it.
    #[must_use]
    pub fn progress(&self, of: MemberId) -> Option<&Progress> {
        (self.role == Role::Leader && self.config.all().contains(of)).then(|| &self.peers[of.at()])
    }

    /// Set once its log turned out to have lost what was committed: it must be stopped.
    #[must_use]
    pub fn ruined(&self) -> Option<Ruined> {
        self.ruined
    }

    /// A tick of its clock.
    pub fn tick(&mut self, entries: &mut Entries, out: &mut Vec<Message>) {
        self.elapsed += 1;
        if self.role == Role::Leader {
            self.tick_leader(out);
        } else if self.elapsed >= self.timeout && self.is_promotable() {
            self.elapsed = 0;
            self.campaign(Campaign::by_timeout(self.tuning.pre_vote), entries, out);
        }
    }

    /// Lets up to `ticks` pass at once, but never the one that ends in a campaign.
    pub fn advance(&mut self, ticks: u32) {
        if self.role != Role::Leader {
            self.elapsed = (self.elapsed + ticks).min(self.timeout - 1);
        }
    }

    /// Lets ticks pass in which nothing happens: it does not lead, and none ends in a campaign.
    ///
    /// # Panics
    /// If something would have happened: see [`Self::patience`].
    pub fn pass(&mut self, ticks: u32) {
        let elapsed = self.elapsed.saturating_add(ticks);
        let is_quiet =
            self.role != Role::Leader && (elapsed < self.timeout || !self.is_promotable());
        assert!(
            ticks == 0 || is_quiet,
            "a tick that matters was passed over"
        );
        self.elapsed = elapsed;
    }

    fn tick_leader(&mut self, out: &mut Vec<Message>) {
        self.since_heartbeat += 1;
        if self.elapsed >= self.tuning.pace.election {
            self.elapsed = 0;
            if self.tuning.check_quorum && !self.quorum_was_active() {
                self.become_follower(self.term, None);
                return;
            }
            self.transferee = None;
        }
        if self.since_heartbeat >= self.tuning.pace.heartbeat {
            self.since_heartbeat = 0;
            self.broadcast_heartbeat(out);
        }
    }

    /// A message from another member.
    pub fn step(&mut self, message: &Message, entries: &mut Entries, out: &mut Vec<Message>) {
        if let Body::Propose { payload, by } = message.body {
            // A dropped proposal has no answer: its proposer waits until its patience ends.
            let _: Result<(), Dropped> = self.propose_for(payload, by, entries, out);
            return;
        }
        if message.body.is_answer() && !self.config.all().contains(message.from) {
            return;
        }
        if message.term > self.term {
            if self.ignores(message) {
                return;
            }
            self.adopt_term(message);
        } else if message.term < self.term {
            self.answer_the_past(message, out);
            return;
        }
        match message.body {
            Body::Vote {
                last, last_term, ..
            }
            | Body::PreVote { last, last_term } => {
                self.answer_candidate(message, (last, last_term), out);
            }
            Body::VoteAnswer { granted } => {
                if self.role == Role::Candidate {
                    self.count_vote(message.from, granted, entries, out);
                }
            }
            Body::PreVoteAnswer { granted } => {
                if self.role == Role::PreCandidate {
                    self.count_vote(message.from, granted, entries, out);
                }
            }
            Body::Heartbeat { .. } | Body::Append { .. } | Body::Snapshot { .. } => {
                self.hear_leader(message, entries, out);
            }
            Body::HeartbeatHeard | Body::Appended { .. } | Body::Rejected { .. } => {
                if self.role == Role::Leader {
                    self.hear_follower(message, entries, out);
                }
            }
            Body::TimeoutNow => {
                if self.role == Role::Follower && self.is_promotable() {
                    self.campaign(Campaign::Transfer, entries, out);
                }
            }
            Body::Propose { .. } => unreachable!("proposals carry no term"),
        }
    }

    /// Whether the disk must have something before more may be said (by others than a leader,
    /// which sends its entries while it writes them: Raft thesis, 10.2.1).
    #[must_use]
    pub fn unsynced(&self) -> bool {
        self.synced != (self.term, self.vote) || self.persisted < self.log.last()
    }

    /// What would be on disk if everything so far were written now.
    #[must_use]
    pub fn to_write(&self) -> Durable {
        Durable {
            term: self.term,
            vote: self.vote,
            commit: self.committed,
            oldest: self.log.oldest(),
            tip: self.log.tip(),
        }
    }

    /// The disk has what [`Self::to_write`] said.
    pub fn persisted(&mut self, written: &Durable, entries: &mut Entries, out: &mut Vec<Message>) {
        self.synced = (written.term, written.vote);
        // Entries that were replaced while they were being written do not count.
        let Some(last) = entries.find(written.tip).map(|entry| entry.index) else {
            return;
        };
        if last <= self.persisted || self.log.id(last) != Some(written.tip) {
            return;
        }
        self.persisted = last;
        if self.role == Role::Leader && self.config.all().contains(self.id) {
            let news = self.peers[self.id.at()].acknowledged(last);
            if news && self.commit_what_a_quorum_holds() {
                self.broadcast_append(entries, out);
            }
        }
    }

    /// Back from a crash: everything that was not on disk is gone.
    pub fn restart(&mut self, durable: &Durable, entries: &Entries) {
        self.log = Log::rebuild(entries, durable.oldest, durable.tip);
        self.term = durable.term;
        self.vote = durable.vote;
        self.synced = (durable.term, durable.vote);
        self.persisted = self.log.last();
        self.committed = durable.commit.max(self.log.base());
        self.applied = self.committed;
        self.config = if self.applied == 0 {
            self.founding
        } else {
            let at = self.log.id(self.applied);
            entries.config(at.expect("what is applied is in the log"))
        };
        self.role = Role::Follower;
        self.ruined = None;
        self.reset(durable.term);
    }

    fn is_promotable(&self) -> bool {
        self.config.voters.contains(self.id)
    }

    /// To a new or the same term, knowing no leader, with a new time-out.
    fn reset(&mut self, term: Term) {
        if self.term != term {
            assert!(term > self.term, "terms never fall");
            self.term = term;
            self.vote = None;
        }
        self.leader = None;
        self.elapsed = 0;
        self.since_heartbeat = 0;
        let Pace {
            shortest, longest, ..
        } = self.tuning.pace;
        self.timeout = shortest + self.draws.below(u64::from(longest - shortest) + 1) as u32;
        self.transferee = None;
        self.pending_change = 0;
        self.granted = Members::NONE;
        self.refused = Members::NONE;
    }

    /// Follows nobody yet in `term`.
    fn fall_back(&mut self, term: Term) {
        let wait = (self.elapsed, self.timeout);
        self.become_follower(term, None);
        if !self.tuning.fresh_wait {
            (self.elapsed, self.timeout) = wait;
        }
    }

    fn become_follower(&mut self, term: Term, leader: Option<MemberId>) {
        self.reset(term);
        self.role = Role::Follower;
        self.leader = leader;
    }

    fn message(&self, to: MemberId, body: Body) -> Message {
        Message {
            from: self.id,
            to,
            term: self.term,
            body,
        }
    }

    /// Proposes at this member; a follower passes it on to its leader.
    ///
    /// # Errors
    /// [`Dropped`] where etcd's raft drops it: no leader is known, or leadership is on the move.
    pub fn propose(
        &mut self,
        payload: Payload,
        entries: &mut Entries,
        out: &mut Vec<Message>,
    ) -> Result<(), Dropped> {
        self.propose_for(payload, self.id, entries, out)
    }
}
