//! Copies of volumes: where the storage system puts them, what a loss leaves of them, and what it
//! can make again.
//!
//! Longhorn puts each volume's copies on nodes of their own: the first beside the pod (best-effort
//! data locality), none where the volume's place has one already, the least filled node first.
//! Ceph cuts all volumes into placement groups over all nodes, so a loss meets some group of every
//! volume in the worst way. Knows neither how long rebuilding takes nor how full disks are.

use super::{Placement, Site};
use crate::design::{Design, Lost};
use quorate_engine::manifest::{Domain, StorageEngine};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// A pod's volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Volume {
    /// Index of its workload in the manifest.
    pub workload: usize,
    /// Which of its volumes, from 0: the number of its pod.
    pub number: usize,
    /// Its size.
    pub bytes: u64,
    /// Where its copies are; none: its pod was never on a node, so it was not made.
    pub copies: Option<Copies>,
}

/// Where the copies of a volume are: indices of nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Copies {
    /// A whole copy on each of these.
    Whole(Vec<usize>),
    /// In parts, over all nodes with storage.
    Parts,
    /// There is no replicated storage: on its pod's first node alone.
    Local(usize),
}

/// What is left of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VolumeState {
    /// Index of its workload in the manifest.
    pub workload: usize,
    /// Copies there should be.
    pub replicas: u32,
    /// Copies there are; of the worst placement group, where a volume is in parts.
    pub left: u32,
    /// Its data can be read now.
    pub readable: bool,
    /// It can be written now.
    pub writable: bool,
}

/// What the storage system copies again for a volume once it has given the lost copies up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Rebuild {
    /// Index in [`Placement::volumes`].
    pub volume: usize,
    /// How much is copied.
    pub bytes: u64,
    /// Where to; all remaining nodes with storage, where a volume is in parts.
    pub onto: Vec<usize>,
    /// Copies that find no place until the lost ones are back.
    pub homeless: u32,
}

/// Nodes with storage in a place that keeps copies apart.
#[derive(Debug, Clone, Copy, Default)]
struct Shelf {
    nodes: u32,
    lost: u32,
}

impl Site {
    /// Nodes that the storage system uses: DaemonSets without tolerations run there.
    fn stores(&self, node: usize) -> bool {
        self.nodes[node].takes_pods
    }

    /// What tells places of copies apart: the label that the storage system reads. Where only nodes
    /// are to be told apart Longhorn still prefers another zone.
    fn shelf(&self, node: usize, apart: Domain) -> usize {
        let scale = match apart {
            Domain::Node => Domain::Zone,
            Domain::Zone | Domain::Region | Domain::Provider => apart,
        };
        self.nodes[node].labels[scale as usize]
    }
}

/// The fewest copies with which Ceph goes on: `osd_pool_default_min_size`, by default
/// `size - size / 2` (<https://docs.ceph.com/en/reef/rados/configuration/pool-pg-config-ref/>).
const fn ceph_min_size(size: u32) -> u32 {
    size - size / 2
}

impl Placement {
    /// The volume of a workload's pod, if it has data.
    #[must_use]
    pub fn volume(&self, workload: usize, number: usize) -> Option<&Volume> {
        self.site.asks[workload].data?;
        let before = self.site.asks[..workload].iter();
        let before = before.filter(|ask| ask.data.is_some());
        let first: usize = before.map(|ask| ask.replicas as usize).sum();
        let found = &self.volumes[first + number];
        assert_eq!((found.workload, found.number), (workload, number));
        Some(found)
    }

    /// What a further loss leaves of every volume before anything is rebuilt, in order.
    #[must_use]
    pub fn volumes_after(&self, design: &Design, lost: &Lost) -> Vec<VolumeState> {
        assert_eq!(design.nodes().len(), self.site.nodes.len(), "one design");
        let mut then = self.clone();
        then.lost.nodes.extend(&lost.nodes);
        then.count_shelves();
        then.volumes
            .iter()
            .map(|volume| then.state(volume))
            .collect()
    }

    /// Makes the volumes of pods that are on a node for the first time.
    pub(super) fn provision(&mut self) {
        let mut made = std::mem::take(&mut self.volumes);
        if made.is_empty() {
            for (workload, ask) in self.site.asks.iter().enumerate() {
                let Some(bytes) = ask.data else {
                    continue;
                };
                made.extend((0..ask.replicas as usize).map(|number| Volume {
                    workload,
                    number,
                    bytes,
                    copies: None,
                }));
            }
        }
        let mut stored = self.stored(&made);
        for volume in &mut made {
            let node = self.pods[volume.workload][volume.number];
            if let (None, Some(node)) = (&volume.copies, node) {
                volume.copies = Some(self.make(volume.bytes, node, &mut stored));
            }
        }
        self.volumes = made;
        self.count_shelves();
    }

    fn count_shelves(&mut self) {
        let shelves = self.shelf_list();
        self.shelves = shelves.len() as u32;
        self.broken_shelves = shelves.values().filter(|shelf| shelf.lost > 0).count() as u32;
    }

    /// Bytes on each node.
    fn stored(&self, volumes: &[Volume]) -> Vec<u64> {
        let mut stored = vec![0; self.site.nodes.len()];
        for volume in volumes {
            if let Some(Copies::Whole(nodes)) = &volume.copies {
                for node in nodes {
                    stored[*node] += volume.bytes;
                }
            }
        }
        stored
    }

    fn make(&self, bytes: u64, beside: usize, stored: &mut [u64]) -> Copies {
        let Some(storage) = &self.site.storage else {
            return Copies::Local(beside);
        };
        match storage.engine {
            StorageEngine::RookCeph => Copies::Parts,
            StorageEngine::Longhorn => {
                let mut nodes = Vec::new();
                if storage.replicas > 0 && self.site.stores(beside) {
                    nodes.push(beside);
                    stored[beside] += bytes;
                }
                let missing = storage.replicas as usize - nodes.len();
                let further = self.further(&nodes, missing, storage.spread, (bytes, stored));
                nodes.extend(further);
                Copies::Whole(nodes)
            }
        }
    }

    /// Chooses nodes for so many copies more, each of so many bytes.
    fn further(
        &self,
        have: &[usize],
        missing: usize,
        spread: Domain,
        (bytes, stored): (u64, &mut [u64]),
    ) -> Vec<usize> {
        // Few, so lists are quicker than sets.
        let mut used: Vec<usize> = have.to_vec();
        let shelf = |node: usize| self.site.shelf(node, spread);
        let mut shelves: Vec<usize> = have.iter().map(|node| shelf(*node)).collect();
        let mut chosen = Vec::new();
        for _ in 0..missing {
            let free = (0..self.site.nodes.len()).filter(|node| {
                let apart = spread == Domain::Node || !shelves.contains(&shelf(*node));
                let there = self.site.stores(*node) && self.lost.leaves(*node);
                there && !used.contains(node) && apart
            });
            let best = free.min_by_key(|n| (shelves.contains(&shelf(*n)), stored[*n], *n));
            let Some(node) = best else {
                break;
            };
            used.push(node);
            shelves.push(shelf(node));
            stored[node] += bytes;
            chosen.push(node);
        }
        chosen
    }

    /// Nodes with storage by the place that keeps Ceph's copies apart.
    fn shelf_list(&self) -> BTreeMap<usize, Shelf> {
        let mut shelves = BTreeMap::<usize, Shelf>::new();
        let ceph = self
            .site
            .storage
            .as_ref()
            .filter(|storage| storage.engine == StorageEngine::RookCeph);
        for node in (0..self.site.nodes.len()).filter(|node| self.site.stores(*node)) {
            if let Some(storage) = ceph {
                let place = self.site.nodes[node].labels[storage.spread as usize];
                let shelf = shelves.entry(place).or_default();
                shelf.nodes += 1;
                shelf.lost += u32::from(!self.lost.leaves(node));
            }
        }
        shelves
    }

    /// What is left of a volume before anything is rebuilt.
    #[must_use]
    pub fn state(&self, volume: &Volume) -> VolumeState {
        let replicas = self
            .site
            .storage
            .as_ref()
            .map_or(1, |storage| storage.replicas);
        let (left, needed) = match &volume.copies {
            None => (0, 1),
            Some(Copies::Local(node)) => (u32::from(self.lost.leaves(*node)), 1),
            Some(Copies::Whole(nodes)) => {
                let left = nodes.iter().filter(|node| self.lost.leaves(**node));
                (left.count() as u32, 1)
            }
            Some(Copies::Parts) => {
                let whole = replicas.min(self.shelves);
                let left = whole.saturating_sub(self.broken_shelves);
                (left, ceph_min_size(replicas).max(1))
            }
        };
        VolumeState {
            workload: volume.workload,
            replicas,
            left,
            readable: left >= needed,
            writable: left >= needed,
        }
    }

    /// What the storage system copies again on what is left, for each volume that lacks copies and
    /// has one to copy from, in order.
    #[must_use]
    pub fn rebuilds(&self) -> Vec<Rebuild> {
        let Some(storage) = &self.site.storage else {
            return Vec::new();
        };
        let mut stored = self.stored(&self.volumes);
        let (surviving, target) = self.shares(storage.replicas);
        let remaining = || {
            let nodes = 0..self.site.nodes.len();
            nodes.filter(|node| self.site.stores(*node) && self.lost.leaves(*node))
        };
        let mut rebuilds = Vec::new();
        for (at, volume) in self.volumes.iter().enumerate() {
            let state = self.state(volume);
            let (bytes, onto, homeless) = match &volume.copies {
                Some(Copies::Whole(nodes)) if state.left > 0 && state.left < state.replicas => {
                    let left = nodes.iter().copied().filter(|n| self.lost.leaves(*n));
                    let left: Vec<usize> = left.collect();
                    let missing = state.replicas - state.left;
                    let onto = self.further(
                        &left,
                        missing as usize,
                        storage.spread,
                        (volume.bytes, &mut stored),
                    );
                    let copied = onto.len() as u32;
                    (volume.bytes * u64::from(copied), onto, missing - copied)
                }
                Some(Copies::Parts) if state.left > 0 && self.broken_shelves > 0 => {
                    let share = (f64::from(target) - surviving).max(0.0);
                    let bytes = libm::round(volume.bytes as f64 * share) as u64;
                    (bytes, remaining().collect(), storage.replicas - target)
                }
                Some(Copies::Whole(_) | Copies::Parts | Copies::Local(_)) | None => continue,
            };
            rebuilds.push(Rebuild {
                volume: at,
                bytes,
                onto,
                homeless,
            });
        }
        rebuilds
    }

    /// Of volumes in parts: copies that survive, as a share of a volume's size, and copies that
    /// there can be on what is left. CRUSH fills places by their weight, none with more than one
    /// copy of anything.
    fn shares(&self, replicas: u32) -> (f64, u32) {
        let shelves = self.shelf_list();
        let all = replicas.min(shelves.len() as u32);
        let alive = shelves.values().filter(|shelf| shelf.lost < shelf.nodes);
        let target = replicas.min(alive.count() as u32);
        let mut by_weight: Vec<&Shelf> = shelves.values().collect();
        by_weight.sort_by_key(|shelf| std::cmp::Reverse(shelf.nodes));
        let (mut copies, mut weight) = (f64::from(all), 0.0);
        for shelf in &by_weight {
            weight += f64::from(shelf.nodes);
        }
        let mut surviving = 0.0;
        for shelf in by_weight {
            let nodes = f64::from(shelf.nodes);
            let share = (copies * nodes / weight).min(1.0);
            copies -= share;
            weight -= nodes;
            surviving += share * f64::from(shelf.nodes - shelf.lost) / nodes;
        }
        (surviving, target)
    }
}
