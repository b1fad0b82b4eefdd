//! What stands in the file: versions of the schema, the way from each to the next, and the checks
//! that come before anything is written.
//!
//! The version is read from the file's first 100 bytes before SQLite touches it, so a newer or
//! foreign file stays as it is (layout of the header: sqlite.org/fileformat2.html, section 1.3).

use super::error::{At, StoreError};
use super::journal::Tip;
use quorate_engine::random::hash_name;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The newest version of the schema.
pub(super) const VERSION: u32 = 2;

/// "quor": tells our files from those of others.
const APPLICATION: u32 = 0x7175_6F72;

/// From each version to the next; the first makes version 1 of an empty file.
const STEPS: [&str; VERSION as usize] = [V1, V2];

const V1: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE journal (
  seq INTEGER PRIMARY KEY,
  entry TEXT NOT NULL,
  chain TEXT NOT NULL
) STRICT;
";

const V2: &str = "
CREATE TABLE runs (
  id INTEGER PRIMARY KEY,
  command TEXT NOT NULL,
  program TEXT NOT NULL,
  pid INTEGER NOT NULL,
  began_ms INTEGER NOT NULL,
  ended_ms INTEGER,
  ending TEXT,
  journal INTEGER NOT NULL,
  task TEXT NOT NULL
) STRICT;
CREATE TABLE trace (
  run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL,
  event TEXT NOT NULL,
  effects TEXT NOT NULL,
  chain TEXT NOT NULL,
  PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE inventory (machine TEXT PRIMARY KEY, facts TEXT NOT NULL) STRICT, WITHOUT ROWID;
";

/// The version of a file, from its header alone.
pub(super) fn version_of(path: &Path) -> Result<u32, StoreError> {
    let mut header = [0u8; 100];
    let gate = super::gate();
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    drop(gate);
    match read {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            return Err(StoreError::corrupt(path, "it is cut off"));
        }
        Err(error) => return Err(StoreError::io(path, "read", error)),
    }
    let number = |at: usize| {
        let bytes = header[at..at + 4].try_into().expect("four bytes");
        u32::from_be_bytes(bytes)
    };
    let path = path.to_owned();
    if !header.starts_with(b"SQLite format 3\0") || number(68) != APPLICATION {
        return Err(StoreError::Foreign { path });
    }
    match number(60) {
        0 => Err(StoreError::Foreign { path }),
        found if found > VERSION => Err(StoreError::Newer {
            path,
            found,
            known: VERSION,
        }),
        known => Ok(known),
    }
}

/// SQLite's own check of every page, row and index. Reads only.
pub(super) fn verify(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let ask = |row: &rusqlite::Row<'_>| row.get(0);
    let verdict: String = connection
        .query_row("PRAGMA integrity_check(1)", [], ask)
        .map_err(|e| At::new(path, "check").sql(e))?;
    if verdict != "ok" {
        return Err(StoreError::corrupt(path, verdict));
    }
    Ok(())
}

/// What a new state begins with.
pub(super) struct Birth {
    cluster: String,
    lineage: String,
}

impl Birth {
    /// A new lineage.
    pub(super) fn of(cluster: &str) -> Self {
        let lineage = format!("{:016x}{:016x}", super::draw(), super::draw());
        Self::again(cluster, &lineage)
    }

    /// A lineage that exists.
    pub(super) fn again(cluster: &str, lineage: &str) -> Self {
        Self {
            cluster: cluster.to_owned(),
            lineage: lineage.to_owned(),
        }
    }
}

/// Makes a state of an empty file.
pub(super) fn found(
    connection: &mut Connection,
    path: &Path,
    birth: &Birth,
) -> Result<(), StoreError> {
    step(connection, path, 0, |transaction| {
        let mut put = transaction.prepare("INSERT INTO meta (key, value) VALUES (?1, ?2)")?;
        put.execute(["cluster", &birth.cluster])?;
        put.execute(["lineage", &birth.lineage])?;
        drop(put);
        stamp(transaction, &birth.lineage, 0, Tip::first(&birth.lineage))
    })?;
    migrate(connection, path)
}

/// Brings an older state up to date, a version at a time, each in one transaction.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let ask = |row: &rusqlite::Row<'_>| row.get(0);
    let from: u32 = connection
        .query_row("PRAGMA user_version", [], ask)
        .map_err(|e| At::new(path, "read the version of").sql(e))?;
    assert!((1..=VERSION).contains(&from), "the header was checked");
    for version in from..VERSION {
        step(connection, path, version, |_| Ok(()))?;
    }
    Ok(())
}

fn step(
    connection: &mut Connection,
    path: &Path,
    from: u32,
    fill: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
) -> Result<(), StoreError> {
    let work = || {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(STEPS[from as usize])?;
        fill(&transaction)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", from + 1)?;
        transaction.commit()
    };
    work().map_err(|e| At::new(path, "bring up to date").sql(e))
}

/// What the file says of itself.
pub(super) struct Meta {
    pub(super) cluster: String,
    pub(super) lineage: String,
    pub(super) serial: u64,
    pub(super) tip: Tip,
}

impl Meta {
    /// Reads it.
    pub(super) fn read(connection: &Connection, path: &Path) -> Result<Self, StoreError> {
        let text = |key: &str| -> Result<String, StoreError> {
            let mut ask = connection
                .prepare_cached("SELECT value FROM meta WHERE key = ?1")
                .map_err(|e| At::new(path, "read").sql(e))?;
            let value = ask.query_row([key], |row| row.get(0)).optional();
            let value = value.map_err(|e| At::new(path, "read").sql(e))?;
            value.ok_or_else(|| StoreError::corrupt(path, format!("it does not say its {key}")))
        };
        let number = |key: &str, radix: u32| {
            let value = text(key)?;
            let wrong = |_| StoreError::corrupt(path, format!("its {key} is no number: {value}"));
            u64::from_str_radix(&value, radix).map_err(wrong)
        };
        let tip = Tip {
            length: number("length", 10)?,
            chain: number("chain", 16)?,
        };
        Ok(Self {
            cluster: text("cluster")?,
            lineage: text("lineage")?,
            serial: number("serial", 10)?,
            tip,
        })
    }
}

/// Writes what changes with every transaction.
pub(super) fn stamp(
    transaction: &Transaction<'_>,
    lineage: &str,
    serial: u64,
    tip: Tip,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2)
               ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    let mut put = transaction.prepare_cached(sql)?;
    put.execute(["lineage", lineage])?;
    put.execute(["serial", &serial.to_string()])?;
    put.execute(["length", &tip.length.to_string()])?;
    put.execute(["chain", &format!("{:016x}", tip.chain)])?;
    Ok(())
}

/// The start of a chain of checksums: of a lineage's journal, or of one of its runs.
pub(super) fn chain_start(name: &str) -> u64 {
    hash_name(name)
}
