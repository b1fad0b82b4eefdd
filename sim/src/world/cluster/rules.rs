//! Between the engine's rules for etcd's server and the model of etcd.

use crate::etcd::{Change, MemberId, Outcome as EtcdOutcome, Refusal as EtcdRefusal, View};
use quorate_engine::plan::MemberChange;
use quorate_engine::quorum::{self, EtcdVersion, Link, Standing, etcd_judges};
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{Fault, FaultClass};

/// The engine's rules for etcd's server, as the model of etcd wants them.
pub(super) struct Rules {
    pub(super) version: EtcdVersion,
    pub(super) machines: Vec<ResourceId>,
}

impl Rules {
    pub(super) fn judge(&self, change: Change, view: &View) -> EtcdOutcome {
        let target = change.member();
        let standing = |m: MemberId| Standing {
            machine: &self.machines[m.at()],
            learner: view.config.learners.contains(m),
            started: view.started.contains(m) || view.config.learners.contains(m),
            link: match () {
                () if view.connected.contains(m) => Link::Settled,
                () if m == target && view.target_linked => Link::Fresh,
                () => Link::Down,
            },
        };
        let members: Vec<Standing<'_>> = view.config.all().map(standing).collect();
        let machine = self.machines[target.at()].clone();
        let change = match change {
            Change::AddLearner(_) | Change::AddVoter(_) => MemberChange::AddLearner(machine),
            Change::Promote(_) => MemberChange::Promote(machine),
            Change::Remove(_) => MemberChange::Remove(machine),
        };
        etcd_judges(&change, &members, self.version).map_err(|refusal| match refusal {
            quorum::Refusal::LearnerInFlight { .. } => EtcdRefusal::TooManyLearners,
            quorum::Refusal::TooFewStarted { .. } => EtcdRefusal::NotEnoughStarted,
            _ => EtcdRefusal::Unhealthy,
        })
    }
}

/// What a refusal of etcd means for the orchestrator.
pub(super) fn fault(refusal: EtcdRefusal) -> Fault {
    let class = match refusal {
        EtcdRefusal::NoAnswer => FaultClass::Retryable,
        EtcdRefusal::Exists | EtcdRefusal::NotLearner => FaultClass::Exists,
        EtcdRefusal::NotFound => FaultClass::NotFound,
        EtcdRefusal::LearnerNotReady => FaultClass::Busy,
        EtcdRefusal::TooManyLearners
        | EtcdRefusal::Unhealthy
        | EtcdRefusal::NotEnoughStarted
        | EtcdRefusal::NotLeader
        | EtcdRefusal::BadTransferee
        | EtcdRefusal::Policy => FaultClass::Refused,
        EtcdRefusal::TimedOut => FaultClass::Unknown,
    };
    Fault::new(class, refusal.to_string())
}
