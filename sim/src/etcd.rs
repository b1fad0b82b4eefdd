//! etcd.
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
