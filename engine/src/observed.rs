//! What was last seen of the world: possibly stale, never trusted to be current.
//!
//! An answer that did not come is kept as such: "I could not look" is never "it is not there".

mod built;

use crate::mesh::Table;
use crate::resource::{Kind, ResourceId};
use crate::seam::{ClusterView, Fault, HostView, MachineState, Seen};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// What was last seen.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// What each provider listed, by provider name; or why it did not.
    pub providers: BTreeMap<String, Result<Vec<Seen>, Fault>>,
    /// What each machine that was asked had on it; or why it did not answer.
    #[serde(with = "pairs")]
    pub hosts: BTreeMap<ResourceId, Result<HostView, Fault>>,
    /// What the cluster said of itself; none where there was nobody to ask.
    pub cluster: Option<Result<ClusterView, Fault>>,
    /// What the journal knows of the past.
    pub history: History,
}

/// What cannot be seen any more and still counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct History {
    /// Machines that once were prepared: one that does not answer is not merely young.
    pub prepared: BTreeSet<ResourceId>,
    /// Machines that have not answered for longer than the patience with them.
    pub lost: BTreeSet<ResourceId>,
    /// What was made by us and not removed since.
    #[serde(default)]
    pub made: BTreeSet<ResourceId>,
    /// The mesh as it is known.
    #[serde(default)]
    pub peers: Table,
    /// The machine on which the cluster was founded, or may have been.
    pub founder: Option<ResourceId>,
    /// It surely was founded: nobody ever founds it again.
    pub founded: bool,
}

impl History {
    /// Another host of one's own that was last reached at this address: hosts are numbered by
    /// their order in the manifest, and that was changed.
    #[must_use]
    pub fn taken(&self, machine: &ResourceId, address: &str) -> Option<&ResourceId> {
        let address: Ipv4Addr = address.parse().ok()?;
        let mut own = self.prepared.difference(&self.made);
        own.find(|id| {
            let there = self.peers.get(*id).and_then(|peer| peer.public);
            *id != machine && there == Some(address)
        })
    }
}

/// Maps with ids as keys, as lists of pairs: JSON objects have text keys only.
mod pairs {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    pub(super) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?
            .into_iter()
            .collect())
    }
}

/// How a provider stands to one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight<'a> {
    /// It listed it.
    Seen(&'a Seen),
    /// It listed what it has, and this was not there.
    Absent,
    /// It did not answer.
    Blind(&'a Fault),
}

impl Observed {
    /// Every listed resource with the name of its provider, in order of provider.
    pub fn listed(&self) -> impl Iterator<Item = (&str, &Seen)> {
        self.providers
            .iter()
            .flat_map(|(name, list)| list.iter().flatten().map(move |seen| (name.as_str(), seen)))
    }

    /// How a provider stands to one resource; none where it was not asked.
    #[must_use]
    pub fn sight(&self, provider: &str, id: &ResourceId) -> Option<Sight<'_>> {
        Some(match self.providers.get(provider)? {
            Err(fault) => Sight::Blind(fault),
            Ok(list) => match list.iter().find(|seen| seen.id == *id) {
                Some(seen) => Sight::Seen(seen),
                None => Sight::Absent,
            },
        })
    }

    /// The cluster's view of itself, if it answered.
    #[must_use]
    pub fn cluster(&self) -> Option<&ClusterView> {
        self.cluster.as_ref()?.as_ref().ok()
    }

    /// Whether a machine answered over ssh.
    #[must_use]
    pub fn answers(&self, machine: &ResourceId) -> bool {
        matches!(self.hosts.get(machine), Some(Ok(_)))
    }

    /// The fingerprint of what is installed on a machine.
    #[must_use]
    pub fn installed(&self, machine: &ResourceId, kind: Kind) -> Option<u64> {
        let Some(Ok(view)) = self.hosts.get(machine) else {
            return None;
        };
        view.installed
            .iter()
            .find(|(installed, _)| *installed == kind)
            .map(|(_, print)| *print)
    }

    /// Public addresses of machines.
    #[must_use]
    pub fn addresses(&self) -> BTreeMap<ResourceId, Ipv4Addr> {
        let machines = self.listed().filter(|(_, seen)| seen.kind == Kind::Machine);
        machines
            .filter_map(|(_, seen)| Some((seen.id.clone(), seen.address?)))
            .collect()
    }

    /// Machines that are listed and not broken.
    pub fn usable_machines(&self) -> impl Iterator<Item = &Seen> {
        self.listed().map(|(_, seen)| seen).filter(|seen| {
            let usable = matches!(seen.state, MachineState::Building | MachineState::Running);
            seen.kind == Kind::Machine && usable
        })
    }
}
