//! What distances do to a cluster that is there: etcd's timing changes member by member.

use super::*;
use crate::catalog::{COLUMNS, read_distances};
use crate::resource::Spec;

/// The manifest with a measured round trip between two of its control planes.
fn measured(manifest: &Arc<Manifest>, ms: u32) -> Arc<Manifest> {
    let row = format!("hetzner,fsn1,aws,eu-central-1,{ms},0.2,p50,2026-11-22,measured,measured");
    let mut manifest = Manifest::clone(manifest);
    manifest.spec.distances = read_distances(&format!("{COLUMNS}\n{row}\n")).unwrap();
    Arc::new(manifest)
}

#[test]
fn a_longer_way_changes_one_member_after_the_other_under_the_guard() {
    let old = three_clouds();
    let mut seen = built(&old);
    for ms in [1, 40, 100] {
        let same = plan(&desired(&measured(&old, ms)), &seen);
        assert_eq!(
            titles(&same),
            Vec::<String>::new(),
            "{ms} ms: defaults are enough"
        );
    }
    let far = measured(&old, 130);
    let plan = run(&desired(&far), &mut seen);
    let mut updates = Vec::new();
    for (at, step) in (0..).zip(&plan.steps) {
        let spec = step.desired.as_ref().map(|resource| &resource.spec);
        match (step.verb, spec) {
            (
                Verb::Update,
                Some(Spec::EtcdMember {
                    heartbeat_ms: 150,
                    election_ms: 1_500,
                    ..
                }),
            ) => updates.push(at),
            (Verb::MoveLeader, _) => {}
            (verb, _) => panic!("{verb} {}", step.resource),
        }
    }
    assert_eq!(updates.len(), 3, "{:#?}", titles(&plan));
    for pair in updates.windows(2) {
        let step = &plan.steps[pair[1] as usize];
        assert!(step.after.contains(&pair[0]), "{:#?}", titles(&plan));
        assert!(matches!(step.change, Some(MemberChange::Restart(_))));
    }
    assert_eq!(
        titles(&plan_of(&desired(&far), &seen)),
        Vec::<String>::new()
    );
}

#[test]
fn who_has_joined_is_not_said_to_be_unable_to() {
    let manifest = three_clouds();
    let mut seen = built(&manifest);
    let fault = crate::seam::Fault::new(crate::seam::FaultClass::Retryable, "no leader");
    seen.cluster = Some(Err(fault));
    let reasons = |seen: &Observed| -> Vec<_> {
        let plan = plan(&desired(&manifest), seen);
        let workers = plan.held.iter();
        let workers = workers.filter(|held| held.resource.as_str().ends_with("/worker"));
        workers.map(|held| held.reason.clone()).collect()
    };
    assert_eq!(
        reasons(&seen),
        Vec::<String>::new(),
        "they are as they should be"
    );
    for host in seen.hosts.values_mut().flatten() {
        for (kind, print) in &mut host.installed {
            if *kind == Kind::Worker {
                *print ^= 1;
            }
        }
    }
    let changed = reasons(&seen);
    assert!(!changed.is_empty());
    assert!(
        changed.iter().all(|why| why.starts_with("it has joined")),
        "{changed:?}"
    );
    for host in seen.hosts.values_mut().flatten() {
        host.installed.retain(|(kind, _)| *kind != Kind::Worker);
    }
    let absent = reasons(&seen);
    assert_eq!(absent.len(), changed.len());
    assert!(
        absent.iter().all(|why| why.ends_with("cannot join")),
        "{absent:?}"
    );
}
