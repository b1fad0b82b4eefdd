//! A plan in the making: steps as nodes of a graph, edges hard or soft, put in order at the end.

use super::expected::{deadline, expected, reversibility};
use super::{Held, MemberChange, Plan, Slack, Step, Until};
use crate::resource::{Kind, Resource, ResourceId};
use crate::seam::{Lane, Verb};
use petgraph::Direction;
use petgraph::graph::{DiGraph, EdgeIndex, NodeIndex};
use petgraph::visit::EdgeRef as _;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How one step waits for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// It must have succeeded.
    After,
    /// It must have ended, well or badly.
    Settled,
}

/// A step that was put into the draft.
pub(super) type Ref = NodeIndex;

/// Steps and edges so far.
#[derive(Default)]
pub(super) struct Draft {
    graph: DiGraph<Step, Edge>,
    /// The edge from the second to the first, if there is one: a step that thousands wait for has
    /// too many to search.
    edges: BTreeMap<(Ref, Ref), EdgeIndex>,
    /// The last step that brings a resource into being, by resource.
    makers: BTreeMap<ResourceId, Ref>,
    pub(super) held: Vec<Held>,
}

impl Draft {
    /// Puts in a step on a desired resource.
    pub(super) fn step(&mut self, verb: Verb, resource: &Arc<Resource>, why: &str) -> Ref {
        let kind = resource.spec.kind();
        let lane = lane(kind, verb, &resource.provider);
        self.push(
            &resource.id,
            kind,
            verb,
            lane,
            Some(Arc::clone(resource)),
            why,
        )
    }

    /// Puts in a step on something that is not desired.
    pub(super) fn bare(
        &mut self,
        verb: Verb,
        (id, kind, provider): (&ResourceId, Kind, &str),
        why: &str,
    ) -> Ref {
        self.push(id, kind, verb, lane(kind, verb, provider), None, why)
    }

    fn push(
        &mut self,
        id: &ResourceId,
        kind: Kind,
        verb: Verb,
        lane: Lane,
        desired: Option<Arc<Resource>>,
        why: &str,
    ) -> Ref {
        let makes = matches!(
            verb,
            Verb::Create | Verb::Update | Verb::Init | Verb::Promote | Verb::Describe
        );
        let index = self.graph.add_node(Step {
            resource: id.clone(),
            kind,
            verb,
            lane,
            desired,
            reason: why.to_owned(),
            after: Vec::new(),
            settled: Vec::new(),
            reversible: reversibility(verb, kind),
            expected: expected(verb, kind),
            deadline: deadline(verb, kind),
            change: change(verb, id),
            slack: None,
            until: (verb == Verb::Describe).then_some(Until::Running),
        });
        if makes {
            self.makers.insert(id.clone(), index);
        }
        index
    }

    /// Changes what a waiting step waits for, and how long that usually takes.
    pub(super) fn until(&mut self, step: Ref, until: Until) {
        self.graph[step].until = Some(until);
        if let Until::Elapsed(span) = until {
            self.graph[step].expected = span;
            self.graph[step].deadline = span + span;
        }
    }

    /// A step is judged by the quorum guard as this change.
    pub(super) fn judged(&mut self, step: Ref, as_change: MemberChange) {
        self.graph[step].change = Some(as_change);
    }

    /// `later` needs `earlier` to succeed.
    pub(super) fn after(&mut self, later: Ref, earlier: Ref) {
        let edge = self.edge(later, earlier, Edge::After);
        if let Some(edge) = edge {
            self.graph[edge] = Edge::After;
        }
    }

    /// `later` waits for the end of `earlier`, however it ends.
    pub(super) fn settled(&mut self, later: Ref, earlier: Ref) {
        self.edge(later, earlier, Edge::Settled);
    }

    /// The edge between two steps, made with this weight where there is none. No step waits for
    /// itself.
    fn edge(&mut self, later: Ref, earlier: Ref, weight: Edge) -> Option<EdgeIndex> {
        if later == earlier {
            return None;
        }
        let graph = &mut self.graph;
        let edge = self.edges.entry((later, earlier));
        Some(*edge.or_insert_with(|| graph.add_edge(earlier, later, weight)))
    }

    /// The step that brings a resource into being, if this plan has one.
    pub(super) fn maker(&self, id: &ResourceId) -> Option<Ref> {
        self.makers.get(id).copied()
    }

    /// Makes a step known under a name, as if it brought that into being.
    pub(super) fn name(&mut self, id: &ResourceId, step: Ref) {
        self.makers.insert(id.clone(), step);
    }

    /// Whether a step makes, changes or removes something of a kind.
    pub(super) fn has(&self, kind: Kind) -> bool {
        let mut steps = self.graph.node_weights();
        steps.any(|step| step.kind == kind && step.verb.mutates())
    }

    /// Every step by which a node joins the cluster.
    pub(super) fn joins(&self) -> Vec<Ref> {
        let join = |index: &Ref| {
            let step = &self.graph[*index];
            step.verb == Verb::Create && matches!(step.kind, Kind::Worker | Kind::ControlPlane)
        };
        self.graph.node_indices().filter(join).collect()
    }

    /// The step itself.
    pub(super) fn get(&self, step: Ref) -> &Step {
        &self.graph[step]
    }

    /// Something is left alone.
    pub(super) fn hold(&mut self, resource: &ResourceId, reason: impl Into<String>) {
        self.held.push(Held {
            resource: resource.clone(),
            reason: reason.into(),
        });
    }

    /// Puts the steps in topological order; among those that are ready, the first put in goes first.
    ///
    /// # Panics
    /// If the edges have a cycle: every rule adds edges from what comes first to what comes later.
    pub(super) fn finish(self, slack: Option<Slack>) -> Plan {
        let graph = self.graph;
        let mut waits: Vec<usize> = graph
            .node_indices()
            .map(|n| graph.edges_directed(n, Direction::Incoming).count())
            .collect();
        let mut ready: BTreeSet<Ref> = graph
            .node_indices()
            .filter(|n| waits[n.index()] == 0)
            .collect();
        let mut order = Vec::with_capacity(graph.node_count());
        let mut place = vec![0u32; graph.node_count()];
        while let Some(next) = ready.pop_first() {
            place[next.index()] = order.len() as u32;
            order.push(next);
            for edge in graph.edges(next) {
                let left = &mut waits[edge.target().index()];
                *left -= 1;
                if *left == 0 {
                    ready.insert(edge.target());
                }
            }
        }
        assert_eq!(
            order.len(),
            graph.node_count(),
            "the draft of a plan has a cycle"
        );
        Plan {
            steps: placed(graph, &order, &place),
            held: self.held,
            slack,
        }
    }
}

/// The steps in their order, each with the places of those it waits for.
fn placed(graph: DiGraph<Step, Edge>, order: &[Ref], place: &[u32]) -> Vec<Step> {
    let (nodes, edges) = graph.into_nodes_edges();
    let mut steps: Vec<Option<Step>> = nodes.into_iter().map(|node| Some(node.weight)).collect();
    for edge in &edges {
        let before = place[edge.source().index()];
        let step = steps[edge.target().index()].as_mut();
        let step = step.expect("every step is still here");
        match edge.weight {
            Edge::After => step.after.push(before),
            Edge::Settled => step.settled.push(before),
        }
    }
    let placed = order.iter().map(|index| {
        let step = steps[index.index()].take();
        let mut step = step.expect("each step has one place");
        step.after.sort_unstable();
        step.settled.sort_unstable();
        step
    });
    placed.collect()
}

/// Whom a step asks.
fn lane(kind: Kind, verb: Verb, provider: &str) -> Lane {
    match (kind, verb) {
        (Kind::Network | Kind::Firewall | Kind::Machine | Kind::RecordSet, Verb::Drain) => {
            Lane::Cluster
        }
        (Kind::Network | Kind::Firewall | Kind::Machine | Kind::RecordSet, _) => {
            Lane::Provider(provider.into())
        }
        (Kind::Worker, Verb::Delete | Verb::Drain) => Lane::Cluster,
        (
            Kind::Host | Kind::Peer | Kind::Links | Kind::Balancer | Kind::ApiProxy | Kind::Worker,
            _,
        ) => Lane::Hosts,
        (Kind::EtcdMember | Kind::ControlPlane | Kind::StoragePool, _) => Lane::Cluster,
    }
}

fn change(verb: Verb, id: &ResourceId) -> Option<MemberChange> {
    let machine = id.machine();
    match verb {
        Verb::AddLearner => Some(MemberChange::AddLearner(machine)),
        Verb::Promote => Some(MemberChange::Promote(machine)),
        Verb::MoveLeader => Some(MemberChange::MoveLeader(machine)),
        Verb::RemoveMember => Some(MemberChange::Remove(machine)),
        Verb::List
        | Verb::Describe
        | Verb::Create
        | Verb::Update
        | Verb::Delete
        | Verb::Probe
        | Verb::Cluster
        | Verb::Init
        | Verb::Drain => None,
    }
}
