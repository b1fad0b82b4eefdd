//! etcd's membership, over the JSON gateway of some member's own address.
//!
//! Knows members, and which machine each is on; what should become of them is the engine's.

mod change;
mod gateway;
mod recovery;
mod restore;
mod shelf;
mod sight;
mod snapshot;
mod survey;
mod view;

pub(crate) use gateway::{Gateway, Member, Refusal, Status};
pub use recovery::Recovery;
pub use restore::{KEPT, Restore, RestoreStep, Source, restore_plan};
pub use shelf::{Snapshots, Stored, verified};
pub(crate) use sight::Sight;
pub use snapshot::Snapshot;
pub use survey::{Remains, Survivor};

use std::time::Duration;

/// A list of members, or a look at one: it costs etcd nothing.
const LOOK: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
