//! The `wire` rung: our real name server, its checks and its answers, inside a simulated network.
//!
//! A scenario is cast with hosts of turmoil: name servers that run the code of `quorate dns serve`
//! over [`net::Wire`] in the place of the kernel, load balancers that take connections, and clients
//! that ask by DNS messages and connect to one address after the other. Faults hold links and end
//! hosts. What it came to is judged by the simulator's own word (`quorate_sim::run`).
//!
//! What this rung does not know: the orchestrator, etcd and Kubernetes; TLS and HTTP, which belong
//! to the kernel's network; packet loss, for turmoil breaks connections where TCP would send again.
//! A scenario that needs them is refused by [`judge`]; an expectation that needs them is skipped.
//!
//! It hosts daemons, so it has tokio's clocks, tasks and sockets, which turmoil makes virtual: hence
//! a crate of its own. Clippy holds our own lines to the bans of `quorate-sim` (its `clippy.toml` is
//! the next one above), but `ci/purity` covers `engine` and `sim` alone: what is hosted here does
//! IO elsewhere. A run is a function of its seed all the same: seeds and epoch are set, nothing
//! draws from the system, and every `select!` of the hosted code is biased, because tokio's own
//! choice is seeded under `tokio_unstable` only.

mod balancer;
mod cast;
mod client;
mod journal;
mod judge;
pub mod net;
mod play;
mod record;
mod resolver;
mod server;

pub use judge::judge;

use quorate_engine::manifest::Manifest;
use quorate_sim::outcome::Run;
use quorate_sim::scenario::Scenario;
use std::sync::Arc;

/// A scenario that fits on the wire, ready to run.
#[derive(Debug, Clone)]
pub struct Prepared {
    scenario: Arc<Scenario>,
    cast: Arc<cast::Cast>,
}

impl Prepared {
    /// Casts a scenario. `manifest` is the one that it names.
    ///
    /// # Panics
    /// If [`judge`] has something against it: that comes first.
    #[must_use]
    pub fn new(scenario: Scenario, manifest: &Manifest) -> Self {
        let found = judge(&scenario, manifest);
        assert!(
            found.is_empty(),
            "refused scenarios are not cast: {found:?}"
        );
        let cast = cast::Cast::new(&scenario, manifest);
        let cast = cast.expect("what is judged to fit has its hosts");
        Self {
            scenario: Arc::new(scenario),
            cast: Arc::new(cast),
        }
    }

    /// Runs it with a seed.
    ///
    /// # Panics
    /// If a host ends by itself: that is a bug of ours.
    #[must_use]
    pub fn run(&self, seed: u64) -> Run {
        play::Play::new(&self.scenario, &self.cast, seed).run()
    }
}
