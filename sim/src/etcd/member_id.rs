//! Names of members, sets of them, and the configuration of a cluster: who votes, who learns.
//!
//! Knows nothing of raft's state. A member is a small number that is given out once per run and
//! never again, so that a set of members is one machine word pair.

use std::fmt;

/// A member, by the order in which it was provisioned in this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u8);

/// How many members one run may ever provision: the width of [`Members`].
pub const MEMBER_LIMIT: usize = 128;

impl MemberId {
    /// Place in tables that are indexed by member.
    #[must_use]
    pub const fn at(self) -> usize {
        self.0 as usize
    }
}

/// `m3`: short, for notes and texts.
impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m{}", self.0)
    }
}

/// A set of members, in order of their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Members(u128);

impl Members {
    /// Nobody.
    pub const NONE: Self = Self(0);

    /// The first `n` members.
    ///
    /// # Panics
    /// If `n` exceeds [`MEMBER_LIMIT`].
    #[must_use]
    pub const fn first(n: usize) -> Self {
        assert!(n <= MEMBER_LIMIT, "more members than a set can hold");
        if n == MEMBER_LIMIT {
            Self(u128::MAX)
        } else {
            Self((1 << n) - 1)
        }
    }

    /// Whether `member` is in.
    #[must_use]
    pub const fn contains(self, member: MemberId) -> bool {
        self.0 >> member.0 & 1 == 1
    }

    /// This set with `member`.
    #[must_use]
    pub const fn with(self, member: MemberId) -> Self {
        Self(self.0 | 1 << member.0)
    }

    /// This set without `member`.
    #[must_use]
    pub const fn without(self, member: MemberId) -> Self {
        Self(self.0 & !(1 << member.0))
    }

    /// Those in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// How many.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether nobody is in.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Iterator for Members {
    type Item = MemberId;

    /// Takes the lowest member out of the set.
    fn next(&mut self) -> Option<MemberId> {
        if self.0 == 0 {
            return None;
        }
        let lowest = self.0.trailing_zeros() as u8;
        self.0 &= self.0 - 1;
        Some(MemberId(lowest))
    }
}

impl FromIterator<MemberId> for Members {
    fn from_iter<I: IntoIterator<Item = MemberId>>(members: I) -> Self {
        members.into_iter().fold(Self::NONE, Self::with)
    }
}

/// Who belongs to the cluster. A member is a voter or a learner, never both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Config {
    /// Those whose votes and acknowledgements count.
    pub voters: Members,
    /// Those who only receive.
    pub learners: Members,
}

/// One change of the configuration, of one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Joins as a learner.
    AddLearner(MemberId),
    /// Joins as a voter at once.
    AddVoter(MemberId),
    /// A learner becomes a voter.
    Promote(MemberId),
    /// Leaves, voter or learner.
    Remove(MemberId),
}

impl Change {
    /// Whom it concerns.
    #[must_use]
    pub const fn member(self) -> MemberId {
        match self {
            Self::AddLearner(m) | Self::AddVoter(m) | Self::Promote(m) | Self::Remove(m) => m,
        }
    }
}

impl Config {
    /// Everybody, voting or not.
    #[must_use]
    pub const fn all(self) -> Members {
        self.voters.or(self.learners)
    }

    /// Voters needed to decide: n/2 + 1.
    #[must_use]
    pub const fn quorum(self) -> usize {
        self.voters.len() / 2 + 1
    }

    /// The configuration after `change`. What makes no sense changes nothing, as where etcd's
    /// server validates a change when it applies it (`ValidateConfigurationChange`).
    #[must_use]
    pub const fn after(self, change: Change) -> Self {
        let Self { voters, learners } = self;
        let known = self.all().contains(change.member());
        match change {
            Change::AddLearner(m) if !known => Self {
                voters,
                learners: learners.with(m),
            },
            Change::AddVoter(m) if !known => Self {
                voters: voters.with(m),
                learners,
            },
            Change::Promote(m) if learners.contains(m) => Self {
                voters: voters.with(m),
                learners: learners.without(m),
            },
            Change::Remove(m) if known => Self {
                voters: voters.without(m),
                learners: learners.without(m),
            },
            Change::AddLearner(_)
            | Change::AddVoter(_)
            | Change::Promote(_)
            | Change::Remove(_) => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_yields_its_members_in_order() {
        let set: Members = [5, 0, 127].into_iter().map(MemberId).collect();
        assert_eq!(set.map(|m| m.0).collect::<Vec<_>>(), [0, 5, 127]);
        assert_eq!(set.without(MemberId(5)).len(), 2);
        assert_eq!(
            Members::first(3).map(|m| m.0).collect::<Vec<_>>(),
            [0, 1, 2]
        );
        assert_eq!(Members::first(MEMBER_LIMIT).len(), MEMBER_LIMIT);
    }

    #[test]
    fn changes_keep_voters_and_learners_apart() {
        let m = MemberId(3);
        let three = Config {
            voters: Members::first(3),
            learners: Members::NONE,
        };
        let learning = three.after(Change::AddLearner(m));
        assert_eq!((learning.quorum(), learning.all().len()), (2, 4));
        let promoted = learning.after(Change::Promote(m));
        assert_eq!((promoted.quorum(), promoted.learners.len()), (3, 0));
        assert_eq!(promoted.after(Change::AddLearner(m)), promoted);
        assert_eq!(promoted.after(Change::Promote(m)), promoted);
        assert_eq!(learning.after(Change::AddVoter(m)), learning);
        assert_eq!(promoted.after(Change::Remove(m)), three);
    }
}
