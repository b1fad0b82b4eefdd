//! Drain: cordon a node, evict its pods within their budgets, wait until they are gone.
//!
//! As `kubectl drain` does: a refused eviction is repeated every 5 s. A pod of a node that does not
//! answer counts as gone once it is evicted, as Cluster API has it. The budget of a workload is
//! what it asks for, by default all pods but one. Knows nothing of what becomes of the machine.

use super::election::Component;
use super::pod::{Phase, PodId};
use super::{Ground, Kube, KubeEvent, Seat};
use quorate_engine::time::Time;

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainOutcome {
    /// No pod is left there, or the node is gone.
    Done,
    /// Budgets did not allow it in time, or it was taken back. The node stays cordoned.
    Stuck,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Drain {
    epoch: u32,
    deadline: Time,
}

impl Kube {
    /// Begins to drain a node; [`Ground::drained`] tells its end, never before this returns. While
    /// a drain of this node runs, another call joins it: `false` then. A node that is not there is
    /// drained.
    pub fn drain<G: Ground>(&mut self, g: &mut G, host: u16) -> bool {
        if self.drains.contains_key(&host) {
            return false;
        }
        self.cordon(host);
        self.drains_begun += 1;
        let epoch = self.drains_begun;
        let deadline = g.now() + self.settings.drain_timeout;
        self.drains.insert(host, Drain { epoch, deadline });
        g.after(self.settings.sync, KubeEvent::Drain { host, epoch });
        true
    }

    /// Whether a drain of this node runs.
    #[must_use]
    pub fn draining(&self, host: u16) -> bool {
        self.drains.contains_key(&host)
    }

    pub(super) fn on_drain<G: Ground>(&mut self, g: &mut G, host: u16, epoch: u32) {
        let current = |drain: &&Drain| drain.epoch == epoch;
        let Some(drain) = self.drains.get(&host).filter(current).copied() else {
            return;
        };
        if self.node(host).is_none_or(|node| node.removed) {
            self.end_drain(g, host, DrainOutcome::Done);
            return;
        }
        let mut refused = !g.api_writable(Seat::Operator);
        if !refused {
            refused = self.evict_within_budgets(g, host);
        }
        let node = self.node(host).expect("an eviction leaves the node");
        let answers = node.ready;
        let stays = |id: &PodId| answers || !self.pods[id].terminating;
        let left = node.pods.iter().any(stays);
        if !left || g.now() >= drain.deadline {
            let stuck = left.then_some(DrainOutcome::Stuck);
            self.end_drain(g, host, stuck.unwrap_or(DrainOutcome::Done));
            return;
        }
        let wait = if refused {
            self.settings.drain_retry
        } else {
            self.settings.drain_poll
        };
        g.after(wait, KubeEvent::Drain { host, epoch });
    }

    fn end_drain<G: Ground>(&mut self, g: &mut G, host: u16, outcome: DrainOutcome) {
        let drain = self.drains.remove(&host);
        assert!(drain.is_some(), "a drain ends once");
        g.drained(host, outcome);
    }

    /// The node takes pods again: a drain that runs there has lost its purpose.
    pub(super) fn give_up_drain<G: Ground>(&mut self, g: &mut G, host: u16) {
        if self.draining(host) {
            self.end_drain(g, host, DrainOutcome::Stuck);
        }
    }

    /// Evicts what may go now; whether something had to stay.
    fn evict_within_budgets<G: Ground>(&mut self, g: &mut G, host: u16) -> bool {
        let counted = self.works(g, Component::ControllerManager);
        let node = self.node(host).expect("the caller drains it");
        let live = |id: &&PodId| !self.pods[*id].terminating;
        let pods: Vec<PodId> = node.pods.iter().filter(live).copied().collect();
        let mut refused = false;
        for id in pods {
            let (workload, allowed) = (self.pods[&id].workload, self.may_go(id, counted));
            if allowed {
                self.evict(g, id, workload, host);
            } else {
                refused = true;
            }
        }
        refused
    }

    /// The rule of the eviction API. `counted`: the controller that keeps the budgets works; without
    /// it no budget is ever replenished.
    fn may_go(&self, id: PodId, counted: bool) -> bool {
        let pod = &self.pods[&id];
        let needed = self.workloads[usize::from(pod.workload.0)].spec.budget();
        if pod.phase != Phase::Running || needed == 0 {
            return true;
        }
        let ready = self.workloads[usize::from(pod.workload.0)].counts.ready;
        counted && ready >= needed + u32::from(pod.ready)
    }
}
