//! From a snapshot back to a cluster, when a quorum is lost for good: one machine gets the snapshot
//! and becomes a cluster of one, and the others join it anew as the engine always lets them join.
//!
//! Everything written after the snapshot is lost, so nobody but a person decides on it: here are
//! the steps, each of which may be done twice; how they are shown and confirmed is the command
//! line's. [`Recovery`](super::Recovery) remembers which are done.

use crate::{Access, names};
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::Fault;
use quorate_hosts::{Job, Runner};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) const TOOL: &str = include_str!("../../scripts/etcdtool.sh");
const SCRIPT: &str = include_str!("../../scripts/restore.sh");

/// 8 GB at 30 MB/s.
const BRING: Duration = Duration::from_secs(300);
/// kubelet ends a pod within its grace of 30 s; a large database takes etcd's tool a while.
const LIMIT: Duration = Duration::from_secs(180);

/// One step of a restoration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreStep {
    /// Where.
    pub machine: ResourceId,
    /// What.
    pub what: Restore,
}

/// What is done in a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restore {
    /// The snapshot goes there, and is checked there.
    Bring(PathBuf),
    /// What the member there has on its disk takes the place of a snapshot.
    Take,
    /// Data of a cluster with one member are made of it, beside those that are there.
    Prepare,
    /// API server and member end; what they are made from is kept aside.
    Halt,
    /// The prepared data take the place of the former ones, which are kept.
    Restore,
    /// Member and API server start.
    Start,
    /// The former data of a member that is to join anew are kept aside.
    Aside,
}

impl fmt::Display for RestoreStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        match &self.what {
            Restore::Bring(file) => {
                write!(f, "bring {} to {machine}, and check it", file.display())
            }
            Restore::Take => write!(f, "copy what {machine}'s member has on its disk"),
            Restore::Prepare => {
                write!(f, "make a cluster of one member of it on {machine}, unused")
            }
            Restore::Halt => write!(f, "halt etcd and the API server on {machine}"),
            Restore::Restore => write!(f, "put its data in place on {machine}, keep the former"),
            Restore::Start => write!(f, "start etcd and the API server on {machine}"),
            Restore::Aside => write!(f, "move the former data aside on {machine}: it joins anew"),
        }
    }
}

/// Where the data come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A file.
    Snapshot(PathBuf),
    /// The disk of the machine that begins anew.
    Disk,
}

/// The steps that put data back on one of the control planes. A snapshot is brought and tried there
/// before anything is halted. All others are halted before one begins anew, and have no part in it
/// until they join: two clusters must never serve under one name. One that is not reached has to be
/// destroyed or cut off before, and is not among them.
///
/// # Panics
/// If the machine is not among the control planes.
#[must_use]
pub fn restore_plan(
    source: &Source,
    onto: &ResourceId,
    control_planes: &[ResourceId],
) -> Vec<RestoreStep> {
    assert!(control_planes.contains(onto), "{onto} is a control plane");
    let step = |machine: &ResourceId, what| RestoreStep {
        machine: machine.clone(),
        what,
    };
    let others: Vec<_> = control_planes
        .iter()
        .filter(|machine| *machine != onto)
        .collect();
    let mut steps = Vec::new();
    if let Source::Snapshot(file) = source {
        steps.push(step(onto, Restore::Bring(file.clone())));
        steps.push(step(onto, Restore::Prepare));
    }
    steps.extend(others.iter().map(|machine| step(machine, Restore::Halt)));
    steps.push(step(onto, Restore::Halt));
    if *source == Source::Disk {
        steps.push(step(onto, Restore::Take));
        steps.push(step(onto, Restore::Prepare));
    }
    steps.extend(others.iter().map(|machine| step(machine, Restore::Aside)));
    steps.push(step(onto, Restore::Restore));
    steps.push(step(onto, Restore::Start));
    steps
}

/// Where things are on a machine.
pub(super) struct Places<'a> {
    pub(super) kube: &'a str,
    pub(super) data: &'a str,
    pub(super) keep: &'a str,
}

/// As kubeadm has them.
pub(super) const KUBEADM: Places<'static> = Places {
    kube: "/etc/kubernetes",
    data: "/var/lib/etcd",
    keep: KEPT,
};

/// Where a machine keeps what a restoration has moved away, each in a folder of its own.
pub const KEPT: &str = "/var/lib/quorate/restore";

impl<R: Runner> Access<R> {
    /// Does one step of a restoration, which `id` tells from all others. `mesh` is the machine's
    /// mesh address, where its peers are to find its member.
    ///
    /// # Errors
    /// `Busy`: etcd has not ended yet. `Invalid`: the snapshot is damaged. Others as with machines.
    pub async fn restore(
        &self,
        addresses: &[(ResourceId, Ipv4Addr)],
        step: &RestoreStep,
        id: &str,
        mesh: Ipv4Addr,
    ) -> Result<(), Fault> {
        self.lost();
        let peer = format!("https://{mesh}:2380");
        let job = job(step, &KUBEADM, id, &peer);
        self.run(&step.machine, addresses, job).await.map(drop)
    }
}

pub(super) fn job<'a>(step: &'a RestoreStep, places: &Places<'_>, id: &str, peer: &str) -> Job<'a> {
    let (title, word, input): (_, _, Option<&Path>) = match &step.what {
        Restore::Bring(file) => ("bring the snapshot of etcd", "bring", Some(file)),
        Restore::Take => ("copy the data of etcd", "take", None),
        Restore::Prepare => ("prepare the data of etcd", "prepare", None),
        Restore::Halt => ("halt etcd", "halt", None),
        Restore::Restore => ("restore etcd", "restore", None),
        Restore::Start => ("start etcd", "start", None),
        Restore::Aside => ("move the data of etcd aside", "aside", None),
    };
    let job = Job {
        title,
        parts: vec![TOOL, SCRIPT],
        arguments: Vec::new(),
        input,
        limit: if input.is_some() { BRING } else { LIMIT },
        mutates: true,
    };
    job.with("Q_STEP", word.to_owned())
        .with("Q_KUBE", places.kube.to_owned())
        .with("Q_DATA", places.data.to_owned())
        .with("Q_KEEP", format!("{}/{id}", places.keep))
        .with("Q_NAME", names::node(&step.machine))
        .with("Q_PEER", peer.to_owned())
}

#[cfg(test)]
mod tests;
