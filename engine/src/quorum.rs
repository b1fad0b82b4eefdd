//! The quorum guard: may this change of etcd's membership be made now?
//!
//! One pure function, [`judge`], used by the planner, the checker, the simulator and the live run.
//! It asks etcd's own rules first ([`etcd_allows`]) and then our policy, which they lack. Does not
//! know how a view of the cluster is read, nor what is done with a refusal.

mod refusal;
mod rules;
mod version;

#[cfg(test)]
mod tests;

pub use refusal::Refusal;
pub use rules::{Link, Standing, etcd_allows, etcd_judges, quorum};
pub use version::{AddRule, EtcdVersion, NotAVersion};

use crate::plan::{MemberChange, Slack};
use crate::resource::ResourceId;
use crate::seam::MemberView;
use serde::{Deserialize, Serialize};

/// What we ask beyond etcd's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Members that the manifest declares.
    pub declared: u32,
    /// A smaller cluster is asked for: then the declared size is no floor.
    pub scale_down: bool,
    /// Go against the policy; never against etcd's own rules.
    pub force: bool,
}

/// A change that may be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// The slack after it. A voter that joins counts as healthy only if it is so already.
    pub after: Slack,
    /// The policy's refusal that was overridden by force.
    pub forced: Option<Refusal>,
}

/// Whether `change` may be made to the cluster in `view`, and the slack after it.
///
/// # Errors
/// Why not, with what would help.
pub fn judge(
    change: &MemberChange,
    view: &[MemberView],
    version: EtcdVersion,
    policy: &Policy,
) -> Result<Allowed, Refusal> {
    etcd_allows(change, view, version)?;
    let after = slack_after(change, view);
    assert!(after.voters > 0, "etcd's rules keep the last voter");
    match policy_allows(change, view, policy) {
        Ok(()) => Ok(Allowed {
            after,
            forced: None,
        }),
        Err(refusal) if policy.force => Ok(Allowed {
            after,
            forced: Some(refusal),
        }),
        Err(refusal) => Err(refusal),
    }
}

/// The slack of a cluster.
#[must_use]
pub fn slack(view: &[MemberView]) -> Slack {
    let voters = view.iter().filter(|member| !member.learner);
    Slack {
        voters: voters.clone().count() as u32,
        healthy: voters.filter(|member| member.healthy).count() as u32,
    }
}

/// The slack once the change is made.
#[must_use]
pub fn slack_after(change: &MemberChange, view: &[MemberView]) -> Slack {
    let now = slack(view);
    let Some(member) = find(change, view) else {
        return now;
    };
    let healthy = u32::from(member.healthy);
    match change {
        MemberChange::Promote(_) if member.learner => Slack {
            voters: now.voters + 1,
            healthy: now.healthy + healthy,
        },
        MemberChange::Remove(_) if !member.learner => Slack {
            voters: now.voters - 1,
            healthy: now.healthy - healthy,
        },
        MemberChange::Promote(_)
        | MemberChange::Remove(_)
        | MemberChange::AddLearner(_)
        | MemberChange::MoveLeader(_)
        | MemberChange::Restart(_) => now,
    }
}

/// Whether the cluster is already as the change would make it. A learner that was added and never
/// started is not.
#[must_use]
pub fn already(change: &MemberChange, view: &[MemberView]) -> bool {
    let member = find(change, view);
    match change {
        MemberChange::AddLearner(_) => member.is_some_and(|m| m.started),
        MemberChange::Promote(_) => member.is_some_and(|m| !m.learner),
        MemberChange::MoveLeader(_) => !member.is_some_and(|m| m.leader),
        MemberChange::Remove(_) => member.is_none(),
        MemberChange::Restart(_) => false,
    }
}

/// The machine whose member is changed.
#[must_use]
pub fn machine(change: &MemberChange) -> &ResourceId {
    match change {
        MemberChange::AddLearner(id)
        | MemberChange::Promote(id)
        | MemberChange::MoveLeader(id)
        | MemberChange::Remove(id)
        | MemberChange::Restart(id) => id,
    }
}

fn find<'a>(change: &MemberChange, view: &'a [MemberView]) -> Option<&'a MemberView> {
    view.iter()
        .find(|member| member.machine == *machine(change))
}

/// Our policy, for a change that etcd itself would accept.
fn policy_allows(
    change: &MemberChange,
    view: &[MemberView],
    policy: &Policy,
) -> Result<(), Refusal> {
    let after = slack_after(change, view);
    // Both of etcd's rules for adding keep a quorum with the joiner counted as away, from two
    // voters on; a single voter has no other way to grow. There is nothing to add to them.
    let Some(member) = find(change, view) else {
        return Ok(());
    };
    match change {
        MemberChange::AddLearner(_) | MemberChange::MoveLeader(_) => Ok(()),
        MemberChange::Promote(id) if member.learner && !member.healthy => {
            Err(Refusal::LearnerAway {
                machine: id.clone(),
                voters_after: after.voters,
                healthy: after.healthy,
                needed: quorum(after.voters),
            })
        }
        MemberChange::Promote(_) => Ok(()),
        MemberChange::Remove(_) if member.learner => Ok(()),
        MemberChange::Remove(_) => may_leave(member, view, policy),
        MemberChange::Restart(_) => may_restart(member, view),
    }
}

/// Our policy for a voter that is away for a moment: the others keep a quorum meanwhile. Two voters
/// or one have no way to do that.
fn may_restart(member: &MemberView, view: &[MemberView]) -> Result<(), Refusal> {
    let now = slack(view);
    let needed = quorum(now.voters);
    if member.learner || !member.healthy || now.voters < 3 || now.healthy > needed {
        return Ok(());
    }
    Err(Refusal::QuorumWouldBreak {
        machine: member.machine.clone(),
        voters_after: now.voters,
        healthy_after: now.healthy - 1,
        needed,
    })
}

/// Our policy for a voter that should leave.
fn may_leave(member: &MemberView, view: &[MemberView], policy: &Policy) -> Result<(), Refusal> {
    let machine = member.machine.clone();
    let after = slack_after(&MemberChange::Remove(machine.clone()), view);
    if member.leader {
        return Err(Refusal::Leads { machine });
    }
    let needed = quorum(after.voters);
    if after.healthy < needed {
        return Err(Refusal::QuorumWouldBreak {
            machine,
            voters_after: after.voters,
            healthy_after: after.healthy,
            needed,
        });
    }
    // The floor is for voters that work. To take out a dead one never costs slack, and of several
    // dead ones each has to go before etcd lets a successor in (up to 3.5.29 it adds nobody while a
    // voter is away).
    if member.healthy && after.voters + 1 < policy.declared && !policy.scale_down {
        return Err(Refusal::BelowDeclared {
            machine,
            voters_after: after.voters,
            declared: policy.declared,
        });
    }
    Ok(())
}
