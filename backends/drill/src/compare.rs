//! Predicted and measured, side by side: the times that faults cost in simulated runs, and in
//! drills.

use quorate_sim::outcome::{Cost, Run};
use quorate_sim::scenario::Scenario;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How values spread, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// In how many runs it came to that.
    pub n: usize,
    /// The least.
    pub min: u64,
    /// One in ten is no longer.
    pub p10: u64,
    /// Half are no longer.
    pub p50: u64,
    /// Nine in ten are no longer.
    pub p90: u64,
    /// The longest.
    pub max: u64,
}

impl Spread {
    /// By nearest rank. None of nothing.
    #[must_use]
    pub fn of(values: &[u64]) -> Option<Self> {
        let mut all = values.to_vec();
        all.sort_unstable();
        let rank = |percent: usize| all[(all.len() * percent).div_ceil(100).max(1) - 1];
        (!all.is_empty()).then(|| Self {
            n: all.len(),
            min: all[0],
            p10: rank(10),
            p50: rank(50),
            p90: rank(90),
            max: all[all.len() - 1],
        })
    }
}

/// One time, predicted and measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The phase and the fault.
    pub fault: String,
    /// Which time.
    pub what: String,
    /// In simulated runs.
    pub predicted: Option<Spread>,
    /// In drills.
    pub measured: Option<Spread>,
    /// The measured median over the predicted one.
    pub ratio: Option<f64>,
}

/// Every time that either came to, by fault, in the order of the scenario.
#[must_use]
pub fn rows(scenario: &Scenario, predicted: &[Run], measured: &[Run]) -> Vec<Row> {
    let (guessed, seen) = (times(predicted), times(measured));
    let mut keys: Vec<&Key> = guessed.keys().chain(seen.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let row = |key: &Key| {
        let phase = &scenario.phases[key.phase];
        let verb = crate::plan::verb(phase.faults[key.fault].verb);
        let predicted = guessed.get(key).and_then(|values| Spread::of(values));
        let measured = seen.get(key).and_then(|values| Spread::of(values));
        let ratio = match (&predicted, &measured) {
            (Some(p), Some(m)) if p.p50 > 0 => Some(m.p50 as f64 / p.p50 as f64),
            _ => None,
        };
        Row {
            fault: format!("{verb} in \"{}\"", phase.name),
            what: key.what.clone(),
            predicted,
            measured,
            ratio,
        }
    };
    keys.into_iter().map(row).collect()
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    phase: usize,
    fault: usize,
    /// The order of times in the table.
    rank: u8,
    what: String,
}

fn times(runs: &[Run]) -> BTreeMap<Key, Vec<u64>> {
    let mut all: BTreeMap<Key, Vec<u64>> = BTreeMap::new();
    for cost in runs.iter().flat_map(|run| &run.series.costs) {
        for (rank, what, ms) in of_one(cost) {
            let key = Key {
                phase: cost.phase,
                fault: cost.fault,
                rank,
                what,
            };
            all.entry(key).or_default().push(ms);
        }
    }
    all
}

fn of_one(cost: &Cost) -> Vec<(u8, String, u64)> {
    let mut times = Vec::new();
    let single = [
        (0, "another leader", cost.election),
        (3, "first node NotReady", cost.not_ready),
        (4, "nodes Ready again, after its end", cost.ready),
    ];
    for (rank, what, span) in single {
        times.extend(span.map(|span| (rank, what.to_owned(), span.as_ms())));
    }
    for felt in &cost.felt {
        let first = felt.first.map(|span| span.as_ms());
        times.extend(first.map(|ms| (1, format!("{}: first answer", felt.of), ms)));
        times.push((2, format!("{}: clean", felt.of), felt.clean.as_ms()));
    }
    times
}

/// The rows as a table for people, times in seconds.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let seconds = |ms: u64| format!("{:.2}", ms as f64 / 1_000.0);
    let mut lines = vec![[
        "seconds from the fault".to_owned(),
        "predicted p50 (p10-p90)".to_owned(),
        "measured min / median / max".to_owned(),
        "ratio".to_owned(),
    ]];
    let mut last = "";
    for row in rows {
        if row.fault != last {
            lines.push([
                row.fault.clone(),
                String::new(),
                String::new(),
                String::new(),
            ]);
            last = &row.fault;
        }
        let predicted = row.predicted.as_ref().map_or("-".to_owned(), |p| {
            let (mid, low, high) = (seconds(p.p50), seconds(p.p10), seconds(p.p90));
            format!("{mid} ({low}-{high}), n={}", p.n)
        });
        let measured = row.measured.as_ref().map_or("-".to_owned(), |m| {
            let (low, mid, high) = (seconds(m.min), seconds(m.p50), seconds(m.max));
            format!("{low} / {mid} / {high}, n={}", m.n)
        });
        let ratio = row
            .ratio
            .map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        lines.push([format!("  {}", row.what), predicted, measured, ratio]);
    }
    let width = |column: usize| {
        lines
            .iter()
            .skip(1)
            .chain(lines.first())
            .map(|line| {
                // Headings of faults stand alone and may be as long as they like.
                if line[1].is_empty() {
                    0
                } else {
                    line[column].chars().count()
                }
            })
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..4).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let [a, b, c, d] = line;
        let (wa, wb, wc) = (widths[0], widths[1], widths[2]);
        let whole = format!("{a:wa$}  {b:wb$}  {c:wc$}  {d}");
        let _ = writeln!(text, "{}", whole.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_engine::time::Span;
    use quorate_sim::outcome::{Felt, Series, Verdict};

    fn run(election: Option<u64>, clean: u64) -> Run {
        let cost = Cost {
            phase: 0,
            fault: 0,
            label: "cp-a/1: power cut".to_owned(),
            election: election.map(Span::from_ms),
            not_ready: None,
            ready: None,
            felt: vec![Felt {
                of: "kubectl".to_owned(),
                first: Some(Span::from_ms(clean / 2)),
                clean: Span::from_ms(clean),
                failed: 3,
            }],
        };
        Run {
            scenario: "s".to_owned(),
            seed: 1,
            verdict: Verdict::Pass,
            trace_hash: String::new(),
            events: 0,
            simulated: Span::ZERO,
            expectations: Vec::new(),
            recoveries: Vec::new(),
            parameters: Vec::new(),
            notes: Vec::new(),
            series: Series {
                costs: vec![cost],
                ..Series::default()
            },
        }
    }

    #[test]
    fn spreads_are_by_nearest_rank() {
        let spread = Spread::of(&[30, 10, 20]).unwrap();
        assert_eq!(
            (spread.min, spread.p50, spread.max, spread.n),
            (10, 20, 30, 3)
        );
        let hundred: Vec<u64> = (1..=100).collect();
        let spread = Spread::of(&hundred).unwrap();
        assert_eq!((spread.p10, spread.p50, spread.p90), (10, 50, 90));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn what_was_predicted_stands_beside_what_was_measured() {
        let text = r#"{"apiVersion":"quorate.dev/v1","kind":"Scenario","name":"s","manifest":"m",
            "phases":[{"name":"p","for":"3s","faults":[{"do":"node.kill"}]}],"expect":[]}"#;
        let scenario = serde_json::from_str(text).unwrap();
        let predicted = [
            run(Some(1_000), 2_000),
            run(None, 0),
            run(Some(1_200), 2_400),
        ];
        let measured = [run(Some(1_500), 3_000)];
        let rows = rows(&scenario, &predicted, &measured);
        let what: Vec<&str> = rows.iter().map(|row| row.what.as_str()).collect();
        assert_eq!(
            what,
            ["another leader", "kubectl: first answer", "kubectl: clean"]
        );
        assert_eq!(rows[0].predicted.as_ref().unwrap().n, 2, "not in every run");
        assert_eq!(rows[0].ratio, Some(1.5));
        assert_eq!(rows[2].ratio, Some(1.5));
        let table = table(&rows);
        assert!(table.contains("node.kill in \"p\"\n"), "{table}");
        assert!(table.contains("1.00 (1.00-1.20), n=2"), "{table}");
        assert!(table.contains("1.50 / 1.50 / 1.50, n=1"), "{table}");
        let alone = super::rows(&scenario, &[], &measured);
        assert!(
            alone
                .iter()
                .all(|row| row.predicted.is_none() && row.ratio.is_none())
        );
    }
}
