//! The state store: what survives a crash, in one SQLite file of a directory of its own.
//!
//! A write is durable when the call returns: rollback journal, `synchronous=EXTRA`, so the removal
//! of SQLite's own journal, which is the commit, is synced too. A write-ahead log would be faster
//! and leave the state in two files at rest, which people copy one of. Every write transaction
//! raises the serial, and is refused if somebody else has written since.
//!
//! The file is made readable for its owner alone, silently: that only takes away what nobody was
//! meant to have. A directory that others can write in is refused instead of changed: it may be
//! one that belongs to somebody, such as `/tmp`.
//!
//! Reading order: this file (opening, writing), `schema` (what stands in the file), `journal`,
//! `inventory`, `runs`, `document` (export and import). Knows nothing of how the driver works.

mod document;
mod error;
mod inventory;
mod journal;
mod runs;
mod schema;

pub use document::Document;
pub use error::StoreError;
pub use inventory::{Inventory, Machine, PinChanged, PinSource, PinnedKey, Pins};
pub use runs::{RunRecord, unix_ms};

pub(crate) use inventory::Sighting;
pub(crate) use runs::TraceLine;

use crate::lock::Lock;
use error::At;
use journal::Tip;
use quorate_engine::journal::Entry;
use rusqlite::{
    Connection, OpenFlags, OptionalExtension as _, Row, Transaction, TransactionBehavior,
};
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The name of the database in the state directory.
const NAME: &str = "state.db";

/// Held while the file is in use by this process. SQLite's locks are POSIX ones, and those end for
/// the whole process when any of its descriptors of the file is closed: the look at the header
/// must not fall into another thread's transaction.
static GATE: Mutex<()> = Mutex::new(());

fn gate() -> MutexGuard<'static, ()> {
    GATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a write waits for somebody who reads.
const BUSY: Duration = Duration::from_secs(10);

/// The state of one cluster.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    /// None for one that only reads.
    lock: Option<Lock>,
    cluster: String,
    lineage: String,
    serial: u64,
    tip: Tip,
    pins: Pins,
}

impl Store {
    /// Opens the state of `cluster` for this process alone, and makes it where there is none.
    /// `command` names this process to others, `quorate apply`.
    ///
    /// # Errors
    /// If another process has it; if it is the state of another cluster, of a newer version, or
    /// damaged: then nothing is changed; or if the directory cannot be used.
    pub fn open(dir: &Path, cluster: &str, command: &str) -> Result<Self, StoreError> {
        let lock = Self::prepare(dir, command)?;
        let path = dir.join(NAME);
        if !path
            .try_exists()
            .map_err(|e| StoreError::io(&path, "look for", e))?
        {
            create(dir, &schema::Birth::of(cluster))?;
        }
        let store = Self::of_file(path, Some(lock))?;
        if store.cluster != cluster {
            return Err(StoreError::OtherCluster {
                path: store.path.clone(),
                found: store.cluster.clone(),
                wanted: cluster.to_owned(),
            });
        }
        Ok(store)
    }

    /// Opens what is there for reading, whoever writes meanwhile. A state of an older version is
    /// brought up to date first, for which nobody else may have it.
    ///
    /// # Errors
    /// If there is no state, or as with [`Self::open`].
    pub fn view(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(NAME);
        if !path
            .try_exists()
            .map_err(|e| StoreError::io(&path, "look for", e))?
        {
            return Err(StoreError::Absent { path });
        }
        if schema::version_of(&path)? < schema::VERSION {
            let lock = Self::prepare(dir, "quorate state")?;
            drop(Self::of_file(path.clone(), Some(lock))?);
        }
        Self::of_file(path, None)
    }

    /// A directory that can hold a state, locked.
    fn prepare(dir: &Path, command: &str) -> Result<Lock, StoreError> {
        let io = |error| StoreError::io(dir, "make", error);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(io)?;
        let mode = fs::metadata(dir).map_err(io)?.permissions().mode();
        if mode & 0o022 != 0 {
            let path = dir.to_owned();
            return Err(StoreError::TooOpen { path });
        }
        Ok(Lock::take(dir, command)?)
    }

    fn of_file(path: PathBuf, lock: Option<Lock>) -> Result<Self, StoreError> {
        schema::version_of(&path)?;
        if lock.is_some() {
            fs::set_permissions(&path, Permissions::from_mode(0o600))
                .map_err(|e| StoreError::io(&path, "close to others", e))?;
        }
        let mut connection = connect(&path, lock.is_some())?;
        schema::verify(&connection, &path)?;
        if lock.is_some() {
            schema::migrate(&mut connection, &path)?;
        }
        let meta = schema::Meta::read(&connection, &path)?;
        let tip = journal::verify(&connection, &path, &meta)?;
        journal::fits(&connection, &path)?;
        let mut store = Self {
            connection,
            path,
            lock,
            cluster: meta.cluster,
            lineage: meta.lineage,
            serial: meta.serial,
            tip,
            pins: Pins::default(),
        };
        store.pins = Pins::of(&store.inventory()?);
        Ok(store)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose state it is.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Random, drawn once, kept by export and import: what has another is not the same state.
    #[must_use]
    pub fn lineage(&self) -> &str {
        &self.lineage
    }

    /// Rises with each write.
    #[must_use]
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// What the process that has it said it does; empty for one that only reads.
    #[must_use]
    pub fn command(&self) -> &str {
        let lock = self.lock.as_ref();
        lock.map_or("", |lock| lock.holder().command.as_str())
    }

    /// Makes entries durable, all or none.
    ///
    /// # Errors
    /// If they cannot be written, or somebody else has written since.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        self.write("append to the journal of", |writing| {
            writing.append(entries)
        })
    }

    /// Everything in the journal, in order.
    ///
    /// # Errors
    /// If it cannot be read, or is damaged.
    pub fn journal(&self) -> Result<Vec<Entry>, StoreError> {
        journal::read(&self.connection, &self.path)
    }

    /// One write transaction: durable when this returns, or nothing of it happened.
    pub(crate) fn write<T>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&mut Writing<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let lock = self.lock.as_ref();
        let lock = lock.expect("only who has the lock writes: a store that was opened to read");
        if !lock.guards() {
            return Err(StoreError::Overtaken {
                path: self.path.clone(),
            });
        }
        let at = At::new(&self.path, doing);
        let _gate = gate();
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|e| at.sql(e))?;
        let meta = schema::Meta::read(&transaction, &self.path)?;
        if (meta.serial, &meta.lineage) != (self.serial, &self.lineage) {
            return Err(StoreError::Overtaken {
                path: self.path.clone(),
            });
        }
        let mut writing = Writing {
            transaction,
            at,
            tip: self.tip,
            lineage: self.lineage.clone(),
            serial: self.serial + 1,
            pins: &self.pins,
        };
        let result = work(&mut writing)?;
        writing.put_fresh_pins()?;
        let Writing {
            transaction,
            tip,
            lineage,
            serial,
            ..
        } = writing;
        schema::stamp(&transaction, &lineage, serial, tip).map_err(|e| at.sql(e))?;
        transaction.commit().map_err(|e| at.sql(e))?;
        (self.tip, self.lineage, self.serial) = (tip, lineage, serial);
        Ok(result)
    }
}

/// A write transaction under way.
pub(crate) struct Writing<'a> {
    transaction: Transaction<'a>,
    at: At<'a>,
    tip: Tip,
    lineage: String,
    serial: u64,
    pins: &'a Pins,
}

impl Writing<'_> {
    /// Runs one statement.
    pub(crate) fn run(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<usize, StoreError> {
        let mut statement = self
            .transaction
            .prepare_cached(sql)
            .map_err(|e| self.at.sql(e))?;
        statement.execute(values).map_err(|e| self.at.sql(e))
    }

    /// The one row that a question has for an answer, if it has one.
    fn ask<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        row: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let ask = self.transaction.prepare_cached(sql);
        let answer = ask.and_then(|mut ask| ask.query_row(values, row).optional());
        answer.map_err(|e| self.at.sql(e))
    }
}

/// Makes the file beside its place and moves it there: half a state is never seen under its name.
fn create(dir: &Path, birth: &schema::Birth) -> Result<(), StoreError> {
    let (path, fresh) = (dir.join(NAME), dir.join("state.db.new"));
    let io = |error| StoreError::io(&path, "make", error);
    for leftover in [fresh.clone(), dir.join("state.db.new-journal")] {
        match fs::remove_file(&leftover) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
            Ok(()) | Err(_) => {}
        }
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh);
    drop(file.map_err(io)?);
    let mut connection = connect(&fresh, true)?;
    schema::found(&mut connection, &fresh, birth)?;
    drop(connection);
    fs::rename(&fresh, &path).map_err(io)?;
    fs::File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(io)
}

fn connect(path: &Path, writes: bool) -> Result<Connection, StoreError> {
    let at = At::new(path, "open");
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        let foreign = "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;";
        connection.execute_batch(foreign)?;
        connection.execute_batch(if writes {
            "PRAGMA synchronous = EXTRA; PRAGMA fullfsync = ON;"
        } else {
            // Reading may still have to take back what a dead process left half done.
            "PRAGMA query_only = ON;"
        })?;
        Ok(connection)
    };
    open().map_err(|error| at.sql(error))
}

/// 64 random bits of the operating system: for seeds and for a cluster's identity.
///
/// # Panics
/// If the operating system has no entropy to give: nothing can be made safely then.
#[must_use]
pub fn draw() -> u64 {
    getrandom::u64().expect("the operating system gives entropy")
}
