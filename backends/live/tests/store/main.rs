//! The state store at its edges: old, new, foreign and damaged files, other processes, documents.

mod basics;
mod damage;
mod document;
mod process;

use quorate_engine::journal::Entry;
use quorate_engine::resource::ResourceId;
use quorate_live::{Store, StoreError};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

pub(crate) fn open(dir: &Path) -> Result<Store, StoreError> {
    Store::open(dir, "shop", "quorate test")
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

pub(crate) fn founded() -> Vec<Entry> {
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
pub(crate) fn filled(dir: &Path) -> PathBuf {
    let mut store = open(dir).unwrap();
    store.append(&founded()).unwrap();
    let machine = ResourceId::new("shop/w/1");
    let address = "10.88.0.1".parse().unwrap();
    store
        .append(&[Entry::Allocated { machine, address }])
        .unwrap();
    store.path().to_owned()
}
