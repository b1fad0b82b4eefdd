//! `quorate data`: checked, shown and renewed, as a user meets it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn quorate(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.args(args).stdin(Stdio::null());
    command.output().unwrap()
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

const HEADER: &str =
    "provider,region,machine_type,price,per,spot_price,currency,date,source,evidence\n";

#[test]
fn what_comes_with_the_program_is_good() {
    let check = quorate(&["data", "check"]);
    assert_eq!(code(&check), 0, "{}", err(&check));
    for table in [
        "assumptions",
        "egress",
        "incidents",
        "machines",
        "prices",
        "rates",
    ] {
        assert!(
            out(&check).lines().any(|line| line.starts_with(table)),
            "{}",
            out(&check)
        );
    }
    let show = quorate(&["data", "show", "machines", "--provider", "hetzner"]);
    assert_eq!(code(&show), 0);
    assert!(
        out(&show).contains("cx33") && !out(&show).contains("m5.large"),
        "{}",
        out(&show)
    );
    assert!(out(&show).ends_with("rows of machines.csv\n"));
    let json = quorate(&["data", "show", "rates", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(out(&json)).unwrap();
    assert_eq!(rows[0]["base"], "EUR");
    assert_eq!(code(&quorate(&["data", "show", "prizes"])), 64);
    assert_eq!(
        code(&quorate(&["data", "show", "rates", "--provider", "aws"])),
        1
    );
}

#[test]
fn every_mistake_of_a_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let bad = format!("{HEADER}aws,eu-central-1,a,cheap,hour,,USD,2026,s,read\n");
    fs::write(dir.path().join("machines.csv"), bad).unwrap();
    fs::write(dir.path().join("prizes.csv"), "").unwrap();
    fs::write(dir.path().join("rtt.csv"), "measured by another command\n").unwrap();
    fs::write(dir.path().join("notes.txt"), "not a table").unwrap();
    let check = quorate(&["data", "check", dir.path().to_str().unwrap()]);
    assert_eq!(code(&check), 1);
    let text = out(&check);
    assert!(
        text.contains("machines.csv:2, price: `cheap` is not a number"),
        "{text}"
    );
    assert!(
        text.contains("prizes.csv:1: is none of our tables"),
        "{text}"
    );
    assert!(text.ends_with("2 mistakes\n"), "{text}");
    let nowhere = quorate(&["data", "check", "/nowhere/at/all"]);
    assert_eq!((code(&nowhere), out(&nowhere)), (1, ""));
}

#[test]
fn an_update_is_shown_written_and_then_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("own");
    let (file, own) = (dir.path().join("new.csv"), data.to_str().unwrap());
    let rows = format!(
        "{HEADER}hetzner,fsn1,cx33,9.99,month,,EUR,2026-11-01,own bill,measured\n\
         static,,rack,120,month,,EUR,2026-11-01,\"lease, power\",measured\n"
    );
    fs::write(&file, rows).unwrap();
    let update = |more: &[&str]| {
        let mut args = vec!["data", "update-from", file.to_str().unwrap(), "--data", own];
        args.extend(more);
        quorate(&args)
    };
    let unnamed = update(&["--yes"]);
    assert_eq!(code(&unnamed), 1);
    assert!(err(&unnamed).contains("--table"), "{}", err(&unnamed));

    let refused = update(&["--table", "machines"]);
    assert_eq!(code(&refused), 130, "nobody is there to ask");
    assert!(
        out(&refused).contains("hetzner fsn1 cx33: price 8.49 -> 9.99"),
        "{}",
        out(&refused)
    );
    assert!(
        out(&refused).contains("static rack: new, price 120"),
        "{}",
        out(&refused)
    );
    assert!(!data.exists(), "nothing is written without a yes");

    assert_eq!(code(&update(&["--table", "machines", "--yes"])), 0);
    let again = update(&["--table", "machines", "--yes"]);
    assert!(
        out(&again).contains("none of them changes anything"),
        "{}",
        out(&again)
    );
    let written = fs::read_to_string(data.join("machines.csv")).unwrap();
    assert_eq!(
        written.lines().count(),
        3,
        "only rows of one's own: {written}"
    );
    assert!(written.contains("\"lease, power\""));
    assert_eq!(
        fs::read_dir(&data).unwrap().count(),
        1,
        "no file is left beside it"
    );

    let show = quorate(&["data", "show", "machines", "--data", own, "--csv"]);
    assert!(out(&show).contains("hetzner,fsn1,cx33,9.99,"));
    assert_eq!(code(&quorate(&["data", "check", own])), 0);
}

#[test]
fn a_generated_price_list_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (list, own) = (dir.path().join("list.go"), dir.path().join("own"));
    let go = "var p = map[string]map[string]float64{\n\t\"eu-central-1\": {\n\
        \t\t\"m5.large\": 0.123000, \"z1d.unheard\": 9.0,\n\t},\n}\n";
    fs::write(&list, go).unwrap();
    let args = |date| {
        vec![
            "data",
            "update-from",
            list.to_str().unwrap(),
            "--provider",
            "aws",
            "--date",
            date,
            "--source",
            "a list",
            "--data",
            own.to_str().unwrap(),
            "--yes",
        ]
    };
    let update = quorate(&args("2026-11-02"));
    assert_eq!(code(&update), 0, "{}", err(&update));
    let told = "aws eu-central-1 m5.large: price 0.115 -> 0.123, date 2025 -> 2026-11-02";
    assert!(out(&update).contains(told), "{}", out(&update));
    assert_eq!(code(&quorate(&args("yesterday"))), 1);
    assert!(Path::new(&own).join("machines.csv").exists());
    let nothing = dir.path().join("nothing.go");
    fs::write(&nothing, "package pricing\n").unwrap();
    let mut args = args("2026-11-02");
    args[2] = nothing.to_str().unwrap();
    let empty = quorate(&args);
    assert_eq!(code(&empty), 1);
    assert!(err(&empty).contains("holds no prices"), "{}", err(&empty));
}
