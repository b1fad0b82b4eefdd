//! The links of every machine: from what is known of the mesh, and again when that changes.
//!
//! Does not know which tunnels a machine gets; only what they come from.

use super::Build;
use crate::mesh::{links_print, table_print};
use crate::plan::Until;
use crate::plan::condition::Condition;
use crate::resource::Kind;
use crate::seam::Verb;
use std::sync::Arc;

impl Build<'_> {
    /// Makes or renews links. Those that are as they should be stand in the plan, too, if other
    /// steps change the mesh: whoever is made must be told to all.
    pub(super) fn links(&mut self) {
        let topology = Arc::clone(&self.desired.topology);
        let table = table_print(&self.seen.history.peers);
        let changes = self.mesh_changes();
        for node in &topology.nodes {
            let installed = match self.condition(&node.id) {
                Condition::Held(_) => continue,
                Condition::Fine => self.seen.installed(&node.id, Kind::Links),
                Condition::Young | Condition::Missing | Condition::Dead(_) => None,
            };
            let id = node.id.child("links");
            let resource = self.desired(&id);
            let wanted = links_print(resource.spec.fingerprint(), table, &node.id);
            let step = match installed {
                None => self.draft.step(Verb::Create, resource, "absent"),
                Some(print) if print != wanted => {
                    let why = "they are not what the mesh asks for";
                    self.draft.step(Verb::Update, resource, why)
                }
                Some(_) if changes => {
                    let step = self
                        .draft
                        .step(Verb::Update, resource, "the mesh will change");
                    self.draft.until(step, Until::Outdated);
                    step
                }
                Some(_) => continue,
            };
            for need in self.desired.needs(&id) {
                self.after_maker(step, need);
            }
        }
    }

    /// Whether a step of this plan makes a peer or removes one. Nothing less: a plan in which
    /// nothing is done would be complete at once, again and again.
    fn mesh_changes(&self) -> bool {
        self.draft.has(Kind::Peer) || self.somebody_leaves()
    }
}
