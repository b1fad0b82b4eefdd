//! How long a cluster is without a leader when its leader dies.

use super::flat::Flat;
use super::{mean, quantile};
use crate::etcd::cluster::{Etcd, EtcdNote};
use crate::etcd::version::Options;
use quorate_engine::random::Seed;
use quorate_engine::time::{Span, Time};

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Voters.
    pub members: usize,
    /// Version and timers.
    pub options: Options,
    /// From one member to another, one way.
    pub one_way: Span,
    /// One write to disk.
    pub fsync: Span,
}

/// What came out of many deaths of a leader. Times in milliseconds from its death.
#[derive(Debug, Clone, Default)]
pub struct Losses {
    /// Until a survivor first stands for election, sorted.
    pub detection: Vec<f64>,
    /// Until there is a leader, sorted.
    pub leader: Vec<f64>,
    /// Until the new leader has committed something, sorted.
    pub leaderless: Vec<f64>,
    /// The same, of the deaths that took one election only, sorted.
    pub leaderless_at_once: Vec<f64>,
    /// Deaths after which a second survivor stood before it could have heard of the first.
    pub near_ties: usize,
    /// Deaths that took more than one election.
    pub repeated: usize,
}

impl Losses {
    /// Deaths.
    #[must_use]
    pub fn trials(&self) -> usize {
        self.leader.len()
    }

    /// The share of deaths after which there was no leader for longer than `ms`.
    #[must_use]
    pub fn share_over(&self, ms: f64) -> f64 {
        let over = self.leader.iter().filter(|took| **took > ms).count();
        over as f64 / self.trials() as f64
    }

    /// The share of deaths that took more than one election.
    #[must_use]
    pub fn share_repeated(&self) -> f64 {
        self.repeated as f64 / self.trials() as f64
    }

    /// The share of near ties.
    #[must_use]
    pub fn share_near_ties(&self) -> f64 {
        self.near_ties as f64 / self.trials() as f64
    }
}

/// Mean, median, 90th and 99th percentile and the worst, of sorted values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Arithmetic mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// The worst.
    pub max: f64,
}

impl Summary {
    /// Of values in ascending order.
    #[must_use]
    pub fn of(sorted: &[f64]) -> Self {
        Self {
            mean: mean(sorted),
            p50: quantile(sorted, 0.5),
            p90: quantile(sorted, 0.9),
            p99: quantile(sorted, 0.99),
            max: quantile(sorted, 1.0),
        }
    }
}

/// Starts a cluster, lets it elect, kills the leader at a random instant, and watches; `trials`
/// times, each with a seed of its own drawn from `seed`.
#[must_use]
pub fn leader_losses(setting: &Setting, seed: u64, trials: usize) -> Losses {
    let mut losses = Losses::default();
    for trial in 0..trials {
        one_loss(
            setting,
            Seed(seed).stream_of(trial as u64, "trial").bits(),
            &mut losses,
        );
    }
    let all = [
        &mut losses.detection,
        &mut losses.leader,
        &mut losses.leaderless,
        &mut losses.leaderless_at_once,
    ];
    for values in all {
        values.sort_by(f64::total_cmp);
    }
    losses
}

fn one_loss(setting: &Setting, seed: u64, losses: &mut Losses) {
    let mut flat = Flat::new(setting.one_way, setting.fsync);
    let mut etcd = Etcd::new(setting.options, Seed(seed), setting.members);
    etcd.start_all(&mut flat);
    let limit = Time::ZERO + Span::from_secs(120);
    let committed = |note: &EtcdNote| matches!(note, EtcdNote::Committed { .. });
    flat.run_until(&mut etcd, limit, committed)
        .expect("an undisturbed cluster elects");
    // Long enough for every follower to have heard several heartbeats; then anywhere in a tick.
    let tick = setting.options.tick();
    let mut draws = Seed(seed).stream("leader", "death");
    let settled = setting.one_way.times(4) + tick.times(5) + Span(draws.below(tick.0));
    let death = etcd_now(&flat) + settled;
    flat.run(&mut etcd, death);
    let leader = etcd.leader().expect("an undisturbed leader stays");
    let old_term = etcd.status(leader).term;
    flat.notes.clear();
    etcd.crash(&mut flat, leader);
    let committed_by_new = |note: &EtcdNote| committed(note);
    let end = flat.run_until(&mut etcd, death + Span::from_secs(60), committed_by_new);
    let end = end.expect("a majority elects again");
    assert!(etcd.violations().is_empty(), "{:?}", etcd.violations());

    let ms = |at: Time| at.since(death).0 as f64 / 1e6;
    let mut stood = flat.notes.iter().filter_map(|(at, note)| match note {
        EtcdNote::Campaigns { member, .. } => Some((*at, *member)),
        _ => None,
    });
    let (first, candidate) = stood.next().expect("somebody stood");
    let heard = first + setting.one_way + setting.fsync;
    losses.near_ties += usize::from(stood.any(|(at, other)| other != candidate && at < heard));
    let (elected, term) = flat
        .notes
        .iter()
        .find_map(|(at, note)| match note {
            EtcdNote::Leads { term, .. } => Some((*at, *term)),
            _ => None,
        })
        .expect("what is committed has a leader");
    losses.detection.push(ms(first));
    losses.leader.push(ms(elected));
    losses.leaderless.push(ms(end));
    // Without pre-vote every further election has a further term; a pre-vote that fails has none,
    // but somebody asks again.
    let again = flat.notes.iter().enumerate().any(|(i, (_, note))| {
        matches!(note, EtcdNote::Campaigns { pre: true, .. })
            && flat.notes[..i].iter().any(|(_, earlier)| earlier == note)
    });
    if term - old_term > 1 || again {
        losses.repeated += 1;
    } else {
        losses.leaderless_at_once.push(ms(end));
    }
}

fn etcd_now(flat: &Flat) -> Time {
    use crate::etcd::cluster::Ground as _;
    flat.now()
}
