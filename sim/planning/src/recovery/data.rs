//! What is gone of etcd's data when members that are lost never come back.

use super::leader::{FSYNC, one_way};
use super::{LOSSES, Times};
use crate::design::{Design, Lost};
use crate::failures::standing::{Fate, quorum};
use quorate_engine::random::Seed;
use quorate_engine::time::Span;
use schemars::JsonSchema;
use serde::Serialize;

/// From what etcd is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The disk of a member that is left: it lacks what had not reached it yet.
    SurvivingDisk,
    /// The last snapshot that `quorate run` took.
    Snapshot,
    /// There is nothing to restore it from: no member is left, and none are taken on schedule.
    Nothing,
}

/// What is gone of etcd's data without a quorum.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct EtcdData {
    /// From what it is restored.
    pub from: Source,
    /// Writes of so many seconds before the loss are gone; none: all of them.
    pub writes: Option<Times>,
}

/// None where a quorum is left: it has everything that was acknowledged.
pub(super) fn etcd(design: &Design, lost: &Lost, name: &str, seed: Seed) -> Option<EtcdData> {
    let quorum = quorum(design, lost).filter(|quorum| quorum.fate() == Fate::Goes)?;
    let every = design
        .manifest
        .spec
        .kubernetes
        .as_ref()?
        .etcd
        .snapshots
        .every
        .0;
    let mut luck = seed.stream(name, "etcd's last writes");
    let (from, writes) = match (quorum.left, every) {
        (0, Span(0)) => (Source::Nothing, None),
        (0, every) => {
            // The loss comes at any instant between two snapshots alike.
            let ages = (0..LOSSES).map(|_| Span(luck.below(every.0)));
            (Source::Snapshot, Times::of(ages.collect()))
        }
        (left, _) => {
            // The leader has everything; what it sent last is on its way to the others.
            let behind = one_way(design, &Lost::default()) + FSYNC;
            let led = left as f64 / quorum.members as f64;
            let writes = (0..LOSSES).map(|_| match luck.chance(led) {
                true => Span::ZERO,
                false => behind,
            });
            (Source::SurvivingDisk, Times::of(writes.collect()))
        }
    };
    Some(EtcdData { from, writes })
}

#[cfg(test)]
mod tests;
