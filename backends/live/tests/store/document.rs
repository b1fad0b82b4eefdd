//! The whole state as a document, out and in.

use super::{filled, open};
use quorate_engine::journal::Entry;
use quorate_engine::resource::ResourceId;
use quorate_live::{Document, Store, StoreError};
use std::fs;
use std::path::Path;

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

/// Whoever can write a document can make its checksum anew, too.
#[test]
fn a_journal_that_cannot_have_come_about_goes_nowhere() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = filled(from.path());
    let mut store = open(from.path()).unwrap();
    let machine = ResourceId::new("shop/w/9");
    store.append(&[Entry::Parted { machine }]).unwrap();
    let document = Document::parse(&store.export().unwrap().to_text()).unwrap();
    drop(store);
    let named = "entry 4 of the journal (parted from shop/w/9) cannot stand there: only a known";

    let new = to.path().join("new");
    let error = Store::import(&new, &document, "quorate test", true).unwrap_err();
    assert!(matches!(error, StoreError::Document(_)), "{error:?}");
    assert!(error.to_string().contains(named), "{error}");
    assert!(!new.exists(), "nothing is made for it");
    let there = filled(to.path());
    let before = fs::read(&there).unwrap();
    Store::import(to.path(), &document, "quorate test", true).unwrap_err();
    assert!(fs::read(&there).unwrap() == before, "it was touched");

    // Nor is a file of that kind taken for a state.
    let before = fs::read(&file).unwrap();
    let view = Store::view(from.path()).unwrap_err();
    for error in [open(from.path()).unwrap_err(), view] {
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
        assert!(error.to_string().contains(named), "{error}");
    }
    assert!(fs::read(&file).unwrap() == before, "it was touched");
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
