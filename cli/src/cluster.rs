//! What is asked of a living cluster: credentials for its API, and snapshots of etcd.

use crate::apply;
use crate::args::{EtcdSnapshot, Kubeconfig, Wanted};
use crate::exit::Exit;
use crate::live::{self, World};
use crate::terminal;
use quorate_cluster::{Cluster, Snapshots};
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
    let keep = usize::from(args.keep);
    let asked = ask(&args.wanted, async |living| {
        let folder = args.to.clone().unwrap_or_else(|| living.snapshots.clone());
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

/// A cluster that is asked something.
struct Living {
    cluster: Arc<Cluster<Ssh>>,
    addresses: Vec<(quorate_engine::resource::ResourceId, Ipv4Addr)>,
    snapshots: std::path::PathBuf,
}

fn ask<T>(
    wanted: &Wanted,
    question: impl AsyncFnOnce(&Living) -> Result<T, Fault>,
) -> Result<T, Exit> {
    let manifest = apply::manifest(&wanted.file, wanted.cluster.as_deref())?;
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
    };
    let answer = live::runtime().block_on(question(&living));
    answer.map_err(|fault| refuse(&fault.to_string()))
}

fn refuse(text: &str) -> Exit {
    terminal::eprint(&format!("error: {}\n", plain(text)));
    Exit::Failed
}
