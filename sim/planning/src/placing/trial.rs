//! Whether anything is left over after a loss: asked a thousand times of one placement.
//!
//! Does what [`Placement::after`] does, node by node, and takes it back. Says nothing but which
//! workload came off badly.

use super::{Placement, Room, Round};
use std::collections::BTreeSet;

/// Tries losses on a placement in which everything fits.
pub(crate) struct Trial<'a> {
    placement: &'a Placement,
    room: Room,
    /// By node: workloads of the pods there, in order.
    on_node: Vec<Vec<usize>>,
}

impl<'a> Trial<'a> {
    /// Begins.
    pub(crate) fn of(placement: &'a Placement) -> Self {
        assert_eq!(
            placement.pending(),
            0,
            "nobody waits before a loss is tried"
        );
        let mut on_node = vec![Vec::new(); placement.site.nodes.len()];
        for (workload, pods) in placement.pods.iter().enumerate() {
            for node in pods.iter().flatten() {
                on_node[*node].push(workload);
            }
        }
        Self {
            placement,
            room: placement.room.clone(),
            on_node,
        }
    }

    /// The first workload with a pod that finds no node when these are lost.
    pub(crate) fn miss(&mut self, lost: &BTreeSet<usize>) -> Option<usize> {
        for node in lost {
            self.room.open[*node] = false;
        }
        let mut moved = Vec::new();
        let missed = lost.iter().find_map(|node| self.evict(*node, &mut moved));
        let site = &self.placement.site;
        for (workload, to) in moved {
            let pod = site.asks[workload].pod;
            let free = self.room.free[to];
            self.room
                .set_free(site, to, (free.0 + pod.0, free.1 + pod.1));
            self.room.placed[workload][to] -= 1;
        }
        for node in lost {
            self.room.open[*node] = self.placement.room.open[*node];
            for workload in &self.on_node[*node] {
                self.room.placed[*workload][*node] = self.placement.room.placed[*workload][*node];
            }
        }
        missed
    }

    fn evict(&mut self, node: usize, moved: &mut Vec<(usize, usize)>) -> Option<usize> {
        for workload in &self.on_node[node] {
            self.room.placed[*workload][node] -= 1;
        }
        for run in self.on_node[node].chunk_by(|a, b| a == b) {
            let workload = run[0];
            let mut round = Round::of(&self.placement.site, &self.room, workload, run.len());
            for _ in run {
                let Some(to) = round.place(&mut self.room) else {
                    return Some(workload);
                };
                moved.push((workload, to));
            }
        }
        None
    }
}
