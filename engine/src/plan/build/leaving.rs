//! What leaves: traffic is led away, pods move, the member goes, and the machine last.

use super::Build;
use super::nodes::removal;
use crate::plan::Until;
use crate::plan::draft::Ref;
use crate::resource::{Kind, ResourceId, Spec};
use crate::seam::{Seen, Verb};
use crate::time::Span;

const WHY: &str = "not in the manifest";

/// How a machine leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving<'a> {
    /// Its provider removes it.
    Deleted(&'a str),
    /// It is one's own: what was put there is taken off.
    Reset,
}

impl Build<'_> {
    /// Removes machines that are listed and not desired.
    pub(super) fn departures(&mut self) {
        let leaving: Vec<(String, Seen)> = self
            .seen
            .listed()
            .filter(|(_, seen)| seen.kind == Kind::Machine && self.desired.get(&seen.id).is_none())
            .map(|(provider, seen)| (provider.to_owned(), seen.clone()))
            .collect();
        for (provider, machine) in leaving {
            self.departure(Leaving::Deleted(&provider), &machine.id);
        }
        let own: Vec<_> = self.own_leaving().cloned().collect();
        for machine in own {
            self.departure(Leaving::Reset, &machine);
        }
    }

    /// Hosts of one's own that were prepared and are not desired any more.
    pub(super) fn own_leaving(&self) -> impl Iterator<Item = &ResourceId> {
        let history = &self.seen.history;
        let own = history.prepared.difference(&history.made);
        let listed = |id: &ResourceId| self.seen.listed().any(|(_, seen)| seen.id == *id);
        own.filter(move |id| self.desired.get(id).is_none() && !listed(id))
    }

    /// Whether this plan takes a machine out of the mesh for good.
    pub(super) fn somebody_leaves(&self) -> bool {
        let listed = self.seen.listed().map(|(_, seen)| seen);
        let mut gone = listed
            .filter(|seen| seen.kind == Kind::Machine && self.desired.get(&seen.id).is_none());
        gone.any(|seen| self.stays(Leaving::Deleted(""), &seen.id).is_none())
            || self
                .own_leaving()
                .any(|machine| self.stays(Leaving::Reset, machine).is_none())
    }

    /// Why a machine that is to leave stays for this time.
    fn stays(&self, how: Leaving<'_>, machine: &ResourceId) -> Option<&'static str> {
        let reset = how == Leaving::Reset;
        if reset && self.has_moved_up(machine) {
            Some("its address is that of another host in the list, which is not reset")
        } else if reset && !self.seen.answers(machine) {
            Some("to be reset once it answers; until then it stays as it is")
        } else if self.seen.cluster.is_some() && self.cluster().is_none() {
            Some("to be removed once the cluster answers")
        } else {
            None
        }
    }

    /// Whether a host that is to leave stands in the manifest under another number.
    fn has_moved_up(&self, machine: &ResourceId) -> bool {
        let history = &self.seen.history;
        let nodes = self.desired.topology.nodes.iter();
        let mut taken = nodes.filter_map(|node| history.taken(&node.id, node.existing.as_deref()?));
        taken.any(|other| other == machine)
    }

    fn departure(&mut self, how: Leaving<'_>, machine: &ResourceId) {
        if let Some(why) = self.stays(how, machine) {
            self.draft.hold(machine, why);
            return;
        }
        let mut before: Vec<Ref> = self.draft.maker(&removal(machine)).into_iter().collect();
        if self.index.node(machine).is_some() {
            before.extend(self.leave_cluster(machine, before.first().copied()));
        }
        before.extend(self.leave_dns(machine));
        let host = machine.child("host");
        let target = match how {
            Leaving::Deleted(provider) => (machine, Kind::Machine, provider),
            Leaving::Reset => (&host, Kind::Host, ""),
        };
        let delete = self.draft.bare(Verb::Delete, target, WHY);
        for step in before {
            self.draft.after(delete, step);
        }
        for balanced in self.rebalanced.clone() {
            self.draft.settled(delete, balanced);
        }
        if let Leaving::Deleted(provider) = how {
            let absent = self.wait_until_absent((machine, provider), delete);
            self.draft.name(&gone(machine), absent);
        }
    }

    /// Drains a node and removes its Node object.
    fn leave_cluster(&mut self, machine: &ResourceId, member: Option<Ref>) -> Option<Ref> {
        let works = self.seen.answers(machine);
        let forget = self.forget_node(machine, WHY)?;
        if let Some(member) = member {
            self.draft.after(forget, member);
        }
        if works && self.draft.get(forget).kind == Kind::Worker {
            let target = (&machine.child("worker"), Kind::Worker, "");
            let drain = self
                .draft
                .bare(Verb::Drain, target, "its pods move away first");
            for joined in self.draft.joins() {
                self.draft.settled(drain, joined);
            }
            for balanced in self.rebalanced.clone() {
                self.draft.settled(drain, balanced);
            }
            self.draft.after(forget, drain);
        }
        Some(forget)
    }

    /// A load balancer stays until no resolver gives its address any more: one TTL after the
    /// records changed.
    fn leave_dns(&mut self, machine: &ResourceId) -> Vec<Ref> {
        let mut waits = Vec::new();
        if self.seen.installed(machine, Kind::Balancer).is_none() {
            return waits;
        }
        let resources: Vec<_> = self.desired.resources().cloned().collect();
        for resource in &resources {
            let Spec::RecordSet { ttl_s, .. } = &resource.spec else {
                continue;
            };
            let Some(update) = self.draft.maker(&resource.id) else {
                continue;
            };
            let why = "resolvers keep the old answer for one TTL";
            let wait = self.draft.step(Verb::Describe, resource, why);
            self.draft
                .until(wait, Until::Elapsed(Span::from_secs(u64::from(*ttl_s))));
            self.draft.after(wait, update);
            self.draft.name(&resource.id, update);
            waits.push(wait);
        }
        waits
    }

    /// Removes networks and firewalls that no desired machine uses, after the last machine there.
    pub(super) fn unused_networks(&mut self) {
        let unused: Vec<(String, Seen)> = self
            .seen
            .listed()
            .filter(|(_, seen)| seen.kind != Kind::Machine && self.desired.get(&seen.id).is_none())
            .map(|(provider, seen)| (provider.to_owned(), seen.clone()))
            .collect();
        for (provider, seen) in &unused {
            let delete = self
                .draft
                .bare(Verb::Delete, (&seen.id, seen.kind, provider), WHY);
            let machines = self
                .seen
                .providers
                .get(provider)
                .into_iter()
                .flatten()
                .flatten();
            let ids: Vec<_> = machines.map(|machine| gone(&machine.id)).collect();
            for id in ids {
                self.after_maker(delete, &id);
            }
        }
    }
}

/// Under this name the draft knows the removal of a machine.
fn gone(machine: &ResourceId) -> ResourceId {
    machine.child("gone")
}
