//! A real run can be replayed: the same decisions in the same order, or the first difference.

use super::world::{Fate, live, run, tempdir, world};
use quorate_engine::engine::Mode;
use quorate_engine::resource::Kind;
use quorate_engine::seam::{FaultClass, Verb};
use quorate_live::{Replayed, Signal, Store, Verdict, replay};
use rusqlite::Connection;
use std::path::Path;
use tokio::sync::mpsc::unbounded_channel;

fn replayed(dir: &Path) -> Replayed {
    replay(&Store::view(dir).unwrap()).unwrap()
}

/// Faults, a cancelled run, a machine that is lost, the end of everything.
fn eventful(dir: &Path) {
    let world = world(|call, nth| match (call.kind, call.verb, nth) {
        (Kind::Machine, Verb::Create, 1) => Fate::DoneAndLost,
        (Kind::Host, Verb::Create, 1) => Fate::Fault(FaultClass::Busy),
        (Kind::Peer, Verb::Create, 1) => Fate::Fault(FaultClass::Unknown),
        _ => Fate::Fine,
    });
    let (sender, signals) = unbounded_channel();
    sender.send(Signal::Terminate).unwrap();
    live(dir, &world, Mode::Apply, |_, _| {}, Some(signals))
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        .unwrap();
    run(dir, &world, Mode::Apply).unwrap();
    world.lock().unwrap().lose("shop/right/1");
    run(dir, &world, Mode::Apply).unwrap();
    run(dir, &world, Mode::Destroy).unwrap();
}

#[test]
fn every_run_is_decided_again_as_it_was() {
    let dir = tempdir().unwrap();
    eventful(dir.path());
    let replayed = replayed(dir.path());
    assert_eq!(replayed.verdict, Verdict::Same);
    assert_eq!(replayed.runs, 4);
    assert!(replayed.events > 100, "{} events", replayed.events);
    let told = replayed.lines.join("\n");
    let parts = [
        "\"cancel\"",
        "no answer in time",
        "create shop/right/1 on b",
        "\"entry\":\"destroyed\"",
        "done \"Converged\"",
        "done \"Cancelled\"",
    ];
    for part in parts {
        assert!(told.contains(part), "{part} in {told}");
    }
}

/// Replays after a change of the file by hand; the tables, not the journal's own checksums.
fn tampered(dir: &Path, sql: &str) -> quorate_live::Difference {
    let file = dir.join("state.db");
    let before = std::fs::read(&file).unwrap();
    let changed = Connection::open(&file).unwrap().execute(sql, []).unwrap();
    assert_eq!(changed, 1, "{sql}");
    let verdict = replayed(dir).verdict;
    std::fs::write(&file, before).unwrap();
    match verdict {
        Verdict::Different(difference) => *difference,
        Verdict::Same => panic!("unnoticed: {sql}"),
    }
}

#[test]
fn whatever_is_changed_in_a_trace_is_a_difference_with_both_sides() {
    let dir = tempdir().unwrap();
    eventful(dir.path());
    let first = |like: &str| {
        format!("rowid_of = (SELECT run * 1000000 + min(seq) FROM trace WHERE run = 2 AND {like})")
            .replace("rowid_of", "run * 1000000 + seq")
    };
    let host = first("event LIKE '%busy%'");
    let another = tampered(
        dir.path(),
        &format!("UPDATE trace SET event = replace(event, 'busy', 'quota') WHERE {host}"),
    );
    assert!(
        another.recorded != another.replayed && another.run == 2,
        "{another}"
    );
    assert!(another.to_string().contains("quota"), "{another}");
    assert!(
        another.recorded.contains("busy") && another.replayed.contains("quota"),
        "{another}"
    );

    // A change that alters no decision.
    let words = tampered(
        dir.path(),
        &format!("UPDATE trace SET event = replace(event, 'says so', 'says no') WHERE {host}"),
    );
    assert!(words.recorded != words.replayed, "{words}");

    let answer = first("event LIKE '%\"Seen\"%'");
    let list = "json_set(event, '$.answer.outcome', json('{\"Ok\":{\"List\":[]}}'))";
    let wrong = tampered(
        dir.path(),
        &format!("UPDATE trace SET event = {list} WHERE {answer}"),
    );
    assert!(
        wrong.replayed.contains("panic") && wrong.replayed.contains("List"),
        "an assertion of the engine: {wrong}"
    );

    let effect = first("effects LIKE '%call 1 %'");
    let call = tampered(
        dir.path(),
        &format!(
            "UPDATE trace SET effects = replace(effects, 'call 1 ', 'call 9 ') WHERE {effect}"
        ),
    );
    assert!(call.recorded.starts_with("call 9 "), "{call}");
    assert!(call.replayed.starts_with("call 1 "), "{call}");

    let missing = tampered(dir.path(), &format!("DELETE FROM trace WHERE {host}"));
    assert!(missing.recorded.starts_with("event "), "{missing}");
    let early = tampered(dir.path(), &format!("UPDATE trace SET at = 1 WHERE {host}"));
    assert!(early.replayed.contains("never goes back"), "{early}");
    let task = "UPDATE runs SET task = replace(task, '\"seed\":11', '\"seed\":12') WHERE id = 2";
    let seed = tampered(dir.path(), task);
    assert_eq!(seed.run, 2);
    assert_eq!(
        replayed(dir.path()).verdict,
        Verdict::Same,
        "all was put back"
    );
}
