//! etcd's membership: remove the dead first, add one at a time, remove the surplus last.
//!
//! At 3 voters of which 2 are healthy, only removing the dead one is allowed; at 5 of which 4 are,
//! both orders keep one failure tolerated on new etcd and only remove-first is legal on old ones.
//! So removing the dead first is never worse. A live member leaves only after its successor is in.

use super::Build;
use super::nodes::removal;
use crate::manifest::Role;
use crate::plan::condition::Condition;
use crate::plan::draft::Ref;
use crate::resource::{Kind, ResourceId};
use crate::seam::{MemberView, Verb};
use crate::timing::Timing;
use std::sync::Arc;

impl Build<'_> {
    /// Removes members whose machine is lost or was never there, and a learner that nobody wants
    /// any more: etcd takes no other in beside it.
    pub(super) fn remove_dead_members(&mut self) {
        let Some(cluster) = self.cluster() else {
            return;
        };
        for member in &cluster.members {
            let machine = &member.machine;
            let why = match self.conditions.get(machine) {
                Some(Condition::Dead(reason)) => format!("its machine is lost: {reason}"),
                Some(Condition::Missing) => "its machine does not exist".to_owned(),
                None if member.learner => "not in the manifest, and has no vote".to_owned(),
                None if !member.healthy && !self.seen.answers(machine) => {
                    "not in the manifest, and not healthy".to_owned()
                }
                Some(Condition::Fine | Condition::Young | Condition::Held(_)) | None => continue,
            };
            let step = self.remove(machine, &why);
            self.draft.name(&removal(machine), step);
        }
    }

    fn remove(&mut self, machine: &ResourceId, why: &str) -> Ref {
        let target = (&machine.child("etcd"), Kind::EtcdMember, "");
        let step = self.draft.bare(Verb::RemoveMember, target, why);
        self.serialise(step);
        step
    }

    /// Founds the cluster, unless there is or may be one.
    pub(super) fn found(&mut self) {
        let history = &self.seen.history;
        if self.seen.cluster.is_some() || history.founded {
            if self.cluster().is_none() {
                let id = self.desired.topology.id("etcd");
                self.draft
                    .hold(&id, "the cluster was founded and does not answer");
            }
            return;
        }
        let topology = Arc::clone(&self.desired.topology);
        // One that is ready before one that is still to be made: a provider that gives no machine
        // must not keep the others from beginning.
        let rank = |id: &ResourceId| match self.condition(id) {
            Condition::Fine => Some(0),
            Condition::Young => Some(1),
            Condition::Missing | Condition::Dead(_) => Some(2),
            Condition::Held(_) => None,
        };
        let tried = history
            .founder
            .iter()
            .find(|id| topology.node(id).is_some());
        let first = || {
            let ids = topology.with(Role::ControlPlane).map(|node| &node.id);
            ids.filter_map(|id| Some((rank(id)?, id)))
                .min()
                .map(|(_, id)| id)
        };
        let Some(founder) = tried.or_else(first) else {
            return;
        };
        let id = founder.child("etcd");
        let resource = self.desired(&id);
        let timing = Timing::of(&topology.manifest);
        let mut why = "the first member founds the cluster".to_owned();
        if !timing.is_default() {
            why.push_str(&format!(", with {}", timing.reason()));
        }
        let init = self.draft.step(Verb::Init, resource, &why);
        for need in self.desired.needs(&id) {
            self.after_maker(init, need);
        }
        self.founding = Some(init);
        self.serialise(init);
        self.install(&founder.child("control-plane"), Some(init));
    }

    /// Adds missing members one at a time, and their API servers.
    pub(super) fn add_members(&mut self) {
        if !self.cluster_usable() {
            return;
        }
        let members = self.cluster().map_or(&[][..], |view| &view.members);
        let stuck = members
            .iter()
            .find(|member| member.learner && self.is_held(&member.machine));
        let topology = Arc::clone(&self.desired.topology);
        let member_of = |id: &ResourceId| members.iter().find(|member| member.machine == *id);
        // A learner that an earlier run took in comes first: etcd holds one at a time. Those that
        // are in get another version before others join with it.
        let mut nodes: Vec<_> = topology.with(Role::ControlPlane).collect();
        nodes.sort_by_key(|node| match member_of(&node.id) {
            Some(member) if member.learner => 0,
            Some(_) => 1,
            None => 2,
        });
        for node in nodes {
            let member = member_of(&node.id);
            let founds = self
                .founding
                .is_some_and(|f| self.draft.get(f).resource.machine() == node.id);
            if self.is_held(&node.id) || founds {
                continue;
            }
            if let (Some(stuck), None) = (stuck, member) {
                let id = node.id.child("etcd");
                self.draft.hold(
                    &id,
                    format!("{} is a learner and does not answer", stuck.machine),
                );
                continue;
            }
            self.add_member(&node.id, member);
        }
    }

    fn is_held(&self, machine: &ResourceId) -> bool {
        matches!(self.condition(machine), Condition::Held(_))
    }

    fn add_member(&mut self, machine: &ResourceId, member: Option<&MemberView>) {
        let id = machine.child("etcd");
        let resource = self.desired(&id);
        let dead = self.draft.maker(&removal(machine)).is_some();
        let member = member.filter(|_| !dead);
        let voter = member.is_some_and(|member| !member.learner);
        if voter && member.is_some_and(|member| member.started) {
            return self.renew_plane(machine);
        }
        let mut last = None;
        if !member.is_some_and(|member| member.started) {
            if let Some(skew) = self.skew.clone() {
                return self.draft.hold(&id, skew);
            }
            let add = self.draft.step(Verb::AddLearner, resource, "absent");
            for need in self.desired.needs(&id) {
                self.after_maker(add, need);
            }
            self.after_founding(add);
            if let Some(renewed) = self.planes_last {
                self.draft.after(add, renewed);
            }
            if let Some(removed) = self.draft.maker(&removal(machine)) {
                self.draft.after(add, removed);
            }
            self.serialise(add);
            last = Some(add);
        }
        if !voter {
            let promote = self
                .draft
                .step(Verb::Promote, resource, "a learner becomes a voter");
            if let Some(add) = last {
                self.draft.after(promote, add);
            }
            self.serialise(promote);
            self.entering.push(promote);
            last = Some(promote);
        }
        if let Some(join) = self.install(&machine.child("control-plane"), last) {
            self.entering.push(join);
        }
    }

    fn after_founding(&mut self, step: Ref) {
        if let Some(founding) = self.founding {
            self.draft.after(step, founding);
        }
    }

    /// Lets healthy members go that are not desired any more, once their successors are in.
    pub(super) fn remove_surplus_members(&mut self) {
        let Some(cluster) = self.cluster() else {
            return;
        };
        for member in &cluster.members {
            let machine = &member.machine;
            let wanted = self.desired.get(&machine.child("etcd")).is_some();
            if wanted || self.draft.maker(&removal(machine)).is_some() {
                continue;
            }
            let target = (&machine.child("etcd"), Kind::EtcdMember, "");
            let why = "not in the manifest";
            let hand_over = self
                .draft
                .bare(Verb::MoveLeader, target, "its member is to leave");
            for entered in self.entering.clone() {
                self.draft.after(hand_over, entered);
            }
            for balanced in self.rebalanced.clone() {
                self.draft.settled(hand_over, balanced);
            }
            self.serialise(hand_over);
            let remove = self.remove(machine, why);
            self.draft.after(remove, hand_over);
            self.draft.name(&removal(machine), remove);
        }
    }
}
