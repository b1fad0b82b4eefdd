//! Runs: lives of the driver, from its start to its ending or to the process's death, each with
//! its task and with the trace of what it was told and what it did.
//!
//! Does not know what stands in a task or a trace: text goes in, text comes out.

use super::error::{At, StoreError};
use super::{Store, Writing};
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// Runs whose traces are kept; of older ones the record stays.
const TRACES_MAX: u64 = 50;

/// One life of the driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// From 1.
    pub id: u64,
    /// What was called for, `quorate apply`.
    pub command: String,
    /// The version of the program.
    pub program: String,
    /// The process.
    pub pid: u32,
    /// Milliseconds since the Unix epoch.
    pub began_ms: u64,
    /// The same; none while it runs, and for one that was cut off.
    pub ended_ms: Option<u64>,
    /// How it ended: the engine's `Ending` as JSON, or text where the driver stopped first.
    pub ending: Option<String>,
    /// Entries in the journal when it began.
    pub journal: u64,
    /// What the engine was to do, as JSON.
    pub task: String,
}

/// One line of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TraceLine {
    /// In which run.
    pub(crate) run: u64,
    /// From 1.
    pub(crate) seq: u64,
    /// The engine's time, in nanoseconds.
    pub(crate) at: u64,
    /// What happened to the engine, as JSON.
    pub(crate) event: String,
    /// What it wanted done, a line each.
    pub(crate) effects: String,
    /// Over everything up to here.
    pub(crate) chain: String,
}

/// Milliseconds since the Unix epoch.
#[must_use]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

impl Store {
    /// All runs, oldest first.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn runs(&self) -> Result<Vec<RunRecord>, StoreError> {
        let sql = "SELECT id, command, program, pid, began_ms, ended_ms, ending, journal, task
                   FROM runs ORDER BY id";
        self.all(sql, |row| {
            Ok(RunRecord {
                id: row.get(0)?,
                command: row.get(1)?,
                program: row.get(2)?,
                pid: row.get(3)?,
                began_ms: row.get(4)?,
                ended_ms: row.get(5)?,
                ending: row.get(6)?,
                journal: row.get(7)?,
                task: row.get(8)?,
            })
        })
    }

    /// All lines of all traces, in order.
    pub(crate) fn trace(&self) -> Result<Vec<TraceLine>, StoreError> {
        let sql = "SELECT run, seq, at, event, effects, chain FROM trace ORDER BY run, seq";
        self.all(sql, |row| {
            Ok(TraceLine {
                run: row.get(0)?,
                seq: row.get(1)?,
                at: row.get(2)?,
                event: row.get(3)?,
                effects: row.get(4)?,
                chain: row.get(5)?,
            })
        })
    }

    /// The latest engine's time that any kept trace has, in nanoseconds.
    pub(crate) fn latest(&self) -> Result<u64, StoreError> {
        let sql = "SELECT coalesce(max(at), 0) FROM trace";
        Ok(self.all(sql, |row| row.get(0))?.pop().unwrap_or(0))
    }

    /// A run begins: its number.
    pub(crate) fn begin_run(&mut self, task: String) -> Result<u64, StoreError> {
        let id = self.runs()?.last().map_or(1, |run| run.id + 1);
        let run = RunRecord {
            id,
            command: self.command().to_owned(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            began_ms: unix_ms(),
            ended_ms: None,
            ending: None,
            journal: self.length(),
            task,
        };
        self.write("begin a run in", |writing| {
            writing.put_run(&run)?;
            let sql = "DELETE FROM trace WHERE run <= ?1";
            writing.run(sql, [id.saturating_sub(TRACES_MAX)])?;
            Ok(id)
        })
    }

    pub(super) fn all<T>(
        &self,
        sql: &str,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let _gate = super::gate();
        let ask = || {
            let mut ask = self.connection.prepare_cached(sql)?;
            let rows = ask.query_map([], row)?;
            rows.collect::<rusqlite::Result<Vec<T>>>()
        };
        ask().map_err(|e| At::new(&self.path, "read").sql(e))
    }
}

impl Writing<'_> {
    pub(super) fn put_run(&self, run: &RunRecord) -> Result<(), StoreError> {
        let sql = "INSERT INTO runs
            (id, command, program, pid, began_ms, ended_ms, ending, journal, task)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        self.run(
            sql,
            params![
                run.id,
                run.command,
                run.program,
                run.pid,
                run.began_ms,
                run.ended_ms,
                run.ending,
                run.journal,
                run.task
            ],
        )?;
        Ok(())
    }

    /// Adds a line to a run's trace.
    pub(crate) fn put_line(&self, line: &TraceLine) -> Result<(), StoreError> {
        let sql = "INSERT INTO trace (run, seq, at, event, effects, chain)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.run(
            sql,
            params![
                line.run,
                line.seq,
                line.at,
                line.event,
                line.effects,
                line.chain
            ],
        )?;
        Ok(())
    }

    /// A run has ended.
    pub(crate) fn end_run(&self, run: u64, ending: &str) -> Result<(), StoreError> {
        let sql = "UPDATE runs SET ended_ms = ?2, ending = ?3 WHERE id = ?1";
        let changed = self.run(sql, params![run, unix_ms(), ending])?;
        assert_eq!(changed, 1, "run {run} was begun");
        Ok(())
    }
}
