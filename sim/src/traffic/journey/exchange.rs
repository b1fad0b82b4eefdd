//! The part of a journey behind the load balancer's address: backend, request, answer.
//!
//! Established connections send again what is lost, as TCP does. Knows nothing of names and of the
//! way a client connects.

use super::{Journey, LOOK, Stage, Step, half};
use crate::traffic::Entry;
use crate::traffic::clients::PopulationSettings;
use crate::traffic::connect::Os;
use crate::traffic::ground::{End, Ground, Request, RequestKind, Served, Service};
use crate::traffic::stats::Cause;
use quorate_engine::time::Span;

/// The state of both legs of an established connection.
enum Legs {
    Whole,
    Silent,
    Reset,
}

/// The first retransmission time-out of an established connection: Linux' minimum (RFC 6298 asks
/// for 1 s). It doubles.
const RETRANSMIT: Span = Span::from_ms(200);

/// HAProxy waits so long before it tries a server again that has refused, or `timeout connect`.
const TURN_AROUND: Span = Span::from_secs(1);

fn resend_after(sent_again: u8) -> Span {
    Span(RETRANSMIT.0 << sent_again.min(9))
}

impl Journey {
    /// The state of an established connection.
    fn legs<G: Ground>(
        &mut self,
        settings: &PopulationSettings,
        entry: &mut Entry,
        ground: &mut G,
    ) -> Legs {
        let balancer = End::Host(self.balancer);
        let Some(client_trip) = ground.round_trip(End::Client(settings.site), balancer) else {
            return Legs::Silent;
        };
        if !ground.listens(self.balancer, Service::LoadBalancer) {
            return Legs::Reset;
        }
        let Some(backend_trip) = ground.round_trip(balancer, End::Host(self.backend)) else {
            return Legs::Silent;
        };
        let forward = entry.balancers.forward(self.balancer, settings.role);
        let Some(service) = forward.map(|forward| forward.settings.service) else {
            return Legs::Reset;
        };
        if self.doomed || !ground.listens(self.backend, service) {
            return Legs::Reset;
        }
        if ground.stands_still(self.balancer, Service::LoadBalancer) {
            return Legs::Silent;
        }
        self.client_trip = client_trip;
        self.backend_trip = backend_trip;
        self.seen = entry.version;
        Legs::Whole
    }

    pub(super) fn reuse<G: Ground>(
        &mut self,
        settings: &PopulationSettings,
        entry: &mut Entry,
        ground: &mut G,
    ) -> Step {
        match self.legs(settings, entry, ground) {
            Legs::Whole => {
                self.stage = Stage::Travel;
                Step::On(Span::ZERO)
            }
            Legs::Silent => {
                self.stage = Stage::Serve { sent_again: 1 };
                Step::Wait(resend_after(0))
            }
            // Nothing of the request has been heard by anybody: a new connection may carry it.
            Legs::Reset => {
                self.doomed = false;
                self.is_reused = false;
                self.stage = Stage::Resolve { silences: 0 };
                Step::On(Span::ZERO)
            }
        }
    }

    pub(super) fn dial<G: Ground>(
        &mut self,
        settings: &PopulationSettings,
        entry: &mut Entry,
        ground: &mut G,
        ahead: Span,
    ) -> Step {
        if self.doomed || !ground.listens(self.balancer, Service::LoadBalancer) {
            let client = End::Client(settings.site);
            return match ground.round_trip(client, End::Host(self.balancer)) {
                Some(trip) => self.fail_after(trip, Cause::Reset),
                None => Step::Park,
            };
        }
        if ground.stands_still(self.balancer, Service::LoadBalancer) {
            // The kernel has taken the connection; HAProxy knows nothing of it yet.
            self.dial_started = ground.now() + ahead + LOOK;
            return Step::Wait(LOOK);
        }
        let forward = entry.balancers.forward(self.balancer, settings.role);
        let Some(forward) = forward else {
            return self.fail_after(half(self.client_trip), Cause::NoBackend);
        };
        let options = forward.settings;
        let elapsed = (ground.now() + ahead).since(self.dial_started);
        let ends = (End::Host(self.balancer), End::Host(self.backend));
        let left = options.connect_timeout - elapsed;
        let trip = ground.round_trip(ends.0, ends.1);
        let (takes, refused) = match trip.filter(|trip| *trip < left) {
            Some(trip) if ground.listens(self.backend, options.service) => {
                self.backend_trip = trip;
                self.seen = entry.version;
                self.stage = Stage::Travel;
                return Step::On(trip);
            }
            Some(trip) => (trip, true),
            None if left > Span::ZERO => {
                let next = Os::Linux.next_syn(elapsed, options.connect_timeout);
                return Step::Wait(next.map_or(left, |next| next - elapsed));
            }
            None => (Span::ZERO, false),
        };
        self.dials += 1;
        if self.dials > options.retries {
            return self.fail_after(takes + half(self.client_trip), Cause::BackendUnreachable);
        }
        let then = ground.now() + ahead + takes;
        if options.redispatch && forward.has_other(self.backend) {
            let other = forward.pick(Some(self.backend));
            self.dial_to(other.expect("another backend is up"), then);
            return Step::On(takes);
        }
        let pause = if refused {
            TURN_AROUND.min(options.connect_timeout)
        } else {
            Span::ZERO
        };
        self.dial_started = then + pause;
        Step::Wait(takes + pause)
    }

    pub(super) fn travel(&mut self, settings: &PopulationSettings) -> Step {
        let handshake = if settings.tls && !self.is_reused {
            self.trip()
        } else {
            Span::ZERO
        };
        self.stage = Stage::Serve { sent_again: 0 };
        let takes = handshake + half(self.trip()) + settings.work;
        match settings.kind {
            // What a write meets is for the moment when it arrives.
            RequestKind::ApiWrite => Step::Wait(takes),
            RequestKind::ApiRead | RequestKind::Ingress => Step::On(takes),
        }
    }

    pub(super) fn serve<G: Ground>(
        &mut self,
        settings: &PopulationSettings,
        entry: &mut Entry,
        ground: &mut G,
        ahead: Span,
        sent_again: u8,
    ) -> Step {
        if ahead == Span::ZERO && self.is_in_doubt(entry) {
            match self.legs(settings, entry, ground) {
                Legs::Whole => {}
                Legs::Silent => {
                    let sent_again = sent_again.saturating_add(1);
                    self.stage = Stage::Serve { sent_again };
                    return Step::Wait(resend_after(sent_again - 1));
                }
                Legs::Reset => return self.fail_after(half(self.client_trip), Cause::Reset),
            }
        }
        let request = Request {
            id: self.id,
            population: self.population,
            kind: settings.kind,
        };
        let (takes, ok) = match ground.serve(request, self.backend) {
            Served::After(takes) => (takes, true),
            Served::Fails(takes) => (takes, false),
            Served::Later => {
                self.stage = Stage::Waiting;
                return Step::Park;
            }
        };
        self.stage = Stage::Return { ok, sent_again: 0 };
        Step::Wait(takes + half(self.trip()))
    }

    fn is_in_doubt(&self, entry: &Entry) -> bool {
        entry.watchful || self.doomed || self.seen != entry.version
    }

    pub(super) fn receive<G: Ground>(
        &mut self,
        settings: &PopulationSettings,
        entry: &mut Entry,
        ground: &mut G,
        ok: bool,
        sent_again: u8,
    ) -> Step {
        if self.is_in_doubt(entry) {
            match self.legs(settings, entry, ground) {
                Legs::Whole => {}
                Legs::Silent => {
                    let again = sent_again.saturating_add(1);
                    self.stage = Stage::Return {
                        ok,
                        sent_again: again,
                    };
                    return Step::Wait(resend_after(sent_again));
                }
                Legs::Reset => return self.fail_after(half(self.client_trip), Cause::Reset),
            }
        }
        Step::Done(if ok { Ok(()) } else { Err(Cause::Error) })
    }
}
