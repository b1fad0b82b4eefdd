//! Replay: a new engine is told what the old one was told, and must want the same.
//!
//! The first difference ends it, with both sides. Makes no call and writes nothing.

use super::{EventForm, TaskForm, chain_start, link, told};
use crate::store::{RunRecord, Store, StoreError, TraceLine};
use quorate_engine::engine::Engine;
use quorate_engine::journal::Entry;
use quorate_engine::seam::{Effect, Event};
use quorate_engine::time::Time;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What came of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// Runs that were replayed: all whose traces are kept.
    pub runs: u32,
    /// Events that were told.
    pub events: u64,
    /// What happened and what was decided, in order, for people.
    pub lines: Vec<String>,
    /// Whether the same was decided.
    pub verdict: Verdict,
}

/// Whether the same was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The same, in the same order.
    Same,
    /// Not from here on.
    Different(Box<Difference>),
}

/// The first difference between a run and its replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// In which run.
    pub run: u64,
    /// Over which event, from 1; 0: before the first.
    pub event: u64,
    /// What the engine was told.
    pub told: String,
    /// What it wanted then.
    pub recorded: String,
    /// What it wants now.
    pub replayed: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            run,
            event,
            told,
            recorded,
            replayed,
        } = self;
        writeln!(f, "run {run} differs at event {event}: {told}")?;
        writeln!(f, "  recorded: {recorded}")?;
        write!(f, "  replayed: {replayed}")
    }
}

/// Replays every run of a state whose trace is kept.
///
/// # Errors
/// If the state cannot be read.
pub fn replay(store: &Store) -> Result<Replayed, StoreError> {
    let journal = store.journal()?;
    let trace = store.trace()?;
    let mut replayed = Replayed {
        runs: 0,
        events: 0,
        lines: Vec::new(),
        verdict: Verdict::Same,
    };
    for run in store.runs()? {
        let lines: Vec<&TraceLine> = trace.iter().filter(|line| line.run == run.id).collect();
        if lines.is_empty() {
            continue;
        }
        replayed.runs += 1;
        let mut again = Again {
            run: &run,
            journal: &journal,
            replayed: &mut replayed,
        };
        if let Err(difference) = again.run(&lines) {
            replayed.verdict = Verdict::Different(difference);
            break;
        }
    }
    Ok(replayed)
}

/// One run, again.
struct Again<'a> {
    run: &'a RunRecord,
    journal: &'a [Entry],
    replayed: &'a mut Replayed,
}

impl Again<'_> {
    fn run(&mut self, lines: &[&TraceLine]) -> Result<(), Box<Difference>> {
        let id = self.run.id;
        self.replayed
            .lines
            .push(format!("run {id}: {}", self.run.command));
        let mut engine = self.engine()?;
        let (mut chain, mut entries) = (chain_start(id), self.run.journal as usize);
        let mut before = 0;
        for (nth, line) in lines.iter().enumerate() {
            let differs = |recorded: &str, replayed: &str| {
                Err(Box::new(Difference {
                    run: id,
                    event: line.seq,
                    told: format!("{} at {}", line.event, line.at),
                    recorded: recorded.to_owned(),
                    replayed: replayed.to_owned(),
                }))
            };
            if line.seq != nth as u64 + 1 {
                return differs(
                    &format!("event {}", line.seq),
                    &format!("event {}", nth + 1),
                );
            }
            if line.at < before {
                return differs("an earlier instant", "time never goes back");
            }
            before = line.at;
            let event = match serde_json::from_str::<EventForm>(&line.event) {
                Ok(form) => Event::from(form),
                Err(error) => return differs(&line.event, &format!("no event: {error}")),
            };
            let effects = match handle(&mut engine, Time(line.at), event) {
                Ok(effects) => effects,
                Err(panic) => return differs(&line.effects, &format!("a panic: {panic}")),
            };
            let now = told(&effects);
            if let Some((recorded, replayed)) = first_difference(&line.effects, &now) {
                return differs(&recorded, &replayed);
            }
            chain = link(chain, Time(line.at), &line.event, &effects);
            if line.chain != format!("{chain:016x}") {
                return differs(
                    &format!("checksum {}", line.chain),
                    &format!(
                        "checksum {chain:016x}: the line was altered, or a call carries something \
                         else"
                    ),
                );
            }
            for entry in recorded(&effects) {
                if self.journal.get(entries) != Some(entry) {
                    let there = format!("{:?}", self.journal.get(entries));
                    return differs(&there, &format!("{entry:?} as entry {}", entries + 1));
                }
                entries += 1;
            }
            self.replayed.events += 1;
            self.tell(line, &now);
        }
        Ok(())
    }

    fn engine(&self) -> Result<Engine, Box<Difference>> {
        let differs = |recorded: String, replayed: String| {
            Box::new(Difference {
                run: self.run.id,
                event: 0,
                told: "how it began".to_owned(),
                recorded,
                replayed,
            })
        };
        let task = TaskForm::task(&self.run.task)
            .map_err(|error| differs(self.run.task.clone(), format!("no task: {error}")))?;
        let length = self.run.journal as usize;
        let prefix = self.journal.get(..length).ok_or_else(|| {
            let there = format!("{} entries", self.journal.len());
            differs(format!("{length} entries in the journal"), there)
        })?;
        Ok(Engine::new(task, prefix))
    }

    fn tell(&mut self, line: &TraceLine, effects: &[String]) {
        let lines = &mut self.replayed.lines;
        lines.push(format!("{} {} {}", line.run, line.seq, line.event));
        lines.extend(effects.iter().map(|effect| format!("  {effect}")));
    }
}

fn recorded(effects: &[Effect]) -> impl Iterator<Item = &Entry> {
    effects.iter().filter_map(|effect| match effect {
        Effect::Record(entry) => Some(entry),
        Effect::Call { .. } | Effect::WakeAt(_) | Effect::Say(_) | Effect::Done(_) => None,
    })
}

/// Tells the engine; an assertion of its own that fails is a difference like any other.
fn handle(engine: &mut Engine, now: Time, event: Event) -> Result<Vec<Effect>, String> {
    let work = || {
        let mut effects = Vec::new();
        engine.handle(now, event, &mut effects);
        effects
    };
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        text.unwrap_or_else(|| "of no text".to_owned())
    })
}

/// The first effect that differs, both sides.
fn first_difference(recorded: &str, now: &[String]) -> Option<(String, String)> {
    let mut recorded = recorded.lines().map(str::to_owned);
    let mut now = now.iter().cloned();
    let nothing = || "nothing more".to_owned();
    loop {
        match (recorded.next(), now.next()) {
            (None, None) => return None,
            (Some(then), Some(now)) if then == now => {}
            (then, now) => {
                return Some((then.unwrap_or_else(nothing), now.unwrap_or_else(nothing)));
            }
        }
    }
}
