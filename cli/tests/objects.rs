//! `quorate objects`: what a manifest means in Kubernetes' own words.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn quorate(args: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.args(args).current_dir(root).stdin(Stdio::null());
    command.output().unwrap()
}

fn out(args: &[&str]) -> String {
    let output = quorate(args);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{complaint}");
    String::from_utf8(output.stdout).unwrap()
}

const THREE: &str = "scenarios/manifests/three-clouds.yaml";

#[test]
fn workloads_budgets_and_classes_are_printed_for_kubectl() {
    insta::assert_snapshot!("objects", out(&["objects", THREE]));
}

#[test]
fn yaml_and_json_say_the_same() {
    let text = out(&["objects", THREE]);
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let list: Value = serde_json::from_str(&out(&["objects", THREE, "--json"])).unwrap();
    assert_eq!(list["kind"], "List");
    assert_eq!(list["items"], Value::Array(documents));
}

#[test]
fn one_kind_alone_is_a_part_of_all() {
    let all = out(&["objects", THREE]);
    let storage = out(&["objects", THREE, "--only", "storage"]);
    let workloads = out(&["objects", THREE, "--only", "workloads"]);
    assert_eq!(all, storage.clone() + &workloads);
    assert!(storage.contains("kind: StorageClass"), "{storage}");
    assert!(
        workloads.contains("kind: PodDisruptionBudget"),
        "{workloads}"
    );
    assert!(!workloads.contains("StorageClass"), "{workloads}");
}

#[test]
fn a_bad_manifest_is_refused_with_its_place() {
    let output = quorate(&["objects", "Cargo.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("Cargo.toml"));
}
