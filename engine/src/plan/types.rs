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

    /// What carrying it out depends on, on top of a hash.
    fn print(&self, hash: u64) -> u64 {
        let desired = self.desired.as_ref();
        let spec = desired.map_or(0, |desired| desired.spec.fingerprint());
        let own = mix(self.resource.number() ^ (self.verb as u64)) ^ spec;
        // Lists of needs with their lengths: the end of one is not the beginning of the next.
        let needs = |hash: u64, list: &[u32]| {
            let length = mix(hash ^ list.len() as u64);
            list.iter()
                .fold(length, |hash, step| mix(hash ^ u64::from(*step)))
        };
        let needed = needs(needs(mix(hash ^ own), &self.after), &self.settled);
        mix(needed ^ self.until.map_or(0, Until::print))
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

impl Until {
    /// Never 0, which is nothing that is waited for.
    fn print(self) -> u64 {
        match self {
            Self::Running => 1,
            Self::Absent => 2,
            Self::Outdated => 3,
            Self::Elapsed(span) => mix(span.0) | 1 << 63,
        }
    }
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
    /// Equal exactly where the same steps come in the same order, each with the same needs and
    /// waiting for the same.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let steps = self.steps.iter();
        steps.fold(self.steps.len() as u64, |hash, step| step.print(hash))
    }

    /// Nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str) -> Step {
        Step {
            resource: ResourceId::new(name),
            kind: Kind::Machine,
            verb: Verb::Describe,
            lane: Lane::Hosts,
            desired: None,
            reason: String::new(),
            after: Vec::new(),
            settled: Vec::new(),
            reversible: Reversibility::ReadOnly,
            expected: Span::ZERO,
            deadline: Span::ZERO,
            change: None,
            slack: None,
            until: None,
        }
    }

    #[test]
    fn a_fingerprint_tells_what_is_done_needed_and_waited_for() {
        let steps = ["shop/w/1", "shop/w/2", "shop/w/3"].map(step);
        let changed = |change: fn(&mut Step)| {
            let mut steps = steps.to_vec();
            change(&mut steps[2]);
            let plan = Plan {
                steps,
                ..Plan::default()
            };
            plan.fingerprint()
        };
        let variants: [fn(&mut Step); 13] = [
            |_| {},
            |step| step.resource = ResourceId::new("shop/w/4"),
            |step| step.verb = Verb::Delete,
            |step| step.after = vec![0],
            |step| step.after = vec![1],
            |step| step.settled = vec![0],
            |step| step.settled = vec![0, 1],
            |step| (step.after, step.settled) = (vec![0], vec![1]),
            |step| step.until = Some(Until::Running),
            |step| step.until = Some(Until::Absent),
            |step| step.until = Some(Until::Outdated),
            |step| step.until = Some(Until::Elapsed(Span::from_secs(1))),
            |step| step.until = Some(Until::Elapsed(Span::from_secs(2))),
        ];
        let prints = variants.map(changed);
        for (at, print) in prints.iter().enumerate() {
            assert!(!prints[..at].contains(print), "variant {at}");
            assert_eq!(*print, changed(variants[at]), "variant {at}, again");
        }
        // Words for people are no part of it.
        assert_eq!(changed(|step| step.reason = "why".to_owned()), prints[0]);
    }
}
