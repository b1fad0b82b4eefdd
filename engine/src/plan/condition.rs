//! The condition of each machine, judged from everything that was seen of it.
//!
//! Three sources say different things: the provider's API, the machine itself, and the cluster.
//! "I cannot reach it" is not "it is gone", and a provider whose API errs proves nothing.

use super::index::Index;
use crate::graph::Desired;
use crate::observed::{Observed, Sight};
use crate::resource::ResourceId;
use crate::seam::MachineState;
use crate::topology::Node;
use std::collections::{BTreeMap, BTreeSet};

/// What is to be done about a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// It answers.
    Fine,
    /// It exists and was never prepared: go on where the last run stopped.
    Young,
    /// It does not exist: make it.
    Missing,
    /// It is lost: remove what is left of it and make it again. Why.
    Dead(String),
    /// Leave it alone. Why.
    Held(String),
}

/// The conditions of all desired machines.
pub(super) fn conditions(
    desired: &Desired,
    seen: &Observed,
    index: &Index<'_>,
) -> BTreeMap<ResourceId, Condition> {
    let outages = outages(desired, seen);
    let nodes = desired.topology.nodes.iter();
    nodes
        .map(|node| (node.id.clone(), condition(node, (seen, index), &outages)))
        .collect()
}

fn condition(
    node: &Node,
    (seen, index): (&Observed, &Index<'_>),
    outages: &BTreeMap<&str, usize>,
) -> Condition {
    let existing = node.existing.as_deref();
    if let Some(other) = existing.and_then(|at| seen.history.taken(&node.id, at)) {
        return Condition::Held(format!(
            "its address is that of {other}: hosts go by their order, so put it back and remove or \
             add hosts at the end of the list only"
        ));
    }
    if seen.answers(&node.id) {
        return Condition::Fine;
    }
    let prepared = seen.history.prepared.contains(&node.id);
    if node.existing.is_some() {
        return match prepared || seen.hosts.contains_key(&node.id) {
            true => Condition::Held("a host of one's own that does not answer".to_owned()),
            false => Condition::Young,
        };
    }
    match index.sight(&node.provider, &node.id) {
        Sight::Blind(fault) => Condition::Held(format!(
            "the API of {} does not answer ({}), so nothing is made or replaced there",
            node.provider, fault.detail
        )),
        Sight::Absent if index.works(&node.id) => Condition::Held(format!(
            "{} does not list it, yet the cluster says it works",
            node.provider
        )),
        Sight::Absent if prepared => Condition::Dead(format!("gone from {}", node.provider)),
        Sight::Absent => Condition::Missing,
        Sight::Seen(seen_machine) => match seen_machine.state {
            MachineState::Stopped => Condition::Dead("it was stopped".to_owned()),
            MachineState::Error => Condition::Dead("it failed to come up".to_owned()),
            MachineState::Building => Condition::Young,
            MachineState::Running if !prepared => Condition::Young,
            MachineState::Running => silent(node, (seen, index), outages),
        },
    }
}

/// A machine that runs, says its provider, and does not answer.
fn silent(
    node: &Node,
    (seen, index): (&Observed, &Index<'_>),
    outages: &BTreeMap<&str, usize>,
) -> Condition {
    if let Some(machines) = outages.get(node.provider.as_str()) {
        return Condition::Held(format!(
            "none of the {machines} machines at {} answers: an outage or a partition, which heals; \
             {machines} machines did not break at once",
            node.provider
        ));
    }
    if index.works(&node.id) {
        return Condition::Held(
            "it does not answer here, yet the cluster says it works".to_owned(),
        );
    }
    if seen.history.lost.contains(&node.id) {
        return Condition::Dead("it has not answered for longer than the patience".to_owned());
    }
    Condition::Held("it does not answer; it is replaced if that lasts".to_owned())
}

/// Providers none of whose (two or more) prepared machines answers, with their number.
fn outages<'a>(desired: &'a Desired, seen: &Observed) -> BTreeMap<&'a str, usize> {
    let mut machines: BTreeMap<&str, BTreeSet<&ResourceId>> = BTreeMap::new();
    for node in &desired.topology.nodes {
        if seen.history.prepared.contains(&node.id) {
            machines.entry(&node.provider).or_default().insert(&node.id);
        }
    }
    machines.retain(|_, ids| ids.len() > 1 && ids.iter().all(|id| !seen.answers(id)));
    machines
        .into_iter()
        .map(|(provider, ids)| (provider, ids.len()))
        .collect()
}
