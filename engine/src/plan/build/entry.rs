//! Entry points, and what the cluster as a whole has: load balancers, DNS records, storage.

use super::Build;
use crate::manifest::Role;
use crate::observed::Sight;
use crate::plan::condition::Condition;
use crate::plan::draft::Ref;
use crate::resource::{Resource, ResourceId, Spec};
use crate::seam::Verb;
use std::net::Ipv4Addr;
use std::sync::Arc;

impl Build<'_> {
    /// Gives every node its way to the API servers. It is told of those that are to come, too, and
    /// finds out itself which of them answer; what leaves waits until no node is led there.
    pub(super) fn api_proxies(&mut self) {
        let topology = Arc::clone(&self.desired.topology);
        for node in &topology.nodes {
            let id = node.id.child("api-proxy");
            if self.desired.get(&id).is_none() {
                continue;
            }
            let step = self.install(&id, None);
            let updates = |step: &Ref| self.draft.get(*step).verb == Verb::Update;
            self.rebalanced.extend(step.filter(updates));
        }
    }

    /// Creates and updates load balancers. Each waits for the end of what makes its new backends,
    /// and for nothing else: one that is lost never holds up anything.
    pub(super) fn balancers(&mut self) {
        let topology = Arc::clone(&self.desired.topology);
        for node in topology.with(Role::LoadBalancer) {
            let id = node.id.child("balancer");
            let Some(step) = self.install(&id, None) else {
                continue;
            };
            if self.draft.get(step).verb == Verb::Update {
                for backend in self.backends(&id) {
                    self.wait_for_backend(step, &backend);
                }
                self.rebalanced.push(step);
            }
        }
    }

    fn backends(&self, balancer: &ResourceId) -> Vec<ResourceId> {
        let Spec::Balancer { forwards } = &self.desired(balancer).spec else {
            panic!("{balancer} is a load balancer")
        };
        let mut all: Vec<_> = forwards
            .iter()
            .flat_map(|f| f.backends.iter().map(|backend| backend.machine.clone()))
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn wait_for_backend(&mut self, step: crate::plan::draft::Ref, backend: &ResourceId) {
        for name in ["control-plane", "worker"] {
            if let Some(maker) = self.draft.maker(&backend.child(name)) {
                self.draft.settled(step, maker);
            }
        }
    }

    /// Creates and updates record sets, once the balancers they lead to have been tried.
    pub(super) fn records(&mut self) {
        let resources: Vec<_> = self.desired.resources().cloned().collect();
        for resource in &resources {
            let Spec::RecordSet { machines, .. } = &resource.spec else {
                continue;
            };
            let Some(verb) = self.record_verb(resource, machines) else {
                continue;
            };
            let why = match verb {
                Verb::Create => "absent",
                _ => "its addresses or settings differ",
            };
            let step = self.draft.step(verb, resource, why);
            for machine in machines {
                if let Some(maker) = self.draft.maker(&machine.child("balancer")) {
                    self.draft.settled(step, maker);
                }
            }
        }
    }

    fn record_verb(&mut self, resource: &Arc<Resource>, machines: &[ResourceId]) -> Option<Verb> {
        match self.index.sight(&resource.provider, &resource.id) {
            Sight::Blind(fault) => {
                let reason = format!(
                    "the API of {} does not answer ({}), so nothing is made or replaced there",
                    resource.provider, fault.detail
                );
                self.draft.hold(&resource.id, reason);
                None
            }
            Sight::Absent => Some(Verb::Create),
            Sight::Seen(seen) => {
                let addresses: Vec<_> = self.known_addresses(machines);
                let new = machines.iter().any(|machine| {
                    matches!(
                        self.condition(machine),
                        Condition::Missing | Condition::Dead(_)
                    )
                });
                // Where the provider of a machine is silent its address is not known: the record
                // stays as it is, for a health check to judge.
                let unknown = addresses.len() < machines.len();
                let differs = seen.fingerprint != resource.spec.fingerprint_at(&addresses);
                (new || (differs && !unknown)).then_some(Verb::Update)
            }
        }
    }

    fn known_addresses(&self, machines: &[ResourceId]) -> Vec<(ResourceId, Ipv4Addr)> {
        let known = self.seen.addresses();
        let node = |id: &ResourceId| self.desired.topology.node(id);
        let own = |id: &ResourceId| node(id)?.existing.as_ref()?.parse().ok();
        let address = |id: &ResourceId| known.get(id).copied().or_else(|| own(id));
        machines
            .iter()
            .filter_map(|id| Some((id.clone(), address(id)?)))
            .collect()
    }

    /// Installs the replicated storage, once workers have been tried.
    pub(super) fn storage(&mut self) {
        let id = self.desired.topology.id("storage");
        let Some(resource) = self.desired.get(&id) else {
            return;
        };
        if !self.cluster_usable() {
            return;
        }
        let installed = self.cluster().and_then(|cluster| cluster.storage);
        let (verb, why) = match installed {
            Some(print) if print == resource.spec.fingerprint() => return,
            Some(_) => (Verb::Update, "differs from the manifest"),
            None => (Verb::Create, "absent"),
        };
        let step = self.draft.step(verb, resource, why);
        if let Some(founding) = self.founding {
            self.draft.after(step, founding);
        }
        let topology = Arc::clone(&self.desired.topology);
        for node in topology.with(Role::Worker) {
            if let Some(join) = self.draft.maker(&node.id.child("worker")) {
                self.draft.settled(step, join);
            }
        }
    }
}
