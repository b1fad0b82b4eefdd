//! Machines over ssh, and the hands that faults have on them.

use super::*;
use quorate_engine::resource::Kind;
use quorate_engine::seam::HostView;

fn view(outcome: Outcome) -> Vec<Kind> {
    match outcome {
        Ok(Reply::Host(HostView { installed, .. })) => installed.iter().map(|(k, _)| *k).collect(),
        other => panic!("expected a view, got {other:?}"),
    }
}

fn own(world: &mut World) -> Arc<Resource> {
    let host = own_host(1, "192.0.2.1");
    world.cloud.place(&mut world.sky, &host);
    host
}

fn last(world: &World) -> &Change {
    &world.sky.changes.last().expect("something changed").1
}

#[test]
fn things_are_put_on_a_machine_in_their_time_and_order() {
    let mut world = world(1);
    let host = own(&mut world);
    let steps = [
        (os(&host), 20..130),
        (peer(&host), 1..6),
        (links(&host), 0..3),
        (proxy(&host), 0..3),
        (worker(&host), 8..24),
        (balancer(&host, "edge"), 4..12),
        (balancer(&host, "api"), 4..12),
    ];
    for (resource, _) in &steps[1..5] {
        let outcome = world.host(Verb::Create, resource);
        assert_eq!(
            class(outcome),
            FaultClass::NotFound,
            "{} comes too soon",
            resource.id
        );
    }
    for (resource, expected) in &steps {
        let before = world.sky.now();
        let answer = world.host(Verb::Create, resource);
        assert!(answer.is_ok(), "{}: {answer:?}", resource.id);
        let took = world.sky.now().since(before).as_secs();
        assert!(expected.contains(&took), "{}: {took} s", resource.id);
        let told = matches!(last(&world), Change::Installed { resource: r, .. } if r == resource);
        assert!(told, "the world knows of {}", resource.id);
    }
    let all = [
        Kind::Host,
        Kind::Peer,
        Kind::Links,
        Kind::Worker,
        Kind::Balancer,
        Kind::Balancer,
        Kind::ApiProxy,
    ];
    assert_eq!(view(world.host(Verb::Probe, &host)), all);
    assert_eq!(world.cloud.installed(&host.id).count(), 7);

    let changes = world.sky.changes.len();
    let before = world.sky.now();
    assert_eq!(world.host(Verb::Create, &steps[0].0), Ok(Reply::Done));
    assert!(
        world.sky.now().since(before) < Span::from_secs(3),
        "nothing was to be done"
    );
    assert_eq!(world.sky.changes.len(), changes);
    assert_eq!(world.host(Verb::Delete, &worker(&host)), Ok(Reply::Done));
    let gone = matches!(
        last(&world),
        Change::Uninstalled {
            kind: Kind::Worker,
            ..
        }
    );
    assert!(gone, "the world knows that the worker is gone");
    assert_eq!(world.host(Verb::Delete, &worker(&host)), Ok(Reply::Done));
}

#[test]
fn new_addresses_are_told_again() {
    let mut world = world(2);
    let host = own(&mut world);
    world.host(Verb::Create, &os(&host)).expect("prepared");
    let (peer, friend) = (peer(&host), ResourceId::new("shop/other/1"));
    for address in [[192, 0, 2, 9], [192, 0, 2, 10]] {
        let mut call = call("hosts", Verb::Update, &peer);
        call.addresses = vec![(friend.clone(), address.into())];
        let before = world.sky.now();
        world.ask(call.clone()).expect("done");
        assert!(
            world.sky.now().since(before) > Span::from_ms(1_500),
            "it is work"
        );
        let expected = Change::Installed {
            machine: host.id.clone(),
            resource: Arc::clone(&peer),
            addresses: call.addresses,
        };
        assert_eq!(*last(&world), expected);
    }
}

#[test]
fn ssh_needs_a_path_and_a_booted_machine_at_that_address() {
    let mut world = world(3);
    world.network("htz");
    let machine = machine_at("htz", 1);
    let probe = |world: &mut World| world.host(Verb::Probe, &machine_at("htz", 1));
    assert_eq!(class(probe(&mut world)), FaultClass::Retryable);
    seen(world.provider(Verb::Create, &machine));
    let before = world.sky.now();
    assert_eq!(class(probe(&mut world)), FaultClass::Retryable);
    assert_eq!(world.sky.now().since(before).as_secs(), 10);
    world.pass(Span::from_secs(120));
    assert_eq!(view(probe(&mut world)), []);
    world.sky.dark.insert(machine.id.clone());
    assert_eq!(class(probe(&mut world)), FaultClass::Retryable);
    world.sky.dark.clear();
    let mut stale = call("hosts", Verb::Probe, &machine);
    stale.addresses = vec![(machine.id.clone(), [192, 0, 2, 99].into())];
    assert_eq!(class(world.ask(stale)), FaultClass::Retryable);
}

#[test]
fn a_join_that_the_cluster_refuses_leaves_nothing() {
    let mut world = world(4);
    let host = own(&mut world);
    for resource in [os(&host), peer(&host), links(&host), proxy(&host)] {
        world.host(Verb::Create, &resource).expect("done");
    }
    world.sky.refused = true;
    assert_eq!(
        class(world.host(Verb::Create, &worker(&host))),
        FaultClass::Retryable
    );
    assert_eq!(
        view(world.host(Verb::Probe, &host)),
        [Kind::Host, Kind::Peer, Kind::Links, Kind::ApiProxy]
    );
}

#[test]
fn one_works_at_a_time_and_goes_on_without_its_caller() {
    let mut world = world(5);
    let host = own(&mut world);
    world.put(
        call("hosts", Verb::Create, &os(&host)),
        Span::from_secs(600),
    );
    world.pass(Span::from_secs(2));
    world.cloud.forget_callers();
    assert_eq!(
        class(world.host(Verb::Create, &os(&host))),
        FaultClass::Busy
    );
    world.pass(Span::from_secs(200));
    assert_eq!(view(world.host(Verb::Probe, &host)), [Kind::Host]);
}

type Blow = fn(&mut Cloud, &mut Sky, &ResourceId) -> bool;

/// Four ways to lose a machine, and whether its disk is kept.
const BLOWS: [(&str, Blow, bool); 4] = [
    ("kill", |c, s, id| c.kill(s, id), true),
    ("stop", |c, s, id| c.stop(s, id), true),
    ("reboot", |c, s, id| c.reboot(s, id), true),
    ("destroy", |c, s, id| c.destroy(s, id), false),
];

#[test]
fn a_machine_that_goes_takes_the_answer_with_it() {
    for (name, blow, keeps_disk) in BLOWS {
        let mut world = world(6);
        let machine = world.up("lab", 1);
        let plane = plane(&machine);
        world.cloud.mark_installed(&machine.id, Arc::clone(&plane));
        let id = world.put(
            call("hosts", Verb::Create, &os(&machine)),
            Span::from_secs(600),
        );
        world.pass(Span::from_secs(1));
        assert!(
            blow(&mut world.cloud, &mut world.sky, &machine.id),
            "{name}"
        );
        world.pass(Span::from_secs(200));
        assert!(!world.sky.answers.contains_key(&id), "{name}: no answer");
        let on_disk: Vec<_> = world.cloud.installed(&machine.id).cloned().collect();
        assert_eq!(on_disk.contains(&plane), keeps_disk, "{name}");
        assert!(
            !on_disk.contains(&os(&machine)),
            "{name}: half done is not done"
        );
        assert_eq!(world.is_up(&machine), name == "reboot", "{name}");
        if keeps_disk {
            world.cloud.start(&mut world.sky, &machine.id);
            world.pass(Span::from_secs(60));
            assert_eq!(
                world.host(Verb::Create, &os(&machine)),
                Ok(Reply::Done),
                "{name}"
            );
        }
    }
}

#[test]
fn a_machine_that_goes_during_login_was_not_worked_on() {
    for (name, blow, _) in BLOWS {
        let mut world = world(6);
        let machine = world.up("lab", 1);
        let id = world.put(
            call("hosts", Verb::Create, &os(&machine)),
            Span::from_secs(600),
        );
        assert!(
            blow(&mut world.cloud, &mut world.sky, &machine.id),
            "{name}"
        );
        world.pass(Span::from_secs(100));
        let outcome = world.sky.answers[&id].1.clone();
        assert_eq!(class(outcome), FaultClass::Retryable, "{name}");
    }
}

#[test]
fn power_is_told_to_the_world_and_shown_by_the_api() {
    let mut world = world(7);
    let machine = world.up("lab", 1);
    let id = &machine.id;
    let World { cloud, sky, .. } = &mut world;
    assert!(!cloud.start(sky, id) && !cloud.resume(sky, id), "it runs");
    assert!(cloud.pause(sky, id) && !cloud.pause(sky, id));
    assert_eq!(
        class(world.host(Verb::Probe, &machine)),
        FaultClass::Retryable
    );
    assert_eq!(
        state(world.provider(Verb::Describe, &machine)),
        MachineState::Running
    );
    let World { cloud, sky, .. } = &mut world;
    assert!(cloud.resume(sky, id));
    assert!(cloud.kill(sky, id) && !cloud.stop(sky, id));
    let running = MachineState::Running;
    assert_eq!(
        state(world.provider(Verb::Describe, &machine)),
        running,
        "it knows not"
    );
    let World { cloud, sky, .. } = &mut world;
    assert!(cloud.start(sky, id) && !cloud.start(sky, id));
    assert!(cloud.stop(sky, id) && !cloud.kill(sky, id));
    world.cloud.start(&mut world.sky, id);
    world.pass(Span::from_secs(60));
    let World { cloud, sky, .. } = &mut world;
    assert!(cloud.stop(sky, id));
    assert_eq!(
        *last(&world),
        Change::MachineDown {
            machine: id.clone(),
            hard: false
        }
    );
    assert_eq!(
        state(world.provider(Verb::Describe, &machine)),
        MachineState::Stopped
    );
    assert_eq!(world.provider(Verb::Update, &machine), Ok(Reply::Done));
    world.pass(Span::from_secs(60));
    assert!(world.is_up(&machine), "an update switches it on");
    let ups = world.sky.changes.iter();
    let ups = ups.filter(|(_, change)| matches!(change, Change::MachineUp { .. }));
    assert_eq!(ups.count(), 3);
}

#[test]
fn paused_work_ends_after_the_pause() {
    let mut world = world(8);
    let host = own(&mut world);
    let id = world.put(
        call("hosts", Verb::Create, &os(&host)),
        Span::from_secs(600),
    );
    world.pass(Span::from_secs(2));
    assert!(world.cloud.pause(&mut world.sky, &host.id));
    world.pass(Span::from_secs(300));
    assert!(!world.sky.answers.contains_key(&id));
    assert!(world.cloud.resume(&mut world.sky, &host.id));
    world.pass(Span::from_secs(5));
    assert_eq!(world.sky.answers[&id].1, Ok(Reply::Done));
}

#[test]
fn spot_machines_are_taken_back_after_their_notice() {
    let mut world = world(9);
    let plain = world.up("gcp", 1);
    assert!(
        !world.cloud.reclaim(&mut world.sky, &plain.id),
        "it was not a spot machine"
    );
    let mut spot = (*machine_at("gcp", 2)).clone();
    if let Spec::Machine { spot, .. } = &mut spot.spec {
        *spot = true;
    }
    let spot = Arc::new(spot);
    world.cloud.place(&mut world.sky, &spot);
    assert!(world.cloud.reclaim(&mut world.sky, &spot.id));
    world.pass(Span::from_secs(29));
    assert!(world.is_up(&spot));
    world.pass(Span::from_secs(2));
    let machine = spot.id.clone();
    assert_eq!(*last(&world), Change::MachineGone { machine });
    assert_eq!(world.provider(Verb::Describe, &spot), Ok(Reply::Absent));
}

#[test]
fn what_the_cluster_installs_is_marked() {
    let mut world = world(10);
    let host = own(&mut world);
    let plane = plane(&host);
    assert_eq!(class(world.host(Verb::Create, &plane)), FaultClass::Invalid);
    assert!(world.cloud.mark_installed(&host.id, Arc::clone(&plane)));
    assert_eq!(view(world.host(Verb::Probe, &host)), [Kind::ControlPlane]);
    assert!(world.cloud.unmark_installed(&host.id, &plane.id));
    assert!(!world.cloud.unmark_installed(&host.id, &plane.id));
    let nobody = ResourceId::new("shop/nobody/1");
    assert!(!world.cloud.mark_installed(&nobody, plane));
}
