//! Deaths of etcd's leader, by the etcd model of the simulated world.

use crate::design::{Design, Lost};
use crate::failures::standing::{Fate, quorum};
use quorate_engine::manifest::Role;
use quorate_engine::quorum::EtcdVersion;
use quorate_engine::random::{Seed, Stream};
use quorate_engine::time::Span;
use quorate_engine::timing::Timing;
use quorate_sim::etcd::validate::election::{Setting, leader_losses};
use quorate_sim::etcd::{Options, Version};
use std::collections::BTreeMap;

/// Deaths played for each setting: what is drawn from is a table of so many.
const DEATHS: usize = 400;

/// A synced write on a member's disk: between a good SSD (below 1 ms) and a busy shared disk
/// (4.5 ms); the simulated world draws from the same range.
pub(super) const FSYNC: Span = Span::from_us(2_500);

/// Elections that were played already, by members, distance and timers.
#[derive(Debug, Default)]
pub struct Elections {
    options: Option<Options>,
    played: BTreeMap<(usize, u64, u32, u32), Vec<Span>>,
}

/// How long etcd is without a leader after a loss.
pub(super) struct Leader<'a> {
    /// In how many losses the leader is among what is lost. Any member leads as likely as another.
    pub(super) share: f64,
    gaps: &'a [Span],
}

impl Leader<'_> {
    /// One loss: none where the leader stays, or where nobody can be elected.
    pub(super) fn draw(&self, luck: &mut Stream) -> Option<Span> {
        let lost = luck.chance(self.share);
        let gap = luck.below(self.gaps.len().max(1) as u64) as usize;
        self.gaps.get(gap).copied().filter(|_| lost)
    }
}

impl Elections {
    /// Turns to a design, whose members have the timers that its plan gives them. What was played
    /// for another design is kept: many have the same distances.
    pub fn turn_to(&mut self, design: &Design) {
        self.options = options(design);
    }

    /// Without a quorum, or with no member lost, there is no election.
    pub(super) fn played(&mut self, design: &Design, lost: &Lost, seed: Seed) -> Leader<'_> {
        let none = Leader {
            share: 0.0,
            gaps: &[],
        };
        let Some(quorum) = quorum(design, lost).filter(|quorum| quorum.fate() == Fate::Degrades)
        else {
            return none;
        };
        let Some(options) = self.options else {
            return none;
        };
        let one_way = one_way(design, lost);
        let timers = (options.heartbeat_ms, options.election_ms);
        let key = (quorum.members, one_way.0, timers.0, timers.1);
        let gaps = self.played.entry(key).or_insert_with(|| {
            let setting = Setting {
                members: quorum.members,
                options,
                one_way,
                fsync: FSYNC,
            };
            let losses = leader_losses(&setting, seed.0, DEATHS);
            let spans = losses.leaderless.iter().map(|ms| Span((ms * 1e6) as u64));
            spans.collect()
        });
        Leader {
            share: (quorum.members - quorum.left) as f64 / quorum.members as f64,
            gaps,
        }
    }
}

/// The timers that the desired cluster gives its members.
fn options(design: &Design) -> Option<Options> {
    let kubernetes = design.manifest.spec.kubernetes.as_ref()?;
    let version = match &kubernetes.etcd.version {
        Some(version) => version.parse().ok()?,
        None => EtcdVersion::for_kubernetes(&kubernetes.version).ok()?,
    };
    let mut options = Options::of(Version::new(version.minor, version.patch));
    let timing = Timing::of(&design.manifest);
    options.heartbeat_ms = timing.heartbeat.as_ms() as u32;
    options.election_ms = timing.election.as_ms() as u32;
    Some(options)
}

/// The model has one distance between any two members: the median of those that are left.
pub(super) fn one_way(design: &Design, lost: &Lost) -> Span {
    let left: Vec<usize> = design
        .with(Role::ControlPlane)
        .filter(|at| lost.leaves(*at))
        .collect();
    let place = |at: usize| {
        let node = &design.nodes()[at];
        (node.provider_kind, node.region.as_str())
    };
    let mut ways: Vec<Span> = left
        .iter()
        .enumerate()
        .flat_map(|(i, a)| left[..i].iter().map(move |b| (*a, *b)))
        .map(|(a, b)| Span(design.distances.rtt(place(a), place(b)).rtt.0 / 2))
        .collect();
    ways.sort_unstable();
    ways.get(ways.len() / 2)
        .copied()
        .unwrap_or(Span::from_us(250))
}
