//! The simulated world.
pub mod kernel;
pub mod kube;
