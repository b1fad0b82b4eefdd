//! The userspace WireGuard agent on boringtun.
//!
//! [`device::Device`] is the agent without the outside world: datagrams, packets, ticks and
//! configuration go in, datagrams and packets come out. [`agent::run`] puts it between a TUN
//! interface and UDP sockets, and lets `wg` configure it.
//!
//! Knows nothing of clusters, of who should be whose peer, or of addresses and routes of the
//! interface: whoever starts the agent says so, over the same socket as every other WireGuard.

pub mod agent;
pub mod allowed;
pub mod datagrams;
pub mod device;
pub mod keys;
pub mod offload;
pub mod packets;
mod peer;
pub mod uapi;
