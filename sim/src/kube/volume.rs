//! ReadWriteOnce volumes: attached to one node at a time, and slow to leave a dead one.
//!
//! Knows nothing of the bytes in them nor of their replicas.

use super::election::Component;
use super::pod::{Phase, Pod, PodId, WorkloadId, WorkloadState};
use super::{Ground, Kube, KubeEvent, KubeNote};
use quorate_engine::time::Span;

#[derive(Debug, Default)]
pub(super) struct Volume {
    /// The pod it is for; a terminating pod has given it up already.
    claimed: Option<PodId>,
    attached: Option<u16>,
    /// Numbers attachments, and restarts of the controller that waits for their end.
    epoch: u32,
    /// Its node does not answer and somebody wants it to leave.
    detaching: bool,
}

impl Pod {
    pub(super) fn volume(&self) -> Option<(WorkloadId, u32)> {
        self.slot.map(|slot| (self.workload, slot))
    }
}

impl WorkloadState {
    /// The first volume that no pod has; else a new one.
    pub(super) fn claim_volume(&mut self, pod: PodId) -> u32 {
        let free = self.volumes.iter().position(|v| v.claimed.is_none());
        let slot = free.unwrap_or_else(|| {
            self.volumes.push(Volume::default());
            self.volumes.len() - 1
        });
        self.volumes[slot].claimed = Some(pod);
        slot as u32
    }
}

impl Kube {
    fn volume_mut(&mut self, workload: WorkloadId, slot: u32) -> &mut Volume {
        &mut self.workload_mut(workload).volumes[slot as usize]
    }

    /// The pod gives its volume up, so that its successor can claim it.
    pub(super) fn release_claim(&mut self, id: PodId) {
        let Some((workload, slot)) = self.pods[&id].volume() else {
            return;
        };
        let volume = self.volume_mut(workload, slot);
        if volume.claimed == Some(id) {
            volume.claimed = None;
        }
    }

    /// Attaches a pod's volume to its node: how long that takes, or `None` if it is elsewhere.
    pub(super) fn take_volume(&mut self, id: PodId) -> Option<Span> {
        let attach = self.settings.attach;
        let pod = &self.pods[&id];
        let Some((workload, slot)) = pod.volume() else {
            return Some(Span::ZERO);
        };
        let host = pod.host.expect("a pod starts on a node");
        let volume = self.volume_mut(workload, slot);
        match volume.attached {
            Some(at) if at == host => Some(Span::ZERO),
            Some(_) => None,
            None => {
                volume.attached = Some(host);
                volume.epoch += 1;
                Some(attach)
            }
        }
    }

    /// A pod was deleted on a node that does not answer: the clock of the forced detach starts.
    pub(super) fn ask_detach<G: Ground>(&mut self, g: &mut G, id: PodId) {
        let Some((workload, slot)) = self.pods[&id].volume() else {
            return;
        };
        let wait = self.settings.force_detach;
        let volume = self.volume_mut(workload, slot);
        if volume.attached.is_none() || std::mem::replace(&mut volume.detaching, true) {
            return;
        }
        let epoch = volume.epoch;
        g.after(
            wait,
            KubeEvent::ForceDetach {
                workload,
                slot,
                epoch,
            },
        );
    }

    pub(super) fn on_force_detach<G: Ground>(
        &mut self,
        g: &mut G,
        workload: WorkloadId,
        slot: u32,
        epoch: u32,
    ) {
        let volume = self.volume_mut(workload, slot);
        let Some(host) = volume.attached else {
            return;
        };
        if volume.epoch != epoch || !volume.detaching {
            return;
        }
        if !self.works(g, Component::ControllerManager) {
            let retry = self.settings.leader_retry;
            g.after(
                retry,
                KubeEvent::ForceDetach {
                    workload,
                    slot,
                    epoch,
                },
            );
            return;
        }
        g.note(KubeNote::ForceDetached { workload, host });
        self.detach(g, workload, slot, host);
    }

    /// The volume leaves that node; whoever waits for it goes on.
    pub(super) fn detach<G: Ground>(
        &mut self,
        g: &mut G,
        workload: WorkloadId,
        slot: u32,
        host: u16,
    ) {
        let on_host = |pod: &Pod| pod.host == Some(host) && !pod.terminating;
        let claimed = self.volume_mut(workload, slot).claimed;
        let stays = claimed.is_some_and(|id| self.pods.get(&id).is_some_and(on_host));
        let volume = self.volume_mut(workload, slot);
        if volume.attached != Some(host) {
            return;
        }
        volume.detaching = false;
        volume.epoch += 1;
        if stays {
            return;
        }
        volume.attached = None;
        let Some(id) = claimed else {
            return;
        };
        let waiting = |pod: &&mut Pod| pod.phase == Phase::AwaitsVolume;
        let Some(pod) = self.pods.get_mut(&id).filter(waiting) else {
            return;
        };
        let next = pod.host.expect("it waits on a node");
        pod.phase = Phase::Bound;
        if self.hears(g, next) {
            self.begin_start(g, id);
        } else {
            self.node_mut(next).expect("it has a pod").attention = true;
        }
    }

    /// A new controller manager has no memory of how long the former one waited.
    pub(super) fn restart_detach_clocks<G: Ground>(&mut self, g: &mut G) {
        let wait = self.settings.force_detach;
        for (at, state) in self.workloads.iter_mut().enumerate() {
            for (slot, volume) in state.volumes.iter_mut().enumerate() {
                if !volume.detaching {
                    continue;
                }
                volume.epoch += 1;
                g.after(
                    wait,
                    KubeEvent::ForceDetach {
                        workload: WorkloadId(at as u16),
                        slot: slot as u32,
                        epoch: volume.epoch,
                    },
                );
            }
        }
    }
}
