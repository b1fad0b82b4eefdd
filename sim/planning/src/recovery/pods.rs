//! How Kubernetes gets over lost nodes: leases run out, taints are tolerated, pods are made anew.

use super::{Displaced, LOSSES, Times};
use crate::design::{Design, Lost};
use crate::failures::standing::{Fate, quorum};
use crate::placing::{held_back, minor};
use quorate_engine::manifest::Role;
use quorate_engine::random::Seed;
use quorate_engine::time::Span;
use quorate_sim::kube::Settings;
use std::collections::BTreeMap;

/// For each played loss, when the last lost node is NotReady and no traffic goes to its pods. None
/// where no node is lost that has pods, or where nobody can notice: without a quorum.
pub(super) fn found_out(
    design: &Design,
    lost: &Lost,
    controllers_lost: f64,
    seed: Seed,
    name: &str,
) -> Option<Vec<Span>> {
    let workers = design
        .with(Role::Worker)
        .filter(|at| !lost.leaves(*at))
        .count();
    let quorum = quorum(design, lost)?;
    if workers == 0 || quorum.fate() == Fate::Goes {
        return None;
    }
    let times = settings(design);
    let mut luck = seed.stream(name, "leases of nodes");
    let samples = (0..LOSSES).map(|_| {
        // The controller that judges nodes may have been lost with them: another takes over when
        // its lease has run out, and gives every node the whole grace from then.
        let lost = luck.chance(controllers_lost);
        let takeover = match lost {
            true => {
                let since = Span(luck.below(times.leader_retry.0));
                let retry = Span(luck.below(times.leader_retry.0));
                (times.leader_lease - since) + retry
            }
            false => Span::ZERO,
        };
        let renewed = (0..workers).map(|_| Span(luck.below(times.lease.0))).min();
        let renewed = match lost {
            true => Span::ZERO,
            false => renewed.unwrap_or(Span::ZERO),
        };
        let look = Span(luck.below(times.monitor.0));
        takeover + (times.grace - renewed) + look + times.proxy_lag
    });
    Some(samples.collect())
}

/// Until every pod that finds a place is ready there. None where none moves, or none can.
pub(super) fn back(
    design: &Design,
    lost: &Lost,
    gone: Option<&[Span]>,
    displaced: &[Displaced],
    seed: Seed,
    name: &str,
) -> Option<Times> {
    let gone = gone.filter(|_| !displaced.is_empty())?;
    let times = settings(design);
    let waits = queue(design, lost, &times);
    let mut luck = seed.stream(name, "pods start");
    // Of pods that begin to start at one time the slowest counts: one exponential for all of them.
    let mut begins: Vec<Span> = Vec::new();
    let group = |pod: &Displaced| {
        let detach = match pod.volume {
            true => times.force_detach + times.attach,
            false => Span::ZERO,
        };
        let begin = waits.get(&pod.from).copied().unwrap_or(Span::ZERO) + detach;
        let known = begins.iter().position(|known| *known == begin);
        known.unwrap_or_else(|| {
            begins.push(begin);
            begins.len() - 1
        })
    };
    let groups: Vec<usize> = displaced.iter().map(group).collect();
    let samples = gone.iter().map(|gone| {
        let mut slowest = vec![f64::NEG_INFINITY; begins.len()];
        for group in &groups {
            slowest[*group] = luck.normal().max(slowest[*group]);
        }
        let ready = begins.iter().zip(slowest).map(|(begin, slowest)| {
            let factor = libm::exp(times.start_sigma * slowest);
            *begin + Span((factor * times.start.0 as f64) as u64)
        });
        let last = ready.max().unwrap_or(Span::ZERO);
        *gone + times.toleration + times.sync + last
    });
    Times::of(samples.collect())
}

/// How long each lost node waits for its NoExecute taint, where it gets one: a zone evicts one node
/// after the other, and slower where it is only partly down.
fn queue(design: &Design, lost: &Lost, times: &Settings) -> BTreeMap<usize, Span> {
    let mut zones = BTreeMap::<(&str, &str), Vec<usize>>::new();
    for (at, node) in design.nodes().iter().enumerate() {
        if node.is(Role::Worker) || node.is(Role::ControlPlane) {
            let zone = zones.entry((&node.region, &node.zone)).or_default();
            zone.push(at);
        }
    }
    let held = held_back(design, lost);
    let mut waits = BTreeMap::new();
    for nodes in zones.values() {
        let gone = || nodes.iter().filter(|at| !lost.leaves(**at));
        let count = gone().count();
        let partly = count < nodes.len()
            && count >= times.unhealthy_min
            && count * 100 >= nodes.len() * times.unhealthy_percent;
        let pace = if partly {
            times.secondary_eviction
        } else {
            times.eviction
        };
        let evicted = gone().filter(|at| !held.contains(at)).enumerate();
        waits.extend(evicted.map(|(turn, at)| (*at, pace.times(turn as u64))));
    }
    waits
}

fn settings(design: &Design) -> Settings {
    Settings::of_minor(minor(design))
}
