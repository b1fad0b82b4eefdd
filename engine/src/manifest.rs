//! What the user wrote: the `Cluster` manifest, its types, and every mistake in it at once.
//!
//! Knows nothing of files: text comes in, a [`Cluster`] and diagnostics go out.

mod judge;
mod types;

pub use judge::{CODES, judge};
pub use types::*;
