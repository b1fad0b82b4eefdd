//! Faults of providers, each switched on and off.

use super::super::{Down, Ended, Scope, Trouble, TroubleId};
use super::*;

fn inject(world: &mut World, scope: Scope, trouble: Trouble) -> TroubleId {
    world.cloud.inject(&mut world.sky, scope, trouble)
}

fn lift(world: &mut World, id: TroubleId) {
    assert!(world.cloud.hits(id) > 0, "the trouble was felt");
    assert!(world.cloud.lift(&mut world.sky, id), "it was on");
    assert!(!world.cloud.lift(&mut world.sky, id), "it is off");
}

#[test]
fn an_answer_is_lost_and_describe_finds_what_was_made() {
    let (mut made, mut not) = (0, 0);
    for seed in 0..60 {
        let mut world = world(seed);
        world.network("dig");
        let lost = Trouble::LostReplies { rate: 1.0 };
        let trouble = inject(&mut world, Scope::provider("dig"), lost);
        let machine = machine_at("dig", 1);
        assert_eq!(
            class(world.provider(Verb::Create, &machine)),
            FaultClass::Unknown
        );
        lift(&mut world, trouble);
        let done = world
            .sky
            .notes
            .iter()
            .any(|note| matches!(note, Note::Lost { done: true, .. }));
        match world.provider(Verb::Describe, &machine) {
            Ok(Reply::Seen(_)) if done => made += 1,
            Ok(Reply::Absent) if !done => not += 1,
            other => panic!("done: {done}, but {other:?}"),
        }
        let unheard = (Lane::Provider("dig".into()), Verb::Create, Ended::Unheard);
        assert_eq!(world.cloud.tally()[&unheard], 1);
    }
    assert!(made > 15 && not > 15, "{made} made, {not} not");
}

#[test]
fn without_idempotency_a_blind_repetition_makes_a_second_machine() {
    let mut world = world(1);
    world.network("ops");
    for _ in 0..2 {
        seen(world.provider(Verb::Create, &machine_at("ops", 1)));
    }
    let id = machine_at("ops", 1).id.clone();
    assert!(world.sky.notes.contains(&Note::Duplicated { id }));
    world.pass(Span::from_secs(200));
    let told = world.sky.changes.iter();
    let ups = told.filter(|(_, change)| matches!(change, Change::MachineUp { .. }));
    assert_eq!(ups.count(), 1, "the world knows one machine under one id");
    let Ok(Reply::List(list)) = world.list("ops") else {
        panic!("a list")
    };
    assert_eq!(list.len(), 3, "both machines and the network");
    world
        .provider(Verb::Delete, &machine_at("ops", 1))
        .expect("accepted");
    world.pass(Span::from_secs(100));
    assert_eq!(
        world.count(&machine_at("ops", 1)),
        0,
        "both go by their label"
    );
}

#[test]
fn the_api_is_down_and_machines_run_on() {
    for (down, wait) in [(Down::Silent, 9..12), (Down::Unavailable, 0..2)] {
        let mut world = world(2);
        let machine = world.up("htz", 1);
        let trouble = inject(
            &mut world,
            Scope::provider("htz"),
            Trouble::ControlDown(down),
        );
        let before = world.sky.now();
        assert_eq!(class(world.list("htz")), FaultClass::Retryable);
        let took = world.sky.now().since(before).as_secs();
        assert!(wait.contains(&took), "{down:?}: {took} s");
        world.host(Verb::Create, &os(&machine)).expect("ssh works");
        assert!(world.is_up(&machine));
        lift(&mut world, trouble);
        assert_eq!(
            state(world.provider(Verb::Describe, &machine)),
            MachineState::Running
        );
    }
}

#[test]
fn what_is_asked_when_the_api_falls_silent_is_done_and_not_heard() {
    let mut world = world(3);
    let network = network_at("azr");
    let asked = world.put(call("azr", Verb::Create, &network), Span::from_secs(60));
    while world.count(&network) == 0 {
        let event = world.sky.queue.pop().expect("the request travels");
        world.cloud.handle(&mut world.sky, event);
    }
    inject(
        &mut world,
        Scope::provider("azr"),
        Trouble::ControlDown(Down::Silent),
    );
    world.pass(Span::from_secs(60));
    assert!(!world.sky.answers.contains_key(&asked));
    assert_eq!(world.count(&network), 1);
}

#[test]
fn nothing_comes_up_while_the_data_plane_is_down() {
    let mut world = world(4);
    world.network("gcp");
    let trouble = inject(
        &mut world,
        Scope::provider("gcp").region("r1"),
        Trouble::DataDown,
    );
    let machine = machine_at("gcp", 1);
    seen(world.provider(Verb::Create, &machine));
    world.pass(Span::from_secs(900));
    assert_eq!(
        state(world.provider(Verb::Describe, &machine)),
        MachineState::Building
    );
    lift(&mut world, trouble);
    world.pass(Span::from_secs(100));
    assert!(world.is_up(&machine));
    let trouble = inject(
        &mut world,
        Scope::provider("gcp").zone("z1"),
        Trouble::DataDown,
    );
    assert!(world.cloud.reboot(&mut world.sky, &machine.id));
    world.pass(Span::from_secs(900));
    assert!(!world.is_up(&machine));
    lift(&mut world, trouble);
    world.pass(Span::from_secs(10));
    assert!(world.is_up(&machine));
}

#[test]
fn a_list_needs_every_region_in_which_something_is() {
    let mut world = world(5);
    let down = Trouble::ControlDown(Down::Unavailable);
    let trouble = inject(&mut world, Scope::provider("htz").region("r1"), down);
    assert_eq!(world.list("htz"), Ok(Reply::List(Vec::new())));
    world.cloud.place(&mut world.sky, &network_at("htz"));
    assert_eq!(class(world.list("htz")), FaultClass::Retryable);
    lift(&mut world, trouble);
    world.list("htz").expect("a list");
}

#[test]
fn a_throttled_api_refuses_sooner() {
    let mut world = world(6);
    let trouble = inject(
        &mut world,
        Scope::provider("dig"),
        Trouble::Throttle { divisor: 125 },
    );
    let machine = machine_at("dig", 1);
    let outcomes = [(); 4].map(|()| world.provider(Verb::Describe, &machine));
    assert_eq!(outcomes[0], Ok(Reply::Absent));
    let fault = outcomes[3]
        .clone()
        .expect_err("two at once, then one each 30 s");
    assert!(fault.after > Some(Span::from_secs(20)), "{fault:?}");
    lift(&mut world, trouble);
    assert_eq!(world.provider(Verb::Describe, &machine), Ok(Reply::Absent));
}

#[test]
fn a_rate_is_imposed_and_lifted() {
    let mut world = world(6);
    let rate = Trouble::Rate {
        burst: 2,
        interval: Span::from_secs(60),
    };
    let trouble = inject(&mut world, Scope::provider("lab"), rate);
    let machine = machine_at("lab", 1);
    let outcomes = [(); 3].map(|()| world.provider(Verb::Describe, &machine));
    assert_eq!(outcomes[..2], [Ok(Reply::Absent), Ok(Reply::Absent)]);
    let fault = outcomes[2].clone().expect_err("two at once");
    assert_eq!(fault.after.map(|after| after.as_secs()), Some(59));
    world.pass(fault.after.expect("it says when"));
    assert_eq!(world.provider(Verb::Describe, &machine), Ok(Reply::Absent));
    lift(&mut world, trouble);
    assert_eq!(world.provider(Verb::Describe, &machine), Ok(Reply::Absent));
}

#[test]
fn failed_requests_are_not_carried_out() {
    let mut world = world(7);
    let trouble = inject(
        &mut world,
        Scope::provider("htz"),
        Trouble::Errors { rate: 1.0 },
    );
    let outcome = world.provider(Verb::Create, &network_at("htz"));
    assert_eq!(class(outcome), FaultClass::Retryable);
    assert_eq!(world.count(&network_at("htz")), 0);
    lift(&mut world, trouble);
    seen(world.provider(Verb::Create, &network_at("htz")));
}

#[test]
fn quota_and_stock_out_have_their_classes_and_scopes() {
    let mut world = world(8);
    world.up("htz", 1);
    let quota = inject(
        &mut world,
        Scope::provider("htz"),
        Trouble::Quota { machines: 1 },
    );
    let outcome = world.provider(Verb::Create, &machine_at("htz", 2));
    assert_eq!(class(outcome), FaultClass::Quota);
    lift(&mut world, quota);
    let scope = Scope::provider("htz").zone("z0").machine_type("small");
    let stock = inject(&mut world, scope, Trouble::StockOut);
    let outcome = world.provider(Verb::Create, &machine_at("htz", 2));
    assert_eq!(class(outcome), FaultClass::Capacity);
    seen(world.provider(Verb::Create, &machine_at("htz", 3)));
    lift(&mut world, stock);
    seen(world.provider(Verb::Create, &machine_at("htz", 2)));
}

#[test]
fn an_account_has_its_own_quota() {
    let account = Account {
        name: "lab".into(),
        kind: ProviderKind::Libvirt,
        quota: Some(2),
        containers: false,
    };
    let mut world = World {
        cloud: Cloud::new(Seed(1), [account]),
        ..world(1)
    };
    for nth in 1..=2 {
        seen(world.provider(Verb::Create, &machine_at("lab", nth)));
    }
    let third = machine_at("lab", 3);
    assert_eq!(
        class(world.provider(Verb::Create, &third)),
        FaultClass::Quota
    );
    world
        .provider(Verb::Delete, &machine_at("lab", 1))
        .expect("accepted");
    world.pass(Span::from_secs(20));
    seen(world.provider(Verb::Create, &third));
}

#[test]
fn builds_can_be_slow_or_fail() {
    let up_after = |factor: Option<f64>| {
        let mut world = world(9);
        if let Some(factor) = factor {
            inject(&mut world, Scope::provider("lab"), Trouble::Slow { factor });
        }
        seen(world.provider(Verb::Create, &machine_at("lab", 1)));
        world.pass(Span::from_secs(400));
        let told = world.sky.changes.first().expect("it came up");
        told.0.since(Time::ZERO).as_secs()
    };
    let (usual, slow) = (up_after(None), up_after(Some(20.0)));
    assert!(slow > usual + 25, "{usual} s became {slow} s");

    let mut world = world(9);
    let fails = Trouble::FailedBuilds { rate: 1.0 };
    let trouble = inject(&mut world, Scope::provider("lab"), fails);
    let machine = machine_at("lab", 1);
    seen(world.provider(Verb::Create, &machine));
    lift(&mut world, trouble);
    world.pass(Span::from_secs(60));
    assert_eq!(
        state(world.provider(Verb::Describe, &machine)),
        MachineState::Error
    );
    assert!(!world.is_up(&machine));
}

#[test]
fn a_dead_caller_hears_nothing_and_its_requests_are_carried_out() {
    let mut world = world(10);
    let network = network_at("htz");
    world.put(call("htz", Verb::Create, &network), Span::from_secs(60));
    world.cloud.forget_callers();
    world.pass(Span::from_secs(60));
    assert!(world.sky.answers.is_empty());
    assert_eq!(world.count(&network), 1);
    assert_eq!(world.cloud.under_way(), 0);
}
