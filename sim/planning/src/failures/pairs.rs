//! Pairs of failure domains: which of them take more than their parts do.
//!
//! Of nodes only those are paired whose loss alone is felt by etcd or at an entry point: pairs of
//! workers are the capacity section's. A domain inside another makes no pair with it.

use super::{Looker, Row, Standing};
use crate::design::{Design, DomainKind};
use crate::failures::standing::{Fate, Quorum};

/// More pairs than this are not looked at: smaller domains are left out first.
const MOST: usize = 2_000;

/// Pairs that are worth a row, and how many were looked at.
pub(super) fn worth_naming(
    design: &Design,
    rows: &[Row],
    row_of: &[usize],
    looker: &mut Looker<'_>,
) -> (Vec<Row>, usize) {
    let whole = looker.whole.clone();
    let single = |at: usize| &rows[row_of[at]].standing;
    let candidates: Vec<usize> = (0..row_of.len())
        .filter(|at| candidate(design, *at, single(*at), &whole))
        .collect();
    let pairs = candidates
        .iter()
        .enumerate()
        .flat_map(|(i, a)| candidates[i + 1..].iter().map(move |b| (*a, *b)))
        .filter(|(a, b)| alike(design, *a, *b) && apart(design, *a, *b));
    let (mut found, mut seen) = (Vec::new(), 0);
    for (a, b) in pairs.take(MOST) {
        seen += 1;
        let lost = design.lost(&[a, b]);
        let (standing, _) = looker.standing(&lost);
        if takes_more(&standing, single(a), single(b)) {
            found.push(((a, b), looker.row(&[a, b])));
        }
    }
    (minimal(design, &found), seen)
}

/// Zones and regions that take what their provider takes are left to the provider.
fn candidate(design: &Design, at: usize, standing: &Standing, whole: &Standing) -> bool {
    let domain = &design.domains[at];
    let same = |other: &crate::design::FailureDomain| {
        other.kind < domain.kind && other.nodes == domain.nodes && other.dns == domain.dns
    };
    if domain.kind != DomainKind::Node && design.domains[..at].iter().any(same) {
        return false;
    }
    match domain.kind {
        DomainKind::Node => felt(standing, whole),
        _ => true,
    }
}

fn felt(standing: &Standing, whole: &Standing) -> bool {
    let balancers = |standing: &Standing| -> Vec<_> {
        let entries = standing.api.iter().chain(&standing.ingress);
        entries.map(|entry| entry.balancers).collect()
    };
    standing.etcd.map(|etcd| etcd.left) != whole.etcd.map(|etcd| etcd.left)
        || balancers(standing) != balancers(whole)
}

/// A node and a provider say no more than two nodes, or two providers.
fn alike(design: &Design, a: usize, b: usize) -> bool {
    let [a, b] = [a, b].map(|at| design.domains[at].kind);
    let shared = |kind| matches!(kind, DomainKind::Group | DomainKind::Dns);
    (a == DomainKind::Node) == (b == DomainKind::Node) || shared(a) || shared(b)
}

fn apart(design: &Design, a: usize, b: usize) -> bool {
    let (a, b) = (&design.domains[a], &design.domains[b]);
    let within = |small: &crate::design::FailureDomain, large: &crate::design::FailureDomain| {
        small.nodes.is_subset(&large.nodes) && small.dns.is_subset(&large.dns)
    };
    !within(a, b) && !within(b, a)
}

/// Whether something goes that goes with neither of the two.
fn takes_more(both: &Standing, a: &Standing, b: &Standing) -> bool {
    let (both, a, b) = (fates(both), fates(a), fates(b));
    let singles = a.iter().zip(&b);
    both.iter()
        .zip(singles)
        .any(|(both, (a, b))| *both == Fate::Goes && *a != Fate::Goes && *b != Fate::Goes)
}

/// The fates of everything, in an order that only the manifest decides.
fn fates(standing: &Standing) -> Vec<Fate> {
    let etcd = standing.etcd.map(Quorum::fate);
    let entries = standing
        .api
        .iter()
        .chain(&standing.ingress)
        .map(|entry| entry.fate);
    let workloads = standing.workloads.iter().map(|served| served.fate);
    let volumes = standing.volumes.iter().map(|kept| kept.fate);
    etcd.into_iter()
        .chain(entries)
        .chain(workloads)
        .chain(volumes)
        .collect()
}

/// Without pairs that say no more than a pair of smaller domains inside them.
fn minimal(design: &Design, rows: &[((usize, usize), Row)]) -> Vec<Row> {
    let within = |small: usize, large: usize| {
        let (small, large) = (&design.domains[small], &design.domains[large]);
        small.nodes.is_subset(&large.nodes) && small.dns.is_subset(&large.dns)
    };
    let inside = |(a, b): (usize, usize), (c, d): (usize, usize)| {
        within(a, c) && within(b, d) || within(a, d) && within(b, c)
    };
    let needless = |pair: (usize, usize), row: &Row| {
        rows.iter().any(|(other, smaller)| {
            *other != pair
                && inside(*other, pair)
                && smaller.nodes < row.nodes
                && fates(&smaller.standing) == fates(&row.standing)
        })
    };
    let kept = rows.iter().filter(|(pair, row)| !needless(*pair, row));
    kept.map(|(_, row)| row.clone()).collect()
}
