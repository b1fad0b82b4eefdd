//! Machines and what every node needs: operating system, mesh, and the worker's kubelet.

use super::Build;
use crate::manifest::Role;
use crate::observed::Sight;
use crate::plan::Until;
use crate::plan::condition::Condition;
use crate::plan::draft::Ref;
use crate::resource::{Kind, ResourceId, Spec};
use crate::seam::Verb;
use crate::topology::Node;
use std::sync::Arc;

impl Build<'_> {
    /// Brings every machine that is not held to the point where it is part of the mesh.
    pub(super) fn machines(&mut self) {
        let topology = Arc::clone(&self.desired.topology);
        for node in &topology.nodes {
            let ready = match self.condition(&node.id).clone() {
                Condition::Held(_) => continue,
                Condition::Fine => None,
                Condition::Young if node.existing.is_some() => None,
                Condition::Young => Some(self.wait_for(&node.id, "it exists, and is not up yet")),
                Condition::Missing => Some(self.make(node, "absent", &[])),
                Condition::Dead(reason) => Some(self.replace(node, &reason)),
            };
            let host = self.install(&node.id.child("host"), ready);
            self.install(&node.id.child("peer"), host.or(ready));
        }
    }

    fn wait_for(&mut self, machine: &ResourceId, why: &str) -> Ref {
        let resource = self.desired(machine);
        self.draft.step(Verb::Describe, resource, why)
    }

    /// Creates a machine, after `before`, and waits until it runs.
    fn make(&mut self, node: &Node, why: &str, before: &[Ref]) -> Ref {
        let resource = self.desired(&node.id);
        let create = self.draft.step(Verb::Create, resource, why);
        for need in self.desired.needs(&node.id) {
            self.after_maker(create, need);
        }
        for step in before {
            self.draft.after(create, *step);
        }
        let wait = self.wait_for(&node.id, "the provider makes it in the background");
        self.draft.after(wait, create);
        wait
    }

    /// Removes what is left of a lost machine, and makes it again.
    fn replace(&mut self, node: &Node, why: &str) -> Ref {
        let mut before = Vec::new();
        before.extend(self.draft.maker(&removal(&node.id)));
        before.extend(self.forget_node(&node.id, why));
        if let Sight::Seen(_) = self.index.sight(&node.provider, &node.id) {
            let target = (&node.id, Kind::Machine, node.provider.as_str());
            let delete = self.draft.bare(Verb::Delete, target, why);
            for step in before.drain(..) {
                self.draft.after(delete, step);
            }
            before.push(self.wait_until_absent((&node.id, &node.provider), delete));
        }
        self.make(node, &format!("replaces a lost machine: {why}"), &before)
    }

    /// Waits until a machine that is being deleted is gone, with its name and its address.
    pub(super) fn wait_until_absent(
        &mut self,
        (machine, provider): (&ResourceId, &str),
        delete: Ref,
    ) -> Ref {
        let why = "the provider removes it in the background";
        let target = (machine, Kind::Machine, provider);
        let wait = self.draft.bare(Verb::Describe, target, why);
        self.draft.until(wait, Until::Absent);
        self.draft.after(wait, delete);
        wait
    }

    /// Removes the Node object of a machine from the cluster, if it has one.
    pub(super) fn forget_node(&mut self, machine: &ResourceId, why: &str) -> Option<Ref> {
        let view = self.index.node(machine)?;
        let (kind, name) = if view.control_plane {
            (Kind::ControlPlane, "control-plane")
        } else {
            (Kind::Worker, "worker")
        };
        Some(
            self.draft
                .bare(Verb::Delete, (&machine.child(name), kind, ""), why),
        )
    }

    /// Creates or updates what is installed on a machine, after `before`. None: it is as desired.
    pub(super) fn install(&mut self, id: &ResourceId, before: Option<Ref>) -> Option<Ref> {
        let resource = self.desired(id);
        let wanted = resource.spec.fingerprint();
        let kubernetes = match &resource.spec {
            Spec::Host { kubernetes, .. } => !kubernetes.is_empty(),
            spec => matches!(spec.kind(), Kind::ControlPlane | Kind::Worker),
        };
        let installed = match self.condition(&id.machine()) {
            Condition::Fine => self.seen.installed(&id.machine(), resource.spec.kind()),
            Condition::Young | Condition::Missing | Condition::Dead(_) => None,
            Condition::Held(_) => return None,
        };
        if let Some(skew) = self.skew.clone()
            && kubernetes
            && installed != Some(wanted)
        {
            self.draft.hold(id, skew);
            return None;
        }
        let step = match installed {
            Some(print) if print == wanted => return None,
            Some(_) => self
                .draft
                .step(Verb::Update, resource, "differs from the manifest"),
            None => self.draft.step(Verb::Create, resource, "absent"),
        };
        if let Some(before) = before {
            self.draft.after(step, before);
        }
        for need in self.desired.needs(id) {
            self.after_maker(step, need);
        }
        // What is made anew waits for the mesh, and that for the host.
        if installed.is_some() {
            self.after_host(step, id);
        }
        Some(step)
    }

    /// A release is on a machine before anything of a node there changes to it.
    pub(super) fn after_host(&mut self, step: Ref, id: &ResourceId) {
        let host = id.machine().child("host");
        if host != *id {
            self.after_maker(step, &host);
        }
    }

    /// Lets workers join.
    pub(super) fn workers(&mut self) {
        let topology = Arc::clone(&self.desired.topology);
        let mut steps = Vec::new();
        for node in topology.with(Role::Worker) {
            let id = node.id.child("worker");
            if !self.cluster_usable() {
                self.hold_worker(&node.id);
                continue;
            }
            let Some(join) = self.install(&id, None) else {
                continue;
            };
            if let Some(founding) = self.founding {
                self.draft.after(join, founding);
            }
            steps.push(join);
        }
        self.roll_out(&steps);
    }

    /// Says why a worker is left alone while the cluster does not answer. One that is as it should
    /// be needs nothing.
    fn hold_worker(&mut self, machine: &ResourceId) {
        let id = machine.child("worker");
        let installed = match self.condition(machine) {
            Condition::Held(_) => return,
            Condition::Fine => self.seen.installed(machine, Kind::Worker),
            Condition::Young | Condition::Missing | Condition::Dead(_) => None,
        };
        let why = match installed {
            Some(print) if print == self.desired(&id).spec.fingerprint() => return,
            Some(_) => "it has joined, and is changed once the cluster answers",
            None => "the cluster does not answer, so it cannot join",
        };
        self.draft.hold(&id, why);
    }
}

/// Under this name the draft knows the removal of a machine's dead member.
pub(super) fn removal(machine: &ResourceId) -> ResourceId {
    machine.child("etcd").child("removal")
}
