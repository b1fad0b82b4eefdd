//! What may begin and what ends: the walk of the ready set.
//!
//! Does not know what a call is, nor what a fault means.

use super::stage::{Ask, Doubt, Stage};
use super::{Alarm, Executor, Outside};
use crate::journal::Entry;
use crate::mesh::table_print;
use crate::plan::Until;
use crate::resource::Kind;
use crate::seam::{Fault, FaultClass, Lane, Notice, Verb};
use crate::time::Span;
use std::cmp::Reverse;
use std::sync::Arc;

impl Executor {
    pub(super) fn begin(&mut self, outside: &mut Outside<'_>) {
        assert!(!self.begun, "a plan begins once");
        self.begun = true;
        self.table_before = Some(table_print(&outside.ledger.peers));
        if self.cancelled {
            return;
        }
        if self.changes() {
            self.recorded = true;
            outside.record(Entry::RunStarted {
                run: self.run,
                plan: self.plan.fingerprint(),
                steps: self.steps.len() as u32,
            });
        }
        for step in 0..self.steps.len() as u32 {
            self.ready(step, outside);
        }
    }

    /// Whether the plan changes anything: then it is recorded.
    fn changes(&self) -> bool {
        self.plan.steps.iter().any(|step| step.verb.mutates())
    }

    /// Lets a step go if nothing before it is missing.
    fn ready(&mut self, step: u32, outside: &mut Outside<'_>) {
        if self.steps[step as usize].stage() != Stage::Blocked(0) {
            return;
        }
        let what = &self.plan.steps[step as usize];
        // An earlier run made it, or announced that and never learnt the outcome, and the
        // observation may be late: look before making it again.
        let doubtful = what.verb == Verb::Create
            && matches!(what.lane, Lane::Provider(_))
            && (outside.ledger.in_flight.get(&what.resource) == Some(&Verb::Create)
                || outside.ledger.made.contains(&what.resource));
        if self.dormant(step) {
            // The mesh may have changed while the step waited for others.
            self.steps[step as usize].told = self.table_before;
            self.done(step, outside);
            self.refresh(step, outside);
        } else if let Some(Until::Elapsed(span)) = what.until {
            self.start_clock(step, outside);
            self.wait(step, Ask::Elapse, span, outside);
        } else if doubtful {
            self.start_clock(step, outside);
            let settle = self.lane_of(step).limit.settle;
            self.wait(step, Ask::Confirm(Doubt::Lost), settle, outside);
        } else if what.change.is_some() {
            self.shift(step, Stage::Turn);
            self.turn_queue.insert(self.place(step));
        } else {
            self.queue(step, Ask::Act, outside);
        }
    }

    /// The step begins: from now its deadline counts.
    pub(super) fn start_clock(&mut self, step: u32, outside: &mut Outside<'_>) {
        let state = &mut self.steps[step as usize];
        if state.begun.is_some() {
            return;
        }
        let what = &self.plan.steps[step as usize];
        state.begun = Some(outside.now);
        state.deadline = outside.now + what.deadline;
        self.alarms.insert((state.deadline, step, Alarm::Deadline));
        outside.say(Notice::Started { step: what.title() });
    }

    /// The step goes into its lane's queue; after a cancellation it stops instead.
    pub(super) fn queue(&mut self, step: u32, ask: Ask, outside: &mut Outside<'_>) {
        if self.cancelled {
            self.stop(step, outside);
            return;
        }
        self.shift(step, Stage::Queued(ask));
        let place = self.place(step);
        let lane = self.lane_index(step, ask);
        self.lanes[lane].waiting.insert(place);
    }

    /// The step resumes with `ask` after `span`; after a cancellation it stops instead.
    pub(super) fn wait(&mut self, step: u32, ask: Ask, span: Span, outside: &mut Outside<'_>) {
        if ask == Ask::Guard {
            self.pass_turn(step);
        }
        if self.cancelled {
            self.stop(step, outside);
            return;
        }
        self.shift(step, Stage::Waiting(ask));
        let resumes = outside.now + span;
        self.steps[step as usize].resumes = resumes;
        self.alarms.insert((resumes, step, Alarm::Resume));
    }

    /// Every alarm that is due.
    pub(super) fn ring(&mut self, outside: &mut Outside<'_>) {
        while let Some((due, step, alarm)) = self.alarms.first().copied() {
            if due > outside.now {
                break;
            }
            self.alarms.pop_first();
            let stage = self.steps[step as usize].stage();
            match (alarm, stage) {
                (Alarm::Resume, Stage::Waiting(Ask::Guard)) => {
                    self.shift(step, Stage::Turn);
                    self.turn_queue.insert(self.place(step));
                }
                (Alarm::Resume, Stage::Waiting(Ask::Elapse)) => self.succeed(step, outside),
                (Alarm::Resume, Stage::Waiting(ask)) => self.queue(step, ask, outside),
                // Its call has a deadline no later than this one: the answer decides.
                (Alarm::Deadline, Stage::Flying(_)) => {}
                (Alarm::Deadline, _) => self.expire(step, outside),
                (Alarm::Resume, _) => panic!("only a waiting step resumes, not one in {stage:?}"),
            }
        }
    }

    /// The step's time is over.
    pub(super) fn expire(&mut self, step: u32, outside: &mut Outside<'_>) {
        let limit = self.plan.steps[step as usize].deadline;
        let fault = match self.steps[step as usize].last.take() {
            Some(last) => Fault::new(
                last.class,
                format!("not done within {limit}: {}", last.detail),
            ),
            None => Fault::new(FaultClass::Busy, format!("not done within {limit}")),
        };
        self.fail(step, fault, outside);
    }

    /// The step has succeeded.
    pub(super) fn succeed(&mut self, step: u32, outside: &mut Outside<'_>) {
        let plan = Arc::clone(&self.plan);
        let what = &plan.steps[step as usize];
        let begun = self.steps[step as usize].begun;
        outside.say(Notice::Finished {
            step: what.title(),
            took: outside.now.since(begun.expect("what succeeds has begun")),
        });
        if what.verb == Verb::Delete && matches!(what.kind, Kind::Machine | Kind::Host) {
            let machine = what.resource.machine();
            self.addresses.forget(&machine);
            self.parted(&machine, outside);
        }
        self.done(step, outside);
        self.refresh(step, outside);
    }

    /// The step is done, whether or not it had to do anything.
    pub(super) fn done(&mut self, step: u32, outside: &mut Outside<'_>) {
        self.close(step, Stage::Done);
        self.summary.done += 1;
        if !std::mem::replace(&mut self.steps[step as usize].released, true) {
            self.release(self.steps[step as usize].dependants.clone(), outside);
            self.release(self.steps[step as usize].followers.clone(), outside);
        }
    }

    /// One thing less that these steps wait for.
    fn release(&mut self, steps: Vec<u32>, outside: &mut Outside<'_>) {
        for next in steps {
            let state = &mut self.steps[next as usize];
            match state.stage() {
                Stage::Blocked(missing) => {
                    state.shift(Stage::Blocked(missing - 1));
                    self.ready(next, outside);
                }
                Stage::Skipped => {}
                other => panic!("a step waits for those before it, and is in {other:?}"),
            }
        }
    }

    /// The step has failed for good; what depends on it is skipped, the rest goes on.
    pub(super) fn fail(&mut self, step: u32, fault: Fault, outside: &mut Outside<'_>) {
        let title = self.plan.steps[step as usize].title();
        outside.say(Notice::Failed {
            step: title.clone(),
            fault: fault.clone(),
        });
        self.close(step, Stage::Failed);
        self.summary.failed.push((title, fault));
        if std::mem::replace(&mut self.steps[step as usize].released, true) {
            return;
        }
        self.release(self.steps[step as usize].followers.clone(), outside);
        let mut stack = self.steps[step as usize].dependants.clone();
        while let Some(next) = stack.pop() {
            match self.steps[next as usize].stage() {
                Stage::Skipped => {}
                Stage::Blocked(_) => {
                    self.skip(next, outside);
                    stack.extend_from_slice(&self.steps[next as usize].dependants);
                }
                other => panic!("a step waits for those before it, and is in {other:?}"),
            }
        }
    }

    fn skip(&mut self, step: u32, outside: &mut Outside<'_>) {
        self.close(step, Stage::Skipped);
        self.summary.skipped += 1;
        if std::mem::replace(&mut self.steps[step as usize].released, true) {
            return;
        }
        self.release(self.steps[step as usize].followers.clone(), outside);
    }

    /// Ends a step that is not under way, because the run was cancelled.
    fn stop(&mut self, step: u32, outside: &mut Outside<'_>) {
        match self.steps[step as usize].last.take() {
            Some(fault) => self.fail(step, fault, outside),
            None => self.skip(step, outside),
        }
    }

    pub(super) fn cancel(&mut self, outside: &mut Outside<'_>) {
        if self.cancelled || self.ended {
            return;
        }
        self.cancelled = true;
        self.summary.cancelled = true;
        for step in 0..self.steps.len() as u32 {
            match self.steps[step as usize].stage() {
                Stage::Flying(_) | Stage::Done | Stage::Failed | Stage::Skipped => {}
                Stage::Blocked(_) | Stage::Turn | Stage::Queued(_) | Stage::Waiting(_) => {
                    self.stop(step, outside);
                }
            }
        }
    }

    /// Once every step has ended.
    pub(super) fn end(&mut self, outside: &mut Outside<'_>) {
        if self.ended {
            return;
        }
        if self.open > 0 {
            self.ask_for_wake(outside);
            return;
        }
        self.ended = true;
        assert!(self.flying.is_empty(), "a plan ends with its last answer");
        self.summary.replies = std::mem::take(&mut self.replies).into_iter().collect();
        if self.recorded {
            outside.record(Entry::RunEnded {
                run: self.run,
                done: self.summary.done,
                failed: self.summary.failed.len() as u32,
                skipped: self.summary.skipped,
            });
        }
    }

    /// Takes the step out of every queue and ends it.
    fn close(&mut self, step: u32, end: Stage) {
        assert!(end.ended(), "{end:?} is an end");
        let place = self.place(step);
        match self.steps[step as usize].stage() {
            Stage::Queued(ask) => {
                let lane = self.lane_index(step, ask);
                let waited = self.lanes[lane].waiting.remove(&place);
                assert!(waited, "a queued step is in its lane's queue");
            }
            Stage::Turn => {
                assert!(
                    self.turn_queue.remove(&place),
                    "a step waits for its turn in the queue"
                );
            }
            Stage::Blocked(_)
            | Stage::Flying(_)
            | Stage::Waiting(_)
            | Stage::Done
            | Stage::Failed
            | Stage::Skipped => {}
        }
        self.shift(step, end);
        self.pass_turn(step);
        let state = &self.steps[step as usize];
        self.alarms.remove(&(state.deadline, step, Alarm::Deadline));
        self.alarms.remove(&(state.resumes, step, Alarm::Resume));
        self.open -= 1;
    }

    /// The next one may change membership.
    fn pass_turn(&mut self, step: u32) {
        if self.turn == Some(step) {
            self.turn = None;
        }
    }

    pub(super) fn shift(&mut self, step: u32, next: Stage) {
        self.steps[step as usize].shift(next);
    }

    pub(super) fn place(&self, step: u32) -> super::lane::Place {
        (Reverse(self.steps[step as usize].remaining), step)
    }
}
