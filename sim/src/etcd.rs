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
