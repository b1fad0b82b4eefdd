//! Clients on their way in while an address, or what is behind it, is dead.

use super::{LOSSES, Times};
use crate::design::{Design, Lost};
use crate::failures::standing::{Entry, Fate, api, ingress};
use quorate_engine::manifest::{Dns, LbKind};
use quorate_engine::random::{Seed, Stream, shuffle};
use quorate_engine::time::Span;
use quorate_sim::traffic::{ForwardSettings, PopulationSettings, ResolverSettings};

/// The first write through the API's entry point: dead addresses cost their time-out, a dead
/// server behind the load balancer the balancer's own, and without a leader everybody waits.
pub(super) fn write(
    design: &Design,
    lost: &Lost,
    gaps: &[Option<Span>],
    seed: Seed,
    name: &str,
) -> Option<Times> {
    let entry = api(design, lost)
        .into_iter()
        .find(|entry| entry.fate != Fate::Goes)?;
    let mut luck = seed.stream(name, "first write");
    let connect = connect_timeout(design, LbKind::Api);
    let samples = gaps.iter().map(|gap| {
        let path = match entry.balancers {
            Some(balancers) => {
                dead_first(balancers, &mut luck, patience())
                    + dead_first(entry.backends, &mut luck, connect)
            }
            None => dead_first(entry.backends, &mut luck, patience()),
        };
        path.max(gap.unwrap_or(Span::ZERO))
    });
    Times::of(samples.collect())
}

/// Until nothing that clients meet at an ingress is dead any more, for clients that try the next
/// address: load balancers find dead nodes out by their checks, Kubernetes dead pods by leases.
/// None where no ingress is left, or dead pods are never found out.
pub(super) fn clean(
    design: &Design,
    lost: &Lost,
    gone: Option<&[Span]>,
    seed: Seed,
    name: &str,
) -> Option<Times> {
    let entries = ingress(design, lost);
    entries.iter().find(|entry| entry.fate != Fate::Goes)?;
    let hit = entries
        .iter()
        .any(|entry| entry.backends.0 < entry.backends.1);
    if !hit {
        return Times::of(vec![Span::ZERO; LOSSES]);
    }
    let mut luck = seed.stream(name, "checks of backends");
    let check = settings(design, LbKind::Ingress);
    let gone = gone?;
    assert_eq!(gone.len(), LOSSES, "one instant for each loss");
    let samples = gone.iter().map(|gone| {
        // One check may be under way already; each further one follows at the faster pace.
        let first = Span(luck.below(check.interval.0.max(1)));
        let more = check.fast_interval.times(u64::from(check.fall) - 1);
        let each = check.check_connect_timeout.times(u64::from(check.fall));
        (first + more + each).max(*gone)
    });
    Times::of(samples.collect())
}

/// Until a client that keeps to the address it was given is given another: the check of the name,
/// and what is left of the answer's life in the client's resolver. None where no load balancer is
/// lost, or where nothing takes its address out of the answer.
pub(super) fn names(design: &Design, lost: &Lost, seed: Seed, name: &str) -> Option<Times> {
    let entries: Vec<Entry> = ingress(design, lost)
        .into_iter()
        .chain(api(design, lost))
        .collect();
    let hit = |entry: &&Entry| {
        let balancers = entry
            .balancers
            .is_some_and(|(left, all)| 0 < left && left < all);
        balancers && entry.names.0 > 0
    };
    let hit = entries.iter().find(hit)?;
    let balancer = hit.name.split('/').next().unwrap_or_default();
    let mut names = design.manifest.spec.dns.iter();
    let dns =
        names.find(|dns| dns.load_balancer == balancer && !lost.dns.contains(&dns.provider))?;
    let check = dns.health_check?;
    let mut luck = seed.stream(name, "names");
    let samples = (0..LOSSES).map(|_| {
        let first = Span(luck.below(check.interval.0.0.max(1)));
        let more = check
            .interval
            .0
            .times(u64::from(check.threshold.max(1)) - 1);
        first + more + check.timeout.0 + kept(dns, &mut luck)
    });
    Times::of(samples.collect())
}

/// How long a resolver still gives the old answer: it may have asked at any instant of the TTL.
fn kept(dns: &Dns, luck: &mut Stream) -> Span {
    let resolvers = ResolverSettings::default();
    let extends = luck.chance(resolvers.extending_share);
    let ttl = match extends {
        true => dns.ttl.0.max(resolvers.extended_ttl),
        false => dns.ttl.0.max(resolvers.ttl_floor),
    };
    Span(luck.below(ttl.0.max(1)))
}

/// What a client loses at dead ones before it comes to a living one, in random order.
fn dead_first((left, all): (usize, usize), luck: &mut Stream, each: Span) -> Span {
    let mut order: Vec<bool> = (0..all).map(|at| at < left).collect();
    shuffle(&mut order, luck);
    let dead = order.iter().take_while(|lives| !**lives).count();
    each.times(dead as u64)
}

/// How long clients of the simulated world wait for one address before they try the next.
fn patience() -> Span {
    let usual = PopulationSettings::default().connect_timeout;
    usual.expect("clients try the next address")
}

fn settings(design: &Design, kind: LbKind) -> ForwardSettings {
    let mut balancers = design.manifest.spec.load_balancers.iter();
    let of_kind = balancers.find(|lb| lb.roles.iter().any(|role| role.kind == kind));
    ForwardSettings::of(kind, &of_kind.map(|lb| lb.health_check).unwrap_or_default())
}

fn connect_timeout(design: &Design, kind: LbKind) -> Span {
    settings(design, kind).connect_timeout
}
