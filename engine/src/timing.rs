//! etcd's heartbeat and election time-out, solved from the round trips between control planes.
//!
//! The rules are etcd's own (etcd.io, "Tuning"): a heartbeat of 0.5 to 1.5 of the longest round
//! trip between members, an election after at least ten round trips and ten heartbeats, and never
//! more than 50 s. Its defaults stay where they are good enough. Knows distances by the manifest
//! and the catalogue; the simulator and kubeadm's configuration both get what is solved here.

use crate::manifest::{EtcdSettings, Manifest, Role, farthest};
use crate::time::Span;

/// etcd's default (`embed/config.go`): a heartbeat each 100 ms.
pub const HEARTBEAT: Span = Span::from_ms(100);
/// etcd's default (`embed/config.go`): an election after 1 s without one.
pub const ELECTION: Span = Span::from_ms(1_000);
/// etcd refuses longer elections.
pub const ELECTION_MAX: Span = Span::from_secs(50);
/// etcd refuses elections shorter than this many heartbeats.
pub const HEARTBEATS_PER_ELECTION: u64 = 5;
/// etcd's tuning guide: an election takes at least ten round trips, and ten heartbeats.
pub const PER_ELECTION: u64 = 10;
/// Nobody tunes finer.
const GRAIN_MS: u64 = 50;

/// The longest round trip between control planes of different places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Farthest {
    /// There and back.
    pub rtt: Span,
    /// The pools at its ends.
    pub between: [String; 2],
    /// It stands in a measured row of the user's own.
    pub measured: bool,
}

/// How members of etcd watch each other, the same at all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Between two heartbeats.
    pub heartbeat: Span,
    /// Without a heartbeat for so long, a follower stands for election.
    pub election: Span,
    /// What it was solved from; none where all control planes are in one place.
    pub farthest: Option<Farthest>,
    /// Neither is fixed by the manifest.
    pub free: bool,
}

impl Timing {
    /// The timing of a manifest's cluster.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        let unset = EtcdSettings::default();
        let kubernetes = manifest.spec.kubernetes.as_ref();
        let settings = kubernetes.map_or(&unset, |kubernetes| &kubernetes.etcd);
        let fixed = (
            settings.heartbeat.map(|d| d.0),
            settings.election.map(|d| d.0),
        );
        let farthest = farthest(manifest, Role::ControlPlane);
        let rtt = farthest.as_ref().map_or(Span::ZERO, |far| far.rtt);
        let (heartbeat, election) = solve(rtt, fixed);
        Self {
            heartbeat,
            election,
            farthest,
            free: fixed == (None, None),
        }
    }

    /// Both are what etcd takes by itself.
    #[must_use]
    pub fn is_default(&self) -> bool {
        (self.heartbeat, self.election) == (HEARTBEAT, ELECTION)
    }

    /// What they are and why, in one line.
    #[must_use]
    pub fn reason(&self) -> String {
        let Self {
            heartbeat,
            election,
            ..
        } = self;
        let what = format!("a heartbeat each {heartbeat}, an election after {election}");
        let far = self.farthest.as_ref().map(|far| {
            let [a, b] = &far.between;
            let known = if far.measured { "measured" } else { "expected" };
            format!("{} {known} between {a} and {b}", far.rtt)
        });
        let why = match (self.free, self.is_default(), far) {
            (false, _, None) => "by the manifest".to_owned(),
            (false, _, Some(far)) => format!("by the manifest, with {far}"),
            (true, true, None) => "etcd's own defaults".to_owned(),
            (true, true, Some(far)) => format!("etcd's own defaults, good enough for {far}"),
            (true, false, Some(far)) => format!("solved from {far}"),
            (true, false, None) => unreachable!("without a distance there is nothing to solve"),
        };
        format!("{what}: {why}")
    }
}

/// Heartbeat and election for a round trip, where they are not fixed.
fn solve(rtt: Span, fixed: (Option<Span>, Option<Span>)) -> (Span, Span) {
    let longest = Span(ELECTION_MAX.0 / PER_ELECTION);
    let wanted = round_up(rtt.max(HEARTBEAT)).min(longest);
    let election = |heartbeat: Span| {
        let least = heartbeat
            .times(PER_ELECTION)
            .max(round_up(rtt.times(PER_ELECTION)));
        least.max(ELECTION).min(ELECTION_MAX)
    };
    match fixed {
        (Some(heartbeat), Some(election)) => (heartbeat, election),
        (Some(heartbeat), None) => (heartbeat, election(heartbeat)),
        // A tenth of the election is best; up to a fifth is what etcd takes.
        (None, Some(election)) => {
            let tenth = whole(Span(election.0 / PER_ELECTION));
            let fifth = whole(Span(election.0 / HEARTBEATS_PER_ELECTION));
            let enough = tenth.times(2) >= rtt;
            let most = if enough { tenth } else { fifth };
            (wanted.min(most).max(Span::from_ms(1)), election)
        }
        (None, None) => (wanted, election(wanted)),
    }
}

/// Down to whole milliseconds, which etcd counts in.
fn whole(span: Span) -> Span {
    Span::from_ms(span.as_ms())
}

fn round_up(span: Span) -> Span {
    let ms = span.0.div_ceil(Span::from_ms(1).0);
    Span::from_ms(ms.div_ceil(GRAIN_MS) * GRAIN_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: (Option<Span>, Option<Span>) = (None, None);

    #[test]
    fn defaults_stay_where_they_are_good_enough() {
        for ms in [0, 1, 25, 50, 99, 100] {
            assert_eq!(
                solve(Span::from_ms(ms), NONE),
                (HEARTBEAT, ELECTION),
                "{ms}"
            );
        }
        assert_ne!(solve(Span::from_us(100_001), NONE), (HEARTBEAT, ELECTION));
    }

    #[test]
    fn what_is_solved_keeps_etcd_s_rules() {
        for us in (100_001..5_000_000).step_by(7_919) {
            let rtt = Span::from_us(us);
            let (heartbeat, election) = solve(rtt, NONE);
            assert!(
                heartbeat >= rtt && heartbeat.times(2) <= rtt.times(3),
                "{us}"
            );
            assert!(election >= rtt.times(10) && election >= heartbeat.times(10));
            assert!(election <= ELECTION_MAX && election.0.is_multiple_of(50_000_000));
        }
        let beyond = solve(Span::from_secs(7), NONE);
        assert_eq!(
            beyond,
            (Span::from_secs(5), ELECTION_MAX),
            "as far as etcd goes"
        );
    }

    #[test]
    fn what_is_fixed_stays_and_the_other_one_follows() {
        let ms = Span::from_ms;
        for (rtt, fixed, expected) in [
            (20, (Some(150), Some(2_000)), (150, 2_000)),
            (20, (Some(150), None), (150, 1_500)),
            (20, (Some(10), None), (10, 1_000)),
            (180, (Some(100), None), (100, 1_800)),
            (20, (None, Some(5_000)), (100, 5_000)),
            (20, (None, Some(600)), (60, 600)),
            (180, (None, Some(1_000)), (100, 1_000)),
            (240, (None, Some(1_000)), (200, 1_000)),
            (240, (None, Some(10_000)), (250, 10_000)),
        ] {
            let (heartbeat, election): (Option<u64>, Option<u64>) = fixed;
            let solved = solve(ms(rtt), (heartbeat.map(ms), election.map(ms)));
            let (heartbeat, election): (u64, u64) = expected;
            assert_eq!(solved, (ms(heartbeat), ms(election)), "{rtt} {fixed:?}");
        }
    }
}
