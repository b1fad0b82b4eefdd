//! The file in a directory of this machine.

use super::store::NAME;
use quorate_engine::seam::{Fault, FaultClass};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A directory of this machine.
#[derive(Debug, Clone)]
pub(super) struct Near {
    directory: PathBuf,
}

/// Held while the file is read and replaced. The kernel lets go of it for a process that died.
pub(super) struct Lock(#[expect(dead_code, reason = "held, not looked at")] fs::File);

impl Near {
    pub(super) fn new(directory: &str) -> Self {
        Self {
            directory: PathBuf::from(directory),
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.join(NAME)
    }

    pub(super) fn lock(&self) -> Result<Lock, Fault> {
        let path = self.directory.join(".zones.lock");
        let lock = fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let lock = lock.map_err(|error| trouble(&path, &error))?;
        lock.lock().map_err(|error| trouble(&path, &error))?;
        Ok(Lock(lock))
    }

    /// Its bytes; none where there is no file yet.
    pub(super) fn read(&self) -> Result<Vec<u8>, Fault> {
        let path = self.path();
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.directory.is_dir() => {
                Ok(Vec::new())
            }
            read => read.map_err(|error| trouble(&path, &error)),
        }
    }

    /// Puts a new file in the old one's place, and lets go of the lock.
    pub(super) fn write(&self, text: &[u8], lock: Lock) -> Result<(), Fault> {
        let path = self.path();
        let replaced = replaced(&self.directory, &path, text);
        drop(lock);
        replaced.map_err(|error| trouble(&path, &error))
    }
}

fn replaced(directory: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    let beside = directory.join(".zones.json.new");
    let mut new = fs::File::create(&beside)?;
    new.write_all(text)?;
    new.sync_all()?;
    fs::rename(&beside, path)?;
    // The name is durable only with the directory.
    fs::File::open(directory)?.sync_all()
}

fn trouble(path: &Path, error: &io::Error) -> Fault {
    let class = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => FaultClass::Auth,
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FaultClass::Invalid,
        _ => FaultClass::Retryable,
    };
    Fault::new(class, format!("{}: {error}", path.display()))
}
