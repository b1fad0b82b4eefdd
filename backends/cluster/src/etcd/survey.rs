//! What is left of a cluster that may have lost its quorum: of each control plane, whether it is
//! reached, whether its member runs and knows a leader, and how far its data go.
//!
//! Changes nothing, and judges nothing.

use super::restore::{KUBEADM, Places, TOOL};
use crate::Access;
use crate::access::Addresses;
use crate::access::together::{Branch, all};
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::Fault;
use quorate_hosts::{Job, Runner};
use std::time::Duration;

const SCRIPT: &str = include_str!("../../scripts/survey.sh");

/// A copy of 8 GB, and etcd's tool over it.
const LIMIT: Duration = Duration::from_secs(180);

/// What was found on a control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remains {
    /// Which.
    pub machine: ResourceId,
    /// What its member is like, or why that is not known.
    pub member: Result<Survivor, String>,
}

/// A member that may have survived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Survivor {
    /// Its process runs.
    pub runs: bool,
    /// It knows a leader: there is a quorum.
    pub leader: bool,
    /// The revision of its data, where there are any and somebody could say.
    pub revision: Option<u64>,
}

impl<R: Runner> Access<R> {
    /// Looks at every control plane that has an address.
    pub async fn survey(&self, addresses: &Addresses, planes: &[ResourceId]) -> Vec<Remains> {
        self.lost();
        let look = |machine: &ResourceId| {
            let machine = machine.clone();
            Box::pin(async move {
                let member = self.remains(addresses, &machine).await;
                Remains {
                    machine,
                    member: member.map_err(|fault| fault.to_string()),
                }
            }) as Branch<'_, Remains>
        };
        let mut found = all(planes.iter().map(look).collect()).await;
        found.sort_by(|a, b| a.machine.cmp(&b.machine));
        found
    }

    async fn remains(
        &self,
        addresses: &Addresses,
        machine: &ResourceId,
    ) -> Result<Survivor, Fault> {
        let said = self.run(machine, addresses, job(&KUBEADM)).await?;
        let mut found = read(&said.stdout);
        if found.runs {
            // One that does not answer still runs; its revision is not known then.
            if let Ok((leader, revision)) = self.asked(addresses, machine).await {
                found.leader = leader;
                found.revision = Some(revision);
            }
        }
        Ok(found)
    }

    /// Whether the member knows a leader, and its revision: it says both without a quorum, too.
    async fn asked(
        &self,
        addresses: &Addresses,
        machine: &ResourceId,
    ) -> Result<(bool, u64), Fault> {
        let status = self.status_at(machine, addresses).await?;
        Ok((status.leader != 0, status.header.revision))
    }
}

pub(super) fn job(places: &Places<'_>) -> Job<'static> {
    let job = Job {
        title: "look at the data of etcd",
        parts: vec![TOOL, SCRIPT],
        arguments: Vec::new(),
        input: None,
        limit: LIMIT,
        mutates: false,
    };
    job.with("Q_KUBE", places.kube.to_owned())
        .with("Q_DATA", places.data.to_owned())
        .with("Q_KEEP", format!("{}/look", places.keep))
}

pub(super) fn read(said: &str) -> Survivor {
    let revision = said.lines().find_map(|line| line.strip_prefix("revision "));
    Survivor {
        runs: said.lines().any(|line| line == "runs"),
        leader: false,
        revision: revision.and_then(|text| text.trim().parse().ok()),
    }
}
