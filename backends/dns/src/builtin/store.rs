//! The file: read, locked, and replaced as a whole.

use crate::config::File;
use quorate_engine::diagnostic::Diagnostic;
use quorate_engine::document;
use quorate_engine::seam::{Fault, FaultClass};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// What name servers read.
const NAME: &str = "zones.json";

/// Where the file is.
#[derive(Debug, Clone)]
pub(super) struct Store {
    directory: PathBuf,
}

/// Held while the file is read and replaced. The kernel lets go of it for a process that died.
pub(super) struct Lock(#[expect(dead_code, reason = "held, not looked at")] fs::File);

impl Store {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
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

    /// What the file says; nothing where there is none.
    pub(super) fn read(&self) -> Result<File, Fault> {
        let path = self.path();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.directory.is_dir() => {
                return Ok(File::default());
            }
            Err(error) => return Err(trouble(&path, &error)),
        };
        let wrong = |all: Vec<Diagnostic>| {
            let first = all
                .first()
                .map_or("", |first| first.finding.message.as_str());
            let text = format!("{} is wrong: {first}", path.display());
            Fault::new(FaultClass::Invalid, text)
        };
        document::read::<File>(&text, &[])
            .map(|read| read.value)
            .map_err(wrong)
    }

    /// Puts a new file in the old one's place.
    pub(super) fn write(&self, file: &File) -> Result<(), Fault> {
        let path = self.path();
        let replaced = replaced(&self.directory, &path, file);
        replaced.map_err(|error| trouble(&path, &error))
    }

    /// Whether the directory is there and may be written in.
    pub(super) fn writable(&self) -> Result<(), Fault> {
        self.lock().map(drop)
    }
}

fn replaced(directory: &Path, path: &Path, file: &File) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(file).expect("a file is plain data");
    text.push(b'\n');
    let beside = directory.join(".zones.json.new");
    let mut new = fs::File::create(&beside)?;
    new.write_all(&text)?;
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
