//! The mesh while a plan is carried out: whoever is met or parts changes the links of all others.
//!
//! Links are made as soon as a machine has its own key, from what is known by then, and brought up
//! to date whenever more is known: nobody waits for a machine that is slow or lost. Does not know
//! which tunnels a table means; `crate::mesh` does.

use super::stage::{Ask, Stage};
use super::{Executor, Outside};
use crate::journal::Entry;
use crate::mesh::{MeshKey, PeerFact, table_print};
use crate::plan::Until;
use crate::resource::{Kind, ResourceId, Spec};
use crate::seam::{Reply, Verb};
use crate::time::Span;

/// How long news of the mesh is gathered before a machine is told: machines that are made together
/// come up together.
const GATHER: Span = Span::from_secs(1);

impl Executor {
    /// A machine's own end of the mesh is made: with this key.
    pub(super) fn met(&mut self, step: u32, reply: &Reply, outside: &mut Outside<'_>) {
        let what = &self.plan.steps[step as usize];
        if what.kind != Kind::Peer || !matches!(what.verb, Verb::Create | Verb::Update) {
            return;
        }
        let Reply::Host(view) = reply else {
            panic!("{} is answered by what is on the machine", what.title());
        };
        let key = view
            .mesh_key
            .unwrap_or_else(|| panic!("{} is answered with a key", what.title()));
        let spec = what.desired.as_ref().map(|desired| &desired.spec);
        let spec = spec.expect("what is made has a spec");
        let peer = self.peer(&what.resource.machine(), spec, key);
        if outside.ledger.peers.get(&peer.machine) != Some(&peer) {
            outside.record(Entry::Met { peer });
            self.refresh_links(outside);
        }
    }

    fn peer(&self, machine: &ResourceId, spec: &Spec, key: MeshKey) -> PeerFact {
        let reach = self.addresses.reach(machine);
        PeerFact::new(machine, spec, key, reach).expect("a mesh peer has a mesh peer's spec")
    }

    /// A machine is gone, and its end of the mesh with it.
    pub(super) fn parted(&mut self, machine: &ResourceId, outside: &mut Outside<'_>) {
        if outside.ledger.peers.contains_key(machine) {
            outside.record(Entry::Parted {
                machine: machine.clone(),
            });
            self.drop_links_of(machine, outside);
            self.refresh_links(outside);
        }
    }

    /// A machine that is gone needs no links any more: what waits to make them has nothing to do.
    fn drop_links_of(&mut self, machine: &ResourceId, outside: &mut Outside<'_>) {
        let links = machine.child("links");
        for step in 0..self.steps.len() as u32 {
            let stage = self.steps[step as usize].stage();
            let waits = matches!(stage, Stage::Waiting(Ask::Act) | Stage::Queued(Ask::Act));
            if waits && self.plan.steps[step as usize].resource == links {
                self.done(step, outside);
            }
        }
    }

    /// Whether a step makes links of a machine that is gone.
    pub(super) fn baseless(&self, step: u32, outside: &Outside<'_>) -> bool {
        let what = &self.plan.steps[step as usize];
        let peers = &outside.ledger.peers;
        what.kind == Kind::Links
            && what.verb != Verb::Delete
            && !peers.contains_key(&what.resource.machine())
    }

    /// Whether a step has nothing to do unless the mesh changes while the plan is carried out.
    pub(super) fn dormant(&self, step: u32) -> bool {
        self.plan.steps[step as usize].until == Some(Until::Outdated)
    }

    /// Links that were made from what is not true any more are made again.
    fn refresh_links(&mut self, outside: &mut Outside<'_>) {
        for step in 0..self.steps.len() as u32 {
            self.refresh(step, outside);
        }
    }

    /// Makes a step again that is done and out of date.
    pub(super) fn refresh(&mut self, step: u32, outside: &mut Outside<'_>) {
        let done = self.steps[step as usize].stage() == Stage::Done;
        let links = self.plan.steps[step as usize].kind == Kind::Links
            && self.plan.steps[step as usize].verb.mutates()
            && self.plan.steps[step as usize].verb != Verb::Delete;
        let table = table_print(&outside.ledger.peers);
        if !done
            || !links
            || self.cancelled
            || self.baseless(step, outside)
            || self.steps[step as usize].told == Some(table)
        {
            return;
        }
        let state = &mut self.steps[step as usize];
        state.begun = None;
        state.failures = 0;
        state.last = None;
        self.open += 1;
        self.summary.done -= 1;
        self.wait(step, Ask::Act, GATHER, outside);
    }
}
