//! One case for each class of fault, and the rest of what a step can meet.

use super::world::{Fate, World, fault, fine};
use super::{executor, founded, limits, machine, plan, provider, step};
use crate::exec::Summary;
use crate::plan::{Plan, Until};
use crate::resource::{Kind, ResourceId};
use crate::seam::{Fault, FaultClass, Lane, MachineState, Verb};
use crate::time::Span;
use std::sync::Arc;

fn drive(world: &mut World, plan: &Arc<Plan>) -> Summary {
    let mut executor = executor(plan, &limits(), 1, &founded());
    assert!(world.drive(&mut executor, plan, &limits(), None));
    executor.finished().expect("driven to its end").clone()
}

fn one(verb: Verb) -> Arc<Plan> {
    plan(vec![step(machine(0), verb, provider("htz"), &[])])
}

/// The first call of `verb` meets `class`; later ones are fine. Calls of the verb, and the class of
/// the final fault.
#[track_caller]
fn check(verb: Verb, class: FaultClass, calls: usize, end: Option<FaultClass>) {
    let plan = one(verb);
    let mut world = World::new(move |call, nth| {
        if call.verb == verb && nth == 0 {
            fault(class)
        } else {
            fine()
        }
    });
    let summary = drive(&mut world, &plan);
    assert_eq!(
        summary.failed.first().map(|(_, f)| f.class),
        end,
        "{verb} {class}"
    );
    assert_eq!(world.count(&machine(0), verb), calls, "{verb} {class}");
}

#[test]
fn each_class_of_fault_has_its_answer() {
    use FaultClass::{Auth, Busy, Capacity, Exists, Invalid, NotFound, Quota, Refused, Retryable};
    for again in [Retryable, Busy, Capacity, Refused, FaultClass::Unknown] {
        check(Verb::Create, again, 2, None);
        check(Verb::Update, again, 2, None);
        check(Verb::Probe, again, 2, None);
    }
    for final_one in [Quota, Auth, Invalid, NotFound, Exists] {
        check(Verb::Create, final_one, 1, Some(final_one));
        check(Verb::Update, final_one, 1, Some(final_one));
        check(Verb::Probe, final_one, 1, Some(final_one));
    }
    check(Verb::Delete, NotFound, 1, None);
}

#[test]
fn attempts_and_deadlines_are_bounds() {
    for (class, least, most) in [
        (FaultClass::Retryable, 8, 8),
        (FaultClass::Capacity, 14, 32),
        (FaultClass::Busy, 300, 360),
    ] {
        let mut world = World::new(move |_, _| fault(class));
        let begun = world.now;
        let summary = drive(&mut world, &one(Verb::Update));
        assert_eq!(summary.failed[0].1.class, class);
        let calls = world.count(&machine(0), Verb::Update);
        assert!((least..=most).contains(&calls), "{class}: {calls} calls");
        let took = world.now.since(begun);
        assert!(took <= Span::from_secs(1_800), "{class}: {took}");
    }
}

#[test]
fn a_machine_that_starts_slowly_is_no_failure() {
    let visit = || {
        let mut visit = step(machine(0), Verb::Create, Lane::Hosts, &[]);
        visit.kind = Kind::Host;
        plan(vec![visit])
    };
    let up_after = |calls: usize| {
        let mut world = World::new(move |_, nth| match nth < calls {
            true => fault(FaultClass::Retryable),
            false => fine(),
        });
        let begun = world.now;
        let summary = drive(&mut world, &visit());
        (summary.failed.len(), world.now.since(begun))
    };
    // Asked often at first and every few seconds later; and in the end it is given up.
    let (failed, took) = up_after(3);
    assert_eq!(failed, 0);
    assert!(took < Span::from_secs(6), "{took}");
    let (failed, took) = up_after(30);
    assert_eq!(failed, 0);
    assert!((120..180).contains(&took.as_secs()), "{took}");
    let (failed, took) = up_after(usize::MAX);
    assert_eq!(failed, 1);
    assert!((180..600).contains(&took.as_secs()), "{took}");
}

#[test]
fn a_machine_that_dies_while_it_starts_is_given_up_soon() {
    let plan = || {
        let made = step(machine(0), Verb::Create, provider("htz"), &[]);
        let mut visit = step(
            ResourceId::new("shop/w/0/host"),
            Verb::Create,
            Lane::Hosts,
            &[0],
        );
        visit.kind = Kind::Host;
        plan(vec![made, visit])
    };
    let with = |look: fn() -> Fate, lag: u64| {
        let mut world = World::new(move |call, _| match (call.verb, call.kind) {
            (Verb::Create, Kind::Host) => fault(FaultClass::Retryable),
            (Verb::Describe, Kind::Machine) => look(),
            _ => fine(),
        });
        world.lag = Span::from_secs(lag);
        let begun = world.now;
        let summary = drive(&mut world, &plan());
        (summary.failed[0].1.detail.clone(), world.now.since(begun))
    };
    // To those who read so late it is not there.
    let (why, took) = with(fine, 3_600);
    assert!(why.contains("is gone before it had started"), "{why}");
    assert!(took < Span::from_secs(40), "{took}");
    // Who made it does not tell: that is no reason.
    let (why, took) = with(|| fault(FaultClass::Busy), 0);
    assert!(why.contains("given up after"), "{why}");
    assert!(took > Span::from_secs(180), "{took}");
}

#[test]
fn back_off_grows_and_stays_below_its_cap() {
    let mut world = World::new(|_, _| fault(FaultClass::Retryable));
    drive(&mut world, &one(Verb::Update));
    let gaps: Vec<Span> = world
        .calls
        .windows(2)
        .map(|w| w[1].at.since(w[0].at))
        .collect();
    for (nth, gap) in gaps.iter().enumerate() {
        let bound = Span::from_secs(1 << nth).min(Span::from_secs(60));
        assert!(*gap <= bound + Span::from_secs(1), "gap {nth} is {gap}");
    }
    let longest = gaps.iter().max().copied().unwrap_or_default();
    assert!(longest > Span::from_secs(4), "it grows: {gaps:?}");
}

#[test]
fn advice_when_to_come_again_is_honoured() {
    let mut world = World::new(|_, nth| {
        if nth > 0 {
            return fine();
        }
        let mut fault = Fault::new(FaultClass::Busy, "locked");
        fault.after = Some(Span::from_secs(50));
        Fate::Fault(Span::from_ms(10), fault)
    });
    drive(&mut world, &one(Verb::Update));
    let gap = world.calls[1].at.since(world.calls[0].at);
    assert!(gap >= Span::from_secs(50), "came again after {gap}");
}

#[test]
fn a_lost_creation_is_asked_for_and_repeated_with_its_key() {
    // Done, but the answer was lost: found, adopted, not repeated.
    let mut world = World::new(|call, _| match call.verb {
        Verb::Create => Fate::DoneAndLost(Span::from_secs(1)),
        _ => fine(),
    });
    let summary = drive(&mut world, &one(Verb::Create));
    assert!(summary.complete());
    assert_eq!(world.count(&machine(0), Verb::Create), 1);

    // Not done: repeated with the same key, and not before the lane has settled.
    let mut world = World::new(|call, nth| match (call.verb, nth) {
        (Verb::Create, 0) => Fate::Lost,
        _ => fine(),
    });
    let summary = drive(&mut world, &one(Verb::Create));
    assert!(summary.complete());
    let keys: Vec<_> = world
        .calls
        .iter()
        .filter(|made| made.call.verb == Verb::Create)
        .map(|made| made.call.key)
        .collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
    let asked = world
        .calls
        .iter()
        .find(|made| made.call.verb == Verb::Describe);
    let asked = asked.expect("it was asked for").at;
    let lost = world.calls[0].at + Span::from_secs(300);
    assert_eq!(
        asked.since(lost),
        Span::from_secs(10),
        "after the settling time"
    );
}

#[test]
fn a_creation_that_comes_after_all_is_caught_by_its_key() {
    // It takes effect only after the question, and after its repetition.
    let mut world = World::new(|call, nth| match (call.verb, nth) {
        (Verb::Create, 0) => Fate::DoneAndLost(Span::from_secs(400)),
        _ => fine(),
    });
    assert!(drive(&mut world, &one(Verb::Create)).complete());
    world.come_to_rest();
    assert_eq!(world.count(&machine(0), Verb::Create), 2);
    assert_eq!(world.copies[&machine(0)].len(), 1);
}

#[test]
fn a_name_that_is_taken_is_adopted_only_if_it_is_ours() {
    // Ours: made by a call whose answer was lost even to the world's own memory of keys.
    let mut world = World::new(|call, _| match call.verb {
        Verb::Create => fault(FaultClass::Exists),
        _ => fine(),
    });
    let ours = (founded().key(&machine(7), Verb::Create), world.now);
    world.copies.insert(machine(0), vec![ours]);
    assert!(drive(&mut world, &one(Verb::Create)).complete());

    let mut world = World::new(|_, _| fine());
    world.foreign.insert(machine(0));
    let summary = drive(&mut world, &one(Verb::Create));
    assert_eq!(summary.failed[0].1.class, FaultClass::Exists);
}

#[test]
fn what_a_late_view_does_not_show_is_looked_for_before_it_is_made_again() {
    let plan = one(Verb::Create);
    let mut world = World::new(|_, _| fine());
    world.lag = Span::from_secs(5);
    assert!(drive(&mut world, &plan).complete());
    let ledger = crate::journal::Ledger::replay(&world.journal);
    let mut again = executor(&plan, &limits(), 1, &ledger);
    assert!(world.drive(&mut again, &plan, &limits(), None));
    assert_eq!(world.copies[&machine(0)].len(), 1);
    // Really gone: made anew, with another key.
    world.copies.clear();
    let ledger = crate::journal::Ledger::replay(&world.journal);
    let mut anew = executor(&plan, &limits(), 1, &ledger);
    assert!(world.drive(&mut anew, &plan, &limits(), None));
    assert_eq!(world.copies[&machine(0)].len(), 1);
    assert_eq!(world.count(&machine(0), Verb::Create), 2);
}

#[test]
fn a_wait_polls_until_what_it_waits_for() {
    let mut wait = step(machine(0), Verb::Describe, provider("htz"), &[0]);
    wait.until = Some(Until::Running);
    let mut gone = step(machine(0), Verb::Describe, provider("htz"), &[2]);
    gone.until = Some(Until::Absent);
    let plan = plan(vec![
        step(machine(0), Verb::Create, provider("htz"), &[]),
        wait,
        step(machine(0), Verb::Delete, provider("htz"), &[1]),
        gone,
    ]);
    let mut world = World::new(|_, _| fine());
    world.lag = Span::from_secs(12);
    let summary = drive(&mut world, &plan);
    assert_eq!(summary.to_string(), "4 done");
    assert_eq!(world.count(&machine(0), Verb::Describe), 4 + 1);
    assert_eq!(summary.replies.len(), 2);
}

#[test]
fn a_machine_is_up_when_it_runs_and_has_an_address() {
    let mut wait = step(machine(0), Verb::Describe, provider("htz"), &[0]);
    wait.until = Some(Until::Running);
    let plan = plan(vec![
        step(machine(0), Verb::Create, provider("htz"), &[]),
        wait,
    ]);
    let mut world = World::new(|_, _| fine());
    world.bare = Span::from_secs(12);
    assert!(drive(&mut world, &plan).complete());
    assert_eq!(world.count(&machine(0), Verb::Describe), 4);

    let mut world = World::new(|_, _| fine());
    world.broken.insert(machine(0), MachineState::Error);
    let summary = drive(&mut world, &plan);
    assert_eq!(summary.failed.len(), 1);
    assert_eq!(
        world.count(&machine(0), Verb::Describe),
        1,
        "no use in waiting"
    );

    // Off is where it may be for a moment; after half a minute it has died.
    let mut world = World::new(|_, _| fine());
    world.broken.insert(machine(0), MachineState::Stopped);
    let begun = world.now;
    let summary = drive(&mut world, &plan);
    let (_, fault) = &summary.failed[0];
    assert!(fault.detail.contains("is off"), "{fault}");
    let took = world.now.since(begun).as_secs();
    assert!((30..40).contains(&took), "{took} s");
}

#[test]
fn a_lane_is_used_up_to_its_budget_and_not_beyond() {
    let steps = (0..20).map(|i| step(machine(i), Verb::Create, provider("htz"), &[]));
    let mut world = World::new(|_, _| Fate::Fine(Span::from_ms(10)));
    let begun = world.now;
    drive(&mut world, &plan(steps.collect()));
    // Four at once, then one every 700 ms; the last takes 10 ms.
    let took = world.now.since(begun);
    assert_eq!(took, Span::from_ms(16 * 700 + 10));
}

#[test]
fn a_failure_stops_its_branch_only() {
    let htz = provider("htz");
    let plan = plan(vec![
        step(machine(0), Verb::Create, htz.clone(), &[]),
        step(machine(1), Verb::Create, htz.clone(), &[]),
        step(machine(2), Verb::Create, htz.clone(), &[0]),
        step(machine(3), Verb::Create, htz.clone(), &[1]),
        step(machine(4), Verb::Create, htz, &[2, 3]),
    ]);
    let mut world = World::new(|call, _| {
        if call.target == machine(0) {
            fault(FaultClass::Quota)
        } else {
            fine()
        }
    });
    let summary = drive(&mut world, &plan);
    assert_eq!(
        summary.to_string(),
        "2 done, 1 failed, 2 skipped\n  create shop/cp/0: quota: the world says so"
    );
    assert_eq!(world.copies.len(), 2);
}

#[test]
fn the_longest_way_goes_first() {
    let mut steps: Vec<_> = (0..4)
        .map(|i| step(machine(i), Verb::Create, Lane::Hosts, &[]))
        .collect();
    let mut last = step(machine(4), Verb::Create, Lane::Hosts, &[3]);
    last.expected = Span::from_secs(20);
    steps.push(last);
    let mut world = World::new(|_, _| fine());
    drive(&mut world, &plan(steps));
    let order: Vec<_> = world
        .calls
        .iter()
        .map(|made| made.call.target.clone())
        .collect();
    assert_eq!(
        order,
        [3, 0, 4, 1, 2].map(machine),
        "no waves, the longest way first"
    );
}

#[test]
fn addresses_travel_with_the_calls_that_need_them() {
    let record = crate::resource::ResourceId::new("shop/dns.cf/www.example.com");
    let mut records = step(record.clone(), Verb::Create, provider("cf"), &[0, 1]);
    records.kind = crate::resource::Kind::RecordSet;
    records.desired = Some(Arc::new(crate::resource::Resource {
        id: record.clone(),
        provider: "cf".to_owned(),
        spec: crate::resource::Spec::RecordSet {
            zone: "example.com".to_owned(),
            name: "www.example.com".to_owned(),
            ttl_s: 60,
            machines: vec![machine(0), machine(1)],
            check: None,
        },
    }));
    let htz = provider("htz");
    let plan = plan(vec![
        step(machine(0), Verb::Create, htz.clone(), &[]),
        step(machine(1), Verb::Create, htz.clone(), &[]),
        records,
        step(machine(1).child("host"), Verb::Update, Lane::Hosts, &[1]),
    ]);
    let mut world = World::new(|_, _| fine());
    drive(&mut world, &plan);
    let sent = |target| {
        let made = world.calls.iter().find(|made| made.call.target == target);
        let addresses = &made.expect("called").call.addresses;
        addresses
            .iter()
            .map(|(id, _)| id.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(sent(record), [machine(0), machine(1)]);
    assert_eq!(sent(machine(1).child("host")), [machine(1)]);
    assert_eq!(sent(machine(1)), []);
}

#[test]
fn reading_leaves_no_trace_in_the_journal() {
    let plan = plan(vec![
        step(machine(0), Verb::Probe, Lane::Hosts, &[]),
        step(
            crate::resource::ResourceId::new("shop"),
            Verb::List,
            provider("htz"),
            &[],
        ),
    ]);
    let mut world = World::new(|_, _| fine());
    let summary = drive(&mut world, &plan);
    assert_eq!((summary.replies.len(), world.journal.len()), (2, 1));
}

#[test]
fn ten_thousand_steps_are_cheap() {
    let steps = (0..10_000u32).map(|i| {
        let after: Vec<u32> = [i.wrapping_sub(1), i.wrapping_sub(7)]
            .into_iter()
            .filter(|b| *b < i && i % 10 != 0)
            .collect();
        step(machine(i as usize), Verb::Probe, Lane::Hosts, &after)
    });
    let plan = plan(steps.collect());
    let (mut ledger, mut out) = (founded(), Vec::new());
    let mut executor = executor(&plan, &limits(), 1, &ledger);
    let mut now = crate::time::Time(1);
    executor.handle(now, crate::exec::Input::Begin, &mut ledger, &mut out);
    let mut events = 1;
    while executor.finished().is_none() {
        let calls: Vec<_> = std::mem::take(&mut out)
            .into_iter()
            .filter_map(|effect| match effect {
                crate::seam::Effect::Call { id, .. } => Some(id),
                _ => None,
            })
            .collect();
        assert!(!calls.is_empty(), "something is under way");
        for call in calls {
            now += Span::from_ms(1);
            events += 1;
            let outcome = Ok(crate::seam::Reply::Done);
            let input = crate::exec::Input::Answer { call, outcome };
            executor.handle(now, input, &mut ledger, &mut out);
        }
    }
    assert_eq!(events, 10_001, "one event a call");
}

#[test]
fn a_step_that_waits_for_an_end_begins_after_a_bad_one_too() {
    let first = step(machine(0), Verb::Create, provider("htz"), &[]);
    let skipped = step(machine(1), Verb::Create, provider("htz"), &[0]);
    let mut second = step(machine(2), Verb::Create, provider("htz"), &[]);
    second.settled = vec![0, 1];
    let plan = plan(vec![first, skipped, second]);
    let mut world = World::new(|call, _| match call.target == machine(0) {
        true => fault(FaultClass::Quota),
        false => fine(),
    });
    let summary = drive(&mut world, &plan);
    assert_eq!(
        (summary.done, summary.failed.len(), summary.skipped),
        (1, 1, 1)
    );
}

#[test]
fn a_step_of_time_makes_no_call() {
    let mut wait = step(machine(0), Verb::Describe, provider("htz"), &[]);
    wait.until = Some(Until::Elapsed(Span::from_secs(60)));
    let mut after = step(machine(1), Verb::Create, provider("htz"), &[]);
    after.settled = vec![0];
    let plan = plan(vec![wait, after]);
    let mut world = World::new(|_, _| fine());
    let summary = drive(&mut world, &plan);
    assert_eq!(summary.done, 2);
    assert_eq!(world.count(&machine(0), Verb::Describe), 0);
    assert!(world.calls[0].at.since(crate::time::Time(1_000_000_000)) >= Span::from_secs(60));
}
