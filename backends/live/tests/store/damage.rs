//! Files of other versions and of other programs, and files that are damaged.

use super::{filled, founded, open};
use quorate_engine::resource::ResourceId;
use quorate_live::{Store, StoreError};
use rusqlite::Connection;
use std::fs;
use std::path::{Path, PathBuf};

/// A state as version 1 of the schema left it, by the SQL of that version.
fn version_1(dir: &Path) -> PathBuf {
    let path = dir.join("state.db");
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(include_str!("version-1.sql"))
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

pub(crate) fn sql(file: &Path, sql: &str) {
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
