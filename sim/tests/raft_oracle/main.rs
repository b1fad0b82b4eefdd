//! Our raft member against raft-rs (the crate `raft`, a port of etcd's own library), in lockstep.
//!
//! One random schedule of ticks, deliveries, losses, slow disks, crashes, proposals, changes of
//! the configuration and leader transfers goes into both. After every step, role, term, vote,
//! leader, log and commit index must be equal, and so must every message that is sent. raft-rs
//! draws its time-outs from a thread's generator, so ours are imposed on it. Its vote messages
//! also carry commit hints, which etcd does not know; they are taken out on the way.

mod theirs;

use quorate_engine::random::{Seed, Stream};
use quorate_sim::etcd::log::{Entries, Payload, Write};
use quorate_sim::etcd::member_id::{Change, Config, MemberId, Members};
use quorate_sim::etcd::message::Message;
use quorate_sim::etcd::raft::{Durable, Member, Role, Tuning};
use quorate_sim::etcd::version::Pace;
use std::collections::VecDeque;
use theirs::Theirs;

/// One member, twice.
struct Pair {
    ours: Member,
    out: Vec<Message>,
    durable: Durable,
    theirs: Theirs,
    /// It led and applied its own removal. raft-rs panics when such a node goes on; etcd's server
    /// stops it. Here it says and hears nothing more.
    retired: bool,
}

struct Lockstep {
    pairs: Vec<Pair>,
    entries: Entries,
    /// By sender and receiver, in order of sending.
    wires: Vec<Vec<VecDeque<(Message, raft::eraftpb::Message)>>>,
    draws: Stream,
    writes: u64,
    trail: Vec<String>,
}

/// What a run reached, so that a schedule that proves nothing is noticed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reached {
    elections: u32,
    commits: u32,
    crashes: u32,
    changes: u32,
    transfers: u32,
    messages: u32,
}

impl Lockstep {
    fn new(seed: u64, voters: usize, tuning: Tuning) -> Self {
        let slots = voters + 2;
        let config = Config {
            voters: Members::first(voters),
            learners: Members::NONE,
        };
        let pair = |id: usize| {
            let known = if id < voters {
                config
            } else {
                Config::default()
            };
            let draws = Seed(seed).stream_of(id as u64, "time-out");
            let member = MemberId(id as u8);
            Pair {
                ours: Member::new(member, tuning, known, draws),
                out: Vec::new(),
                durable: Durable::BLANK,
                theirs: Theirs::new(member, tuning, known),
                retired: false,
            }
        };
        let mut lockstep = Self {
            pairs: (0..slots).map(pair).collect(),
            entries: Entries::new(config),
            wires: (0..slots)
                .map(|_| (0..slots).map(|_| VecDeque::new()).collect())
                .collect(),
            draws: Seed(seed).stream("schedule", "oracle"),
            writes: 0,
            trail: Vec::new(),
        };
        (0..slots).for_each(|at| lockstep.compare(at));
        lockstep
    }

    fn compare(&mut self, at: usize) {
        let Pair { ours, theirs, .. } = &mut self.pairs[at];
        theirs.impose_timeout(ours.timeout());
        let trail = || self.trail[self.trail.len().saturating_sub(40)..].join("\n");
        assert!(ours.ruined().is_none(), "ruined\n{}", trail());
        assert_eq!(
            theirs::state_of(ours, &self.entries),
            theirs.state(),
            "\n{}",
            trail()
        );
    }

    fn flush(&mut self, at: usize) {
        let Pair {
            ours,
            out,
            durable,
            theirs,
            retired,
        } = &mut self.pairs[at];
        let mut sent = Vec::new();
        let written = ours.to_write();
        while ours.apply_next(&mut self.entries, out).is_some() {}
        ours.persisted(&written, &mut self.entries, out);
        *durable = written;
        while ours.apply_next(&mut self.entries, out).is_some() {}
        if ours.role() == Role::Leader && !ours.config().all().contains(ours.id()) {
            *retired = true;
            return;
        }
        theirs.flush(ours, &self.entries, &mut sent);
        out.sort_by_key(|message| message.to);
        sent.sort_by_key(|message| message.to);
        let trail = || self.trail[self.trail.len().saturating_sub(40)..].join("\n");
        let shown = |m: &Message| theirs::show_ours(m, &self.entries);
        let ours_shown: Vec<_> = out.iter().map(shown).collect();
        let theirs_shown: Vec<_> = sent.iter().map(theirs::show_theirs).collect();
        assert_eq!(ours_shown, theirs_shown, "\n{}", trail());
        for (mine, other) in out.drain(..).zip(sent) {
            self.wires[mine.from.at()][mine.to.at()].push_back((mine, other));
        }
    }

    /// One step of the schedule.
    fn step(&mut self, reached: &mut Reached) {
        let n = self.pairs.len() as u64;
        let at = self.draws.below(n) as usize;
        let other = self.draws.below(n) as usize;
        let kind = self.draws.below(1000);
        if self.pairs[at].retired {
            return;
        }
        let before = (self.pairs[at].ours.role(), self.pairs[at].ours.committed());
        self.trail.push(format!("{kind} at {at}, {other}"));
        let pair = &mut self.pairs[at];
        match kind {
            0..150 => {
                pair.ours.tick(&mut self.entries, &mut pair.out);
                pair.theirs.tick();
            }
            150..450 => self.flush(at),
            450..900 => self.deliver(other, at, kind < 890, reached),
            900..960 => {
                self.writes += 1;
                let payload = Payload::Write(Write::new(self.writes));
                let ours = pair.ours.propose(payload, &mut self.entries, &mut pair.out);
                assert_eq!(ours.is_ok(), pair.theirs.propose(self.writes));
            }
            960..972 => self.change(at, other, reached),
            972..980 => {
                let to = MemberId(other as u8);
                // raft-rs also forwards the request; etcd's server asks the leader only.
                if pair.ours.role() == Role::Leader && pair.ours.config().voters.contains(to) {
                    pair.ours.transfer(to, &self.entries, &mut pair.out);
                    pair.theirs.transfer(to);
                    reached.transfers += 1;
                }
            }
            980..996 => {
                pair.ours.unreachable(MemberId(other as u8));
                pair.theirs.unreachable(MemberId(other as u8));
            }
            _ => self.crash(at, reached),
        }
        if self.pairs[at].retired {
            return;
        }
        self.compare(at);
        let after = &self.pairs[at].ours;
        reached.elections += u32::from(before.0 != after.role() && after.role() == Role::Leader);
        reached.commits += u32::from(after.committed() > before.1);
    }

    fn deliver(&mut self, from: usize, to: usize, arrives: bool, reached: &mut Reached) {
        let n = self.wires.len();
        let mut senders = (0..n).map(|i| (from + i) % n);
        let Some(from) = senders.find(|&from| !self.wires[from][to].is_empty()) else {
            return;
        };
        let (mine, other) = self.wires[from][to].pop_front().expect("it is not empty");
        if arrives {
            reached.messages += 1;
            let pair = &mut self.pairs[to];
            pair.ours.step(&mine, &mut self.entries, &mut pair.out);
            pair.theirs.step(other);
        }
    }

    fn change(&mut self, at: usize, of: usize, reached: &mut Reached) {
        let member = MemberId(of as u8);
        let config = self.pairs[at].ours.config();
        if self.pairs[of].retired {
            return;
        }
        let change = if config.learners.contains(member) {
            Change::Promote(member)
        } else if !config.voters.contains(member) {
            [Change::AddLearner(member), Change::AddVoter(member)][self.draws.below(2) as usize]
        } else if config.voters.len() > 2 {
            Change::Remove(member)
        } else {
            return;
        };
        let pair = &mut self.pairs[at];
        let payload = Payload::Change(change);
        let ours = pair.ours.propose(payload, &mut self.entries, &mut pair.out);
        assert_eq!(ours.is_ok(), pair.theirs.propose_change(change));
        reached.changes += u32::from(ours.is_ok() && pair.ours.role() == Role::Leader);
    }

    fn crash(&mut self, at: usize, reached: &mut Reached) {
        reached.crashes += 1;
        let pair = &mut self.pairs[at];
        pair.out.clear();
        pair.ours.restart(&pair.durable, &self.entries);
        pair.theirs.restart(&pair.durable, pair.ours.config());
        for wires in &mut self.wires {
            wires[at].clear();
        }
    }
}

fn check(name: &str, pre_vote: bool, check_quorum: bool, voters: usize) {
    let tuning = Tuning {
        pace: Pace::etcd(10),
        pre_vote,
        check_quorum,
        fresh_wait: true,
    };
    let mut total = Reached::default();
    for seed in 0..60 {
        let mut lockstep = Lockstep::new(seed, voters, tuning);
        for _ in 0..20_000 {
            lockstep.step(&mut total);
        }
    }
    println!("{name}: {total:?}");
    let enough = total.elections > 300 && total.commits > 3_000 && total.crashes > 1_000;
    assert!(
        enough && total.changes > 60 && total.transfers > 60,
        "{name}: {total:?}"
    );
}

#[test]
fn three_voters_with_lease_and_pre_vote() {
    check("3.5", true, true, 3);
}

#[test]
fn three_voters_with_lease() {
    check("3.4", false, true, 3);
}

#[test]
fn five_voters_with_lease_and_pre_vote() {
    check("3.5 of five", true, true, 5);
}

#[test]
fn plain_raft() {
    check("plain", false, false, 3);
}
