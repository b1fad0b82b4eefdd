//! What is written is there, for its owner, for one process at a time.

use super::damage::sql;
use super::{filled, founded, mode, open};
use quorate_engine::journal::{Entry, Ledger};
use quorate_engine::mesh::{MeshKey, PeerFact};
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{Fault, FaultClass, Verb};
use quorate_engine::time::Span;
use quorate_live::{LockError, Store, StoreError, unlock};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn what_was_appended_is_there_and_only_for_its_owner() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("deep").join("shop");
    let file = filled(&dir);
    assert_eq!(mode(&dir), 0o700);
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let store = open(&dir).unwrap();
    assert_eq!(mode(&file), 0o600, "it is closed again");
    let journal = store.journal().unwrap();
    assert_eq!(journal[..2], founded());
    assert_eq!(
        (journal.len(), store.serial(), store.cluster()),
        (3, 2, "shop")
    );
    assert_eq!(store.lineage().len(), 32);
    drop(store);
    let other = open(&parent.path().join("other")).unwrap();
    assert_ne!(other.lineage(), open(&dir).unwrap().lineage());
}

#[test]
fn a_directory_where_others_can_write_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o770)).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::TooOpen { .. }));
    assert!(error.to_string().contains("chmod go-w"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    open(dir.path()).unwrap();
}

#[test]
fn the_state_of_another_cluster_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = filled(dir.path());
    let before = fs::read(&file).unwrap();
    let error = Store::open(dir.path(), "farm", "quorate test").unwrap_err();
    assert!(matches!(&error, StoreError::OtherCluster { found, .. } if found == "shop"));
    assert_eq!(fs::read(&file).unwrap(), before);
    assert!(matches!(
        Store::view(&dir.path().join("nowhere")).unwrap_err(),
        StoreError::Absent { .. }
    ));
}

#[test]
fn who_was_overtaken_writes_no_more() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let mut first = open(dir.path()).unwrap();
    assert!(matches!(
        open(dir.path()).unwrap_err(),
        StoreError::Lock(LockError::Held { .. })
    ));
    let reader = Store::view(dir.path()).unwrap();
    assert_eq!(reader.journal().unwrap().len(), 3, "reading needs no lock");
    unlock(dir.path(), true).unwrap();
    assert!(matches!(
        first.append(&[Entry::Destroyed]).unwrap_err(),
        StoreError::Overtaken { .. }
    ));
    let mut second = open(dir.path()).unwrap();
    second.append(&[Entry::Destroyed]).unwrap();
    assert_eq!(second.journal().unwrap().len(), 4);
    // Even where the lock says nothing, as on a file system without locks, the serial does.
    sql(
        second.path(),
        "UPDATE meta SET value = '99' WHERE key = 'serial'",
    );
    assert!(matches!(
        second.append(&[Entry::Destroyed]).unwrap_err(),
        StoreError::Overtaken { .. }
    ));
}

#[test]
fn a_machine_that_was_met_is_held_to_its_key_until_that_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let machine = ResourceId::new("shop/own/1");
    let mut store = open(dir.path()).unwrap();
    store.pins().trust(&machine, "ssh-ed25519 A").unwrap();
    store.append(&[]).unwrap();
    drop(store);
    let mut store = open(dir.path()).unwrap();
    store.pins().trust(&machine, "ssh-ed25519 B").unwrap_err();
    assert!(store.unpin(&machine).unwrap());
    assert!(!store.unpin(&machine).unwrap());
    store.pins().trust(&machine, "ssh-ed25519 B").unwrap();
    store.append(&[]).unwrap();
    drop(store);
    let pin = Store::view(dir.path()).unwrap().pins().get(&machine);
    assert_eq!(pin.unwrap().key, "ssh-ed25519 B");
}

#[test]
fn of_a_forgotten_machine_only_the_journal_knows() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let machine = ResourceId::new("shop/w/1");
    let other = ResourceId::new("shop/w/2");
    let mut store = open(dir.path()).unwrap();
    for id in [&machine, &other] {
        store.pins().trust(id, "ssh-ed25519 A").unwrap();
    }
    let journal = store.journal().unwrap();
    let key = Ledger::replay(&journal).key(&machine, Verb::Create);
    let begun = Entry::Started {
        run: 1,
        step: 0,
        resource: machine.clone(),
        verb: Verb::Create,
        key,
        attempt: 1,
    };
    store.append(&[begun]).unwrap();
    assert_eq!(store.inventory().unwrap().len(), 2);
    let entry = Entry::Forgotten {
        machine: machine.clone(),
        reason: "burnt".to_owned(),
        at_ms: 5,
    };
    let serial = store.serial();
    store.forget(&entry).unwrap();
    assert_eq!(store.serial(), serial + 1, "all of it at once");
    for store in [store, Store::view(dir.path()).unwrap()] {
        assert_eq!(store.journal().unwrap().last(), Some(&entry));
        assert!(store.inventory().unwrap().keys().eq([&other]));
        assert!(store.pins().get(&machine).is_none());
        assert!(store.pins().get(&other).is_some());
    }
}

/// Entries with every kind of number and text survive the way through the file.
#[test]
fn entries_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).unwrap();
    let machine = ResourceId::new("shop/w/1");
    let peer = PeerFact {
        machine: machine.clone(),
        key: MeshKey([255; 32]),
        address: "10.88.0.1".parse().unwrap(),
        port: 51820,
        underlay: "a'b\"c\\\n".to_owned(),
        dial_out: true,
        public: None,
        private: None,
        pods: None,
    };
    let fault = Fault {
        class: FaultClass::Quota,
        detail: "Größe; DROP TABLE journal; \0 \u{1F980}".to_owned(),
        after: Some(Span(u64::MAX)),
    };
    let mut entries = vec![
        Entry::Founded { uid: u64::MAX },
        Entry::RunStarted {
            run: 1,
            plan: u64::MAX,
            steps: u32::MAX,
        },
        Entry::Allocated {
            machine: machine.clone(),
            address: peer.address,
        },
        Entry::Met { peer },
    ];
    let key = Ledger::replay(&entries).key(&machine, Verb::Create);
    entries.extend([
        Entry::Started {
            run: 1,
            step: u32::MAX,
            resource: machine.clone(),
            verb: Verb::Create,
            key,
            attempt: u32::MAX,
        },
        Entry::Finished {
            run: 1,
            step: u32::MAX,
            resource: machine.clone(),
            verb: Verb::Create,
            outcome: Err(fault),
        },
        Entry::Forgotten {
            machine,
            reason: "\u{1F525}'\"".to_owned(),
            at_ms: u64::MAX,
        },
    ]);
    store.append(&entries).unwrap();
    drop(store);
    assert_eq!(Store::view(dir.path()).unwrap().journal().unwrap(), entries);
}
