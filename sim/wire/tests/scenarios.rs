//! Scenarios on the wire: what clients feel of each fault, that a seed gives one run, and that the
//! model and the real name server agree.

use quorate_engine::document;
use quorate_engine::manifest::{self, Manifest};
use quorate_engine::time::{Span, Time};
use quorate_sim::outcome::{Run, Verdict};
use quorate_sim::scenario::Scenario;
use quorate_wire::{Prepared, judge};
use std::collections::BTreeMap;

const MANIFEST: &str = "manifests/three-clouds.yaml";

#[expect(
    clippy::disallowed_methods,
    reason = "a test reads the files it is about"
)]
fn manifest() -> Manifest {
    let at = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../scenarios/manifests/three-clouds.yaml"
    );
    let text = std::fs::read(at).unwrap();
    let loaded = manifest::load(&text, None);
    loaded
        .manifest
        .unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
}

/// A scenario of one population, `app`: its fields, phases and expectations.
fn scenario(clients: &str, phases: &str, expect: &str) -> Scenario {
    let text = format!(
        "{{apiVersion: quorate.dev/v1, kind: Scenario, name: try, manifest: {MANIFEST},
          orchestrator: {{heals: false}},
          clients: [{{name: app, through: web/https, {clients}}}],
          phases: [{phases}], expect: [{expect}]}}"
    );
    let read = document::read::<Scenario>(text.as_bytes(), &[]);
    read.unwrap_or_else(|found| panic!("{text}: {found:#?}"))
        .value
}

fn on_the_wire(scenario: &Scenario, seed: u64) -> Run {
    Prepared::new(scenario.clone(), &manifest()).run(seed)
}

fn told<'a>(run: &'a Run, text: &str) -> Vec<(Time, &'a str)> {
    let fitting = run.notes.iter().filter(|note| note.text.contains(text));
    fitting.map(|note| (note.at, note.text.as_str())).collect()
}

fn verdicts(run: &Run) -> Vec<Verdict> {
    run.expectations.iter().map(|held| held.verdict).collect()
}

const CLIENTS: &str = "rate: 20/s, connectTimeout: 3s, timeout: 10s";

#[test]
fn a_lost_load_balancer_leaves_the_answers_and_returns() {
    let phases = "{name: lost, for: 3m, faults: [{do: node.kill, where: {pool: lb-gcp}, at: 10s}]},
                  {name: back, for: 3m}";
    let expect = "{measure: availability, of: app, in: lost, atLeast: 99%},
                  {measure: availability, of: app, in: back, atLeast: 99%},
                  {measure: leaderless, atMost: 0s}, {measure: replaced, atMost: 0}";
    let run = on_the_wire(&scenario(CLIENTS, phases, expect), 1);
    let skipped = Verdict::Skipped;
    assert_eq!(
        verdicts(&run),
        [Verdict::Pass, Verdict::Pass, skipped, skipped],
        "{run:#?}"
    );
    let drops = told(&run, "drops lb-gcp/1");
    assert_eq!(
        drops.len(),
        2,
        "each name server sees it itself: {:#?}",
        run.notes
    );
    for (at, _) in &drops {
        // Two intervals and a time-out at least, one interval more at most; the fault is at 10 s.
        let after = at.since(Time::ZERO + Span::from_secs(10));
        assert!(
            after >= Span::from_secs(20) && after <= Span::from_secs(33),
            "{after}"
        );
    }
    assert_eq!(told(&run, "gives lb-gcp/1").len(), 2, "{:#?}", run.notes);
    // A second attempt costs three seconds and no failure.
    assert_eq!(run.recoveries.len(), 1);
}

#[test]
fn a_provider_cut_off_hangs_clients_that_wait_as_long_as_their_system() {
    let clients = "rate: 20/s, systems: {linux: 100%}, timeout: 10s";
    let phases = "{name: cut, for: 4m, faults: [{do: provider.outage, where: {provider: gcp}}]}";
    let expect = "{measure: availability, of: app, atMost: 99%},
                  {measure: recovery, of: app, atLeast: 30s}";
    let run = on_the_wire(&scenario(clients, phases, expect), 2);
    assert_eq!(verdicts(&run), [Verdict::Pass, Verdict::Pass], "{run:#?}");
}

#[test]
fn one_name_server_less_is_noticed_by_nobody_and_none_by_all() {
    let phases = |pick: &str| {
        format!(
            "{{name: gone, for: 3m, faults: [{{do: dns.outage, where: {{provider: cf{pick}}}}}]}}, {{name: back, for: 1m}}"
        )
    };
    let least = "{measure: availability, of: app, atLeast: 100%}";
    let one = on_the_wire(&scenario(CLIENTS, &phases(", pick: one"), least), 3);
    assert_eq!(verdicts(&one), [Verdict::Pass], "{one:#?}");
    let most = "{measure: availability, of: app, in: gone, atMost: 70%},
                {measure: availability, of: app, in: back, atLeast: 90%}";
    let all = on_the_wire(&scenario(CLIENTS, &phases(""), most), 3);
    assert_eq!(verdicts(&all), [Verdict::Pass, Verdict::Pass], "{all:#?}");
}

#[test]
fn without_backends_every_address_is_sick_and_all_are_given_out() {
    let phases = "{name: sick, for: 2m, faults: [{do: node.pause, where: {role: worker}}]},
                  {name: well, for: 2m}";
    let expect = "{measure: availability, of: app, in: sick, atMost: 5%},
                  {measure: availability, of: app, in: well, atLeast: 98%}";
    let run = on_the_wire(&scenario(CLIENTS, phases, expect), 4);
    assert_eq!(verdicts(&run), [Verdict::Pass, Verdict::Pass], "{run:#?}");
    assert_eq!(told(&run, "none is well").len(), 2, "{:#?}", run.notes);
}

#[test]
fn a_seed_gives_one_run_and_another_seed_another() {
    let phases = "{name: lost, for: 1m, faults: [{do: node.kill, where: {role: load-balancer, pick: one}, at: 5s, for: 30s}]}";
    let expect = "{measure: availability, of: app, atLeast: 0%}";
    let scenario = scenario(CLIENTS, phases, expect);
    let first = on_the_wire(&scenario, 7);
    assert_eq!(first, on_the_wire(&scenario, 7));
    assert_ne!(first.trace_hash, on_the_wire(&scenario, 8).trace_hash);
}

/// From the fault until the address has left the answers: of the last name server, if several.
fn left(run: &Run, text: &str, fault: Span) -> Span {
    let last = told(run, text).into_iter().map(|(at, _)| at).max();
    last.unwrap_or_else(|| panic!("{text}: {:#?}", run.notes))
        .since(Time::ZERO + fault)
}

/// Of all requests, in millionths.
fn failed(run: &Run) -> i64 {
    let held = run
        .expectations
        .iter()
        .find(|held| held.name.starts_with("availability"));
    1_000_000 - held.and_then(|held| held.value).expect("it is measured") as i64
}

#[test]
fn the_model_and_the_real_name_server_agree() {
    // No application time-out: what clients feel is a third of them waiting, until DNS and caches
    // have forgotten the address.
    let clients = "rate: 20/s, systems: {linux: 100%}, timeout: 10s";
    let expect = "{measure: availability, of: app, atLeast: 0%}";
    let manifests = BTreeMap::from([(MANIFEST.to_owned(), manifest())]);
    let (mut modelled, mut real) = (Vec::new(), Vec::new());
    // Caches fill at the beginning of a run and expire a minute later, all at about the same time:
    // faults fall on every quarter of that minute.
    for (seed, at_s) in [(1, 10), (2, 25), (3, 40), (4, 55)] {
        let phases = format!(
            "{{name: lost, for: 6m,
               faults: [{{do: node.kill, where: {{pool: lb-gcp}}, at: {at_s}s}}]}}"
        );
        let scenario = scenario(clients, &phases, expect);
        let fault = Span::from_secs(at_s);
        let model = quorate_sim::run::Prepared::new(scenario.clone(), &manifests).run(seed);
        let wire = on_the_wire(&scenario, seed);
        let drops = "DNS drops lb-gcp/1 from shop.example.com";
        let of_model = (left(&model, drops, fault).as_ms(), failed(&model));
        let of_wire = (left(&wire, "drops lb-gcp/1", fault).as_ms(), failed(&wire));
        eprintln!("seed {seed}: left after ms, failed ppm: model {of_model:?}, wire {of_wire:?}");
        modelled.push(of_model);
        real.push(of_wire);
    }
    let mean = |all: &[(u64, i64)]| {
        let count = all.len() as i64;
        let left = all.iter().map(|(left, _)| *left as i64).sum::<i64>() / count;
        (
            left,
            all.iter().map(|(_, failed)| failed).sum::<i64>() / count,
        )
    };
    let (model, wire) = (mean(&modelled), mean(&real));
    // A check's phase is luck: one interval of ten seconds.
    assert!(
        (model.0 - wire.0).abs() <= 10_000,
        "left: model {model:?}, wire {wire:?}"
    );
    // Two of a hundred requests, of some seven that fail.
    assert!(
        (model.1 - wire.1).abs() <= 20_000,
        "failed: model {model:?}, wire {wire:?}"
    );
}

#[test]
fn what_does_not_fit_is_refused_with_its_reason() {
    let fault = |fault: &str| format!("{{name: p, for: 1m, faults: [{fault}]}}");
    let expect = "{measure: availability, of: app, atLeast: 0%}";
    let rows = [
        ("happyEyeballs: true", fault(""), "IPv4"),
        (
            "",
            fault("{do: net.loss, where: {pool: lb-gcp}, share: 5%}"),
            "never sends again",
        ),
        (
            "",
            fault("{do: provider.stock-out, where: {provider: gcp}}"),
            "orchestrator",
        ),
        (
            "",
            fault("{do: node.reboot, where: {pool: lb-gcp}}"),
            "boot",
        ),
        (
            "",
            fault("{do: node.kill, where: {role: control-plane, pick: leader}}"),
            "leads",
        ),
        (
            "",
            fault("{do: node.kill, where: {pool: lb-gcp}, when: converged}"),
            "conditions",
        ),
        (
            "",
            fault("{do: node.kill, where: {pool: lb-gcp}, every: 10s}"),
            "once",
        ),
        (
            "",
            fault("{do: net.partition, where: {pool: lb-gcp}, symmetric: false}"),
            "both directions",
        ),
    ];
    for (clients, phases, reason) in rows {
        let clients = format!("rate: 20/s, {clients}");
        let found = judge(&scenario(&clients, &phases, expect), &manifest());
        let [finding] = found.as_slice() else {
            panic!("{reason}: {found:#?}")
        };
        assert!(finding.message.contains(reason), "{reason}: {finding:#?}");
        assert!(!finding.fix.is_empty(), "{finding:#?}");
    }
    let mut many = scenario("rate: 20/s", &fault(""), expect);
    let one = many.clients[0].clone();
    many.clients = (0..9)
        .map(|n| quorate_sim::scenario::Clients {
            name: format!("c{n}"),
            ..one.clone()
        })
        .collect();
    let found = judge(&many, &manifest());
    assert!(found[0].message.contains("14 hosts"), "{found:#?}");
}
