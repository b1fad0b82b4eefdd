//! Snapshots of etcd: taken through the gateway, checked, written whole or not at all.
//!
//! The stream is JSON, one object a line, each with a piece of the database in base64; the last
//! piece is the SHA-256 of all before it, which `etcdctl snapshot restore` checks, too. So the file
//! is what `etcdctl snapshot save` would write.

use super::shelf::{SUM, Snapshots, name};
use super::{Gateway, LOOK, Refusal};
use crate::Access;
use crate::access::Addresses;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::jiff::Timestamp;
use quorate_engine::seam::{Fault, FaultClass};
use quorate_hosts::Runner;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// 8 GB, which etcd calls its largest, at 70 MB/s; whoever waits has a shorter time of their own.
const WHOLE: Duration = Duration::from_secs(120);
/// A line carries 32 kB; one that never ends is no snapshot.
const LINE_MOST: usize = 4 << 20;

/// A snapshot that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Where it is.
    pub path: PathBuf,
    /// etcd's revision just before it was taken: it has at least this one.
    pub revision: u64,
    /// Bytes.
    pub bytes: u64,
}

impl<R: Runner> Access<R> {
    /// Takes a snapshot into a folder.
    ///
    /// # Errors
    /// `Retryable`: nobody answers, or the snapshot is damaged. `Invalid`: it cannot be written.
    pub async fn snapshot(&self, addresses: &Addresses, to: &Snapshots) -> Result<Snapshot, Fault> {
        let way = self.way(addresses, None).await?;
        let gateway = self.own_member(&way, addresses).await?;
        take(&gateway, self.cluster(), to).await
    }

    /// What goes before every change of membership, where a folder is set.
    pub(super) async fn snapshot_before(&self, gateway: &Gateway) -> Result<(), Fault> {
        match &self.snapshots {
            Some(to) => take(gateway, self.cluster(), to).await.map(drop),
            None => Ok(()),
        }
    }
}

async fn take(gateway: &Gateway, cluster: &str, to: &Snapshots) -> Result<Snapshot, Fault> {
    let status = gateway.status(LOOK).await.map_err(|e| e.fault(false))?;
    let revision = status.header.revision;
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&to.folder);
    made.map_err(|error| unwritten(&to.folder, &error))?;
    let path = to.folder.join(name(cluster, Timestamp::now(), revision));
    let mut file = Partial::new(&path).map_err(|error| unwritten(&path, &error))?;
    let body = json!({});
    let answer = gateway.open("maintenance/snapshot", &body, WHOLE).await;
    let mut answer = answer.map_err(|e| e.fault(false))?;
    let mut stream = Stream::default();
    loop {
        let chunk = answer.chunk().await;
        let chunk = chunk.map_err(|error| gateway.broken(&error).fault(false))?;
        let Some(chunk) = chunk else { break };
        let pieces = stream.take(&chunk).map_err(|e| e.fault(false))?;
        file.write(&pieces)
            .map_err(|error| unwritten(&path, &error))?;
    }
    stream.end().map_err(|e| e.fault(false))?;
    file.finish().map_err(|error| unwritten(&path, &error))?;
    to.prune(cluster)
        .map_err(|error| unwritten(&to.folder, &error))?;
    Ok(Snapshot {
        path,
        revision,
        bytes: stream.bytes,
    })
}

fn unwritten(path: &Path, error: &io::Error) -> Fault {
    let what = format!(
        "the snapshot of etcd cannot be written to {}: {error}",
        path.display()
    );
    Fault::new(FaultClass::Invalid, what)
}

/// A file that is there whole, or not at all.
struct Partial {
    file: fs::File,
    partial: PathBuf,
    path: PathBuf,
    done: bool,
}

impl Partial {
    fn new(path: &Path) -> io::Result<Self> {
        let partial = path.with_extension(format!("partial-{}", std::process::id()));
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)?;
        Ok(Self {
            file,
            partial,
            path: path.to_owned(),
            done: false,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn finish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.partial, &self.path)?;
        self.done = true;
        let folder = self.path.parent().expect("a file is in a folder");
        fs::File::open(folder)?.sync_all()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.done {
            // Nobody takes it for a snapshot; what cannot be removed only takes up room.
            drop(fs::remove_file(&self.partial));
        }
    }
}

/// The stream's pieces, and the sum of all but the last 32 bytes.
#[derive(Default)]
struct Stream {
    line: Vec<u8>,
    sum: Sha256,
    tail: Vec<u8>,
    bytes: u64,
}

#[derive(Deserialize)]
struct Piece {
    #[serde(default)]
    result: Option<Blob>,
    #[serde(default)]
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Blob {
    #[serde(default)]
    blob: String,
}

impl Stream {
    /// Gives the bytes of the database that are whole by now.
    fn take(&mut self, chunk: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut bytes = Vec::new();
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                bytes.extend(self.piece(&line)?);
            } else if self.line.len() > LINE_MOST {
                return Err(damaged("a line without an end"));
            }
        }
        Ok(bytes)
    }

    fn piece(&mut self, line: &[u8]) -> Result<Vec<u8>, Refusal> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(Vec::new());
        }
        let piece: Piece = serde_json::from_slice(line).map_err(|_| damaged("it is no JSON"))?;
        if let Some(error) = piece.error {
            let words = error.get("message").and_then(|words| words.as_str());
            return Err(damaged(words.unwrap_or("etcd broke off")));
        }
        let blob = piece.result.map(|result| result.blob).unwrap_or_default();
        let bytes = STANDARD
            .decode(blob)
            .map_err(|_| damaged("it is no base64"))?;
        self.bytes += bytes.len() as u64;
        self.tail.extend_from_slice(&bytes);
        let body = self.tail.len().saturating_sub(SUM);
        self.sum.update(&self.tail[..body]);
        self.tail.drain(..body);
        Ok(bytes)
    }

    fn end(&mut self) -> Result<(), Refusal> {
        if !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            return Err(damaged(&format!(
                "it breaks off after {} bytes of a line",
                line.len()
            )));
        }
        let sum = std::mem::take(&mut self.sum).finalize();
        if self.bytes <= SUM as u64 || self.tail != sum.as_slice() {
            return Err(damaged("its sum does not fit"));
        }
        Ok(())
    }
}

fn damaged(why: &str) -> Refusal {
    Refusal::NoAnswer(format!("the snapshot is damaged: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<u8> {
        let line = |piece: &&[u8]| {
            let blob = STANDARD.encode(piece);
            format!(
                "{}\n",
                json!({"result": {"remaining_bytes": "1", "blob": blob}})
            )
        };
        pieces.iter().map(line).collect::<String>().into_bytes()
    }

    fn read(text: &[u8], chunk: usize) -> Result<Vec<u8>, Refusal> {
        let mut stream = Stream::default();
        let mut all = Vec::new();
        for chunk in text.chunks(chunk) {
            all.extend(stream.take(chunk)?);
        }
        stream.end()?;
        Ok(all)
    }

    #[test]
    fn a_snapshot_is_whole_however_it_comes() {
        let (a, b) = ([7_u8; 700], [9_u8; 40]);
        let sum = Sha256::digest([&a[..], &b[..]].concat());
        let text = lines(&[&a, &b, &sum[..5], &sum[5..]]);
        let whole = [&a[..], &b[..], &sum[..]].concat();
        for chunk in [1, 7, 100, 10_000] {
            assert_eq!(read(&text, chunk).as_ref(), Ok(&whole), "by {chunk}");
        }
    }

    #[test]
    fn damage_is_noticed() {
        let body = [7_u8; 700];
        let sum = Sha256::digest(body);
        let mut other = body;
        other[3] ^= 1;
        let whole = lines(&[&body, &sum]);
        assert!(read(&whole, 64).is_ok());
        assert!(read(&lines(&[&other, &sum]), 64).is_err(), "a bit");
        assert!(read(&lines(&[&body]), 64).is_err(), "the sum is missing");
        assert!(read(&lines(&[&sum]), 64).is_err(), "nothing but a sum");
        assert!(read(&whole[..whole.len() - 9], 64).is_err(), "half a line");
        let broken = b"{\"error\":{\"grpc_code\":14,\"message\":\"etcdserver: stopped\"}}\n";
        let refusal = read(broken, 64).unwrap_err();
        assert!(
            refusal.to_string().contains("etcdserver: stopped"),
            "{refusal}"
        );
    }
}
