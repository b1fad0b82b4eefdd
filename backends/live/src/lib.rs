//! The engine against the real world: the driver, the state store, the lock, the replay.
//!
//! Reading order: `driver` (the loop around the engine), `store` (what survives a crash), `lock`
//! (one process at a time), `trace` (what a run was told and what it did, for replay). Knows no
//! provider and no ssh: calls go out through [`Ports`], which whoever starts the driver supplies.

mod driver;
mod lock;
mod progress;
mod store;
mod trace;

pub use driver::{
    DriveError, Ended, InFlight, News, Observer, Port, Ports, Quiet, Signal, Signals, drive, look,
    process_signals,
};
pub use lock::{Holder, Lock, LockError, Unlocked, unlock};
pub use progress::{Board, Row, Stage};
pub use store::{
    Document, Inventory, Machine, PinChanged, PinSource, PinnedKey, Pins, RunRecord, Store,
    StoreError, draw, unix_ms,
};
pub use trace::{Difference, Replayed, Verdict, replay};
