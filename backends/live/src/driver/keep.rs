//! What is written down of a run: entries of the journal at once, and with them whatever has
//! gathered since the last write: lines of the trace, and what was seen of machines.
//!
//! One transaction for each event that records something, so an announcement costs one synced
//! write however many calls it announces.

use crate::store::{Sighting, Store, StoreError};
use crate::trace::Recorder;
use quorate_engine::journal::Entry;
use quorate_engine::seam::{Call, Effect, Event, Outcome};
use quorate_engine::time::Time;

/// Lines of trace that wait in memory for the next write. They only tell of reads: those that go
/// with a change are written with it.
const LINES_MAX: usize = 256;

/// What is written down of a run, and where.
pub(super) struct Keeping<'a> {
    store: &'a mut Store,
    run: u64,
    recorder: Recorder,
    sightings: Vec<Sighting>,
}

impl<'a> Keeping<'a> {
    /// Of a run that begins.
    pub(super) fn of_run(store: &'a mut Store, run: u64) -> Self {
        Self {
            store,
            run,
            recorder: Recorder::of_run(run),
            sightings: Vec::new(),
        }
    }

    /// An answer may tell of machines.
    pub(super) fn saw(&mut self, call: &Call, outcome: &Outcome) {
        self.sightings.extend(Sighting::of(call, outcome));
    }

    /// Makes durable what the engine wants recorded.
    pub(super) fn save(
        &mut self,
        now: Time,
        event: &Event,
        effects: &[Effect],
    ) -> Result<(), StoreError> {
        self.recorder.line(now, event, effects);
        let mut entries = Vec::new();
        let mut ending = None;
        for effect in effects {
            match effect {
                Effect::Record(entry) => entries.push(entry.clone()),
                Effect::Done(how) => {
                    ending = Some(serde_json::to_string(how).expect("an ending is plain data"));
                }
                Effect::Call { .. } | Effect::WakeAt(_) | Effect::Say(_) => {}
            }
        }
        let few = self.recorder.waiting().len() < LINES_MAX;
        if entries.is_empty() && ending.is_none() && few {
            return Ok(());
        }
        self.write(&entries, ending.as_deref())
    }

    /// The run ends before the engine does: everything that waits is written.
    pub(super) fn stop(&mut self, why: &str) -> Result<(), StoreError> {
        self.write(&[], Some(why))
    }

    /// The journal, as it stands in the file.
    pub(super) fn journal(&self) -> Vec<Entry> {
        let journal = self.store.journal();
        journal.expect("it was written a moment ago")
    }

    fn write(&mut self, entries: &[Entry], ending: Option<&str>) -> Result<(), StoreError> {
        let (run, lines, sightings) = (self.run, self.recorder.waiting(), &self.sightings);
        self.store.write("record in", |writing| {
            writing.append(entries)?;
            for line in lines {
                writing.put_line(line)?;
            }
            writing.sight(sightings)?;
            ending.map_or(Ok(()), |ending| writing.end_run(run, ending))
        })?;
        self.recorder.written();
        self.sightings.clear();
        Ok(())
    }
}
