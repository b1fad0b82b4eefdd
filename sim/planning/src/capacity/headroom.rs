//! What is free, and what would fit there: with everything, and without each domain.

use super::{Without, without, worker_domains};
use crate::design::{Design, Lost};
use crate::placing::{Packing, Placement, Site, holds};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// What is free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Headroom {
    /// What is lost; none: nothing.
    pub without: Option<Without>,
    /// Whether all pods fit.
    pub packing: Packing,
    /// Allocatable CPU that is left, in thousandths of a core.
    pub cpu_milli: u64,
    /// Of that: no pod has it.
    pub free_cpu_milli: u64,
    /// What pods that do not fit ask for.
    pub lacking_cpu_milli: u64,
    /// Allocatable memory that is left, in bytes.
    pub memory_bytes: u64,
    /// Of that: no pod has it.
    pub free_memory_bytes: u64,
    /// The pod with the most CPU that still fits.
    pub largest_by_cpu: Largest,
    /// The pod with the most memory that still fits.
    pub largest_by_memory: Largest,
    /// How many more pods of each workload fit, if only they come; none: as many as one likes.
    pub more: Vec<Option<u64>>,
}

/// A pod that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Largest {
    /// Thousandths of a core.
    pub cpu_milli: u64,
    /// Bytes.
    pub memory_bytes: u64,
}

/// Of a node what decides which other nodes it could stand for.
type Kind = ((u64, u64), bool, [usize; 3]);

pub(super) fn headroom(design: &Design) -> Vec<Headroom> {
    let site = Site::of(design);
    let whole = Placement::fresh(site.clone(), &Lost::default());
    // Without one of two equal nodes packing is the same question.
    let mut known = BTreeMap::<Vec<(Kind, usize)>, Packing>::new();
    let mut rows = vec![row(&whole, None, whole.packing())];
    for domain in worker_domains(design, &site) {
        let lost = design.lost(&[domain]);
        let after = whole.without(&lost);
        let packing = if after.pending() == 0 {
            Packing::Yes
        } else {
            let alike = alike(&site, &lost);
            let packing = *known.entry(alike).or_insert_with(|| after.packing());
            with_pending(packing, after.pending())
        };
        rows.push(row(&after, Some(without(design, domain)), packing));
    }
    rows
}

/// Who may move answers alike without one equal node or another, but fewer or more may be waiting.
fn with_pending(packing: Packing, pending: usize) -> Packing {
    match packing {
        Packing::Yes | Packing::OnlyMoved(_) => Packing::OnlyMoved(pending),
        Packing::No(pods) => Packing::No(pods.min(pending)),
        Packing::Unknown(_) => Packing::Unknown(pending),
    }
}

fn alike(site: &Site, lost: &Lost) -> Vec<(Kind, usize)> {
    let mut kinds = BTreeMap::<Kind, usize>::new();
    for at in &lost.nodes {
        let node = &site.nodes[*at];
        let [_, zone, region, provider] = node.labels;
        *kinds
            .entry((node.free(), node.takes_pods, [zone, region, provider]))
            .or_default() += 1;
    }
    kinds.into_iter().collect()
}

fn row(placement: &Placement, without: Option<Without>, packing: Packing) -> Headroom {
    let (site, room) = (&placement.site, &placement.room);
    let mut made = Headroom {
        without,
        packing,
        cpu_milli: 0,
        free_cpu_milli: 0,
        lacking_cpu_milli: 0,
        memory_bytes: 0,
        free_memory_bytes: 0,
        largest_by_cpu: Largest::default(),
        largest_by_memory: Largest::default(),
        more: Vec::new(),
    };
    for at in open(placement) {
        let (all, free) = (site.nodes[at].free(), room.free[at]);
        made.cpu_milli += all.0;
        made.memory_bytes += all.1;
        made.free_cpu_milli += free.0;
        made.free_memory_bytes += free.1;
        let here = Largest {
            cpu_milli: free.0,
            memory_bytes: free.1,
        };
        let by_cpu = |l: &Largest| (l.cpu_milli, l.memory_bytes);
        let by_memory = |l: &Largest| (l.memory_bytes, l.cpu_milli);
        made.largest_by_cpu = [made.largest_by_cpu, here]
            .into_iter()
            .max_by_key(by_cpu)
            .expect("two");
        made.largest_by_memory = [made.largest_by_memory, here]
            .into_iter()
            .max_by_key(by_memory)
            .expect("two");
    }
    for (ask, pods) in site.asks.iter().zip(&placement.pods) {
        let pending = pods.iter().filter(|node| node.is_none()).count() as u64;
        made.lacking_cpu_milli += ask.pod.0 * pending;
    }
    made.more = (0..site.asks.len()).map(|at| more(placement, at)).collect();
    made
}

fn open(placement: &Placement) -> impl Iterator<Item = usize> + '_ {
    let open = placement.room.open.iter().enumerate();
    open.filter(|(_, open)| **open).map(|(at, _)| at)
}

/// How many more pods of a workload the scheduler would place. Pods are alike, so each node takes
/// what it holds; under a strict spread the place that is full first stops the others.
pub(super) fn more(placement: &Placement, workload: usize) -> Option<u64> {
    let (site, room) = (&placement.site, &placement.room);
    let ask = &site.asks[workload];
    let Some(spread) = ask.strict() else {
        return open(placement).try_fold(0u64, |sum, at| {
            let here = holds(room.free[at], ask.pod);
            (here < u64::MAX).then(|| sum + here)
        });
    };
    // Pods there, and as many as there can be.
    let mut places = BTreeMap::<usize, (u64, u64)>::new();
    for at in open(placement) {
        let label = site.nodes[at].labels[spread.across as usize];
        let here = u64::from(room.placed[workload][at]);
        let place = places.entry(label).or_default();
        place.0 += here;
        place.1 = place
            .1
            .saturating_add(here.saturating_add(holds(room.free[at], ask.pod)));
    }
    let least = places.values().map(|(_, most)| *most).min()?;
    let allowed = least.saturating_add(spread.max_skew.into());
    let added = places
        .values()
        .map(|(here, most)| (*most).min(allowed).saturating_sub(*here));
    let added = added.fold(0, u64::saturating_add);
    (least < u64::MAX).then_some(added)
}
