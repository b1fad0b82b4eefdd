//! Clouds, libvirt and static hosts behind the engine's seam: one file per provider.
//!
//! An adapter makes one request and gives one answer: it neither sleeps, retries nor polls. What
//! waits, and what a fault means, is the engine's.

pub mod conformance;
#[cfg(test)]
mod fake;
pub mod first_boot;
pub mod hetzner;
pub mod host_key;
pub mod http;
pub mod labels;
mod libvirt;
mod open;
mod secret;
mod ssh_address;

pub use libvirt::Libvirt;
pub use open::open;
pub use secret::Secret;
pub use ssh_address::SshAddress;

use quorate_engine::exec::LaneLimit;
use quorate_engine::manifest;
use quorate_engine::resource::Resource;
use quorate_engine::seam::{Call, Outcome};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Something that is being waited for.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whose things are ours: name and identity of the cluster, and the provider instance. A cluster of
/// the same name and of another identity is somebody else's; two instances may be one account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The cluster's name.
    pub cluster: String,
    /// Drawn once when it was founded, and kept in its journal.
    pub uid: u64,
    /// The provider instance, by its name in the manifest.
    pub provider: String,
}

/// What an adapter is made for: one provider instance of one cluster.
#[derive(Debug, Clone)]
pub struct Site {
    /// Whose things it makes.
    pub owner: Owner,
    /// The provider instance as the manifest has it.
    pub provider: manifest::Provider,
    /// Its token or key, where it needs one.
    pub secret: Option<Secret>,
    /// Who logs in to machines.
    pub ssh_user: String,
    /// Public keys that may log in, each as a line of `authorized_keys`.
    pub ssh_keys: Vec<String>,
}

/// Something that is wrong and can be known before anything is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What does not work, and where: a provider, a machine, an image.
    pub what: String,
    /// What to do about it.
    pub fix: String,
}

/// An adapter to one provider instance.
pub trait Provider: Send + Sync {
    /// Makes one request and gives its answer. Every verb of a provider's lane may come: list,
    /// describe, create, update, delete. It may be dropped at any instant, at the deadline.
    fn call<'a>(&'a self, call: &'a Call) -> Pending<'a, Outcome>;

    /// What can be known to be wrong with making these resources, before any of them is made: no
    /// way there, no permission, no such image, no address left. Changes nothing.
    fn preflight<'a>(&'a self, wanted: &'a [Arc<Resource>]) -> Pending<'a, Vec<Problem>>;

    /// Every cluster that has something there: for adopting what a lost state directory knew.
    fn owners(&self) -> Pending<'_, Result<Vec<Owner>, quorate_engine::seam::Fault>>;

    /// What its API bears, where it is known.
    fn limit(&self) -> Option<LaneLimit> {
        None
    }
}
