//! The lock of a state directory: one process at a time, and never a dead one.
//!
//! The operating system holds it for the process (`flock`), so it ends with the process however
//! that ends; SIGKILL and a power cut included. What stands in the file is for people only. Does
//! not know what is in the directory.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The name of the file in the state directory.
const NAME: &str = "lock";

/// Who holds a lock, in its own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// What it does, `quorate apply`.
    pub command: String,
    /// Since when, in seconds since the Unix epoch.
    pub since_s: u64,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ago = unix_s().saturating_sub(self.since_s);
        let Self { pid, command, .. } = self;
        write!(f, "process {pid} (`{command}`, for {ago} s)")
    }
}

/// Why a lock is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error(
        "{path} is in use by {}: wait until it ends, or stop it (it finishes what it began)",
        name(.holder)
    )]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Who; none if it does not say.
        holder: Option<Holder>,
    },
    /// The file cannot be opened or locked.
    #[error(
        "{path} cannot be locked: {source}; is the file system writable, and does it do locks?"
    )]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn name(holder: &Option<Holder>) -> String {
    let unknown = || "another process".to_owned();
    holder.as_ref().map_or_else(unknown, ToString::to_string)
}

/// A lock that is held: until it is dropped, or the process dies.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
    holder: Holder,
}

impl Lock {
    /// Takes the lock of a directory that exists, at once or not at all. `command` is what people
    /// read who find it taken: without arguments, so that none of them leaks.
    ///
    /// # Errors
    /// If another process holds it, or the file cannot be had.
    pub fn take(dir: &Path, command: &str) -> Result<Self, LockError> {
        let path = dir.join(NAME);
        let wrong = |source| LockError::Io {
            path: path.clone(),
            source,
        };
        let mut file = open(&path).map_err(wrong)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = read(&mut file);
                return Err(LockError::Held { path, holder });
            }
            Err(TryLockError::Error(source)) => return Err(LockError::Io { path, source }),
        }
        let holder = Holder {
            pid: std::process::id(),
            command: command.to_owned(),
            since_s: unix_s(),
        };
        let text = serde_json::to_string(&holder).expect("a holder is plain data");
        let lock = Self { path, file, holder };
        if !lock.guards() {
            // Between opening and locking somebody forced the lock open: the file is another now.
            return Self::take(dir, command);
        }
        let mut lock = lock;
        let written = write(&mut lock.file, &text);
        written.map_err(|source| LockError::Io {
            path: lock.path.clone(),
            source,
        })?;
        Ok(lock)
    }

    /// What its holder says of itself.
    #[must_use]
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Whether it still guards the directory: not if somebody forced the lock open.
    #[must_use]
    pub fn guards(&self) -> bool {
        let inode = |of: io::Result<fs::Metadata>| of.map(|of| (of.dev(), of.ino())).ok();
        let own = inode(self.file.metadata());
        own.is_some() && own == inode(fs::metadata(&self.path))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Only for people: the lock itself goes with the file.
        let _ = self.file.set_len(0);
    }
}

/// What came of an attempt to unlock a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unlocked {
    /// Nobody holds it. The last holder, if it did not end in order.
    Free(Option<Holder>),
    /// Somebody holds it, and the directory has a new lock all the same. Nothing was killed; the
    /// old holder is refused at its next write.
    Forced(Option<Holder>),
}

impl fmt::Display for Unlocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free(None) => f.write_str("nobody holds the lock: there is nothing to unlock"),
            Self::Free(Some(holder)) => write!(
                f,
                "nobody holds the lock: {} died with it, and the system released it; the next \
                 command goes on where that one stopped",
                name(&Some(holder.clone()))
            ),
            Self::Forced(holder) => write!(
                f,
                "the lock was taken from {}. It was not stopped and may still be changing \
                 machines; it can write no more to the state. Stop it before you begin anything",
                name(holder)
            ),
        }
    }
}

/// Unlocks a directory. Where the holder is dead there is nothing to do, and the answer says so.
/// A living holder is refused, unless forced: then the lock file is set aside, so that others can
/// go on, and the store refuses the old holder's next write.
///
/// # Errors
/// If a living process holds the lock and `force` is not given, or the file cannot be had.
pub fn unlock(dir: &Path, force: bool) -> Result<Unlocked, LockError> {
    let path = dir.join(NAME);
    let wrong = |source| LockError::Io {
        path: path.clone(),
        source,
    };
    let mut file = match OpenOptions::new().read(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Unlocked::Free(None)),
        Err(source) => return Err(wrong(source)),
    };
    match file.try_lock() {
        Ok(()) => Ok(Unlocked::Free(read(&mut file))),
        Err(TryLockError::WouldBlock) => {
            let holder = read(&mut file);
            if !force {
                return Err(LockError::Held { path, holder });
            }
            fs::remove_file(&path).map_err(wrong)?;
            Ok(Unlocked::Forced(holder))
        }
        Err(TryLockError::Error(source)) => Err(wrong(source)),
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn write(file: &mut File, text: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.flush()
}

fn unix_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_who_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path(), "quorate apply").unwrap();
        let Err(LockError::Held { holder, .. }) = Lock::take(dir.path(), "quorate plan") else {
            panic!("it is taken");
        };
        assert_eq!(holder.as_ref(), Some(first.holder()));
        let told = Lock::take(dir.path(), "x").unwrap_err().to_string();
        let pid = std::process::id().to_string();
        assert!(
            told.contains("quorate apply") && told.contains(&pid),
            "{told}"
        );
        drop(first);
        Lock::take(dir.path(), "quorate plan").expect("it was given back");
    }

    #[test]
    fn there_is_nothing_to_unlock_unless_somebody_lives() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(unlock(dir.path(), false).unwrap(), Unlocked::Free(None));
        let lock = Lock::take(dir.path(), "quorate apply").unwrap();
        assert!(matches!(
            unlock(dir.path(), false),
            Err(LockError::Held { .. })
        ));
        assert!(lock.guards(), "a refused attempt changes nothing");
        let forced = unlock(dir.path(), true).unwrap();
        assert_eq!(forced, Unlocked::Forced(Some(lock.holder().clone())));
        assert!(forced.to_string().contains("not stopped"), "{forced}");
        assert!(!lock.guards());
        let second = Lock::take(dir.path(), "quorate destroy").unwrap();
        drop(lock);
        assert!(
            second.guards(),
            "the old one's end does not touch the new one"
        );
        assert_eq!(
            read(&mut open(&dir.path().join(NAME)).unwrap()),
            Some(second.holder().clone())
        );
        drop(second);
        assert_eq!(unlock(dir.path(), false).unwrap(), Unlocked::Free(None));
    }
}
