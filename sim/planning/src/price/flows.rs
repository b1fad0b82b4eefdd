//! What leaves which machine for where, in GB over some hours: answers, copies of data, etcd.
//!
//! Requests that come in cost nothing at any provider of the tables; kubelets and API servers
//! exchange little beside the rest, and are left out. A pod's answer goes from its node to the
//! entry point over the mesh, and from there to the client. Knows no price.

use super::Unknown;
use super::place::Place;
use crate::data::{Data, Destination};
use crate::design::{Design, Lost};
use crate::placing::Placement;
use quorate_engine::manifest::{DataSet, Domain, Role, StorageEngine, Workload};
use quorate_engine::resource::ResourceId;
use quorate_engine::timing::Timing;
use quorate_engine::topology::{Node, Topology};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Why bytes travel.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// From an entry point to clients.
    Answers,
    /// From pods to an entry point.
    Pods,
    /// Copies of what is written to volumes.
    Replication,
    /// Copies that take the place of lost ones.
    Rebuild,
    /// Between members of etcd: an estimate.
    Etcd,
}

impl Purpose {
    /// As people say it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Answers => "answers to clients",
            Self::Pods => "pods to entry points",
            Self::Replication => "storage replication",
            Self::Rebuild => "replica rebuild",
            Self::Etcd => "etcd (estimate)",
        }
    }
}

/// A way on a bill.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way {
    /// Where it begins.
    pub(super) from: Place,
    /// What the bill calls it.
    pub(super) to: Destination,
    /// Where it ends; none: at clients.
    pub(super) there: Option<Place>,
    pub(super) purpose: Purpose,
}

/// GB by way and by the machine that sends them.
#[derive(Debug, Clone, Default)]
pub(super) struct Flows {
    pub(super) gb: BTreeMap<Way, BTreeMap<String, f64>>,
    pub(super) unknown: BTreeSet<Unknown>,
}

/// A machine with pods of a workload: its id, where it is, and its share of them.
type Home<'a> = (&'a str, Place, f64);

/// Where something is to be found, by share.
type Shares = BTreeMap<Place, f64>;

/// A design while some of it is lost, for some hours.
pub(super) struct Scene<'a> {
    design: &'a Design,
    data: &'a Data,
    lost: &'a Lost,
    hours: f64,
    /// Where pods are then.
    placement: Placement,
}

impl Flows {
    fn add(&mut self, node: (&str, &Place), to: Option<&Place>, purpose: Purpose, gb: f64) {
        let way = match to {
            None => Some(Destination::Internet),
            Some(there) => node.1.way_to(there),
        };
        let Some(way) = way else { return };
        if gb <= 0.0 {
            return;
        }
        // The zone it ends in decides nothing once the way is named.
        let there = to.cloned().map(|mut place| {
            place.zone = String::new();
            place
        });
        let mut from = node.1.clone();
        from.zone = String::new();
        let way = Way {
            from,
            to: way,
            there,
            purpose,
        };
        let senders = self.gb.entry(way).or_default();
        *senders.entry(node.0.to_owned()).or_default() += gb;
    }

    fn unknown(&mut self, what: String, fix: &str) {
        self.unknown.insert(Unknown {
            what,
            fix: fix.to_owned(),
        });
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (way, senders) in other.gb {
            let mine = self.gb.entry(way).or_default();
            for (node, gb) in senders {
                *mine.entry(node).or_default() += gb;
            }
        }
        self.unknown.extend(other.unknown);
    }
}

impl<'a> Scene<'a> {
    /// A design, without what is lost, for so many hours.
    pub(super) fn of(design: &'a Design, data: &'a Data, lost: &'a Lost, hours: f64) -> Self {
        let before = Placement::settled(design, &Lost::default());
        let placement = match lost.nodes.is_empty() {
            true => before,
            false => before.after(design, lost),
        };
        Self {
            design,
            data,
            lost,
            hours,
            placement,
        }
    }

    fn topology(&self) -> &Topology {
        &self.design.topology
    }

    fn pool(&self, node: &Node) -> String {
        self.topology().pool_name(node).to_owned()
    }

    fn seconds(&self) -> f64 {
        self.hours * 3_600.0
    }

    /// Machines with a role that are there.
    fn alive(&self, role: Role) -> Vec<(&str, Place)> {
        let nodes = self.design.with(role).filter(|at| self.lost.leaves(*at));
        let nodes = nodes.map(|at| &self.design.nodes()[at]);
        nodes
            .map(|node| (node.id.as_str(), Place::of(node)))
            .collect()
    }

    /// Everything that travels in these hours.
    pub(super) fn flows(&self) -> Flows {
        let mut flows = Flows::default();
        for (at, workload) in self.topology().manifest.spec.workloads.iter().enumerate() {
            let homes = self.homes(at);
            self.answers(workload, &homes, &mut flows);
            self.replication(workload, &homes, &mut flows);
        }
        self.etcd(&mut flows);
        flows
    }

    /// Machines on which a workload's pods are, by their share of them.
    fn homes(&self, workload: usize) -> Vec<Home<'_>> {
        let nodes = self.placement.nodes_of(workload);
        let all: u32 = nodes.values().sum();
        let home = |(at, pods): (usize, u32)| {
            let node = &self.design.nodes()[at];
            (
                node.id.as_str(),
                Place::of(node),
                f64::from(pods) / f64::from(all),
            )
        };
        nodes.into_iter().map(home).collect()
    }

    fn answers(&self, workload: &Workload, homes: &[Home<'_>], flows: &mut Flows) {
        let Some(traffic) = &workload.traffic else {
            return;
        };
        let Some(response) = traffic.response else {
            flows.unknown(
                format!("traffic of `{}`: what an answer weighs", workload.name),
                "`traffic.response` in the manifest",
            );
            return;
        };
        let per_second = traffic.rate.0 as f64 / 1_000.0 * response.0 as f64;
        let gb = per_second * self.seconds() / 1e9;
        let name = traffic.through.split('/').next().unwrap_or_default();
        let spec = &self.topology().manifest.spec;
        let Some(balancer) = spec.load_balancers.iter().find(|one| one.name == name) else {
            return;
        };
        let nodes = self.design.nodes().iter().enumerate();
        let there = nodes.filter(|(at, _)| self.lost.leaves(*at));
        let carries = |node: &Node| balancer.pools.contains(&self.pool(node));
        let carriers: Vec<_> = there.map(|(_, node)| node).filter(|n| carries(n)).collect();
        let mesh = gb * self.data.assumption("mesh.overhead").value;
        let each = 1.0 / carriers.len() as f64;
        for carrier in &carriers {
            let place = Place::of(carrier);
            flows.add(
                (carrier.id.as_str(), &place),
                None,
                Purpose::Answers,
                gb * each,
            );
            for (id, home, share) in homes {
                let gb = mesh * each * share;
                flows.add((*id, home), Some(&place), Purpose::Pods, gb);
            }
        }
    }

    /// Domains that can hold a copy, each with the places of its workers by share.
    fn domains(&self, spread: Domain) -> BTreeMap<String, Shares> {
        let mut domains: BTreeMap<String, Shares> = BTreeMap::new();
        for at in self
            .design
            .with(Role::Worker)
            .filter(|at| self.lost.leaves(*at))
        {
            let node = &self.design.nodes()[at];
            let places = domains.entry(node.domain(spread)).or_default();
            *places.entry(Place::of(node)).or_default() += 1.0;
        }
        for places in domains.values_mut() {
            let nodes: f64 = places.values().sum();
            places.values_mut().for_each(|share| *share /= nodes);
        }
        domains
    }

    fn replication(&self, workload: &Workload, homes: &[Home<'_>], flows: &mut Flows) {
        let spec = &self.topology().manifest.spec;
        let (Some(data), Some(storage)) = (workload.data, &spec.storage) else {
            return;
        };
        let Some(gb) = self.written(workload, data, flows) else {
            return;
        };
        let domains = self.domains(storage.spread);
        let copies = (storage.replicas as usize).min(domains.len());
        let others = copies.saturating_sub(1) as f64;
        let count = domains.len() as f64;
        let all = mixed(domains.values().map(|places| (places, 1.0)));
        for (id, home, share) in homes {
            let gb = gb * share;
            let own = self.domain_of(id, storage.spread);
            let rest = without(&all, domains.get(&own));
            match storage.engine {
                // One copy with the pod, the others anywhere else: the pod's node sends them all.
                StorageEngine::Longhorn => {
                    for (there, share) in &rest {
                        let gb = gb * others * share / (count - 1.0);
                        flows.add((*id, home), Some(there), Purpose::Replication, gb);
                    }
                }
                // To the primary copy, wherever it is; it sends the others.
                StorageEngine::RookCeph => {
                    for (there, share) in &rest {
                        let gb = gb * share / count;
                        flows.add((*id, home), Some(there), Purpose::Replication, gb);
                    }
                }
            }
        }
        if storage.engine == StorageEngine::RookCeph {
            self.primaries(&domains, &all, gb * others, flows, storage.spread);
        }
    }

    /// Copies that primaries send on, each domain being the primary's as often as any other.
    fn primaries(
        &self,
        domains: &BTreeMap<String, Shares>,
        all: &Shares,
        gb: f64,
        flows: &mut Flows,
        spread: Domain,
    ) {
        let workers = self.alive(Role::Worker);
        let count = domains.len() as f64;
        let mut sizes: BTreeMap<String, f64> = BTreeMap::new();
        for (id, _) in &workers {
            *sizes.entry(self.domain_of(id, spread)).or_default() += 1.0;
        }
        for (id, place) in &workers {
            let own = self.domain_of(id, spread);
            let sent = gb / count / sizes[&own];
            for (there, share) in without(all, domains.get(&own)) {
                let gb = sent * share / (count - 1.0);
                flows.add((*id, place), Some(&there), Purpose::Replication, gb);
            }
        }
    }

    fn domain_of(&self, id: &str, spread: Domain) -> String {
        let found = self.topology().node(&ResourceId::new(id));
        found.expect("the id is a node's").domain(spread)
    }

    /// What a workload writes, in GB on the wire for each copy.
    fn written(&self, workload: &Workload, data: DataSet, flows: &mut Flows) -> Option<f64> {
        let Some(writes) = data.writes else {
            flows.unknown(
                format!("replication of `{}`: how much it writes", workload.name),
                "`data.writes` in the manifest",
            );
            return None;
        };
        // A page, as the manifest's documentation says.
        let size = data.write_size.map_or(4_096.0, |size| size.0 as f64);
        let overhead = self.data.assumption("mesh.overhead").value;
        Some(writes.0 as f64 / 1_000.0 * size * self.seconds() * overhead / 1e9)
    }

    /// Copies of data sets that were in `gone`, made again from those that are left: among what is
    /// there if it has room for as many copies as before, else in `gone` when it is back.
    pub(super) fn rebuild(&self, whole: &Scene<'_>) -> Flows {
        let mut flows = Flows::default();
        let spec = &self.topology().manifest.spec;
        let Some(storage) = &spec.storage else {
            return flows;
        };
        let (left, before) = (self.domains(storage.spread), whole.domains(storage.spread));
        let lost = before.len() - left.len();
        let copies = (storage.replicas as usize).min(before.len());
        if lost == 0 || left.is_empty() {
            return flows;
        }
        let room = left.len() >= copies;
        let returned = before.iter().filter(|(name, _)| !left.contains_key(*name));
        let target = if room {
            mixed(
                left.values()
                    .map(|places| (places, 1.0 / left.len() as f64)),
            )
        } else {
            mixed(returned.map(|(_, places)| (places, 1.0 / lost as f64)))
        };
        let overhead = self.data.assumption("mesh.overhead").value;
        let senders = self.alive(Role::Worker);
        for data in spec.workloads.iter().filter_map(|workload| workload.data) {
            let share = copies as f64 * lost as f64 / before.len() as f64;
            let gb = data.size.0 as f64 * overhead * share / 1e9 / senders.len() as f64;
            for (id, place) in &senders {
                for (there, share) in &target {
                    flows.add((*id, place), Some(there), Purpose::Rebuild, gb * share);
                }
            }
        }
        flows
    }

    /// Entries and heartbeats from a leader, which any member is as often as any other, and answers.
    fn etcd(&self, flows: &mut Flows) {
        if self.topology().manifest.spec.kubernetes.is_none() {
            return;
        }
        let members = self.alive(Role::ControlPlane);
        let value = |key: &str| self.data.assumption(key).value;
        let nodes = (0..self.design.nodes().len()).filter(|at| self.lost.leaves(*at));
        let writes = value("etcd.writes.base") + value("etcd.writes.node") * nodes.count() as f64;
        let every = Timing::of(&self.topology().manifest).heartbeat;
        let beats = 1e9 / every.0.max(1) as f64;
        let beat = value("etcd.heartbeat.bytes");
        let entry = value("etcd.write.bytes");
        let there = writes * entry + beats * beat;
        let back = (writes + beats) * beat;
        let leads = 1.0 / members.len() as f64;
        for (from, (id, place)) in members.iter().enumerate() {
            for (to, (_, other)) in members.iter().enumerate() {
                if from != to {
                    let gb = (there + back) * leads * self.seconds() / 1e9;
                    flows.add((*id, place), Some(other), Purpose::Etcd, gb);
                }
            }
        }
    }
}

/// Shares of several places together, each weighed.
fn mixed<'a>(parts: impl Iterator<Item = (&'a Shares, f64)>) -> Shares {
    let mut all = Shares::new();
    for (places, weight) in parts {
        for (place, share) in places {
            *all.entry(place.clone()).or_default() += share * weight;
        }
    }
    all
}

/// What is left of the shares of all domains without one of them.
fn without(all: &Shares, own: Option<&Shares>) -> Shares {
    let mut rest = all.clone();
    for (place, share) in own.into_iter().flatten() {
        if let Some(left) = rest.get_mut(place) {
            *left = (*left - share).max(0.0);
        }
    }
    rest.retain(|_, share| *share > 1e-12);
    rest
}
