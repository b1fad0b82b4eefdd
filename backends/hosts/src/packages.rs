//! Packages of Kubernetes from a directory here, as the compressed tar that nodes get.
//!
//! One for all nodes, made once and only when one asks for it. The digest of the tar tells nodes
//! whether they have it: of what is compressed, so that no other compressor makes it another. Knows
//! neither what is in the files nor how they get onto a machine.

use flate2::Compression;
use flate2::write::GzEncoder;
use quorate_engine::seam::{Fault, FaultClass};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use tokio::sync::Mutex;

/// What is taken of the directory.
const FOLDERS: [&str; 3] = ["bin", "cni", "images"];

/// Programs that no node does without, as `scripts/release.sh` has them.
const PROGRAMS: [&str; 3] = ["bin/kubeadm", "bin/kubelet", "bin/kubectl"];

/// What a directory of packages lacks for sure.
#[must_use]
pub fn lacking(folder: &Path) -> Vec<&'static str> {
    let there = |program: &&str| folder.join(program).is_file();
    PROGRAMS.into_iter().filter(|it| !there(it)).collect()
}

/// A directory of packages.
pub(crate) struct Packages {
    folder: PathBuf,
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    digest: Option<String>,
    tar: Option<NamedTempFile>,
}

impl Packages {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            made: Mutex::default(),
        }
    }

    /// SHA-256 of the tar before it is compressed, in hexadecimal. The directory is read once.
    pub(crate) async fn digest(&self) -> Result<String, Fault> {
        let mut made = self.made.lock().await;
        if let Some(digest) = &made.digest {
            return Ok(digest.clone());
        }
        let folder = self.folder.clone();
        let (digest, _) = self.aside(move || write(&folder, io::sink())).await?;
        made.digest = Some(digest.clone());
        Ok(digest)
    }

    /// The tar with this digest, compressed by gzip. It lies there as long as we live.
    pub(crate) async fn tar(&self, digest: &str) -> Result<PathBuf, Fault> {
        let mut made = self.made.lock().await;
        if made.tar.is_none() {
            let folder = self.folder.clone();
            let make = move || {
                let file = NamedTempFile::with_prefix("quorate-packages-")?;
                // The fastest: programs become half, and most images are compressed as they are.
                let gzip = GzEncoder::new(BufWriter::new(file), Compression::fast());
                let (digest, gzip) = write(&folder, gzip)?;
                let file = gzip.finish()?.into_inner();
                Ok((digest, file.map_err(io::IntoInnerError::into_error)?))
            };
            let (found, file) = self.aside(make).await?;
            if made.digest.as_ref() != Some(&found) {
                made.digest = None;
                let what = format!("{}: changed meanwhile", self.folder.display());
                return Err(Fault::new(FaultClass::Retryable, what));
            }
            made.tar = Some(file);
        }
        assert_eq!(
            made.digest.as_deref(),
            Some(digest),
            "one tar, one digest: who asks for it was told that"
        );
        let tar = made.tar.as_ref().expect("it was made");
        Ok(tar.path().to_owned())
    }

    /// Where it is no harm that it takes seconds.
    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, Fault> {
        let done = tokio::task::spawn_blocking(work).await;
        done.expect("reading files does not panic")
            .map_err(|error| {
                let what = format!(
                    "the packages of Kubernetes in {}: {error}",
                    self.folder.display()
                );
                Fault::new(FaultClass::Invalid, what)
            })
    }
}

/// Writes the tar; its digest, and where it went. Equal from equal files: sorted, without owners
/// and times.
fn write<W: Write>(folder: &Path, to: W) -> io::Result<(String, W)> {
    let mut tar = tar::Builder::new(Hashed {
        to,
        sum: Sha256::new(),
    });
    let mut count = 0;
    for part in FOLDERS {
        for (name, path) in files(&folder.join(part), part)? {
            let file = File::open(&path)?;
            let about = file.metadata()?;
            let mut head = tar::Header::new_gnu();
            head.set_size(about.len());
            head.set_mode(match about.permissions().mode() & 0o111 {
                0 => 0o644,
                _ => 0o755,
            });
            // One byte more than it should have would be seen.
            let mut text = file.take(about.len() + 1);
            tar.append_data(&mut head, &name, &mut text)?;
            if text.limit() != 1 {
                return Err(io::Error::other(format!("{name} changed meanwhile")));
            }
            count += 1;
        }
    }
    if count == 0 {
        return Err(io::Error::other("neither bin/ nor cni/ nor images/ there"));
    }
    let mut to = tar.into_inner()?;
    to.flush()?;
    Ok((format!("{:x}", to.sum.finalize()), to.to))
}

/// Files of one folder with their names in the tar, sorted.
fn files(folder: &Path, part: &str) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        // Of a symbolic link: what it leads to.
        if !fs::metadata(&path)?.is_file() {
            continue;
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| io::Error::other(format!("{path:?}: no name in UTF-8")))?;
        files.push((format!("{part}/{name}"), path));
    }
    files.sort_unstable();
    Ok(files)
}

/// Takes the digest of what passes through.
struct Hashed<W> {
    to: W,
    sum: Sha256,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.sum.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use tempfile::TempDir;

    fn folder() -> TempDir {
        let folder = TempDir::new().unwrap();
        let put = |name: &str, text: &[u8], mode: u32| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        put("bin/kubeadm", b"#!/bin/sh\n", 0o700);
        put("bin/empty", b"", 0o755);
        put("images/pause.tar", &[7; 512], 0o600);
        put("images/etcd.tar", &[8; 3 * 512 + 1], 0o644);
        put("MANIFEST", b"not asked for", 0o644);
        fs::create_dir(folder.path().join("bin/folder")).unwrap();
        folder
    }

    fn sha256sum(path: &Path) -> String {
        let sum = "gzip -dc <\"$0\" | sha256sum";
        let output = Command::new("sh").args(["-c", sum]).arg(path).output();
        let output = output.unwrap();
        String::from_utf8(output.stdout).unwrap()[..64].to_owned()
    }

    #[tokio::test]
    async fn tar_takes_out_what_was_put_in() {
        let folder = folder();
        let packages = Packages::new(folder.path());
        let digest = packages.digest().await.unwrap();
        let tar = packages.tar(&digest).await.unwrap();
        assert_eq!(sha256sum(&tar), digest);

        let out = TempDir::new().unwrap();
        let mut command = Command::new("tar");
        command.arg("-xpzf").arg(&tar).arg("-C").arg(out.path());
        assert!(command.status().unwrap().success());
        for (name, mode) in [
            ("bin/kubeadm", 0o755),
            ("bin/empty", 0o755),
            ("images/pause.tar", 0o644),
            ("images/etcd.tar", 0o644),
        ] {
            let there = out.path().join(name);
            let text = fs::read(folder.path().join(name)).unwrap();
            assert_eq!(fs::read(&there).unwrap(), text, "{name}");
            let found = fs::metadata(&there).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{name}");
        }
        assert!(!out.path().join("MANIFEST").exists());
        drop(packages);
        assert!(!tar.exists());
    }

    #[tokio::test]
    async fn equal_files_have_equal_digests_and_others_have_not() {
        let [one, two] = [folder(), folder()];
        let digest = |folder: &TempDir| {
            let packages = Packages::new(folder.path());
            async move { packages.digest().await.unwrap() }
        };
        let first = digest(&one).await;
        assert_eq!(digest(&two).await, first);
        fs::write(two.path().join("bin/kubeadm"), "#!/bin/zsh").unwrap();
        assert_ne!(digest(&two).await, first);
    }

    #[tokio::test]
    async fn files_that_change_between_digest_and_tar_are_not_sent() {
        let folder = folder();
        let packages = Packages::new(folder.path());
        let digest = packages.digest().await.unwrap();
        fs::write(folder.path().join("bin/kubeadm"), "#!/bin/zsh").unwrap();
        let fault = packages.tar(&digest).await.unwrap_err();
        assert_eq!(fault.class, FaultClass::Retryable);
        let digest = packages.digest().await.unwrap();
        assert!(packages.tar(&digest).await.is_ok());
    }

    #[tokio::test]
    async fn an_empty_directory_is_said_to_be_one() {
        let folder = TempDir::new().unwrap();
        let fault = Packages::new(folder.path()).digest().await.unwrap_err();
        assert_eq!(fault.class, FaultClass::Invalid);
        let path = folder.path().to_str().unwrap();
        assert!(fault.detail.contains(path), "{fault}");
    }
}
