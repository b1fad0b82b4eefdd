//! A restoration from its decision to its end: what was decided, and how far it has come.
//!
//! It stands in one file that is replaced whole, after every step that is done. Whoever comes after
//! a crash reads it and goes on: the step under way is done again, which changes nothing.

use super::restore::{RestoreStep, Source, restore_plan};
use quorate_engine::resource::ResourceId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// What was decided, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recovery {
    /// Tells it from all others, on machines, too.
    pub id: String,
    /// Of which cluster.
    pub cluster: String,
    /// Where the data come from.
    pub source: Source,
    /// Their revision, where it is known.
    pub revision: Option<u64>,
    /// The machine that begins anew.
    pub onto: ResourceId,
    /// All control planes that take part, with their addresses in the mesh.
    pub planes: BTreeMap<ResourceId, Ipv4Addr>,
    /// Control planes that were not reached, and that somebody has said never come back.
    pub gone: Vec<ResourceId>,
    /// So many steps are done.
    pub done: usize,
}

impl Recovery {
    /// Its steps, the same at any time.
    #[must_use]
    pub fn steps(&self) -> Vec<RestoreStep> {
        let planes: Vec<_> = self.planes.keys().cloned().collect();
        restore_plan(&self.source, &self.onto, &planes)
    }

    /// Where the one under way stands, beside a cluster's state.
    #[must_use]
    pub fn file(state: &Path) -> PathBuf {
        state.join("restore.json")
    }

    /// The one that is under way, if there is one.
    ///
    /// # Errors
    /// The file cannot be read, or is none.
    pub fn under_way(state: &Path) -> io::Result<Option<Self>> {
        match fs::read(Self::file(state)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes it durable as it is now.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, state: &Path) -> io::Result<()> {
        let path = Self::file(state);
        let beside = path.with_extension("json.new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        fs::File::open(state)?.sync_all()
    }

    /// One step more is done.
    ///
    /// # Errors
    /// It cannot be written; then it is done again.
    ///
    /// # Panics
    /// If all were done before.
    pub fn advance(&mut self, state: &Path) -> io::Result<()> {
        assert!(self.done < self.steps().len(), "a step was left");
        self.done += 1;
        self.save(state)
    }

    /// It is over: the record stays under another name, which is returned.
    ///
    /// # Errors
    /// It cannot be renamed.
    ///
    /// # Panics
    /// If steps are left.
    pub fn close(&self, state: &Path) -> io::Result<PathBuf> {
        assert_eq!(self.done, self.steps().len(), "no step is left");
        let kept = state.join(format!("restored-{}.json", self.id));
        fs::rename(Self::file(state), &kept)?;
        fs::File::open(state)?.sync_all()?;
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::plane;

    #[test]
    fn who_comes_after_a_crash_finds_the_same_steps() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path();
        assert_eq!(Recovery::under_way(state).unwrap(), None);
        let address = |n| Ipv4Addr::new(10, 88, 0, n);
        let mut recovery = Recovery {
            id: "00000000000000ab".to_owned(),
            cluster: "shop".to_owned(),
            source: Source::Snapshot(PathBuf::from("s.db")),
            revision: Some(17),
            onto: plane(2),
            planes: (1..=3).map(|n| (plane(u32::from(n)), address(n))).collect(),
            gone: Vec::new(),
            done: 0,
        };
        recovery.save(state).unwrap();
        let steps = recovery.steps();
        for done in 1..=steps.len() {
            recovery.advance(state).unwrap();
            let found = Recovery::under_way(state).unwrap().unwrap();
            assert_eq!((found.done, found.steps()), (done, steps.clone()));
        }
        let kept = recovery.close(state).unwrap();
        assert!(kept.exists());
        assert_eq!(Recovery::under_way(state).unwrap(), None);
        fs::write(Recovery::file(state), "{").unwrap();
        assert!(
            Recovery::under_way(state).is_err(),
            "half a file is nobody's"
        );
    }
}
