//! A plan and its steps. Acyclic by construction: a step depends only on steps before it.

use crate::random::mix;
use crate::resource::{Kind, Resource, ResourceId};
use crate::seam::{Lane, Verb};
use crate::time::Span;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// What is to be done, complete: carrying it out decides nothing more.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// In topological order.
    pub steps: Vec<Step>,
    /// What is not touched although it differs, and why. Part of the answer, not a log.
    pub held: Vec<Held>,
    /// The slack of etcd before the first step; none without a cluster.
    pub slack: Option<Slack>,
}

/// Something that differs from what is desired and is left alone on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// What.
    pub resource: ResourceId,
    /// Why.
    pub reason: String,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What it changes or reads.
    pub resource: ResourceId,
    /// What that is.
    pub kind: Kind,
    /// What is done to it.
    pub verb: Verb,
    /// Whom is asked.
    pub lane: Lane,
    /// The desired resource, where the verb needs it.
    pub desired: Option<Arc<Resource>>,
    /// Why, in a few words: `absent`, `differs in machine type`, `not in the manifest`.
    pub reason: String,
    /// Indices of the steps that must succeed before it; each below its own index. In order.
    pub after: Vec<u32>,
    /// Indices of the steps that must have ended before it, well or badly; each below its own
    /// index. So one lost machine delays what comes after it and never blocks it.
    pub settled: Vec<u32>,
    /// Whether it can be taken back.
    pub reversible: Reversibility,
    /// How long it usually takes.
    pub expected: Span,
    /// How long it may take altogether, retries included.
    pub deadline: Span,
    /// The change of etcd's membership it makes; then the guard is asked first.
    pub change: Option<MemberChange>,
    /// etcd's slack after it, if it changes that.
    pub slack: Option<Slack>,
    /// What is waited for: by [`Verb::Describe`], and by mesh links.
    pub until: Option<Until>,
}

impl Step {
    /// `create shop/htz-cp/1`: names the step in its plan.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", self.verb, self.resource)
    }
}

/// Whether a step can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reversibility {
    /// It changes nothing.
    ReadOnly,
    /// Another plan takes it back without loss.
    Reversible,
    /// It takes a while to take back, nothing is lost.
    Costly,
    /// What it removes is gone.
    Irreversible,
}

impl fmt::Display for Reversibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ReadOnly => "read-only",
            Self::Reversible => "reversible",
            Self::Costly => "costly",
            Self::Irreversible => "irreversible",
        })
    }
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Until {
    /// The machine runs and, where it should have one, has a public address.
    Running,
    /// It is gone.
    Absent,
    /// So much time has passed since the step began: no call is made.
    Elapsed(Span),
    /// Of mesh links, which are as they should be: another step changes the mesh. Until then no
    /// call is made.
    Outdated,
}

/// A change of etcd's membership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberChange {
    /// A learner joins.
    AddLearner(ResourceId),
    /// A learner becomes a voter.
    Promote(ResourceId),
    /// Leadership leaves this member.
    MoveLeader(ResourceId),
    /// A member leaves.
    Remove(ResourceId),
    /// A member is away for a moment, and comes back.
    Restart(ResourceId),
}

/// How many more voters may fail before quorum is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slack {
    /// Voters.
    pub voters: u32,
    /// Of them, healthy.
    pub healthy: u32,
}

impl Slack {
    /// Healthy voters beyond a quorum (`voters / 2 + 1`); negative: there is none.
    #[must_use]
    pub fn tolerance(self) -> i64 {
        i64::from(self.healthy) - (i64::from(self.voters) / 2 + 1)
    }
}

/// `2/3, tolerates 0`.
impl fmt::Display for Slack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { voters, healthy } = self;
        match self.tolerance() {
            t if t < 0 => write!(f, "{healthy}/{voters}, no quorum"),
            t => write!(f, "{healthy}/{voters}, tolerates {t}"),
        }
    }
}

impl Plan {
    /// Equal exactly where the same steps come in the same order.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.steps
            .iter()
            .fold(self.steps.len() as u64, |hash, step| {
                let spec = step
                    .desired
                    .as_ref()
                    .map_or(0, |desired| desired.spec.fingerprint());
                let own = mix(step.resource.number() ^ (step.verb as u64)) ^ spec;
                step.after
                    .iter()
                    .fold(mix(hash ^ own), |hash, dep| mix(hash ^ u64::from(*dep)))
            })
    }

    /// Nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}
