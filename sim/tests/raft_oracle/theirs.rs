//! One raft-rs node on its own storage, driven by hand, and what makes it comparable to ours.

use quorate_sim::etcd::log::{Entries, EntryId, GENESIS, Payload};
use quorate_sim::etcd::member_id::{Change, Config as Membership, MemberId};
use quorate_sim::etcd::message::{Body, Message as Ours};
use quorate_sim::etcd::raft::{Durable, Member, Role, Tuning};
use raft::eraftpb::{ConfChange, ConfChangeType, ConfState, Entry, EntryType};
use raft::eraftpb::{Message, MessageType};
use raft::storage::MemStorage;
use raft::{Config, INVALID_ID, RawNode, StateRole};

pub(crate) struct Theirs {
    node: RawNode<MemStorage>,
    config: Config,
}

/// What is compared after each step.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct State {
    role: &'static str,
    term: u64,
    vote: u64,
    leader: u64,
    committed: u64,
    applied: u64,
    last: (u64, u64),
    voters: Vec<u64>,
    learners: Vec<u64>,
}

/// A message in words that fit both.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    from: u64,
    to: u64,
    kind: MessageType,
    term: u64,
    index: u64,
    log_term: u64,
    commit: u64,
    reject: bool,
    hint: u64,
    last: u64,
}

fn number(member: MemberId) -> u64 {
    u64::from(member.0) + 1
}

fn conf_state(config: Membership) -> ConfState {
    let voters: Vec<u64> = config.voters.map(number).collect();
    let learners: Vec<u64> = config.learners.map(number).collect();
    ConfState::from((voters, learners))
}

fn conf_change(change: Change) -> ConfChange {
    let mut cc = ConfChange {
        node_id: number(change.member()),
        ..ConfChange::default()
    };
    cc.set_change_type(match change {
        Change::AddLearner(_) => ConfChangeType::AddLearnerNode,
        Change::AddVoter(_) | Change::Promote(_) => ConfChangeType::AddNode,
        Change::Remove(_) => ConfChangeType::RemoveNode,
    });
    cc
}

fn silent() -> slog::Logger {
    slog::Logger::root(slog::Discard, slog::o!())
}

impl Theirs {
    pub(crate) fn new(id: MemberId, tuning: Tuning, known: Membership) -> Self {
        let config = Config {
            id: number(id),
            election_tick: tuning.pace.election as usize,
            heartbeat_tick: tuning.pace.heartbeat as usize,
            min_election_tick: tuning.pace.shortest as usize,
            max_election_tick: tuning.pace.longest as usize + 1,
            max_size_per_msg: raft::NO_LIMIT,
            max_inflight_msgs: 1 << 14,
            check_quorum: tuning.check_quorum,
            pre_vote: tuning.pre_vote,
            ..Config::default()
        };
        let storage = MemStorage::new();
        storage.wl().set_conf_state(conf_state(known));
        let node = RawNode::new(&config, storage, &silent()).expect("a valid configuration");
        Self { node, config }
    }

    pub(crate) fn impose_timeout(&mut self, ticks: u32) {
        self.node
            .raft
            .set_randomized_election_timeout(ticks as usize);
    }

    pub(crate) fn state(&self) -> State {
        let raft = &self.node.raft;
        let log = &raft.raft_log;
        let conf = raft.prs().conf().to_conf_state();
        let sorted = |ids: &[u64]| {
            let mut ids = ids.to_vec();
            ids.sort_unstable();
            ids
        };
        State {
            role: match raft.state {
                StateRole::Follower => "follower",
                StateRole::PreCandidate => "pre-candidate",
                StateRole::Candidate => "candidate",
                StateRole::Leader => "leader",
            },
            term: raft.term,
            vote: raft.vote,
            leader: raft.leader_id,
            committed: log.committed,
            applied: log.applied,
            last: (log.last_index(), log.last_term()),
            voters: sorted(&conf.voters),
            learners: sorted(&conf.learners),
        }
    }

    pub(crate) fn tick(&mut self) {
        self.node.tick();
    }

    pub(crate) fn step(&mut self, message: Message) {
        // Errors are refusals of strangers and dropped proposals; states are compared afterwards.
        let _: raft::Result<()> = self.node.step(message);
    }

    pub(crate) fn propose(&mut self, write: u64) -> bool {
        self.node
            .propose(Vec::new(), write.to_le_bytes().to_vec())
            .is_ok()
    }

    pub(crate) fn propose_change(&mut self, change: Change) -> bool {
        self.node
            .propose_conf_change(Vec::new(), conf_change(change))
            .is_ok()
    }

    pub(crate) fn transfer(&mut self, to: MemberId) {
        self.node.transfer_leader(number(to));
    }

    pub(crate) fn unreachable(&mut self, to: MemberId) {
        self.node.report_unreachable(number(to));
    }

    /// Writes, sends and applies all there is. What a change says is read from our equal log.
    pub(crate) fn flush(&mut self, ours: &Member, entries: &Entries, sent: &mut Vec<Message>) {
        while self.node.has_ready() {
            let mut ready = self.node.ready();
            sent.extend(ready.take_messages());
            self.apply(ready.take_committed_entries(), ours, entries);
            {
                let mut disk = self.node.raft.raft_log.store.wl();
                disk.append(ready.entries())
                    .expect("entries follow the log");
                if let Some(hard_state) = ready.hs() {
                    disk.set_hardstate(hard_state.clone());
                }
            }
            sent.extend(ready.take_persisted_messages());
            let mut light = self.node.advance(ready);
            sent.extend(light.take_messages());
            self.apply(light.take_committed_entries(), ours, entries);
            self.node.advance_apply();
        }
        for message in sent {
            let votes = [
                MessageType::MsgRequestVote,
                MessageType::MsgRequestPreVote,
                MessageType::MsgRequestVoteResponse,
                MessageType::MsgRequestPreVoteResponse,
            ];
            if votes.contains(&message.get_msg_type()) {
                message.commit = 0;
                message.commit_term = 0;
            }
        }
    }

    fn apply(&mut self, committed: Vec<Entry>, ours: &Member, entries: &Entries) {
        for entry in committed {
            if self.node.raft.prs().conf().voters().ids().is_empty() {
                // In etcd a cluster's first entries are the additions of its founders; our log
                // starts after them. A node that joined meets them before its first entry.
                for founder in entries.config(GENESIS).voters {
                    let joins = conf_change(Change::AddVoter(founder));
                    self.node.apply_conf_change(&joins).expect("applies");
                }
            }
            if entry.get_entry_type() == EntryType::EntryNormal {
                continue;
            }
            let id = ours
                .log()
                .id(entry.index as u32)
                .expect("our log holds it too");
            let Payload::Change(change) = entries.get(id).payload else {
                panic!("our entry {} is no change", entry.index);
            };
            let mut change = conf_change(change);
            let before = ours.log().id(entry.index as u32 - 1);
            if before.map(|id| entries.config(id)) == Some(entries.config(id)) {
                change.node_id = INVALID_ID; // so etcd's server tells raft to change nothing
            }
            let state = self.node.apply_conf_change(&change).expect("applies");
            self.node.raft.raft_log.store.wl().set_conf_state(state);
        }
    }

    /// A new node on the old storage, as far as `durable` has it.
    pub(crate) fn restart(&mut self, durable: &Durable, config: Membership) {
        let storage = self.node.raft.raft_log.store.clone();
        storage.wl().set_conf_state(conf_state(config));
        storage.wl().mut_hard_state().commit = u64::from(durable.commit);
        self.config.applied = u64::from(durable.commit);
        self.node = RawNode::new(&self.config, storage, &silent()).expect("restarts");
    }
}

pub(crate) fn state_of(member: &Member, entries: &Entries) -> State {
    let config = member.config();
    let tip = entries.get(member.log().tip());
    State {
        role: match member.role() {
            Role::Follower => "follower",
            Role::PreCandidate => "pre-candidate",
            Role::Candidate => "candidate",
            Role::Leader => "leader",
        },
        term: u64::from(member.term()),
        vote: member.vote().map_or(INVALID_ID, number),
        leader: member.leader().map_or(INVALID_ID, number),
        committed: u64::from(member.committed()),
        applied: u64::from(member.applied()),
        last: (u64::from(tip.index), u64::from(tip.term)),
        voters: config.voters.map(number).collect(),
        learners: config.learners.map(number).collect(),
    }
}

pub(crate) fn show_theirs(message: &Message) -> Shown {
    let proposal = message.get_msg_type() == MessageType::MsgPropose;
    let empty = message.entries.is_empty() || proposal;
    let last = if empty {
        0
    } else {
        message.entries.last().map_or(0, |e| e.index)
    };
    // Acknowledgements tell their sender's commit index too, for a feature etcd does not have.
    let tells_commit = matches!(
        message.get_msg_type(),
        MessageType::MsgAppend | MessageType::MsgHeartbeat
    );
    Shown {
        from: message.from,
        to: message.to,
        kind: message.get_msg_type(),
        term: message.term,
        index: message.index,
        log_term: message.log_term,
        commit: if tells_commit { message.commit } else { 0 },
        reject: message.reject,
        hint: message.reject_hint,
        last,
    }
}

pub(crate) fn show_ours(message: &Ours, entries: &Entries) -> Shown {
    let blank = |kind| Shown {
        from: number(message.from),
        to: number(message.to),
        kind,
        term: u64::from(message.term),
        index: 0,
        log_term: 0,
        commit: 0,
        reject: false,
        hint: 0,
        last: 0,
    };
    let index_of = |tip: EntryId| u64::from(entries.get(tip).index);
    let asks = |kind, last: u32, last_term: u32| Shown {
        index: u64::from(last),
        log_term: u64::from(last_term),
        ..blank(kind)
    };
    match message.body {
        Body::Heartbeat { commit } => Shown {
            commit: u64::from(commit),
            ..blank(MessageType::MsgHeartbeat)
        },
        Body::HeartbeatHeard => blank(MessageType::MsgHeartbeatResponse),
        Body::Append {
            prev,
            prev_term,
            commit,
            tip,
        } => Shown {
            commit: u64::from(commit),
            last: tip.map_or(0, index_of),
            ..asks(MessageType::MsgAppend, prev, prev_term)
        },
        Body::Appended { last } => asks(MessageType::MsgAppendResponse, last, 0),
        Body::Rejected {
            prev,
            hint,
            hint_term,
        } => Shown {
            reject: true,
            hint: u64::from(hint),
            ..asks(MessageType::MsgAppendResponse, prev, hint_term)
        },
        Body::Snapshot { .. } => blank(MessageType::MsgSnapshot),
        Body::Vote {
            last, last_term, ..
        } => asks(MessageType::MsgRequestVote, last, last_term),
        Body::PreVote { last, last_term } => asks(MessageType::MsgRequestPreVote, last, last_term),
        Body::VoteAnswer { granted } => Shown {
            reject: !granted,
            ..blank(MessageType::MsgRequestVoteResponse)
        },
        Body::PreVoteAnswer { granted } => Shown {
            reject: !granted,
            ..blank(MessageType::MsgRequestPreVoteResponse)
        },
        Body::TimeoutNow => blank(MessageType::MsgTimeoutNow),
        // raft-rs keeps the first sender where a proposal is passed on.
        Body::Propose { by, .. } => Shown {
            from: number(by),
            term: 0,
            ..blank(MessageType::MsgPropose)
        },
    }
}
