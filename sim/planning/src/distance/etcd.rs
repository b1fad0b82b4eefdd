//! How long etcd takes for a commit, and the API for an answer.
//!
//! A leader commits when a majority has the entry on disk: one round trip to the follower that
//! completes it, and that follower's synced write (etcd.io, performance). A consistent read asks the
//! leader, which makes sure by a round trip to a majority that it still is one; a read from an API
//! server's cache asks nobody.

use super::Latency;
use super::places::{Place, round_trip};
use crate::data::Data;
use crate::design::{Design, DomainKind, Lost};
use quorate_engine::manifest::{LbKind, Role};
use quorate_engine::topology::Node;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeSet;

/// What etcd takes.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Etcd {
    /// Members.
    pub members: usize,
    /// By place of the leader.
    pub commits: Vec<Commit>,
    /// The longest commit without each provider that has a member.
    pub without: Vec<WithoutProvider>,
    /// The longest round trip between two members.
    pub farthest: Latency,
}

/// A commit while the leader is at one place.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Commit {
    /// The leader's machine.
    pub leader: String,
    /// Its region.
    pub place: String,
    /// The member whose answer completes the quorum; none: the leader alone is one.
    pub completes: Option<String>,
    /// How long it takes.
    pub latency: Latency,
}

/// Commits without a provider.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct WithoutProvider {
    /// The provider's name.
    pub provider: String,
    /// The longest commit, over all places of the leader; none: no quorum is left.
    pub worst: Option<Latency>,
}

/// How long the API takes, from an entry point's machine on.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ApiLatency {
    /// The region of the entry point.
    pub place: String,
    /// A read from the API server's cache, mean over API servers.
    pub read: Latency,
    /// A consistent read, mean over API servers and leaders.
    pub consistent_read: Latency,
    /// A write, mean over API servers and leaders.
    pub write: Latency,
    /// A write at the worst of them.
    pub worst_write: Latency,
}

fn members(design: &Design, lost: &Lost) -> Vec<usize> {
    let all = design.with(Role::ControlPlane);
    all.filter(|at| lost.leaves(*at)).collect()
}

/// The round trip that completes a quorum of `of` members, and who completes it; none: too few.
fn quorum<'a>(
    design: &'a Design,
    leader: usize,
    alive: &[usize],
    of: usize,
) -> Option<(Latency, Option<&'a Node>)> {
    let nodes = design.nodes();
    let mut followers: Vec<(Latency, &Node)> = alive
        .iter()
        .filter(|at| **at != leader)
        .map(|at| (round_trip(design, &nodes[leader], &nodes[*at]), &nodes[*at]))
        .collect();
    followers.sort_by(|a, b| a.0.order(&b.0).then_with(|| a.1.id.cmp(&b.1.id)));
    match of / 2 {
        0 => Some((Latency::NONE, None)),
        needed => followers
            .get(needed - 1)
            .map(|(latency, node)| (*latency, Some(*node))),
    }
}

/// What etcd takes in this design.
pub(super) fn of(design: &Design, data: &Data) -> Option<Etcd> {
    let all = members(design, &Lost::default());
    if all.is_empty() || design.manifest.spec.kubernetes.is_none() {
        return None;
    }
    let fsync = data.assumption("etcd.fsync").value;
    let nodes = design.nodes();
    let commit = |leader: &usize| {
        let (latency, completes) = quorum(design, *leader, &all, all.len())?;
        Some(Commit {
            leader: nodes[*leader].id.to_string(),
            place: Place::of(&nodes[*leader]).name(),
            completes: completes.map(|node| node.id.to_string()),
            latency: latency.plus(fsync),
        })
    };
    let providers: BTreeSet<&str> = all.iter().map(|at| nodes[*at].provider.as_str()).collect();
    let without = providers.into_iter().map(|provider| {
        let domain = design.domain(DomainKind::Provider, provider);
        let lost = design.lost(&[domain.expect("a provider with machines is a domain")]);
        let alive = members(design, &lost);
        let commits = alive.iter();
        let commits = commits.filter_map(|leader| quorum(design, *leader, &alive, all.len()));
        let enough = alive.len() > all.len() / 2;
        let worst = commits.map(|(latency, _)| latency).max_by(Latency::order);
        WithoutProvider {
            provider: provider.to_owned(),
            worst: worst.filter(|_| enough).map(|latency| latency.plus(fsync)),
        }
    });
    let pairs = all.iter().flat_map(|a| all.iter().map(move |b| (*a, *b)));
    let trips = pairs.map(|(a, b)| round_trip(design, &nodes[a], &nodes[b]));
    Some(Etcd {
        members: all.len(),
        commits: all.iter().filter_map(commit).collect(),
        without: without.collect(),
        farthest: trips.max_by(Latency::order).unwrap_or(Latency::NONE),
    })
}

/// Where requests to the API come in: at load balancers for it, else at the API servers themselves.
fn entries(design: &Design) -> Vec<&Node> {
    let balancers = design.manifest.spec.load_balancers.iter();
    let api = balancers.filter(|one| one.roles.iter().any(|role| role.kind == LbKind::Api));
    let mut carriers: Vec<&Node> = api
        .flat_map(|balancer| design.topology.carriers(balancer))
        .collect();
    if carriers.is_empty() {
        carriers = design.topology.with(Role::ControlPlane).collect();
    }
    carriers
}

/// How long the API takes, by place of the entry point.
pub(super) fn api(design: &Design, data: &Data) -> Vec<ApiLatency> {
    let all = members(design, &Lost::default());
    if all.is_empty() || design.manifest.spec.kubernetes.is_none() {
        return Vec::new();
    }
    let service = data.assumption("api.service").value;
    let fsync = data.assumption("etcd.fsync").value;
    let nodes = design.nodes();
    let mut found: Vec<ApiLatency> = Vec::new();
    let mut seen = BTreeSet::new();
    for entry in entries(design) {
        // Entry points of one zone are equally far from everything.
        if !seen.insert((Place::of(entry), entry.zone.clone())) {
            continue;
        }
        let [mut reads, mut consistent, mut writes] = [(); 3].map(|()| Vec::new());
        for server in &all {
            let reached = round_trip(design, entry, &nodes[*server]).plus(service);
            reads.push(reached);
            for leader in &all {
                let asked = reached.then(round_trip(design, &nodes[*server], &nodes[*leader]));
                let (sure, _) = quorum(design, *leader, &all, all.len()).expect("all are there");
                consistent.push(asked.then(sure));
                writes.push(asked.then(sure).plus(fsync));
            }
        }
        let mean = |all: &[Latency]| Latency::mean(all).expect("there is an API server");
        let worst = writes.iter().copied().max_by(Latency::order);
        found.push(ApiLatency {
            place: Place::of(entry).name(),
            read: mean(&reads),
            consistent_read: mean(&consistent),
            write: mean(&writes),
            worst_write: worst.expect("there is an API server"),
        });
    }
    found.sort_by(|a, b| a.place.cmp(&b.place).then(b.write.order(&a.write)));
    found.dedup_by(|next, kept| next.place == kept.place);
    found
}
