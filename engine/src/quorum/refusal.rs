//! Why a change of membership is refused: numbers, and what would help.

use super::EtcdVersion;
use crate::resource::ResourceId;

/// Why a change of etcd's membership must not be made now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing can be decided at all.
    #[error(
        "{healthy} of {voters} voters are healthy and a quorum is {needed}: no change can be \
         decided; bring members back, or restore from a snapshot"
    )]
    NoQuorum {
        /// Voters.
        voters: u32,
        /// Of them, healthy.
        healthy: u32,
        /// Voters in a quorum.
        needed: u32,
    },
    /// Only members can be promoted.
    #[error("{machine} is not a member: add it as a learner first")]
    NotAMember {
        /// Which.
        machine: ResourceId,
    },
    /// etcd holds one learner at most (`DefaultMaxLearners` = 1).
    #[error(
        "{learner} is still a learner and etcd {version} holds one: promote or remove it first"
    )]
    LearnerInFlight {
        /// The one there is.
        learner: ResourceId,
        /// The rule's version.
        version: EtcdVersion,
    },
    /// etcd's rule for adding: every voter must be connected.
    #[error(
        "etcd {version} adds a member only while every voter is connected, and {healthy} of \
         {voters} are: remove a dead one first, or wait for it"
    )]
    VoterAway {
        /// Voters.
        voters: u32,
        /// Of them, connected for 5 s.
        healthy: u32,
        /// The rule's version.
        version: EtcdVersion,
    },
    /// Adding a voter that is not there yet would take the last slack.
    #[error(
        "with the joiner there are {voters_after} voters and a quorum is {needed}, but only \
         {healthy} are healthy until it has joined: remove a dead one first, or wait for it"
    )]
    JoinerUncovered {
        /// Voters with the joiner.
        voters_after: u32,
        /// Quorum of them.
        needed: u32,
        /// Healthy ones without the joiner.
        healthy: u32,
    },
    /// etcd counts members that were started at least once.
    #[error(
        "{started} of {voters_after} voters would be started and a quorum is {needed}: start the \
         members that were added, or remove them"
    )]
    TooFewStarted {
        /// Voters after the change.
        voters_after: u32,
        /// Of them, started at least once.
        started: u32,
        /// Quorum of them.
        needed: u32,
    },
    /// Too few healthy voters would be left.
    #[error(
        "without {machine} {healthy_after} of {voters_after} voters would be healthy and a quorum \
         is {needed}: bring another member back first"
    )]
    QuorumWouldBreak {
        /// Which one should leave or become a voter.
        machine: ResourceId,
        /// Voters after the change.
        voters_after: u32,
        /// Of them, healthy.
        healthy_after: u32,
        /// Quorum of them.
        needed: u32,
    },
    /// The last voter never leaves.
    #[error("{machine} is the last voter: removing it destroys the data; add another one first")]
    LastVoter {
        /// Which.
        machine: ResourceId,
    },
    /// A learner that is away would be a voter that is away.
    #[error(
        "{machine} is not healthy: as a voter it would make {healthy} of {voters_after}, quorum \
         {needed}; wait until it has caught up, or remove it"
    )]
    LearnerAway {
        /// Which.
        machine: ResourceId,
        /// Voters after the change.
        voters_after: u32,
        /// Of them, healthy.
        healthy: u32,
        /// Quorum of them.
        needed: u32,
    },
    /// A leader that is removed costs an election.
    #[error("{machine} leads: move leadership to another voter first, or writes stop for a while")]
    Leads {
        /// Which.
        machine: ResourceId,
    },
    /// Nobody can take over leadership.
    #[error("no healthy voter besides {machine} can lead ({healthy} of {voters} healthy): add one")]
    NoSuccessor {
        /// Who leads.
        machine: ResourceId,
        /// Voters.
        voters: u32,
        /// Of them, healthy.
        healthy: u32,
    },
    /// Fewer voters than the manifest asks for, by more than the one being replaced.
    #[error(
        "removing {machine} leaves {voters_after} of the {declared} voters that the manifest \
         declares: add a member first, or ask for a scale-down"
    )]
    BelowDeclared {
        /// Which one should leave.
        machine: ResourceId,
        /// Voters after the change.
        voters_after: u32,
        /// What the manifest declares.
        declared: u32,
    },
}
