//! What clients ask of a member: writes, and changes of the membership.
//!
//! Each request has one outcome. Who may change what is judged by [`Rules`], which are given; here
//! are only the checks that need raft's own knowledge, and the waiting.

use super::host::Power;
use super::{Etcd, EtcdNote, Ground};
use crate::etcd::log::{Index, Payload, Write};
use crate::etcd::member_id::{Change, Config, MemberId, Members};
use crate::etcd::raft::Role;
use crate::etcd::version::Version;
use quorate_engine::time::Time;

/// A request about the membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Change the configuration.
    Change(Change),
    /// Hand leadership to this voter. Only the leader can.
    MoveLeader(MemberId),
}

/// Why a request was refused, or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The member asked is not running, or frozen.
    #[error("the member does not answer")]
    NoAnswer,
    /// `ErrIDExists`.
    #[error("it is a member already")]
    Exists,
    /// `ErrIDNotFound`.
    #[error("it is no member")]
    NotFound,
    /// `ErrMemberNotLearner`.
    #[error("it is no learner")]
    NotLearner,
    /// `ErrLearnerNotReady`: its log holds less than 90 % of the leader's.
    #[error("the learner has not caught up with the leader")]
    LearnerNotReady,
    /// `ErrTooManyLearners`.
    #[error("there is a learner already")]
    TooManyLearners,
    /// `ErrUnhealthy`: not enough members are connected.
    #[error("the cluster is not healthy enough")]
    Unhealthy,
    /// `ErrNotEnoughStartedMembers`.
    #[error("too few members are started")]
    NotEnoughStarted,
    /// `ErrNotLeader`.
    #[error("it is not the leader")]
    NotLeader,
    /// `ErrBadLeaderTransferee`.
    #[error("it cannot become leader")]
    BadTransferee,
    /// Forbidden by a policy of our own, stricter than etcd's.
    #[error("forbidden by policy")]
    Policy,
    /// `ErrTimeout`: nobody knows whether it will take effect. Also if the member died meanwhile.
    #[error("timed out")]
    TimedOut,
}

/// What became of a request.
pub type Outcome = Result<(), Refusal>;

/// What the member that is asked knows when it judges a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Its release.
    pub version: Version,
    /// The member asked.
    pub at: MemberId,
    /// The configuration it has applied.
    pub config: Config,
    /// Voters it is connected with for 5 s at least, itself included.
    pub connected: Members,
    /// Voters that were ever up ("started"), as far as the cluster knows.
    pub started: Members,
    /// It has a live connection, however young, with the member concerned, or is that member.
    pub target_linked: bool,
}

/// The rules by which a member judges a change of the membership, by version.
pub trait Rules {
    /// Whether the change may be proposed.
    ///
    /// # Errors
    /// Why not, in etcd's terms.
    fn judge(&self, change: Change, view: &View) -> Outcome;
}

impl<F: Fn(Change, &View) -> Outcome> Rules for F {
    fn judge(&self, change: Change, view: &View) -> Outcome {
        self(change, view)
    }
}

/// A request that waits to be applied at the member it was made at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    payload: Payload,
    /// Of a change; writes are known by their number.
    token: Option<u64>,
    pub(super) deadline: Time,
}

impl Etcd {
    /// Writes, at a member: the outcome is an [`EtcdNote::Completed`], at the latest after
    /// [`super::Options::request_timeout`]. Without a leader the member waits for one.
    ///
    /// # Errors
    /// [`Refusal::NoAnswer`]; then the write was not, and will not be, applied.
    pub fn propose<G: Ground>(&mut self, ground: &mut G, at: MemberId, write: u64) -> Outcome {
        if self.hosts[at.at()].power != Power::On {
            return Err(Refusal::NoAnswer);
        }
        self.submit(ground, at, Payload::Write(Write::new(write)), None);
        Ok(())
    }

    /// Asks a member for a change of the membership, or for another leader. The outcome is an
    /// [`EtcdNote::Answered`] with `token`, at the latest after a request's time-out.
    pub fn request<G: Ground>(
        &mut self,
        ground: &mut G,
        (at, token): (MemberId, u64),
        request: Request,
        rules: &impl Rules,
    ) {
        let checked = match request {
            Request::Change(change) => self.check_change(ground.now(), at, change, rules),
            Request::MoveLeader(to) => self.check_transfer(at, to),
        };
        if checked.is_err() {
            ground.note(EtcdNote::Answered {
                token,
                outcome: checked,
            });
            return;
        }
        match request {
            Request::Change(change) => {
                self.submit(ground, at, Payload::Change(change), Some(token));
            }
            Request::MoveLeader(to) => {
                let deadline = ground.now() + self.options.request_timeout();
                let host = &mut self.hosts[at.at()];
                host.catch_up(ground.now(), self.options.tick());
                host.transfer = Some((to, token, deadline));
                host.member.transfer(to, &self.entries, &mut host.outbox);
                self.settle(ground, at);
            }
        }
    }

    /// What a member would know if it judged a change of `target` now.
    #[must_use]
    pub fn view(&self, at: MemberId, target: MemberId, now: Time) -> View {
        let config = self.hosts[at.at()].member.config();
        let near = |peer: &MemberId| *peer == at || self.streams.healthy(at, *peer, now);
        View {
            version: self.options.version,
            at,
            config,
            connected: config.voters.filter(near).collect(),
            started: self.started.and(config.voters),
            target_linked: target == at || self.streams.both_up(at, target, now),
        }
    }

    fn check_change(&self, now: Time, at: MemberId, change: Change, rules: &impl Rules) -> Outcome {
        let host = &self.hosts[at.at()];
        if host.power != Power::On {
            return Err(Refusal::NoAnswer);
        }
        let config = host.member.config();
        let target = change.member();
        let known = config.all().contains(target);
        match change {
            Change::AddLearner(_) | Change::AddVoter(_) if known => return Err(Refusal::Exists),
            Change::Promote(_) | Change::Remove(_) if !known => return Err(Refusal::NotFound),
            Change::Promote(_) if !config.learners.contains(target) => {
                return Err(Refusal::NotLearner);
            }
            Change::Promote(_) if !self.has_caught_up(target) => {
                return Err(Refusal::LearnerNotReady);
            }
            Change::AddLearner(_) | Change::AddVoter(_) | Change::Promote(_) => {}
            Change::Remove(_) => {}
        }
        rules.judge(change, &self.view(at, target, now))
    }

    /// 90 % of the leader's log, as the leader knows it (`readyPercentThreshold` in etcd).
    fn has_caught_up(&self, learner: MemberId) -> bool {
        let Some(leader) = self.leader() else {
            return false;
        };
        let raft = &self.hosts[leader.at()].member;
        let matched = raft
            .progress(learner)
            .map_or(0, |progress| progress.matched);
        u64::from(matched) * 10 >= u64::from(raft.log().last()) * 9
    }

    fn check_transfer(&self, at: MemberId, to: MemberId) -> Outcome {
        let host = &self.hosts[at.at()];
        if host.power != Power::On {
            Err(Refusal::NoAnswer)
        } else if host.member.role() != Role::Leader {
            Err(Refusal::NotLeader)
        } else if !host.member.config().voters.contains(to) {
            Err(Refusal::BadTransferee)
        } else {
            Ok(())
        }
    }

    fn submit<G: Ground>(
        &mut self,
        ground: &mut G,
        at: MemberId,
        payload: Payload,
        token: Option<u64>,
    ) {
        let deadline = ground.now() + self.options.request_timeout();
        let host = &mut self.hosts[at.at()];
        host.catch_up(ground.now(), self.options.tick());
        host.waiting.push_back(Waiting {
            payload,
            token,
            deadline,
        });
        if host.member.leader().is_none() {
            host.parked.push(payload);
            self.await_tick(ground, at);
            return;
        }
        // Dropped while leadership moves: its proposer finds out by its deadline, as in etcd.
        let _: Result<(), _> = host
            .member
            .propose(payload, &mut self.entries, &mut host.outbox);
        self.settle(ground, at);
    }

    /// A leader is known: what waited for one goes to it.
    pub(super) fn propose_parked(&mut self, at: MemberId) {
        let host = &mut self.hosts[at.at()];
        if host.parked.is_empty() || host.member.leader().is_none() {
            return;
        }
        for payload in host.parked.drain(..) {
            let _: Result<(), _> =
                host.member
                    .propose(payload, &mut self.entries, &mut host.outbox);
        }
    }

    /// An entry that was proposed at `at` is applied there: tells whoever waited.
    pub(super) fn answer<G: Ground>(
        &mut self,
        ground: &mut G,
        at: MemberId,
        (payload, index): (Payload, Index),
        before: Config,
    ) {
        let host = &mut self.hosts[at.at()];
        let Some(place) = host.waiting.iter().position(|w| w.payload == payload) else {
            return; // given up, or asked in an earlier life
        };
        let waiting = host.waiting.remove(place).expect("it was just found");
        let changed = host.member.config() != before;
        match (payload, waiting.token) {
            (Payload::Write(write), None) => {
                self.safety.acknowledge(index);
                let write = write.number();
                ground.note(EtcdNote::Completed {
                    write,
                    member: at,
                    ok: true,
                });
            }
            (Payload::Change(_), Some(token)) => {
                self.safety.acknowledge(index);
                // Another made the same change meanwhile, or its reverse.
                let outcome = if changed {
                    Ok(())
                } else {
                    Err(Refusal::Exists)
                };
                ground.note(EtcdNote::Answered { token, outcome });
            }
            (Payload::Empty | Payload::Write(_) | Payload::Change(_), _) => {
                panic!("a change waits under a token, a write without one")
            }
        }
    }

    /// Ends what has waited too long, and leader transfers that are done.
    pub(super) fn expire_requests<G: Ground>(&mut self, ground: &mut G, at: MemberId) {
        let now = ground.now();
        let host = &mut self.hosts[at.at()];
        if let Some((to, token, deadline)) = host.transfer {
            let done = host.member.leader() == Some(to);
            if done || deadline <= now {
                host.transfer = None;
                let outcome = if done { Ok(()) } else { Err(Refusal::TimedOut) };
                ground.note(EtcdNote::Answered { token, outcome });
            }
        }
        while let Some(waiting) = host.waiting.pop_front_if(|w| w.deadline <= now) {
            host.parked.retain(|payload| *payload != waiting.payload);
            give_up(ground, at, waiting);
        }
    }

    /// The process died: nobody will ever answer.
    pub(super) fn abandon_requests<G: Ground>(&mut self, ground: &mut G, at: MemberId) {
        let host = &mut self.hosts[at.at()];
        host.parked.clear();
        for waiting in host.waiting.drain(..) {
            give_up(ground, at, waiting);
        }
        if let Some((_, token, _)) = host.transfer.take() {
            let outcome = Err(Refusal::TimedOut);
            ground.note(EtcdNote::Answered { token, outcome });
        }
    }
}

fn give_up<G: Ground>(ground: &mut G, at: MemberId, waiting: Waiting) {
    match (waiting.payload, waiting.token) {
        (Payload::Write(write), _) => {
            let write = write.number();
            ground.note(EtcdNote::Completed {
                write,
                member: at,
                ok: false,
            });
        }
        (Payload::Change(_) | Payload::Empty, Some(token)) => {
            let outcome = Err(Refusal::TimedOut);
            ground.note(EtcdNote::Answered { token, outcome });
        }
        (Payload::Change(_) | Payload::Empty, None) => panic!("a change waits under a token"),
    }
}
