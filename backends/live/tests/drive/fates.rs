//! Faults of the world, and what the driver makes of them.

use super::world::{Fate, assert_complete, live, looks, ports, run, task, tempdir, world};
use quorate_engine::engine::Mode;
use quorate_engine::resource::Kind;
use quorate_engine::seam::{Ending, FaultClass, Verb};
use quorate_live::{DriveError, News, PinSource, Quiet, Store, drive};
use std::time::Duration;

#[test]
fn what_is_wanted_is_made_once_and_nothing_is_left_in_the_end() {
    let dir = tempdir().unwrap();
    let world = world(|_, _| Fate::Fine);
    world.lock().unwrap().announced = Some(dir.path().join("state.db"));
    assert_eq!(
        run(dir.path(), &world, Mode::Apply).unwrap(),
        Ending::Converged
    );
    assert_complete(&world);
    let calls = world.lock().unwrap().calls.len();
    assert_eq!(
        run(dir.path(), &world, Mode::Apply).unwrap(),
        Ending::Converged
    );
    assert_complete(&world);
    let again: Vec<_> = world.lock().unwrap().calls.split_off(calls);
    assert!(!again.is_empty(), "it looked");
    assert!(
        again.iter().all(|(_, call)| !call.verb.mutates()),
        "and only looked"
    );
    {
        let store = Store::view(dir.path()).unwrap();
        let inventory = store.inventory().unwrap();
        assert_eq!(inventory.len(), 4);
        for (id, machine) in &inventory {
            let pin = machine.pin.as_ref().expect("a host key was delivered");
            assert_eq!(pin.source, PinSource::Provider);
            assert!(
                machine.public.is_some() && machine.private.is_some(),
                "{id}"
            );
            assert!(machine.mesh_key.is_some(), "{id} has answered");
        }
        let runs = store.runs().unwrap();
        let ended: Vec<_> = runs.iter().map(|run| run.ending.as_deref()).collect();
        assert_eq!(ended, [Some("\"Converged\""); 2]);
    }
    assert_eq!(
        run(dir.path(), &world, Mode::Destroy).unwrap(),
        Ending::Converged
    );
    assert!(world.lock().unwrap().copies().is_empty(), "nothing is left");
    let store = Store::view(dir.path()).unwrap();
    assert!(store.inventory().unwrap().is_empty(), "nor remembered");
}

#[test]
fn a_world_of_faults_is_still_brought_to_its_end() {
    let fates = |call: &quorate_engine::seam::Call, nth: u32| match (call.kind, call.verb, nth) {
        (Kind::Network, Verb::Create, 1) => Fate::DoneAndLost,
        (Kind::Firewall, Verb::Create, 1) => Fate::Hangs,
        (Kind::Machine, Verb::Create, 1) => Fate::Fault(FaultClass::Retryable),
        (Kind::Machine, Verb::Create, 2) => Fate::DoneAndLost,
        (Kind::Host, Verb::Create, 1 | 2) => Fate::Fault(FaultClass::Busy),
        (Kind::Host, Verb::Create, 3) => Fate::DoneAndLost,
        (Kind::Peer, Verb::Create, 1) => Fate::Hangs,
        (_, Verb::List, 1) => Fate::Fault(FaultClass::Retryable),
        _ => Fate::Fine,
    };
    let dir = tempdir().unwrap();
    let world = world(fates);
    let mut unknown = 0;
    let mut oldest = Duration::ZERO;
    let observe = |_, news: News<'_>| match news {
        News::Answered(flight, Err(fault)) if fault.class == FaultClass::Unknown => {
            assert_eq!(fault.detail, "no answer in time");
            oldest = oldest.max(Duration::from_nanos(flight.deadline.since(flight.since).0));
            unknown += 1;
        }
        _ => {}
    };
    let ending = live(dir.path(), &world, Mode::Apply, observe, None).unwrap();
    assert_eq!(ending.unwrap(), Ending::Converged);
    assert_complete(&world);
    assert_eq!(unknown, 2 + 2 + 4 + 4 + 4, "each at its deadline");
    assert!(
        oldest >= Duration::from_secs(60),
        "and not before: {oldest:?}"
    );
    let dropped = world.lock().unwrap().dropped;
    assert_eq!(dropped, unknown, "what is given up is dropped");
}

#[test]
fn a_branch_that_fails_for_good_is_named_and_the_others_are_done() {
    let dir = tempdir().unwrap();
    let world = world(|call, _| match (call.target.as_str(), call.verb) {
        ("shop/right/2", Verb::Create) => Fate::Fault(FaultClass::Quota),
        _ => Fate::Fine,
    });
    let Ending::Incomplete(undone) = run(dir.path(), &world, Mode::Apply).unwrap() else {
        panic!("one machine is not to be had");
    };
    let titles: Vec<_> = undone.iter().map(|(title, _)| title.as_str()).collect();
    assert_eq!(titles, ["create shop/right/2"]);
    let world = world.lock().unwrap();
    assert_eq!(world.copies().len(), 7);
    assert_eq!(world.installed(), 9, "three machines are whole");
}

#[test]
fn a_port_that_panics_stops_the_run_and_the_next_one_goes_on() {
    let dir = tempdir().unwrap();
    let world = world(|call, nth| match (call.target.as_str(), call.verb, nth) {
        ("shop/left/2/host", Verb::Create, 1) => Fate::Panics,
        _ => Fate::Fine,
    });
    let panic = live(dir.path(), &world, Mode::Apply, |_, _| {}, None).unwrap_err();
    let text = panic.downcast_ref::<String>().expect("a text");
    assert_eq!(text, "a bug over create shop/left/2/host");
    {
        let store = Store::view(dir.path()).unwrap();
        let ending = store.runs().unwrap()[0].ending.clone().unwrap();
        assert_eq!(
            ending,
            "our bug: the port panicked over `create shop/left/2/host`"
        );
    }
    assert_eq!(
        run(dir.path(), &world, Mode::Apply).unwrap(),
        Ending::Converged
    );
    assert_complete(&world);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_talk_to_is_said_before_anything_is_made() {
    let dir = tempdir().unwrap();
    let world = world(|_, _| panic!("nothing is asked"));
    let mut store = Store::open(dir.path(), "shop", "quorate test").unwrap();
    let serial = store.serial();
    let mut ports = ports(&world);
    ports.providers.remove("b");
    let mut signals = tokio::sync::mpsc::unbounded_channel().1;
    let task = task(super::world::manifest(), Mode::Apply);
    let ended = drive(task, &mut store, &ports, &mut Quiet, &mut signals).await;
    let error = ended.unwrap_err();
    assert!(matches!(error, DriveError::NoPort { .. }), "{error}");
    assert!(error.to_string().contains("talk to b"), "{error}");
    assert_eq!(store.serial(), serial);
}

#[test]
fn what_cannot_be_recorded_is_not_done() {
    let dir = tempdir().unwrap();
    let world = world(|_, _| Fate::Fine);
    let mut announced = 0;
    // Somebody forces the lock open while the run is under way.
    let observe = |_, news: News<'_>| {
        if let News::Recorded(_) = news {
            announced += 1;
            if announced == 9 {
                quorate_live::unlock(dir.path(), true).unwrap();
            }
        }
    };
    let ended = live(dir.path(), &world, Mode::Apply, observe, None).unwrap();
    let error = ended.unwrap_err();
    assert!(matches!(error, DriveError::Store(_)), "{error}");
    assert!(error.to_string().contains("taken over"), "{error}");
    let journal = Store::view(dir.path()).unwrap().journal().unwrap();
    let started = |entry: &&quorate_engine::journal::Entry| {
        matches!(entry, quorate_engine::journal::Entry::Started { .. })
    };
    let announced = journal.iter().filter(started).count();
    let calls = &world.lock().unwrap().calls;
    let made = calls.iter().filter(|(_, call)| call.verb.mutates()).count();
    assert!(made <= announced, "{made} calls, {announced} announced");
}

#[test]
fn a_look_sees_the_world_and_leaves_no_trace() {
    let dir = tempdir().unwrap();
    let world = world(|_, _| Fate::Fine);
    run(dir.path(), &world, Mode::Apply).unwrap();
    world.lock().unwrap().lose("shop/right/1");
    let file = dir.path().join("state.db");
    let before = std::fs::read(&file).unwrap();
    // Somebody else has it meanwhile.
    let _other = Store::open(dir.path(), "shop", "quorate apply").unwrap();
    let journal = Store::view(dir.path()).unwrap().journal().unwrap();
    let ended = looks(&world, &journal);
    assert_eq!(ended.ending, Ending::Converged);
    let preview = ended.engine.preview(Mode::Apply).unwrap();
    let titles: Vec<_> = preview.plan.steps.iter().map(|step| step.title()).collect();
    assert!(
        titles.contains(&"create shop/right/1".to_owned()),
        "{titles:?}"
    );
    assert!(std::fs::read(&file).unwrap() == before);
}

#[test]
fn the_work_may_move_between_threads() {
    fn moves<T: Send>(_: T) {}
    let dir = tempdir().unwrap();
    let world = world(|_, _| Fate::Fine);
    let mut store = Store::open(dir.path(), "shop", "quorate test").unwrap();
    let mut signals = tokio::sync::mpsc::unbounded_channel().1;
    let (ports, task) = (ports(&world), task(super::world::manifest(), Mode::Apply));
    moves(drive(task, &mut store, &ports, &mut Quiet, &mut signals));
}
