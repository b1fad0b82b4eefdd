//! libvirt: networks, packet filters and machines of one libvirt host, as a provider.
//!
//! Speaks libvirt's own RPC protocol, in Rust. The C library is not linked: a fresh machine has
//! none. The crate `libvirt-pure` is not used: it rejects `test:` URIs. `virsh` is not run: its
//! text is no interface, and what `test:///default` knows ends with the process that opened it.
//!
//! The manifest's `endpoint` is the URI: `lxc:///system` makes containers on this host,
//! `qemu:///system` virtual machines, `test:///default` nothing but states; `qemu+ssh://` reaches
//! another host. Parameters of our own are taken off before libvirt sees it: `pool` (where volumes
//! are, `default`), `roots` (where root file systems are, `/var/lib/quorate/roots`), `forward`
//! (`nat`, `open`, `route` or `isolated` for networks), `firewall` (`nwfilter` or `none`).
//!
//! - **Ownership** stands in `<metadata>` of domains and networks and in comments of filter rules.
//!   UUIDs follow from owner and id, so a definition is an upsert that never hits a stranger.
//! - **The definition comes first and goes last.** A domain exists before its files and until they
//!   are gone, so no crash leaves files without a domain that says whose they are. A domain is
//!   finished when it starts with its host (`autostart`): what neither runs nor does so is half
//!   made. A list shows it as failed, so that it is cleaned up; to a description it is not there
//!   yet, so that its creation is repeated, and that begins anew.
//! - **A paused domain runs**: QEMU pauses a machine whose disk is full and people pause one to
//!   look at it; its memory is kept, and replacing it at once would throw that away. If it stays
//!   silent the engine's patience with silent machines ends it.
//! - **Packet filters** are nwfilters in front of each machine (for containers too, which needs a
//!   port with a fixed name). Where the connection has none (`test:`), or `firewall=none` says so,
//!   a network that is never started keeps what the filter should be, and **nothing filters**.
//!   nwfilter's rules for routed traffic act on replies: a connection to a closed port never
//!   comes about, yet single packets get in.
//! - **Addresses** are fixed for a machine's life: a hash of its id, probed past what the network's
//!   other domains have, and recorded in the domain. Public and private address are the same.

mod address;
mod domain;
mod fault;
mod firewall;
mod inventory;
mod link;
mod machine;
mod making;
mod message;
mod network;
mod preflight;
mod record;
mod rootfs;
mod rpc;
mod seed;
mod session;
#[cfg(test)]
mod tests;
mod uri;
mod volumes;
mod xdr;
mod xml;

use crate::{Owner, Pending, Problem, Provider, Site};
use quorate_engine::exec::LaneLimit;
use quorate_engine::resource::{Kind, Resource, ResourceId};
use quorate_engine::seam::{Call, Fault, FaultClass, Outcome, Verb};
use quorate_engine::time::Span;
use rpc::Trouble;
use session::Session;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use tokio::sync::Mutex;
use uri::Target;

/// What an endpoint is where the manifest gives none.
const DEFAULT_ENDPOINT: &str = "qemu:///system";

/// An adapter to one libvirt host.
pub struct Libvirt {
    site: Site,
    target: Result<Target, uri::BadUri>,
    /// The program that is run for hosts behind ssh.
    ssh: String,
    session: Mutex<Option<Arc<Session>>>,
    /// One at a time for each resource: a repeated call waits for the one that it repeats.
    turns: std::sync::Mutex<BTreeMap<ResourceId, Arc<Mutex<()>>>>,
    /// Held from choosing an address until it stands in a definition.
    choosing: Mutex<()>,
}

/// What went wrong while `what` was done, as a fault.
fn doing(what: &str) -> impl Fn(Trouble) -> Fault + '_ {
    move |trouble| fault::fault(what, &trouble)
}

/// A name is taken by something that is not ours.
fn exists(name: &str, what: &str) -> Fault {
    let said = format!("there is a {what} called {name} that this cluster did not make");
    Fault::new(FaultClass::Exists, said)
}

impl Libvirt {
    /// For one provider instance. A wrong endpoint is told by [`Provider::preflight`] and by every
    /// call.
    #[must_use]
    pub fn new(site: Site) -> Self {
        let endpoint = site.provider.endpoint.as_deref();
        let target = Target::parse(endpoint.unwrap_or(DEFAULT_ENDPOINT));
        Self {
            site,
            target,
            ssh: "ssh".to_owned(),
            session: Mutex::new(None),
            turns: std::sync::Mutex::default(),
            choosing: Mutex::new(()),
        }
    }

    fn target(&self) -> Result<&Target, Fault> {
        let bad = |bad: &uri::BadUri| Fault::new(FaultClass::Invalid, bad.to_string());
        self.target.as_ref().map_err(bad)
    }

    /// The connection, made anew where the last one ended or a call on it was given up: those that
    /// still wait on the old one keep it.
    async fn session(&self) -> Result<Arc<Session>, Fault> {
        let target = self.target()?;
        let mut kept = self.session.lock().await;
        if let Some(session) = kept.as_ref().filter(|session| !session.worn()) {
            return Ok(Arc::clone(session));
        }
        let opened = Session::open(target, &self.ssh).await;
        let said = format!("connecting to {}", target.uri);
        let session = Arc::new(opened.map_err(doing(&said))?);
        *kept = Some(Arc::clone(&session));
        Ok(session)
    }

    fn turn(&self, id: &ResourceId) -> Arc<Mutex<()>> {
        // A map of locks is whole after any panic.
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(id.clone()).or_default())
    }

    /// For whom a name that is somebody else's is as good as free: everybody but creation.
    #[expect(clippy::unused_self, reason = "it reads as the adapter's own view")]
    fn ours<T>(&self, found: Result<Option<T>, Fault>) -> Result<Option<T>, Fault> {
        match found {
            Err(fault) if fault.class == FaultClass::Exists => Ok(None),
            found => found,
        }
    }

    async fn carry_out(&self, call: &Call) -> Outcome {
        match (call.verb, call.kind) {
            (Verb::List, _) => self.list().await,
            (Verb::Describe, Kind::Network) => self.describe_network(&call.target).await,
            (Verb::Describe, Kind::Firewall) => self.describe_firewall(&call.target).await,
            (Verb::Describe, Kind::Machine) => self.describe_machine(&call.target).await,
            (Verb::Delete, Kind::Network) => self.delete_network(&call.target).await,
            (Verb::Delete, Kind::Firewall) => self.delete_firewall(&call.target).await,
            (Verb::Delete, Kind::Machine) => self.delete_machine(&call.target).await,
            (Verb::Create | Verb::Update, Kind::Network | Kind::Firewall | Kind::Machine) => {
                self.bring_about(call, Self::wanted(call)?).await
            }
            (
                Verb::Describe
                | Verb::Delete
                | Verb::Create
                | Verb::Update
                | Verb::Probe
                | Verb::Cluster
                | Verb::Init
                | Verb::AddLearner
                | Verb::Promote
                | Verb::MoveLeader
                | Verb::RemoveMember
                | Verb::Drain,
                _,
            ) => {
                let said = format!("libvirt cannot {} a {}", call.verb, call.kind);
                Err(Fault::new(FaultClass::Invalid, said))
            }
        }
    }

    async fn bring_about(&self, call: &Call, wanted: &Resource) -> Outcome {
        let creates = call.verb == Verb::Create;
        match (call.kind, creates) {
            (Kind::Network, true) => self.create_network(wanted, call.key).await,
            (Kind::Network, false) => self.update_network(wanted, call.key).await,
            (Kind::Firewall, _) => self.put_firewall(wanted, call.key, creates).await,
            (Kind::Machine, true) => self.create_machine(wanted, call.key).await,
            (Kind::Machine, false) => self.update_machine(wanted, call.key).await,
            (other, _) => panic!("a {other} was sorted out before"),
        }
    }

    fn wanted(call: &Call) -> Result<&Resource, Fault> {
        let bad = |why: &str| {
            let said = format!("{} {}: {why}", call.verb, call.target);
            Err(Fault::new(FaultClass::Invalid, said))
        };
        let Some(wanted) = call.resource.as_deref() else {
            return bad("of what?");
        };
        if wanted.id != call.target || wanted.spec.kind() != call.kind {
            return bad("the resource is another one");
        }
        Ok(wanted)
    }
}

impl Provider for Libvirt {
    fn call<'a>(&'a self, call: &'a Call) -> Pending<'a, Outcome> {
        Box::pin(self.carry_out(call))
    }

    fn preflight<'a>(&'a self, wanted: &'a [Arc<Resource>]) -> Pending<'a, Vec<Problem>> {
        Box::pin(self.look_ahead(wanted))
    }

    fn owners(&self) -> Pending<'_, Result<Vec<Owner>, Fault>> {
        Box::pin(self.all_owners())
    }

    /// A daemon works on five requests of a client at once (`max_client_requests`), and each
    /// creation is several.
    fn limit(&self) -> Option<LaneLimit> {
        Some(LaneLimit {
            in_flight: 4,
            burst: 4,
            refill: Span::ZERO,
            // A start that nobody waits for any more ends, or is undone.
            settle: Span::from_secs(3),
        })
    }
}
