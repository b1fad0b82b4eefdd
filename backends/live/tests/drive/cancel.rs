//! Stopping: in order at first, at once when asked again.

use super::world::{Fate, Shared, assert_complete, live, run, tempdir, world};
use quorate_engine::engine::Mode;
use quorate_engine::journal::{Entry, Ledger};
use quorate_engine::seam::{Ending, Verb};
use quorate_live::{DriveError, News, Signal, Store, process_signals};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tokio::sync::mpsc::unbounded_channel;

/// Asks to stop so many times when the first machine is being made.
fn stopped(dir: &Path, world: &Shared, times: u32) -> Result<Ending, DriveError> {
    let (sender, signals) = unbounded_channel();
    let mut sent = false;
    let observe = |_, news: News<'_>| {
        if let News::Called(flight) = news
            && flight.title() == "create shop/left/1"
            && !std::mem::replace(&mut sent, true)
        {
            for _ in 0..times {
                sender.send(Signal::Interrupt).unwrap();
            }
        }
    };
    let ended = live(dir, world, Mode::Apply, observe, Some(signals));
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[test]
fn asked_once_nothing_more_begins_and_what_runs_ends() {
    let dir = tempdir().unwrap();
    let world = world(|_, _| Fate::Fine);
    assert_eq!(stopped(dir.path(), &world, 1).unwrap(), Ending::Cancelled);
    {
        let world = world.lock().unwrap();
        let hosts = |call: &quorate_engine::seam::Call| call.target.as_str().ends_with("/host");
        assert!(
            !world.calls.iter().any(|(_, call)| hosts(call)),
            "it began nothing more"
        );
        assert_eq!(world.dropped, 0, "it waited for every answer");
    }
    let journal = Store::view(dir.path()).unwrap().journal().unwrap();
    assert!(matches!(journal.last(), Some(Entry::RunEnded { skipped, .. }) if *skipped > 0));
    assert!(
        Ledger::replay(&journal).in_flight.is_empty(),
        "every answer is recorded"
    );
    assert_eq!(
        run(dir.path(), &world, Mode::Apply).unwrap(),
        Ending::Converged
    );
    assert_complete(&world);
}

#[test]
fn asked_twice_it_stops_at_once_and_the_next_run_adopts() {
    let dir = tempdir().unwrap();
    let world = world(|call, nth| match (call.verb, nth) {
        (Verb::Create, 1) if call.target.as_str() == "shop/left/1" => Fate::DoneAndLost,
        _ => Fate::Fine,
    });
    let error = stopped(dir.path(), &world, 2).unwrap_err();
    let DriveError::Stopped { in_flight } = &error else {
        panic!("it was stopped: {error}");
    };
    assert!(
        in_flight.contains(&"create shop/left/1".to_owned()),
        "{error}"
    );
    assert!(error.to_string().contains("run it again"), "{error}");
    let journal = Store::view(dir.path()).unwrap().journal().unwrap();
    assert!(
        !Ledger::replay(&journal).in_flight.is_empty(),
        "it is in doubt"
    );
    assert_eq!(
        run(dir.path(), &world, Mode::Apply).unwrap(),
        Ending::Converged
    );
    assert_complete(&world);
}

#[tokio::test]
async fn the_requests_of_the_system_arrive() {
    let mut signals = process_signals().unwrap();
    let own = std::process::id().to_string();
    for (name, expected) in [("INT", Signal::Interrupt), ("TERM", Signal::Terminate)] {
        let sent = Command::new("kill").args(["-s", name, &own]).status();
        assert!(sent.unwrap().success());
        let wait = tokio::time::timeout(Duration::from_secs(10), signals.recv());
        assert_eq!(wait.await.unwrap(), Some(expected));
    }
}
