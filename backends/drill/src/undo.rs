//! The list of what is still to be undone: on disk before a fault begins, so that whoever comes
//! next knows of it, even after SIGKILL.
//!
//! One line of JSON for each promise and for each that was kept. A line that was not finished
//! stands for a fault that never began. Empty when nothing is left to undo. One drill at a time
//! holds it.

use crate::act::Undo;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// The list's name in the state directory of a cluster.
const NAME: &str = "drill-undo.jsonl";

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Promise { number: u64, undo: Undo },
    Kept { kept: u64 },
}

/// Why the list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// Another drill is under way.
    #[error("{path}: another drill is under way on this cluster", path = path.display())]
    Held {
        /// The list.
        path: PathBuf,
    },
    /// A line is none of ours.
    #[error("{path}, line {line}: {why}; nothing was undone", path = path.display())]
    Unreadable {
        /// The list.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// The disk fails.
    #[error("{path}: {source}", path = path.display())]
    Disk {
        /// The list.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
}

/// What is still to be undone.
#[derive(Debug)]
pub struct Undoing {
    path: PathBuf,
    file: File,
    open: BTreeMap<u64, Undo>,
    next: u64,
}

impl Undoing {
    /// Opens the list of a state directory, which must exist, for ourselves.
    ///
    /// # Errors
    /// See [`ListError`].
    pub fn open(state: &Path) -> Result<Self, ListError> {
        let path = state.join(NAME);
        let disk = |source| ListError::Disk {
            path: path.clone(),
            source,
        };
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        let mut file = options.open(&path).map_err(disk)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ListError::Held { path }),
            Err(TryLockError::Error(source)) => return Err(disk(source)),
        }
        // The name must survive, too.
        File::open(state)
            .and_then(|dir| dir.sync_all())
            .map_err(disk)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(disk)?;
        let (open, next) = read(&path, &text)?;
        if !text.is_empty() && !text.ends_with('\n') {
            // What comes next must not be glued to the half line.
            file.write_all(b"\n").map_err(disk)?;
        }
        Ok(Self {
            path,
            file,
            open,
            next,
        })
    }

    /// What is still to be undone, the latest first.
    #[must_use]
    pub fn open_promises(&self) -> Vec<(u64, Undo)> {
        let all = self.open.iter().rev();
        all.map(|(number, undo)| (*number, undo.clone())).collect()
    }

    /// Promises to undo something; it is durable when this returns.
    ///
    /// # Errors
    /// If it is not: then the fault must not begin.
    pub fn promise(&mut self, undo: &Undo) -> Result<u64, ListError> {
        let number = self.next;
        self.write(&Line::Promise {
            number,
            undo: undo.clone(),
        })?;
        self.next += 1;
        self.open.insert(number, undo.clone());
        Ok(number)
    }

    /// A promise was kept.
    ///
    /// # Errors
    /// If that cannot be written: it will be undone once more, which does no harm.
    ///
    /// # Panics
    /// If there was no such promise.
    pub fn kept(&mut self, number: u64) -> Result<(), ListError> {
        assert!(self.open.contains_key(&number), "{number} was promised");
        self.write(&Line::Kept { kept: number })?;
        self.open.remove(&number);
        if self.open.is_empty() {
            let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
            emptied.map_err(|source| self.disk(source))?;
        }
        Ok(())
    }

    fn write(&mut self, line: &Line) -> Result<(), ListError> {
        let mut text = serde_json::to_string(line).expect("a promise is plain data");
        text.push('\n');
        let written = self.file.write_all(text.as_bytes());
        let written = written.and_then(|()| self.file.sync_all());
        written.map_err(|source| self.disk(source))
    }

    fn disk(&self, source: io::Error) -> ListError {
        ListError::Disk {
            path: self.path.clone(),
            source,
        }
    }
}

fn read(path: &Path, text: &str) -> Result<(BTreeMap<u64, Undo>, u64), ListError> {
    let mut open = BTreeMap::new();
    let mut next = 0;
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    for (index, line) in text[..whole].lines().enumerate() {
        match serde_json::from_str(line) {
            Ok(Line::Promise { number, undo }) => {
                next = next.max(number + 1);
                open.insert(number, undo);
            }
            Ok(Line::Kept { kept }) => {
                open.remove(&kept);
            }
            // Half a promise, ended by whoever opened the list after that crash.
            Err(error) if error.is_eof() => {}
            Err(error) => {
                return Err(ListError::Unreadable {
                    path: path.to_owned(),
                    line: index + 1,
                    why: error.to_string(),
                });
            }
        }
    }
    Ok((open, next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::{Domain, Process};
    use std::process::{Command, Stdio};

    fn start(name: &str) -> Undo {
        Undo::Start(Domain {
            uri: "lxc:///".to_owned(),
            name: name.to_owned(),
            container: true,
        })
    }

    #[test]
    fn promises_are_open_until_kept_and_the_latest_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let mut list = Undoing::open(dir.path()).unwrap();
        let first = list.promise(&start("a")).unwrap();
        let second = list.promise(&start("b")).unwrap();
        drop(list);
        let mut list = Undoing::open(dir.path()).unwrap();
        let both = vec![(second, start("b")), (first, start("a"))];
        assert_eq!(list.open_promises(), both);
        list.kept(second).unwrap();
        drop(list);
        let mut list = Undoing::open(dir.path()).unwrap();
        assert_eq!(list.open_promises(), [(first, start("a"))]);
        list.kept(first).unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join(NAME)).unwrap(), "");
        let third = list.promise(&start("c")).unwrap();
        assert!(third > second, "numbers are not given twice");
    }

    #[test]
    fn half_a_promise_stands_for_a_fault_that_never_began() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        let mut list = Undoing::open(dir.path()).unwrap();
        list.promise(&start("a")).unwrap();
        drop(list);
        let whole = std::fs::read_to_string(&path).unwrap();
        for length in 1..whole.len() - 1 {
            std::fs::write(&path, format!("{whole}{}", &whole[..length])).unwrap();
            let mut list = Undoing::open(dir.path()).unwrap();
            assert_eq!(list.open_promises(), [(0, start("a"))]);
            list.promise(&start("b")).unwrap();
            drop(list);
            let list = Undoing::open(dir.path()).unwrap();
            assert_eq!(list.open_promises().len(), 2, "after {length} bytes");
        }
        std::fs::write(&path, "{\"number\":1}\n").unwrap();
        let error = Undoing::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
    }

    #[test]
    fn one_drill_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let _held = Undoing::open(dir.path()).unwrap();
        let refused = Undoing::open(dir.path()).unwrap_err();
        assert!(matches!(refused, ListError::Held { .. }), "{refused}");
    }

    /// Not a test of its own: the process that the next one kills.
    #[test]
    fn promises_and_waits() {
        let Some(dir) = std::env::var_os("QDRILL_PROMISES_IN") else {
            return;
        };
        let mut list = Undoing::open(Path::new(&dir)).unwrap();
        let undo = Undo::Thaw(Process { pid: 1, began: 2 });
        list.promise(&undo).unwrap();
        std::fs::write(Path::new(&dir).join("struck"), "").unwrap();
        std::thread::sleep(std::time::Duration::from_secs(60));
    }

    #[test]
    fn a_promise_survives_sigkill() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "undo::tests::promises_and_waits"])
            .env("QDRILL_PROMISES_IN", dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let struck = dir.path().join("struck");
        for _ in 0..600 {
            if struck.exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert!(struck.exists(), "the fault began");
        child.kill().unwrap();
        child.wait().unwrap();
        let list = Undoing::open(dir.path()).unwrap();
        let undo = Undo::Thaw(Process { pid: 1, began: 2 });
        assert_eq!(list.open_promises(), [(0, undo)]);
    }
}
