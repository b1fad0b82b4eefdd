//! The simulated world.
pub mod kernel;
pub mod outcome;
pub mod report;
pub mod scenario;
