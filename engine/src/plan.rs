//! Plans: immutable steps in topological order, each with its reason.

mod build;
mod condition;
mod draft;
mod expected;
mod index;
mod types;

pub use build::plan;
pub use expected::{critical_path, deadline, expected, reversibility};
pub use types::*;
