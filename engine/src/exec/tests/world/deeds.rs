//! What calls do to the small world, and what they are answered.
//!
//! Knows neither when an answer comes nor whether anybody hears it.

use super::World;
use crate::mesh::MeshKey;
use crate::plan::MemberChange;
use crate::quorum::slack;
use crate::resource::{Kind, ResourceId};
use crate::seam::{
    Call, ClusterView, Fault, FaultClass, HostView, Lane, MachineState, MemberView, Outcome, Reply,
    Seen, Verb,
};
use std::net::Ipv4Addr;

impl World {
    /// What a call does, and what it is answered.
    pub(super) fn take_effect(&mut self, call: &Call) -> Outcome {
        let id = &call.target;
        match call.verb {
            Verb::Create if matches!(call.lane, Lane::Provider(_)) => {
                if self.foreign.contains(id) {
                    return Err(Fault::new(FaultClass::Exists, "the name is taken"));
                }
                let copies = self.copies.entry(id.clone()).or_default();
                if !(self.keyed && copies.iter().any(|(key, _)| *key == call.key)) {
                    copies.push((call.key, self.now));
                }
                Ok(Reply::Seen(self.seen(id)))
            }
            Verb::Create | Verb::Update if call.kind == Kind::Peer => {
                let machine = id.machine();
                let fresh = MeshKey::simulated(&machine, call.key);
                Ok(Reply::Host(HostView {
                    installed: Vec::new(),
                    mesh_key: Some(*self.keys.entry(machine).or_insert(fresh)),
                }))
            }
            // Idempotent by nature: it is put there, or is there.
            Verb::Create | Verb::Update | Verb::Init | Verb::Drain => {
                let copies = self.copies.entry(id.clone()).or_default();
                if copies.is_empty() {
                    copies.push((call.key, self.now));
                }
                Ok(Reply::Done)
            }
            Verb::Describe if self.foreign.contains(id) => {
                Ok(Reply::Seen(self.seen(&ResourceId::new("elsewhere/cp/0"))))
            }
            Verb::Describe => Ok(if self.shows(id) {
                Reply::Seen(self.seen(id))
            } else {
                Reply::Absent
            }),
            Verb::Delete => {
                if matches!(call.kind, Kind::Machine | Kind::Host) {
                    self.keys.remove(&id.machine());
                }
                match self.copies.remove(id) {
                    Some(_) => Ok(Reply::Done),
                    None => Err(Fault::new(FaultClass::NotFound, "no such thing")),
                }
            }
            Verb::List => Ok(Reply::List(Vec::new())),
            Verb::Probe => Ok(Reply::Host(HostView::default())),
            Verb::Cluster => Ok(Reply::Cluster(ClusterView {
                members: self.members.clone(),
                ..ClusterView::default()
            })),
            Verb::AddLearner | Verb::Promote | Verb::MoveLeader | Verb::RemoveMember => {
                self.change_members(call)
            }
        }
    }

    /// etcd without any rule of its own: what is asked is done.
    fn change_members(&mut self, call: &Call) -> Outcome {
        let id = call.target.machine();
        let change = match call.verb {
            Verb::AddLearner => MemberChange::AddLearner(id),
            Verb::Promote => MemberChange::Promote(id),
            Verb::MoveLeader => MemberChange::MoveLeader(id),
            _ => MemberChange::Remove(id),
        };
        match &change {
            MemberChange::AddLearner(id) => {
                if self.members.iter().all(|m| m.machine != *id) {
                    self.members.push(MemberView {
                        machine: id.clone(),
                        learner: true,
                        started: true,
                        healthy: true,
                        leader: false,
                    });
                }
            }
            MemberChange::Promote(id) => {
                let mut members = self.members.iter_mut();
                let member = members.find(|m| m.machine == *id);
                member.expect("a learner").learner = false;
            }
            MemberChange::MoveLeader(id) => {
                let able = |m: &MemberView| m.healthy && !m.learner && m.machine != *id;
                let next = self.members.iter().position(able).expect("a successor");
                for (at, member) in self.members.iter_mut().enumerate() {
                    member.leader = at == next;
                }
            }
            MemberChange::Remove(id) => self.members.retain(|m| m.machine != *id),
            MemberChange::Restart(id) => panic!("{id} restarts over an update"),
        }
        self.worst = self.worst.min(slack(&self.members).tolerance());
        Ok(Reply::Done)
    }

    /// Whether a read shows it by now.
    pub(in super::super) fn shows(&self, id: &ResourceId) -> bool {
        let copies = self.copies.get(id);
        copies.is_some_and(|copies| copies.iter().any(|(_, at)| *at + self.lag <= self.now))
    }

    /// How many calls of this verb were made for it.
    pub(in super::super) fn count(&self, id: &ResourceId, verb: Verb) -> usize {
        let calls = self.calls.iter().map(|made| &made.call);
        calls
            .filter(|call| call.target == *id && call.verb == verb)
            .count()
    }

    fn seen(&self, id: &ResourceId) -> Seen {
        let made = self.copies.get(id).and_then(|copies| copies.first());
        let bare = made.is_some_and(|(_, at)| *at + self.bare > self.now);
        let address = Ipv4Addr::new(203, 0, 113, (id.number() % 250) as u8);
        Seen {
            id: id.clone(),
            kind: Kind::Machine,
            external: format!("ext-{id}"),
            fingerprint: 0,
            state: self
                .broken
                .get(id)
                .copied()
                .unwrap_or(MachineState::Running),
            address: (!bare).then_some(address),
            private: None,
            host_key: None,
            fields: std::collections::BTreeMap::new(),
        }
    }
}
