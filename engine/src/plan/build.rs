//! The planner: from what is desired and what was seen to the steps between them.
//!
//! A list of rules, each a method; the order of the list is the order of the arguments below:
//! what is shared, what is dead, what is new, what enters, what leaves. Pure, and blind to time.

mod entry;
mod leaving;
mod members;
mod mesh;
mod nodes;
mod upgrade;

pub(crate) use upgrade::{refused, same_version};

use super::condition::{Condition, conditions};
use super::draft::{Draft, Ref};
use super::index::Index;
use super::{MemberChange, Plan, Slack};
use crate::drift::drift;
use crate::graph::Desired;
use crate::observed::{Observed, Sight};
use crate::quorum;
use crate::resource::{Resource, ResourceId};
use crate::seam::{ClusterView, MemberView, Verb};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Plans the way from what was seen to what is desired.
#[must_use]
pub fn plan(desired: &Desired, seen: &Observed) -> Plan {
    let index = Index::of(seen);
    let mut build = Build {
        desired,
        seen,
        conditions: conditions(desired, seen, &index),
        index,
        draft: Draft::default(),
        founding: None,
        members_last: None,
        entering: Vec::new(),
        rebalanced: Vec::new(),
        planes_last: None,
        skew: None,
    };
    build.skew = build.find_skew();
    build.hold_silent();
    build.shared();
    build.remove_dead_members();
    build.machines();
    build.links();
    build.api_proxies();
    build.found();
    build.add_members();
    build.workers();
    build.balancers();
    build.records();
    build.storage();
    build.remove_surplus_members();
    build.departures();
    build.unused_networks();
    let members = seen.cluster().map_or(&[][..], |view| &view.members);
    let before = (!members.is_empty()).then(|| quorum::slack(members));
    let mut plan = build.draft.finish(before);
    foresee_slack(&mut plan, members);
    plan
}

/// The plan so far, and what later rules need to know of earlier ones.
struct Build<'a> {
    desired: &'a Desired,
    seen: &'a Observed,
    index: Index<'a>,
    conditions: BTreeMap<ResourceId, Condition>,
    draft: Draft,
    /// The step that founds the cluster.
    founding: Option<Ref>,
    /// The last membership change: the next one waits for its end.
    members_last: Option<Ref>,
    /// Steps that bring control planes in: surplus members leave only after them.
    entering: Vec<Ref>,
    /// Steps that change balancers: what leaves waits until nobody sends to it any more.
    rebalanced: Vec<Ref>,
    /// The last change of a control plane that is in.
    planes_last: Option<Ref>,
    /// Why nothing of Kubernetes may be made or changed.
    skew: Option<String>,
}

impl<'a> Build<'a> {
    fn condition(&self, machine: &ResourceId) -> &Condition {
        self.conditions.get(machine).unwrap_or(&Condition::Fine)
    }

    fn desired(&self, id: &ResourceId) -> &'a Arc<Resource> {
        self.desired
            .get(id)
            .unwrap_or_else(|| panic!("{id} is not in the desired graph"))
    }

    /// The cluster, if there is one and it answers.
    fn cluster(&self) -> Option<&'a ClusterView> {
        self.seen.cluster()
    }

    /// Whether the cluster's own lane can be used: it answers, or this plan founds it.
    fn cluster_usable(&self) -> bool {
        self.cluster().is_some() || self.founding.is_some()
    }

    fn hold_silent(&mut self) {
        for (machine, condition) in &self.conditions {
            if let Condition::Held(reason) = condition {
                self.draft.hold(machine, reason.clone());
            }
        }
    }

    /// Networks and firewalls.
    fn shared(&mut self) {
        let shared = |resource: &&&Arc<Resource>| {
            matches!(
                resource.spec,
                crate::resource::Spec::Network { .. } | crate::resource::Spec::Firewall { .. }
            )
        };
        let resources: Vec<_> = self.desired.resources().collect();
        for resource in resources.iter().filter(shared) {
            self.at_provider(resource);
        }
    }

    /// Creates or updates something that lives at a provider's API.
    fn at_provider(&mut self, resource: &Arc<Resource>) {
        match self.index.sight(&resource.provider, &resource.id) {
            Sight::Blind(fault) => {
                let reason = format!(
                    "the API of {} does not answer ({}), so nothing is made or replaced there",
                    resource.provider, fault.detail
                );
                self.draft.hold(&resource.id, reason);
            }
            Sight::Absent => {
                self.draft.step(Verb::Create, resource, "absent");
            }
            Sight::Seen(seen) if seen.fingerprint != resource.spec.fingerprint() => {
                self.draft
                    .step(Verb::Update, resource, "differs from the manifest");
            }
            Sight::Seen(seen) => {
                let drift = drift(&resource.spec, seen);
                if !drift.is_empty() {
                    let fields: Vec<_> = drift.iter().map(ToString::to_string).collect();
                    let why = format!("changed by somebody else: {}", fields.join("; "));
                    self.draft.step(Verb::Update, resource, &why);
                }
            }
        }
    }

    /// One membership change after the other: etcd takes one learner at a time.
    fn serialise(&mut self, step: Ref) {
        if let Some(last) = self.members_last.replace(step) {
            self.draft.settled(step, last);
        }
    }

    /// `later` needs the resource, if this plan makes it.
    fn after_maker(&mut self, later: Ref, id: &ResourceId) {
        if let Some(maker) = self.draft.maker(id) {
            self.draft.after(later, maker);
        }
    }
}

/// Says in each step that changes the membership how much slack it leaves.
fn foresee_slack(plan: &mut Plan, members: &[MemberView]) {
    let mut voters: BTreeMap<ResourceId, bool> = members
        .iter()
        .filter(|member| !member.learner)
        .map(|member| (member.machine.clone(), member.healthy))
        .collect();
    for step in &mut plan.steps {
        match (&step.change, step.verb) {
            (None, Verb::Init) => {
                voters.insert(step.resource.machine(), true);
            }
            (None, _) => continue,
            (Some(MemberChange::Promote(machine)), _) => {
                voters.insert(machine.clone(), true);
            }
            (Some(MemberChange::Remove(machine)), _) => {
                voters.remove(machine);
            }
            (
                Some(
                    MemberChange::AddLearner(_)
                    | MemberChange::MoveLeader(_)
                    | MemberChange::Restart(_),
                ),
                _,
            ) => {}
        }
        let healthy = voters.values().filter(|healthy| **healthy).count() as u32;
        step.slack = Some(Slack {
            voters: voters.len() as u32,
            healthy,
        });
    }
}
