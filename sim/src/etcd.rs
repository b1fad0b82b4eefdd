//! etcd.
pub mod log;
pub mod member_id;
pub mod message;
pub mod progress;
pub mod raft;
pub mod version;
