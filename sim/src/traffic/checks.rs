//! Active health checks of a load balancer: when they run and what they find.
//!
//! While all is well and the host has promised to tell of any change, checks rest: a check that
//! could only confirm costs nothing. They go on in the phase they would have had.

use crate::traffic::backend::Turn;
use crate::traffic::balancer::{Balancers, Forward};
use crate::traffic::ground::{BackendRef, End, Ground, Health, Service, TrafficEvent, TrafficNote};
use quorate_engine::time::Span;

/// What a check that has just begun comes to.
enum Found {
    /// Good.
    Well,
    /// Bad; known after this long.
    Bad(Span),
    /// No answer yet; the last word counts after this long.
    Silent(Span),
}

fn look(ground: &mut impl Ground, forward: &Forward, balancer: u16, host: u16) -> Found {
    let settings = &forward.settings;
    let Some(trip) = ground.round_trip(End::Host(balancer), End::Host(host)) else {
        return Found::Bad(settings.check_connect_timeout);
    };
    if trip > settings.check_connect_timeout {
        return Found::Bad(settings.check_connect_timeout);
    }
    if !ground.listens(host, settings.service) {
        return Found::Bad(trip);
    }
    if trip > settings.check_timeout {
        return Found::Bad(trip + settings.check_timeout);
    }
    match ground.health(host, settings.service, settings.probe) {
        Health::Ready => Found::Well,
        Health::Unready => Found::Bad(trip + trip),
        Health::Silent => Found::Silent(trip + settings.check_timeout),
    }
}

impl Balancers {
    /// A check is due. `restful`: nothing is out of order in the world.
    pub(crate) fn check(
        &mut self,
        ground: &mut impl Ground,
        at: BackendRef,
        restful: bool,
    ) -> Option<u16> {
        let forward = self.forward(at.balancer, at.role)?;
        let now = ground.now();
        let backend = forward.backend(at)?;
        backend.checked_at = now;
        let host = backend.host;
        if !ground.listens(at.balancer, Service::LoadBalancer) {
            forward.forget(at);
            let interval = forward.settings.interval;
            ground.after(interval, TrafficEvent::Check(at));
            return None;
        }
        if ground.stands_still(at.balancer, Service::LoadBalancer) {
            let interval = forward.settings.interval;
            ground.after(interval, TrafficEvent::Check(at));
            return None;
        }
        match look(ground, forward, at.balancer, host) {
            Found::Well => self.finish(ground, at, true, restful),
            Found::Bad(after) => {
                let (backend, silent) = (at, false);
                ground.after(after, TrafficEvent::Checked { backend, silent });
                None
            }
            Found::Silent(after) => {
                let (backend, silent) = (at, true);
                ground.after(after, TrafficEvent::Checked { backend, silent });
                None
            }
        }
    }

    /// The result of a check that was not good at once. Returns a machine that went down.
    pub(crate) fn checked(
        &mut self,
        ground: &mut impl Ground,
        at: BackendRef,
        silent: bool,
    ) -> Option<u16> {
        let forward = self.forward(at.balancer, at.role)?;
        let host = forward.backend(at)?.host;
        let ok = silent && matches!(look(ground, forward, at.balancer, host), Found::Well);
        self.finish(ground, at, ok, false)
    }

    fn finish(
        &mut self,
        ground: &mut impl Ground,
        at: BackendRef,
        ok: bool,
        restful: bool,
    ) -> Option<u16> {
        let forward = self.forward(at.balancer, at.role)?;
        let turn = forward.count(at, ok);
        let settings = forward.settings;
        let none_left = forward.is_empty();
        let backend = forward.backend(at)?;
        let host = backend.host;
        backend.resting = restful && ok && backend.is_fully_up(&settings);
        if !backend.resting {
            let next = backend.next_check_after(&settings);
            ground.after(next, TrafficEvent::Check(at));
        }
        let (balancer, role) = (at.balancer, at.role);
        match turn {
            Turn::Stays => None,
            Turn::ComesUp => {
                ground.note(TrafficNote::BackendUp {
                    balancer,
                    role,
                    host,
                });
                None
            }
            Turn::GoesDown => {
                ground.note(TrafficNote::BackendDown {
                    balancer,
                    role,
                    host,
                });
                if none_left {
                    ground.note(TrafficNote::NoBackend { balancer, role });
                }
                Some(host)
            }
        }
    }

    /// Resting checks go on, each at the next instant of its own phase.
    pub(crate) fn wake_checks(&mut self, ground: &mut impl Ground) {
        let now = ground.now();
        for at in self.resting() {
            let Some(forward) = self.forward(at.balancer, at.role) else {
                continue;
            };
            let interval = forward.settings.interval.0.max(1);
            if let Some(backend) = forward.backend(at) {
                backend.resting = false;
                let passed = now.since(backend.checked_at).0;
                let wait = Span(interval - passed % interval);
                ground.after(wait, TrafficEvent::Check(at));
            }
        }
    }
}
