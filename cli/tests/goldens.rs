//! One golden transcript for each scenario: what a person reads, byte for byte.
//!
//! `quorate replay` runs its seed twice and says so if the two differ. A transcript that changed
//! is looked at (`cargo insta review`, or the `.snap.new` beside it) before it is accepted.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Transcripts that a person can follow: no longer than this.
const LINES_MAX: usize = 80;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

fn scenarios() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("scenarios")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    files
}

fn replay(file: &str, seed: u64) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(["replay", file, "--seed", &seed.to_string(), "--lines", "60"])
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{file} holds with seed {seed}: {stderr}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The seed of a golden transcript: one whose run shows what the scenario is about.
fn seed(name: &str) -> u64 {
    match name {
        // The leader is among the lost, and the crash comes in the middle of the build.
        "provider-outage" => 1,
        "crash-every-entry" => 101,
        _ => 1,
    }
}

#[test]
fn every_scenario_has_a_transcript_that_a_person_can_follow() {
    let files = scenarios();
    assert!(files.len() >= 12, "{} scenarios", files.len());
    for path in files {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let text = replay(&format!("scenarios/{name}.yaml"), seed(name));
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "{name} has {lines} lines:\n{text}");
        insta::with_settings!({
            snapshot_path => root().join("scenarios/golden"),
            prepend_module_to_snapshot => false,
            omit_expression => true,
            description => format!("quorate replay scenarios/{name}.yaml --seed {}", seed(name)),
        }, {
            insta::assert_snapshot!(name, text);
        });
    }
}
