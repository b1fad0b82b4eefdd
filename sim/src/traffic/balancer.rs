//! A load balancer as HAProxy in TCP mode: forwarded roles, backends and their health.
//!
//! The arithmetic of health, the choice of a backend and the configuration at run time. Knows no
//! timers and no network: `checks` runs the checks, `journey` carries connections through.

use crate::traffic::backend::{Backend, Turn};
use crate::traffic::ground::{BackendRef, Probe, Service};
use quorate_engine::manifest::{BackendCheck, LbKind};
use quorate_engine::time::{Span, Time};

/// How a role is forwarded and its backends watched; HAProxy's words and meanings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardSettings {
    /// What the backends run.
    pub service: Service,
    /// What a check asks for.
    pub probe: Probe,
    /// `inter`: between checks of a backend that is fully up.
    pub interval: Span,
    /// `fastinter`: between checks while its state is in question.
    pub fast_interval: Span,
    /// `downinter`: between checks of a backend that is down.
    pub down_interval: Span,
    /// How long connecting may take in a check. HAProxy: `inter`; with `timeout check` set, the
    /// smaller of `timeout connect` and `inter`.
    pub check_connect_timeout: Span,
    /// How long the answer to a check may take. HAProxy: `inter`, or `timeout check`.
    pub check_timeout: Span,
    /// Failed checks until a backend is down.
    pub fall: u8,
    /// Good checks until it is up again.
    pub rise: u8,
    /// `timeout connect`: how long one attempt to connect to a backend may take.
    pub connect_timeout: Span,
    /// `retries`: attempts after the first.
    pub retries: u8,
    /// `option redispatch`: an attempt after the first goes to another backend. With round robin
    /// and several backends up, HAProxy does so at each retry, whatever the interval given.
    pub redispatch: bool,
    /// `on-marked-down shutdown-sessions`: established connections to a backend that goes down
    /// are closed. Attempts to connect run on to their own time-out.
    pub shutdown_sessions: bool,
}

impl ForwardSettings {
    /// The settings for a role of a manifest.
    ///
    /// Checks of API servers leave etcd out: with it, a cluster without a leader would lose all
    /// its backends at once, and the servers' own answers with them.
    #[must_use]
    pub fn of(kind: LbKind, check: &BackendCheck) -> Self {
        let (service, probe) = match kind {
            LbKind::Api => (Service::Api, Probe::ReadyWithoutEtcd),
            LbKind::Ingress => (Service::Ingress, Probe::Ready),
        };
        let interval = check.interval.0;
        Self {
            service,
            probe,
            interval,
            fast_interval: interval.min(Span::from_ms(200)),
            down_interval: interval.max(Span::from_secs(1)),
            check_connect_timeout: check.connect_timeout.0.min(interval),
            check_timeout: check.timeout.0,
            fall: check.fall.max(1),
            rise: check.rise.max(1),
            connect_timeout: check.connect_timeout.0,
            retries: 3,
            redispatch: true,
            shutdown_sessions: true,
        }
    }
}

/// A forwarded role.
#[derive(Debug, Clone)]
pub(crate) struct Forward {
    pub(crate) settings: ForwardSettings,
    /// Places stay: a timer finds its backend by place and serial.
    pub(crate) backends: Vec<Option<Backend>>,
    /// Machines that get connections, in the order of their places.
    up: Vec<u16>,
    turn: usize,
    serial: u16,
}

impl Forward {
    fn new(settings: ForwardSettings) -> Self {
        Self {
            settings,
            backends: Vec::new(),
            up: Vec::new(),
            turn: 0,
            serial: 0,
        }
    }

    fn list_up(&mut self) {
        let settings = self.settings;
        self.up.clear();
        let backends = self.backends.iter().flatten();
        self.up
            .extend(backends.filter(|b| b.is_up(&settings)).map(|b| b.host));
    }

    /// The next backend in turn; another than `avoid` if there is one.
    pub(crate) fn pick(&mut self, avoid: Option<u16>) -> Option<u16> {
        for _ in 0..2 {
            if self.turn >= self.up.len() {
                self.turn = 0;
            }
            let host = *self.up.get(self.turn)?;
            self.turn += 1;
            if Some(host) != avoid || self.up.len() == 1 {
                return Some(host);
            }
        }
        unreachable!("two neighbours in a list of different backends are equal")
    }

    /// Whether another backend than this is up.
    pub(crate) fn has_other(&self, host: u16) -> bool {
        self.up.iter().any(|&up| up != host)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.up.is_empty()
    }

    pub(crate) fn backend(&mut self, at: BackendRef) -> Option<&mut Backend> {
        let backend = self.backends.get_mut(usize::from(at.slot))?.as_mut()?;
        (backend.serial == at.serial).then_some(backend)
    }

    /// Counts a check result.
    pub(crate) fn count(&mut self, at: BackendRef, ok: bool) -> Turn {
        let settings = self.settings;
        let turn = self
            .backend(at)
            .map_or(Turn::Stays, |backend| backend.count(&settings, ok));
        if turn != Turn::Stays {
            self.list_up();
        }
        turn
    }

    /// The process has started anew: it believes in a backend until one check fails.
    pub(crate) fn forget(&mut self, at: BackendRef) {
        let rise = self.settings.rise;
        if let Some(backend) = self.backend(at) {
            backend.health = rise;
        }
        self.list_up();
    }

    /// Makes these the backends. Those that leave get nothing new, and keep what they have.
    /// Returns the places of those that are new.
    fn set(&mut self, hosts: &[u16]) -> Vec<(u16, u16)> {
        for place in &mut self.backends {
            if place.as_ref().is_some_and(|b| !hosts.contains(&b.host)) {
                *place = None;
            }
        }
        let mut new = Vec::new();
        for &host in hosts {
            if self.backends.iter().flatten().any(|b| b.host == host) {
                continue;
            }
            self.serial = self.serial.wrapping_add(1);
            let backend = Some(Backend {
                host,
                serial: self.serial,
                health: self.settings.rise,
                checked_at: Time::ZERO,
                resting: false,
            });
            let free = self.backends.iter().position(Option::is_none);
            let place = free.unwrap_or(self.backends.len());
            if free.is_some() {
                self.backends[place] = backend;
            } else {
                self.backends.push(backend);
            }
            new.push((place as u16, self.serial));
        }
        self.list_up();
        new
    }
}

/// All load balancers, by machine.
#[derive(Debug, Default)]
pub(crate) struct Balancers {
    hosts: Vec<Vec<Option<Forward>>>,
}

impl Balancers {
    pub(crate) fn forward(&mut self, host: u16, role: u16) -> Option<&mut Forward> {
        let roles = self.hosts.get_mut(usize::from(host))?;
        roles.get_mut(usize::from(role))?.as_mut()
    }

    /// Whether a role has a backend that is up.
    pub(crate) fn has_live(&self, host: u16, role: u16) -> bool {
        let forward = self
            .hosts
            .get(usize::from(host))
            .and_then(|roles| roles.get(usize::from(role))?.as_ref());
        forward.is_some_and(|forward| !forward.is_empty())
    }

    /// Forwards a role, or changes how.
    pub(crate) fn set_forward(&mut self, host: u16, role: u16, settings: ForwardSettings) {
        assert!(
            settings.rise > 0 && settings.fall > 0,
            "rise and fall begin at 1"
        );
        let (host, role) = (usize::from(host), usize::from(role));
        if self.hosts.len() <= host {
            self.hosts.resize_with(host + 1, Vec::new);
        }
        let roles = &mut self.hosts[host];
        if roles.len() <= role {
            roles.resize_with(role + 1, || None);
        }
        match &mut roles[role] {
            Some(forward) => {
                let full = settings.rise + settings.fall - 1;
                for backend in forward.backends.iter_mut().flatten() {
                    let up = backend.is_up(&forward.settings);
                    backend.health = if up { full } else { 0 };
                }
                forward.settings = settings;
            }
            None => roles[role] = Some(Forward::new(settings)),
        }
    }

    /// See [`Forward::set`].
    ///
    /// # Panics
    /// If the role is not forwarded there.
    pub(crate) fn set_backends(
        &mut self,
        balancer: u16,
        role: u16,
        hosts: &[u16],
    ) -> Vec<BackendRef> {
        let forward = self.forward(balancer, role);
        let new = forward
            .expect("backends of a role that is not forwarded")
            .set(hosts);
        new.into_iter()
            .map(|(slot, serial)| BackendRef {
                balancer,
                role,
                slot,
                serial,
            })
            .collect()
    }

    /// A load balancer's process has begun anew.
    pub(crate) fn restarted(&mut self, host: u16) {
        let roles = self.hosts.get_mut(usize::from(host));
        for forward in roles.into_iter().flatten().flatten() {
            let rise = forward.settings.rise;
            for backend in forward.backends.iter_mut().flatten() {
                backend.health = rise;
            }
            forward.list_up();
        }
    }

    /// Takes a load balancer away with all its roles.
    pub(crate) fn remove(&mut self, host: u16) {
        if let Some(roles) = self.hosts.get_mut(usize::from(host)) {
            roles.clear();
        }
    }

    /// All backends whose checks rest.
    pub(crate) fn resting(&self) -> Vec<BackendRef> {
        let mut found = Vec::new();
        for (balancer, roles) in self.hosts.iter().enumerate() {
            for (role, forward) in roles.iter().enumerate() {
                let backends = forward.iter().flat_map(|forward| &forward.backends);
                for (slot, backend) in backends.enumerate() {
                    if let Some(backend) = backend.as_ref().filter(|b| b.resting) {
                        found.push(BackendRef {
                            balancer: balancer as u16,
                            role: role as u16,
                            slot: slot as u16,
                            serial: backend.serial,
                        });
                    }
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rise_and_fall_count_as_haproxy_counts() {
        let settings = ForwardSettings::of(LbKind::Api, &BackendCheck::default());
        let mut forward = Forward::new(settings);
        let (slot, serial) = forward.set(&[7])[0];
        let at = BackendRef {
            balancer: 0,
            role: 0,
            slot,
            serial,
        };
        let fast = settings.fast_interval;
        // (check is good, what it changes, the next check comes after)
        let story = [
            (true, Turn::Stays, settings.interval),
            (false, Turn::Stays, fast),
            (true, Turn::Stays, settings.interval),
            (false, Turn::Stays, fast),
            (false, Turn::GoesDown, settings.down_interval),
            (false, Turn::Stays, settings.down_interval),
            (true, Turn::Stays, fast),
            (false, Turn::Stays, settings.down_interval),
            (true, Turn::Stays, fast),
            (true, Turn::ComesUp, settings.interval),
        ];
        for (step, (ok, turn, next)) in story.into_iter().enumerate() {
            assert_eq!(forward.count(at, ok), turn, "step {step}");
            let backend = forward.backend(at).expect("it stays configured");
            assert_eq!(backend.next_check_after(&settings), next, "step {step}");
        }
    }

    #[test]
    fn a_fresh_backend_falls_at_its_first_failed_check() {
        let settings = ForwardSettings::of(LbKind::Ingress, &BackendCheck::default());
        let mut forward = Forward::new(settings);
        let (slot, serial) = forward.set(&[7])[0];
        let at = BackendRef {
            balancer: 0,
            role: 0,
            slot,
            serial,
        };
        assert_eq!(forward.count(at, false), Turn::GoesDown);
        assert!(forward.is_empty());
    }

    #[test]
    fn backends_take_turns_and_a_retry_avoids_the_last_one() {
        let settings = ForwardSettings::of(LbKind::Api, &BackendCheck::default());
        let mut forward = Forward::new(settings);
        forward.set(&[4, 5, 6]);
        let turns: Vec<_> = (0..4).filter_map(|_| forward.pick(None)).collect();
        assert_eq!(turns, [4, 5, 6, 4]);
        assert_eq!(forward.pick(Some(5)), Some(6));
        forward.set(&[6]);
        assert_eq!(forward.pick(Some(6)), Some(6), "the only one");
        assert!(!forward.has_other(6));
    }
}
