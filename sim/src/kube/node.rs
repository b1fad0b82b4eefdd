//! Nodes: registration, kubelet's lease, and what a kubelet does when it sees the API again.
//!
//! Knows nothing of who judges the leases; see `lifecycle`.

use super::election::Instance;
use super::endpoints::Table;
use super::lifecycle::Taint as Evicting;
use super::pod::{Phase, PodId};
use super::{Ground, Kube, KubeEvent, KubeNote, Seat};
use quorate_engine::manifest::{Resources, Taint, TaintEffect};
use quorate_engine::random::Stream;
use quorate_engine::time::{Span, Time};
use quorate_engine::units::{Bytes, Cpu};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a machine holds if nobody says: two cores and 4 GiB, the smallest that kubeadm likes.
const SMALL: Resources = Resources {
    cpu: Cpu(2_000),
    memory: Bytes(4 << 30),
};

/// What the system keeps of a node for itself, in per cent.
const RESERVED_PERCENT: u64 = 10;

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// Its name. Where nodes are equal the scheduler takes the first by name.
    pub name: String,
    /// The provider's name in the manifest.
    pub provider: String,
    /// Label `topology.kubernetes.io/region`.
    pub region: String,
    /// Label `topology.kubernetes.io/zone`. Nodes of equal region and zone, whatever their
    /// provider, are one zone for the node-lifecycle controller, as in Kubernetes.
    pub zone: String,
    /// Runs an API server, kube-controller-manager and kube-scheduler.
    pub control_plane: bool,
    /// Takes workloads; else it carries the control plane's NoSchedule taint.
    pub worker: bool,
    /// What pods may ask for in all (allocatable, so without what the system takes).
    pub capacity: Resources,
    /// Further taints. Workloads have no tolerations but the usual two of 300 s.
    pub taints: Vec<Taint>,
}

/// A node as the API shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeStatus {
    /// The host.
    pub host: u16,
    /// Condition Ready is true.
    pub ready: bool,
    /// Not cordoned.
    pub schedulable: bool,
    /// Runs an API server.
    pub control_plane: bool,
    /// Pods that a drain would move: bound there and not terminating.
    pub pods: u32,
    /// What its pods ask for, in thousandths of its capacity: the larger of CPU and memory.
    pub load_permille: u32,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) control_plane: bool,
    /// A worker without a taint that keeps workloads off.
    pub(super) takes_pods: bool,
    /// Has a PreferNoSchedule taint.
    pub(super) avoided: bool,
    pub(super) provider: u16,
    pub(super) zone: u16,
    /// Values of the labels that constraints spread pods by: region and zone.
    pub(super) labels: [u16; 2],
    /// Thousandths of a core.
    pub(super) free_cpu: u64,
    /// Bytes.
    pub(super) free_memory: u64,
    pub(super) capacity: Resources,
    /// Numbers boots and registrations: events of former ones are void.
    pub(super) epoch: u32,
    pub(super) removed: bool,
    pub(super) ready: bool,
    pub(super) cordoned: bool,
    pub(super) out_of_service: bool,
    /// The lease in the API.
    pub(super) renewed: Time,
    /// The renewal that the lifecycle controller saw last, and when it saw it, by its own clock.
    pub(super) observed: Time,
    pub(super) probe: Time,
    pub(super) taint: Evicting,
    /// Numbers NoExecute taints, and restarts of the controller that counts their tolerations.
    pub(super) taint_epoch: u32,
    pub(super) pods: BTreeSet<PodId>,
    /// Pods by workload: bound and not terminating; really running.
    pub(super) placed: Vec<u32>,
    pub(super) running: Vec<u32>,
    /// Something awaits this kubelet's next contact with the API.
    pub(super) attention: bool,
    /// Endpoints as this node's kube-proxy knows them.
    pub(super) view: Arc<Table>,
    /// Controller manager and scheduler, on control-plane nodes.
    pub(super) instances: [Instance; 2],
    jitter: Stream,
}

impl Kube {
    /// Registers a node: it becomes Ready about 7 s later if it can renew its lease. For a host
    /// that has a Node object already, or had one a moment ago, this is its kubelet joining again:
    /// the node takes the new spec and is neither cordoned nor out of service any more.
    pub fn add_node<G: Ground>(&mut self, g: &mut G, host: u16, spec: &NodeSpec) {
        let at = usize::from(host);
        if self.nodes.len() <= at {
            self.nodes.resize_with(at + 1, || None);
        }
        let zone = self.zone_of(spec, g.now());
        let provider = self.provider_of(&spec.provider);
        let labels = [&spec.region, &spec.zone].map(|value| self.label_of(value));
        match self.nodes[at].take() {
            Some(mut old) => {
                if old.taint == Evicting::Queued {
                    old.taint = Evicting::None;
                    self.leave_queue(old.zone, host);
                }
                self.give_up_drain(g, host);
                let node = rejoined(old, spec, provider, zone);
                self.nodes[at] = Some(node);
            }
            None => {
                let node = self.fresh(host, spec, provider, zone, g.now());
                self.nodes[at] = Some(node);
            }
        }
        self.node_mut(host).expect("just put there").labels = labels;
        self.ticks(g);
        let epoch = self.node(host).expect("just put there").epoch;
        let mut stream = self
            .seed
            .stream_of(u64::from(host) << 32 | u64::from(epoch), "join");
        let half = Span::from_ms(500);
        let join = stream.between(self.settings.join - half, self.settings.join + half);
        g.after(join, KubeEvent::Lease { host, epoch });
        self.work.schedule = true;
        self.wrap_up(g);
    }

    fn provider_of(&mut self, name: &str) -> u16 {
        let known = self.providers.iter().position(|p| p == name);
        known.unwrap_or_else(|| {
            self.providers.push(name.to_owned());
            self.providers.len() - 1
        }) as u16
    }

    fn label_of(&mut self, value: &str) -> u16 {
        let known = self.labels.iter().position(|label| label == value);
        known.unwrap_or_else(|| {
            self.labels.push(value.to_owned());
            self.labels.len() - 1
        }) as u16
    }

    fn fresh(&self, host: u16, spec: &NodeSpec, provider: u16, zone: u16, now: Time) -> Node {
        Node {
            name: spec.name.clone(),
            control_plane: spec.control_plane,
            takes_pods: spec.takes_pods(),
            avoided: spec.avoided(),
            provider,
            zone,
            labels: [0; 2],
            free_cpu: spec.capacity.cpu.0,
            free_memory: spec.capacity.memory.0,
            capacity: spec.capacity,
            epoch: 0,
            removed: false,
            ready: false,
            cordoned: false,
            out_of_service: false,
            renewed: now,
            observed: now,
            probe: now,
            taint: Evicting::None,
            taint_epoch: 0,
            pods: BTreeSet::new(),
            placed: vec![0; self.workloads.len()],
            running: vec![0; self.workloads.len()],
            attention: false,
            view: Arc::default(),
            instances: [Instance::starting(now, &self.settings); 2],
            jitter: self.seed.stream_of(u64::from(host), "kubelet"),
        }
    }

    /// Deletes the Node object. Pods that are still bound there go by garbage collection, 40 to
    /// 60 s later; the kubelet, if it lives, can do nothing more.
    pub fn remove_node<G: Ground>(&mut self, g: &mut G, host: u16) {
        let Some(node) = self.node_mut(host).filter(|node| !node.removed) else {
            return;
        };
        node.removed = true;
        node.ready = false;
        node.epoch += 1;
        let (epoch, zone) = (node.epoch, node.zone);
        node.taint = Evicting::None;
        node.taint_epoch += 1;
        self.leave_queue(zone, host);
        let mut stream = self
            .seed
            .stream_of(u64::from(host) << 32 | u64::from(epoch), "gc");
        let wait = self.settings.gc_quarantine + stream.between(Span::ZERO, self.settings.gc);
        g.after(wait, KubeEvent::Collect { host, epoch });
        self.wrap_up(g);
    }

    /// The host has booted, now: its containers are gone. To be called when
    /// [`Ground::host_alive`] turns true after a power-off or a crash, not after a pause.
    pub fn host_started<G: Ground>(&mut self, g: &mut G, host: u16) {
        let now = g.now();
        let instances = [Instance::starting(now, &self.settings); 2];
        let Some(node) = self.node_mut(host) else {
            return;
        };
        node.running.fill(0);
        node.instances = instances;
        node.attention = true;
        let pods: Vec<PodId> = node.pods.iter().copied().collect();
        for id in pods {
            let pod = self.pods.get_mut(&id).expect("a node lists living pods");
            pod.phase = Phase::Bound;
            pod.stopping = false;
        }
        let node = self.node_mut(host).expect("looked up above");
        if node.removed {
            return;
        }
        node.epoch += 1;
        let epoch = node.epoch;
        let first = node.jitter.between(Span::from_secs(1), Span::from_secs(3));
        g.after(first, KubeEvent::Lease { host, epoch });
        self.wrap_up(g);
    }

    /// kubelet's turn: renew the lease, and with the API in sight do what has piled up.
    pub(super) fn on_lease<G: Ground>(&mut self, g: &mut G, host: u16, epoch: u32) {
        let current = |node: &&mut Node| node.epoch == epoch && !node.removed;
        let base = self.settings.lease;
        let spread = Span(base.0 / 1_000 * self.settings.lease_jitter_permille);
        let Some(node) = self.node_mut(host).filter(current) else {
            return;
        };
        let next = base + node.jitter.between(Span::ZERO, spread);
        g.after(next, KubeEvent::Lease { host, epoch });
        if !g.host_alive(host) || !g.api_writable(Seat::Node(host)) {
            return;
        }
        node.renewed = g.now();
        if !node.ready {
            node.ready = true;
            node.attention = true;
            g.note(KubeNote::Node { host, ready: true });
            self.work.schedule = true;
        }
        self.catch_up(g, host);
    }

    /// What piled up while a kubelet and its kube-proxy could not see the API.
    fn catch_up<G: Ground>(&mut self, g: &mut G, host: u16) {
        let table = &self.table;
        let node = self.nodes[usize::from(host)].as_mut().expect("it renewed");
        if !Arc::ptr_eq(&node.view, table) {
            node.view = Arc::clone(table);
        }
        if !std::mem::take(&mut node.attention) {
            return;
        }
        let pods: Vec<PodId> = node.pods.iter().copied().collect();
        for id in pods {
            let pod = &self.pods[&id];
            match (pod.terminating, pod.phase) {
                (true, _) => self.begin_stop(g, id),
                (false, Phase::Bound) => {
                    self.set_ready(id, false);
                    self.begin_start(g, id);
                }
                (false, Phase::Running) => self.set_ready(id, true),
                (false, Phase::AwaitsVolume | Phase::Starting) => {}
                (false, Phase::Pending) => unreachable!("a pending pod is on no node"),
            }
        }
    }

    /// Takes new pods no more.
    pub fn cordon(&mut self, host: u16) {
        if let Some(node) = self.node_mut(host) {
            node.cordoned = true;
        }
    }

    /// Takes new pods again. A drain that runs there is given up as [`super::DrainOutcome::Stuck`].
    pub fn uncordon<G: Ground>(&mut self, g: &mut G, host: u16) {
        let Some(node) = self.node_mut(host) else {
            return;
        };
        node.cordoned = false;
        self.give_up_drain(g, host);
        self.work.schedule = true;
        self.wrap_up(g);
    }

    /// Sets the taint `node.kubernetes.io/out-of-service`: once the node is NotReady its pods are
    /// deleted by force and its volumes detached at once. Gone again when the node rejoins.
    pub fn out_of_service<G: Ground>(&mut self, g: &mut G, host: u16) {
        let Some(node) = self.node_mut(host).filter(|node| !node.removed) else {
            return;
        };
        if std::mem::replace(&mut node.out_of_service, true) {
            return;
        }
        let epoch = node.epoch;
        let mut stream = self
            .seed
            .stream_of(u64::from(host) << 32 | u64::from(epoch), "gc");
        let wait = stream.between(Span::ZERO, self.settings.gc);
        g.after(wait, KubeEvent::Collect { host, epoch });
    }

    /// All nodes, as the API shows them, by host.
    #[must_use]
    pub fn views(&self) -> Vec<NodeStatus> {
        let status = |host: u16| {
            let node = self.node(host).expect("hosts() lists nodes");
            NodeStatus {
                host,
                ready: node.ready,
                schedulable: !node.cordoned,
                control_plane: node.control_plane,
                pods: node.placed.iter().sum(),
                load_permille: node.load_permille(),
            }
        };
        self.hosts().into_iter().map(status).collect()
    }
}

impl Node {
    fn load_permille(&self) -> u32 {
        let share = |free: u64, whole: u64| 1_000 - free.min(whole) * 1_000 / whole.max(1);
        let cpu = share(self.free_cpu, self.capacity.cpu.0);
        cpu.max(share(self.free_memory, self.capacity.memory.0)) as u32
    }
}

/// What is bound there stays bound, as the API matches pods to nodes by name.
fn rejoined(mut node: Node, spec: &NodeSpec, provider: u16, zone: u16) -> Node {
    let used_cpu = node.capacity.cpu.0 - node.free_cpu;
    let used_memory = node.capacity.memory.0 - node.free_memory;
    node.control_plane = spec.control_plane;
    node.takes_pods = spec.takes_pods();
    node.avoided = spec.avoided();
    node.provider = provider;
    node.zone = zone;
    node.free_cpu = spec.capacity.cpu.0.saturating_sub(used_cpu);
    node.free_memory = spec.capacity.memory.0.saturating_sub(used_memory);
    node.capacity = Resources {
        cpu: Cpu(node.free_cpu + used_cpu),
        memory: Bytes(node.free_memory + used_memory),
    };
    node.epoch += 1;
    node.removed = false;
    node.cordoned = false;
    node.out_of_service = false;
    node
}

impl NodeSpec {
    /// A worker without a taint that keeps workloads off.
    #[must_use]
    pub fn takes_pods(&self) -> bool {
        let keeps_off = |taint: &Taint| match taint.effect {
            TaintEffect::NoSchedule | TaintEffect::NoExecute => true,
            TaintEffect::PreferNoSchedule => false,
        };
        self.worker && !self.taints.iter().any(keeps_off)
    }

    /// Has a taint that makes it the last choice: PreferNoSchedule.
    #[must_use]
    pub fn avoided(&self) -> bool {
        let mut taints = self.taints.iter();
        taints.any(|taint| taint.effect == TaintEffect::PreferNoSchedule)
    }

    /// What pods may ask for on a machine of this size, in all: the system keeps a tenth for
    /// itself. What nobody knows counts as two cores and 4 GiB, the smallest that kubeadm likes.
    #[must_use]
    pub fn allocatable(machine: Option<Resources>) -> Resources {
        let whole = machine.unwrap_or(SMALL);
        let kept = |whole: u64| whole * (100 - RESERVED_PERCENT) / 100;
        Resources {
            cpu: Cpu(kept(whole.cpu.0)),
            memory: Bytes(kept(whole.memory.0)),
        }
    }
}

impl Node {
    /// Has no NoExecute taint of the lifecycle controller.
    pub(super) fn untainted(&self) -> bool {
        match self.taint {
            Evicting::None | Evicting::Queued => true,
            Evicting::On => false,
        }
    }
}

impl Kube {
    /// Whether every node is Ready, and no taint of the lifecycle controller is left on it.
    #[must_use]
    pub fn all_ready(&self) -> bool {
        let mut nodes = self.nodes.iter().flatten().filter(|node| !node.removed);
        nodes.all(|node| node.ready && node.untainted())
    }

    /// One node at the start of a run: Ready, its lease renewed now, the next turn in up to 10 s.
    pub(super) fn settle_node<G: Ground>(&mut self, g: &mut G, host: u16) {
        let (now, lease) = (g.now(), self.settings.lease);
        let node = self.node_mut(host).expect("listed");
        node.ready = true;
        node.epoch += 1;
        (node.renewed, node.observed, node.probe) = (now, now, now);
        let epoch = node.epoch;
        let next = node.jitter.between(Span::ZERO, lease);
        g.after(next, KubeEvent::Lease { host, epoch });
        g.note(KubeNote::Node { host, ready: true });
    }

    /// One pod at the start of a run: up and ready for long.
    pub(super) fn settle_pod(&mut self, id: PodId, now: Time) {
        self.now_running(id);
        self.set_ready(id, true);
        let pod = self.pods.get_mut(&id).expect("just made running");
        pod.starts = 1;
        pod.ready_since = now;
    }
}
