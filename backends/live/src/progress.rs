//! Progress: what of a plan is done, what runs since when, what is tried again and why, and what
//! waits for what. A fold over the driver's news; whoever shows it asks for rows.
//!
//! Knows nothing of terminals. Steps are told apart by their titles, as the engine tells them.

use crate::driver::{InFlight, News, Observer};
use quorate_engine::plan::{Plan, Step};
use quorate_engine::seam::{Fault, Notice};
use quorate_engine::time::{Span, Time};
use std::collections::BTreeMap;

/// How far a step is.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// Steps of these titles come first; none: it waits for its turn.
    Waits(Vec<String>),
    /// It has begun.
    Runs {
        /// When.
        since: Time,
    },
    /// It will be tried again.
    Retries {
        /// When it first began.
        since: Time,
        /// Why.
        fault: Fault,
        /// When.
        at: Time,
    },
    /// It succeeded.
    Done {
        /// How long it took.
        took: Span,
    },
    /// It failed for good.
    Failed(Fault),
    /// It will not be tried, because of this one's failure.
    Skipped(String),
}

/// A step and how far it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// `create shop/cp/1`.
    pub title: String,
    /// Why it is in the plan.
    pub reason: String,
    /// How long it usually takes.
    pub expected: Span,
    /// How far it is.
    pub stage: Stage,
}

#[derive(Debug, Clone)]
struct Part {
    step: Step,
    begun: Option<Time>,
    retry: Option<(Fault, Time)>,
    end: Option<Result<Span, Fault>>,
}

/// The plan that is being carried out, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct Board {
    parts: Vec<Part>,
    by_title: BTreeMap<String, usize>,
    /// Calls under way: reads too, and those of steps.
    calls: Vec<InFlight>,
    notes: u32,
}

impl Board {
    /// The steps in the order of the plan; empty while the world is being looked at.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let mut stages: Vec<Stage> = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            stages.push(self.stage(part, &stages));
        }
        let rows = self.parts.iter().zip(stages);
        rows.map(|(part, stage)| Row {
            title: part.step.title(),
            reason: part.step.reason.clone(),
            expected: part.step.expected,
            stage,
        })
        .collect()
    }

    /// Calls under way, oldest first.
    #[must_use]
    pub fn calls(&self) -> &[InFlight] {
        &self.calls
    }

    /// Plans that were begun so far.
    #[must_use]
    pub fn plans(&self) -> u32 {
        self.notes
    }

    /// How long the rest usually takes: the longest chain of steps that have not ended, each by
    /// what is left of its usual time.
    #[must_use]
    pub fn remaining(&self, now: Time) -> Span {
        let mut ends: Vec<Span> = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let before = part.step.after.iter().chain(&part.step.settled);
            let start = before.map(|nth| ends[*nth as usize]).max();
            let spent = part.begun.map_or(Span::ZERO, |begun| now.since(begun));
            let own = match part.end {
                Some(_) => Span::ZERO,
                None => part.step.expected - spent,
            };
            ends.push(start.unwrap_or_default() + own);
        }
        ends.into_iter().max().unwrap_or_default()
    }

    fn stage(&self, part: &Part, before: &[Stage]) -> Stage {
        match (&part.end, &part.retry, part.begun) {
            (Some(Ok(took)), _, _) => Stage::Done { took: *took },
            (Some(Err(fault)), _, _) => Stage::Failed(fault.clone()),
            (None, Some((fault, at)), Some(since)) => Stage::Retries {
                since,
                fault: fault.clone(),
                at: *at,
            },
            (None, None, Some(since)) => Stage::Runs { since },
            (None, _, None) => self.waits(part, before),
        }
    }

    /// What a step that has not begun waits for, or whose failure keeps it from beginning.
    fn waits(&self, part: &Part, before: &[Stage]) -> Stage {
        for nth in &part.step.after {
            match &before[*nth as usize] {
                Stage::Failed(_) => {
                    return Stage::Skipped(self.parts[*nth as usize].step.title());
                }
                Stage::Skipped(because) => return Stage::Skipped(because.clone()),
                Stage::Waits(_)
                | Stage::Runs { .. }
                | Stage::Retries { .. }
                | Stage::Done { .. } => {}
            }
        }
        let open = |nth: &&u32| {
            let stage = &before[**nth as usize];
            !matches!(
                stage,
                Stage::Done { .. } | Stage::Failed(_) | Stage::Skipped(_)
            )
        };
        let all = part.step.after.iter().chain(&part.step.settled);
        let titles = all
            .filter(open)
            .map(|nth| self.parts[*nth as usize].step.title());
        Stage::Waits(titles.collect())
    }

    fn begin(&mut self, plan: &Plan) {
        let part = |step: &Step| Part {
            step: step.clone(),
            begun: None,
            retry: None,
            end: None,
        };
        self.parts = plan.steps.iter().map(part).collect();
        let titles = self.parts.iter().enumerate();
        self.by_title = titles.map(|(nth, part)| (part.step.title(), nth)).collect();
        self.notes += 1;
    }

    fn part(&mut self, title: &str) -> Option<&mut Part> {
        let nth = *self.by_title.get(title)?;
        self.parts.get_mut(nth)
    }

    fn notice(&mut self, now: Time, notice: &Notice) {
        match notice {
            Notice::Started { step } => {
                if let Some(part) = self.part(step) {
                    // Links are made again when the mesh has changed.
                    (part.begun, part.retry, part.end) = (Some(now), None, None);
                }
            }
            Notice::Finished { step, took } => {
                if let Some(part) = self.part(step) {
                    (part.retry, part.end) = (None, Some(Ok(*took)));
                }
            }
            Notice::Retrying { step, fault, after } => {
                if let Some(part) = self.part(step) {
                    part.begun = part.begun.or(Some(now));
                    part.retry = Some((fault.clone(), now + *after));
                }
            }
            Notice::Failed { step, fault } => {
                if let Some(part) = self.part(step) {
                    (part.retry, part.end) = (None, Some(Err(fault.clone())));
                }
            }
            Notice::Forced { .. }
            | Notice::Planned { .. }
            | Notice::Converged
            | Notice::Scaled { .. }
            | Notice::Refused { .. } => {}
        }
    }
}

impl Observer for Board {
    fn see(&mut self, now: Time, news: News<'_>) {
        match news {
            News::Plan(plan) => self.begin(plan),
            News::Notice(notice) => self.notice(now, notice),
            News::Called(flight) => {
                if let Some(part) = self.part(&flight.title()) {
                    part.retry = None;
                }
            }
            News::InFlight(calls) => self.calls = calls.iter().map(|&call| call.clone()).collect(),
            News::Recorded(_) | News::Answered(..) | News::Signal { .. } => {}
        }
    }
}
