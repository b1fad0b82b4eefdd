//! Root file systems of containers: clones of an image folder, one per machine.
//!
//! Files under `/usr` are hard links to the image's where both are on one file system: packages put
//! them there by renaming, and nothing edits them in place. The rest is copied. A clone is made
//! under another name and renamed when it is whole; on its way out it is renamed first.
//!
//! Copied and removed by `cp` and `rm` (coreutils): they keep owners, times, device nodes and
//! extended attributes, and end with their call. Knows nothing of libvirt.

use super::fault::disk;
use super::record::slot_id;
use crate::host_key::HostKey;
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{Fault, FaultClass};
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

const MAKING: &str = "~making";
const GONE: &str = "~gone";

/// What a machine finds in its root file system.
pub(super) struct Delivery {
    pub(super) hostname: String,
    pub(super) user: String,
    pub(super) keys: Vec<String>,
    pub(super) host_key: HostKey,
    pub(super) nameserver: Ipv4Addr,
}

/// Somebody who may log in, as `/etc/passwd` has them.
struct Account {
    uid: u32,
    gid: u32,
    home: PathBuf,
}

fn account(root: &Path, user: &str) -> io::Result<Option<Account>> {
    let passwd = fs::read_to_string(root.join("etc/passwd"))?;
    let line = passwd.lines().find_map(|line| {
        let mut parts = line.split(':');
        (parts.next() == Some(user)).then(|| parts.collect::<Vec<_>>())
    });
    Ok(line.and_then(|parts| {
        Some(Account {
            uid: parts.get(1)?.parse().ok()?,
            gid: parts.get(2)?.parse().ok()?,
            home: PathBuf::from(parts.get(4)?.trim_start_matches('/')),
        })
    }))
}

/// What an image lacks, as a sentence; none if it is good.
pub(super) fn lacks(image: &Path, user: &str) -> Option<String> {
    let shown = image.display();
    if !image.is_dir() {
        return Some(format!("the image {shown} is not a folder on this host"));
    }
    if init(image).is_none() {
        return Some(format!(
            "the image {shown} has neither /sbin/init nor /init-wrap"
        ));
    }
    match account(image, user) {
        Ok(Some(_)) => None,
        Ok(None) => Some(format!("the image {shown} has no user {user}")),
        Err(error) => Some(format!(
            "the image {shown} has no readable /etc/passwd: {error}"
        )),
    }
}

/// What becomes process 1: a wrapper where the image brings one.
pub(super) fn init(image: &Path) -> Option<String> {
    let there = |path: &&str| {
        // Links inside an image are absolute, so they are not followed from here.
        fs::symlink_metadata(image.join(path.trim_start_matches('/'))).is_ok()
    };
    let init = ["/init-wrap", "/sbin/init"].into_iter().find(there);
    init.map(str::to_owned)
}

/// A folder inside a root file system, none of whose parts leads out of it.
fn inside(root: &Path, folder: &Path) -> io::Result<PathBuf> {
    let mut at = root.to_path_buf();
    for part in folder.components() {
        at.push(part);
        if at.is_symlink() {
            let said = format!("/{} in the image is a link", folder.display());
            return Err(io::Error::other(said));
        }
        if !at.exists() {
            fs::create_dir(&at)?;
        }
    }
    Ok(at)
}

/// Replaces a file, and never what a link points to: the old one may be shared with the image.
fn put(folder: &Path, name: &str, content: &str, mode: u32) -> io::Result<()> {
    let path = folder.join(name);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let file = fs::File::create_new(&path)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    io::Write::write_all(&mut &file, content.as_bytes())
}

fn deliver(root: &Path, delivery: &Delivery) -> io::Result<()> {
    let etc = inside(root, Path::new("etc"))?;
    let name = &delivery.hostname;
    put(&etc, "hostname", &format!("{name}\n"), 0o644)?;
    let hosts = format!("127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost\n");
    put(&etc, "hosts", &hosts, 0o644)?;
    let resolver = format!("nameserver {}\n", delivery.nameserver);
    put(&etc, "resolv.conf", &resolver, 0o644)?;
    // Empty: systemd draws a new one at the first start.
    put(&etc, "machine-id", "", 0o644)?;
    let ssh = inside(root, Path::new("etc/ssh"))?;
    for entry in fs::read_dir(&ssh)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("ssh_host_") {
            fs::remove_file(entry.path())?;
        }
    }
    let private = delivery.host_key.private.reveal();
    put(&ssh, "ssh_host_ed25519_key", private, 0o600)?;
    let public = format!("{}\n", delivery.host_key.public);
    put(&ssh, "ssh_host_ed25519_key.pub", &public, 0o644)?;
    let user = account(root, &delivery.user)?;
    let user = user.ok_or_else(|| io::Error::other(format!("no user {}", delivery.user)))?;
    let folder = inside(root, &user.home.join(".ssh"))?;
    let mut keys = delivery.keys.join("\n");
    keys.push('\n');
    put(&folder, "authorized_keys", &keys, 0o600)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
    chown(&folder, Some(user.uid), Some(user.gid))?;
    let keys = folder.join("authorized_keys");
    lchown(keys, Some(user.uid), Some(user.gid))
}

/// Runs a program of coreutils to its end; it is killed where the call is dropped.
async fn run(program: &str, arguments: &[&Path], doing: &str) -> Result<(), Fault> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .env("LC_ALL", "C")
        .kill_on_drop(true);
    let output = command.output().await;
    let output = output.map_err(|error| disk(doing, &error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let class = match () {
        () if said.contains("No space left") || said.contains("quota exceeded") => {
            FaultClass::Quota
        }
        () if said.contains("Permission denied") || said.contains("not permitted") => {
            FaultClass::Auth
        }
        () => FaultClass::Retryable,
    };
    let last = said
        .lines()
        .last()
        .unwrap_or("it failed and did not say why");
    Err(Fault::new(class, format!("{doing}: {last}")))
}

fn beside(root: &Path, suffix: &str) -> PathBuf {
    let mut name = root.file_name().expect("a root has a name").to_owned();
    name.push(suffix);
    root.with_file_name(name)
}

async fn erase(folder: &Path, doing: &str) -> Result<(), Fault> {
    let options = ["-rf", "--one-file-system", "--"].map(Path::new);
    run("rm", &[&options[..], &[folder]].concat(), doing).await
}

/// Makes the root file system of a machine anew.
pub(super) async fn make(root: &Path, image: &Path, delivery: &Delivery) -> Result<(), Fault> {
    let doing = format!("cloning {}", image.display());
    let failed = |error: io::Error| disk(&doing, &error);
    remove(root).await?;
    let shelf = root.parent().expect("a root is in a folder");
    fs::create_dir_all(shelf).map_err(failed)?;
    // What is inside is root's business: keys of hosts, secrets of clusters.
    let private = fs::Permissions::from_mode(0o711);
    fs::set_permissions(shelf, private).map_err(failed)?;
    let making = beside(root, MAKING);
    fs::create_dir(&making).map_err(failed)?;
    let meta = fs::metadata(image).map_err(failed)?;
    fs::set_permissions(&making, fs::Permissions::from_mode(meta.mode() & 0o7777))
        .map_err(failed)?;
    let near = fs::metadata(&making).map_err(failed)?.dev();
    let mut copied = Vec::new();
    for entry in fs::read_dir(image).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let real = !path.is_symlink() && path.is_dir();
        let usr = path.file_name() == Some("usr".as_ref());
        if real && usr && fs::metadata(&path).map_err(failed)?.dev() == near {
            let options = ["-al", "--"].map(Path::new);
            run("cp", &[&options[..], &[&path, &making]].concat(), &doing).await?;
        } else {
            copied.push(path);
        }
    }
    if !copied.is_empty() {
        let mut arguments = vec![Path::new("-a"), Path::new("--")];
        arguments.extend(copied.iter().map(PathBuf::as_path));
        arguments.push(&making);
        run("cp", &arguments, &doing).await?;
    }
    deliver(&making, delivery).map_err(failed)?;
    fs::rename(&making, root).map_err(failed)
}

/// Removes what there is of a machine's root file system, and its shelf if that is empty then.
pub(super) async fn remove(root: &Path) -> Result<(), Fault> {
    let doing = format!("removing {}", root.display());
    let gone = beside(root, GONE);
    erase(&gone, &doing).await?;
    match fs::rename(root, &gone) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(disk(&doing, &error));
        }
        Ok(()) | Err(_) => {}
    }
    erase(&gone, &doing).await?;
    erase(&beside(root, MAKING), &doing).await?;
    if let Some(shelf) = root.parent() {
        // It has others in it, or is gone already.
        let _stays = fs::remove_dir(shelf);
    }
    Ok(())
}

/// The machines that have something on a shelf, whole or not, each with its place.
pub(super) fn slots(shelf: &Path) -> Result<Vec<(ResourceId, String)>, Fault> {
    let doing = format!("listing {}", shelf.display());
    let entries = match fs::read_dir(shelf) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| disk(&doing, &error))?,
    };
    let mut slots = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| disk(&doing, &error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let slot = name.split('~').next().unwrap_or_default();
        slots.push((slot_id(slot), path.display().to_string()));
    }
    Ok(slots)
}

#[cfg(test)]
mod tests;
