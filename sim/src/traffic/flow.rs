//! The flow of requests: they begin, go on, run out of time, end.
//!
//! Knows how journeys are kept and counted, not what happens on them.

use super::Traffic;
use crate::traffic::clients::Target;
use crate::traffic::ground::{BackendRef, End, Ground, Path, RequestId, TrafficEvent, TrafficNote};
use crate::traffic::journey::{Journey, Outcome, Step};
use crate::traffic::stats::{Cause, Failed, Fortune};
use quorate_engine::time::Span;

impl Traffic {
    pub(super) fn arrive<G: Ground>(&mut self, ground: &mut G, population: u16, start: u16) {
        let clients = &mut self.populations[usize::from(population)];
        if clients.start != start {
            return;
        }
        ground.after(
            clients.next_gap(),
            TrafficEvent::Arrival { population, start },
        );
        let resolvers = match clients.settings.target {
            Target::Name(_) => self.entry.resolvers.size(clients.settings.resolvers),
            Target::Balancer(_) => 1,
        };
        let lot = clients.next_lot(resolvers);
        let now = ground.now();
        let deadline = now + clients.settings.request_timeout;
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => self.journeys.len() as u32,
        };
        let generation = match self.journeys.get(slot as usize) {
            Some(before) => before.id.generation.wrapping_add(1),
            None => 0,
        };
        let id = RequestId { slot, generation };
        let line = lot.line.and_then(|line| clients.lines[usize::from(line)]);
        let journey = Journey::new(id, population, &lot, (now, deadline), line);
        clients.stats.begun += 1;
        clients.pending.push_back(id);
        if !clients.deadline_armed {
            clients.deadline_armed = true;
            let patience = clients.settings.request_timeout;
            ground.after(patience, TrafficEvent::Deadline { population });
        }
        if slot as usize == self.journeys.len() {
            self.journeys.push(journey);
        } else {
            self.journeys[slot as usize] = journey;
        }
        self.advance(ground, slot);
    }

    /// Takes a journey as far as it gets without a timer.
    pub(super) fn advance<G: Ground>(&mut self, ground: &mut G, slot: u32) {
        let journey = &mut self.journeys[slot as usize];
        let settings = &self.populations[usize::from(journey.population)].settings;
        let mut ahead = Span::ZERO;
        let wait = loop {
            match journey.step(settings, &mut self.entry, ground, ahead) {
                Step::On(takes) => ahead += takes,
                Step::Wait(takes) => break ahead + takes,
                Step::Park => return,
                Step::Done(outcome) if ahead == Span::ZERO => {
                    return self.finish(ground, slot, outcome);
                }
                Step::Done(outcome) => {
                    journey.end_later(outcome);
                    break ahead;
                }
            }
        };
        // Beyond its deadline nobody waits for it: it rests until that has come.
        if ground.now() + wait < journey.deadline {
            let request = journey.id;
            ground.after(wait, TrafficEvent::Wake { request });
        }
    }

    /// Ends the requests of a population whose time is up.
    pub(super) fn expire<G: Ground>(&mut self, ground: &mut G, population: u16) {
        let now = ground.now();
        loop {
            let clients = &mut self.populations[usize::from(population)];
            let Some(&id) = clients.pending.front() else {
                clients.deadline_armed = false;
                return;
            };
            let journey = &self.journeys[id.slot as usize];
            let is_open = journey.is_open && journey.id == id;
            if is_open && journey.deadline > now {
                let wait = journey.deadline.since(now);
                ground.after(wait, TrafficEvent::Deadline { population });
                return;
            }
            clients.pending.pop_front();
            if is_open {
                self.finish(ground, id.slot, Err(Cause::Timeout));
            }
        }
    }

    pub(super) fn finish<G: Ground>(&mut self, ground: &mut G, slot: u32, outcome: Outcome) {
        let journey = &mut self.journeys[slot as usize];
        assert!(journey.is_open, "a request ended twice");
        journey.is_open = false;
        self.free.push(slot);
        let population = journey.population;
        let clients = &mut self.populations[usize::from(population)];
        if let Some(line) = journey.line {
            clients.lines[usize::from(line)] = outcome.is_ok().then(|| journey.established());
        }
        let (start, end) = (journey.started, ground.now());
        let fortune = match outcome {
            Ok(()) => clients.stats.succeed(start, end),
            Err(cause) => clients.stats.fail(Failed {
                start,
                end,
                os: journey.os,
                cause,
            }),
        };
        match (fortune, outcome) {
            (Fortune::Same, _) | (Fortune::Fails, Ok(())) => {}
            (Fortune::Fails, Err(cause)) => {
                ground.note(TrafficNote::PopulationFails { population, cause });
            }
            (Fortune::Recovers { since }, _) => {
                ground.note(TrafficNote::PopulationRecovers { population, since });
            }
        }
    }

    /// `on-marked-down shutdown-sessions`: established connections to the fallen backend close.
    pub(super) fn after_fall<G: Ground>(
        &mut self,
        ground: &mut G,
        at: BackendRef,
        fell: Option<u16>,
    ) {
        let Some(host) = fell else {
            return;
        };
        let forward = self.entry.balancers.forward(at.balancer, at.role);
        if !forward.is_some_and(|forward| forward.settings.shutdown_sessions) {
            return;
        }
        for clients in &mut self.populations {
            if clients.settings.role != at.role {
                continue;
            }
            for line in &mut clients.lines {
                if line.is_some_and(|line| line.balancer == at.balancer && line.backend == host) {
                    *line = None;
                }
            }
        }
        for slot in 0..self.journeys.len() {
            let journey = &self.journeys[slot];
            let settings = &self.populations[usize::from(journey.population)].settings;
            let concerned = journey.is_open
                && settings.role == at.role
                && journey.goes_through(at.balancer, host);
            let ends = (End::Host(at.balancer), End::Client(settings.site));
            if concerned && matches!(ground.path(ends.0, ends.1), Path::Open { .. }) {
                self.finish(ground, slot as u32, Err(Cause::Reset));
            }
        }
    }
}
