//! A second opinion on every plan, before anything is done.
//!
//! Shares no rule with the planner: it reads the steps as a stranger would, walks every prefix,
//! and asks the quorum guard what each change of membership would leave. A problem it finds is
//! our own bug or a race with the world; either way the plan is not carried out.

use crate::observed::Observed;
use crate::plan::{MemberChange, Plan, Step};
use crate::quorum::{EtcdVersion, Policy, Refusal, judge};
use crate::resource::{Kind, ResourceId};
use crate::seam::{Lane, MemberView, NodeView, Verb};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Why a plan must not be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Index of the step.
    pub step: usize,
    /// What is wrong with it.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}: {}", self.step + 1, self.text)
    }
}

/// Everything that is wrong with a plan; nothing, if it may be carried out.
#[must_use]
pub fn check(plan: &Plan, seen: &Observed, version: EtcdVersion, policy: &Policy) -> Vec<Problem> {
    let mut check = Check {
        plan,
        seen,
        by_resource: index(plan),
        listed: seen.listed().map(|(_, seen)| &seen.id).collect(),
        held: plan.held.iter().map(|held| &held.resource).collect(),
        nodes: nodes(seen),
        problems: Vec::new(),
    };
    for (at, step) in plan.steps.iter().enumerate() {
        check.order(at, step);
        check.repetition(at, step);
        check.ground(at, step);
        check.removal(at, step);
        check.reach(at, step);
    }
    check.membership(version, policy);
    check.problems
}

type Index<'a> = BTreeMap<&'a ResourceId, Vec<usize>>;

fn index(plan: &Plan) -> Index<'_> {
    let mut index = Index::new();
    for (at, step) in plan.steps.iter().enumerate() {
        index.entry(&step.resource).or_default().push(at);
    }
    index
}

fn nodes(seen: &Observed) -> BTreeMap<&ResourceId, &NodeView> {
    let nodes = seen.cluster().map_or(&[][..], |cluster| &cluster.nodes);
    let ready = nodes.iter().rev().filter(|node| node.ready);
    ready.map(|node| (&node.machine, node)).collect()
}

struct Check<'a> {
    plan: &'a Plan,
    seen: &'a Observed,
    by_resource: Index<'a>,
    /// What any provider listed.
    listed: BTreeSet<&'a ResourceId>,
    /// What the plan leaves alone.
    held: BTreeSet<&'a ResourceId>,
    /// Nodes that work, by machine.
    nodes: BTreeMap<&'a ResourceId, &'a NodeView>,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn problem(&mut self, step: usize, text: impl Into<String>) {
        self.problems.push(Problem {
            step,
            text: text.into(),
        });
    }

    /// Steps come after what they wait for.
    fn order(&mut self, at: usize, step: &Step) {
        let late = step
            .after
            .iter()
            .chain(&step.settled)
            .find(|dep| **dep as usize >= at);
        if let Some(dep) = late {
            self.problem(
                at,
                format!("waits for step {}, which is not before it", dep + 1),
            );
        }
    }

    /// Nothing is done twice.
    fn repetition(&mut self, at: usize, step: &Step) {
        let same = |other: &usize| *other < at && self.plan.steps[*other].verb == step.verb;
        let twice = step.verb.mutates() && self.by_resource[&step.resource].iter().any(same);
        if twice {
            self.problem(at, format!("{} stands twice", step.title()));
        }
    }

    /// What is put on a machine finds there what it needs.
    fn ground(&mut self, at: usize, step: &Step) {
        let machine = step.resource.machine();
        let need = match (step.verb, step.kind) {
            (Verb::Create, Kind::Host) => (machine.clone(), Kind::Machine),
            (Verb::Create, Kind::Peer) => (machine.child("host"), Kind::Host),
            (Verb::Create, Kind::Links) => (machine.child("peer"), Kind::Peer),
            (Verb::Create, Kind::Worker | Kind::Balancer) | (Verb::AddLearner | Verb::Init, _) => {
                (machine.child("links"), Kind::Links)
            }
            // Another release is there before anything goes over to it.
            (
                Verb::Update | Verb::MoveLeader | Verb::Drain,
                Kind::ControlPlane | Kind::Worker | Kind::EtcdMember,
            ) => (machine.child("host"), Kind::Host),
            _ => return,
        };
        let makes = |index: &usize| {
            matches!(
                self.plan.steps[*index].verb,
                Verb::Create | Verb::Describe | Verb::Update
            )
        };
        let planned: Vec<usize> = self
            .by_resource
            .get(&need.0)
            .map(|steps| steps.iter().copied().filter(makes).collect())
            .unwrap_or_default();
        if planned.is_empty() {
            let exists = match need.1 {
                Kind::Machine => true, // an adapter finds out, and nothing is lost
                kind => self.seen.installed(&machine, kind).is_some(),
            };
            if !exists {
                self.problem(
                    at,
                    format!("{} needs {}, which nothing makes", step.title(), need.0),
                );
            }
        } else if !planned.iter().all(|dep| self.succeeds(at, *dep)) {
            self.problem(at, format!("{} does not wait for {}", step.title(), need.0));
        }
    }

    /// Whether `step` can only begin after `earlier` succeeded.
    fn succeeds(&self, step: usize, earlier: usize) -> bool {
        let mut open = vec![step];
        let mut known = BTreeSet::new();
        while let Some(next) = open.pop() {
            for dep in &self.plan.steps[next].after {
                let dep = *dep as usize;
                if dep == earlier {
                    return true;
                }
                if dep > earlier && known.insert(dep) {
                    open.push(dep);
                }
            }
        }
        false
    }

    /// A machine goes only after its member, and after its pods if it still works.
    fn removal(&mut self, at: usize, step: &Step) {
        if (step.verb, step.kind) != (Verb::Delete, Kind::Machine) {
            return;
        }
        let machine = &step.resource;
        if !self.listed.contains(machine) {
            self.problem(at, format!("{machine} is deleted, and nobody lists it"));
        }
        let Some(cluster) = self.seen.cluster() else {
            return;
        };
        if cluster
            .members
            .iter()
            .any(|member| member.machine == *machine)
        {
            self.must_follow(at, Verb::RemoveMember, &machine.child("etcd"));
        }
        let node = self.nodes.get(machine);
        if node.is_some_and(|node| !node.control_plane) && self.seen.answers(machine) {
            self.must_follow(at, Verb::Drain, &machine.child("worker"));
        }
    }

    fn must_follow(&mut self, at: usize, verb: Verb, id: &ResourceId) {
        let steps = self.by_resource.get(id).cloned().unwrap_or_default();
        let found = steps
            .into_iter()
            .find(|index| self.plan.steps[*index].verb == verb);
        if !found.is_some_and(|index| self.succeeds(at, index)) {
            let title = self.plan.steps[at].title();
            self.problem(at, format!("{title} does not wait for {verb} {id}"));
        }
    }

    /// Nothing is asked of a provider that did not answer, nor done to what is left alone.
    fn reach(&mut self, at: usize, step: &Step) {
        if let Lane::Provider(name) = &step.lane
            && let Some(Err(fault)) = self.seen.providers.get(&**name)
        {
            let title = step.title();
            self.problem(
                at,
                format!("{title} asks {name}, which did not answer ({fault})"),
            );
        }
        let host = step.resource.machine();
        if step.lane == Lane::Hosts && self.held.contains(&host) {
            self.problem(
                at,
                format!("{} touches {host}, which is left alone", step.title()),
            );
        }
    }

    /// Changes of membership come one after the other, and each leaves a quorum.
    fn membership(&mut self, version: EtcdVersion, policy: &Policy) {
        let mut view = self
            .seen
            .cluster()
            .map_or(Vec::new(), |view| view.members.clone());
        let mut last: Option<usize> = None;
        for (at, step) in self.plan.steps.iter().enumerate() {
            let founds = step.verb == Verb::Init;
            if step.change.is_none() && !founds {
                continue;
            }
            if let Some(last) = last.replace(at)
                && !step
                    .after
                    .iter()
                    .chain(&step.settled)
                    .any(|dep| *dep as usize == last)
            {
                self.problems.push(Problem {
                    step: at,
                    text: format!("{} may run beside step {}", step.title(), last + 1),
                });
            }
            if founds {
                if !view.is_empty() || self.seen.history.founded {
                    self.problem(at, "the cluster is founded a second time");
                }
                view.push(member(step.resource.machine(), true));
            }
            if let Some(change) = &step.change {
                match judge(change, &view, version, policy) {
                    // A silent voter may be back by then: the executor asks again, and waits.
                    Ok(_) | Err(Refusal::VoterAway { .. } | Refusal::JoinerUncovered { .. }) => {}
                    Err(refusal) => self.problem(at, refusal.to_string()),
                }
                project(change, &mut view);
            }
        }
    }
}

fn member(machine: ResourceId, leader: bool) -> MemberView {
    MemberView {
        machine,
        learner: false,
        started: true,
        healthy: true,
        leader,
    }
}

/// What a change makes of a membership, once it is through.
fn project(change: &MemberChange, view: &mut Vec<MemberView>) {
    match change {
        MemberChange::AddLearner(machine) => {
            let before = view.iter().find(|member| member.machine == *machine);
            let joined = MemberView {
                learner: before.is_none_or(|member| member.learner),
                ..member(machine.clone(), false)
            };
            view.retain(|member| member.machine != *machine);
            view.push(joined);
        }
        MemberChange::Promote(machine) => {
            view.iter_mut()
                .filter(|m| m.machine == *machine)
                .for_each(|m| m.learner = false);
        }
        MemberChange::MoveLeader(machine) => {
            let led = view
                .iter()
                .any(|member| member.machine == *machine && member.leader);
            let able = |m: &MemberView| !m.learner && m.healthy && m.machine != *machine;
            if led && let Some(successor) = view.iter().position(able) {
                for (index, member) in view.iter_mut().enumerate() {
                    member.leader = index == successor;
                }
            }
        }
        MemberChange::Remove(machine) => view.retain(|member| member.machine != *machine),
        MemberChange::Restart(_) => {}
    }
}

#[cfg(test)]
mod tests;
