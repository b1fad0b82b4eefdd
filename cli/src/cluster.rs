//! What is asked of a living cluster: credentials for its API, and snapshots of etcd.

use crate::apply;
use crate::args::{EtcdSnapshot, EtcdSnapshots, Kubeconfig, Wanted};
use crate::exit::Exit;
use crate::live::{self, World};
use crate::terminal;
use quorate_cluster::{Cluster, Snapshots, Stored};
use quorate_engine::seam::Fault;
use quorate_hosts::Ssh;
use quorate_live::Store;
use quorate_sim::report::plain;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

/// Writes the administrator's kubeconfig, for its owner only.
pub(crate) fn kubeconfig(args: &Kubeconfig) -> Exit {
    let asked = ask(&args.wanted, async |living| {
        living.cluster.kubeconfig(&living.addresses).await
    });
    let text = match asked {
        Ok(text) => text,
        Err(exit) => return exit,
    };
    match &args.to {
        None => {
            terminal::print(&text);
            Exit::Fine
        }
        Some(path) => match write(path, &text) {
            Ok(()) => {
                terminal::eprint(&format!(
                    "{} opens the API: keep it to yourself\n",
                    path.display()
                ));
                Exit::Fine
            }
            Err(error) => refuse(&format!("{}: {error}", path.display())),
        },
    }
}

/// Into a new file that takes the place of an old one, so that it never is open to others.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let beside = path.with_file_name(name);
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        drop(fs::remove_file(&beside));
    }
    written
}

/// Takes a snapshot of etcd.
pub(crate) fn snapshot(args: &EtcdSnapshot) -> Exit {
    let asked = ask(&args.wanted, async |living| {
        let folder = args.to.clone().unwrap_or_else(|| living.snapshots.clone());
        let keep = args.keep.map_or(living.keep, usize::from);
        let to = Snapshots::new(folder, keep);
        living.cluster.snapshot(&living.addresses, &to).await
    });
    match asked {
        Ok(snapshot) => {
            terminal::print(&format!("{}\n", snapshot.path.display()));
            Exit::Fine
        }
        Err(exit) => exit,
    }
}

/// Lists the snapshots that are kept here; needs nothing of the cluster.
pub(crate) fn snapshots(args: &EtcdSnapshots) -> Exit {
    let manifest = match apply::wanted(&args.wanted) {
        Ok(manifest) => manifest,
        Err(exit) => return exit,
    };
    let name = &manifest.metadata.name;
    let dir = live::state_dir(args.wanted.live.state.as_deref(), name);
    let folder = args.from.clone().unwrap_or_else(|| live::snapshots(&dir));
    let list = match Snapshots::new(&folder, 1).list(name) {
        Ok(list) => list,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return refuse(&format!("{}: {error}", folder.display())),
    };
    terminal::print(&if args.json {
        listed_json(&list)
    } else if list.is_empty() {
        format!("no snapshot of {name} is in {}\n", folder.display())
    } else {
        list.iter().map(line).collect()
    });
    // One that could not be restored is worth a script's attention.
    if list.iter().all(|one| one.damage.is_none()) {
        Exit::Fine
    } else {
        Exit::Failed
    }
}

fn line(one: &Stored) -> String {
    let state = one.damage.as_ref().map_or_else(
        || "whole".to_owned(),
        |why| format!("DAMAGED: {}", plain(why)),
    );
    format!(
        "{:.0}  revision {:<10} {:>9}  {state}  {}\n",
        one.taken,
        one.revision,
        size(one.bytes),
        one.path.display()
    )
}

/// `12.3 MB`.
pub(crate) fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1_000_000 => (1_000, "kB"),
        1_000_000..1_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit)
}

fn listed_json(list: &[Stored]) -> String {
    let one = |one: &Stored| {
        serde_json::json!({
            "path": one.path,
            "taken": one.taken.to_string(),
            "revision": one.revision,
            "bytes": one.bytes,
            "whole": one.damage.is_none(),
            "damage": one.damage,
        })
    };
    let list: Vec<_> = list.iter().map(one).collect();
    let list = serde_json::json!({ "snapshots": list });
    let text = serde_json::to_string_pretty(&list).expect("a list is plain data");
    format!("{text}\n")
}

/// A cluster that is asked something.
struct Living {
    cluster: Arc<Cluster<Ssh>>,
    addresses: Vec<(quorate_engine::resource::ResourceId, Ipv4Addr)>,
    snapshots: std::path::PathBuf,
    keep: usize,
}

fn ask<T>(
    wanted: &Wanted,
    question: impl AsyncFnOnce(&Living) -> Result<T, Fault>,
) -> Result<T, Exit> {
    let manifest = apply::wanted(wanted)?;
    let name = &manifest.metadata.name;
    let dir = live::state_dir(wanted.live.state.as_deref(), name);
    let store = Store::view(&dir).map_err(|error| refuse(&error.to_string()))?;
    let agent = wanted.live.agent.as_deref();
    let world = World::open(&manifest, Some(&store), agent).map_err(|problems| {
        live::complain(&problems);
        Exit::Failed
    })?;
    let Some(cluster) = world.cluster.clone() else {
        return Err(refuse("the manifest has no `spec.kubernetes`"));
    };
    let living = Living {
        cluster,
        addresses: world.addresses(&store),
        snapshots: live::snapshots(&dir),
        keep: live::kept(&manifest),
    };
    let answer = live::runtime().block_on(question(&living));
    answer.map_err(|fault| refuse(&fault.to_string()))
}

fn refuse(text: &str) -> Exit {
    terminal::eprint(&format!("error: {}\n", plain(text)));
    Exit::Failed
}
