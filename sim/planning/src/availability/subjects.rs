//! What is asked about: etcd's quorum, the API, entry points, workloads, volumes; each as a formula.
//!
//! Event n is the n-th domain of the design. A node is gone when it fails or a domain around it
//! does. Knows no likelihoods; those of the domains that never fail by themselves are left out.

use crate::algebra::{EventId, Formula};
use crate::design::{Design, DomainKind};
use quorate_engine::manifest::{
    Domain, LbKind, LbRole, LoadBalancer, Resources, Role, Taint, TaintEffect, Workload,
};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeSet;

/// What is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    /// A majority of etcd members.
    Quorum,
    /// The Kubernetes API, as clients outside reach it.
    Api,
    /// An ingress role of a load balancer, with what is behind it.
    Ingress,
    /// A workload.
    Workload,
    /// A volume of a workload.
    Volume,
}

/// A subject and when it is down.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    pub(super) kind: SubjectKind,
    pub(super) name: String,
    pub(super) down: Formula,
    /// What the formula leaves out or assumes.
    pub(super) note: Option<String>,
}

/// Formulas of a design's parts.
pub(super) struct Parts<'a> {
    design: &'a Design,
    /// When each node is gone.
    gone: Vec<Formula>,
}

impl<'a> Parts<'a> {
    /// Of the domains that fail by themselves.
    pub(super) fn of(design: &'a Design, fails: impl Fn(usize) -> bool) -> Self {
        let mut around = vec![Vec::new(); design.nodes().len()];
        for (at, domain) in design
            .domains
            .iter()
            .enumerate()
            .filter(|found| fails(found.0))
        {
            for node in &domain.nodes {
                around[*node].push(Formula::Event(EventId(at)));
            }
        }
        let gone = around.into_iter().map(Formula::Any).collect();
        Self { design, gone }
    }

    fn all_gone(&self, nodes: impl IntoIterator<Item = usize>) -> Formula {
        Formula::All(nodes.into_iter().map(|at| self.gone[at].clone()).collect())
    }

    /// No majority of etcd members is left; none: there is no etcd.
    fn no_quorum(&self) -> Option<Formula> {
        let members: Vec<_> = self.design.with(Role::ControlPlane).collect();
        let size = members.len();
        let kubernetes = self.design.manifest.spec.kubernetes.is_some();
        (kubernetes && size > 0).then(|| {
            let lost = size - size / 2;
            let gone = members.into_iter().map(|at| self.gone[at].clone());
            Formula::AtLeast(lost as u32, gone.collect())
        })
    }

    /// No address of a load balancer answers, or no name leads to it.
    fn no_entry(&self, balancer: &LoadBalancer) -> Formula {
        let pools = &self.design.manifest.spec.node_pools;
        let nodes = self.design.nodes().iter().enumerate();
        let carriers = nodes.filter(|(_, node)| balancer.pools.contains(&pools[node.pool].name));
        let mut ways = vec![self.all_gone(carriers.map(|(at, _)| at))];
        let names = self.design.manifest.spec.dns.iter();
        let services: BTreeSet<_> = names
            .filter(|dns| dns.load_balancer == balancer.name)
            .map(|dns| dns.provider.as_str())
            .collect();
        let silent = services.iter().map(|service| self.silent(service));
        ways.extend((!services.is_empty()).then(|| Formula::All(silent.collect())));
        Formula::Any(ways)
    }

    /// A DNS service answers nobody: by itself, or by a cause that it shares.
    fn silent(&self, service: &str) -> Formula {
        let domains = self.design.domains.iter().enumerate();
        let of = domains.filter(|(_, domain)| domain.dns.contains(service));
        Formula::Any(of.map(|(at, _)| Formula::Event(EventId(at))).collect())
    }

    fn api(&self) -> Option<Formula> {
        let quorum = self.no_quorum()?;
        // Without a majority there may still be an API server, which then only reads: down.
        let servers = self.all_gone(self.design.with(Role::ControlPlane));
        let balancers = self.design.manifest.spec.load_balancers.iter();
        let fronts = balancers.filter(|b| b.roles.iter().any(|role| role.kind == LbKind::Api));
        let entries: Vec<_> = fronts.map(|balancer| self.no_entry(balancer)).collect();
        let mut ways = vec![quorum, servers];
        ways.extend((!entries.is_empty()).then_some(Formula::All(entries)));
        Some(Formula::Any(ways))
    }

    /// The workers that stand behind a role are all gone.
    fn no_backend(&self, role: &LbRole) -> Formula {
        let pools = &self.design.manifest.spec.node_pools;
        let nodes = self.design.nodes();
        let named = |at: &usize| {
            role.target_pools.is_empty() || role.target_pools.contains(&pools[nodes[*at].pool].name)
        };
        self.all_gone(self.design.with(Role::Worker).filter(named))
    }

    fn ingress(&self, balancer: &LoadBalancer, role: &LbRole, workloads: &[Asked]) -> Formula {
        let through = format!("{}/{}", balancer.name, role.name);
        let mut ways = vec![self.no_entry(balancer), self.no_backend(role)];
        for workload in &self.design.manifest.spec.workloads {
            let traffic = workload.traffic.as_ref();
            if traffic.is_some_and(|traffic| traffic.through == through) {
                let asked = workloads.iter().find(|asked| asked.name == workload.name);
                ways.extend(asked.map(|asked| asked.down.clone()));
            }
        }
        Formula::Any(ways)
    }

    /// Fewer of the workload's pods fit on what is left than it needs. Conservative: every node
    /// gives as many places as pods of the largest requests of all workloads find on it, and the
    /// pods that all workloads need take theirs first. Where that does not even fit with every
    /// node there, its own pods are counted alone, and that is said. Nodes with a taint take none;
    /// what a node reserves for itself is not known. With data it also needs its volume.
    fn workload(&self, workload: &Workload) -> Asked {
        let all = &self.design.manifest.spec.workloads;
        let largest = all.iter().fold(Resources::default(), |sum, w| Resources {
            cpu: sum.cpu.max(w.requests.cpu),
            memory: sum.memory.max(w.requests.memory),
        });
        let needed: u32 = all.iter().map(Workload::needs).sum();
        let (mut places, unknown) = self.places(largest, needed);
        let mut pods = needed;
        let mut note = unknown.then(|| "a node of unknown size counts as one pod".to_owned());
        if places.iter().map(|place| place.1).sum::<u32>() < needed {
            pods = workload.needs();
            places = self.places(workload.requests, pods).0;
            note = Some("counted as if it had the nodes to itself".to_owned());
        }
        let total: u32 = places.iter().map(|place| place.1).sum();
        let gone = places
            .iter()
            .flat_map(|(at, pods)| std::iter::repeat_n(self.gone[*at].clone(), *pods as usize));
        // More than total - pods places are gone. Without enough of them it never runs.
        let pods = Formula::AtLeast((total + 1).saturating_sub(pods), gone.collect());
        let volume = self.volume(workload).map(|volume| volume.down);
        let down = match volume {
            Some(volume) => Formula::Any(vec![pods, volume]),
            None => pods,
        };
        Asked {
            kind: SubjectKind::Workload,
            name: workload.name.clone(),
            down,
            note,
        }
    }

    /// Workers with the pods of this size that each holds, at most `most`; and whether the size
    /// of one is not known.
    fn places(&self, requests: Resources, most: u32) -> (Vec<(usize, u32)>, bool) {
        let mut unknown = false;
        let nodes = self.design.nodes();
        let pools = &self.design.manifest.spec.node_pools;
        let closed = |taint: &Taint| taint.effect != TaintEffect::PreferNoSchedule;
        let workers = self.design.with(Role::Worker);
        let open = workers.filter(|at| !pools[nodes[*at].pool].taints.iter().any(closed));
        let places = open.map(|at| {
            let fits = match nodes[at].capacity {
                Some(capacity) => fits(capacity, requests),
                None => {
                    unknown = true;
                    1
                }
            };
            (at, u32::try_from(fits).unwrap_or(u32::MAX).min(most))
        });
        (places.filter(|place| place.1 > 0).collect(), unknown)
    }

    /// No replica of a workload's volume is left. Replicas stand on the first worker of one domain
    /// after the other, where the workload is best placed first; in domains again once all have
    /// one.
    fn volume(&self, workload: &Workload) -> Option<Asked> {
        workload.data?;
        let storage = self.design.manifest.spec.storage.as_ref()?;
        let nodes = self.design.nodes();
        let prefer = workload
            .prefer
            .as_ref()
            .map(|prefer| prefer.provider.as_str());
        let mut free: Vec<usize> = self.design.with(Role::Worker).collect();
        free.sort_by_key(|at| Some(nodes[*at].provider.as_str()) != prefer);
        let mut chosen: Vec<usize> = Vec::new();
        let mut used: Vec<BTreeSet<String>> = Vec::new();
        while chosen.len() < storage.replicas as usize && !free.is_empty() {
            let of = |at: usize| nodes[at].domain(storage.spread);
            let round = used
                .iter()
                .position(|taken| free.iter().any(|at| !taken.contains(&of(*at))));
            let round = round.unwrap_or_else(|| {
                used.push(BTreeSet::new());
                used.len() - 1
            });
            let next = free.iter().position(|at| !used[round].contains(&of(*at)));
            let at = free.remove(next.unwrap_or(0));
            used[round].insert(of(at));
            chosen.push(at);
        }
        let apart = used.len() <= 1 || storage.spread == Domain::Node;
        let count = chosen.len();
        let note = (!apart || count < storage.replicas as usize).then(|| {
            let kind = DomainKind::from(storage.spread).word();
            format!("its {count} replicas do not each have a {kind} of their own")
        });
        Some(Asked {
            kind: SubjectKind::Volume,
            name: workload.name.clone(),
            down: self.all_gone(chosen),
            note,
        })
    }
}

fn fits(capacity: Resources, requests: Resources) -> u64 {
    let by = |has: u64, asks: u64| has.checked_div(asks).unwrap_or(u64::MAX);
    let cpu = by(capacity.cpu.0, requests.cpu.0);
    cpu.min(by(capacity.memory.0, requests.memory.0))
}

/// All subjects of a design. Formulas that are given take the place of those of the same name.
pub(super) fn subjects(
    parts: &Parts<'_>,
    workloads: &[(String, Formula)],
    volumes: &[(String, Formula)],
) -> Vec<Asked> {
    let spec = &parts.design.manifest.spec;
    let plain = |kind, name: &str, down| Asked {
        kind,
        name: name.to_owned(),
        down,
        note: None,
    };
    let given = |of: &[(String, Formula)], name: &str| {
        of.iter()
            .find(|given| given.0 == name)
            .map(|given| given.1.clone())
    };
    let runs = spec.workloads.iter().map(|workload| {
        let own = given(workloads, &workload.name);
        own.map_or_else(
            || parts.workload(workload),
            |down| plain(SubjectKind::Workload, &workload.name, down),
        )
    });
    let runs: Vec<Asked> = runs.collect();
    let stores = spec.workloads.iter().filter_map(|workload| {
        let own = given(volumes, &workload.name);
        let own = own.map(|down| plain(SubjectKind::Volume, &workload.name, down));
        own.or_else(|| parts.volume(workload))
    });
    let stores: Vec<Asked> = stores.collect();
    let mut all = Vec::new();
    let quorum = parts.no_quorum();
    all.extend(quorum.map(|down| plain(SubjectKind::Quorum, "etcd quorum", down)));
    let api = parts.api();
    all.extend(api.map(|down| plain(SubjectKind::Api, "Kubernetes API", down)));
    for balancer in &spec.load_balancers {
        for role in balancer
            .roles
            .iter()
            .filter(|role| role.kind == LbKind::Ingress)
        {
            let down = parts.ingress(balancer, role, &runs);
            let name = format!("{}/{}", balancer.name, role.name);
            all.push(plain(SubjectKind::Ingress, &name, down));
        }
    }
    all.extend(runs);
    all.extend(stores);
    all
}
