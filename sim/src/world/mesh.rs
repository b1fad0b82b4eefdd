//! Who has a tunnel to whom: two machines reach each other over the mesh once each knows the key
//! that the other has.
//!
//! Knows nothing of packets: whether a path carries them is the network's.

use super::World;
use super::stage::Stage;
use super::watch::Invariant;
use quorate_engine::mesh::{MeshKey, PeerFact};
use quorate_engine::resource::ResourceId;
use std::sync::Arc;

/// A machine's end of the mesh.
#[derive(Debug, Clone, Default)]
pub(crate) struct MeshEnd {
    /// Its own public key.
    key: Option<MeshKey>,
    /// Whom it was told of.
    peers: Arc<[PeerFact]>,
}

impl MeshEnd {
    fn knows(&self, machine: &ResourceId, key: MeshKey) -> bool {
        let known = self
            .peers
            .binary_search_by(|peer| peer.machine.cmp(machine));
        known.is_ok_and(|at| self.peers[at].key == key)
    }
}

impl Stage {
    /// Whether two machines have a tunnel between them.
    pub(crate) fn linked(&self, a: u16, b: u16) -> bool {
        let knows = |a: u16, b: u16| {
            let (Some(a), Some(b)) = (self.host(a), self.host(b)) else {
                return false;
            };
            b.mesh.key.is_some_and(|key| a.mesh.knows(&b.machine, key))
        };
        a == b || (knows(a, b) && knows(b, a))
    }
}

impl World {
    /// A machine got its key, or was told of others.
    pub(super) fn mesh_changed(&mut self, machine: &ResourceId, host: u16) {
        let (key, peers) = self.cloud.mesh(machine);
        self.stage.host_mut(host).mesh = MeshEnd { key, peers };
    }

    /// Every two machines that run and are reached have a tunnel, whenever the orchestrator says
    /// that nothing is left to do.
    pub(super) fn check_mesh(&mut self) {
        let Some(engine) = &self.control.engine else {
            return;
        };
        // Hosts of one's own that were reset are none of ours.
        let ours = &engine.ledger().prepared;
        let machines = self.stage.by_machine.iter();
        let hosts: Vec<u16> = machines
            .filter(|(machine, _)| ours.contains(*machine))
            .map(|(_, host)| *host)
            .filter(|host| self.orchestrator_reaches(*host))
            .collect();
        let mut apart = Vec::new();
        for (n, a) in hosts.iter().enumerate() {
            for b in &hosts[n + 1..] {
                if !self.stage.linked(*a, *b) {
                    let name = |host: u16| self.stage.host(host).map(|host| host.label.clone());
                    let names = (name(*a), name(*b));
                    apart.push(names);
                }
            }
        }
        for (a, b) in apart {
            let text = format!(
                "{} and {} have no tunnel",
                a.unwrap_or_default(),
                b.unwrap_or_default()
            );
            self.watch.violated(Invariant::Mesh, self.stage.now(), text);
        }
    }
}
