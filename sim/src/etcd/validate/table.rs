//! Our numbers beside others', as rows that a command can print.

use super::election::{Losses, Setting, Summary, leader_losses};
use super::fig16::{TimeoutRange, fig16};
use super::known::{COMPUTED, FIG16, MEASURED, MODELLED};
use crate::etcd::version::{Options, Version};
use quorate_engine::time::Span;

/// One number of ours beside one of somebody else's.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// Where theirs is from.
    pub source: &'static str,
    /// The setting and the quantity, with its unit.
    pub what: String,
    /// Theirs; None where it never happens.
    pub theirs: Option<f64>,
    /// Ours; None where it never happened.
    pub ours: Option<f64>,
}

const PAPER: &str = "Raft paper, Fig. 16 (2014)";
const FORMULA: &str = "formula without lease and pre-vote (2026-11)";
const MODEL: &str = "model of etcd's rules (2026-11)";
const ETCD: &str = "etcd 3.4.23, measured (2026-11)";

/// Fig. 16 of the Raft paper. Maxima are those of 1,000 trials, as in the paper.
#[must_use]
pub fn fig16_table(seed: u64, trials: usize) -> Vec<Compared> {
    let row = |known: &super::known::Fig16Row| {
        let (low_ms, high_ms) = known.range;
        let trials = if known.what == "max" { 1_000 } else { trials };
        let range = TimeoutRange { low_ms, high_ms };
        let (times, never) = fig16(range, seed, trials, Span::from_secs(60));
        let ours = match known.what {
            "median" => times.p50,
            "mean" => times.mean,
            _ => times.max,
        };
        Compared {
            source: PAPER,
            what: format!("time-out {low_ms}-{high_ms} ms: {}, ms", known.what),
            theirs: known.paper,
            ours: (never < trials).then_some(ours),
        }
    };
    FIG16.iter().map(row).collect()
}

/// The loss of a leader: by distance, by version's rules, and as measured on a real etcd.
#[must_use]
pub fn election_table(seed: u64, trials: usize) -> Vec<Compared> {
    let mut rows = Vec::new();
    for known in COMPUTED {
        let one_way = Span::from_us(known.rtt_ms * 500);
        let network = (one_way, Span::from_ms(1));
        let losses = losses_of(known.members, (false, false), network, (seed, trials));
        let detection = Summary::of(&losses.detection);
        let leaderless = Summary::of(&losses.leaderless_at_once);
        let pairs = [
            ("detection mean, ms", known.detection[0], detection.mean),
            ("detection p50, ms", known.detection[1], detection.p50),
            ("detection p99, ms", known.detection[2], detection.p99),
            ("leaderless mean, ms", known.leaderless[0], leaderless.mean),
            ("leaderless p99, ms", known.leaderless[1], leaderless.p99),
            (
                "near ties, share",
                known.near_ties,
                losses.share_near_ties(),
            ),
        ];
        let setting = format!("{} members, round trip {} ms", known.members, known.rtt_ms);
        add(&mut rows, FORMULA, &setting, &pairs);
    }
    let lab = (Span::from_us(500), Span::from_ms(5));
    for known in MODELLED {
        let rules = (known.lease, known.pre_vote);
        let losses = losses_of(known.members, rules, lab, (seed, trials));
        let leader = Summary::of(&losses.leader);
        let pairs = [
            ("leader p50, s", known.leader_s[0], leader.p50 / 1e3),
            ("leader p90, s", known.leader_s[1], leader.p90 / 1e3),
            ("leader p99, s", known.leader_s[2], leader.p99 / 1e3),
            (
                "over 2.0 s, share",
                known.over_2s,
                losses.share_over(2_000.0),
            ),
            (
                "second elections, share",
                known.repeated,
                losses.share_repeated(),
            ),
        ];
        let lease = if known.lease { "lease" } else { "no lease" };
        let pre = if known.pre_vote {
            "pre-vote"
        } else {
            "no pre-vote"
        };
        let setting = format!("{} members, {lease}, {pre}", known.members);
        add(&mut rows, MODEL, &setting, &pairs);
    }
    for known in MEASURED {
        let losses = losses_of(known.members, (true, false), lab, (seed, trials));
        let leader = Summary::of(&losses.leader);
        let least = losses.leader.first().map_or(0.0, |took| took / 1e3);
        let mut pairs = vec![
            ("leader min, s", known.leader_s[0], least),
            ("leader p50, s", known.leader_s[1], leader.p50 / 1e3),
            ("leader p90, s", known.leader_s[2], leader.p90 / 1e3),
        ];
        if let Some(over) = known.over_2s {
            let share = f64::from(over) / f64::from(known.losses);
            pairs.push(("over 2.0 s, share", share, losses.share_over(2_000.0)));
        }
        let setting = format!("{} members, {}", known.members, known.fault);
        add(&mut rows, ETCD, &setting, &pairs);
    }
    rows
}

fn losses_of(
    members: usize,
    (lease, pre_vote): (bool, bool),
    (one_way, fsync): (Span, Span),
    (seed, trials): (u64, usize),
) -> Losses {
    let options = Options {
        pre_vote,
        check_quorum: lease,
        ..Options::of(Version::new(4, 23))
    };
    let setting = Setting {
        members,
        options,
        one_way,
        fsync,
    };
    leader_losses(&setting, seed, trials)
}

fn add(
    rows: &mut Vec<Compared>,
    source: &'static str,
    setting: &str,
    pairs: &[(&'static str, f64, f64)],
) {
    for (what, theirs, ours) in pairs {
        rows.push(Compared {
            source,
            what: format!("{setting}: {what}"),
            theirs: Some(*theirs),
            ours: Some(*ours),
        });
    }
}
