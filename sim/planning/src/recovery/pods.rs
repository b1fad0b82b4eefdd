//! How Kubernetes gets over lost nodes: leases run out, taints are tolerated, pods are made anew.

use super::{Displaced, LOSSES, Times};
use crate::design::{Design, Lost};
use crate::failures::standing::{Fate, quorum};
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
    let times = settings(design)?;
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
    let times = settings(design)?;
    let waits = queue(design, lost, &times)?;
    let mut luck = seed.stream(name, "pods start");
    let samples = gone.iter().map(|gone| {
        let ready = displaced.iter().map(|pod| {
            let detach = match pod.volume {
                true => times.force_detach + times.attach,
                false => Span::ZERO,
            };
            let wait = waits.get(&pod.from).copied().unwrap_or(Span::ZERO);
            wait + detach + luck.lognormal(times.start, times.start_sigma)
        });
        let last = ready.max().unwrap_or(Span::ZERO);
        *gone + times.toleration + times.sync + last
    });
    Times::of(samples.collect())
}

/// How long each lost node waits for its NoExecute taint. None: nothing is evicted at all, because
/// every zone is down, or because a zone is partly down and too small for the slower pace.
fn queue(design: &Design, lost: &Lost, times: &Settings) -> Option<BTreeMap<usize, Span>> {
    let mut zones = BTreeMap::<(&str, &str), Vec<usize>>::new();
    for (at, node) in design.nodes().iter().enumerate() {
        if node.is(Role::Worker) || node.is(Role::ControlPlane) {
            zones
                .entry((&node.region, &node.zone))
                .or_default()
                .push(at);
        }
    }
    let mut waits = BTreeMap::new();
    let mut dark = 0;
    for nodes in zones.values() {
        let gone: Vec<usize> = nodes
            .iter()
            .copied()
            .filter(|at| !lost.leaves(*at))
            .collect();
        let whole = gone.len() == nodes.len();
        dark += usize::from(whole);
        let disrupted = gone.len() >= times.unhealthy_min
            && gone.len() * 100 >= nodes.len() * times.unhealthy_percent;
        let pace = match (whole, disrupted) {
            (false, true) if nodes.len() <= times.large_zone => return None,
            (false, true) => times.secondary_eviction,
            (true, _) | (false, false) => times.eviction,
        };
        waits.extend(
            gone.iter()
                .enumerate()
                .map(|(turn, at)| (*at, pace.times(turn as u64))),
        );
    }
    (dark < zones.len()).then_some(waits)
}

fn settings(design: &Design) -> Option<Settings> {
    let version = &design.manifest.spec.kubernetes.as_ref()?.version;
    let minor = version.trim_start_matches('v').split('.').nth(1)?;
    Some(Settings::of_minor(minor.parse().ok()?))
}
