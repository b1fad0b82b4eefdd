//! The scheduler's choice for pods of one workload, one after the other.
//!
//! The simulated scheduler scores every node for every pod. While only pods of one workload are
//! placed, nodes change their order in a few ways only, so here nodes wait in heaps: one for each
//! group of nodes whose score differs by the node itself alone. Who has no room gets none later.

use super::Room;
use super::site::{Ask, Cell, Site};
use quorate_engine::manifest::{Domain, Spread};
use quorate_sim::kube::{Score, excess};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Pods there, what is free (the more the better), the node.
type Waiting = Reverse<(u32, Reverse<u64>, usize)>;

/// Places pods of one workload.
pub(crate) struct Round<'a> {
    site: &'a Site,
    ask: &'a Ask,
    workload: usize,
    cells: &'a [Cell],
    cell_of: &'a [usize],
    waiting: Vec<BinaryHeap<Waiting>>,
    on_provider: Vec<u32>,
    spreading: Option<Spreading>,
}

/// Pods by the place that the workload's own spread counts.
struct Spreading {
    rule: Spread,
    /// None: no node there takes pods.
    in_place: Vec<Option<u32>>,
    fewest: u32,
    /// How many places have so few.
    with_fewest: usize,
}

impl Spreading {
    fn of(rule: Spread, site: &Site, room: &Room, placed: &[u32]) -> Self {
        let mut in_place = vec![None; site.labels(rule.across)];
        for (at, node) in site.nodes.iter().enumerate() {
            if room.open[at] {
                let place = &mut in_place[node.labels[rule.across as usize]];
                *place = Some(place.unwrap_or(0) + placed[at]);
            }
        }
        let mut made = Self {
            rule,
            in_place,
            fewest: 0,
            with_fewest: 0,
        };
        made.count_fewest();
        made
    }

    fn count_fewest(&mut self) {
        let counted = || self.in_place.iter().flatten();
        let fewest = counted().copied().min().unwrap_or(0);
        self.with_fewest = counted().filter(|pods| **pods == fewest).count();
        self.fewest = fewest;
    }

    fn add(&mut self, place: usize) {
        let pods = self.in_place[place].as_mut().expect("its node takes pods");
        *pods += 1;
        if *pods == self.fewest + 1 {
            self.with_fewest -= 1;
            if self.with_fewest == 0 {
                self.count_fewest();
            }
        }
    }
}

impl<'a> Round<'a> {
    /// Begins, with nodes as they are, for so many pods.
    pub(crate) fn of(site: &'a Site, room: &Room, workload: usize, pods: usize) -> Self {
        let ask = &site.asks[workload];
        let placed = &room.placed[workload];
        let cells = site.cells(ask.spread.map_or(Domain::Node, |spread| spread.across));
        let mut on_provider = vec![0; site.providers];
        let mut waiting: Vec<Vec<Waiting>> = vec![Vec::new(); cells.cells.len()];
        for (at, node) in site.nodes.iter().enumerate() {
            on_provider[node.provider] += placed[at];
            if room.open[at] && fits(room.free[at], ask.pod) {
                join(
                    &mut waiting[cells.of[at]],
                    entry(room, placed[at], at),
                    pods,
                );
            }
        }
        Self {
            site,
            ask,
            workload,
            cells: &cells.cells,
            cell_of: &cells.of,
            waiting: waiting.into_iter().map(BinaryHeap::from).collect(),
            on_provider,
            spreading: ask
                .spread
                .map(|rule| Spreading::of(rule, site, room, placed)),
        }
    }

    /// Places one more pod; none: nothing can take it.
    pub(crate) fn place(&mut self, room: &mut Room) -> Option<usize> {
        let candidates = self.waiting.iter().zip(self.cells);
        let best = candidates.filter_map(|(waiting, cell)| self.score(waiting.peek()?, *cell));
        let (_, node) = best.min()?;
        let taken = self.waiting[self.cell_of[node]].pop();
        assert!(
            taken.is_some_and(|Reverse((.., at))| at == node),
            "the best of its group"
        );
        let free = room.free[node];
        room.set_free(
            self.site,
            node,
            (free.0 - self.ask.pod.0, free.1 - self.ask.pod.1),
        );
        room.placed[self.workload][node] += 1;
        self.on_provider[self.site.nodes[node].provider] += 1;
        if let Some(spreading) = &mut self.spreading {
            let scale = spreading.rule.across as usize;
            spreading.add(self.site.nodes[node].labels[scale]);
        }
        if fits(room.free[node], self.ask.pod) {
            let placed = room.placed[self.workload][node];
            self.waiting[self.cell_of[node]].push(entry(room, placed, node));
        }
        Some(node)
    }

    fn score(&self, waiting: &Waiting, cell: Cell) -> Option<(Score, usize)> {
        let Reverse((on_node, free, node)) = *waiting;
        let (in_place, excess) = match &self.spreading {
            Some(spreading) => {
                let place = self.site.nodes[node].labels[spreading.rule.across as usize];
                let here = spreading.in_place[place].expect("its node takes pods");
                let most = spreading.rule.max_skew;
                (here, excess(here, spreading.fewest, most))
            }
            None => (0, 0),
        };
        if excess > 0 && self.ask.strict().is_some() {
            return None;
        }
        let score = Score {
            avoided: cell.avoided,
            excess,
            elsewhere: self.ask.prefer.is_some_and(|p| p != Some(cell.provider)),
            on_provider: match self.ask.prefer {
                Some(_) => 0,
                None => self.on_provider[cell.provider],
            },
            in_place,
            on_node,
            free,
        };
        Some((score, node))
    }
}

/// Up to so many pods, lists of the best are quicker to make than heaps of all.
const FEW: usize = 8;

/// A pod takes a node out of its group and puts it back as another, so for a few pods only as many
/// nodes of each group can ever be the best.
fn join(group: &mut Vec<Waiting>, new: Waiting, pods: usize) {
    if pods > FEW {
        group.push(new);
        return;
    }
    if group.len() == pods {
        if group.last().is_none_or(|worst| *worst >= new) {
            return;
        }
        group.pop();
    }
    let at = group.partition_point(|known| *known > new);
    group.insert(at, new);
}

/// Whether a pod fits.
pub(crate) fn fits(free: (u64, u64), pod: (u64, u64)) -> bool {
    free.0 >= pod.0 && free.1 >= pod.1
}

fn entry(room: &Room, placed: u32, at: usize) -> Waiting {
    Reverse((placed, Reverse(room.free_permille[at]), at))
}
