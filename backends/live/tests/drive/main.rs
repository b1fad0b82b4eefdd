//! The driver and the store against a world of a few maps, in tokio's paused time.

mod cancel;
mod crash;
mod fates;
mod progress;
mod replay;
mod secrets;
mod world;
