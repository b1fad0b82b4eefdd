//! No secret gets into the state: neither from the environment nor by way of the manifest.

use super::world::{Fate, run, tempdir, world};
use quorate_engine::engine::Mode;
use quorate_live::Store;
use std::path::Path;
use std::process::Command;

/// Every byte of every file below.
fn bytes(dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(bytes(&path));
        } else {
            let content = std::fs::read(&path).unwrap();
            found.push((path, content));
        }
    }
    found
}

fn holds(content: &[u8], text: &str) -> bool {
    content
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

const SECRET: &str = "qlive-7f3a-not-for-any-file";

/// What the child does: a whole life of a cluster, whose adapter needs the secret for every call.
#[test]
fn a_life_with_a_secret() {
    let (Ok(dir), Ok(token)) = (std::env::var("QLIVE_DIR"), std::env::var("QLIVE_TOKEN")) else {
        // Run by itself there is no secret to be lost: the test below is its parent.
        return;
    };
    let world = world(move |_, nth| {
        let presented = std::env::var("QLIVE_TOKEN").expect("the adapter finds its credentials");
        assert_eq!(presented, token);
        match nth {
            2 => Fate::Fault(quorate_engine::seam::FaultClass::Retryable),
            3 => Fate::DoneAndLost,
            _ => Fate::Fine,
        }
    });
    run(Path::new(&dir), &world, Mode::Apply).unwrap();
    run(Path::new(&dir), &world, Mode::Apply).unwrap();
    let export = Store::view(Path::new(&dir)).unwrap().export().unwrap();
    std::fs::write(Path::new(&dir).join("export.json"), export.to_text()).unwrap();
    run(Path::new(&dir), &world, Mode::Destroy).unwrap();
    println!("{:?} {world:?}", Store::view(Path::new(&dir)).unwrap());
}

#[test]
fn a_secret_is_in_no_file_and_in_no_output() {
    let dir = tempdir().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["secrets::a_life_with_a_secret", "--exact", "--nocapture"])
        .env("QLIVE_DIR", dir.path())
        .env("QLIVE_TOKEN", SECRET)
        .output()
        .unwrap();
    assert!(child.status.success(), "{child:?}");
    let mut places = bytes(dir.path());
    assert!(places.len() >= 3, "state, lock, export");
    places.push(("stdout".into(), child.stdout));
    places.push(("stderr".into(), child.stderr));
    for (path, content) in &places {
        assert!(
            !holds(content, SECRET),
            "the secret is in {}",
            path.display()
        );
    }
    let named = places
        .iter()
        .filter(|(_, content)| holds(content, "QLIVE_TOKEN"));
    assert!(
        named.count() >= 2,
        "where it is to be found is kept: the search works"
    );
}
