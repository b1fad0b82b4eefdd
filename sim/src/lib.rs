//! The simulated world.
pub mod etcd;
pub mod kernel;
