//! What is desired of a world that was seen: the one rule by which machines keep their numbers.
//!
//! Shared by the engine and by whoever only wants to see a plan.

use super::surge::surge;
use crate::graph::Desired;
use crate::manifest::{Manifest, Role};
use crate::observed::Observed;
use crate::quorum::{Policy, slack};
use crate::resource::ResourceId;
use crate::topology::{MeshFull, Roster, Topology};
use std::sync::Arc;

/// The desired resources: machines that exist and fit keep their numbers, those that do not fit
/// are replaced by others.
///
/// # Errors
/// If the mesh has no address left.
pub fn fitting(
    manifest: &Arc<Manifest>,
    mut roster: Roster,
    seen: &Observed,
) -> Result<Desired, MeshFull> {
    let usable = seen.usable_machines().map(|machine| machine.id.clone());
    roster.existing.extend(usable);
    roster.surge = surge(manifest, &roster, seen);
    let resolve = |roster: &Roster| {
        let topology = Topology::resolve(manifest, roster)?;
        Ok(Desired::of(Arc::new(topology)))
    };
    let desired = resolve(&roster)?;
    let unfit = unfit(&desired, seen);
    if unfit.is_empty() {
        return Ok(desired);
    }
    roster.retired.extend(unfit);
    resolve(&roster)
}

/// Machines that are not as their nodes should be.
fn unfit(desired: &Desired, seen: &Observed) -> Vec<ResourceId> {
    let differs = |machine: &&crate::seam::Seen| {
        let wanted = desired.get(&machine.id);
        wanted.is_some_and(|wanted| wanted.spec.fingerprint() != machine.fingerprint)
    };
    let machines = seen.usable_machines().filter(differs);
    machines.map(|machine| machine.id.clone()).collect()
}

/// What the quorum guard is to keep: the size that is desired, which is a floor unless it is
/// smaller than what there is.
#[must_use]
pub fn policy(desired: &Desired, seen: &Observed, force: bool) -> Policy {
    let declared = desired.topology.with(Role::ControlPlane).count() as u32;
    let voters = seen
        .cluster()
        .map_or(0, |cluster| slack(&cluster.members).voters);
    Policy {
        declared,
        scale_down: declared < voters,
        force,
    }
}
