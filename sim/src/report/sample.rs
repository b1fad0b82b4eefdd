//! Hand-made runs for the tests of reports.

use super::{Campaign, Suite};
use crate::outcome::{Bar, Held, Note, Recovery, Run, Series, Success, Track, Unit, Verdict};
use quorate_engine::time::{Span, Time};

fn at(secs: u64) -> Time {
    Time::ZERO + Span::from_secs(secs)
}

/// A run that says nothing but how it ended.
pub(super) fn bare(seed: u64, verdict: Verdict) -> Run {
    Run {
        scenario: "bare".to_owned(),
        seed,
        verdict,
        trace_hash: format!("{seed:016x}"),
        events: 1_000,
        simulated: Span::from_secs(600),
        expectations: Vec::new(),
        recoveries: Vec::new(),
        parameters: Vec::new(),
        notes: Vec::new(),
        series: Series::default(),
    }
}

pub(super) fn held(name: &str, verdict: Verdict, value: Option<u64>, unit: Unit) -> Held {
    let detail = value
        .map(|value| super::shown_value(value, unit))
        .unwrap_or_default();
    Held {
        name: name.to_owned(),
        verdict,
        detail,
        value,
        unit,
    }
}

pub(super) fn note(ms: u64, track: Track, text: impl Into<String>) -> Note {
    Note {
        at: Time::ZERO + Span::from_ms(ms),
        track,
        text: text.into(),
    }
}

/// One run of a provider's outage: 18 s without service where it fails, else 4 s.
pub(super) fn outage(seed: u64, verdict: Verdict) -> Run {
    let ms = if verdict.holds() {
        4_000 + seed * 100
    } else {
        18_200
    };
    let share = if verdict.holds() {
        999_000 + seed
    } else {
        991_000
    };
    let recovery = |of: &str, ms: u64| Recovery {
        fault: "outage of hetzner".to_owned(),
        at: at(60),
        of: of.to_owned(),
        recovery: Span::from_ms(ms),
        failed: ms / 100,
    };
    let operators = if verdict.holds() { 0 } else { ms };
    Run {
        scenario: "provider-outage".to_owned(),
        expectations: vec![
            held("one leader per term", Verdict::Pass, None, Unit::None),
            held("leaderless at most 10s", verdict, Some(ms), Unit::Ms),
            held(
                "availability of shoppers at least 99%",
                Verdict::Pass,
                Some(share),
                Unit::Share,
            ),
            held("replaced at most 0", Verdict::Pass, Some(0), Unit::Count),
        ],
        recoveries: vec![recovery("shoppers", ms), recovery("operators", operators)],
        parameters: vec![(
            "election timeout of htz-cp/1".to_owned(),
            "1340ms".to_owned(),
        )],
        notes: notes(ms),
        series: series(ms),
        ..bare(seed, verdict)
    }
}

fn notes(ms: u64) -> Vec<Note> {
    vec![
        note(0, Track::Phase, "steady begins, for 1m"),
        note(2_000, Track::Etcd, "htz-cp/1 leads in term 2"),
        note(60_000, Track::Phase, "outage begins, for 4m"),
        note(
            60_000,
            Track::Fault,
            "outage of hetzner begins (control, data)",
        ),
        note(
            60_020,
            Track::Client,
            "shoppers: connect to 203.0.113.1 timed out",
        ),
        note(60_000 + ms, Track::Etcd, "aws-cp/1 leads in term 3"),
        note(100_000, Track::Kube, "htz-w/1 is not ready"),
        note(240_000, Track::Fault, "outage of hetzner ends"),
        note(300_000, Track::Phase, "healing begins, for 5m"),
        note(320_000, Track::Engine, "plan: nothing to do"),
    ]
}

fn series(ms: u64) -> Series {
    let bar = |label: &str, from, to| Bar {
        label: label.to_owned(),
        from: at(from),
        to: at(to),
    };
    let gap = ms.div_ceil(1_000);
    let client = |name: &str, rate: u32, hurt: u64| Success {
        name: name.to_owned(),
        bucket: Span::from_secs(1),
        counts: (0..600)
            .map(|second| match second {
                _ if (60..60 + hurt).contains(&second) => (rate / 3, rate - rate / 3),
                _ if (60..240).contains(&second) && second.is_multiple_of(30) => (rate - 1, 1),
                _ => (rate, 0),
            })
            .collect(),
    };
    Series {
        span: (Time::ZERO, at(600)),
        phases: vec![
            bar("steady", 0, 60),
            bar("outage", 60, 300),
            bar("healing", 300, 600),
        ],
        faults: vec![
            bar("outage of hetzner", 60, 240),
            bar("delay aws-gcp", 130, 180),
            bar("kill of the leader", 330, 331),
            bar("kill of the leader", 390, 391),
        ],
        leader: vec![
            (at(2), Some("htz-cp/1".to_owned())),
            (at(61), None),
            (at(61 + gap), Some("aws-cp/1".to_owned())),
            (at(331), None),
            (at(334), Some("gcp-cp/1".to_owned())),
            (at(391), None),
            (at(393), Some("aws-cp/1".to_owned())),
        ],
        quorum: vec![
            (at(0), 3, 3),
            (at(61), 3, 2),
            (at(245), 3, 3),
            (at(331), 3, 1),
            (at(334), 3, 3),
        ],
        success: vec![client("shoppers", 50, gap), client("operators", 2, gap / 4)],
        costs: Vec::new(),
    }
}

/// Two scenarios, one of which fails for one seed.
pub(super) fn campaign() -> Campaign {
    let runs = vec![
        outage(1, Verdict::Pass),
        outage(2, Verdict::Pass),
        outage(3, Verdict::FailLiveness),
    ];
    let shown = vec![runs[2].clone(), runs[0].clone()];
    let lost = Run {
        scenario: "two-providers-lost".to_owned(),
        expectations: vec![held(
            "writes in blackout",
            Verdict::UnavailableByDesign,
            None,
            Unit::None,
        )],
        ..bare(1, Verdict::UnavailableByDesign)
    };
    Campaign {
        version: "0.1.0".to_owned(),
        suites: vec![
            Suite {
                file: "scenarios/provider-outage.yaml".to_owned(),
                scenario: "provider-outage".to_owned(),
                title: "Each provider lost in turn, and back".to_owned(),
                manifest: 0xfeed_f00d_0000_0001,
                data: None,
                runs,
                times: Vec::new(),
                shown,
            },
            Suite {
                file: "scenarios/two-providers-lost.yaml".to_owned(),
                scenario: "two-providers-lost".to_owned(),
                title: "Unavailable by design, and back after healing".to_owned(),
                manifest: 0xfeed_f00d_0000_0001,
                data: None,
                runs: vec![lost],
                times: Vec::new(),
                shown: Vec::new(),
            },
        ],
    }
}

/// Names that try to break out of whatever they are put into.
pub(super) fn hostile() -> Campaign {
    let evil = "<script>alert('x')</script> \"&amp; ]]> \x1b[2J\u{0} ünïcode";
    let mut run = outage(9, Verdict::FailSafety);
    evil.clone_into(&mut run.scenario);
    run.expectations[1].name = evil.to_owned();
    run.expectations[1].detail = evil.to_owned();
    run.recoveries[0].fault = evil.to_owned();
    run.notes[1].text = format!("{evil}\nsecond line");
    run.parameters[0] = (evil.to_owned(), evil.to_owned());
    run.series.faults[0].label = evil.to_owned();
    run.series.phases[0].label = evil.to_owned();
    run.series.success[0].name = evil.to_owned();
    run.series.leader[0].1 = Some(evil.to_owned());
    Campaign {
        version: evil.to_owned(),
        suites: vec![Suite {
            file: evil.to_owned(),
            scenario: evil.to_owned(),
            title: evil.to_owned(),
            manifest: 1,
            data: None,
            runs: vec![run.clone()],
            times: Vec::new(),
            shown: vec![run],
        }],
    }
}
