//! The simulated world.
pub mod cloud;
pub mod kernel;
pub mod outcome;
pub mod scenario;
