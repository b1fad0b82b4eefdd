//! What the user wrote: the `Cluster` manifest, its types, and every mistake in it at once.
//!
//! Knows nothing of files: bytes come in, a [`Manifest`] and diagnostics go out.

mod claudie;
mod judge;
mod load;
mod types;

pub use judge::{CODES, farthest, judge};
pub use load::{Loaded, Source, load};
pub use types::*;

/// The JSON Schema of a manifest, for editors.
#[must_use]
pub fn schema_of_manifest() -> serde_json::Value {
    let id = "https://quorate.dev/schema/v1/cluster.json";
    crate::document::schema::<Manifest>(id, "Quorate cluster manifest")
}
