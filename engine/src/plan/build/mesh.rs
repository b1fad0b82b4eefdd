//! The links of every machine: from what is known of the mesh, and again when that changes.
//!
//! Does not know which tunnels a machine gets; only what they come from.

use super::Build;
use crate::mesh::{links_print, table_print};
use crate::plan::Until;
use crate::plan::condition::Condition;
use crate::resource::{Kind, Resource, ResourceId, Spec};
use crate::seam::Verb;
use std::sync::Arc;

/// The mesh as it is, and whether it will be another one.
#[derive(Debug, Clone, Copy)]
struct State {
    table: u64,
    changes: bool,
}

impl Build<'_> {
    /// Makes or renews links. Those that are as they should be stand in the plan, too, if other
    /// steps change the mesh: whoever is made must be told to all, also to those that leave once it
    /// has taken their place.
    pub(super) fn links(&mut self) {
        let topology = Arc::clone(&self.desired.topology);
        let state = State {
            table: table_print(&self.seen.history.peers),
            changes: self.mesh_changes(),
        };
        for node in &topology.nodes {
            let installed = match self.condition(&node.id) {
                Condition::Held(_) => continue,
                Condition::Fine => self.seen.installed(&node.id, Kind::Links),
                Condition::Young | Condition::Missing | Condition::Dead(_) => None,
            };
            let resource = Arc::clone(self.desired(&node.id.child("links")));
            self.link(&resource, installed, state);
        }
        for machine in self.still_linked() {
            let installed = self.seen.installed(&machine, Kind::Links);
            let resource = Resource {
                id: machine.child("links"),
                provider: String::new(),
                spec: Spec::Links {
                    keepalive_s: topology.manifest.spec.mesh.keepalive.0.as_secs() as u16,
                },
            };
            self.link(&Arc::new(resource), installed, state);
        }
    }

    /// Machines that leave, and are part of the mesh until then.
    fn still_linked(&self) -> Vec<ResourceId> {
        let peers = self.seen.history.peers.keys();
        let linked = peers.filter(|machine| {
            let leaves = self.desired.get(machine).is_none();
            leaves && self.seen.installed(machine, Kind::Links).is_some()
        });
        linked.cloned().collect()
    }

    fn link(&mut self, resource: &Arc<Resource>, installed: Option<u64>, mesh: State) {
        let machine = resource.id.machine();
        let wanted = links_print(resource.spec.fingerprint(), mesh.table, &machine);
        let step = match installed {
            None => self.draft.step(Verb::Create, resource, "absent"),
            Some(print) if print != wanted => {
                let why = "they are not what the mesh asks for";
                self.draft.step(Verb::Update, resource, why)
            }
            Some(_) if mesh.changes => {
                let why = "the mesh will change";
                let step = self.draft.step(Verb::Update, resource, why);
                self.draft.until(step, Until::Outdated);
                step
            }
            Some(_) => return,
        };
        for need in self.desired.needs(&resource.id) {
            self.after_maker(step, need);
        }
    }

    /// Whether a step of this plan makes a peer or removes one. Nothing less: a plan in which
    /// nothing is done would be complete at once, again and again.
    fn mesh_changes(&self) -> bool {
        self.draft.has(Kind::Peer) || self.somebody_leaves()
    }
}
