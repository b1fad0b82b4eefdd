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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::WorldSettings;
    use quorate_engine::engine::Mode;
    use quorate_engine::manifest;
    use quorate_engine::random::Seed;
    use quorate_engine::time::{Span, Time};

    const THREE_CLOUDS: &str = include_str!("../../../scenarios/manifests/three-clouds.yaml");

    /// A cluster that is as desired and looked at again and again.
    fn built() -> World {
        let loaded = manifest::load(THREE_CLOUDS.as_bytes(), None);
        let interval = Span::from_secs(30);
        let mut world = World::new(&WorldSettings {
            manifest: Arc::new(loaded.manifest.expect("the manifest is sound")),
            seed: Seed(5),
            mode: Mode::Keep { interval },
            patience: Span::from_secs(300),
            restart: Span::from_secs(5),
        });
        world.start_orchestrator();
        let limit = Time(4 * 3_600 * 1_000_000_000);
        world.run_until(limit, |world| world.converged_at().is_some());
        assert!(world.converged_at().is_some() && world.watch().violations().is_empty());
        world
    }

    /// Pairs that are found to be apart when the orchestrator has looked again.
    fn apart(world: &mut World) -> Vec<String> {
        let later = world.now() + Span::from_secs(90);
        world.run(later);
        let violations = world.watch().violations().iter();
        violations
            .map(|violation| {
                assert_eq!(violation.invariant, Invariant::Mesh);
                violation.text.clone()
            })
            .collect()
    }

    #[test]
    fn a_tunnel_that_is_missing_when_all_is_said_to_be_well_is_a_violation() {
        type Peers = Arc<[PeerFact]>;
        type Loss = fn(&Peers, &ResourceId) -> Peers;
        let knows_nobody = |_: &Peers, _: &ResourceId| Arc::default();
        let knows_another_key = |told: &Peers, other: &ResourceId| {
            let mut told = told.to_vec();
            let peer = told.iter_mut().find(|peer| peer.machine == *other);
            peer.expect("it was told of all").key = MeshKey([1; 32]);
            told.into()
        };
        // What one machine forgets behind the orchestrator's back, and whether of one or of all.
        let cases: [(Loss, bool); 2] = [(knows_nobody, true), (knows_another_key, false)];
        for (forget, of_all) in cases {
            let mut world = built();
            assert_eq!(apart(&mut world), [""; 0], "nothing is missing yet");
            let ours = world.control.engine.as_ref().expect("it keeps looking");
            let ours: Vec<_> = ours.ledger().prepared.iter().cloned().collect();
            let find = |machine| world.stage.find(machine).expect("it was made");
            let hosts: Vec<u16> = ours.iter().map(find).collect();
            let end = &mut world.stage.host_mut(hosts[0]).mesh;
            end.peers = forget(&end.peers, &ours[1]);
            let said = apart(&mut world);
            let others = if of_all { &hosts[1..] } else { &hosts[1..2] };
            assert_eq!(said.len(), others.len(), "{said:?}");
            for other in others {
                let names = [hosts[0], *other].map(|host| world.stage.label(host));
                let both = |text: &String| names.iter().all(|name| text.contains(name));
                assert!(said.iter().any(both), "{names:?}: {said:?}");
            }
        }
    }
}
