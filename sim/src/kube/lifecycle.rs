//! The node-lifecycle controller: silent nodes become NotReady, zones are judged, nodes get the
//! NoExecute taint at a zone's rate, pods go when their toleration has run out.
//!
//! Follows `pkg/controller/nodelifecycle` and `pkg/controller/tainteviction` of Kubernetes,
//! including what surprises: a zone of which 55 % are gone (and three or more) evicts nothing
//! while one that is gone completely evicts; and if all are gone nobody is evicted at all.
//! Knows nothing of why a kubelet is silent.

use super::election::Component;
use super::node::NodeSpec;
use super::pod::{PodId, WorkloadId};
use super::{Ground, Kube, KubeEvent, KubeNote, Settings};
use quorate_engine::time::{Span, Time};
use std::collections::VecDeque;

/// The state of a zone, by the share of its nodes that are not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoneState {
    /// Not judged yet.
    Initial,
    /// Evicts at the usual rate.
    Normal,
    /// 55 % or more, and three or more: evicts slowly, or not at all if it is small.
    Partial,
    /// All: evicts at the usual rate, unless all zones are in this state.
    Full,
}

/// The NoExecute taint of a node that is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taint {
    None,
    /// Waits for the zone's limiter.
    Queued,
    On,
}

/// A zone with its eviction limiter: a token bucket with room for one token.
#[derive(Debug)]
pub(super) struct Zone {
    region: String,
    zone: String,
    state: ZoneState,
    queue: VecDeque<u16>,
    /// Between tokens; `None` gives none.
    interval: Option<Span>,
    /// When there is a token.
    token: Time,
    /// When the next pass over the queue comes.
    pass: Option<Time>,
}

impl Zone {
    /// Sets the limiter's rate. A token that was there stays, one that was not must be earned.
    fn set_interval(&mut self, now: Time, interval: Option<Span>) {
        if self.interval == interval {
            return;
        }
        let had_token = self.interval.is_some() && now >= self.token;
        if !had_token {
            self.token = now + interval.unwrap_or(Span::ZERO);
        }
        self.interval = interval;
    }

    /// What a new leader knows of it: nothing.
    pub(super) fn forget(&mut self, now: Time, settings: &Settings) {
        self.state = ZoneState::Initial;
        self.queue.clear();
        self.interval = Some(settings.eviction);
        self.token = now;
    }
}

impl Kube {
    pub(super) fn zone_of(&mut self, spec: &NodeSpec, now: Time) -> u16 {
        let same = |z: &Zone| z.region == spec.region && z.zone == spec.zone;
        let known = self.zones.iter().position(same);
        known.unwrap_or_else(|| {
            self.zones.push(Zone {
                region: spec.region.clone(),
                zone: spec.zone.clone(),
                state: ZoneState::Initial,
                queue: VecDeque::new(),
                interval: Some(self.settings.eviction),
                token: now,
                pass: None,
            });
            self.zones.len() - 1
        }) as u16
    }

    /// Names of the zones by index: region and zone label.
    pub fn zone_names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.zones
            .iter()
            .map(|z| (z.region.as_str(), z.zone.as_str()))
    }

    /// The state of a zone by index, as of the last turn of the controller.
    #[must_use]
    pub fn zone_state(&self, zone: u16) -> ZoneState {
        self.zones[usize::from(zone)].state
    }

    pub(super) fn on_monitor<G: Ground>(&mut self, g: &mut G) {
        g.after(self.settings.monitor, KubeEvent::Monitor);
        if !self.works(g, Component::ControllerManager) {
            return;
        }
        let mut tally = vec![(0, 0); self.zones.len()];
        for host in self.hosts() {
            self.judge(g, host);
            let node = self.node(host).expect("listed");
            let (ready, unready) = &mut tally[usize::from(node.zone)];
            *(if node.ready { ready } else { unready }) += 1;
        }
        self.judge_zones(g, &tally);
        for zone in 0..self.zones.len() {
            self.queue_pass(g, zone);
        }
    }

    /// One node: has its lease moved, is it silent for too long, does its taint fit?
    fn judge<G: Ground>(&mut self, g: &mut G, host: u16) {
        let now = g.now();
        let grace = self.settings.grace;
        let node = self.node_mut(host).expect("listed");
        if node.renewed > node.observed {
            (node.observed, node.probe) = (node.renewed, now);
        }
        // Real turns are a little more than 5 s apart, so eight of them exceed 40 s: hence `>=`.
        if node.ready && now.since(node.probe) >= grace {
            node.ready = false;
            node.attention = true;
            let pods: Vec<PodId> = node.pods.iter().copied().collect();
            for pod in pods {
                self.set_ready(pod, false);
            }
            self.work.schedule |= self.waits_for_spread();
            g.note(KubeNote::Node { host, ready: false });
        }
        let node = self.node_mut(host).expect("listed");
        let zone = usize::from(node.zone);
        match (node.ready, node.taint) {
            (false, Taint::None) => {
                node.taint = Taint::Queued;
                self.zones[zone].queue.push_back(host);
            }
            (true, Taint::Queued | Taint::On) => self.untaint(g, host),
            (true, Taint::None) | (false, Taint::Queued | Taint::On) => {}
        }
    }

    fn untaint<G: Ground>(&mut self, g: &mut G, host: u16) {
        let node = self.node_mut(host).expect("the caller has a node");
        let zone = node.zone;
        match std::mem::replace(&mut node.taint, Taint::None) {
            Taint::None => {}
            Taint::Queued => self.leave_queue(zone, host),
            Taint::On => {
                node.taint_epoch += 1;
                self.work.schedule = true;
                g.note(KubeNote::Tainted { host, on: false });
            }
        }
    }

    /// The node waits for no taint any more.
    pub(super) fn leave_queue(&mut self, zone: u16, host: u16) {
        let queue = &mut self.zones[usize::from(zone)].queue;
        queue.retain(|queued| *queued != host);
    }

    fn judge_zones<G: Ground>(&mut self, g: &mut G, tally: &[(usize, usize)]) {
        let now = g.now();
        let settings = &self.settings;
        let state = |&(ready, unready): &(usize, usize)| {
            let share = unready * 100 >= settings.unhealthy_percent * (ready + unready);
            match (ready, unready) {
                (0, 1..) => ZoneState::Full,
                _ if unready >= settings.unhealthy_min && share => ZoneState::Partial,
                _ => ZoneState::Normal,
            }
        };
        let new: Vec<ZoneState> = tally.iter().map(state).collect();
        let inhabited = |at: &usize| tally[*at] != (0, 0);
        let lived: Vec<usize> = (0..new.len()).filter(inhabited).collect();
        let full = |state: ZoneState| state == ZoneState::Full;
        let all_full = !lived.is_empty() && lived.iter().all(|at| full(new[*at]));
        let were_full = !lived.is_empty() && lived.iter().all(|at| full(self.zones[*at].state));
        if all_full {
            // Nothing is ready: more likely the API's fault than the nodes'. Evict nobody.
            for host in self.hosts() {
                if self.node(host).is_some_and(|node| node.taint == Taint::On) {
                    self.untaint(g, host);
                }
            }
            for at in lived {
                self.zones[at].set_interval(now, None);
                self.change_state(g, at, ZoneState::Full);
            }
            return;
        }
        // Kubernetes gives every node a new grace period when it leaves this mode. Whoever is Ready
        // then was heard a moment ago, so that changes nothing here.
        for at in lived {
            if were_full || self.zones[at].state != new[at] {
                let interval = self.interval(new[at], tally[at].0 + tally[at].1);
                self.zones[at].set_interval(now, interval);
                self.change_state(g, at, new[at]);
            }
        }
    }

    fn interval(&self, state: ZoneState, size: usize) -> Option<Span> {
        let settings = &self.settings;
        match state {
            ZoneState::Initial | ZoneState::Normal | ZoneState::Full => Some(settings.eviction),
            ZoneState::Partial => {
                (size > settings.large_zone).then_some(settings.secondary_eviction)
            }
        }
    }

    fn change_state<G: Ground>(&mut self, g: &mut G, at: usize, state: ZoneState) {
        let before = std::mem::replace(&mut self.zones[at].state, state);
        // A first look that finds nothing wrong is no news.
        if before != state && (before, state) != (ZoneState::Initial, ZoneState::Normal) {
            let zone = at as u16;
            g.note(KubeNote::Zone { zone, state });
        }
    }

    /// Wakes the tainting pass when the zone has a token, if anybody waits for it.
    fn queue_pass<G: Ground>(&mut self, g: &mut G, at: usize) {
        let zone = &mut self.zones[at];
        let wait = zone.token.since(g.now()).max(self.settings.sync);
        let due = g.now() + wait;
        let comes = zone.pass.is_some_and(|pass| pass <= due);
        if zone.queue.is_empty() || zone.interval.is_none() || comes {
            return;
        }
        zone.pass = Some(due);
        g.after(wait, KubeEvent::Taint { zone: at as u16 });
    }

    pub(super) fn on_taint<G: Ground>(&mut self, g: &mut G, zone: u16) {
        let at = usize::from(zone);
        self.zones[at].pass = None;
        if !self.works(g, Component::ControllerManager) {
            // The next turn of a leader wakes it again.
            return;
        }
        let now = g.now();
        let zone = &mut self.zones[at];
        if let Some(interval) = zone.interval
            && now >= zone.token
            && let Some(host) = zone.queue.pop_front()
        {
            zone.token = now + interval;
            let node = self
                .node_mut(host)
                .expect("nodes leave the queue with their object");
            assert_eq!(node.taint, Taint::Queued, "the queue holds who waits");
            node.taint = Taint::On;
            g.note(KubeNote::Tainted { host, on: true });
            self.count_tolerations(g, host);
        }
        self.queue_pass(g, at);
    }

    /// From now on each pod's toleration runs.
    pub(super) fn count_tolerations<G: Ground>(&mut self, g: &mut G, host: u16) {
        let node = self.node_mut(host).expect("the caller has a node");
        node.taint_epoch += 1;
        let epoch = node.taint_epoch;
        let node = self.node(host).expect("the caller has a node");
        for id in &node.pods {
            let pod = &self.pods[id];
            if !pod.terminating {
                let own = self.workloads[usize::from(pod.workload.0)].spec.toleration;
                let wait = own.unwrap_or(self.settings.toleration);
                g.after(wait, KubeEvent::Evict { pod: *id, epoch });
            }
        }
    }

    pub(super) fn on_evict<G: Ground>(&mut self, g: &mut G, id: PodId, epoch: u32) {
        let Some(pod) = self.pods.get(&id).filter(|pod| !pod.terminating) else {
            return;
        };
        let (workload, host) = (pod.workload, pod.host.expect("taints are on nodes"));
        let node = self.node(host).expect("it has a pod");
        if node.taint != Taint::On || node.taint_epoch != epoch {
            return;
        }
        if !self.works(g, Component::ControllerManager) {
            g.after(Span::from_secs(1), KubeEvent::Evict { pod: id, epoch });
            return;
        }
        self.evict(g, id, workload, host);
    }

    pub(super) fn evict<G: Ground>(
        &mut self,
        g: &mut G,
        id: PodId,
        workload: WorkloadId,
        host: u16,
    ) {
        g.note(KubeNote::Evicted { workload, host });
        self.delete_pod(g, id);
    }
}
