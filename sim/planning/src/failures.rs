//! The failure table: what is left without each failure domain, and without pairs of them.
//!
//! Every domain has a row. Of pairs those are shown that take something which neither of the two
//! takes alone; how many were looked at is said. A loss is taken to last: long enough for every
//! reaction, for as long as it takes nothing comes back by itself.

mod pairs;
mod section;
pub mod standing;

use crate::design::{Design, DomainKind, FailureDomain, Lost};
use crate::placing::{Placement, VolumeState};
use crate::recovery::{Displaced, Elections, Recovery, recovery};
use quorate_engine::manifest::Role;
use quorate_engine::random::Seed;
use schemars::JsonSchema;
use serde::Serialize;
use standing::{Entry, Fate, Quorum};
use std::collections::BTreeMap;

pub(crate) use section::{name, seconds};

/// The failure table.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Failures {
    /// With everything there.
    pub whole: Standing,
    /// A row for each domain, largest first. Nodes that fare alike share one.
    pub domains: Vec<Row>,
    /// Pairs that take more than their parts do.
    pub pairs: Vec<Row>,
    /// So many pairs were looked at.
    pub pairs_looked_at: usize,
}

/// One loss.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Row {
    /// What is lost: one domain, or two. Of nodes that fare alike, one each.
    pub of: Vec<Named>,
    /// Nodes it takes.
    pub nodes: usize,
    /// What is left.
    pub standing: Standing,
    /// How long it takes to get there.
    pub recovery: Recovery,
    /// Who must act, and how. Empty: nobody.
    pub acts: Vec<String>,
}

/// A domain by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Named {
    /// What it is.
    pub kind: DomainKind,
    /// Its name, or that of the first of `alike`.
    pub name: String,
    /// Names of all that fare alike, itself included.
    pub alike: Vec<String>,
    /// Smaller domains that take exactly the same, as `region` and `zone` of a provider may.
    pub same: Vec<(DomainKind, String)>,
}

/// What is left.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Standing {
    /// etcd; none without Kubernetes.
    pub etcd: Option<Quorum>,
    /// Ways to the API.
    pub api: Vec<Entry>,
    /// Ways to the workloads.
    pub ingress: Vec<Entry>,
    /// Workloads, in the manifest's order.
    pub workloads: Vec<Served>,
    /// Data sets, in the manifest's order.
    pub volumes: Vec<Kept>,
}

/// A workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Served {
    /// Its name.
    pub workload: String,
    /// Pods it should have.
    pub replicas: u32,
    /// Pods it needs to do its work.
    pub needs: u32,
    /// Pods that have a place, in the unluckiest order in which lost nodes may be found dead: of up
    /// to four with pods all orders are tried, of more some.
    pub placed: u32,
    /// Pods that have a place in the luckiest of these orders.
    pub placed_with_luck: u32,
    /// Of those that have a place in any case, pods that had to move.
    pub moved: u32,
    /// Its clients have a way in that leads somewhere.
    pub entered: bool,
    /// How it fares. It goes with the way in that its clients use.
    pub fate: Fate,
}

/// The volumes of a workload, one for each pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Kept {
    /// The workload.
    pub workload: String,
    /// Replicas that each volume should have.
    pub replicas: u32,
    /// Replicas left of the volume that has the fewest.
    pub fewest: u32,
    /// Volumes that cannot be written.
    pub unwritable: u32,
    /// Volumes of which nothing is left: lost if the domain never comes back.
    pub gone: u32,
    /// How they fare: as the worst of them.
    pub fate: Fate,
}

impl Standing {
    /// Whether there are writes to etcd, and so whether Kubernetes reacts to anything.
    #[must_use]
    pub fn etcd_lives(&self) -> bool {
        self.etcd.is_some_and(|etcd| etcd.fate() != Fate::Goes)
    }

    /// The worst of everything.
    #[must_use]
    pub fn fate(&self) -> Fate {
        let etcd = self.etcd.map(Quorum::fate);
        let entries = self.api.iter().chain(&self.ingress).map(|entry| entry.fate);
        let workloads = self.workloads.iter().map(|served| served.fate);
        let volumes = self.volumes.iter().map(|kept| kept.fate);
        let all = etcd
            .into_iter()
            .chain(entries)
            .chain(workloads)
            .chain(volumes);
        all.max().unwrap_or(Fate::Stays)
    }
}

impl Named {
    /// Whether it speaks of this domain, too.
    #[must_use]
    pub fn is(&self, kind: DomainKind, name: &str) -> bool {
        let same = self
            .same
            .iter()
            .any(|(other, its)| *other == kind && its == name);
        same || (self.kind == kind && self.alike.iter().any(|its| its == name))
    }
}

impl Failures {
    /// The row of a domain.
    #[must_use]
    pub fn row_of(&self, domain: &FailureDomain) -> Option<&Row> {
        let of = |row: &&Row| row.of[0].is(domain.kind, &domain.name);
        self.domains.iter().find(of)
    }
}

/// Makes the table. `progress` hears how many of how many losses were looked at.
#[must_use]
pub fn failures(design: &Design, seed: Seed, progress: &mut dyn FnMut(usize, usize)) -> Failures {
    table_of(design, seed, true, &mut Elections::default(), progress)
}

/// The same for one of many designs: elections that were played for others are not played again,
/// and how long pods take to be back is left out, which no objective asks for.
#[must_use]
pub fn failures_with(
    design: &Design,
    seed: Seed,
    elections: &mut Elections,
    progress: &mut dyn FnMut(usize, usize),
) -> Failures {
    table_of(design, seed, false, elections, progress)
}

fn table_of(
    design: &Design,
    seed: Seed,
    pods: bool,
    elections: &mut Elections,
    progress: &mut dyn FnMut(usize, usize),
) -> Failures {
    elections.turn_to(design);
    let mut table = Looker::new(design, elections, seed);
    table.pods = pods;
    let all = design.domains.len();
    let mut rows: Vec<Row> = Vec::with_capacity(all);
    let mut first = BTreeMap::new();
    let mut singles = Vec::with_capacity(all);
    for (at, domain) in design.domains.iter().enumerate() {
        progress(at, all);
        // A node that is alone in its zone is asked about as a node, too: it is replaced alone.
        let key = (&domain.nodes, &domain.dns, domain.kind == DomainKind::Node);
        let row = *first.entry(key).or_insert(rows.len());
        if row == rows.len() {
            rows.push(table.row(&[at]));
        } else {
            let same = (domain.kind, domain.name.clone());
            rows[row].of[0].same.push(same);
        }
        singles.push(row);
    }
    let (pairs, pairs_looked_at) = pairs::worth_naming(design, &rows, &singles, &mut table);
    Failures {
        whole: table.whole.clone(),
        domains: merged(rows),
        pairs,
        pairs_looked_at,
    }
}

/// Looks at losses of one design.
struct Looker<'a> {
    design: &'a Design,
    placement: Placement,
    whole: Standing,
    elections: &'a mut Elections,
    seed: Seed,
    /// Whether to play how long pods take to be back.
    pods: bool,
}

impl<'a> Looker<'a> {
    fn new(design: &'a Design, elections: &'a mut Elections, seed: Seed) -> Self {
        let placement = Placement::settled(design, &Lost::default());
        let whole = stands(design, &Lost::default(), &placement, &[&placement]);
        Self {
            design,
            whole,
            placement,
            elections,
            seed,
            pods: true,
        }
    }

    fn standing(&self, lost: &Lost) -> (Standing, Placement) {
        let after = self.placement.after(self.design, lost);
        let otherwise = self.placement.after_otherwise(self.design, lost);
        let afters: Vec<&Placement> = std::iter::once(&after).chain(&otherwise).collect();
        let standing = stands(self.design, lost, &self.placement, &afters);
        (standing, after)
    }

    fn row(&mut self, domains: &[usize]) -> Row {
        let lost = self.design.lost(domains);
        let of: Vec<Named> = domains.iter().map(|at| named(self.design, *at)).collect();
        let (standing, after) = self.standing(&lost);
        let reacts = standing.etcd.is_none_or(|etcd| etcd.fate() != Fate::Goes);
        let displaced = match reacts && self.pods {
            true => displaced(self.design, &self.placement, &after),
            false => Vec::new(),
        };
        let key: Vec<&str> = of.iter().map(|named| named.name.as_str()).collect();
        let recovery = recovery(
            self.design,
            self.elections,
            &lost,
            &displaced,
            &key.join("+"),
            self.seed,
        );
        let acts = acts(self.design, &lost, &standing);
        Row {
            of,
            nodes: lost.nodes.len(),
            standing,
            recovery,
            acts,
        }
    }
}

fn named(design: &Design, at: usize) -> Named {
    let domain = &design.domains[at];
    Named {
        kind: domain.kind,
        name: domain.name.clone(),
        alike: vec![domain.name.clone()],
        same: Vec::new(),
    }
}

/// What is left, by all the ways in which pods may be placed afterwards.
fn stands(design: &Design, lost: &Lost, before: &Placement, afters: &[&Placement]) -> Standing {
    let ingress = standing::ingress(design, lost);
    let reacts = standing::quorum(design, lost).is_none_or(|etcd| etcd.fate() != Fate::Goes);
    let workloads = design.manifest.spec.workloads.iter().enumerate();
    let workloads = workloads.map(|(at, workload)| {
        let (placed, placed_with_luck, moved) = match reacts {
            true => {
                let ways = || afters.iter().map(|after| pods(before, after, at));
                let (placed, moved) = ways().min().expect("pods stand somehow afterwards");
                (placed, ways().max().map_or(placed, |(best, _)| best), moved)
            }
            false => {
                let stay = stay(lost, before, at);
                (stay, stay, 0)
            }
        };
        let through = workload
            .traffic
            .as_ref()
            .map(|traffic| traffic.through.as_str());
        let entry = ingress
            .iter()
            .find(|entry| Some(entry.name.as_str()) == through);
        let own = match placed {
            placed if placed < workload.needs() => Fate::Goes,
            placed if placed < workload.replicas => Fate::Degrades,
            _ => Fate::Stays,
        };
        Served {
            workload: workload.name.clone(),
            replicas: workload.replicas,
            needs: workload.needs(),
            placed,
            placed_with_luck,
            moved,
            entered: entry.is_none_or(|entry| entry.fate != Fate::Goes),
            fate: entry.map_or(own, |entry| own.max(entry.fate)),
        }
    });
    Standing {
        etcd: standing::quorum(design, lost),
        api: standing::api(design, lost),
        workloads: workloads.collect(),
        volumes: volumes(design, lost, before),
        ingress,
    }
}

/// Pods of a workload that run, and those of them that had to move. Pods of nodes from which
/// nothing is evicted stay missing, although there may be room for them elsewhere.
fn pods(before: &Placement, after: &Placement, workload: usize) -> (u32, u32) {
    let (mut placed, mut moved) = (0, 0);
    for (number, was) in before.pods[workload].iter().enumerate() {
        if was.is_some_and(|node| after.held_back.contains(&node)) {
            continue;
        }
        if after.runs(workload, number) {
            placed += 1;
            moved += u32::from(after.pods[workload][number] != *was);
        }
    }
    (placed, moved)
}

/// Pods that stand on nodes which are left, where nobody can move any: without writes to etcd.
fn stay(lost: &Lost, before: &Placement, workload: usize) -> u32 {
    let pods = before.pods[workload].iter().flatten();
    pods.filter(|node| lost.leaves(**node)).count() as u32
}

fn volumes(design: &Design, lost: &Lost, placement: &Placement) -> Vec<Kept> {
    let states = placement.volumes_after(design, lost);
    let of = |(at, workload): (usize, &quorate_engine::manifest::Workload)| {
        workload.data?;
        let of: Vec<&VolumeState> = states.iter().filter(|state| state.workload == at).collect();
        let fewest = of.iter().map(|state| state.left).min()?;
        let replicas = of.iter().map(|state| state.replicas).max()?;
        let count = |test: fn(&VolumeState) -> bool| of.iter().filter(|s| test(s)).count() as u32;
        let unwritable = count(|state| !state.writable);
        let fate = match (unwritable, fewest < replicas) {
            (0, false) => Fate::Stays,
            (0, true) => Fate::Degrades,
            _ => Fate::Goes,
        };
        Some(Kept {
            workload: workload.name.clone(),
            replicas,
            fewest,
            unwritable,
            gone: count(|state| state.left == 0),
            fate,
        })
    };
    design
        .manifest
        .spec
        .workloads
        .iter()
        .enumerate()
        .filter_map(of)
        .collect()
}

fn displaced(design: &Design, before: &Placement, after: &Placement) -> Vec<Displaced> {
    let mut displaced = Vec::new();
    for (at, workload) in design.manifest.spec.workloads.iter().enumerate() {
        for (was, is) in before.pods[at].iter().zip(&after.pods[at]) {
            if let (Some(from), Some(_)) = (was, is)
                && was != is
                && !after.held_back.contains(from)
            {
                displaced.push(Displaced {
                    from: *from,
                    volume: workload.data.is_some(),
                });
            }
        }
    }
    displaced
}

/// What somebody has to do, while the loss lasts.
fn acts(design: &Design, lost: &Lost, standing: &Standing) -> Vec<String> {
    let mut acts = Vec::new();
    if let Some(etcd) = standing.etcd.filter(|etcd| etcd.fate() == Fate::Goes) {
        let from = match etcd.left {
            0 => "its last snapshot",
            _ => "a disk that is left",
        };
        acts.push(format!(
            "you: bring the lost members back, or restore etcd from {from}"
        ));
    }
    if !lost.dns.is_empty() {
        let names: Vec<&str> = lost.dns.iter().map(String::as_str).collect();
        acts.push(format!(
            "you: wait for {}, or move its zone",
            names.join(", ")
        ));
    }
    let gone: u32 = standing.volumes.iter().map(|kept| kept.gone).sum();
    if gone > 0 {
        acts.push(format!(
            "you: restore {gone} volumes from backups if they never come back"
        ));
    }
    let nodes = lost.nodes.iter().map(|at| &design.nodes()[*at]);
    let (own, rented): (Vec<_>, Vec<_>) = nodes.partition(|node| node.existing.is_some());
    if !own.is_empty() && own.iter().any(|node| !node.roles.is_empty()) {
        acts.push("you: repair your own machines".to_owned());
    }
    let control = rented.iter().any(|node| node.is(Role::ControlPlane));
    if !rented.is_empty() && standing.etcd.is_none_or(|etcd| etcd.fate() != Fate::Goes) {
        let what = if control {
            "machines and etcd members"
        } else {
            "machines"
        };
        acts.push(format!(
            "quorate run: makes {what} anew where the provider answers"
        ));
    }
    acts
}

/// Nodes that fare alike become one row.
fn merged(rows: Vec<Row>) -> Vec<Row> {
    let mut merged: Vec<Row> = Vec::new();
    for row in rows {
        let alike = merged.iter_mut().find(|known| alike(known, &row));
        match alike {
            Some(known) => known.of[0].alike.push(row.of[0].name.clone()),
            None => merged.push(row),
        }
    }
    merged
}

fn alike(a: &Row, b: &Row) -> bool {
    let pool = |row: &Row| {
        let name = &row.of[0].name;
        name.rsplit_once('/').map(|(pool, _)| pool.to_owned())
    };
    let nodes = [a, b].iter().all(|row| row.of[0].kind == DomainKind::Node);
    nodes && pool(a) == pool(b) && a.standing == b.standing && a.acts == b.acts
}
