//! The seam between the engine and a world, simulated or real: plain data, no trait.
//!
//! # The contract
//!
//! A driver is a short loop around `handle(now, event) -> effects`. Both sides may rely on this,
//! and both drivers assert it:
//!
//! 1. Effects are carried out in order, and a [`Effect::Call`] starts only when every
//!    [`Effect::Record`] before it is durable.
//! 2. Every call gets exactly one [`Event::Answer`], at the latest at its deadline, then with
//!    [`FaultClass::Unknown`]. A call may be repeated with the same [`Key`] and does the work once.
//! 3. Time and randomness come in as arguments. `now` never goes back, a [`Effect::WakeAt`] is
//!    never in the past, and a driver gives every run a budget of events.
//! 4. After a crash the journal is all there is: a new engine made from it goes on.

use crate::journal::Entry;
use crate::mesh::{MeshKey, PeerFact};
use crate::resource::{Kind, Resource, ResourceId};
use crate::time::{Span, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// What happens to the engine.
#[derive(Debug, Clone)]
pub enum Event {
    /// Begin, or begin again after a crash.
    Start,
    /// A call was answered.
    Answer {
        /// Which.
        call: CallId,
        /// How.
        outcome: Outcome,
    },
    /// An instant asked for by [`Effect::WakeAt`] has come. Spurious ones do no harm.
    Wake,
    /// Stop starting things; let what runs end.
    Cancel,
}

/// What the engine wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Make this durable.
    Record(Entry),
    /// Do this, once everything recorded before it is durable.
    Call {
        /// The answer names it.
        id: CallId,
        /// What to do.
        call: Arc<Call>,
        /// Answer at the latest then.
        deadline: Time,
    },
    /// Send [`Event::Wake`] at this instant.
    WakeAt(Time),
    /// For people and traces: what the engine decided and why.
    Say(Notice),
    /// The engine has nothing more to do.
    Done(Ending),
}

/// Numbers the calls of one engine's life, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(pub u64);

/// The idempotency key of a call: equal for every repetition that must not do the work again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub u64);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Whom a call goes to. Limits and budgets are kept per lane.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// A provider's API, by the name of the provider instance.
    Provider(Arc<str>),
    /// Machines, over ssh.
    Hosts,
    /// The Kubernetes API and etcd.
    Cluster,
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider(name) => f.pad(name),
            Self::Hosts => f.pad("hosts"),
            Self::Cluster => f.pad("cluster"),
        }
    }
}

/// One request to the world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Whom it goes to.
    pub lane: Lane,
    /// What to do.
    pub verb: Verb,
    /// To what. For [`Verb::List`] and [`Verb::Cluster`]: the cluster itself.
    pub target: ResourceId,
    /// What kind of thing the target is.
    pub kind: Kind,
    /// What the target should be; where the verb needs it.
    pub resource: Option<Arc<Resource>>,
    /// Repetitions carry the same key.
    pub key: Key,
    /// Public addresses of machines which the resource refers to.
    pub addresses: Vec<(ResourceId, Ipv4Addr)>,
    /// For [`Kind::Links`]: everything that is known of the mesh, in order of machine.
    pub peers: Arc<[PeerFact]>,
}

/// What can be asked of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Provider: everything there that carries the cluster's ownership label.
    List,
    /// Provider: the one resource with this id.
    Describe,
    /// Provider: make it. Hosts: put it there.
    Create,
    /// Bring it to its spec in place.
    Update,
    /// Remove it. Absent is success.
    Delete,
    /// Hosts: what is installed and running on a machine.
    Probe,
    /// Cluster: members of etcd and nodes, with health.
    Cluster,
    /// Cluster: `kubeadm init`: the first member and the first API server.
    Init,
    /// Cluster: add a learner and start it.
    AddLearner,
    /// Cluster: make a learner a voter.
    Promote,
    /// Cluster: hand leadership to another voter, if this member has it.
    MoveLeader,
    /// Cluster: remove a member.
    RemoveMember,
    /// Cluster: cordon a node and move its pods away.
    Drain,
}

impl Verb {
    /// Whether it changes the world: then its intent is recorded first.
    #[must_use]
    pub fn mutates(self) -> bool {
        !matches!(
            self,
            Self::List | Self::Describe | Self::Probe | Self::Cluster
        )
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::List => "list",
            Self::Describe => "await",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Probe => "probe",
            Self::Cluster => "read",
            Self::Init => "init",
            Self::AddLearner => "add-learner",
            Self::Promote => "promote",
            Self::MoveLeader => "move-leader",
            Self::RemoveMember => "remove-member",
            Self::Drain => "drain",
        })
    }
}

/// How a call ended.
pub type Outcome = Result<Reply, Fault>;

/// A good answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// It is done, or was so already.
    Done,
    /// It exists, like this.
    Seen(Seen),
    /// It does not exist.
    Absent,
    /// All that exists.
    List(Vec<Seen>),
    /// What is on a machine. Also answers the making of a [`Kind::Peer`], with its key.
    Host(HostView),
    /// What the cluster says of itself.
    Cluster(ClusterView),
}

/// A resource at a provider, as its API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The ownership label.
    pub id: ResourceId,
    /// What it is.
    pub kind: Kind,
    /// The provider's own id.
    pub external: String,
    /// The fingerprint label of the spec it was made from.
    pub fingerprint: u64,
    /// Its life.
    pub state: MachineState,
    /// Public address, where it has one.
    pub address: Option<Ipv4Addr>,
    /// Address in the provider's private network, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private: Option<Ipv4Addr>,
    /// The ssh host key it was made with, as in an OpenSSH public key file; none where the
    /// provider cannot deliver one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_key: Option<String>,
    /// What its API shows of the fields of its spec, by their names: whatever differs was changed
    /// by somebody else. Fields that the API does not show are left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

/// The life of a resource at a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MachineState {
    /// Accepted, not usable yet.
    Building,
    /// Usable. For what is not a machine: it exists.
    Running,
    /// Off.
    Stopped,
    /// Failed; will not come up.
    Error,
}

/// What is installed and running on a machine: fingerprints of specs, by kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HostView {
    /// In order of kind.
    pub installed: Vec<(Kind, u64)>,
    /// The public key of its mesh interface, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mesh_key: Option<MeshKey>,
}

/// What the cluster says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClusterView {
    /// Members of etcd, by machine.
    pub members: Vec<MemberView>,
    /// Nodes, by machine.
    pub nodes: Vec<NodeView>,
    /// Pods that fit nowhere.
    pub pending_pods: u32,
    /// Fingerprint of the replicated storage that is installed, if any is.
    pub storage: Option<u64>,
}

/// A member of etcd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    /// The machine it runs on; a member that was never started has one too.
    pub machine: ResourceId,
    /// No vote yet.
    pub learner: bool,
    /// It was started at least once (it has a name).
    pub started: bool,
    /// Connected without a break for at least 5 s (etcd's health interval).
    pub healthy: bool,
    /// It leads.
    pub leader: bool,
}

/// A Kubernetes node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its machine.
    pub machine: ResourceId,
    /// Its kubelet renews its lease.
    pub ready: bool,
    /// Takes new pods.
    pub schedulable: bool,
    /// Runs an API server.
    pub control_plane: bool,
    /// Version of its kubelet, `v1.35.2`; empty where it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Pods that a drain would move.
    pub pods: u32,
    /// What its pods ask for, in thousandths of what it has: the larger of CPU and memory.
    pub load_permille: u32,
}

/// A bad answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{class}: {detail}")]
pub struct Fault {
    /// What to do about it.
    pub class: FaultClass,
    /// For people.
    pub detail: String,
    /// Not before this, if the other side said so.
    pub after: Option<Span>,
}

impl Fault {
    /// A fault without advice when to come again.
    pub fn new(class: FaultClass, detail: impl Into<String>) -> Self {
        Self {
            class,
            detail: detail.into(),
            after: None,
        }
    }
}

/// What to do about a fault: the one taxonomy for every provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultClass {
    /// Not done; try again later (throttled, 5xx, refused).
    Retryable,
    /// Locked by something else, or not there yet: ask again.
    Busy,
    /// There is one already: adopt it if it is ours.
    Exists,
    /// The provider has no such machine left there.
    Capacity,
    /// The account may have no more.
    Quota,
    /// Credentials are wrong or lack a right.
    Auth,
    /// The request is wrong.
    Invalid,
    /// It is not there.
    NotFound,
    /// Sent, and no answer: it may be done or not. Ask before repeating.
    Unknown,
    /// Refused by the quorum guard, or by etcd's own rule.
    Refused,
}

impl fmt::Display for FaultClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Retryable => "retryable",
            Self::Busy => "busy",
            Self::Exists => "exists",
            Self::Capacity => "no capacity",
            Self::Quota => "quota",
            Self::Auth => "not authorised",
            Self::Invalid => "invalid",
            Self::NotFound => "not found",
            Self::Unknown => "unknown outcome",
            Self::Refused => "refused",
        })
    }
}

/// What the engine decided and why, for people and traces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Notice {
    /// The world was read and a plan made: how many steps, and what is left alone and why.
    Planned {
        /// Steps of the plan.
        steps: u32,
        /// What is not touched, and why.
        held: Vec<String>,
    },
    /// A step began.
    Started {
        /// Its title, `create shop/htz-cp/1`.
        step: String,
    },
    /// A step succeeded.
    Finished {
        /// Its title.
        step: String,
        /// Since it first began.
        took: Span,
    },
    /// A step will be tried again.
    Retrying {
        /// Its title.
        step: String,
        /// Why.
        fault: Fault,
        /// When.
        after: Span,
    },
    /// A change of membership goes against our policy, because force was asked for.
    Forced {
        /// Its title.
        step: String,
        /// What the quorum guard had to say.
        refusal: String,
    },
    /// A step failed for good.
    Failed {
        /// Its title.
        step: String,
        /// Why.
        fault: Fault,
    },
    /// The world is as desired.
    Converged,
    /// A growing pool gets another size.
    Scaled {
        /// Which.
        pool: String,
        /// Nodes from now on.
        size: u32,
        /// Why.
        reason: String,
    },
    /// A plan is not carried out: the independent check found what the planner must never do.
    Refused {
        /// What it found.
        problems: Vec<String>,
    },
}

/// How an engine's life ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Ending {
    /// The world is as desired.
    Converged,
    /// Some steps failed for good; the rest is done. Titles with their faults.
    Incomplete(Vec<(String, Fault)>),
    /// Stopped on request.
    Cancelled,
    /// The world has changed since the plan was shown that was to be carried out: nothing was done.
    Stale {
        /// Fingerprint of the plan that was shown.
        shown: u64,
        /// Fingerprint of the plan that would be carried out now.
        found: u64,
    },
}
