//! Whether everything would fit if it could be moved: exact packing under spread constraints.
//!
//! Branch and bound. Equal pods are taken in order of their nodes, and of nodes that are equal now
//! only the first is tried, so no arrangement is looked at twice. What cannot be decided within a
//! number of steps is said to be unknown. Preferences and PreferNoSchedule taints do not count:
//! a pod may always go against them. Knows nothing of how pods came to be where they are.

use super::round::fits;
use super::site::Site;
use super::{Placement, Room};
use crate::design::{Design, Lost};
use quorate_engine::manifest::Spread;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// So many looks at a node are enough for clusters that people plan with; at most about a tenth of
/// a second.
pub const SEARCH_STEPS: u64 = 3_000_000;

/// Whether pods fit, and what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "fits", content = "pods")]
pub enum Packing {
    /// All do.
    Yes,
    /// All would if others were moved, as a descheduler does; without that so many do not.
    OnlyMoved(usize),
    /// However they are moved, not all do; the best that was found leaves so many out.
    No(usize),
    /// So many do not, and whether moving others would help was not found out.
    Unknown(usize),
}

/// Whether all pods can be packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Packs {
    /// There is a way.
    Yes,
    /// There is none.
    No,
    /// None was found in so many steps.
    Unknown,
}

/// Whether all pods could be on what is left, if each could be put anywhere. `steps`: how long to
/// search, see [`SEARCH_STEPS`].
#[must_use]
pub fn packs(design: &Design, lost: &Lost, steps: u64) -> Packs {
    let site = Site::of(design);
    let empty = Placement::empty(site, lost);
    Search::of(&empty.site, &empty.room, steps).run()
}

impl Placement {
    /// Whether everything fits, as it is or with pods moved.
    #[must_use]
    pub fn packing(&self) -> Packing {
        let pending = self.pending();
        if pending == 0 {
            return Packing::Yes;
        }
        let again = Self::fresh(self.site.clone(), &self.lost).pending();
        if again == 0 {
            return Packing::OnlyMoved(pending);
        }
        let empty = Self::empty(self.site.clone(), &self.lost);
        match Search::of(&self.site, &empty.room, SEARCH_STEPS).run() {
            Packs::Yes => Packing::OnlyMoved(pending),
            Packs::No => Packing::No(pending.min(again)),
            Packs::Unknown => Packing::Unknown(pending),
        }
    }
}

/// Pods of one workload.
#[derive(Debug)]
struct Item {
    pod: (u64, u64),
    replicas: usize,
    strict: Option<Strict>,
}

/// A spread that must hold: places by node, numbered from 0 over nodes that take pods.
#[derive(Debug)]
struct Strict {
    max_skew: u32,
    place: Vec<usize>,
    places: usize,
}

/// A pod of the search: its item, its node, and nodes that were tried for it in vain.
#[derive(Debug)]
struct Step {
    item: usize,
    number: usize,
    /// Where it may begin to look, and looks next.
    next: usize,
    on: Option<usize>,
    tried: Vec<((u64, u64), usize)>,
}

struct Search {
    items: Vec<Item>,
    /// Free, by node; nodes with the least room first.
    free: Vec<(u64, u64)>,
    /// Nodes of a class are told apart by what is free only.
    class: Vec<usize>,
    /// Pods of the current item by place.
    in_place: Vec<Vec<u32>>,
    left: u64,
}

impl Search {
    fn of(site: &Site, room: &Room, steps: u64) -> Self {
        let mut nodes: Vec<usize> = (0..site.nodes.len()).filter(|at| room.open[*at]).collect();
        nodes.sort_by_key(|at| (room.free[*at], *at));
        let all = nodes.iter().fold((1u128, 1u128), |sum, at| {
            let free = room.free[*at];
            (sum.0 + u128::from(free.0), sum.1 + u128::from(free.1))
        });
        // The largest first, by the share of everything that a pod takes.
        let mut asks: Vec<_> = site.asks.iter().filter(|ask| ask.replicas > 0).collect();
        asks.sort_by_key(|ask| {
            let share = |part: u64, all: u128| u128::from(part) * 1_000_000_000 / all;
            std::cmp::Reverse(share(ask.pod.0, all.0).max(share(ask.pod.1, all.1)))
        });
        let items: Vec<Item> = asks
            .into_iter()
            .map(|ask| Item {
                pod: ask.pod,
                replicas: ask.replicas as usize,
                strict: ask.strict().map(|spread| strict(site, &nodes, spread)),
            })
            .collect();
        let mut classes = BTreeMap::new();
        let class = (0..nodes.len()).map(|at| {
            let places = items.iter().filter_map(|item| item.strict.as_ref());
            let places: Vec<usize> = places.map(|strict| strict.place[at]).collect();
            let next = classes.len();
            *classes.entry(places).or_insert(next)
        });
        Self {
            class: class.collect(),
            free: nodes.iter().map(|at| room.free[*at]).collect(),
            in_place: items
                .iter()
                .map(|item| vec![0; item.strict.as_ref().map_or(0, |strict| strict.places)])
                .collect(),
            items,
            left: steps,
        }
    }

    fn run(&mut self) -> Packs {
        if !self.hopeful(0) {
            return Packs::No;
        }
        let Some(first) = self.first_of(0, 0, 0) else {
            return Packs::Yes;
        };
        let mut steps = vec![first];
        while let Some(step) = steps.last_mut() {
            if let Some(node) = step.on.take() {
                let (item, before) = (step.item, self.free[node]);
                let pod = self.items[item].pod;
                self.free[node] = (before.0 + pod.0, before.1 + pod.1);
                if let Some(strict) = &self.items[item].strict {
                    self.in_place[item][strict.place[node]] -= 1;
                }
            }
            let Some(node) = self.choose(step) else {
                if self.left == 0 {
                    return Packs::Unknown;
                }
                steps.pop();
                continue;
            };
            step.on = Some(node);
            let (item, number) = (step.item, step.number + 1);
            let next = if number < self.items[item].replicas {
                self.first_of(item, number, node)
            } else if self.hopeful(item + 1) {
                match self.first_of(item + 1, 0, 0) {
                    Some(next) => Some(next),
                    None => return Packs::Yes,
                }
            } else {
                None
            };
            steps.extend(next);
        }
        Packs::No
    }

    /// A pod that is to be placed; none: all are.
    fn first_of(&self, item: usize, number: usize, next: usize) -> Option<Step> {
        (item < self.items.len()).then_some(Step {
            item,
            number,
            next,
            on: None,
            tried: Vec::new(),
        })
    }

    /// Puts a pod on the next node that was not tried for it; none: all were.
    fn choose(&mut self, step: &mut Step) -> Option<usize> {
        let pod = self.items[step.item].pod;
        while step.next < self.free.len() {
            let node = step.next;
            self.left = self.left.checked_sub(1)?;
            step.next += 1;
            let alike = (self.free[node], self.class[node]);
            if !fits(alike.0, pod) || step.tried.contains(&alike) {
                continue;
            }
            step.tried.push(alike);
            if !self.keeps_apart(step, node) {
                continue;
            }
            self.free[node] = (alike.0.0 - pod.0, alike.0.1 - pod.1);
            return Some(node);
        }
        None
    }

    /// Counts a pod in its place, if the pods that are left can still make the places even.
    fn keeps_apart(&mut self, step: &Step, node: usize) -> bool {
        let item = &self.items[step.item];
        let Some(strict) = &item.strict else {
            return true;
        };
        let counts = &mut self.in_place[step.item];
        counts[strict.place[node]] += 1;
        let most = counts.iter().copied().max().unwrap_or(0);
        let floor = most.saturating_sub(strict.max_skew);
        let lacking = counts
            .iter()
            .map(|pods| u64::from(floor.saturating_sub(*pods)));
        let lacking: u64 = lacking.sum();
        let kept = lacking <= (item.replicas - step.number - 1) as u64;
        if !kept {
            counts[strict.place[node]] -= 1;
        }
        kept
    }

    /// Whether the items from here on could fit: each alone, and all together by their sum on nodes
    /// that the least of them fits on.
    fn hopeful(&mut self, from: usize) -> bool {
        let items = &self.items[from..];
        let looks = self.free.len() as u64 * (items.len() as u64 + 1);
        self.left = self.left.saturating_sub(looks);
        let least = items.iter().fold((u64::MAX, u64::MAX), |least, item| {
            (least.0.min(item.pod.0), least.1.min(item.pod.1))
        });
        let usable = self.free.iter().filter(|free| fits(**free, least));
        let usable = usable.fold((0u128, 0u128), |sum, free| {
            (sum.0 + u128::from(free.0), sum.1 + u128::from(free.1))
        });
        let asked = items.iter().fold((0u128, 0u128), |sum, item| {
            let n = item.replicas as u128;
            let (cpu, memory) = (u128::from(item.pod.0), u128::from(item.pod.1));
            (sum.0 + cpu * n, sum.1 + memory * n)
        });
        let together = asked.0 <= usable.0 && asked.1 <= usable.1;
        together
            && items
                .iter()
                .all(|item| self.alone(item) >= item.replicas as u64)
    }

    /// How many pods fit, if no other workload came.
    fn alone(&self, item: &Item) -> u64 {
        let each = self.free.iter().map(|free| holds(*free, item.pod));
        let Some(strict) = &item.strict else {
            return each.fold(0, u64::saturating_add);
        };
        let mut places = vec![0u64; strict.places];
        for (node, holds) in each.enumerate() {
            let place = &mut places[strict.place[node]];
            *place = place.saturating_add(holds);
        }
        let least = places.iter().copied().min().unwrap_or(0);
        let most = least.saturating_add(strict.max_skew.into());
        let held = places.into_iter().map(|holds| holds.min(most));
        held.fold(0, u64::saturating_add)
    }
}

/// How many such pods there is room for.
pub(crate) fn holds(free: (u64, u64), pod: (u64, u64)) -> u64 {
    let of = |free: u64, pod: u64| free.checked_div(pod).unwrap_or(u64::MAX);
    of(free.0, pod.0).min(of(free.1, pod.1))
}

fn strict(site: &Site, nodes: &[usize], spread: Spread) -> Strict {
    let mut numbers = BTreeMap::new();
    let place = nodes.iter().map(|at| {
        let label = site.nodes[*at].labels[spread.across as usize];
        let next = numbers.len();
        *numbers.entry(label).or_insert(next)
    });
    let place = place.collect();
    Strict {
        max_skew: spread.max_skew,
        place,
        places: numbers.len(),
    }
}
