//! Tables for tests: the built-in assumptions, and a few outages that are made up.

use quorate_planning::data::{Assumption, Data, Date, Evidence, Incident, Source};

fn source() -> Source {
    Source {
        source: "made up".to_owned(),
        date: None,
        evidence: Evidence::Judgement,
    }
}

/// The built-in assumptions: no field of theirs holds a comma.
fn assumptions() -> Vec<Assumption> {
    let rows = include_str!("../../data/assumptions.csv").lines().skip(1);
    let rows = rows.map(|row| {
        let cells: Vec<&str> = row.split(',').collect();
        assert_eq!(cells.len(), 9, "{row}");
        let number = |at: usize| cells[at].parse().expect("a number");
        Assumption {
            key: cells[0].to_owned(),
            value: number(1),
            low: number(2),
            high: number(3),
            unit: cells[4].to_owned(),
            meaning: cells[5].to_owned(),
            source: source(),
        }
    });
    rows.collect()
}

/// An outage on a day.
pub(crate) fn incident(start: &str, provider: &str, scope: (&str, &str), impact: &str) -> Incident {
    Incident {
        start: Date(start.to_owned()),
        minutes: Some(100.0),
        provider: provider.to_owned(),
        scope_kind: scope.0.to_owned(),
        scope: scope.1.to_owned(),
        fault_class: "software".to_owned(),
        control_plane_impact: "none".to_owned(),
        data_plane_impact: impact.to_owned(),
        source: source(),
    }
}

/// All tables; the window of outages is seven years.
pub(crate) fn data() -> Data {
    Data {
        assumptions: assumptions(),
        incidents: vec![incident("2026-01-01", "ibm", ("global", "network"), "none")],
        machines: Vec::new(),
        egress: Vec::new(),
        others: Vec::new(),
        dollars_for_euro: (1.1, source()),
    }
}

/// The same with one assumption exact.
pub(crate) fn with(mut data: Data, key: &str, value: f64) -> Data {
    let found = data.assumptions.iter_mut().find(|row| row.key == key);
    match found {
        Some(row) => (row.value, row.low, row.high) = (value, value, value),
        None => data.assumptions.push(Assumption {
            key: key.to_owned(),
            value,
            low: value,
            high: value,
            unit: "per year".to_owned(),
            meaning: "the user's own".to_owned(),
            source: source(),
        }),
    }
    data
}
