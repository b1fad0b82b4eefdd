//! How long steps usually take, how long they may take, and whether they can be taken back.
//!
//! Medians; where they come from stands beside each. Only a guide for people and for the order
//! in which ready steps begin: nothing waits because of them.

use super::{Reversibility, Step};
use crate::resource::Kind;
use crate::seam::Verb;
use crate::time::Span;

/// Usual duration of a step.
#[must_use]
pub fn expected(verb: Verb, kind: Kind) -> Span {
    let seconds = match (verb, kind) {
        (Verb::List | Verb::Probe | Verb::Cluster, _) => 1,
        // A Hetzner server runs about 22 s after its creation was accepted (community reports).
        (Verb::Describe, _) => 25,
        (Verb::Create | Verb::Update, Kind::Network | Kind::Firewall | Kind::RecordSet) => 1,
        (Verb::Create | Verb::Update, Kind::Machine) => 3,
        // Boot, cloud-init and packages: 30 to 120 s.
        (Verb::Create, Kind::Host) => 90,
        (Verb::Update, Kind::Host) => 60,
        (Verb::Create | Verb::Update, Kind::Peer) => 3,
        (Verb::Create | Verb::Update, Kind::Links | Kind::ApiProxy) => 1,
        (Verb::Create | Verb::Update, Kind::Balancer) => 8,
        // kubeadm on a lab of three libvirt networks: init 15 to 27 s, join 11 to 30 s.
        (Verb::Init, _) => 25,
        (Verb::AddLearner, _) => 10,
        (Verb::Promote | Verb::MoveLeader | Verb::RemoveMember, _) => 2,
        (Verb::Create | Verb::Update, Kind::ControlPlane) => 20,
        (Verb::Create | Verb::Update, Kind::Worker) => 15,
        (Verb::Create | Verb::Update, Kind::StoragePool) => 60,
        (Verb::Create | Verb::Update, Kind::EtcdMember) => 20,
        (Verb::Drain, _) => 60,
        (Verb::Delete, Kind::Machine) => 10,
        (Verb::Delete, _) => 2,
    };
    Span::from_secs(seconds)
}

/// How long a step may take altogether, retries included.
#[must_use]
pub fn deadline(verb: Verb, kind: Kind) -> Span {
    let minutes = match (verb, kind) {
        (Verb::List | Verb::Cluster | Verb::Probe, _) => 1,
        (Verb::Create, Kind::Machine) => 20,
        (Verb::Create | Verb::Update, Kind::Host) => 20,
        // kubectl drain by operators' habit: 15 min (kOps), 30 min (Claudie).
        (Verb::Drain, _) => 15,
        _ => 10,
    };
    Span::from_secs(minutes * 60)
}

/// Whether a step can be taken back.
#[must_use]
pub fn reversibility(verb: Verb, kind: Kind) -> Reversibility {
    match (verb, kind) {
        (Verb::List | Verb::Describe | Verb::Probe | Verb::Cluster, _) => Reversibility::ReadOnly,
        (Verb::Delete, Kind::Machine | Kind::StoragePool) => Reversibility::Irreversible,
        (Verb::Init, _) => Reversibility::Irreversible,
        (Verb::RemoveMember | Verb::Drain, _) => Reversibility::Costly,
        (Verb::Create, Kind::Machine | Kind::Host | Kind::ControlPlane | Kind::Worker) => {
            Reversibility::Costly
        }
        _ => Reversibility::Reversible,
    }
}

/// The longest chain of expected durations through the steps, given in topological order.
#[must_use]
pub fn critical_path(steps: &[Step]) -> Span {
    let mut ends: Vec<Span> = Vec::with_capacity(steps.len());
    for step in steps {
        let before = step.after.iter().chain(&step.settled);
        let begins = before
            .map(|index| ends[*index as usize])
            .max()
            .unwrap_or_default();
        ends.push(begins + step.expected);
    }
    ends.into_iter().max().unwrap_or_default()
}
