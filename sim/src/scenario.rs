//! Scenarios: a manifest, clients, faults over time, and what is expected. Data, no code.

mod types;

pub use types::*;
