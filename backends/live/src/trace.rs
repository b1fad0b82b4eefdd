//! The trace of a run: what the engine was told, when, and what it wanted done.
//!
//! The engine is a value, so this is all there is to know of a run: `replay` tells a new engine
//! the same again and compares. Each line holds the event whole, the effects as a line of text
//! each, and a checksum over everything up to here, with the whole of each effect in it.

mod replay;
mod task;

pub use replay::{Difference, Replayed, Verdict, replay};
pub(crate) use task::TaskForm;

use crate::store::TraceLine;
use quorate_engine::random::hash_name;
use quorate_engine::seam::{CallId, Effect, Event, Outcome};
use quorate_engine::time::Time;
use serde::{Deserialize, Serialize};

/// An event as it stands in a trace.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum EventForm {
    Start,
    Answer { call: CallId, outcome: Outcome },
    Wake,
    Cancel,
}

impl From<&Event> for EventForm {
    fn from(event: &Event) -> Self {
        match event {
            Event::Start => Self::Start,
            Event::Answer { call, outcome } => Self::Answer {
                call: *call,
                outcome: outcome.clone(),
            },
            Event::Wake => Self::Wake,
            Event::Cancel => Self::Cancel,
        }
    }
}

impl From<EventForm> for Event {
    fn from(form: EventForm) -> Self {
        match form {
            EventForm::Start => Self::Start,
            EventForm::Answer { call, outcome } => Self::Answer { call, outcome },
            EventForm::Wake => Self::Wake,
            EventForm::Cancel => Self::Cancel,
        }
    }
}

/// Writes the trace of one run.
#[derive(Debug)]
pub(crate) struct Recorder {
    run: u64,
    seq: u64,
    chain: u64,
    waiting: Vec<TraceLine>,
}

impl Recorder {
    /// Of a run that begins.
    pub(crate) fn of_run(run: u64) -> Self {
        Self {
            run,
            seq: 0,
            chain: chain_start(run),
            waiting: Vec::new(),
        }
    }

    /// The next line.
    pub(crate) fn line(&mut self, now: Time, event: &Event, effects: &[Effect]) {
        let event = text(&EventForm::from(event));
        self.seq += 1;
        self.chain = link(self.chain, now, &event, effects);
        self.waiting.push(TraceLine {
            run: self.run,
            seq: self.seq,
            at: now.0,
            event,
            effects: told(effects).join("\n"),
            chain: format!("{:016x}", self.chain),
        });
    }

    /// Lines that are not written yet.
    pub(crate) fn waiting(&self) -> &[TraceLine] {
        &self.waiting
    }

    /// They are.
    pub(crate) fn written(&mut self) {
        self.waiting.clear();
    }
}

fn chain_start(run: u64) -> u64 {
    hash_name(&format!("run {run}"))
}

/// The checksum of a line, over everything before it too.
fn link(chain: u64, now: Time, event: &str, effects: &[Effect]) -> u64 {
    let mut line = format!("{chain:016x} {} {event}", now.0);
    for effect in effects {
        line.push('\n');
        line.push_str(&whole(effect));
    }
    hash_name(&line)
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("what the seam carries is plain data")
}

/// An effect with everything in it.
fn whole(effect: &Effect) -> String {
    match effect {
        Effect::Call { call, .. } => format!("{} {}", brief(effect), text(&**call)),
        Effect::Record(_) | Effect::WakeAt(_) | Effect::Say(_) | Effect::Done(_) => brief(effect),
    }
}

/// An effect in a line, for people. Of a call only what it is about.
fn brief(effect: &Effect) -> String {
    match effect {
        Effect::Record(entry) => format!("record {}", text(entry)),
        Effect::Call { id, call, deadline } => format!(
            "call {} {} {} on {} with key {} until {}",
            id.0, call.verb, call.target, call.lane, call.key, deadline.0
        ),
        Effect::WakeAt(at) => format!("wake at {}", at.0),
        Effect::Say(notice) => format!("say {}", text(notice)),
        Effect::Done(ending) => format!("done {}", text(ending)),
    }
}

fn told(effects: &[Effect]) -> Vec<String> {
    effects.iter().map(brief).collect()
}
