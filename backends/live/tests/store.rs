//! The state store at its edges: old, new, foreign and damaged files, other processes, documents.

use quorate_engine::journal::Entry;
use quorate_engine::mesh::MeshKey;
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::Verb;
use quorate_live::{Document, LockError, Store, StoreError, unlock};
use rusqlite::Connection;
use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

fn open(dir: &Path) -> Result<Store, StoreError> {
    Store::open(dir, "shop", "quorate test")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn founded() -> Vec<Entry> {
    vec![
        Entry::Founded { uid: 7 },
        Entry::RunStarted {
            run: 1,
            plan: u64::MAX,
            steps: 2,
        },
    ]
}

/// A state with a little in it, and its file.
fn filled(dir: &Path) -> PathBuf {
    let mut store = open(dir).unwrap();
    store.append(&founded()).unwrap();
    let machine = ResourceId::new("shop/w/1");
    let address = "10.88.0.1".parse().unwrap();
    store
        .append(&[Entry::Allocated { machine, address }])
        .unwrap();
    store.path().to_owned()
}

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

/// A state as version 1 of the schema left it, by the SQL of that version.
fn version_1(dir: &Path) -> PathBuf {
    let path = dir.join("state.db");
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(include_str!("store/version-1.sql"))
        .unwrap();
    path
}

#[test]
fn a_state_of_version_1_is_brought_up_to_date() {
    for by_a_reader in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let file = version_1(dir.path());
        if by_a_reader {
            let store = Store::view(dir.path()).unwrap();
            assert_eq!(store.journal().unwrap().len(), 3);
        }
        let mut store = open(dir.path()).unwrap();
        assert_eq!(store.lineage(), "0123456789abcdef0123456789abcdef");
        assert_eq!(store.serial(), 5, "what there was is as it was");
        assert_eq!(store.journal().unwrap()[..2], founded());
        assert!(store.runs().unwrap().is_empty() && store.inventory().unwrap().is_empty());
        let key = "ssh-ed25519 AAAA";
        store
            .pins()
            .trust(&ResourceId::new("shop/w/1"), key)
            .unwrap();
        store.append(&[]).unwrap();
        drop(store);
        let store = open(dir.path()).unwrap();
        assert_eq!(
            store.inventory().unwrap().len(),
            1,
            "there is an inventory now"
        );
        let version: u32 = Connection::open(&file)
            .unwrap()
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .unwrap();
        assert_eq!(version, 2);
    }
}

/// A change of a file that makes it useless, and how the error begins.
type Damage = (
    &'static str,
    fn(&Path),
    fn(&StoreError) -> bool,
    &'static str,
);

fn sql(file: &Path, sql: &str) {
    Connection::open(file).unwrap().execute_batch(sql).unwrap();
}

fn overwrite(file: &Path, at: usize, bytes: &[u8]) {
    let mut content = fs::read(file).unwrap();
    content[at..at + bytes.len()].copy_from_slice(bytes);
    fs::write(file, content).unwrap();
}

const DAMAGE: [Damage; 11] = [
    (
        "newer",
        |file| sql(file, "PRAGMA user_version = 3"),
        |error| {
            matches!(
                error,
                StoreError::Newer {
                    found: 3,
                    known: 2,
                    ..
                }
            )
        },
        "use the newer",
    ),
    (
        "of another program",
        |file| sql(file, "PRAGMA application_id = 1"),
        |error| matches!(error, StoreError::Foreign { .. }),
        "is not a state of Quorate",
    ),
    (
        "no database",
        |file| fs::write(file, "name: shop\n".repeat(100)).unwrap(),
        |error| matches!(error, StoreError::Foreign { .. }),
        "is not a state of Quorate",
    ),
    (
        "empty",
        |file| fs::write(file, "").unwrap(),
        |error| matches!(error, StoreError::Corrupt { .. }),
        "cut off",
    ),
    (
        "cut off",
        |file| {
            let content = fs::read(file).unwrap();
            fs::write(file, &content[..content.len() / 2]).unwrap();
        },
        |error| matches!(error, StoreError::Corrupt { .. }),
        "import",
    ),
    (
        "with a broken page",
        |file| overwrite(file, 4096, &[0xA5; 512]),
        |error| matches!(error, StoreError::Corrupt { .. }),
        "import",
    ),
    (
        "with a changed entry",
        |file| {
            sql(
                file,
                "UPDATE journal SET entry = replace(entry, '7', '8') WHERE seq = 1",
            )
        },
        |error| matches!(error, StoreError::Corrupt { .. }),
        "entry 1 of the journal does not match its checksum",
    ),
    (
        "without an entry in the middle",
        |file| sql(file, "DELETE FROM journal WHERE seq = 2"),
        |error| matches!(error, StoreError::Corrupt { .. }),
        "entry 2 of the journal is missing",
    ),
    (
        "without its last entry",
        |file| sql(file, "DELETE FROM journal WHERE seq = 3"),
        |error| matches!(error, StoreError::Corrupt { .. }),
        "should have 3 entries and has 2",
    ),
    (
        "without a table",
        |file| sql(file, "DROP TABLE journal"),
        |error| matches!(error, StoreError::Sql { .. }),
        "journal",
    ),
    (
        "without its lineage",
        |file| sql(file, "DELETE FROM meta WHERE key = 'lineage'"),
        |error| matches!(error, StoreError::Corrupt { .. }),
        "does not say its lineage",
    ),
];

#[test]
fn a_file_that_is_newer_foreign_or_damaged_is_refused_and_left_alone() {
    for (name, damage, expected, told) in DAMAGE {
        let dir = tempfile::tempdir().unwrap();
        let file = filled(dir.path());
        damage(&file);
        let before = fs::read(&file).unwrap();
        let errors = [
            open(dir.path()).unwrap_err(),
            Store::view(dir.path()).unwrap_err(),
        ];
        for error in errors {
            assert!(expected(&error), "{name}: {error:?}");
            let text = error.to_string();
            assert!(text.contains(told), "{name}: {text}");
            assert!(text.contains(&file.display().to_string()), "{name}: {text}");
        }
        assert!(fs::read(&file).unwrap() == before, "{name}: it was touched");
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["lock", "state.db"], "{name}");
    }
}

#[test]
fn a_document_carries_everything_to_another_place() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(from.path());
    let mut store = open(from.path()).unwrap();
    let machine = ResourceId::new("shop/w/1");
    store.pins().trust(&machine, "ssh-ed25519 AAAA").unwrap();
    store.append(&[]).unwrap();
    let document = store.export().unwrap();
    let parsed = Document::parse(&document.to_text()).unwrap();
    assert_eq!(parsed, document);
    let import = |dir: &Path, document: &Document, force: bool| {
        Store::import(dir, document, "quorate test", force)
    };
    let there = import(to.path(), &parsed, false).unwrap();
    assert_eq!(
        there.export().unwrap(),
        document,
        "the same, serial and all"
    );
    assert!(there.pins().get(&machine).is_some());
    drop(there);
    import(to.path(), &parsed, false).expect("what is there already goes in again");

    let mut ahead = open(to.path()).unwrap();
    ahead.append(&[Entry::Destroyed]).unwrap();
    let later = ahead.export().unwrap();
    drop(ahead);
    let older = import(to.path(), &document, false).unwrap_err();
    assert!(
        matches!(
            older,
            StoreError::Older {
                ours: 4,
                theirs: 3,
                ..
            }
        ),
        "{older}"
    );
    drop(store);
    let store = import(from.path(), &later, false).unwrap();
    assert_eq!(store.journal().unwrap().last(), Some(&Entry::Destroyed));
    drop(store);
    let back = import(to.path(), &document, true).unwrap();
    assert_eq!(back.journal().unwrap().len(), 3);
    assert!(back.serial() > later.serial, "serials never go back");
    drop(back);

    let other = tempfile::tempdir().unwrap();
    filled(other.path());
    let error = import(other.path(), &later, false).unwrap_err();
    assert!(matches!(error, StoreError::Lineage { .. }), "{error}");
    let taken = import(other.path(), &later, true).unwrap();
    assert_eq!(
        (taken.lineage(), taken.journal().unwrap().len()),
        (&*later.lineage, 4)
    );
    drop(taken);
    open(other.path()).expect("its checksums hold");
    let farm = tempfile::tempdir().unwrap();
    drop(Store::open(farm.path(), "farm", "quorate test").unwrap());
    let error = import(farm.path(), &later, true).unwrap_err();
    assert!(
        matches!(error, StoreError::OtherCluster { .. }),
        "not even by force: {error}"
    );
}

#[test]
fn a_document_that_is_not_as_exported_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let text = open(dir.path()).unwrap().export().unwrap().to_text();
    let cases = [
        (text[..text.len() / 2].to_owned(), "cut off"),
        ("{}".to_owned(), "not an export"),
        (
            text.replace("\"version\": 2", "\"version\": 3"),
            "use a newer program",
        ),
        (
            text.replace("10.88.0.1", "10.88.0.2"),
            "changed after the export",
        ),
        (text.replace("\"runs\"", "\"walks\""), "not as exported"),
    ];
    for (text, told) in cases {
        let error = Document::parse(&text).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
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
        .args(["a_process_that_appends", "--exact", "--nocapture"])
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

/// Entries with every kind of number and text survive the way through the file.
#[test]
fn entries_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).unwrap();
    let machine = ResourceId::new("shop/w/1");
    let peer = quorate_engine::mesh::PeerFact {
        machine: machine.clone(),
        key: MeshKey([255; 32]),
        address: "10.88.0.1".parse().unwrap(),
        port: 51820,
        underlay: "a'b\"c\\\n".to_owned(),
        dial_out: true,
        public: None,
        private: None,
    };
    let fault = quorate_engine::seam::Fault {
        class: quorate_engine::seam::FaultClass::Quota,
        detail: "Größe; DROP TABLE journal; \0 \u{1F980}".to_owned(),
        after: Some(quorate_engine::time::Span(u64::MAX)),
    };
    let entries = [
        Entry::Founded { uid: u64::MAX },
        Entry::Met { peer },
        Entry::Finished {
            run: u32::MAX,
            step: 0,
            resource: machine,
            verb: Verb::Create,
            outcome: Err(fault),
        },
    ];
    store.append(&entries).unwrap();
    drop(store);
    assert_eq!(Store::view(dir.path()).unwrap().journal().unwrap(), entries);
}
