//! `quorate report` from the outside: what it prints, writes and refuses.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

const GOOD: &str = "scenarios/manifests/three-clouds.yaml";
const POOR: &str = "scenarios/manifests/two-providers.yaml";

fn quorate(args: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.args(args).current_dir(root);
    command.output().expect("the program starts")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[test]
fn a_design_that_meets_its_objectives_is_told_in_a_screen() {
    let told = quorate(&["report", GOOD]);
    let out = text(&told.stdout);
    assert_eq!(told.status.code(), Some(0), "{out}");
    for said in [
        "meets all 4 objectives",
        "DNS service cf",
        "at least",
        "Assumptions",
    ] {
        assert!(out.contains(said), "{said}: {out}");
    }
    assert!(out.lines().count() < 60, "more than a screen: {out}");
    assert_eq!(
        out,
        text(&quorate(&["report", GOOD]).stdout),
        "the same every time"
    );
}

#[test]
fn a_design_that_misses_its_objectives_is_reported_and_not_well() {
    let told = quorate(&["report", POOR, "--section", "overview"]);
    let out = text(&told.stdout);
    assert_eq!(told.status.code(), Some(1), "{out}");
    assert!(
        out.contains("misses") && out.contains("provider htz"),
        "{out}"
    );
}

#[test]
fn json_is_as_its_schema_says() {
    let schema: Value = serde_json::from_slice(&quorate(&["schema", "report"]).stdout).unwrap();
    let line = [
        "report",
        GOOD,
        "scenarios/manifests/migrate-to.yaml",
        "--change",
        "--seeds",
        "1",
    ];
    let made = quorate(&[&line[..], &["--json", "-"]].concat());
    let json: Value = serde_json::from_slice(&made.stdout).expect("JSON alone");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let wrong: Vec<String> = validator
        .iter_errors(&json)
        .map(|e| e.to_string())
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(json["reports"].as_array().map(Vec::len), Some(2));
    let change = &json["change"];
    assert_eq!(change["problems"], Value::Array(Vec::new()));
    assert_eq!(change["played"]["done"], 1, "{change:#}");
    assert_eq!(change["played"]["lost_writes"], 0);
    let failed = change["played"]["failed"].as_array().unwrap();
    assert!(
        failed.iter().all(|of| of[2].as_u64() > Some(0)),
        "nobody asked: {failed:?}"
    );
}

#[test]
fn files_are_written_whole_and_load_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (html, md, csv) = (path("r.html"), path("r.md"), path("csv"));
    let made = quorate(&["report", GOOD, "--html", &html, "--md", &md, "--csv", &csv]);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("Content-Security-Policy"));
    assert!(!page.contains("src=\"http") && !page.contains("@import"));
    assert!(std::fs::read_to_string(&md).unwrap().contains("| "));
    let tables = std::fs::read_dir(&csv).unwrap().count();
    assert!(tables > 10, "{tables} tables");
}

#[test]
fn what_cannot_be_is_refused_before_the_work() {
    let section = quorate(&["report", GOOD, "--section", "weather"]);
    assert_eq!(section.status.code(), Some(1));
    assert!(
        text(&section.stderr).contains("take one of overview, failures"),
        "{section:?}"
    );
    let nowhere = quorate(&["report", GOOD, "--html", "no/such/place/r.html"]);
    assert_eq!(nowhere.status.code(), Some(3));
    let three = quorate(&["report", GOOD, GOOD, GOOD]);
    assert_eq!(three.status.code(), Some(64));
    let alone = quorate(&["report", GOOD, "--change"]);
    assert_eq!(alone.status.code(), Some(64), "{alone:?}");
}

#[test]
fn prices_of_ones_own_take_the_place_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let shown = quorate(&["data", "show", "machines", "--csv", "--provider", "hetzner"]);
    let ours = text(&shown.stdout);
    let header = ours.lines().next().unwrap();
    let row = ours
        .lines()
        .find(|line| line.contains("cx43"))
        .expect("cx43 has a price");
    let monthly = |data: &[&str]| {
        let line = [&["report", GOOD, "--json", "-"], data].concat();
        let json: Value = serde_json::from_slice(&quorate(&line).stdout).unwrap();
        json["reports"][0]["price"]["normal"]["together"]
            .as_f64()
            .unwrap()
    };
    let price = header
        .split(',')
        .position(|name| name == "price")
        .expect("a price");
    let mut cells: Vec<&str> = row.split(',').collect();
    cells[price] = "1000";
    let text = format!("{header}\n{}\n", cells.join(","));
    std::fs::write(folder.path().join("machines.csv"), text).unwrap();
    let dir = folder.path().to_str().unwrap();
    let (before, after) = (monthly(&[]), monthly(&["--data", dir]));
    assert!(
        after > before + 1_500.0,
        "{before} {after}: two machines cost 1000 each"
    );
}
