//! Plans: immutable steps in topological order, each with its reason.

mod types;

pub use types::*;
