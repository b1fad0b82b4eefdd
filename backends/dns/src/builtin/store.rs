//! The file: read, held, and replaced as a whole, wherever it is.

use super::far::Far;
use super::near::{Lock, Near};
use crate::config::File;
use quorate_engine::diagnostic::Diagnostic;
use quorate_engine::document;
use quorate_engine::seam::{Fault, FaultClass};
use std::fmt;

/// What name servers read.
pub(super) const NAME: &str = "zones.json";

/// Where the file is.
#[derive(Debug, Clone)]
pub(super) enum Store {
    Near(Near),
    Far(Far),
}

/// The file as it is, and what keeps others from changing it before we do.
pub(super) struct Held {
    pub(super) file: File,
    seal: Seal,
}

enum Seal {
    /// Nobody else writes while we hold it.
    Lock(Lock),
    /// Written only over these bytes.
    Unchanged(Vec<u8>),
}

impl Store {
    /// From an endpoint: a directory, or `ssh://user@host/directory`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(endpoint: &str) -> Result<Self, String> {
        Ok(match endpoint.strip_prefix("ssh://") {
            Some(rest) => Self::Far(Far::parse(rest)?),
            None => Self::Near(Near::new(endpoint)),
        })
    }

    /// What the file says; nothing where there is none.
    pub(super) fn read(&self) -> Result<File, Fault> {
        self.parsed(&self.bytes()?)
    }

    pub(super) fn hold(&self) -> Result<Held, Fault> {
        let (bytes, seal) = match self {
            Self::Near(near) => {
                let lock = near.lock()?;
                (near.read()?, Seal::Lock(lock))
            }
            Self::Far(far) => {
                let bytes = far.read()?;
                (bytes.clone(), Seal::Unchanged(bytes))
            }
        };
        let file = self.parsed(&bytes)?;
        Ok(Held { file, seal })
    }

    /// Puts what is held in the old one's place.
    pub(super) fn write(&self, held: Held) -> Result<(), Fault> {
        let mut text = serde_json::to_vec_pretty(&held.file).expect("a file is plain data");
        text.push(b'\n');
        match (self, held.seal) {
            (Self::Near(near), Seal::Lock(lock)) => near.write(&text, lock),
            (Self::Far(far), Seal::Unchanged(before)) => far.write(&text, &before),
            (Self::Near(_), Seal::Unchanged(_)) | (Self::Far(_), Seal::Lock(_)) => {
                unreachable!("what is held came from here")
            }
        }
    }

    /// Whether the directory is there and may be written in.
    pub(super) fn writable(&self) -> Result<(), Fault> {
        match self {
            Self::Near(near) => near.lock().map(drop),
            Self::Far(far) => far.writable(),
        }
    }

    fn bytes(&self) -> Result<Vec<u8>, Fault> {
        match self {
            Self::Near(near) => near.read(),
            Self::Far(far) => far.read(),
        }
    }

    fn parsed(&self, bytes: &[u8]) -> Result<File, Fault> {
        if bytes.is_empty() {
            return Ok(File::default());
        }
        let wrong = |all: Vec<Diagnostic>| {
            let first = all
                .first()
                .map_or("", |first| first.finding.message.as_str());
            Fault::new(FaultClass::Invalid, format!("{self} is wrong: {first}"))
        };
        document::read::<File>(bytes, &[])
            .map(|read| read.value)
            .map_err(wrong)
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Near(near) => write!(f, "{}", near.path().display()),
            Self::Far(far) => write!(f, "{far}/{NAME}"),
        }
    }
}
