//! The journal in the file: entries as JSON, each with a checksum over itself and all before it.
//!
//! The chain finds what a disk or an editor does: a changed, missing, moved or cut off entry. It
//! is no seal against whoever can write the file: whether entries can stand where they do is asked
//! of the engine. Knows nothing of what they mean.

use super::error::{At, StoreError};
use super::schema::{Meta, chain_start};
use super::{Store, Writing};
use quorate_engine::journal::{Entry, Ledger};
use quorate_engine::random::hash_name;
use rusqlite::{Connection, params};
use std::path::Path;

/// The end of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tip {
    /// Entries.
    pub(super) length: u64,
    /// The last one's checksum.
    pub(super) chain: u64,
}

impl Tip {
    /// Of an empty journal.
    pub(super) fn first(lineage: &str) -> Self {
        Self {
            length: 0,
            chain: chain_start(lineage),
        }
    }

    /// One entry further.
    pub(super) fn next(self, entry: &str) -> Self {
        Self {
            length: self.length + 1,
            chain: hash_name(&format!("{:016x}{entry}", self.chain)),
        }
    }
}

impl Writing<'_> {
    /// Adds entries to the journal.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        let sql = "INSERT INTO journal (seq, entry, chain) VALUES (?1, ?2, ?3)";
        for entry in entries {
            let text = serde_json::to_string(entry).expect("an entry is plain data");
            self.tip = self.tip.next(&text);
            let chain = format!("{:016x}", self.tip.chain);
            self.run(sql, params![self.tip.length, text, chain])?;
        }
        Ok(())
    }
}

impl Store {
    /// Entries in the journal.
    pub(crate) fn length(&self) -> u64 {
        self.tip.length
    }

    /// The journal's last checksum.
    pub(super) fn chain(&self) -> u64 {
        self.tip.chain
    }
}

/// Every entry with its number and its checksum, as text.
fn rows(connection: &Connection) -> rusqlite::Result<Vec<(u64, String, String)>> {
    let _gate = super::gate();
    let mut ask = connection.prepare("SELECT seq, entry, chain FROM journal ORDER BY seq")?;
    let rows = ask.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.collect()
}

/// Checks the chain from end to end.
pub(super) fn verify(connection: &Connection, path: &Path, meta: &Meta) -> Result<Tip, StoreError> {
    let mut tip = Tip::first(&meta.lineage);
    let rows = rows(connection).map_err(|e| At::new(path, "read the journal of").sql(e))?;
    for (seq, entry, chain) in rows {
        tip = tip.next(&entry);
        if seq != tip.length {
            let what = format!("entry {} of the journal is missing", tip.length);
            return Err(StoreError::corrupt(path, what));
        }
        if chain != format!("{:016x}", tip.chain) {
            let what = format!("entry {seq} of the journal does not match its checksum");
            return Err(StoreError::corrupt(path, what));
        }
    }
    if tip != meta.tip {
        let what = format!(
            "the journal should have {} entries and has {}",
            meta.tip.length, tip.length
        );
        return Err(StoreError::corrupt(path, what));
    }
    Ok(tip)
}

/// Checks that every entry can follow the ones before it.
pub(super) fn fits(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let entries = read(connection, path)?;
    let read = Ledger::read(&entries).map(drop);
    read.map_err(|misfit| StoreError::corrupt(path, misfit.to_string()))
}

/// Every entry.
pub(super) fn read(connection: &Connection, path: &Path) -> Result<Vec<Entry>, StoreError> {
    let rows = rows(connection).map_err(|e| At::new(path, "read the journal of").sql(e))?;
    let parse = |(seq, text, _): (u64, String, String)| {
        serde_json::from_str(&text).map_err(|error| {
            let what = format!("entry {seq} of the journal is none of ours: {error}");
            StoreError::corrupt(path, what)
        })
    };
    rows.into_iter().map(parse).collect()
}
