//! What can be wrong with a state, each with the file and what to do about it.

use crate::lock::LockError;
use rusqlite::ErrorCode;
use std::io;
use std::path::{Path, PathBuf};

/// What is wrong with a state.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is none.
    #[error("there is no state at {path}: `quorate apply` makes one, `--state DIR` names another")]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Others can write in the directory, and so put a state of theirs in place of this one.
    #[error("others can write in {path}: run `chmod go-w {path}`, or give another `--state DIR`")]
    TooOpen {
        /// The directory.
        path: PathBuf,
    },
    /// A file of somebody else.
    #[error("{path} is not a state of Quorate: give another `--state DIR`; nothing was changed")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Written by a newer version.
    #[error(
        "{path} has version {found}, and this program knows {known} and older: use the newer \
         program that wrote it; nothing was changed"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest that is known.
        known: u32,
    },
    /// Damaged.
    #[error(
        "{path} is damaged: {what}. Nothing was changed. Move it away and import an export of it \
         (`quorate state import FILE`)"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The state of another cluster.
    #[error(
        "{path} is the state of the cluster `{found}`, not of `{wanted}`: give another \
         `--state DIR`"
    )]
    OtherCluster {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose was expected.
        wanted: String,
    },
    /// Somebody else wrote, or took the lock: what this process knows is out of date.
    #[error(
        "{path} was taken over by another process while this one ran: nothing more is begun; see \
         what it does, and run this command again afterwards"
    )]
    Overtaken {
        /// The file.
        path: PathBuf,
    },
    /// A document that is to be imported is not one, or is damaged.
    #[error("the document cannot be imported: {0}")]
    Document(String),
    /// A document that is to be imported has another lineage.
    #[error(
        "{path} has the lineage {ours} and the document {theirs}: it is another cluster's or an \
         earlier life's; import it with `--force` only to replace this state by it"
    )]
    Lineage {
        /// The file.
        path: PathBuf,
        /// The file's.
        ours: String,
        /// The document's.
        theirs: String,
    },
    /// A document that is to be imported is older than the state.
    #[error(
        "{path} has the serial {ours} and the document {theirs}: the document is not newer; \
         `--force` goes back to it, and what happened since is forgotten"
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// The file's.
        ours: u64,
        /// The document's.
        theirs: u64,
    },
    /// Another process has it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The file system does not do it.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// SQLite does not do it.
    #[error("cannot {doing} {path}: {source}{}", hint(.source))]
    Sql {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: rusqlite::Error,
    },
}

/// What to do about it, where that is known.
fn hint(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "; make room on that file system and run it again",
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            "; the file and its directory must be writable for you"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "; another program reads it for long: close that"
        }
        Some(_) | None => "",
    }
}

impl StoreError {
    pub(super) fn io(path: &Path, doing: &'static str, source: io::Error) -> Self {
        let path = path.to_owned();
        Self::Io {
            path,
            doing,
            source,
        }
    }

    pub(super) fn corrupt(path: &Path, what: impl Into<String>) -> Self {
        Self::Corrupt {
            path: path.to_owned(),
            what: what.into(),
        }
    }
}

/// Where something happens: for errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    path: &'a Path,
    doing: &'static str,
}

impl<'a> At<'a> {
    pub(super) fn new(path: &'a Path, doing: &'static str) -> Self {
        Self { path, doing }
    }

    pub(super) fn sql(self, source: rusqlite::Error) -> StoreError {
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::corrupt(self.path, source.to_string())
            }
            Some(_) | None => StoreError::Sql {
                path: self.path.to_owned(),
                doing: self.doing,
                source,
            },
        }
    }
}
