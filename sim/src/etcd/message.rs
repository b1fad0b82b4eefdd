//! What members say to each other: small values, copied and never allocated.
//!
//! The kinds are those of etcd's `raftpb`; fields that a kind does not use are not there.

use super::log::{EntryId, Index, Payload, Term};
use super::member_id::MemberId;

/// One message between two members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// The sender.
    pub from: MemberId,
    /// The receiver.
    pub to: MemberId,
    /// The sender's term, or the term it asks votes for; no meaning in [`Body::Propose`].
    pub term: Term,
    /// The rest.
    pub body: Body,
}

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// The leader lives (MsgHeartbeat).
    Heartbeat {
        /// What the receiver may commit: never more than it is known to hold.
        commit: Index,
    },
    /// Answer to a heartbeat (MsgHeartbeatResp).
    HeartbeatHeard,
    /// Entries, or none and only a commit index (MsgApp).
    Append {
        /// The position before the first entry.
        prev: Index,
        /// The term there.
        prev_term: Term,
        /// The leader's commit index.
        commit: Index,
        /// The last entry sent; the others are found from it. None: no entries.
        tip: Option<EntryId>,
    },
    /// The receiver holds the leader's log up to here (MsgAppResp).
    Appended {
        /// The last position that agrees. 0 where only the term matters.
        last: Index,
    },
    /// The receiver has no such entry at `prev` (MsgAppResp with Reject).
    Rejected {
        /// The position that was refused.
        prev: Index,
        /// Where the leader should look next.
        hint: Index,
        /// The receiver's term there.
        hint_term: Term,
    },
    /// All state up to an entry (MsgSnap).
    Snapshot {
        /// The last entry contained.
        tip: EntryId,
    },
    /// A request for a vote (MsgVote).
    Vote {
        /// The candidate's last position.
        last: Index,
        /// The term there.
        last_term: Term,
        /// Leader transfer: the lease does not count.
        force: bool,
    },
    /// Answer to it (MsgVoteResp).
    VoteAnswer {
        /// Whether the vote was given.
        granted: bool,
    },
    /// Would you vote for me in `term`? (MsgPreVote)
    PreVote {
        /// The candidate's last position.
        last: Index,
        /// The term there.
        last_term: Term,
    },
    /// Answer to it (MsgPreVoteResp).
    PreVoteAnswer {
        /// Whether the vote would be given.
        granted: bool,
    },
    /// The leader asks the receiver to campaign at once (MsgTimeoutNow).
    TimeoutNow,
    /// A proposal on its way to the leader (MsgProp).
    Propose {
        /// What is proposed.
        payload: Payload,
        /// The member at which it was proposed.
        by: MemberId,
    },
}

const _: () = assert!(
    size_of::<Message>() <= 28,
    "a message fits an event of 32 bytes"
);

impl Body {
    /// Whether it answers something. Answers of strangers are not heard, as in etcd's `node.run`.
    #[must_use]
    pub const fn is_answer(&self) -> bool {
        match self {
            Self::HeartbeatHeard
            | Self::Appended { .. }
            | Self::Rejected { .. }
            | Self::VoteAnswer { .. }
            | Self::PreVoteAnswer { .. } => true,
            Self::Heartbeat { .. }
            | Self::Append { .. }
            | Self::Snapshot { .. }
            | Self::Vote { .. }
            | Self::PreVote { .. }
            | Self::TimeoutNow
            | Self::Propose { .. } => false,
        }
    }
}
