//! A whole etcd cluster in virtual time: members on hosts with clocks, disks and connections.
//!
//! It reacts to [`EtcdEvent`]s and asks its surroundings, a [`Ground`], for everything else: what
//! time it is, how long a message takes, how long a disk takes. It does not know regions, faults
//! or scenarios, and not the rules by which etcd judges a change of membership ([`Rules`]).

mod disk;
mod host;
mod requests;
mod streams;
#[cfg(test)]
mod tests;

pub use requests::{Outcome, Refusal, Request, Rules, View};

use super::log::{Entries, Index, Term};
use super::member_id::{Config, MEMBER_LIMIT, MemberId, Members};
use super::message::Message;
use super::raft::{Member, Role, Tuning};
use super::safety::{Safety, Violation};
use super::version::Options;
use host::{Host, Power};
use quorate_engine::random::Seed;
use quorate_engine::time::{Span, Time};
use streams::Streams;

/// Something that is due: the world's queue carries it and hands it back to [`Etcd::handle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EtcdEvent {
    /// A member's clock ticks.
    Tick(Life),
    /// A message arrives at the life of the receiver it was sent to.
    Deliver {
        /// How often the receiver had started.
        life: u16,
        /// The message.
        message: Message,
    },
    /// A member's disk has written.
    Written(Life),
    /// A broken stream is dialled again.
    Dial {
        /// Sending end.
        from: MemberId,
        /// Receiving end.
        to: MemberId,
    },
    /// A member looks whether its idle streams still work.
    Probe(Life),
}

const _: () = assert!(size_of::<EtcdEvent>() <= 32, "events are copied a lot");

/// One life of a member, from start to stop: what was due for an earlier one is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// The member.
    pub member: MemberId,
    /// How often it had started.
    pub number: u16,
}

/// What surrounds the cluster. The world implements it over its queue, network and disks.
pub trait Ground {
    /// The time.
    fn now(&self) -> Time;

    /// Hands `event` back after `delay`.
    fn after(&mut self, delay: Span, event: EtcdEvent);

    /// How long a message takes from one member's host to another's if it starts now; None if it
    /// never arrives. A lost packet that TCP repeats is a longer delay, not None: None is a path
    /// that is cut, and costs the connection.
    fn carry(&mut self, from: MemberId, to: MemberId) -> Option<Span>;

    /// How long the member's disk takes to make a write durable, begun now.
    fn fsync(&mut self, member: MemberId) -> Span;

    /// Something happened that others may want to know.
    fn note(&mut self, note: EtcdNote);
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EtcdNote {
    /// The process runs.
    Started(MemberId),
    /// The process ended, whatever the reason.
    Stopped(MemberId),
    /// It asks for votes, or with `pre` whether it would get them.
    Campaigns {
        /// The candidate.
        member: MemberId,
        /// The term it campaigns for.
        term: Term,
        /// Pre-vote.
        pre: bool,
    },
    /// It was elected.
    Leads {
        /// The leader.
        member: MemberId,
        /// Its term.
        term: Term,
    },
    /// It led, and does so no more.
    SteppedDown {
        /// The former leader.
        member: MemberId,
        /// The term it is in now.
        term: Term,
    },
    /// It found its leader.
    Follows {
        /// The follower.
        member: MemberId,
        /// Whom it follows.
        leader: MemberId,
        /// In this term.
        term: Term,
    },
    /// It knows no leader any more.
    LostLeader {
        /// Who.
        member: MemberId,
        /// The term it is in now.
        term: Term,
    },
    /// A position was committed for the first time; all before it are, too.
    Committed {
        /// The position.
        index: Index,
        /// Who committed it.
        by: MemberId,
    },
    /// The configuration in force changed, as first applied by somebody.
    Configured {
        /// Voters now.
        voters: u8,
        /// Learners now.
        learners: u8,
    },
    /// A write's fate, as its client sees it.
    Completed {
        /// The write.
        write: u64,
        /// The member it was proposed at.
        member: MemberId,
        /// Applied there. If false it may still have been, or come to be, applied.
        ok: bool,
    },
    /// A request's fate.
    Answered {
        /// The number the caller gave it.
        token: u64,
        /// What became of it.
        outcome: Outcome,
    },
    /// A connection between two members came up or broke, in this direction.
    Linked {
        /// Sending end.
        from: MemberId,
        /// Receiving end.
        to: MemberId,
        /// Up, else down.
        up: bool,
    },
    /// Safety is violated: see [`Etcd::violations`].
    Violated,
}

/// The state of a member, for whoever looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The process runs (it may be paused).
    pub running: bool,
    /// The process is frozen.
    pub paused: bool,
    /// Its role.
    pub role: Role,
    /// Its term.
    pub term: Term,
    /// The leader it knows.
    pub leader: Option<MemberId>,
    /// What it knows to be committed.
    pub committed: Index,
    /// What it has applied.
    pub applied: Index,
    /// The configuration it has applied.
    pub config: Config,
    /// It runs and knows a leader: it would answer a health check.
    pub healthy: bool,
}

/// The cluster.
#[derive(Debug)]
pub struct Etcd {
    options: Options,
    seed: Seed,
    entries: Entries,
    hosts: Vec<Host>,
    streams: Streams,
    safety: Safety,
    /// Who has ever been up and known a leader: etcd's "started" members.
    started: Members,
    config: Config,
    config_at: Index,
}

impl Etcd {
    /// A new cluster of `voters` members, all stopped, with empty disks.
    ///
    /// # Panics
    /// If `voters` is 0 or exceeds [`MEMBER_LIMIT`].
    #[must_use]
    pub fn new(options: Options, seed: Seed, voters: usize) -> Self {
        assert!(voters > 0, "a cluster has a member");
        let config = Config {
            voters: Members::first(voters),
            learners: Members::NONE,
        };
        let mut etcd = Self {
            options,
            seed,
            entries: Entries::new(config),
            hosts: Vec::new(),
            streams: Streams::default(),
            safety: Safety::default(),
            started: Members::NONE,
            config,
            config_at: 0,
        };
        for _ in 0..voters {
            etcd.add_host(config);
        }
        etcd
    }

    /// A place for a member that is to join: stopped, with an empty disk, belonging to nothing.
    /// None once a run has used up [`MEMBER_LIMIT`] members.
    pub fn provision(&mut self) -> Option<MemberId> {
        (self.hosts.len() < MEMBER_LIMIT).then(|| self.add_host(Config::default()))
    }

    fn add_host(&mut self, known: Config) -> MemberId {
        let id = MemberId(self.hosts.len() as u8);
        let tuning = Tuning {
            pace: self.options.pace(),
            pre_vote: self.options.pre_vote,
            check_quorum: self.options.check_quorum,
            fresh_wait: true,
        };
        let draws = self.seed.stream_of(u64::from(id.0), "etcd time-out");
        let member = Member::new(id, tuning, known, draws);
        let clock = self.seed.stream_of(u64::from(id.0), "etcd clock");
        self.hosts.push(Host::new(member, clock));
        let dials = self.seed.stream_of(u64::from(id.0), "etcd dial");
        self.streams.add(dials);
        id
    }

    /// What runs.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// All members ever provisioned, in order.
    pub fn members(&self) -> impl Iterator<Item = MemberId> + use<> {
        Members::first(self.hosts.len())
    }

    /// A member's state.
    #[must_use]
    pub fn status(&self, member: MemberId) -> Status {
        let host = &self.hosts[member.at()];
        let raft = &host.member;
        let running = host.power != Power::Off;
        let paused = matches!(host.power, Power::Paused { .. });
        Status {
            running,
            paused,
            role: raft.role(),
            term: raft.term(),
            leader: raft.leader().filter(|_| running),
            committed: raft.committed(),
            applied: raft.applied(),
            config: raft.config(),
            healthy: running && !paused && raft.leader().is_some(),
        }
    }

    /// The member that leads in the highest term, if it runs unpaused.
    #[must_use]
    pub fn leader(&self) -> Option<MemberId> {
        let leads = |host: &&Host| host.power == Power::On && host.member.role() == Role::Leader;
        let leader = self
            .hosts
            .iter()
            .filter(leads)
            .max_by_key(|host| host.member.term());
        leader.map(|host| host.member.id())
    }

    /// The configuration as last applied by anybody.
    #[must_use]
    pub fn config(&self) -> Config {
        self.config
    }

    /// Members that have ever been up and known a leader.
    #[must_use]
    pub fn started(&self) -> Members {
        self.started
    }

    /// Broken promises, in order of time.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        self.safety.violations()
    }

    /// The last position known to be committed.
    #[must_use]
    pub fn committed(&self) -> Index {
        self.safety.committed()
    }

    /// How many entries are held in memory.
    #[must_use]
    pub fn entries_held(&self) -> usize {
        self.entries.held()
    }

    /// Voters that `of` has been connected with, both ways, for at least 5 s (`HealthInterval`),
    /// itself included: etcd's count of healthy members, as seen from there.
    #[must_use]
    pub fn connected(&self, of: MemberId, now: Time) -> usize {
        let voters = self.hosts[of.at()].member.config().voters;
        let counts = |peer: &MemberId| *peer == of || self.streams.healthy(of, *peer, now);
        voters.filter(counts).count()
    }

    /// Whether two members have a live connection, both ways.
    #[must_use]
    pub fn linked(&self, one: MemberId, other: MemberId, now: Time) -> bool {
        self.streams.both_up(one, other, now)
    }

    /// Something is due.
    pub fn handle<G: Ground>(&mut self, ground: &mut G, event: EtcdEvent) {
        match event {
            EtcdEvent::Tick(life) => {
                if self.lives(life) {
                    self.tick(ground, life.member);
                }
            }
            EtcdEvent::Deliver { life, message } => {
                let life = Life {
                    member: message.to,
                    number: life,
                };
                if self.lives(life) {
                    self.deliver(ground, message);
                } else {
                    self.lost(&message);
                }
            }
            EtcdEvent::Written(life) => {
                if self.lives(life) {
                    self.written(ground, life.member);
                }
            }
            EtcdEvent::Dial { from, to } => self.dial(ground, from, to),
            EtcdEvent::Probe(life) => {
                if self.lives(life) {
                    self.probe(ground, life);
                }
            }
        }
    }

    fn lives(&self, life: Life) -> bool {
        let host = &self.hosts[life.member.at()];
        host.power != Power::Off && host.life == life.number
    }
}
