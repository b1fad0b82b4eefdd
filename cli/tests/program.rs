//! The program as a whole: what it prints, and how it exits.

use quorate_engine::observed::Observed;
use quorate_engine::seam::{Fault, FaultClass};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

const GOOD: &str = "scenarios/manifests/three-clouds.yaml";

/// Runs the program at the root of the workspace, without a terminal.
fn quorate(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

fn command(args: &[&str]) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.args(args).current_dir(root).stdin(Stdio::null());
    command
}

fn with_input(args: &[&str], input: &[u8]) -> Output {
    let mut command = command(args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that has seen enough closes its end: that is no failure of the test.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn help_says_what_can_be_asked_and_how_it_exits() {
    let help = quorate(&["--help"]);
    assert_eq!(code(&help), 0);
    insta::assert_snapshot!("help", out(&help));
    for command in [
        "check", "schema", "plan", "apply", "destroy", "status", "state", "adopt", "forget",
        "mesh", "sim", "chaos", "replay",
    ] {
        let help = quorate(&[command, "--help"]);
        assert_eq!(code(&help), 0);
        insta::assert_snapshot!(format!("help_{command}"), out(&help));
    }
}

#[test]
fn a_command_line_that_cannot_be_understood_has_its_own_code() {
    let lines: [&[&str]; 7] = [
        &[],
        &["paint"],
        &["check"],
        &["chaos", "a.yaml", "--seed", "1", "--seeds", "2"],
        &["chaos", "a.yaml", "--seeds", "0"],
        &["chaos", "a.yaml", "--jobs", "0"],
        &["plan", "a.yaml", "--json", "--dot"],
    ];
    for line in lines {
        let output = quorate(line);
        assert_eq!(code(&output), 64, "{line:?}");
        assert!(
            out(&output).is_empty() && err(&output).contains("--help"),
            "{line:?}"
        );
    }
}

#[test]
fn a_good_manifest_is_fine() {
    let output = quorate(&["check", GOOD]);
    assert_eq!(code(&output), 0, "{}", out(&output));
    assert!(
        out(&output).contains("1 file checked: no errors"),
        "{}",
        out(&output)
    );
}

const BROKEN: &str = "\
apiVersion: quorate.dev/v1
kind: Cluster
metadata:
  name: shop
spec:
  kubernetes: { version: 1.35.2 }
  providers:
    - name: htz
      type: hetzner
      credentials: { env: HCLOUD_TOKEN }
  nodePools:
    - name: control
      provider: hzt
      region: fsn1
      machineType: cx33
      image: ubuntu-24.04
      count: three
      roles: [control-plane]
";

#[test]
fn every_mistake_has_a_place_and_a_fix() {
    let output = with_input(&["check", "-"], BROKEN.as_bytes());
    assert_eq!(code(&output), 1);
    insta::assert_snapshot!("broken", out(&output));
    assert!(
        !out(&output).contains('\x1b'),
        "no colour without a terminal"
    );
}

#[test]
fn diagnostics_are_there_for_programs_too() {
    let output = with_input(&["check", "--json", "-"], BROKEN.as_bytes());
    assert_eq!(code(&output), 1);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["errors"].as_u64().unwrap() >= 1);
    let first = &report["files"][0]["diagnostics"][0];
    assert_eq!(first["severity"], "error");
    assert_eq!(first["span"]["line"], 17);
}

#[test]
fn files_that_cannot_be_read_are_told_apart() {
    let missing = quorate(&["check", "no/such/file.yaml"]);
    assert_eq!(code(&missing), 1);
    assert!(
        out(&missing).contains("error[file-unreadable]"),
        "{}",
        out(&missing)
    );
    let huge = with_input(&["check", "-"], &vec![b'#'; (4 << 20) + 1]);
    assert_eq!(code(&huge), 1);
    assert!(
        out(&huge).contains("error[file-too-large]"),
        "{}",
        out(&huge)
    );
    let binary = with_input(&["check", "-"], &[0xff, 0xfe, 0x00, 0x80]);
    assert_eq!(code(&binary), 1);
    assert!(
        out(&binary).contains("(standard input):1:1"),
        "{}",
        out(&binary)
    );
}

#[cfg(target_os = "linux")]
#[test]
fn an_endless_file_is_not_read_whole() {
    let output = quorate(&["check", "/dev/zero"]);
    assert_eq!(code(&output), 1);
    assert!(
        out(&output).contains("error[file-too-large]"),
        "{}",
        out(&output)
    );
}

#[test]
fn schemas_are_json_schemas() {
    for (of, id) in [("manifest", "cluster.json"), ("scenario", "scenario.json")] {
        let output = quorate(&["schema", of]);
        assert_eq!(code(&output), 0);
        let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(schema["$id"].as_str().unwrap().ends_with(id));
        assert!(schema["properties"]["kind"].is_object());
    }
}

#[test]
fn a_plan_from_nothing_has_changes() {
    let output = quorate(&["plan", GOOD, "--offline"]);
    assert_eq!(code(&output), 2, "{}", err(&output));
    insta::assert_snapshot!("plan", out(&output));
    let json = quorate(&["plan", GOOD, "--offline", "--json"]);
    assert_eq!(code(&json), 2);
    let plan: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    for (index, step) in plan["steps"].as_array().unwrap().iter().enumerate() {
        let before = step["after"].as_array().unwrap();
        assert!(
            before.iter().all(|b| b.as_u64().unwrap() < index as u64),
            "{step}"
        );
    }
    let dot = quorate(&["plan", GOOD, "--offline", "--dot"]);
    assert_eq!(code(&dot), 2);
    assert!(out(&dot).starts_with("digraph plan {"));
}

#[test]
fn a_manifest_with_errors_has_no_plan() {
    let output = with_input(&["plan", "--offline", "-"], BROKEN.as_bytes());
    assert_eq!(code(&output), 1);
    assert!(out(&output).is_empty() && err(&output).contains("(standard input):17:"));
}

#[test]
fn what_could_not_be_looked_at_is_left_alone() {
    let fault = Fault::new(FaultClass::Retryable, "503");
    let mut seen = Observed::default();
    seen.providers.insert("aws".to_owned(), Err(fault));
    let saved = serde_json::to_vec(&seen).unwrap();
    let output = with_input(&["plan", GOOD, "--observed", "-"], &saved);
    assert_eq!(code(&output), 2, "{}", err(&output));
    let (steps, held) = out(&output).split_once("Left alone on purpose:\n").unwrap();
    assert!(steps.contains("from the saved observation"), "{steps}");
    assert!(
        !steps.contains("create       shop/workers-aws/1 "),
        "{steps}"
    );
    assert!(
        held.contains("shop/network.aws/eu-central-1: the API of aws"),
        "{held}"
    );
}

#[test]
fn an_observation_that_is_none_is_refused() {
    let output = with_input(&["plan", GOOD, "--observed", "-"], b"{\"providers\": 7}");
    assert_eq!(code(&output), 1);
    assert!(
        err(&output).contains("error[not-an-observation]"),
        "{}",
        err(&output)
    );
}

#[test]
fn a_scenario_that_cannot_be_run_is_invalid() {
    for args in [&["chaos", "-"][..], &["replay", "-", "--seed", "1"]] {
        let output = with_input(args, b"kind: Scenario\n");
        assert_eq!(code(&output), 3, "{args:?}");
        assert!(err(&output).contains("nothing was run"), "{}", err(&output));
    }
    let missing = quorate(&["chaos", "no/such/scenario.yaml"]);
    assert_eq!(code(&missing), 3);
}

#[test]
fn a_scenario_without_its_manifest_says_where() {
    let scenario = "apiVersion: quorate.dev/v1\nkind: Scenario\nname: lost\n\
        manifest: no/such/manifest.yaml\nphases:\n- name: p\n  for: 1m\n\
        expect:\n- measure: elections\n  atMost: 1\n";
    let output = with_input(&["check", "-"], scenario.as_bytes());
    assert_eq!(code(&output), 1);
    assert!(
        out(&output).contains("4 | manifest: no/such/manifest.yaml"),
        "{}",
        out(&output)
    );
}

#[test]
fn a_scenario_may_try_a_cluster_that_misses_its_objectives() {
    let trap = "scenarios/manifests/two-providers.yaml";
    let own = quorate(&["check", trap]);
    assert_eq!(code(&own), 1);
    assert!(
        out(&own).contains("error[two-providers-give-one]"),
        "{}",
        out(&own)
    );
    let scenario = format!(
        "apiVersion: quorate.dev/v1\nkind: Scenario\nname: trap\nmanifest: {trap}\n\
         phases:\n- name: p\n  for: 1m\nexpect:\n- measure: elections\n  atMost: 1\n"
    );
    let tried = with_input(&["check", "-"], scenario.as_bytes());
    assert_eq!(code(&tried), 0, "{}", out(&tried));
    assert!(
        out(&tried).contains("warning[two-providers-give-one]"),
        "{}",
        out(&tried)
    );
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let mut command = command(&["plan", GOOD, "--offline", "--json"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut start = [0; 8];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut start).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert!(!err(&output).contains("panicked"), "{}", err(&output));
    assert!([2, 141].contains(&code(&output)), "{}", code(&output));
}

const SCENARIO: &str = "scenarios/provider-outage.yaml";

#[test]
fn two_processes_and_any_number_of_threads_report_the_same() {
    let run = |jobs| {
        quorate(&[
            "chaos", SCENARIO, "--seeds", "3", "--jobs", jobs, "--json", "-",
        ])
    };
    let (one, many) = (run("1"), run("3"));
    assert_eq!(out(&one), out(&many));
    let report: serde_json::Value = serde_json::from_slice(&one.stdout).unwrap();
    let held = report["summary"]["held"].as_u64().unwrap();
    assert_eq!(
        code(&one) == 0,
        held == 3,
        "the code says whether every run held"
    );
    let runs = report["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 3);
    assert!(err(&one).contains("1 scenario, 3 runs"), "{}", err(&one));
    let replay = quorate(&["replay", SCENARIO, "--seed", "2", "--lines", "60"]);
    let hash = runs[1]["trace_hash"].as_str().unwrap();
    assert!(
        out(&replay).contains(&format!("trace     {hash}")),
        "{}",
        out(&replay)
    );
    assert!(out(&replay).lines().count() <= 90, "{}", out(&replay));
}

#[test]
fn checking_a_scenario_looks_at_its_meaning_too() {
    assert_eq!(code(&quorate(&["check", SCENARIO])), 0);
    let scenario = format!(
        "apiVersion: quorate.dev/v1\nkind: Scenario\nname: idle\nmanifest: {GOOD}\n\
         phases:\n- name: p\n  for: 1m\nexpect: []\n"
    );
    let output = with_input(&["check", "-"], scenario.as_bytes());
    assert_eq!(code(&output), 1);
    assert!(
        out(&output).contains("error[nothing-expected]"),
        "{}",
        out(&output)
    );
}

#[test]
fn measured_data_count_before_the_catalogue_and_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let missing = quorate(&["check", GOOD, "--data", dir]);
    assert_eq!(code(&missing), 1);
    assert!(
        out(&missing).contains("quorate measure rtt"),
        "{}",
        out(&missing)
    );
    let header = quorate_engine::catalog::COLUMNS;
    let write = |rows: &str| {
        std::fs::write(folder.path().join("rtt.csv"), format!("{header}\n{rows}\n")).unwrap();
    };
    write("hetzner,fsn1,aws,nowhere\nhetzner,,aws,eu-central-1,-3,,p50,today,me,measured");
    let bad = quorate(&["check", GOOD, "--data", dir]);
    assert_eq!(code(&bad), 1);
    for said in [
        "4 fields",
        "without its region",
        "rtt_ms is `-3`",
        "date is `today`",
    ] {
        assert!(out(&bad).contains(said), "{said}: {}", out(&bad));
    }
    write("hetzner,fsn1,aws,eu-central-1,130,0.5,p50,2026-11-22,measured,measured");
    let good = quorate(&["check", GOOD, "--data", dir]);
    assert_eq!(code(&good), 0, "{}", out(&good));
    let solved =
        "a heartbeat each 150ms, an election after 1.5s: solved from 130ms measured between";
    assert!(out(&good).contains(solved), "{}", out(&good));
    let plan = quorate(&["plan", "--offline", GOOD, "--data", dir]);
    assert!(
        out(&plan).contains("etcd has a heartbeat each 150ms"),
        "{}",
        out(&plan)
    );
    assert!(!out(&quorate(&["plan", "--offline", GOOD])).contains("heartbeat"));

    let replay = |data: &[&str]| {
        let line = [
            "replay",
            "scenarios/leader-churn.yaml",
            "--seed",
            "1",
            "--lines",
            "5",
        ];
        let output = quorate(&[&line, data].concat());
        out(&output).to_owned()
    };
    let (with, without) = (replay(&["--data", dir]), replay(&[]));
    let named = "measured  fsn1 - eu-central-1: 130ms (p50, measured, 2026-11-22)\n";
    assert!(with.contains(named), "{with}");
    let hash = |text: &str| -> Vec<String> {
        let long = |word: &&str| word.len() == 16 && word.bytes().all(|b| b.is_ascii_hexdigit());
        text.split_whitespace()
            .filter(long)
            .map(str::to_owned)
            .collect()
    };
    assert!(!hash(&with).is_empty(), "{with}");
    assert_ne!(
        hash(&with),
        hash(&without),
        "another network is another run"
    );
}

#[test]
fn snapshots_are_listed_with_their_state() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let none = quorate(&["etcd", "snapshots", GOOD, "--from", dir]);
    assert_eq!(
        (code(&none), out(&none).contains("no snapshot of shop")),
        (0, true)
    );
    let file = folder.path().join("shop-20261122T154400123Z-r17.db");
    std::fs::write(&file, [7; 1_056]).unwrap();
    let list = quorate(&["etcd", "snapshots", GOOD, "--from", dir, "--json"]);
    assert_eq!(code(&list), 1, "one is damaged");
    let json: serde_json::Value = serde_json::from_str(out(&list)).unwrap();
    let one = &json["snapshots"][0];
    assert_eq!(
        (&one["revision"], &one["whole"]),
        (&17.into(), &false.into())
    );
    assert_eq!(one["taken"], "2026-11-22T15:44:00.123Z");
    let text = quorate(&["etcd", "snapshots", GOOD, "--from", dir]);
    assert!(out(&text).contains("revision 17"), "{}", out(&text));
    assert!(
        out(&text).contains("DAMAGED: its sum does not fit"),
        "{}",
        out(&text)
    );
}

#[test]
fn what_does_not_fit_on_the_wire_is_refused_with_its_place() {
    let refused = quorate(&["chaos", "scenarios/ingress-loss.yaml", "--rung", "wire"]);
    assert_eq!(code(&refused), 3, "{refused:?}");
    let said = err(&refused);
    assert!(
        said.contains("not-on-the-wire") && said.contains("ingress-loss.yaml:19"),
        "{said}"
    );
}

#[test]
fn a_run_on_the_wire_is_judged_as_on_the_model_and_replayed_there() {
    let scenario = "apiVersion: quorate.dev/v1
kind: Scenario
name: short
manifest: scenarios/manifests/three-clouds.yaml
clients: [{name: app, through: web/https, rate: 10/s, connectTimeout: 3s}]
phases: [{name: lost, for: 30s, faults: [{do: node.kill, where: {pool: lb-gcp}}]}]
expect:
  - {measure: availability, of: app, atLeast: 100%}
  - {measure: replaced, atMost: 0}
";
    let chaos = ["chaos", "-", "--rung", "wire", "--seed", "1", "--json", "-"];
    let ran = with_input(&chaos, scenario.as_bytes());
    assert_eq!(code(&ran), 0, "{ran:?}");
    let report: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    let run = &report["runs"][0];
    let again = run["replay"].as_str().unwrap();
    assert!(again.ends_with("--seed 1 --rung wire"), "{again}");
    let verdicts: Vec<_> = run["expectations"].as_array().unwrap().iter().collect();
    assert_eq!(verdicts[0]["verdict"], "pass", "{report:#}");
    assert_eq!(verdicts[1]["verdict"], "skipped", "{report:#}");
    let replay = ["replay", "-", "--rung", "wire", "--seed", "1"];
    let told = with_input(&replay, scenario.as_bytes());
    assert_eq!(code(&told), 0, "{told:?}");
    assert!(out(&told).contains("lb-gcp/1: power cut"), "{}", out(&told));
    assert!(
        out(&told).contains(run["trace_hash"].as_str().unwrap()),
        "{}",
        out(&told)
    );
}
