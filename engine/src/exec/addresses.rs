//! Which public addresses go along with a call.
//!
//! A spec names machines; their addresses are only known once the machines are there.
//! Calls carry public ones; those of the underlay are kept for the mesh.

use crate::mesh::Reach;
use crate::plan::Step;
use crate::resource::{Kind, ResourceId, Spec};
use crate::seam::{Lane, Seen};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Where machines are reached.
#[derive(Debug, Clone, Default)]
pub(super) struct AddressBook(pub(super) BTreeMap<ResourceId, Reach>);

impl AddressBook {
    /// Keeps what an answer shows.
    pub(super) fn learn(&mut self, seen: &Seen) {
        let reach = Reach {
            public: seen.address,
            private: seen.private,
        };
        if seen.kind == Kind::Machine && reach != Reach::default() {
            self.0.insert(seen.id.clone(), reach);
        }
    }

    /// Where a machine is reached, as far as it is known.
    pub(super) fn reach(&self, machine: &ResourceId) -> Reach {
        self.0.get(machine).copied().unwrap_or_default()
    }

    /// A machine is gone.
    pub(super) fn forget(&mut self, machine: &ResourceId) {
        self.0.remove(machine);
    }

    /// Every machine that is known: the cluster may be asked at any of them.
    pub(super) fn all(&self) -> Vec<(ResourceId, Ipv4Addr)> {
        let known = self.0.iter();
        known
            .filter_map(|(id, reach)| Some((id.clone(), reach.public?)))
            .collect()
    }

    /// What the step's call needs: the machines its spec refers to, each once and in their order,
    /// and for what happens on a machine that machine too. Unknown ones are left out.
    pub(super) fn for_step(&self, step: &Step) -> Vec<(ResourceId, Ipv4Addr)> {
        let mut out: BTreeMap<&ResourceId, Ipv4Addr> = BTreeMap::new();
        let mut add = |machine: &ResourceId| {
            if let Some((id, reach)) = self.0.get_key_value(machine)
                && let Some(address) = reach.public
            {
                out.insert(id, address);
            }
        };
        match &step.lane {
            Lane::Hosts | Lane::Cluster => add(&step.resource.machine()),
            Lane::Provider(_) => {}
        }
        match step.desired.as_ref().map(|desired| &desired.spec) {
            Some(Spec::RecordSet { machines, .. }) => machines.iter().for_each(add),
            Some(Spec::Balancer { forwards, .. }) => {
                let backends = forwards.iter().flat_map(|f| &f.backends);
                backends.map(|backend| &backend.machine).for_each(add);
            }
            Some(
                Spec::Network { .. }
                | Spec::Firewall { .. }
                | Spec::Machine { .. }
                | Spec::Host { .. }
                | Spec::Peer { .. }
                | Spec::Links { .. }
                | Spec::EtcdMember { .. }
                | Spec::ControlPlane { .. }
                | Spec::Worker { .. }
                | Spec::ApiProxy { .. }
                | Spec::StoragePool { .. },
            )
            | None => {}
        }
        out.into_iter().map(|(id, at)| (id.clone(), at)).collect()
    }
}
