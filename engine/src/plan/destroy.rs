//! The plan towards nothing: everything that is ours goes, and nothing else is asked for.
//!
//! Needs neither the cluster nor its manifest's pools: what providers list with our labels is what
//! there is. Hosts of one's own are reset, and stay.

use super::draft::{Draft, Ref};
use super::{Plan, Until};
use crate::observed::Observed;
use crate::resource::{Kind, ResourceId};
use crate::seam::Verb;
use std::collections::BTreeSet;

const WHY: &str = "the cluster is being destroyed";

/// Plans the removal of everything that was seen. `own`: hosts of one's own that may carry
/// something of ours.
#[must_use]
pub fn destroy(seen: &Observed, own: &BTreeSet<ResourceId>) -> Plan {
    let mut draft = Draft::default();
    for (provider, answer) in &seen.providers {
        match answer {
            Ok(_) => at_provider(&mut draft, seen, provider),
            Err(fault) => {
                let id = ResourceId::new(format!("provider.{provider}"));
                let why = format!("its API does not answer ({fault}): what is there stays");
                draft.hold(&id, why);
            }
        }
    }
    for machine in own {
        reset(&mut draft, seen, machine);
    }
    draft.finish(None)
}

/// Names first, so that nobody is sent to what goes; then machines, all at once; last what they
/// stood in.
fn at_provider(draft: &mut Draft, seen: &Observed, provider: &str) {
    let things: Vec<_> = seen
        .listed()
        .filter(|(at, _)| *at == provider)
        .map(|(_, seen)| seen.clone())
        .collect();
    for thing in things.iter().filter(|thing| thing.kind == Kind::RecordSet) {
        draft.bare(Verb::Delete, (&thing.id, thing.kind, provider), WHY);
    }
    let mut gone: Vec<Ref> = Vec::new();
    for thing in things.iter().filter(|thing| thing.kind == Kind::Machine) {
        let target = (&thing.id, thing.kind, provider);
        let delete = draft.bare(Verb::Delete, target, WHY);
        let why = "the provider removes it in the background";
        let wait = draft.bare(Verb::Describe, target, why);
        draft.until(wait, Until::Absent);
        draft.after(wait, delete);
        gone.push(wait);
    }
    let shared = |kind: Kind| !matches!(kind, Kind::RecordSet | Kind::Machine);
    for thing in things.iter().filter(|thing| shared(thing.kind)) {
        let delete = draft.bare(Verb::Delete, (&thing.id, thing.kind, provider), WHY);
        for wait in &gone {
            draft.after(delete, *wait);
        }
    }
}

/// A host of one's own is put back as it was.
fn reset(draft: &mut Draft, seen: &Observed, machine: &ResourceId) {
    match seen.hosts.get(machine) {
        Some(Ok(view)) if view.installed.is_empty() => {}
        Some(Ok(_)) => {
            draft.bare(Verb::Delete, (&machine.child("host"), Kind::Host, ""), WHY);
        }
        Some(Err(fault)) if seen.history.prepared.contains(machine) => {
            draft.hold(
                machine,
                format!("it does not answer ({fault}): what is on it stays"),
            );
        }
        Some(Err(_)) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seam::{Fault, FaultClass, HostView, MachineState, Seen};

    fn thing(id: &str, kind: Kind) -> Seen {
        Seen {
            id: ResourceId::new(id),
            kind,
            external: String::new(),
            fingerprint: 0,
            state: MachineState::Running,
            address: None,
            private: None,
            host_key: None,
            fields: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn machines_go_before_what_they_stand_in_and_what_is_silent_is_named() {
        let own = [1, 2, 3].map(|n| ResourceId::new(format!("shop/own/{n}")));
        let mut seen = Observed::default();
        let list = vec![
            thing("shop/network.a/x", Kind::Network),
            thing("shop/w/1", Kind::Machine),
            thing("shop/w/2", Kind::Machine),
        ];
        seen.providers.insert("a".to_owned(), Ok(list));
        let fault = Fault::new(FaultClass::Retryable, "refused");
        seen.providers.insert("b".to_owned(), Err(fault.clone()));
        let view = HostView {
            installed: vec![(Kind::Host, 1)],
            mesh_key: None,
        };
        seen.hosts.insert(own[0].clone(), Ok(view));
        seen.hosts.insert(own[1].clone(), Ok(HostView::default()));
        seen.hosts.insert(own[2].clone(), Err(fault));
        seen.history.prepared.insert(own[2].clone());
        let plan = destroy(&seen, &own.iter().cloned().collect());
        let titles: Vec<_> = plan.steps.iter().map(super::super::Step::title).collect();
        assert_eq!(
            titles,
            [
                "delete shop/w/1",
                "await shop/w/1",
                "delete shop/w/2",
                "await shop/w/2",
                "delete shop/network.a/x",
                "delete shop/own/1/host",
            ]
        );
        assert_eq!(plan.steps[4].after, [1, 3], "both are gone first");
        let held: Vec<_> = plan
            .held
            .iter()
            .map(|held| held.resource.as_str())
            .collect();
        assert_eq!(held, ["provider.b", "shop/own/3"]);
    }
}
