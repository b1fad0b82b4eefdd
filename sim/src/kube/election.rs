//! Leader election of kube-controller-manager and kube-scheduler, and kubelet's back-off for them.
//!
//! A leader that cannot renew its lease in the API for 10 s exits. A restarted one needs the API to
//! start at all, so during a long outage it exits again and again, and the back-off grows: the API
//! is back long before the control loops are. Knows nothing of etcd's own election.

use super::lifecycle::Taint;
use super::{Ground, Kube, KubeEvent, KubeNote, Seat, Settings};
use quorate_engine::time::{Span, Time};

/// The two that elect a leader among the control-plane nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// kube-controller-manager: node lifecycle, replicas, endpoints, volumes, budgets.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
}

const COMPONENTS: [Component; 2] = [Component::ControllerManager, Component::Scheduler];

/// A Lease object.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lease {
    holder: Option<u16>,
    renewed: Time,
}

/// One static pod of a control-plane node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instance {
    state: State,
    /// Exits since the last long run.
    exits: u32,
    started: Time,
    leads: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In back-off until then.
    Down(Time),
    /// Started, and waits for the API until then.
    Starting(Time),
    /// Takes part.
    Running,
}

impl Instance {
    pub(super) fn starting(now: Time, settings: &Settings) -> Self {
        Self {
            state: State::Down(now + settings.static_start),
            exits: 0,
            started: now,
            leads: false,
        }
    }

    /// The process ends; how long until kubelet starts it again (its first restart is at once).
    fn exit(&mut self, now: Time, settings: &Settings) -> Span {
        if now.since(self.started) >= settings.crash_backoff_reset {
            self.exits = 0;
        }
        let doubled = |n: u32| settings.crash_backoff.times(1 << n.min(20));
        let wait = match self.exits.checked_sub(1) {
            None => Span::ZERO,
            Some(n) => doubled(n).min(settings.crash_backoff_max),
        };
        self.exits += 1;
        self.leads = false;
        self.state = State::Down(now + wait + settings.static_start);
        wait
    }
}

impl Kube {
    /// Who leads, whether it can work or not.
    #[must_use]
    pub fn leader(&self, component: Component) -> Option<u16> {
        let host = self.leases[component as usize].holder?;
        let node = self.node(host).filter(|node| !node.removed)?;
        node.instances[component as usize].leads.then_some(host)
    }

    /// Whether the component can work now: its leader runs on a living host and can write.
    pub fn works<G: Ground>(&self, g: &mut G, component: Component) -> bool {
        self.leader(component)
            .is_some_and(|host| g.host_alive(host) && g.api_writable(Seat::ControlPlane(host)))
    }

    pub(super) fn on_election<G: Ground>(&mut self, g: &mut G) {
        g.after(self.settings.leader_retry, KubeEvent::Election);
        for component in COMPONENTS {
            self.elect(g, component);
        }
        let replicas = self.work.replicas && self.works(g, Component::ControllerManager);
        if replicas || self.work.schedule && self.works(g, Component::Scheduler) {
            self.on_sync(g);
        }
    }

    fn elect<G: Ground>(&mut self, g: &mut G, component: Component) {
        let now = g.now();
        let at = component as usize;
        let mut candidates = Vec::new();
        for host in self.hosts() {
            let node = self.nodes[usize::from(host)].as_mut().expect("listed");
            if !node.control_plane || !g.host_alive(host) {
                continue;
            }
            let can = g.api_writable(Seat::ControlPlane(host));
            let (instance, lease) = (&mut node.instances[at], &mut self.leases[at]);
            if turn(instance, lease, (host, now, can), &self.settings) {
                let backoff = instance.exit(now, &self.settings);
                g.note(KubeNote::Exited {
                    component,
                    host,
                    backoff,
                });
            } else if instance.state == State::Running && can && !instance.leads {
                candidates.push(host);
            }
        }
        let lease = self.leases[at];
        let vacant =
            lease.holder.is_none() || now.since(lease.renewed) >= self.settings.leader_lease;
        if !vacant || candidates.is_empty() {
            return;
        }
        let mut draw = self.seed.stream_of(now.0, "leader");
        let host = candidates[draw.below(candidates.len() as u64) as usize];
        self.acquire(g, component, host);
    }

    fn acquire<G: Ground>(&mut self, g: &mut G, component: Component, host: u16) {
        self.leases[component as usize] = Lease {
            holder: Some(host),
            renewed: g.now(),
        };
        let node = self.node_mut(host).expect("a candidate");
        node.instances[component as usize].leads = true;
        g.note(KubeNote::Leads { component, host });
        match component {
            Component::ControllerManager => self.new_controller(g),
            Component::Scheduler => self.work.schedule = true,
        }
    }

    /// A controller manager that has just come to lead knows only what the API shows: it has seen
    /// no lease yet, and counts tolerations and detach time-outs anew.
    fn new_controller<G: Ground>(&mut self, g: &mut G) {
        let now = g.now();
        for host in self.hosts() {
            let node = self.node_mut(host).expect("listed");
            (node.observed, node.probe) = (node.renewed, now);
            match node.taint {
                Taint::None => {}
                Taint::Queued => node.taint = Taint::None,
                Taint::On => self.count_tolerations(g, host),
            }
        }
        for zone in &mut self.zones {
            zone.forget(now, &self.settings);
        }
        self.restart_detach_clocks(g);
        self.work.replicas = true;
        self.work.endpoints = true;
    }

    /// At the start of a run: the first control-plane node leads.
    pub(super) fn settle_leaders<G: Ground>(&mut self, g: &mut G) {
        let now = g.now();
        let controls = |host: &u16| self.node(*host).is_some_and(|node| node.control_plane);
        let hosts: Vec<u16> = self.hosts().into_iter().filter(controls).collect();
        for host in &hosts {
            for instance in &mut self.node_mut(*host).expect("listed").instances {
                instance.state = State::Running;
                instance.started = now;
            }
        }
        for component in COMPONENTS {
            if let Some(host) = hosts.first().filter(|_| self.leader(component).is_none()) {
                self.acquire(g, component, *host);
            }
        }
    }
}

/// One retry period of one living instance; whether it exits.
fn turn(
    instance: &mut Instance,
    lease: &mut Lease,
    (host, now, can): (u16, Time, bool),
    settings: &Settings,
) -> bool {
    if let State::Down(until) = instance.state
        && now >= until
    {
        instance.state = State::Starting(now + settings.api_wait);
        instance.started = now;
    }
    if let State::Starting(until) = instance.state {
        if can {
            instance.state = State::Running;
        } else {
            return now >= until;
        }
    }
    if !instance.leads {
        return false;
    }
    assert_eq!(instance.state, State::Running, "only what runs can lead");
    if lease.holder != Some(host) {
        return true;
    }
    if can {
        lease.renewed = now;
        return false;
    }
    now.since(lease.renewed) >= settings.leader_renew
}
