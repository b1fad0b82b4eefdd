//! How hard and how long the executor tries: figures only.
//!
//! Does not know what a provider's published limits are; who builds the limits does.

use crate::quorum::{EtcdVersion, Policy};
use crate::seam::{Lane, Verb};
use crate::time::Span;
use std::collections::BTreeMap;

/// What the quorum guard is asked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// Which rules etcd's server has.
    pub version: EtcdVersion,
    /// What we ask beyond them.
    pub policy: Policy,
}

/// What one lane bears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneLimit {
    /// Calls under way at once; at least 1.
    pub in_flight: u32,
    /// Calls that may start at once after a rest; at least 1.
    pub burst: u32,
    /// Time in which one more call is earned; zero: as many as one likes.
    pub refill: Span,
    /// After a call with an unknown outcome, how long until what it may have made is surely shown:
    /// the lane's eventual consistency.
    pub settle: Span,
}

/// What a run is bounded by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// For steps that change etcd's membership.
    pub guard: Guard,
    /// By lane, where a lane differs from its kind below.
    pub lanes: BTreeMap<Lane, LaneLimit>,
    /// Any other provider.
    pub provider: LaneLimit,
    /// [`Lane::Hosts`].
    pub hosts: LaneLimit,
    /// [`Lane::Cluster`].
    pub cluster: LaneLimit,
    /// Tries of a step that fails with retryable or unknown outcomes; at least 1. Waiting for
    /// something (busy, capacity, refused) is bounded by the step's deadline alone.
    pub attempts: u32,
    /// How long a new machine may take to start and let somebody in: until then its silence is no
    /// failure.
    pub boot: Span,
    /// Upper bound of the first back-off; doubles with each failure.
    pub backoff_base: Span,
    /// Upper bound of every back-off.
    pub backoff_cap: Span,
    /// Between two looks at something that takes its time.
    pub poll: Span,
    /// Upper bound of the wait for capacity; the lower one is half of it.
    pub capacity_backoff: Span,
    /// How long one call may take, by verb.
    pub timeouts: BTreeMap<Verb, Span>,
    /// The same for every other verb.
    pub timeout: Span,
}

impl Limits {
    /// Sober values. Providers: one call a second with a burst of 10, which is what the tightest
    /// large API refills (Hetzner Cloud: 3600 an hour). Polls: etcd's health interval, 5 s.
    #[must_use]
    pub fn new(guard: Guard) -> Self {
        let free = LaneLimit {
            in_flight: 16,
            burst: 1,
            refill: Span::ZERO,
            settle: Span::ZERO,
        };
        Self {
            guard,
            lanes: BTreeMap::new(),
            provider: LaneLimit {
                in_flight: 10,
                burst: 10,
                refill: Span::from_secs(1),
                settle: Span::from_secs(10),
            },
            hosts: LaneLimit {
                in_flight: 32,
                ..free
            },
            cluster: free,
            attempts: 8,
            // Boot and cloud-init take a cloud's machine 30 to 120 s, and an emulated one as long.
            boot: Span::from_secs(180),
            backoff_base: Span::from_secs(1),
            backoff_cap: Span::from_secs(60),
            poll: Span::from_secs(5),
            capacity_backoff: Span::from_secs(120),
            timeouts: BTreeMap::from([
                // kubeadm waits 4 min for the kubelet and 4 min for the components, and a learner
                // 2 min; pulling images comes on top.
                (Verb::Init, Span::from_secs(600)),
                (Verb::AddLearner, Span::from_secs(600)),
                (Verb::Drain, Span::from_secs(900)),
                (Verb::Create, Span::from_secs(300)),
                (Verb::Update, Span::from_secs(300)),
            ]),
            timeout: Span::from_secs(60),
        }
    }

    /// What this lane bears.
    #[must_use]
    pub fn lane(&self, lane: &Lane) -> LaneLimit {
        let kind = match lane {
            Lane::Provider(_) => self.provider,
            Lane::Hosts => self.hosts,
            Lane::Cluster => self.cluster,
        };
        self.lanes.get(lane).copied().unwrap_or(kind)
    }

    /// How long one call may take.
    #[must_use]
    pub fn timeout(&self, verb: Verb) -> Span {
        self.timeouts.get(&verb).copied().unwrap_or(self.timeout)
    }
}
