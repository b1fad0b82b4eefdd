//! The simulated world.
pub mod kernel;
