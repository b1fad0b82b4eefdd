//! Processes of machines that die or stand still, and who starts them again: systemd after the
//! pause of their units, kubelet after its back-off.
//!
//! etcd's own fate is the etcd model's; here is when it begins anew. Knows nothing of whom a fault
//! picks.

use super::stage::{Host, State};
use super::{Happening, World};
use crate::scenario::Process;
use quorate_engine::time::{Span, Time};
use std::collections::BTreeMap;

/// From power-on to a running etcd: container runtime, kubelet, static pod. Measured on a lab of
/// LXC machines: 9.2 to 15.8 s from start to a member with a leader.
const ETCD_START: (Span, Span) = (Span::from_secs(7), Span::from_secs(12));

/// From etcd to an API server that serves.
pub(super) const API_START: Span = Span::from_secs(3);

/// `RestartSec` of the balancer's unit (`backends/hosts`), and HAProxy's own start.
const HAPROXY_BACK: (Span, Span) = (Span::from_ms(150), Span::from_ms(350));

/// `RestartSec` of kubelet's unit, and from its start to its first look at its static pods.
const KUBELET_BACK: (Span, Span) = (Span::from_ms(3_000), Span::from_ms(6_000));

/// systemd's own `RestartSec`, and the start of a name server that reads one file.
const NAMES_BACK: (Span, Span) = (Span::from_ms(110), Span::from_ms(200));

/// Until kubelet has seen that a container ended, by looking once a second, and has made another.
const CONTAINER_BACK: (Span, Span) = (Span::from_ms(500), Span::from_ms(2_000));

/// kubelet's first back-off; it doubles with each death (Kubernetes 1.20, `kubelet.go`:
/// `backOffPeriod`; `client-go/util/flowcontrol`).
const BACK_OFF: Span = Span::from_secs(10);

/// The longest (`MaxContainerBackOff`). After twice as long without a death it begins anew.
const BACK_OFF_MAX: Span = Span::from_secs(300);

/// A pod whose container may not start yet is looked at again after up to so long: `backOffPeriod`
/// and half of it.
const LOOK_AGAIN: Span = Span::from_secs(15);

/// The states of processes on one machine, and how often its containers died.
#[derive(Debug, Clone, Default)]
pub(crate) struct Processes {
    states: BTreeMap<Process, State>,
    deaths: BTreeMap<Process, (u32, Time)>,
}

impl Processes {
    /// How a process is; those that nobody ever touched are well.
    pub(crate) fn state(&self, process: Process) -> State {
        self.states.get(&process).copied().unwrap_or_default()
    }

    pub(crate) fn set(&mut self, process: Process, state: State) {
        match state {
            State::Well => self.states.remove(&process),
            State::Dead | State::Still => self.states.insert(process, state),
        };
    }

    /// The machine was off: whatever runs on it runs anew.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// A container died: how long kubelet holds back the next one.
    fn back_off(&mut self, process: Process, now: Time) -> Span {
        let known = self.deaths.get(&process).copied();
        let known = known.filter(|(_, last)| now.since(*last) <= BACK_OFF_MAX.times(2));
        let before = known.map_or(0, |(count, _)| count);
        self.deaths.insert(process, (before + 1, now));
        match before {
            0 => Span::ZERO,
            _ => BACK_OFF.times(1 << (before - 1).min(5)).min(BACK_OFF_MAX),
        }
    }
}

impl World {
    /// From power-on to the first static pod.
    pub(super) fn start_delay(&self, host: u16, boot: u32) -> Span {
        let entity = u64::from(host) << 32 | u64::from(boot);
        self.stage
            .seed
            .stream_of(entity, "boot")
            .between(ETCD_START.0, ETCD_START.1)
    }

    /// Kills a process. False where there is none, or where it is dead already.
    pub(super) fn kill_process(&mut self, host: u16, process: Process) -> bool {
        let now = self.stage.now();
        let Some(state) = self.stage.host(host).filter(|host| host.runs()) else {
            return false;
        };
        if !has(state, process) || state.processes.state(process) == State::Dead {
            return false;
        }
        let (boot, member) = (state.boot, state.member);
        self.stage
            .host_mut(host)
            .processes
            .set(process, State::Dead);
        let wait = match process {
            Process::Etcd => {
                let member = member.expect("a machine with etcd has a member");
                self.with_etcd(|etcd, ground| etcd.crash(ground, member));
                self.container_back(host, process)
            }
            Process::KubeApiserver => {
                self.with_traffic(|traffic, ground| traffic.process_died(ground, host));
                self.container_back(host, process)
            }
            Process::Haproxy => {
                self.with_traffic(|traffic, ground| traffic.process_died(ground, host));
                self.between(host, HAPROXY_BACK)
            }
            Process::Kubelet => self.between(host, KUBELET_BACK),
            Process::NameServer => unreachable!("name servers are no machine's"),
        };
        assert!(wait > Span::ZERO, "nobody is back at once: {now}");
        self.stage
            .after(wait, Happening::Respawn(host, process, boot));
        true
    }

    /// Lets a process stand still. False where there is none, or where it does not run.
    pub(super) fn freeze(&mut self, host: u16, process: Process) -> bool {
        let Some(state) = self.stage.host(host).filter(|host| host.runs()) else {
            return false;
        };
        if !has(state, process) || state.processes.state(process) != State::Well {
            return false;
        }
        let member = state.member;
        self.stage
            .host_mut(host)
            .processes
            .set(process, State::Still);
        if process == Process::Etcd {
            let member = member.expect("a machine with etcd has a member");
            self.with_etcd(|etcd, ground| etcd.pause(ground, member));
        }
        true
    }

    /// Lets it go on, unless it died or its machine was off meanwhile.
    pub(super) fn thaw(&mut self, host: u16, process: Process) {
        let state = self.stage.host_mut(host);
        if state.processes.state(process) != State::Still {
            return;
        }
        let member = state.member;
        state.processes.set(process, State::Well);
        if process == Process::Etcd
            && let Some(member) = member
        {
            self.with_etcd(|etcd, ground| etcd.resume(ground, member));
        }
    }

    /// Whoever watches over a process starts it again.
    pub(super) fn on_respawn(&mut self, host: u16, process: Process, boot: u32) {
        let Some(state) = self.stage.host(host).filter(|host| host.boot == boot) else {
            return;
        };
        if state.processes.state(process) != State::Dead {
            return;
        }
        let container = matches!(process, Process::Etcd | Process::KubeApiserver);
        if container && state.processes.state(Process::Kubelet) != State::Well {
            // Nobody watches over it now.
            let again = Happening::Respawn(host, process, boot);
            return self.stage.after(Span::from_secs(1), again);
        }
        let member = state.member;
        match process {
            Process::Etcd => {
                self.stage
                    .host_mut(host)
                    .processes
                    .set(process, State::Well);
                if let Some(member) = member {
                    self.with_etcd(|etcd, ground| etcd.start(ground, member));
                }
            }
            Process::KubeApiserver => {
                let at = self.stage.now() + API_START;
                let state = self.stage.host_mut(host);
                state.processes.set(process, State::Well);
                state.api_from = Some(at);
                self.stage.after(API_START, Happening::ApiUp(host, boot));
            }
            Process::Haproxy => {
                self.stage
                    .host_mut(host)
                    .processes
                    .set(process, State::Well);
                self.traffic.balancer_restarted(host);
            }
            Process::Kubelet => self
                .stage
                .host_mut(host)
                .processes
                .set(process, State::Well),
            Process::NameServer => unreachable!("name servers are no machine's"),
        }
        self.paths_changed();
        self.settle();
    }

    /// How long name servers are away when they are killed.
    pub(super) fn names_back(&mut self) -> Span {
        self.between(0, NAMES_BACK)
    }

    fn container_back(&mut self, host: u16, process: Process) -> Span {
        let now = self.stage.now();
        let held = self.stage.host_mut(host).processes.back_off(process, now);
        let made = self.between(host, CONTAINER_BACK);
        if held == Span::ZERO {
            return made;
        }
        held + made + self.between(host, (Span::ZERO, LOOK_AGAIN))
    }

    fn between(&mut self, host: u16, (least, most): (Span, Span)) -> Span {
        let key = mix_of(host, self.stage.now());
        let mut luck = self.stage.seed.stream_of(key, "respawn");
        luck.between(least, most)
    }
}

fn mix_of(host: u16, now: Time) -> u64 {
    quorate_engine::random::mix(u64::from(host)) ^ now.0
}

/// Whether a machine has such a process at all.
fn has(host: &Host, process: Process) -> bool {
    match process {
        Process::Etcd => host.member.is_some(),
        Process::KubeApiserver => host.api_from.is_some(),
        // Whom a fault picks has the role for it.
        Process::Kubelet | Process::Haproxy => true,
        Process::NameServer => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubelet_holds_back_what_dies_again() {
        let mut processes = Processes::default();
        let mut at = Time::ZERO + Span::from_secs(1_000);
        let mut seen = Vec::new();
        for _ in 0..8 {
            seen.push(processes.back_off(Process::Etcd, at).as_secs());
            at += Span::from_secs(400);
        }
        assert_eq!(seen, [0, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(processes.back_off(Process::KubeApiserver, at), Span::ZERO);
        at += Span::from_secs(300);
        assert_eq!(
            processes.back_off(Process::Etcd, at),
            Span::ZERO,
            "all was well"
        );
    }

    #[test]
    fn a_machine_that_was_off_begins_anew() {
        let mut processes = Processes::default();
        processes.set(Process::Kubelet, State::Dead);
        processes.back_off(Process::Etcd, Time::ZERO);
        assert_eq!(processes.state(Process::Kubelet), State::Dead);
        assert_eq!(processes.state(Process::Haproxy), State::Well);
        processes.forget();
        assert_eq!(processes.state(Process::Kubelet), State::Well);
        assert_eq!(processes.back_off(Process::Etcd, Time::ZERO), Span::ZERO);
    }
}
