//! The driver killed at every point that matters, and started again from its state alone.

use super::world::{Fate, Shared, assert_complete, live, tempdir, world};
use quorate_engine::engine::Mode;
use quorate_engine::journal::Ledger;
use quorate_engine::seam::{Call, Ending, FaultClass, Verb};
use quorate_live::{News, Store, Verdict, replay};
use std::path::Path;

/// Where the driver dies.
#[derive(Debug, Clone, Copy)]
enum Point {
    /// An entry is durable, and nothing after it has happened.
    Recorded,
    /// A call is announced; those before it are under way.
    Called,
    /// A call was answered, which is not recorded yet.
    Answered,
}

/// What kills it.
struct Kill;

fn is_at(point: Point, news: News<'_>) -> bool {
    match (point, news) {
        (Point::Recorded, News::Recorded(_)) | (Point::Called, News::Called(_)) => true,
        (Point::Answered, News::Answered(flight, _)) => flight.call.verb.mutates(),
        _ => false,
    }
}

/// Lives, dying at every `every`th point, until it ends by itself: how often it died.
fn ends(dir: &Path, world: &Shared, mode: Mode, point: Point, every: u32) -> u32 {
    for deaths in 0..400 {
        let mut seen = 0;
        // In a life that dies early nothing may come about: each lives a little longer.
        let until = every + deaths / 4;
        let observe = |_, news: News<'_>| {
            seen += u32::from(is_at(point, news));
            if seen == until {
                std::panic::resume_unwind(Box::new(Kill));
            }
        };
        match live(dir, world, mode, observe, None) {
            Ok(ended) => {
                assert_eq!(ended.unwrap(), Ending::Converged);
                return deaths;
            }
            Err(panic) => assert!(panic.is::<Kill>(), "it died of something else"),
        }
    }
    panic!("it comes to no end");
}

fn assert_nothing_left(dir: &Path, world: &Shared) {
    let left = world.lock().unwrap().copies();
    assert!(left.is_empty(), "orphans: {left:?}");
    let ledger = Ledger::replay(&Store::view(dir).unwrap().journal().unwrap());
    assert!(ledger.in_flight.is_empty() && ledger.made.is_empty());
}

fn assert_replays(dir: &Path) {
    let replayed = replay(&Store::view(dir).unwrap()).unwrap();
    assert_eq!(replayed.verdict, Verdict::Same);
    assert!(replayed.runs > 1);
}

#[test]
fn killed_anywhere_it_makes_everything_once_and_removes_everything() {
    let mut deaths = 0;
    for (point, steps) in [
        (Point::Recorded, [1, 3, 7]),
        (Point::Called, [2, 5, 11]),
        (Point::Answered, [1, 2, 5]),
    ] {
        for every in steps {
            let dir = tempdir().unwrap();
            let world = world(|_, _| Fate::Fine);
            deaths += ends(dir.path(), &world, Mode::Apply, point, every);
            assert_complete(&world);
            deaths += ends(dir.path(), &world, Mode::Destroy, point, every);
            assert_nothing_left(dir.path(), &world);
            assert_replays(dir.path());
        }
    }
    assert!(deaths > 100, "it died {deaths} times");
}

#[test]
fn killed_in_a_world_of_faults_it_makes_everything_once_and_removes_everything() {
    // By target and try, so that a repetition may fare otherwise.
    let fates = |call: &Call, nth: u32| {
        let luck = call.target.number().wrapping_add(u64::from(nth) * 7) % 11;
        match (luck, call.verb.mutates()) {
            (0, true) => Fate::DoneAndLost,
            (1, true) => Fate::Hangs,
            (2, _) => Fate::Fault(FaultClass::Retryable),
            (3, true) if call.verb != Verb::Delete => Fate::Fault(FaultClass::Busy),
            _ => Fate::Fine,
        }
    };
    for (point, every) in [
        (Point::Recorded, 3),
        (Point::Recorded, 7),
        (Point::Called, 6),
        (Point::Answered, 2),
    ] {
        let dir = tempdir().unwrap();
        let world = world(fates);
        let mut deaths = ends(dir.path(), &world, Mode::Apply, point, every);
        assert_complete(&world);
        deaths += ends(dir.path(), &world, Mode::Destroy, point, every);
        assert_nothing_left(dir.path(), &world);
        assert_replays(dir.path());
        assert!(deaths > 0, "{point:?} {every}");
    }
}
