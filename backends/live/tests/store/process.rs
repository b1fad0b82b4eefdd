//! Processes that are killed while they write.

use super::{founded, open};
use quorate_engine::journal::Entry;
use quorate_engine::resource::ResourceId;
use quorate_live::{LockError, StoreError};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What a child process does: takes the state and appends, a line of output for each entry that
/// is durable, until it is killed.
#[test]
fn a_process_that_appends() {
    let Ok(dir) = std::env::var("QLIVE_APPENDS") else {
        // Run by itself there is nobody to kill it: the tests below are its parents.
        return;
    };
    let mut store = open(Path::new(&dir)).unwrap();
    if store.journal().unwrap().is_empty() {
        store.append(&founded()).unwrap();
    }
    for number in store.journal().unwrap().len().. {
        let machine = ResourceId::new(format!("shop/w/{number}"));
        let address = "10.88.0.1".parse().unwrap();
        store
            .append(&[Entry::Allocated { machine, address }])
            .unwrap();
        println!("durable {}", number + 1);
    }
}

fn child(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["process::a_process_that_appends", "--exact", "--nocapture"])
        .env("QLIVE_APPENDS", dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_killed_process_holds_no_lock_and_loses_nothing_that_was_durable() {
    let dir = tempfile::tempdir().unwrap();
    let mut durable = 0;
    for round in 0..12u64 {
        let mut child = child(dir.path());
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut heard = 0u64;
        for line in output.lines() {
            let line = line.unwrap();
            let Some(number) = line.strip_prefix("durable ") else {
                continue;
            };
            durable = number.parse().unwrap();
            heard += 1;
            if heard == 1 {
                let Err(StoreError::Lock(LockError::Held { holder, .. })) = open(dir.path()) else {
                    panic!("a living process holds it");
                };
                assert_eq!(holder.unwrap().pid, child.id());
            }
            if heard == 1 + round * 2 {
                // Somewhere in the middle of the next one.
                std::thread::sleep(std::time::Duration::from_micros(round * 137));
                child.kill().unwrap();
            }
        }
        assert!(!child.wait().unwrap().success(), "it was killed");
        let store = open(dir.path()).expect("the lock went with it, and the file is whole");
        let there = store.journal().unwrap().len();
        assert!(there >= durable, "{there} of {durable}");
        durable = there;
    }
    assert!(durable > 50);
}
