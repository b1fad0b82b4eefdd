//! Whether it matters in which order lost nodes are found dead.
//!
//! Each is noticed when its own lease runs out, so the order is luck, and nothing that was placed
//! moves again: where room is short, luck decides who gets it. Knows no likelihoods.

use super::Placement;
use super::round::fits;
use crate::design::{Design, Lost};

/// Of so many nodes every order is tried.
const ALL_ORDERS: usize = 4;

/// Of more nodes at most so many orders, in each of which another node is first.
const SOME_ORDERS: usize = 24;

impl Placement {
    /// The same loss as [`Placement::after`], with lost nodes found dead in other orders. Empty where
    /// no order can change which pods are placed.
    pub(crate) fn after_otherwise(&self, design: &Design, lost: &Lost) -> Vec<Self> {
        let nodes: Vec<usize> = lost.nodes.iter().copied().collect();
        let nodes: Vec<usize> = nodes.into_iter().filter(|at| self.has_pods(*at)).collect();
        if nodes.len() < 2 || self.has_room_for_any_order(lost) {
            return Vec::new();
        }
        let others = orders(&nodes);
        let others = others.iter().map(|order| self.found_dead(lost, order));
        others.map(|next| next.at_rest(self, design)).collect()
    }

    fn has_pods(&self, node: usize) -> bool {
        self.room.placed.iter().any(|placed| placed[node] > 0)
    }

    /// Whether no displaced pod can be kept off every node by the others, wherever those go: a
    /// condition that suffices. A node is closed to a pod once the others took more of its CPU or
    /// memory than what the pod leaves free; all of them together can only take what they ask for.
    fn has_room_for_any_order(&self, lost: &Lost) -> bool {
        let site = &self.site;
        if site.asks.iter().any(|ask| ask.strict().is_some()) {
            return false;
        }
        let displaced = |workload: usize| {
            let placed = &self.room.placed[workload];
            let moved: u64 = lost.nodes.iter().map(|at| u64::from(placed[*at])).sum();
            let waiting = self.queue.iter().filter(|(at, _)| *at == workload).count();
            moved + waiting as u64
        };
        let pods: Vec<u64> = (0..site.asks.len()).map(displaced).collect();
        let asked = pods
            .iter()
            .zip(&site.asks)
            .map(|(pods, ask)| (*pods, ask.pod));
        let (cpu, memory) = asked.clone().fold((0, 0), |(cpu, memory), (pods, pod)| {
            (cpu + pods * pod.0, memory + pods * pod.1)
        });
        let left = || (0..site.nodes.len()).filter(|at| self.room.open[*at] && lost.leaves(*at));
        asked.filter(|(pods, _)| *pods > 0).all(|(_, pod)| {
            // Shares of all that is asked for which close each node; with the CPU of all and the
            // memory of all, the others can close nodes worth two.
            let shares = left()
                .filter(|at| fits(self.room.free[*at], pod))
                .map(|at| {
                    let free = self.room.free[at];
                    let share = |free: u64, pod: u64, all: u64| match all {
                        0 => f64::INFINITY,
                        _ => (free - pod + 1) as f64 / all as f64,
                    };
                    share(free.0, pod.0, cpu).min(share(free.1, pod.1, memory))
                });
            shares.sum::<f64>() > 2.0
        })
    }
}

/// Other orders than the given one.
fn orders(nodes: &[usize]) -> Vec<Vec<usize>> {
    if nodes.len() <= ALL_ORDERS {
        let mut all = vec![Vec::new()];
        for node in nodes {
            all = all
                .iter()
                .flat_map(|order| inserted(order, *node))
                .collect();
        }
        all.retain(|order| order != nodes);
        return all;
    }
    let turns = (0..nodes.len()).step_by(nodes.len().div_ceil(SOME_ORDERS / 2));
    let turned = turns.map(|by| {
        let mut order = nodes.to_vec();
        order.rotate_left(by);
        order
    });
    let both = turned.flat_map(|order| [order.clone(), order.into_iter().rev().collect()]);
    both.filter(|order| order != nodes).collect()
}

/// An order with one more node, at every place.
fn inserted(order: &[usize], node: usize) -> Vec<Vec<usize>> {
    let at = |place| {
        let mut more = order.to_vec();
        more.insert(place, node);
        more
    };
    (0..=order.len()).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::orders;

    #[test]
    fn all_orders_of_a_few_nodes_and_some_of_many() {
        assert_eq!(orders(&[1, 2]), [vec![2, 1]]);
        let mut three = orders(&[1, 2, 3]);
        three.sort();
        three.dedup();
        assert_eq!(three.len(), 5);
        assert!(!three.contains(&vec![1, 2, 3]));
        let nodes: Vec<usize> = (0..100).collect();
        let some = orders(&nodes);
        assert!((10..=24).contains(&some.len()), "{}", some.len());
        for mut order in some {
            assert_ne!(order, nodes);
            order.sort_unstable();
            assert_eq!(order, nodes, "every node once");
        }
    }
}
