//! From a snapshot back to a cluster, when a quorum is lost for good: every member is halted, one
//! machine gets the snapshot and becomes a cluster of one, and the others join it anew as the
//! engine always lets them join.
//!
//! Everything written after the snapshot is lost, so nobody but a person decides on it: here are
//! the steps, each of which may be done twice; in which order they are shown and confirmed is the
//! command line's.

use crate::{Access, names};
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::Fault;
use quorate_hosts::{Job, Runner};
use std::fmt;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    /// API server and member end; what they are made from is kept aside.
    Halt,
    /// The snapshot goes there.
    Bring(PathBuf),
    /// Its data becomes those of a cluster with one member; the former data are kept.
    Restore,
    /// Member and API server start.
    Start,
}

impl fmt::Display for RestoreStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        match &self.what {
            Restore::Halt => write!(f, "halt etcd and the API server on {machine}"),
            Restore::Bring(file) => write!(f, "bring {} to {machine}", file.display()),
            Restore::Restore => write!(f, "make a cluster of one member of it on {machine}"),
            Restore::Start => write!(f, "start etcd and the API server on {machine}"),
        }
    }
}

/// The steps that put a snapshot back on one of the control planes. All others are halted first,
/// and stay so: two clusters must never serve under one name. One that is not reached has to be
/// destroyed or cut off before. Afterwards an ordinary run lets the others join.
///
/// # Panics
/// If the machine is not among the control planes.
#[must_use]
pub fn restore_plan(
    snapshot: &Path,
    onto: &ResourceId,
    control_planes: &[ResourceId],
) -> Vec<RestoreStep> {
    assert!(control_planes.contains(onto), "{onto} is a control plane");
    let step = |machine: &ResourceId, what| RestoreStep {
        machine: machine.clone(),
        what,
    };
    let others = control_planes.iter().filter(|machine| *machine != onto);
    let mut steps: Vec<_> = others.map(|machine| step(machine, Restore::Halt)).collect();
    steps.push(step(onto, Restore::Halt));
    steps.push(step(onto, Restore::Bring(snapshot.to_owned())));
    steps.push(step(onto, Restore::Restore));
    steps.push(step(onto, Restore::Start));
    steps
}

/// Where things are on a machine.
struct Places<'a> {
    kube: &'a str,
    data: &'a str,
    keep: &'a str,
}

/// As kubeadm has them.
const KUBEADM: Places<'static> = Places {
    kube: "/etc/kubernetes",
    data: "/var/lib/etcd",
    keep: "/var/lib/quorate/restore",
};

impl<R: Runner> Access<R> {
    /// Does one step. `mesh` is the machine's mesh address, where its peers are to find its member.
    ///
    /// # Errors
    /// `Busy`: etcd has not ended yet. `Invalid`: the snapshot is damaged. Others as with machines.
    pub async fn restore(
        &self,
        addresses: &[(ResourceId, Ipv4Addr)],
        step: &RestoreStep,
        mesh: Ipv4Addr,
    ) -> Result<(), Fault> {
        self.lost();
        let peer = format!("https://{mesh}:2380");
        let job = job(step, &KUBEADM, &peer);
        self.run(&step.machine, addresses, job).await.map(drop)
    }
}

fn job<'a>(step: &'a RestoreStep, places: &Places<'_>, peer: &str) -> Job<'a> {
    let (title, word, input) = match &step.what {
        Restore::Halt => ("halt etcd", "halt", None),
        Restore::Bring(file) => ("bring the snapshot of etcd", "bring", Some(file.as_path())),
        Restore::Restore => ("restore etcd", "restore", None),
        Restore::Start => ("start etcd", "start", None),
    };
    let job = Job {
        title,
        parts: vec![SCRIPT],
        arguments: Vec::new(),
        input,
        limit: if input.is_some() { BRING } else { LIMIT },
        mutates: true,
    };
    job.with("Q_STEP", word.to_owned())
        .with("Q_KUBE", places.kube.to_owned())
        .with("Q_DATA", places.data.to_owned())
        .with("Q_KEEP", places.keep.to_owned())
        .with("Q_NAME", names::node(&step.machine))
        .with("Q_PEER", peer.to_owned())
}

#[cfg(test)]
mod tests;
