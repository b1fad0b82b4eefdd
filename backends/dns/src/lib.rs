//! Round-robin DNS that knows which addresses are alive: an authoritative name server, and the
//! adapters that keep record sets in it or, by RFC 2136, in somebody else's.
//!
//! The server is in two halves. One is pure: `zone`, `answer`, `message`, `health`, `limit` and
//! `authority` take time, packets and seeds as arguments; between packet and packet stands
//! hickory-server. The other (`serve`) has the tasks and the checks, over whatever network `net`
//! gives it: the kernel's, or a simulated one that hosts the whole server.

mod adapter;
pub mod answer;
pub mod authority;
pub mod builtin;
pub mod check;
pub mod config;
pub mod health;
pub mod limit;
pub mod message;
pub mod net;
pub mod rfc2136;
pub mod serve;
pub mod zone;
