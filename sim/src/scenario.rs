//! Scenarios: a manifest, clients, faults over time, and what is expected. Data, no code.

mod fault;
mod types;

pub use fault::*;
pub use types::*;
