//! Kubernetes' control loops in virtual time: node leases and node lifecycle, leader election,
//! replicas, scheduler, volumes, drain, endpoints.
//!
//! What surrounds them is a [`Ground`]: which hosts live, and who can write to the API now. Knows
//! nothing of etcd, networks or providers; a container is running or not, and does no work.
//! All queries that a request needs are constant-time; nothing scans pods but a change of them.

mod drain;
mod election;
mod endpoints;
mod lifecycle;
mod node;
mod pod;
mod replicas;
mod schedule;
mod settings;
mod spread;
mod volume;

#[cfg(test)]
mod tests;

pub use drain::DrainOutcome;
pub use election::Component;
pub use lifecycle::ZoneState;
pub use node::{NodeSpec, NodeStatus};
pub use pod::{Counts, PodId, WorkloadId, WorkloadSpec};
pub use schedule::Score;
pub use settings::Settings;
pub use spread::excess;

use drain::Drain;
use election::Lease;
use endpoints::Table;
use lifecycle::Zone;
use node::Node;
use pod::{Pod, WorkloadState};
use quorate_engine::random::Seed;
use quorate_engine::time::{Span, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Who wants to reach the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seat {
    /// kubelet and kube-proxy of this host, the way their kubeconfig says.
    Node(u16),
    /// kube-controller-manager and kube-scheduler on this control-plane host.
    ControlPlane(u16),
    /// Whoever drains nodes, from outside.
    Operator,
}

/// What the control loops stand on; the world implements it.
pub trait Ground {
    /// Now.
    fn now(&self) -> Time;
    /// Hand this event to [`Kube::handle`] after this time.
    fn after(&mut self, delay: Span, event: KubeEvent);
    /// Whether a write from there to the API would succeed now: an API server is reached, and its
    /// etcd has a quorum.
    fn api_writable(&mut self, from: Seat) -> bool;
    /// Whether the host runs: not off, not paused, not still booting.
    fn host_alive(&self, host: u16) -> bool;
    /// Something happened that a trace shows.
    fn note(&mut self, note: KubeNote);
    /// A drain has ended; exactly once for each [`Kube::drain`] that was not joined to a running one.
    fn drained(&mut self, host: u16, outcome: DrainOutcome);
}

/// An event of the control loops, to be kept and handed back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KubeEvent {
    /// A kubelet's turn to renew its lease.
    Lease {
        /// Whose.
        host: u16,
        /// Of which boot and registration.
        epoch: u32,
    },
    /// Turn of the node-lifecycle controller.
    Monitor,
    /// Turn of the leader elections.
    Election,
    /// Pass over changed replicas and pending pods.
    Sync,
    /// Endpoints reach the nodes.
    Publish,
    /// A zone's eviction limiter has a token.
    Taint {
        /// Index of the zone.
        zone: u16,
    },
    /// A pod's toleration has run out.
    Evict {
        /// Which pod.
        pod: PodId,
        /// Under which taint of its node.
        epoch: u32,
    },
    /// A container is up.
    Started {
        /// Which pod.
        pod: PodId,
        /// Its how many-th start.
        start: u32,
    },
    /// A terminating container has ended.
    Stopped {
        /// Which pod.
        pod: PodId,
    },
    /// The attach-detach controller's patience is at its end.
    ForceDetach {
        /// Whose volume.
        workload: WorkloadId,
        /// Which of its volumes.
        slot: u32,
        /// Of which attachment.
        epoch: u32,
    },
    /// Turn of a drain.
    Drain {
        /// Of which node.
        host: u16,
        /// Which drain.
        epoch: u32,
    },
    /// Turn of pod garbage collection for one node.
    Collect {
        /// Which node.
        host: u16,
        /// Of which registration.
        epoch: u32,
    },
}

/// What happened, for traces and checkers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KubeNote {
    /// The node's condition changed.
    Node {
        /// Which.
        host: u16,
        /// Ready, or unknown.
        ready: bool,
    },
    /// The NoExecute taint was put on or taken off.
    Tainted {
        /// Which node.
        host: u16,
        /// Put on.
        on: bool,
    },
    /// A zone's state changed.
    Zone {
        /// Index of the zone.
        zone: u16,
        /// Its new state.
        state: ZoneState,
    },
    /// A pod was evicted, by taint or by drain.
    Evicted {
        /// Whose.
        workload: WorkloadId,
        /// From where.
        host: u16,
    },
    /// A pod was put on a node.
    Bound {
        /// Whose.
        workload: WorkloadId,
        /// Where.
        host: u16,
    },
    /// No node can take a pod.
    Unschedulable {
        /// Whose.
        workload: WorkloadId,
    },
    /// A volume was detached by force.
    ForceDetached {
        /// Whose.
        workload: WorkloadId,
        /// From where.
        host: u16,
    },
    /// A controller became leader.
    Leads {
        /// Which.
        component: Component,
        /// Where.
        host: u16,
    },
    /// A controller exited, and comes again after a back-off.
    Exited {
        /// Which.
        component: Component,
        /// Where.
        host: u16,
        /// Until its next start.
        backoff: Span,
    },
    /// Numbers of a workload's pods changed.
    Counts {
        /// Which.
        workload: WorkloadId,
        /// Now.
        counts: Counts,
    },
}

/// What controllers and scheduler still have to look at.
#[derive(Debug, Clone, Copy, Default)]
struct Work {
    replicas: bool,
    schedule: bool,
    endpoints: bool,
    sync_queued: bool,
    publish_queued: bool,
}

/// The control loops of one cluster, with all that the API server would know of it.
#[derive(Debug)]
pub struct Kube {
    settings: Settings,
    seed: Seed,
    nodes: Vec<Option<Node>>,
    providers: Vec<String>,
    labels: Vec<String>,
    zones: Vec<Zone>,
    workloads: Vec<WorkloadState>,
    pods: BTreeMap<PodId, Pod>,
    next_pod: u32,
    pending: BTreeSet<PodId>,
    leases: [Lease; 2],
    table: Arc<Table>,
    work: Work,
    ticking: bool,
    drains: BTreeMap<u16, Drain>,
    drains_begun: u32,
}

impl Kube {
    /// An empty cluster.
    #[must_use]
    pub fn new(settings: Settings, seed: Seed) -> Self {
        Self {
            settings,
            seed,
            nodes: Vec::new(),
            providers: Vec::new(),
            labels: Vec::new(),
            zones: Vec::new(),
            workloads: Vec::new(),
            pods: BTreeMap::new(),
            next_pod: 1,
            pending: BTreeSet::new(),
            leases: [Lease::default(); 2],
            table: Arc::default(),
            work: Work::default(),
            ticking: false,
            drains: BTreeMap::new(),
            drains_begun: 0,
        }
    }

    /// The numbers it runs with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes an event whose time has come.
    pub fn handle<G: Ground>(&mut self, g: &mut G, event: KubeEvent) {
        match event {
            KubeEvent::Lease { host, epoch } => self.on_lease(g, host, epoch),
            KubeEvent::Monitor => self.on_monitor(g),
            KubeEvent::Election => self.on_election(g),
            KubeEvent::Sync => self.on_sync(g),
            KubeEvent::Publish => self.on_publish(g),
            KubeEvent::Taint { zone } => self.on_taint(g, zone),
            KubeEvent::Evict { pod, epoch } => self.on_evict(g, pod, epoch),
            KubeEvent::Started { pod, start } => self.on_started(g, pod, start),
            KubeEvent::Stopped { pod } => self.on_stopped(g, pod),
            KubeEvent::ForceDetach {
                workload,
                slot,
                epoch,
            } => self.on_force_detach(g, workload, slot, epoch),
            KubeEvent::Drain { host, epoch } => self.on_drain(g, host, epoch),
            KubeEvent::Collect { host, epoch } => self.on_collect(g, host, epoch),
        }
        self.wrap_up(g);
    }

    /// After each transition: queue the passes it made necessary, tell of changed numbers.
    fn wrap_up<G: Ground>(&mut self, g: &mut G) {
        if (self.work.replicas || self.work.schedule) && !self.work.sync_queued {
            self.work.sync_queued = true;
            g.after(self.settings.sync, KubeEvent::Sync);
        }
        if self.work.endpoints && !self.work.publish_queued {
            self.work.publish_queued = true;
            g.after(self.settings.proxy_lag, KubeEvent::Publish);
        }
        self.tell_counts(g);
    }

    /// The controller manager looks after replicas, the scheduler after pending pods; whatever has
    /// no living leader waits, and the election asks again.
    fn on_sync<G: Ground>(&mut self, g: &mut G) {
        if self.work.replicas && self.works(g, Component::ControllerManager) {
            self.work.replicas = false;
            self.reconcile(g);
        }
        if self.work.schedule && self.works(g, Component::Scheduler) {
            self.work.schedule = false;
            self.schedule_pending(g);
        }
        // Still set where no leader works: then `sync_queued` stays on, so that only the election
        // brings the next pass.
        self.work.sync_queued = self.work.replicas || self.work.schedule;
    }

    fn ticks<G: Ground>(&mut self, g: &mut G) {
        if self.ticking {
            return;
        }
        self.ticking = true;
        let mut phase = self.seed.stream("kube", "phase");
        let monitor = phase.between(Span::ZERO, self.settings.monitor);
        let election = phase.between(Span::ZERO, self.settings.leader_retry);
        g.after(election, KubeEvent::Election);
        g.after(monitor, KubeEvent::Monitor);
    }

    fn node(&self, host: u16) -> Option<&Node> {
        self.nodes.get(usize::from(host))?.as_ref()
    }

    fn node_mut(&mut self, host: u16) -> Option<&mut Node> {
        self.nodes.get_mut(usize::from(host))?.as_mut()
    }

    /// Hosts whose Node object exists.
    fn hosts(&self) -> Vec<u16> {
        let present = |(host, node): (usize, &Option<Node>)| {
            node.as_ref()
                .filter(|node| !node.removed)
                .map(|_| host as u16)
        };
        self.nodes.iter().enumerate().filter_map(present).collect()
    }

    /// Whether a kubelet lives and sees the API: then it does at once what it is told.
    fn hears<G: Ground>(&self, g: &mut G, host: u16) -> bool {
        self.node(host).is_some_and(|node| !node.removed)
            && g.host_alive(host)
            && g.api_writable(Seat::Node(host))
    }
}
