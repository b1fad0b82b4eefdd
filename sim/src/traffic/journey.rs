//! One request on its way: name, connection, load balancer, backend, answer.
//!
//! A small state machine. While all is well a journey runs ahead of the clock and costs one timer;
//! where something is wrong it stops, and goes on when a packet would be sent again. Knows nothing
//! of populations' statistics: it ends, and `traffic` records the end.

mod exchange;

use crate::traffic::Entry;
use crate::traffic::clients::{Line, Lot, ORDER, PopulationSettings, Target, draw};
use crate::traffic::connect::{HappyEyeballs, Os};
use crate::traffic::dns::Answer;
use crate::traffic::ground::{End, Ground, RequestId, Service};
use crate::traffic::resolver::Lookup;
use crate::traffic::stats::Cause;
use quorate_engine::time::{Span, Time};

/// What a request came to.
pub(crate) type Outcome = Result<(), Cause>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Over a connection kept open.
    Reuse,
    /// Looks the name up.
    Resolve { silences: u8 },
    /// Connects to an address.
    Connect,
    /// The load balancer connects to a backend.
    Dial,
    /// TLS, and the request, are on their way.
    Travel,
    /// The request reaches the backend; sent again so many times.
    Serve { sent_again: u8 },
    /// The world answers later.
    Waiting,
    /// The answer is on its way back; sent again so many times.
    Return { ok: bool, sent_again: u8 },
    /// It ends at the next timer.
    Ended(Outcome),
}

/// What a step of a journey comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The next stage comes after this long, seen from where the journey is.
    On(Span),
    /// Nothing happens for this long.
    Wait(Span),
    /// Nothing more happens by itself.
    Park,
    /// It ended.
    Done(Outcome),
}

/// How often it is looked whether a process that stands still goes on.
const LOOK: Span = Span::from_ms(20);

/// Nobody, among machines.
const NOBODY: u16 = u16::MAX;

/// A request on its way.
#[derive(Debug, Clone)]
pub(crate) struct Journey {
    pub(crate) id: RequestId,
    pub(crate) is_open: bool,
    pub(crate) population: u16,
    pub(crate) os: Os,
    pub(crate) started: Time,
    pub(crate) deadline: Time,
    pub(crate) line: Option<u16>,
    luck: u64,
    resolver: u16,
    stage: Stage,
    answer: Answer,
    dual_stack: bool,
    attempt: u8,
    attempt_started: Time,
    balancer: u16,
    backend: u16,
    dials: u8,
    dial_started: Time,
    client_trip: Span,
    backend_trip: Span,
    /// The version of the world in which its path was seen open.
    seen: u32,
    doomed: bool,
    is_reused: bool,
}

fn half(span: Span) -> Span {
    Span(span.0 / 2)
}

impl Journey {
    pub(crate) fn new(
        id: RequestId,
        population: u16,
        lot: &Lot,
        (started, deadline): (Time, Time),
        line: Option<Line>,
    ) -> Self {
        let stage = match line {
            Some(_) => Stage::Reuse,
            None => Stage::Resolve { silences: 0 },
        };
        Self {
            id,
            is_open: true,
            population,
            os: lot.os,
            started,
            deadline,
            line: lot.line,
            luck: lot.luck,
            resolver: lot.resolver,
            stage,
            answer: Answer::default(),
            dual_stack: false,
            attempt: 0,
            attempt_started: started,
            balancer: line.map_or(NOBODY, |line| line.balancer),
            backend: line.map_or(NOBODY, |line| line.backend),
            dials: 0,
            dial_started: started,
            client_trip: Span::ZERO,
            backend_trip: Span::ZERO,
            seen: 0,
            doomed: line.is_some_and(|line| line.doomed),
            is_reused: line.is_some(),
        }
    }

    /// The connection it went over, to be kept open.
    pub(crate) fn established(&self) -> Line {
        Line {
            balancer: self.balancer,
            backend: self.backend,
            doomed: self.doomed,
        }
    }

    /// Whether its connection goes through this balancer to this backend, established.
    pub(crate) fn goes_through(&self, balancer: u16, backend: u16) -> bool {
        let established = match self.stage {
            Stage::Travel | Stage::Serve { .. } | Stage::Waiting | Stage::Return { .. } => true,
            Stage::Reuse | Stage::Resolve { .. } | Stage::Connect => false,
            Stage::Dial | Stage::Ended(_) => false,
        };
        established && self.balancer == balancer && self.backend == backend
    }

    /// Whether it has a connection that this machine keeps, as load balancer or behind it.
    pub(crate) fn is_carried_by(&self, host: u16) -> bool {
        let dialling = self.stage == Stage::Dial && self.balancer == host;
        let through = self.balancer == host || self.backend == host;
        dialling || (through && self.goes_through(self.balancer, self.backend))
    }

    /// The load balancer that it came to.
    pub(crate) fn balancer(&self) -> u16 {
        self.balancer
    }

    /// A machine has lost its state: connections through it will never be answered.
    pub(crate) fn host_lost(&mut self, host: u16) {
        self.doomed |= self.is_carried_by(host);
    }

    /// The world's answer is there. False if nobody waits for it any more.
    pub(crate) fn served(&mut self, ok: bool) -> Option<Span> {
        if self.stage != Stage::Waiting {
            return None;
        }
        self.stage = Stage::Return { ok, sent_again: 0 };
        Some(half(self.trip()))
    }

    /// Ends it at its next timer.
    pub(crate) fn end_later(&mut self, outcome: Outcome) {
        self.stage = Stage::Ended(outcome);
    }

    fn trip(&self) -> Span {
        self.client_trip + self.backend_trip
    }

    /// One step, `ahead` of the clock.
    pub(crate) fn step<G: Ground>(
        &mut self,
        settings: &PopulationSettings,
        entry: &mut Entry,
        ground: &mut G,
        ahead: Span,
    ) -> Step {
        match self.stage {
            Stage::Reuse => self.reuse(settings, entry, ground),
            Stage::Resolve { silences } => self.resolve(settings, entry, ground, ahead, silences),
            Stage::Connect => self.connect(settings, entry, ground, ahead),
            Stage::Dial => self.dial(settings, entry, ground, ahead),
            Stage::Travel => self.travel(settings),
            Stage::Serve { sent_again } => self.serve(settings, entry, ground, ahead, sent_again),
            Stage::Return { ok, sent_again } => {
                self.receive(settings, entry, ground, ok, sent_again)
            }
            Stage::Ended(outcome) => Step::Done(outcome),
            Stage::Waiting => unreachable!("a request that waits for the world has no timer"),
        }
    }

    fn resolve<G: Ground>(
        &mut self,
        settings: &PopulationSettings,
        entry: &mut Entry,
        ground: &mut G,
        ahead: Span,
        silences: u8,
    ) -> Step {
        let (answer, takes) = match settings.target {
            Target::Balancer(host) => (Answer::of([host]), Span::ZERO),
            Target::Name(record) => {
                let resolver = (settings.resolvers, self.resolver);
                let resolvers = &mut entry.resolvers;
                match resolvers.look_up(ground, &entry.dns, resolver, record, silences) {
                    Lookup::Answer(answer, takes) => {
                        self.dual_stack = settings.happy_eyeballs != HappyEyeballs::Off
                            && entry.dns.is_dual_stack(record);
                        (answer, takes)
                    }
                    Lookup::Again(after) => {
                        let silences = silences + 1;
                        self.stage = Stage::Resolve { silences };
                        return Step::Wait(after);
                    }
                    Lookup::Held => return Step::Wait(LOOK),
                    Lookup::Failed => return Step::Done(Err(Cause::Dns)),
                }
            }
        };
        if answer.is_empty() {
            return Step::Done(Err(Cause::Dns));
        }
        self.answer = answer;
        self.put_in_order();
        self.attempt = 0;
        self.attempt_started = ground.now() + ahead + takes;
        self.stage = Stage::Connect;
        Step::On(takes)
    }

    /// Name servers and resolvers permute answers: each lookup has its own order.
    fn put_in_order(&mut self) {
        let luck = self.luck;
        let hosts = self.answer.hosts_mut();
        for place in (1..hosts.len()).rev() {
            let other = draw(luck, ORDER + place as u64, place as u64 + 1);
            hosts.swap(place, other as usize);
        }
    }

    /// The address of an attempt, and whether a race gives it only a head start.
    fn attempted(&self) -> (u16, bool) {
        let hosts = self.answer.hosts();
        let attempt = usize::from(self.attempt);
        if !self.dual_stack {
            return (hosts[attempt], false);
        }
        // IPv6 and IPv4 in turn, each family in an order of its own.
        let place = attempt / 2;
        if attempt % 2 == 1 {
            return (hosts[place], false);
        }
        let shift = draw(self.luck, ORDER, hosts.len() as u64) as usize;
        (hosts[(place + shift) % hosts.len()], true)
    }

    fn connect<G: Ground>(
        &mut self,
        settings: &PopulationSettings,
        entry: &mut Entry,
        ground: &mut G,
        ahead: Span,
    ) -> Step {
        let (host, head_start) = self.attempted();
        let patience = settings.connect_timeout.unwrap_or(Span(u64::MAX));
        let mut limit = patience.min(self.os.gives_up_after());
        if let (true, HappyEyeballs::DualStack { delay }) = (head_start, settings.happy_eyeballs) {
            limit = limit.min(delay);
        }
        let elapsed = (ground.now() + ahead).since(self.attempt_started);
        if elapsed >= limit {
            return self.next_address(ground, ahead, Span::ZERO, Cause::ConnectTimeout);
        }
        let trip = ground.round_trip(End::Client(settings.site), End::Host(host));
        let Some(trip) = trip.filter(|trip| elapsed + *trip < limit) else {
            let next = self.os.next_syn(elapsed, limit).unwrap_or(limit);
            return Step::Wait(next - elapsed);
        };
        if !ground.listens(host, Service::LoadBalancer) {
            return self.next_address(ground, ahead, trip, Cause::Refused);
        }
        self.balancer = host;
        self.client_trip = trip;
        self.dials = 0;
        let forward = entry.balancers.forward(host, settings.role);
        match forward.and_then(|forward| forward.pick(None)) {
            Some(backend) => {
                self.dial_to(backend, ground.now() + ahead + trip);
                Step::On(trip)
            }
            None => self.fail_after(trip + half(trip), Cause::NoBackend),
        }
    }

    fn next_address<G: Ground>(
        &mut self,
        ground: &G,
        ahead: Span,
        takes: Span,
        cause: Cause,
    ) -> Step {
        self.attempt += 1;
        let families = if self.dual_stack { 2 } else { 1 };
        if usize::from(self.attempt) == self.answer.len() * families {
            return self.fail_after(takes, cause);
        }
        self.attempt_started = ground.now() + ahead + takes;
        Step::On(takes)
    }

    fn fail_after(&mut self, takes: Span, cause: Cause) -> Step {
        self.stage = Stage::Ended(Err(cause));
        Step::On(takes)
    }

    fn dial_to(&mut self, backend: u16, at: Time) {
        self.backend = backend;
        self.dial_started = at;
        self.stage = Stage::Dial;
    }
}
