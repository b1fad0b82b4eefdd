//! The simulated world.
pub mod cloud;
pub mod kernel;
