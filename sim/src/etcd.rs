//! etcd: raft as its library does it, and the server around it, in virtual time.
//!
//! Reading order: [`member_id`], [`log`], [`message`], [`raft`] (one member, pure), [`cluster`]
//! (hosts, disks, connections, requests), [`safety`] (the observer), [`validate`] (our numbers
//! beside others').
//!
//! # Why a model of our own, with raft-rs as its oracle
//!
//! raft-rs (crate `raft` 0.7) is etcd's library in Rust, and was tried first. It is faithful and
//! can be driven by hand; what speaks against it inside the simulator:
//!
//! - Determinism: it draws time-outs from a thread's generator; `set_randomized_election_timeout`
//!   can only overrule a draw afterwards.
//! - Speed: four times slower in the same queue with three members; its messages are protobuf
//!   values with vectors, its entries bytes. One 2-core x86-64 machine under other load, release
//!   build, a simulated second: heartbeats alone 20 us against our 4 to 5, with 50 writes 280 us
//!   against 60 to 70.
//! - It is not quite etcd: vote messages carry commit hints (`maybe_commit_by_vote`), and a leader
//!   that has applied its own removal panics at its next write.
//! - Its codecs need `protoc` at build time: `prost-codec` one that is installed, while
//!   `protobuf-codec` brings a binary for common platforms. Tests can bear that, a product less.
//!
//! So it serves as an oracle. `tests/raft_oracle` puts the same schedules of ticks, deliveries,
//! losses, slow disks, crashes, proposals, changes of membership and transfers into raft-rs nodes
//! and ours, with our time-outs imposed on it, and compares the state of the touched member after
//! each of 4.8 million steps, and each of more than six hundred thousand messages. Snapshots are
//! not in these schedules; the cluster's own tests have them.
//!
//! # What is left out
//!
//! Linearizable reads, leases and watches; the size of a snapshot and so the time it takes to
//! send; flow control; rolling upgrades (all members run one version). TCP is a stream that is
//! there or not: a cut path loses what is sent, and a one-way cut leaves the other way intact.
pub mod cluster;
pub mod log;
pub mod member_id;
pub mod message;
pub mod progress;
pub mod raft;
pub mod safety;
pub mod validate;
pub mod version;

pub use cluster::{
    Etcd, EtcdEvent, EtcdNote, Ground, Life, Outcome, Refusal, Request, Rules, Status, View,
};
pub use member_id::{Change, Config, MemberId, Members};
pub use version::{Options, Version};
