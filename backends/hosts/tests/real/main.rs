//! Tests against real programs: OpenSSH's server, WireGuard, network namespaces. What this machine
//! lacks is said and skipped.

mod lab;
mod mesh;
mod net;
mod proxy;
mod ssh;
