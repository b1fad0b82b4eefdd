//! Plans: immutable steps in topological order, each with its reason.

mod build;
mod condition;
mod destroy;
mod draft;
mod expected;
mod index;
mod types;

pub use build::plan;
pub(crate) use build::{refused, same_version};
pub use destroy::destroy;
pub use expected::{critical_path, deadline, expected, reversibility};
pub use types::*;
