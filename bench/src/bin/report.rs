//! Planning reports: from a manifest to a whole report. Prints one line for one case;
//! `bench/report` runs each in its own process, because the peak of memory is a process's.
//!
//! Cases: the manifest of a file, and clusters of so many nodes made by luck-free rule: three
//! control planes and load balancers in three clouds, workers in all of them, ten pods a worker.

use quorate_bench::clusters::{self, OTHERS};
use quorate_bench::{median, peak_rss_bytes};
use quorate_engine::manifest::{Manifest, load};
use quorate_planning::data::{Data, Date};
use quorate_planning::report::{Options, report};
use serde_json::json;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

fn cluster(nodes: u32) -> Manifest {
    let pods = (nodes - OTHERS) * 10;
    let workload = |name: &str, replicas: u32| {
        json!({"name": name, "replicas": replicas,
               "requests": {"cpu": "200m", "memory": "512Mi"},
               "traffic": {"rate": "100/s", "through": "web/https", "response": "20Ki"}})
    };
    let mut manifest = clusters::manifest(nodes);
    manifest["spec"]["workloads"] = json!([
        workload("web", pods / 2),
        workload("search", pods / 4),
        workload("orders", pods / 4),
    ]);
    manifest["spec"]["resilience"] =
        json!({"survive": "provider", "rto": "120s", "availability": "99.9%"});
    serde_json::from_value(manifest).expect("a valid manifest")
}

fn run(name: &str, advice: bool) -> Option<String> {
    let manifest = match name.parse() {
        Ok(nodes @ 9..=100_000) => cluster(nodes),
        Ok(_) => return None,
        Err(_) => load(&std::fs::read(name).ok()?, None).manifest?,
    };
    let manifest = Arc::new(manifest);
    let data = Data::built_in();
    let options = Options {
        seed: 1,
        today: Date("2026-11-22".to_owned()),
        advice,
        simulate: false,
    };
    // The first run pays for tables that are read once in a process; users pay for it, too.
    let mut seconds = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        let made = report(&manifest, &data, &options, &mut |_, _, _| ()).ok()?;
        seconds.push(begun.elapsed().as_secs_f64());
        assert!(!made.sections().is_empty(), "a report says something");
        if seconds[0] > 5.0 {
            break;
        }
    }
    let first = seconds[0];
    Some(format!(
        "{name} {advice} {first:.6} {:.6} {}",
        median(seconds),
        peak_rss_bytes()
    ))
}

fn main() -> ExitCode {
    let name = std::env::args().nth(1);
    let advice = std::env::args().nth(2).as_deref() == Some("advice");
    match name.and_then(|name| run(&name, advice)) {
        Some(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        None => {
            eprintln!(
                "expected: a manifest's file or a number of nodes from 9 on, and `advice` or nothing"
            );
            ExitCode::FAILURE
        }
    }
}
