//! Which public addresses go along with a call.
//!
//! A spec names machines; their addresses are only known once the machines are there.
//! Knows only public addresses: those of the mesh are part of specs.

use crate::plan::Step;
use crate::resource::{Kind, ResourceId, Spec};
use crate::seam::{Lane, Seen};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Public addresses by machine.
#[derive(Debug, Clone, Default)]
pub(super) struct AddressBook(pub(super) BTreeMap<ResourceId, Ipv4Addr>);

impl AddressBook {
    /// Keeps what an answer shows.
    pub(super) fn learn(&mut self, seen: &Seen) {
        if let (Kind::Machine, Some(address)) = (seen.kind, seen.address) {
            self.0.insert(seen.id.clone(), address);
        }
    }

    /// A machine is gone.
    pub(super) fn forget(&mut self, machine: &ResourceId) {
        self.0.remove(machine);
    }

    /// What the step's call needs: the machines its spec refers to, each once and in their order,
    /// and for what happens on a machine that machine too. Unknown ones are left out.
    pub(super) fn for_step(&self, step: &Step) -> Vec<(ResourceId, Ipv4Addr)> {
        let mut out: BTreeMap<&ResourceId, Ipv4Addr> = BTreeMap::new();
        let mut add = |machine: &ResourceId| {
            if let Some((id, address)) = self.0.get_key_value(machine) {
                out.insert(id, *address);
            }
        };
        match &step.lane {
            Lane::Hosts | Lane::Cluster => add(&step.resource.machine()),
            Lane::Provider(_) => {}
        }
        match step.desired.as_ref().map(|desired| &desired.spec) {
            Some(Spec::RecordSet { machines, .. }) => machines.iter().for_each(add),
            Some(Spec::Balancer { forwards, .. }) => {
                forwards.iter().flat_map(|f| &f.backends).for_each(add);
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
                | Spec::StoragePool { .. },
            )
            | None => {}
        }
        out.into_iter().map(|(id, at)| (id.clone(), at)).collect()
    }
}
