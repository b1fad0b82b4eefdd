//! The Kubernetes API: nodes, and pods that move away.

mod drain;
mod fault;
mod forget;
mod label;
mod nodes;

pub(crate) use fault::fault;
pub(crate) use nodes::{FINGERPRINT, STORAGE_MARK};

#[cfg(test)]
mod tests;
