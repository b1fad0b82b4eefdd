//! Workloads and the life of their pods: bound, started, ready, deleted, gone.
//!
//! Knows nothing of who decides that a pod is made, moved or deleted.

use super::volume::Volume;
use super::{Ground, Kube, KubeEvent, KubeNote};
use quorate_engine::manifest::{Resources, Spread, WhenUnsatisfiable, Workload, disruption_budget};
use quorate_engine::time::{Span, Time};
use std::collections::BTreeSet;

/// Numbers workloads in order of deployment, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadId(pub u16);

/// Numbers pods in order of creation, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodId(pub u32);

/// What runs: a Deployment with a PodDisruptionBudget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadSpec {
    /// Its name.
    pub name: String,
    /// Pods.
    pub replicas: u32,
    /// What a pod asks for.
    pub requests: Resources,
    /// Each pod has a ReadWriteOnce volume.
    pub data: bool,
    /// Preferred node affinity to a provider.
    pub prefer: Option<String>,
    /// How its pods are kept apart, beyond what the scheduler prefers anyway.
    pub spread: Option<Spread>,
    /// Pods that a drain leaves; `None` for all but one.
    pub min_available: Option<u32>,
    /// How long its pods tolerate a NoExecute taint; `None` for the cluster's default.
    pub toleration: Option<Span>,
}

impl WorkloadSpec {
    /// Pods that a drain leaves.
    pub(super) fn budget(&self) -> u32 {
        disruption_budget(self.replicas, self.min_available)
    }

    /// Pods that would break its spread wait, rather than go where they break it least.
    pub(super) fn waits_for_spread(&self) -> bool {
        let waits = |spread: Spread| match spread.when_unsatisfiable {
            WhenUnsatisfiable::DoNotSchedule => true,
            WhenUnsatisfiable::ScheduleAnyway => false,
        };
        self.spread.is_some_and(waits)
    }
}

impl From<&Workload> for WorkloadSpec {
    fn from(workload: &Workload) -> Self {
        Self {
            name: workload.name.clone(),
            replicas: workload.replicas,
            requests: workload.requests,
            data: workload.data.is_some(),
            prefer: workload.prefer.as_ref().map(|p| p.provider.clone()),
            spread: workload.spread,
            min_available: workload.min_available,
            toleration: None,
        }
    }
}

/// Numbers of a workload's pods as the API shows them; a terminating pod counts nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Replicas asked for.
    pub desired: u32,
    /// Ready, as far as the API knows: a node's death is noticed late.
    pub ready: u32,
    /// On no node yet.
    pub pending: u32,
    /// On a node and not ready: starting, waiting for a volume, or on a node that is NotReady.
    pub unready: u32,
}

#[derive(Debug)]
pub(super) struct WorkloadState {
    pub(super) spec: WorkloadSpec,
    pub(super) counts: Counts,
    pub(super) told: Counts,
    pub(super) series: Vec<(Time, Counts)>,
    pub(super) pods: BTreeSet<PodId>,
    pub(super) volumes: Vec<Volume>,
}

/// Where a pod's container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// On no node.
    Pending,
    /// On a node whose kubelet has not taken it up, or not again.
    Bound,
    /// Its volume is still attached elsewhere.
    AwaitsVolume,
    /// Pulling, mounting, booting.
    Starting,
    /// Up.
    Running,
}

#[derive(Debug)]
pub(super) struct Pod {
    pub(super) workload: WorkloadId,
    pub(super) host: Option<u16>,
    pub(super) phase: Phase,
    /// The condition in the API.
    pub(super) ready: bool,
    pub(super) ready_since: Time,
    /// Deleted in the API; its container may still run.
    pub(super) terminating: bool,
    /// Its kubelet is about to end it.
    pub(super) stopping: bool,
    /// Starts on its node so far.
    pub(super) starts: u32,
    /// Its volume.
    pub(super) slot: Option<u32>,
    /// The trace has said that no node can take it.
    pub(super) told_unschedulable: bool,
}

impl Kube {
    /// Makes a workload. Its pods appear as controllers and scheduler get to them.
    pub fn deploy<G: Ground>(&mut self, g: &mut G, spec: WorkloadSpec) -> WorkloadId {
        let id = WorkloadId(self.workloads.len() as u16);
        self.workloads.push(WorkloadState {
            counts: Counts {
                desired: spec.replicas,
                ..Counts::default()
            },
            spec,
            told: Counts::default(),
            series: Vec::new(),
            pods: BTreeSet::new(),
            volumes: Vec::new(),
        });
        for node in self.nodes.iter_mut().flatten() {
            node.placed.push(0);
            node.running.push(0);
        }
        self.work.replicas = true;
        self.wrap_up(g);
        id
    }

    /// Changes a workload's number of pods.
    pub fn scale<G: Ground>(&mut self, g: &mut G, workload: WorkloadId, replicas: u32) {
        let state = self.workload_mut(workload);
        state.spec.replicas = replicas;
        state.counts.desired = replicas;
        self.work.replicas = true;
        self.wrap_up(g);
    }

    /// The workload of this name.
    #[must_use]
    pub fn workload(&self, name: &str) -> Option<WorkloadId> {
        let at = self.workloads.iter().position(|w| w.spec.name == name)?;
        Some(WorkloadId(at as u16))
    }

    /// Numbers of a workload's pods, now.
    #[must_use]
    pub fn counts(&self, workload: WorkloadId) -> Counts {
        self.workloads[usize::from(workload.0)].counts
    }

    /// The same over time: an entry for each instant at which it changed.
    #[must_use]
    pub fn series(&self, workload: WorkloadId) -> &[(Time, Counts)] {
        &self.workloads[usize::from(workload.0)].series
    }

    /// Whether a container of the workload truly runs there, whatever the API says.
    pub fn serves<G: Ground>(&self, g: &G, workload: WorkloadId, host: u16) -> bool {
        let up = |node: &super::node::Node| node.running[usize::from(workload.0)] > 0;
        self.node(host).is_some_and(up) && g.host_alive(host)
    }

    /// How many containers of the workload truly run.
    pub fn running<G: Ground>(&self, g: &G, workload: WorkloadId) -> u32 {
        let alive = |(host, node): (usize, &Option<super::node::Node>)| {
            let node = node.as_ref().filter(|_| g.host_alive(host as u16))?;
            Some(node.running[usize::from(workload.0)])
        };
        self.nodes.iter().enumerate().filter_map(alive).sum()
    }

    pub(super) fn workload_mut(&mut self, id: WorkloadId) -> &mut WorkloadState {
        &mut self.workloads[usize::from(id.0)]
    }

    fn pod_mut(&mut self, id: PodId) -> &mut Pod {
        self.pods
            .get_mut(&id)
            .expect("the caller holds a living pod")
    }

    /// A new pod, on no node.
    pub(super) fn create_pod(&mut self, now: Time, workload: WorkloadId) -> PodId {
        let id = PodId(self.next_pod);
        self.next_pod += 1;
        let state = self.workload_mut(workload);
        let slot = state.spec.data.then(|| state.claim_volume(id));
        state.pods.insert(id);
        state.counts.pending += 1;
        self.pending.insert(id);
        self.pods.insert(
            id,
            Pod {
                workload,
                host: None,
                phase: Phase::Pending,
                ready: false,
                ready_since: now,
                terminating: false,
                stopping: false,
                starts: 0,
                slot,
                told_unschedulable: false,
            },
        );
        id
    }

    /// Puts a pod on a node. Its container starts when the kubelet hears of it.
    pub(super) fn bind(&mut self, id: PodId, host: u16) {
        assert!(self.pending.remove(&id), "only a pending pod is bound");
        let pod = self.pod_mut(id);
        assert!(!pod.terminating && pod.phase == Phase::Pending);
        pod.host = Some(host);
        pod.phase = Phase::Bound;
        let workload = pod.workload;
        let state = self.workload_mut(workload);
        state.counts.pending -= 1;
        state.counts.unready += 1;
        let requests = state.spec.requests;
        let node = self.node_mut(host).expect("pods are bound to nodes");
        node.free_cpu -= requests.cpu.0;
        node.free_memory -= requests.memory.0;
        node.placed[usize::from(workload.0)] += 1;
        node.pods.insert(id);
    }

    /// The kubelet takes a pod up: volume first, then image and boot.
    pub(super) fn begin_start<G: Ground>(&mut self, g: &mut G, id: PodId) {
        let Some(attach) = self.take_volume(id) else {
            self.pod_mut(id).phase = Phase::AwaitsVolume;
            return;
        };
        let pod = self.pod_mut(id);
        pod.phase = Phase::Starting;
        pod.starts += 1;
        let start = pod.starts;
        let median = if start == 1 {
            self.settings.start
        } else {
            self.settings.restart
        };
        let entity = u64::from(id.0) << 32 | u64::from(start);
        let mut stream = self.seed.stream_of(entity, "pod start");
        let boot = stream.lognormal(median, self.settings.start_sigma);
        g.after(attach + boot, KubeEvent::Started { pod: id, start });
    }

    pub(super) fn on_started<G: Ground>(&mut self, g: &mut G, id: PodId, start: u32) {
        let Some(pod) = self.pods.get(&id) else {
            return;
        };
        if pod.starts != start || pod.phase != Phase::Starting || pod.stopping {
            return;
        }
        let host = pod.host.expect("a starting pod is on a node");
        if !g.host_alive(host) {
            self.pod_mut(id).phase = Phase::Bound;
            self.node_mut(host).expect("it has a pod").attention = true;
            return;
        }
        self.now_running(id);
        if self.hears(g, host) {
            self.set_ready(id, true);
        } else {
            self.node_mut(host).expect("it has a pod").attention = true;
        }
        let now = g.now();
        self.pod_mut(id).ready_since = now;
    }

    /// The container is up.
    pub(super) fn now_running(&mut self, id: PodId) {
        let pod = self.pod_mut(id);
        assert_ne!(pod.phase, Phase::Running, "a container starts once");
        pod.phase = Phase::Running;
        let (host, workload) = (pod.host.expect("it runs on a node"), pod.workload);
        let node = self.node_mut(host).expect("it runs on a node");
        node.running[usize::from(workload.0)] += 1;
    }

    /// Sets the Ready condition in the API.
    pub(super) fn set_ready(&mut self, id: PodId, ready: bool) {
        let pod = self.pod_mut(id);
        if pod.ready == ready || pod.terminating {
            return;
        }
        pod.ready = ready;
        let workload = pod.workload;
        let counts = &mut self.workload_mut(workload).counts;
        if ready {
            counts.ready += 1;
            counts.unready -= 1;
        } else {
            counts.ready -= 1;
            counts.unready += 1;
        }
        self.work.endpoints = true;
    }

    /// Deletes a pod in the API. One that no node has is gone; else its kubelet ends it, as soon as
    /// it hears of it.
    pub(super) fn delete_pod<G: Ground>(&mut self, g: &mut G, id: PodId) {
        self.work.replicas = true;
        let pod = self.pod_mut(id);
        assert!(!pod.terminating, "a pod is deleted once");
        let Some(host) = pod.host else {
            self.forget(id);
            return;
        };
        self.leave_counts(id);
        self.release_claim(id);
        if self.hears(g, host) {
            self.begin_stop(g, id);
        } else {
            self.node_mut(host).expect("it has a pod").attention = true;
            self.ask_detach(g, id);
        }
    }

    /// A pod on a node is terminating from here on, and counts no more.
    fn leave_counts(&mut self, id: PodId) {
        let pod = self.pod_mut(id);
        let was_ready = std::mem::replace(&mut pod.ready, false);
        pod.terminating = true;
        let (host, workload) = (pod.host.expect("it is on a node"), pod.workload);
        let counts = &mut self.workload_mut(workload).counts;
        if was_ready {
            counts.ready -= 1;
            self.work.endpoints = true;
        } else {
            counts.unready -= 1;
        }
        let node = self.node_mut(host).expect("it has a pod");
        node.placed[usize::from(workload.0)] -= 1;
    }

    /// The kubelet ends a terminating pod.
    pub(super) fn begin_stop<G: Ground>(&mut self, g: &mut G, id: PodId) {
        let stop = self.settings.stop;
        let pod = self.pod_mut(id);
        assert!(pod.terminating, "a kubelet stops what was deleted");
        if std::mem::replace(&mut pod.stopping, true) {
            return;
        }
        g.after(stop, KubeEvent::Stopped { pod: id });
    }

    pub(super) fn on_stopped<G: Ground>(&mut self, g: &mut G, id: PodId) {
        let Some(pod) = self.pods.get(&id).filter(|pod| pod.stopping) else {
            return;
        };
        let (host, volume) = (pod.host.expect("it was on a node"), pod.volume());
        let (workload, runs) = (pod.workload, pod.phase == Phase::Running);
        if runs && g.host_alive(host) {
            self.pod_mut(id).phase = Phase::Bound;
            let node = self.node_mut(host).expect("it has a pod");
            node.running[usize::from(workload.0)] -= 1;
        }
        if !self.hears(g, host) {
            // Ended or not, nobody hears of it; the next contact brings it up again.
            self.pod_mut(id).stopping = false;
            if let Some(node) = self.node_mut(host) {
                node.attention = true;
            }
            return;
        }
        self.forget(id);
        if let Some((workload, slot)) = volume {
            self.detach(g, workload, slot, host);
        }
    }

    /// The pod is no longer in the API.
    pub(super) fn forget(&mut self, id: PodId) {
        let pod = &self.pods[&id];
        if pod.host.is_some() && !pod.terminating {
            self.leave_counts(id);
        }
        self.release_claim(id);
        let pod = self.pods.remove(&id).expect("looked up above");
        let state = self.workload_mut(pod.workload);
        state.pods.remove(&id);
        let requests = state.spec.requests;
        match pod.host {
            None => {
                state.counts.pending -= 1;
                self.pending.remove(&id);
            }
            Some(host) => {
                let node = self.node_mut(host).expect("it had a pod");
                node.pods.remove(&id);
                node.free_cpu += requests.cpu.0;
                node.free_memory += requests.memory.0;
                if pod.phase == Phase::Running {
                    node.running[usize::from(pod.workload.0)] -= 1;
                }
            }
        }
        self.work.schedule = true;
        self.work.replicas = true;
    }

    /// Notes what changed since the last transition.
    pub(super) fn tell_counts<G: Ground>(&mut self, g: &mut G) {
        for (at, state) in self.workloads.iter_mut().enumerate() {
            if state.told != state.counts {
                state.told = state.counts;
                let now = g.now();
                state.series.pop_if(|(at, _)| *at == now);
                state.series.push((now, state.counts));
                g.note(KubeNote::Counts {
                    workload: WorkloadId(at as u16),
                    counts: state.counts,
                });
            }
        }
    }
}
