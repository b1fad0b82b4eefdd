//! Snapshots that are kept: their names, which of them stay, and whether they are whole.
//!
//! Knows files, and nothing of how a snapshot is taken.

use k8s_openapi::jiff::civil::DateTime;
use k8s_openapi::jiff::tz::TimeZone;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Bytes of the sum at the end.
pub(super) const SUM: usize = 32;

/// Where snapshots are kept.
#[derive(Debug, Clone)]
pub struct Snapshots {
    pub(super) folder: PathBuf,
    keep: usize,
}

impl Snapshots {
    /// In this folder, which is made if need be; the newest `keep` of a cluster stay.
    ///
    /// # Panics
    /// If `keep` is 0.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, keep: usize) -> Self {
        assert!(keep > 0, "a snapshot that is taken is kept");
        Self {
            folder: folder.into(),
            keep,
        }
    }

    /// Where they are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Those of a cluster, the oldest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn of(&self, cluster: &str) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if name.is_some_and(|name| is_of(name, cluster)) {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    /// Those of a cluster with what is known of each, the oldest first. Reads all of them.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(&self, cluster: &str) -> io::Result<Vec<Stored>> {
        let all = self.of(cluster)?;
        Ok(all
            .into_iter()
            .map(|path| Stored::of(cluster, path))
            .collect())
    }

    /// When the newest was taken, by its name; none: there is none.
    ///
    /// # Errors
    /// The folder cannot be read; one that does not exist is empty.
    pub fn newest(&self, cluster: &str) -> io::Result<Option<Timestamp>> {
        match self.of(cluster) {
            Ok(all) => Ok(all
                .last()
                .and_then(|path| parts(file_name(path), cluster))
                .map(|p| p.0)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes the oldest beyond those that stay. Of those that are damaged none counts for good:
    /// where no good one is among those that stay, the newest good one stays, too.
    pub(super) fn prune(&self, cluster: &str) -> io::Result<()> {
        let all = self.of(cluster)?;
        let (old, kept) = all.split_at(all.len().saturating_sub(self.keep));
        if old.is_empty() {
            return Ok(());
        }
        // The newest was just taken, and is good: seldom is more than one read.
        let mut good = kept.iter().rev().any(|path| verified(path).is_ok());
        for path in old.iter().rev() {
            if !good && verified(path).is_ok() {
                good = true;
                continue;
            }
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

/// A snapshot that is kept, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Where it is.
    pub path: PathBuf,
    /// When it was taken.
    pub taken: Timestamp,
    /// etcd's revision just before it was taken.
    pub revision: u64,
    /// Bytes.
    pub bytes: u64,
    /// Why it cannot be used, if so.
    pub damage: Option<String>,
}

impl Stored {
    /// A snapshot that lies anywhere; one that does not have its cluster, time and revision in its
    /// name is as old as its file, and of a revision that nobody knows: 0.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn at(cluster: &str, path: &Path) -> io::Result<Self> {
        let written = fs::metadata(path)?.modified()?;
        if is_of(file_name(path), cluster) {
            return Ok(Self::of(cluster, path.to_owned()));
        }
        let taken = Timestamp::try_from(written).unwrap_or(Timestamp::UNIX_EPOCH);
        Ok(Self::known(path.to_owned(), taken, 0))
    }

    fn of(cluster: &str, path: PathBuf) -> Self {
        let (taken, revision) = parts(file_name(&path), cluster).expect("its name is one of ours");
        Self::known(path, taken, revision)
    }

    fn known(path: PathBuf, taken: Timestamp, revision: u64) -> Self {
        let (bytes, damage) = match verified(&path) {
            Ok(bytes) => (bytes, None),
            Err(why) => (fs::metadata(&path).map_or(0, |file| file.len()), Some(why)),
        };
        Self {
            path,
            taken,
            revision,
            bytes,
            damage,
        }
    }
}

/// Reads a snapshot from end to end, and compares it with the sum at its end: its length in bytes.
///
/// # Errors
/// Why it cannot be used.
pub fn verified(path: &Path) -> Result<u64, String> {
    let unreadable = |error: io::Error| error.to_string();
    let mut file = fs::File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    // etcd's tool knows a snapshot by this: pages of 512 bytes and a sum.
    if length <= SUM as u64 || length % 512 != SUM as u64 {
        return Err(format!("{length} bytes are no database with a sum"));
    }
    let mut sum = Sha256::new();
    let mut body = (&mut file).take(length - SUM as u64);
    io::copy(&mut body, &mut sum).map_err(unreadable)?;
    let mut end = [0; SUM];
    file.read_exact(&mut end).map_err(unreadable)?;
    if sum.finalize().as_slice() == end {
        Ok(length)
    } else {
        Err("its sum does not fit".to_owned())
    }
}

fn file_name(path: &Path) -> &str {
    let name = path.file_name().and_then(|name| name.to_str());
    name.unwrap_or_default()
}

/// `shop-20261122T154400123Z-r17.db`: in the order of names they are in the order of time, to the
/// millisecond.
pub(super) fn name(cluster: &str, at: Timestamp, revision: u64) -> String {
    let (second, ms) = (at.strftime("%Y%m%dT%H%M%S"), at.subsec_millisecond());
    format!("{cluster}-{second}{ms:03}Z-r{revision}.db")
}

fn is_of(name: &str, cluster: &str) -> bool {
    parts(name, cluster).is_some()
}

/// When, and at which revision.
fn parts(name: &str, cluster: &str) -> Option<(Timestamp, u64)> {
    let rest = name.strip_prefix(cluster)?.strip_prefix('-')?;
    let (at, revision) = rest.strip_suffix(".db")?.split_once("Z-r")?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if at.len() != 18 || !at.split('T').all(digits) || !digits(revision) {
        return None;
    }
    let (second, ms) = at.split_at(15);
    let second = DateTime::strptime("%Y%m%dT%H%M%S", second).ok()?;
    let second = second.to_zoned(TimeZone::UTC).ok()?.timestamp();
    let taken = second + SignedDuration::from_millis(ms.parse().ok()?);
    Some((taken, revision.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that etcd's tool would take for a snapshot.
    fn good(path: &Path, fill: u8) {
        let body = [fill; 1024];
        fs::write(path, [&body[..], &Sha256::digest(body)].concat()).unwrap();
    }

    #[test]
    fn a_good_one_always_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |s: i64| Timestamp::from_second(1_790_000_000 + s).unwrap();
        let path = |n: i64| folder.path().join(name("shop", at(n), 7));
        for n in 0..6 {
            good(&path(n), n as u8);
        }
        for n in 2..6 {
            let mut bytes = fs::read(path(n)).unwrap();
            bytes[100] ^= 1;
            fs::write(path(n), &bytes[..]).unwrap();
        }
        let kept = Snapshots::new(folder.path(), 2);
        let state = |kept: &Snapshots| -> Vec<_> {
            let all = kept.list("shop").unwrap();
            all.iter()
                .map(|one| (one.taken, one.damage.is_none()))
                .collect()
        };
        assert_eq!(state(&kept).iter().filter(|(_, good)| *good).count(), 2);
        kept.prune("shop").unwrap();
        let left = [(at(1), true), (at(4), false), (at(5), false)];
        assert_eq!(state(&kept), left, "the newest good one is the second");
        good(&path(6), 6);
        kept.prune("shop").unwrap();
        assert_eq!(state(&kept), [(at(5), false), (at(6), true)]);
        assert_eq!(kept.newest("shop").unwrap(), Some(at(6)));
        let none = Snapshots::new(folder.path().join("none"), 1);
        assert_eq!(none.newest("shop").unwrap(), None);
    }

    #[test]
    fn what_is_no_snapshot_is_said_to_be_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.db");
        good(&path, 3);
        assert_eq!(verified(&path), Ok(1_056));
        let whole = fs::read(&path).unwrap();
        for broken in [&whole[..1_055], &whole[..32], &whole[32..], &[]] {
            fs::write(&path, broken).unwrap();
            assert!(verified(&path).is_err(), "{}", broken.len());
        }
        assert!(verified(&folder.path().join("none")).is_err());
    }

    #[test]
    fn the_newest_stay_and_nothing_else_goes() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str| fs::write(folder.path().join(name), "x").unwrap();
        let at = |s: i64| Timestamp::from_second(1_790_000_000 + s).unwrap();
        for n in 0..5 {
            put(&name("shop", at(n), 100 - n as u64));
        }
        let others = [
            "shop-2-20260101T000000000Z-r1.db",
            "shop-notes.db",
            "mine.txt",
        ];
        others.into_iter().for_each(put);
        let kept = Snapshots::new(folder.path(), 2);
        kept.prune("shop").unwrap();
        let left = kept.of("shop").unwrap();
        let newest = [name("shop", at(3), 97), name("shop", at(4), 96)];
        assert_eq!(left, newest.map(|name| folder.path().join(name)));
        assert!(others.iter().all(|name| folder.path().join(name).exists()));
    }
}
