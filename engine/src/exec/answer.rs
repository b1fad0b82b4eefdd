//! From an outcome to the next stage: what a reply means, and what to do about a fault.
//!
//! Does not know when anything starts: it queues, waits, or ends the step.

use super::stage::{Ask, Doubt};
use super::{Executor, Outside};
use crate::journal::Entry;
use crate::plan::{Step, Until};
use crate::quorum::{already, judge};
use crate::random::mix;
use crate::resource::{Kind, Spec};
use crate::seam::{
    ClusterView, Fault, FaultClass, Lane, MachineState, Notice, Outcome, Reply, Seen, Verb,
};
use crate::time::{Span, Time};

/// So long a new machine may be shown as off before it runs: between its making and its start, or
/// where views are late. Later it has died.
const OFF: Span = Span::from_secs(30);

/// What a reply means for the step that asked.
enum Meaning {
    Reached,
    NotYet,
    Hopeless(Fault),
}

impl Executor {
    pub(super) fn answer(&mut self, step: u32, outcome: Outcome, outside: &mut Outside<'_>) {
        let ask = self
            .stage_ask(step)
            .expect("an answered step was under way");
        let lane = self.lane_index(step, ask);
        self.lanes[lane].land();
        if let Err(fault) = &outcome
            && let (FaultClass::Retryable, Some(after)) = (fault.class, fault.after)
        {
            self.silence(lane, outside.now + after);
        }
        match (ask, outcome) {
            (Ask::Act, Ok(reply)) => self.acted(step, reply, outside),
            (Ask::Act, Err(fault)) => self.refused(step, fault, outside),
            (Ask::Guard, Ok(Reply::Cluster(view))) => self.judged(step, &view, outside),
            (Ask::Guard, Ok(other)) => panic!("a read of the cluster shows it, not {other:?}"),
            (Ask::Guard, Err(fault)) => self.unread(step, Ask::Guard, fault, outside),
            (Ask::Confirm(doubt), Ok(Reply::Seen(seen))) => {
                self.found(step, doubt, &seen, outside);
            }
            (Ask::Confirm(doubt), Ok(Reply::Absent)) => self.missing(step, doubt, outside),
            (Ask::Confirm(doubt), Err(fault)) if fault.class == FaultClass::NotFound => {
                self.missing(step, doubt, outside);
            }
            (Ask::Confirm(_), Ok(other)) => panic!("describe shows one resource, not {other:?}"),
            (Ask::Confirm(_), Err(fault)) => self.unread(step, ask, fault, outside),
            (Ask::Watch, outcome) => self.watched(step, outcome, outside),
            (Ask::Elapse, _) => panic!("time passes without a call"),
        }
        let state = &self.steps[step as usize];
        if !state.stage().ended() && state.deadline <= outside.now {
            self.expire(step, outside);
        }
    }

    /// The step's own call succeeded.
    fn acted(&mut self, step: u32, reply: Reply, outside: &mut Outside<'_>) {
        if let Reply::Seen(seen) = &reply {
            self.addresses.learn(seen);
        }
        let what = self.what(step);
        if what.verb.mutates() {
            let fits = match reply {
                Reply::Done | Reply::Seen(_) => true,
                Reply::Absent => what.verb != Verb::Create,
                Reply::Host(_) => what.kind == Kind::Peer,
                Reply::List(_) | Reply::Cluster(_) => false,
            };
            assert!(fits, "{} is not answered by {reply:?}", what.title());
            self.record_end(step, Ok(()), outside);
            self.met(step, &reply, outside);
            self.succeed(step, outside);
            return;
        }
        let begun = self.steps[step as usize].begun.unwrap_or(outside.now);
        match meaning(what, &reply, outside.now.since(begun)) {
            Meaning::Reached => {
                self.replies.insert(step, reply);
                self.succeed(step, outside);
            }
            Meaning::NotYet => {
                self.steps[step as usize].failures = 0;
                self.wait(step, Ask::Act, self.limits.poll, outside);
            }
            Meaning::Hopeless(fault) => self.fail(step, fault, outside),
        }
    }

    /// The step's own call did not succeed.
    fn refused(&mut self, step: u32, fault: Fault, outside: &mut Outside<'_>) {
        let what = self.what(step);
        let creates = what.verb == Verb::Create && matches!(what.lane, Lane::Provider(_));
        let gone = fault.class == FaultClass::NotFound
            && (matches!(what.verb, Verb::Delete | Verb::RemoveMember)
                || what.until == Some(Until::Absent));
        if gone {
            if what.verb.mutates() {
                self.record_end(step, Ok(()), outside);
            } else {
                self.replies.insert(step, Reply::Absent);
            }
            self.succeed(step, outside);
            return;
        }
        // What exists may be ours: that question stays open until it is answered.
        let open = creates && fault.class == FaultClass::Exists;
        if what.verb.mutates() && !open {
            self.record_end(step, Err(fault.clone()), outside);
        }
        if self.baseless(step, outside) {
            return self.done(step, outside);
        }
        let again = if what.change.is_some() {
            Ask::Guard
        } else {
            Ask::Act
        };
        let settle = self.lane_of(step).limit.settle;
        match fault.class {
            FaultClass::Retryable => match self.booting_for(step, outside.now) {
                Some(since) => self.visit_again(step, again, since, fault, outside),
                None => self.retry(step, again, fault, outside),
            },
            FaultClass::Unknown if creates => {
                if let Some(fault) = self.count_failure(step, fault, outside) {
                    self.pause(step, Ask::Confirm(Doubt::Lost), settle, fault, outside);
                }
            }
            FaultClass::Unknown => self.retry(step, again, fault, outside),
            FaultClass::Exists if creates => {
                self.pause(step, Ask::Confirm(Doubt::Exists), settle, fault, outside);
            }
            FaultClass::Exists if again == Ask::Guard => self.poll(step, again, fault, outside),
            FaultClass::Busy | FaultClass::Refused => self.poll(step, again, fault, outside),
            FaultClass::NotFound if what.until == Some(Until::Running) => {
                self.poll(step, again, fault, outside);
            }
            FaultClass::Capacity => {
                let most = self.limits.capacity_backoff;
                let span = self.draw(step, Span(most.0 / 2), most);
                self.pause(step, again, span, fault, outside);
            }
            FaultClass::Exists
            | FaultClass::NotFound
            | FaultClass::Quota
            | FaultClass::Auth
            | FaultClass::Invalid => self.fail(step, fault, outside),
        }
    }

    /// How long ago the first visit to a new machine began, while the machine may still be starting;
    /// none for any other step.
    fn booting_for(&self, step: u32, now: Time) -> Option<Span> {
        let what = self.what(step);
        let first = (what.verb, what.kind) == (Verb::Create, Kind::Host);
        let since = now.since(self.steps[step as usize].begun.unwrap_or(now));
        (first && since < self.limits.boot).then_some(since)
    }

    /// Containers start in a second and clouds' machines in a minute: waits a part of what it took so
    /// far, so that nobody waits much longer than needed. From full waits on, who made the machine is
    /// asked in between whether it is still on.
    fn visit_again(
        &mut self,
        step: u32,
        ask: Ask,
        since: Span,
        fault: Fault,
        outside: &mut Outside<'_>,
    ) {
        let most = self.limits.poll;
        let span = Span(since.0 / 4).max(Span::from_secs(1)).min(most);
        let watched = span == most && self.made_before(self.what(step)).is_some();
        let next = if watched { Ask::Watch } else { ask };
        self.pause(step, next, span, fault, outside);
    }

    /// A machine that is silent has been looked at by who made it. One that is off does not start any
    /// more; what the provider does not tell is no reason to give it up.
    fn watched(&mut self, step: u32, outcome: Outcome, outside: &mut Outside<'_>) {
        let gone = match outcome {
            Ok(Reply::Seen(seen)) => match seen.state {
                MachineState::Building | MachineState::Running => None,
                MachineState::Stopped | MachineState::Error => Some("is off"),
            },
            Ok(Reply::Absent) => Some("is gone"),
            Ok(_) | Err(_) => None,
        };
        match gone {
            None => self.queue(step, Ask::Act, outside),
            Some(how) => {
                let last = self.steps[step as usize].last.take();
                let last = last.map_or_else(String::new, |last| format!(": {}", last.detail));
                let detail = format!("the machine {how} before it had started{last}");
                self.fail(step, Fault::new(FaultClass::Retryable, detail), outside);
            }
        }
    }

    /// A question on the way to the step's own call was not answered.
    fn unread(&mut self, step: u32, ask: Ask, fault: Fault, outside: &mut Outside<'_>) {
        match fault.class {
            FaultClass::Retryable
            | FaultClass::Busy
            | FaultClass::Unknown
            | FaultClass::NotFound
            | FaultClass::Refused
            | FaultClass::Capacity => self.poll(step, ask, fault, outside),
            FaultClass::Exists | FaultClass::Quota | FaultClass::Auth | FaultClass::Invalid => {
                self.fail(step, fault, outside);
            }
        }
    }

    /// The guard has a view to judge by.
    fn judged(&mut self, step: u32, view: &ClusterView, outside: &mut Outside<'_>) {
        let what = self.what(step);
        let change = what
            .change
            .as_ref()
            .expect("only a change of membership is judged");
        if already(change, &view.members) {
            self.adopt(step, outside);
            return;
        }
        let guard = self.limits.guard;
        match judge(change, &view.members, guard.version, &guard.policy) {
            Ok(allowed) => {
                if let Some(refusal) = allowed.forced {
                    outside.say(Notice::Forced {
                        step: what.title(),
                        refusal: refusal.to_string(),
                    });
                }
                self.steps[step as usize].judged = outside.now;
                self.queue(step, Ask::Act, outside);
            }
            Err(refusal) => {
                let fault = Fault::new(FaultClass::Refused, refusal.to_string());
                self.poll(step, Ask::Guard, fault, outside);
            }
        }
    }

    /// What was in doubt exists.
    fn found(&mut self, step: u32, doubt: Doubt, seen: &Seen, outside: &mut Outside<'_>) {
        if seen.id == self.what(step).resource {
            self.addresses.learn(seen);
            self.adopt(step, outside);
        } else {
            let detail = format!("{} has the name and is not ours", seen.external);
            self.foreign(step, doubt, &detail, outside);
        }
    }

    /// What was in doubt does not exist.
    fn missing(&mut self, step: u32, doubt: Doubt, outside: &mut Outside<'_>) {
        match doubt {
            Doubt::Lost => self.queue(step, Ask::Act, outside),
            Doubt::Exists => {
                let detail = "something has the name and does not carry our labels";
                self.foreign(step, doubt, detail, outside);
            }
        }
    }

    fn foreign(&mut self, step: u32, doubt: Doubt, detail: &str, outside: &mut Outside<'_>) {
        let fault = Fault::new(FaultClass::Exists, detail);
        if doubt == Doubt::Exists {
            self.record_end(step, Err(fault.clone()), outside);
        }
        self.fail(step, fault, outside);
    }

    /// The world is as the step wanted it. If that is the fruit of a call in doubt, the doubt ends.
    fn adopt(&mut self, step: u32, outside: &mut Outside<'_>) {
        let what = self.what(step);
        if outside.ledger.in_flight.get(&what.resource) == Some(&what.verb) {
            self.record_end(step, Ok(()), outside);
        }
        self.succeed(step, outside);
    }

    fn record_end(&self, step: u32, outcome: Result<(), Fault>, outside: &mut Outside<'_>) {
        let what = self.what(step);
        outside.record(Entry::Finished {
            run: self.run,
            step,
            resource: what.resource.clone(),
            verb: what.verb,
            outcome,
        });
    }

    /// Exponential back-off with full jitter, within the limit of attempts.
    fn retry(&mut self, step: u32, ask: Ask, fault: Fault, outside: &mut Outside<'_>) {
        let failures = self.steps[step as usize].failures;
        if let Some(fault) = self.count_failure(step, fault, outside) {
            let doubled = self.limits.backoff_base.times(1 << failures.min(32));
            let most = doubled.min(self.limits.backoff_cap);
            let span = self.draw(step, Span::ZERO, most);
            self.pause(step, ask, span, fault, outside);
        }
    }

    /// Fails the step at the last failure it may have; else gives the fault back.
    fn count_failure(
        &mut self,
        step: u32,
        fault: Fault,
        outside: &mut Outside<'_>,
    ) -> Option<Fault> {
        let state = &mut self.steps[step as usize];
        state.failures += 1;
        if state.failures < self.limits.attempts {
            return Some(fault);
        }
        let failures = state.failures;
        let detail = format!("given up after {failures} attempts: {}", fault.detail);
        self.fail(step, Fault::new(fault.class, detail), outside);
        None
    }

    fn poll(&mut self, step: u32, ask: Ask, fault: Fault, outside: &mut Outside<'_>) {
        self.pause(step, ask, self.limits.poll, fault, outside);
    }

    /// Waits because of trouble, and says so when it is other trouble than before.
    fn pause(&mut self, step: u32, ask: Ask, span: Span, fault: Fault, outside: &mut Outside<'_>) {
        let span = span.max(fault.after.unwrap_or_default());
        let state = &mut self.steps[step as usize];
        let same = |last: &Fault| last.class == fault.class && last.detail == fault.detail;
        if !state.last.as_ref().is_some_and(same) && !self.cancelled {
            outside.say(Notice::Retrying {
                step: self.plan.steps[step as usize].title(),
                fault: fault.clone(),
                after: span,
            });
        }
        state.last = Some(fault);
        self.wait(step, ask, span, outside);
    }

    /// A draw of the step's own stream.
    fn draw(&mut self, step: u32, low: Span, high: Span) -> Span {
        let (seed, run) = (self.seed, self.run);
        let what = &self.plan.steps[step as usize];
        let entity = mix(what.resource.number() ^ u64::from(run));
        let jitter = &mut self.steps[step as usize].jitter;
        jitter
            .get_or_insert_with(|| seed.stream_of(entity, &what.verb.to_string()))
            .between(low, high)
    }

    fn what(&self, step: u32) -> &Step {
        &self.plan.steps[step as usize]
    }
}

/// What the reply to a reading call means.
fn meaning(step: &Step, reply: &Reply, waited: Span) -> Meaning {
    match (step.until, reply) {
        (None, _) | (Some(Until::Absent), Reply::Absent) => Meaning::Reached,
        (Some(Until::Absent), Reply::Seen(_)) | (Some(Until::Running), Reply::Absent) => {
            Meaning::NotYet
        }
        (Some(Until::Running), Reply::Seen(seen)) => match seen.state {
            MachineState::Running if seen.address.is_some() || !needs_address(step) => {
                Meaning::Reached
            }
            MachineState::Stopped if waited >= OFF => Meaning::Hopeless(Fault::new(
                FaultClass::Retryable,
                format!("{} is off: it was made, and does not run", seen.external),
            )),
            MachineState::Running | MachineState::Building | MachineState::Stopped => {
                Meaning::NotYet
            }
            MachineState::Error => Meaning::Hopeless(Fault::new(
                FaultClass::Invalid,
                format!("{} is in state error and will not come up", seen.external),
            )),
        },
        (Some(Until::Elapsed(_) | Until::Outdated), _) => panic!("nothing is asked for that"),
        (Some(_), other) => panic!("{} shows one resource, not {other:?}", step.title()),
    }
}

/// A machine that we make has a public address; one that exists already is reached otherwise.
fn needs_address(step: &Step) -> bool {
    let exists = step.desired.as_ref().is_some_and(
        |desired| matches!(&desired.spec, Spec::Machine { existing, .. } if existing.is_some()),
    );
    step.kind == Kind::Machine && !exists
}
