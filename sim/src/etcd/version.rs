//! What differs between etcd versions and settings, as far as the model goes.
//!
//! Sources: etcd CHANGELOG-3.4, -3.5 and -3.6; `embed/config.go`. The membership rules by version
//! belong to whoever judges requests ([`super::Rules`]), not here.

use quorate_engine::time::Span;

/// An etcd release of the third major line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The 5 of 3.5.21.
    pub minor: u16,
    /// The 21 of 3.5.21.
    pub patch: u16,
}

impl Version {
    /// 3.`minor`.`patch`.
    #[must_use]
    pub const fn new(minor: u16, patch: u16) -> Self {
        Self { minor, patch }
    }

    /// PreVote is off by default up to 3.4 and on from 3.5 (CHANGELOG-3.4, CHANGELOG-3.5).
    #[must_use]
    pub const fn pre_vote(self) -> bool {
        self.minor >= 5
    }

    /// `--snapshot-count`: 100,000 entries up to 3.5, 10,000 from 3.6 (CHANGELOG-3.6).
    #[must_use]
    pub const fn snapshot_count(self) -> u32 {
        if self.minor >= 6 { 10_000 } else { 100_000 }
    }
}

/// The settings of a cluster. [`Options::of`] gives a version's defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The release that runs.
    pub version: Version,
    /// `--heartbeat-interval`; also the length of a tick.
    pub heartbeat_ms: u32,
    /// `--election-timeout`; etcd refuses less than five heartbeats.
    pub election_ms: u32,
    /// `--pre-vote`.
    pub pre_vote: bool,
    /// CheckQuorum, with the lease it implies. etcd has no switch for it: it is always on.
    pub check_quorum: bool,
    /// `--snapshot-count`: entries between two compactions of the log.
    pub snapshot_count: u32,
    /// Entries kept behind a compaction for slow followers (`SnapshotCatchUpEntries`, 5,000).
    pub catch_up_entries: u32,
}

impl Options {
    /// What `version` does when nobody asks for anything else.
    #[must_use]
    pub const fn of(version: Version) -> Self {
        Self {
            version,
            heartbeat_ms: 100,
            election_ms: 1000,
            pre_vote: version.pre_vote(),
            check_quorum: true,
            snapshot_count: version.snapshot_count(),
            catch_up_entries: 5_000,
        }
    }

    /// The length of a tick.
    #[must_use]
    pub const fn tick(&self) -> Span {
        Span::from_ms(self.heartbeat_ms as u64)
    }

    /// How long a request may wait to be applied: 5 s and two election time-outs
    /// (`ReqTimeout` in etcd's server configuration).
    #[must_use]
    pub const fn request_timeout(&self) -> Span {
        Span::from_ms(5_000 + 2 * self.election_ms as u64)
    }

    /// In ticks: heartbeat 1, lease and time-outs as etcd's raft draws them.
    ///
    /// # Panics
    /// If the election time-out is shorter than five heartbeats: etcd does not start so, and the
    /// manifest's check has told the user.
    #[must_use]
    pub const fn pace(&self) -> Pace {
        assert!(
            self.heartbeat_ms > 0 && self.election_ms >= 5 * self.heartbeat_ms,
            "an election time-out is at least five heartbeats"
        );
        Pace::etcd(self.election_ms / self.heartbeat_ms)
    }
}

/// Raft's timers, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// A leader sends heartbeats every so many ticks.
    pub heartbeat: u32,
    /// The lease of a leader, and the period of its CheckQuorum.
    pub election: u32,
    /// Shortest time-out that is drawn.
    pub shortest: u32,
    /// Longest time-out that is drawn.
    pub longest: u32,
}

impl Pace {
    /// etcd's: a heartbeat each tick, time-outs drawn from `[election, 2 election - 1]`
    /// (`resetRandomizedElectionTimeout`).
    #[must_use]
    pub const fn etcd(election: u32) -> Self {
        Self {
            heartbeat: 1,
            election,
            shortest: election,
            longest: 2 * election - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pre_vote_follows_the_version() {
        let by_minor = [3, 4, 5, 6].map(|minor| Options::of(Version::new(minor, 0)).pre_vote);
        assert_eq!(by_minor, [false, false, true, true]);
    }

    #[test]
    fn time_outs_are_ten_to_nineteen_ticks_by_default() {
        let options = Options::of(Version::new(5, 21));
        let pace = options.pace();
        assert_eq!((pace.heartbeat, pace.shortest, pace.longest), (1, 10, 19));
        assert_eq!(options.request_timeout(), Span::from_secs(7));
    }
}
