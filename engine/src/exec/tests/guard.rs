//! Changes of etcd's membership: the guard is asked, and its answer holds.

use super::world::{Fate, World, fault, fine};
use super::{executor, founded, limits, machine, plan, step};
use crate::plan::{MemberChange, Plan, Step};
use crate::resource::ResourceId;
use crate::seam::{Fault, FaultClass, Lane, MemberView, Notice, Verb};
use crate::time::Span;
use std::sync::Arc;

fn members(n: usize, healthy: usize) -> Vec<MemberView> {
    (0..n)
        .map(|i| MemberView {
            machine: machine(i),
            learner: false,
            started: true,
            healthy: i < healthy,
            leader: i == 0,
        })
        .collect()
}

fn change(verb: Verb, number: usize, after: &[u32]) -> Step {
    let id = machine(number);
    let change = match verb {
        Verb::AddLearner => MemberChange::AddLearner(id.clone()),
        Verb::Promote => MemberChange::Promote(id.clone()),
        Verb::MoveLeader => MemberChange::MoveLeader(id.clone()),
        _ => MemberChange::Remove(id.clone()),
    };
    Step {
        change: Some(change),
        ..step(id.child("etcd"), verb, Lane::Cluster, after)
    }
}

fn drive(world: &mut World, plan: &Arc<Plan>) -> (u32, Vec<(String, Fault)>) {
    let mut executor = executor(plan, &limits(), 1, &founded());
    assert!(world.drive(&mut executor, plan, &limits(), None));
    let summary = executor.finished().expect("driven to its end");
    (summary.done, summary.failed.clone())
}

#[test]
fn two_removals_that_are_each_allowed_do_not_both_happen() {
    let plan = plan(vec![
        change(Verb::RemoveMember, 1, &[]),
        change(Verb::RemoveMember, 2, &[]),
    ]);
    let mut world = World::new(|_, _| fine());
    world.members = members(3, 3);
    let (done, failed) = drive(&mut world, &plan);
    assert_eq!((done, world.members.len()), (1, 2));
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].1.class, FaultClass::Refused);
    assert!(
        failed[0].1.detail.contains("leaves 1 of the 3 voters"),
        "{}",
        failed[0].1
    );
}

#[test]
fn a_dead_member_is_replaced_in_the_order_of_the_plan() {
    let plan = plan(vec![
        change(Verb::RemoveMember, 2, &[]),
        change(Verb::AddLearner, 3, &[0]),
        change(Verb::Promote, 3, &[1]),
    ]);
    let mut world = World::new(|_, _| fine());
    world.members = members(3, 2);
    let (done, failed) = drive(&mut world, &plan);
    assert_eq!((done, failed.as_slice()), (3, &[][..]));
    assert_eq!((world.members.len(), world.worst), (3, 0));
    assert!(world.members.iter().all(|m| !m.learner && m.healthy));
}

#[test]
fn the_guard_is_asked_until_it_agrees() {
    // Adding is refused while one is away; it comes back once the guard has read four times.
    let plan = plan(vec![change(Verb::AddLearner, 3, &[])]);
    let mut world = World::new(move |call, nth| {
        if call.verb == Verb::Cluster && nth < 4 {
            let busy = Fault::new(FaultClass::Retryable, "no leader");
            return Fate::Fault(Span::from_ms(100), busy);
        }
        fine()
    });
    world.members = members(3, 3);
    let (done, _) = drive(&mut world, &plan);
    assert_eq!((done, world.members.len()), (1, 4));

    let mut world = World::new(|_, _| fine());
    world.members = members(3, 2);
    let (done, failed) = drive(&mut world, &plan);
    assert_eq!((done, world.members.len()), (0, 3));
    assert_eq!(failed[0].1.class, FaultClass::Refused);
    assert!(failed[0].1.detail.contains("2 of 3 are"), "{}", failed[0].1);
    assert!(
        world.count(&ResourceId::new("shop"), Verb::Cluster) > 100,
        "it asked until its deadline"
    );
    let retries = world
        .said
        .iter()
        .filter(|n| matches!(n, Notice::Retrying { .. }))
        .count();
    assert_eq!(retries, 1, "the same trouble is told once");
}

#[test]
fn a_leader_moves_before_it_goes() {
    let remove = change(Verb::RemoveMember, 0, &[0]);
    let whole = plan(vec![change(Verb::MoveLeader, 0, &[]), remove.clone()]);
    let mut world = World::new(|_, _| fine());
    world.members = members(3, 3);
    let (done, _) = drive(&mut world, &whole);
    assert_eq!((done, world.members.len(), world.worst), (2, 2, 0));

    let alone = plan(vec![Step {
        after: Vec::new(),
        ..remove
    }]);
    let mut world = World::new(|_, _| fine());
    world.members = members(3, 3);
    let (done, failed) = drive(&mut world, &alone);
    assert_eq!((done, world.members.len()), (0, 3));
    assert!(
        failed[0].1.detail.contains("move leadership"),
        "{}",
        failed[0].1
    );
}

#[test]
fn what_is_so_already_needs_no_call() {
    let plan = plan(vec![
        change(Verb::AddLearner, 1, &[]),
        change(Verb::Promote, 1, &[]),
        change(Verb::MoveLeader, 1, &[]),
        change(Verb::RemoveMember, 9, &[]),
    ]);
    let mut world = World::new(|_, _| fine());
    world.members = members(3, 3);
    let (done, failed) = drive(&mut world, &plan);
    assert_eq!((done, failed.len()), (4, 0));
    assert!(
        world
            .calls
            .iter()
            .all(|made| made.call.verb == Verb::Cluster)
    );
}

#[test]
fn a_lost_answer_is_looked_up_before_it_is_repeated() {
    let plan = plan(vec![change(Verb::RemoveMember, 2, &[])]);
    let mut world = World::new(|call, _| {
        if call.verb == Verb::RemoveMember {
            return Fate::DoneAndLost(Span::from_secs(1));
        }
        fine()
    });
    world.members = members(3, 3);
    let (done, _) = drive(&mut world, &plan);
    assert_eq!((done, world.members.len()), (1, 2));
    let call = machine(2).child("etcd");
    assert_eq!(
        world.count(&call, Verb::RemoveMember),
        1,
        "the view showed it done"
    );
}

#[test]
fn force_is_said_and_does_what_policy_forbids() {
    let plan = plan(vec![change(Verb::RemoveMember, 1, &[])]);
    let mut limits = limits();
    limits.guard.policy.force = true;
    let mut world = World::new(|_, _| fine());
    world.members = members(2, 2);
    let mut executor = executor(&plan, &limits, 1, &founded());
    assert!(world.drive(&mut executor, &plan, &limits, None));
    assert_eq!(world.members.len(), 1);
    assert!(
        world
            .said
            .iter()
            .any(|n| matches!(n, Notice::Forced { .. }))
    );
}

#[test]
fn etcds_own_refusal_is_waited_out() {
    let plan = plan(vec![change(Verb::RemoveMember, 2, &[])]);
    let mut world = World::new(|call, nth| {
        if call.verb == Verb::RemoveMember && nth < 3 {
            return fault(FaultClass::Refused);
        }
        fine()
    });
    world.members = members(3, 3);
    let (done, _) = drive(&mut world, &plan);
    assert_eq!((done, world.members.len()), (1, 2));
    let reads = world.count(&ResourceId::new("shop"), Verb::Cluster);
    assert_eq!(reads, 4, "each try is judged anew");
}

#[test]
fn a_judgement_does_not_keep() {
    // While the guard reads, a throttled drain silences the lane for a minute: by then the view is
    // old, and is read again.
    let plan = plan(vec![
        change(Verb::RemoveMember, 2, &[]),
        step(machine(5), Verb::Drain, Lane::Cluster, &[]),
    ]);
    let mut world = World::new(|call, nth| {
        if call.verb == Verb::Drain && nth == 0 {
            let mut fault = Fault::new(FaultClass::Retryable, "429");
            fault.after = Some(Span::from_secs(60));
            return Fate::Fault(Span::from_ms(100), fault);
        }
        fine()
    });
    world.members = members(3, 3);
    let (done, _) = drive(&mut world, &plan);
    assert_eq!((done, world.members.len()), (2, 2));
    assert_eq!(world.count(&ResourceId::new("shop"), Verb::Cluster), 2);
}

#[test]
fn a_cancellation_between_judgement_and_deed_leaves_the_deed() {
    let plan = plan(vec![change(Verb::RemoveMember, 2, &[])]);
    let mut world = World::new(|_, _| fine());
    world.members = members(3, 3);
    world.cancel_at = Some(world.now + Span::from_ms(100));
    let (done, failed) = drive(&mut world, &plan);
    assert_eq!((done, failed.len()), (0, 0));
    assert_eq!((world.calls.len(), world.members.len()), (1, 3));
}
