//! From the queue to a call: turns, lanes, calls, wake-ups.
//!
//! Does not know what will be answered.

use super::lane::LaneState;
use super::stage::{Ask, Stage};
use super::{Executor, Outside};
use crate::journal::Entry;
use crate::mesh::table_print;
use crate::plan::Step;
use crate::resource::{Kind, ResourceId};
use crate::seam::{Call, CallId, Effect, Lane, Verb};
use crate::time::{Span, Time};
use std::sync::Arc;

/// A view of the cluster counts for the guard as long as etcd's own health interval.
const FRESH: Span = Span::from_secs(5);

impl Executor {
    /// Starts what the turns and the lanes allow.
    pub(super) fn pump(&mut self, outside: &mut Outside<'_>) {
        loop {
            self.give_turn(outside);
            let mut admitted = false;
            for lane in 0..self.lanes.len() {
                while let Some(step) = self.lanes[lane].admit(outside.now) {
                    admitted = true;
                    self.launch(step, lane, outside);
                }
            }
            if !admitted {
                break;
            }
        }
    }

    /// One step at a time reads the cluster, is judged and changes membership: otherwise two that
    /// are each allowed could together break quorum.
    fn give_turn(&mut self, outside: &mut Outside<'_>) {
        if self.turn.is_none()
            && let Some((_, step)) = self.turn_queue.pop_first()
        {
            self.turn = Some(step);
            self.queue(step, Ask::Guard, outside);
        }
    }

    fn launch(&mut self, step: u32, lane: usize, outside: &mut Outside<'_>) {
        let Stage::Queued(ask) = self.steps[step as usize].stage() else {
            panic!("only a queued step is launched");
        };
        let plan = Arc::clone(&self.plan);
        let what = &plan.steps[step as usize];
        if what.change.is_some() && ask == Ask::Act {
            let judged = self.steps[step as usize].judged;
            let patience = FRESH + self.lanes[lane].limit.refill.times(2);
            if outside.now.since(judged) > patience {
                self.lanes[lane].land();
                self.queue(step, Ask::Guard, outside);
                return;
            }
        }
        self.start_clock(step, outside);
        let call = self.call(what, ask, outside);
        if ask == Ask::Act {
            let state = &mut self.steps[step as usize];
            state.attempts += 1;
            if what.kind == Kind::Links {
                state.told = Some(table_print(&outside.ledger.peers));
            }
            if what.verb.mutates() {
                outside.record(Entry::Started {
                    run: self.run,
                    step,
                    resource: what.resource.clone(),
                    verb: what.verb,
                    key: call.key,
                    attempt: state.attempts,
                });
            }
        }
        let state = &mut self.steps[step as usize];
        assert!(
            state.deadline > outside.now,
            "an expired step makes no call"
        );
        state.shift(Stage::Flying(ask));
        let deadline = state
            .deadline
            .min(outside.now + self.limits.timeout(call.verb));
        let id = self.next_call;
        self.next_call = CallId(id.0 + 1);
        self.flying.insert(id, step);
        outside.out.push(Effect::Call {
            id,
            call: Arc::new(call),
            deadline,
        });
    }

    fn call(&self, step: &Step, ask: Ask, outside: &Outside<'_>) -> Call {
        let step = match ask {
            Ask::Watch => &self.plan.steps[self.maker(step) as usize],
            Ask::Act | Ask::Guard | Ask::Confirm(_) | Ask::Elapse => step,
        };
        let (lane, verb, target) = match ask {
            Ask::Act => (step.lane.clone(), step.verb, step.resource.clone()),
            Ask::Guard => (Lane::Cluster, Verb::Cluster, cluster_of(&step.resource)),
            Ask::Confirm(_) | Ask::Watch => {
                (step.lane.clone(), Verb::Describe, step.resource.clone())
            }
            Ask::Elapse => panic!("time passes without a call"),
        };
        let own = ask == Ask::Act;
        Call {
            key: outside.ledger.key(&target, verb),
            verb,
            target,
            kind: step.kind,
            resource: if ask == Ask::Guard {
                None
            } else {
                step.desired.clone()
            },
            addresses: match ask {
                _ if lane == Lane::Cluster || step.kind == Kind::Worker => self.addresses.all(),
                Ask::Act => self.addresses.for_step(step),
                Ask::Guard | Ask::Confirm(_) | Ask::Watch | Ask::Elapse => Vec::new(),
            },
            peers: if own && step.kind == Kind::Links {
                outside.ledger.peers.values().cloned().collect()
            } else {
                Arc::default()
            },
            lane,
        }
    }

    /// Asks for the next instant at which something is due, if nothing earlier was asked for.
    pub(super) fn ask_for_wake(&mut self, outside: &mut Outside<'_>) {
        let alarm = self.alarms.first().map(|(due, _, _)| *due);
        let token = self.lanes.iter().filter_map(LaneState::opens).min();
        let Some(next) = alarm.into_iter().chain(token).min() else {
            assert!(!self.flying.is_empty(), "an open plan waits for something");
            return;
        };
        assert!(next >= outside.now, "what is due has been done");
        if self.wake.is_none_or(|asked| next < asked) {
            self.wake = Some(next);
            outside.out.push(Effect::WakeAt(next));
        }
    }

    pub(super) fn lane_index(&self, step: u32, ask: Ask) -> usize {
        match ask {
            Ask::Guard => self.cluster_lane as usize,
            Ask::Watch => {
                self.steps[self.maker(&self.plan.steps[step as usize]) as usize].lane as usize
            }
            Ask::Act | Ask::Confirm(_) | Ask::Elapse => self.steps[step as usize].lane as usize,
        }
    }

    /// The step of this plan by which the machine came to be that another visits.
    pub(super) fn made_before(&self, step: &Step) -> Option<u32> {
        let machine = |at: &&u32| self.plan.steps[**at as usize].kind == Kind::Machine;
        step.after.iter().find(machine).copied()
    }

    /// The same of a machine that is watched.
    fn maker(&self, step: &Step) -> u32 {
        self.made_before(step).expect("who is watched was made")
    }

    pub(super) fn lane_of(&self, step: u32) -> &LaneState {
        &self.lanes[self.steps[step as usize].lane as usize]
    }

    /// A lane's other side asked for silence.
    pub(super) fn silence(&mut self, lane: usize, until: Time) {
        self.lanes[lane].silence(until);
    }
}

/// The cluster a resource belongs to: the first part of its path.
fn cluster_of(resource: &ResourceId) -> ResourceId {
    let path = resource.as_str();
    ResourceId::new(path.split('/').next().unwrap_or(path))
}
