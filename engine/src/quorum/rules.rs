//! What etcd's own server allows, by version; nothing of our policy.
//!
//! Source: `server/etcdserver/server.go` (`mayAddMember`, `mayPromote`, `mayRemoveMember`) and
//! `api/membership/cluster.go` (`IsReadyTo...`), read at tags 3.5.29, 3.5.30, 3.6.10, 3.6.11 and
//! 3.7.0, with strict reconfiguration checking on, which is the default. A learner's progress
//! (its log must reach 90 % of the leader's) is only known to the leader and not judged here.

use super::{AddRule, EtcdVersion, Refusal};
use crate::plan::MemberChange;
use crate::resource::ResourceId;
use crate::seam::MemberView;

/// Voters in a quorum of `voters`.
#[must_use]
pub const fn quorum(voters: u32) -> u32 {
    voters / 2 + 1
}

/// How the member that decides is connected to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// Not at all: it may be removed freely.
    Down,
    /// For less than etcd's health interval of 5 s: it neither counts nor may be removed freely.
    Fresh,
    /// For at least 5 s, or it is the deciding member itself.
    Settled,
}

/// A member as the deciding member sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing<'a> {
    /// The machine it runs on.
    pub machine: &'a ResourceId,
    /// No vote yet.
    pub learner: bool,
    /// Started at least once.
    pub started: bool,
    /// How it is connected.
    pub link: Link,
}

impl<'a> From<&'a MemberView> for Standing<'a> {
    fn from(member: &'a MemberView) -> Self {
        Self {
            machine: &member.machine,
            learner: member.learner,
            started: member.started,
            link: if member.healthy {
                Link::Settled
            } else {
                Link::Down
            },
        }
    }
}

/// [`etcd_judges`] for a view of the cluster, where what is not healthy has no connection.
///
/// # Errors
/// Why the server refuses.
pub fn etcd_allows(
    change: &MemberChange,
    view: &[MemberView],
    version: EtcdVersion,
) -> Result<(), Refusal> {
    let members: Vec<Standing<'_>> = view.iter().map(Standing::from).collect();
    etcd_judges(change, &members, version)
}

/// Whether etcd's server accepts the change. What is so already is accepted: nothing changes.
///
/// # Errors
/// Why it refuses.
pub fn etcd_judges(
    change: &MemberChange,
    members: &[Standing<'_>],
    version: EtcdVersion,
) -> Result<(), Refusal> {
    let voters = count(members, |m| !m.learner);
    let healthy = count(members, |m| !m.learner && m.link == Link::Settled);
    let needed = quorum(voters);
    if healthy < needed {
        return Err(Refusal::NoQuorum {
            voters,
            healthy,
            needed,
        });
    }
    let find = |id: &ResourceId| members.iter().find(|m| m.machine == id);
    match change {
        MemberChange::AddLearner(id) => match find(id) {
            Some(_) => Ok(()),
            None => may_add(members, voters, healthy, version),
        },
        MemberChange::Promote(id) => match find(id) {
            None => Err(Refusal::NotAMember {
                machine: id.clone(),
            }),
            Some(member) if !member.learner => Ok(()),
            Some(_) => may_promote(members, voters),
        },
        MemberChange::MoveLeader(id) => {
            let successor =
                |m: &Standing<'_>| !m.learner && m.link == Link::Settled && m.machine != id;
            if count(members, successor) == 0 {
                return Err(Refusal::NoSuccessor {
                    machine: id.clone(),
                    voters,
                    healthy,
                });
            }
            Ok(())
        }
        MemberChange::Remove(id) => match find(id) {
            Some(member) if !member.learner => may_remove(member, members, voters, healthy),
            Some(_) | None => Ok(()),
        },
        // Nobody asks etcd.
        MemberChange::Restart(_) => Ok(()),
    }
}

fn may_add(
    members: &[Standing<'_>],
    voters: u32,
    healthy: u32,
    version: EtcdVersion,
) -> Result<(), Refusal> {
    if let Some(learner) = members.iter().find(|m| m.learner) {
        return Err(Refusal::LearnerInFlight {
            learner: learner.machine.clone(),
            version,
        });
    }
    match version.strict_add_rule() {
        AddRule::EveryVoter if healthy < voters => Err(Refusal::VoterAway {
            voters,
            healthy,
            version,
        }),
        AddRule::Counted if voters > 1 && healthy < quorum(voters + 1) => {
            Err(Refusal::JoinerUncovered {
                voters_after: voters + 1,
                needed: quorum(voters + 1),
                healthy,
            })
        }
        AddRule::EveryVoter | AddRule::Counted => Ok(()),
    }
}

/// The learner counts as started.
fn may_promote(members: &[Standing<'_>], voters: u32) -> Result<(), Refusal> {
    let started = count(members, |m| !m.learner && m.started) + 1;
    let needed = quorum(voters + 1);
    if started < needed {
        return Err(Refusal::TooFewStarted {
            voters_after: voters + 1,
            started,
            needed,
        });
    }
    Ok(())
}

/// Three checks in etcd's order: started ones among the rest; free for one that has no connection;
/// connected ones without it.
fn may_remove(
    member: &Standing<'_>,
    members: &[Standing<'_>],
    voters: u32,
    healthy: u32,
) -> Result<(), Refusal> {
    let voters_after = voters - 1;
    if voters_after == 0 {
        return Err(Refusal::LastVoter {
            machine: member.machine.clone(),
        });
    }
    let needed = quorum(voters_after);
    let rest = |m: &Standing<'_>| !m.learner && m.started && m.machine != member.machine;
    let started = count(members, rest);
    if started < needed {
        return Err(Refusal::TooFewStarted {
            voters_after,
            started,
            needed,
        });
    }
    if member.link == Link::Down {
        return Ok(());
    }
    // etcd takes one off even if this one is not among the connected.
    let healthy_after = healthy - 1;
    if healthy_after < needed {
        return Err(Refusal::QuorumWouldBreak {
            machine: member.machine.clone(),
            voters_after,
            healthy_after,
            needed,
        });
    }
    Ok(())
}

fn count(members: &[Standing<'_>], which: impl Fn(&Standing<'_>) -> bool) -> u32 {
    members.iter().filter(|member| which(member)).count() as u32
}
