//! What truly exists at the providers, seen by nobody inside the simulated world as a whole.
//!
//! Knows nothing of requests: those read and change it through a provider's rules.

use quorate_engine::mesh::{MeshKey, PeerFact, links_print, table_of, table_print};
use quorate_engine::random::{hash_name, mix};
use quorate_engine::resource::{Kind, Resource, ResourceId, Spec};
use quorate_engine::seam::{Call, Key, MachineState, Seen};
use quorate_engine::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The life of a thing at its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Building,
    Running,
    Stopped,
    Failed,
    Deleting,
    Gone,
}

/// Whether an operating system runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Power {
    /// Being built, stopped or killed.
    #[default]
    Off,
    /// Switched on; ssh does not answer yet.
    Booting,
    /// ssh answers.
    Up,
    /// Stands still.
    Paused,
}

/// What was put on a machine.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Installed {
    pub(super) resource: Arc<Resource>,
    pub(super) fingerprint: u64,
    pub(super) addresses: Vec<(ResourceId, Ipv4Addr)>,
    /// The public key that was made with it, if it is a mesh peer.
    pub(super) mesh_key: Option<MeshKey>,
    /// Whom it has tunnels to, if it is the links of one.
    pub(super) peers: Arc<[PeerFact]>,
}

impl Installed {
    /// Put there without a call over ssh.
    pub(super) fn bare(resource: Arc<Resource>) -> Self {
        Self {
            fingerprint: resource.spec.fingerprint(),
            resource,
            addresses: Vec::new(),
            mesh_key: None,
            peers: Arc::default(),
        }
    }

    /// Put there by a call; a mesh peer keeps the key it has.
    pub(super) fn new(resource: &Arc<Resource>, call: &Call, before: Option<&Self>) -> Self {
        let machine = resource.id.machine();
        let print = resource.spec.fingerprint_at(&call.addresses);
        let (fingerprint, mesh_key) = match resource.spec.kind() {
            Kind::Links => {
                let table = table_print(&table_of(&call.peers));
                (links_print(print, table, &machine), None)
            }
            Kind::Peer => {
                let kept = before.and_then(|before| before.mesh_key);
                let made = || MeshKey::simulated(&machine, call.key);
                (print, Some(kept.unwrap_or_else(made)))
            }
            _ => (print, None),
        };
        Self {
            resource: Arc::clone(resource),
            fingerprint,
            addresses: call.addresses.clone(),
            mesh_key,
            peers: Arc::clone(&call.peers),
        }
    }
}

/// The inside of a machine.
#[derive(Debug, Clone, Default)]
pub(super) struct Inside {
    pub(super) power: Power,
    /// Counts boots: what was begun before a boot does not end after it.
    pub(super) boot: u32,
    pub(super) installed: BTreeMap<ResourceId, Installed>,
    /// What is being put there or taken away, and by which request.
    pub(super) locks: BTreeMap<ResourceId, u64>,
}

/// One thing that exists, or did.
#[derive(Debug, Clone)]
pub(super) struct Thing {
    pub(super) account: usize,
    pub(super) resource: Arc<Resource>,
    pub(super) kind: Kind,
    pub(super) fingerprint: u64,
    pub(super) external: String,
    pub(super) address: Option<Ipv4Addr>,
    pub(super) life: Life,
    pub(super) made_at: Time,
    pub(super) gone_at: Option<Time>,
    /// Reads show it from then on.
    pub(super) shown_from: Time,
    /// Reads may show it so long after it is gone.
    pub(super) shown_until: Time,
    /// It will end in an error.
    pub(super) doomed: bool,
    /// Counts changes of a record set, and the one that name servers answer with.
    pub(super) revision: u32,
    pub(super) published: u32,
    pub(super) addresses: Vec<(ResourceId, Ipv4Addr)>,
    /// Only machines have one.
    pub(super) inside: Option<Inside>,
}

impl Thing {
    /// As good as there: of this account, from this instant on, to be seen by all.
    pub(super) fn new(
        account: usize,
        resource: &Arc<Resource>,
        external: String,
        now: Time,
    ) -> Self {
        let kind = resource.spec.kind();
        Self {
            account,
            kind,
            fingerprint: resource.spec.fingerprint(),
            external,
            address: None,
            life: Life::Running,
            made_at: now,
            gone_at: None,
            shown_from: now,
            shown_until: now,
            doomed: false,
            revision: 0,
            published: 0,
            addresses: Vec::new(),
            inside: (kind == Kind::Machine).then(Inside::default),
            resource: Arc::clone(resource),
        }
    }

    pub(super) fn id(&self) -> &ResourceId {
        &self.resource.id
    }

    pub(super) fn lives(&self) -> bool {
        !matches!(self.life, Life::Deleting | Life::Gone)
    }

    pub(super) fn exists(&self) -> bool {
        self.life != Life::Gone
    }

    /// A host that was there before us and stays after us.
    pub(super) fn is_ours(&self) -> bool {
        !matches!(
            self.resource.spec,
            Spec::Machine {
                existing: Some(_),
                ..
            }
        )
    }

    pub(super) fn shown(&self, now: Time) -> bool {
        now >= self.shown_from && (self.exists() || now < self.shown_until)
    }

    pub(super) fn seen(&self) -> Seen {
        let state = match self.life {
            Life::Building => MachineState::Building,
            Life::Running => MachineState::Running,
            Life::Stopped | Life::Deleting | Life::Gone => MachineState::Stopped,
            Life::Failed => MachineState::Error,
        };
        Seen {
            id: self.id().clone(),
            kind: self.kind,
            external: self.external.clone(),
            fingerprint: self.fingerprint,
            state,
            address: self.address,
            private: None,
            host_key: None,
            fields: BTreeMap::new(),
        }
    }
}

/// All things of a run, by serial number.
#[derive(Debug, Clone, Default)]
pub(super) struct Stock {
    pub(super) things: Vec<Thing>,
    by_id: BTreeMap<ResourceId, Vec<usize>>,
    by_key: BTreeMap<(usize, Key), usize>,
    taken: BTreeSet<Ipv4Addr>,
}

/// Public addresses come from 198.18.0.0/15, the range for benchmarks (RFC 2544): nobody's.
const FIRST_ADDRESS: u32 = u32::from_be_bytes([198, 18, 0, 0]);
const ADDRESSES: u32 = 1 << 17;

impl Stock {
    /// Serial numbers of all that ever carried this id, oldest first.
    pub(super) fn of(&self, id: &ResourceId) -> &[usize] {
        self.by_id.get(id).map_or(&[], Vec::as_slice)
    }

    fn first(&self, id: &ResourceId, wanted: impl Fn(&Thing) -> bool) -> Option<usize> {
        let mut all = self.of(id).iter().copied();
        all.find(|&serial| wanted(&self.things[serial]))
    }

    /// The one in use: it lives, and is the oldest that does.
    pub(super) fn living(&self, account: usize, id: &ResourceId) -> Option<usize> {
        self.first(id, |thing| thing.account == account && thing.lives())
    }

    /// The one on its way out.
    pub(super) fn leaving(&self, account: usize, id: &ResourceId) -> Option<usize> {
        let leaves = |thing: &Thing| thing.account == account && thing.life == Life::Deleting;
        self.first(id, leaves)
    }

    /// What a read shows under this id.
    pub(super) fn shown(&self, account: usize, id: &ResourceId, now: Time) -> Option<usize> {
        let here = |thing: &Thing| thing.account == account && thing.shown(now);
        self.first(id, |thing| here(thing) && thing.lives())
            .or_else(|| self.first(id, |thing| here(thing) && thing.exists()))
            .or_else(|| self.first(id, here))
    }

    /// The machine that the world knows under this id.
    pub(super) fn machine(&self, id: &ResourceId) -> Option<usize> {
        self.first(id, |thing| thing.kind == Kind::Machine && thing.lives())
    }

    pub(super) fn by_key(&self, account: usize, key: Key) -> Option<usize> {
        self.by_key.get(&(account, key)).copied()
    }

    /// Whether a network or a packet filter still has machines in it.
    pub(super) fn in_use(&self, holder: &Thing) -> bool {
        let holds = |thing: &&Thing| {
            thing.account == holder.account
                && thing.kind == Kind::Machine
                && thing.exists()
                && cluster(thing.id()) == cluster(holder.id())
                && region(&thing.resource.spec) == region(&holder.resource.spec)
        };
        matches!(holder.kind, Kind::Network | Kind::Firewall)
            && self.things.iter().any(|t| holds(&t))
    }

    /// The private network that a machine will be put into.
    pub(super) fn network_for(&self, account: usize, machine: &Resource) -> Option<usize> {
        let fits = |thing: &Thing| {
            thing.account == account
                && thing.kind == Kind::Network
                && thing.lives()
                && cluster(thing.id()) == cluster(&machine.id)
                && region(&thing.resource.spec) == region(&machine.spec)
        };
        self.things.iter().position(fits)
    }

    /// A public address: a function of the machine's id and of how many had it before, except
    /// where two meet; then the later one takes the next that is free.
    pub(super) fn allocate(&mut self, account: usize, id: &ResourceId) -> Ipv4Addr {
        assert!(
            self.taken.len() < ADDRESSES as usize,
            "more machines than addresses"
        );
        let nth = self.of(id).len() as u64;
        let start = mix(id.number() ^ mix(account as u64 ^ nth << 32)) as u32;
        let free = (0..ADDRESSES)
            .map(|step| Ipv4Addr::from(FIRST_ADDRESS + start.wrapping_add(step) % ADDRESSES))
            .find(|address| !self.taken.contains(address))
            .expect("an address is left");
        self.taken.insert(free);
        free
    }

    /// An address that somebody else gave.
    pub(super) fn reserve(&mut self, address: Ipv4Addr) -> Ipv4Addr {
        self.taken.insert(address);
        address
    }

    pub(super) fn add(&mut self, thing: Thing, key: Option<Key>) -> usize {
        let serial = self.things.len();
        self.by_id
            .entry(thing.id().clone())
            .or_default()
            .push(serial);
        if let Some(key) = key {
            self.by_key.insert((thing.account, key), serial);
        }
        self.things.push(thing);
        serial
    }
}

/// The provider's own id of the `nth` thing under this id.
pub(super) fn external(prefix: &str, account: usize, id: &ResourceId, nth: usize) -> String {
    let number = mix(id.number() ^ mix(hash_name(prefix) ^ ((account as u64) << 32) ^ nth as u64));
    format!("{prefix}-{:010x}", number >> 24)
}

/// The cluster that a resource belongs to: the first part of its path.
pub(super) fn cluster(id: &ResourceId) -> &str {
    id.as_str().split('/').next().unwrap_or_default()
}

fn region(spec: &Spec) -> &str {
    super::trouble::Place::of(spec).region
}
