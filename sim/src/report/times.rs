//! Predicted and measured, side by side: the times that faults cost in simulated runs, and in
//! drills.

use crate::outcome::{Cost, Run};
use crate::scenario::{Fault, Scenario};
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
    /// Whether the prediction was right.
    pub verdict: Agreement,
}

/// Whether a prediction was right at the median.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Agreement {
    /// Both medians are within a fifth of one another, or within [`INSTANT_MS`].
    Close,
    /// They are not.
    Off,
    /// Too few were measured for a median that means anything: see [`ENOUGH`].
    Few,
    /// It came about on one side only.
    Alone,
}

impl Agreement {
    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Close => "close",
            Self::Off => "off",
            Self::Few => "too few",
            Self::Alone => "-",
        }
    }

    fn of(predicted: Option<&Spread>, measured: Option<&Spread>) -> Self {
        let (Some(p), Some(m)) = (predicted, measured) else {
            return Self::Alone;
        };
        let (less, more) = (p.p50.min(m.p50), p.p50.max(m.p50));
        if m.n < ENOUGH {
            Self::Few
        } else if more - less <= INSTANT_MS || more * 5 <= less * 6 {
            Self::Close
        } else {
            Self::Off
        }
    }
}

/// A median of fewer measurements is luck.
pub const ENOUGH: usize = 5;

/// Less than clients can tell from one another who send five requests a second each, and looks at
/// etcd every 20 ms.
pub const INSTANT_MS: u64 = 100;

/// Every time that either came to, by fault, in the order of the scenario.
#[must_use]
pub fn rows(scenario: &Scenario, predicted: &[Run], measured: &[Run]) -> Vec<Row> {
    let (guessed, seen) = (times(predicted), times(measured));
    let mut keys: Vec<&Key> = guessed.keys().chain(seen.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let row = |key: &Key| {
        let phase = &scenario.phases[key.phase];
        let fault = named(&phase.faults[key.fault]);
        let predicted = guessed.get(key).and_then(|values| Spread::of(values));
        let measured = seen.get(key).and_then(|values| Spread::of(values));
        let ratio = match (&predicted, &measured) {
            (Some(p), Some(m)) if p.p50 > 0 => Some(m.p50 as f64 / p.p50 as f64),
            _ => None,
        };
        let verdict = Agreement::of(predicted.as_ref(), measured.as_ref());
        Row {
            fault: format!("{fault} in \"{}\"", phase.name),
            what: key.what.clone(),
            predicted,
            measured,
            ratio,
            verdict,
        }
    };
    keys.into_iter().map(row).collect()
}

/// A fault as its file has it: `process.kill etcd`.
fn named(fault: &Fault) -> String {
    let verb = serde_json::to_string(&fault.verb).expect("a verb is plain data");
    let verb = verb.trim_matches('"');
    match fault.process {
        Some(process) => format!("{verb} {}", process.name()),
        None => verb.to_owned(),
    }
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
        (4, "etcd whole again, after its end", cost.whole),
    ];
    for (rank, what, span) in single {
        times.extend(span.map(|span| (rank, what.to_owned(), span.as_ms())));
    }
    let nodes = [
        (3, "node NotReady", &cost.not_ready),
        (5, "node Ready again, after its end", &cost.ready),
    ];
    for (rank, what, spans) in nodes {
        times.extend(
            spans
                .iter()
                .map(|span| (rank, what.to_owned(), span.as_ms())),
        );
    }
    for felt in &cost.felt {
        let first = felt.first.map(|span| span.as_ms());
        times.extend(first.map(|ms| (1, format!("{}: first answer", felt.of), ms)));
        times.push((2, format!("{}: clean", felt.of), felt.clean.as_ms()));
        let healed = felt.healed.map(|span| span.as_ms());
        let what = format!("{}: clean after its end", felt.of);
        times.extend(healed.map(|ms| (6, what, ms)));
    }
    times
}

impl Row {
    /// Predicted, measured and their ratio, in seconds, for people.
    #[must_use]
    pub fn cells(&self) -> [String; 3] {
        let seconds = |ms: u64| format!("{:.2}", ms as f64 / 1_000.0);
        let none = || "-".to_owned();
        let predicted = self.predicted.as_ref().map_or_else(none, |p| {
            let (mid, low, high) = (seconds(p.p50), seconds(p.p10), seconds(p.p90));
            format!("{mid} ({low}-{high}), n={}", p.n)
        });
        let measured = self.measured.as_ref().map_or_else(none, |m| {
            let (low, mid, high) = (seconds(m.min), seconds(m.p50), seconds(m.max));
            format!("{low} / {mid} / {high}, n={}", m.n)
        });
        let ratio = self.ratio.map_or_else(none, |ratio| format!("{ratio:.2}"));
        [predicted, measured, ratio]
    }
}

/// The rows as a table for people, times in seconds.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut lines = vec![[
        "seconds from the fault".to_owned(),
        "predicted p50 (p10-p90)".to_owned(),
        "measured min / median / max".to_owned(),
        "ratio".to_owned(),
        "prediction".to_owned(),
    ]];
    let mut last = "";
    for row in rows {
        if row.fault != last {
            lines.push([
                row.fault.clone(),
                String::new(),
                String::new(),
                String::new(),
                String::new(),
            ]);
            last = &row.fault;
        }
        let [predicted, measured, ratio] = row.cells();
        lines.push([
            format!("  {}", row.what),
            predicted,
            measured,
            ratio,
            row.verdict.name().to_owned(),
        ]);
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
    let widths: Vec<usize> = (0..5).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let [a, b, c, d, e] = line;
        let (wa, wb, wc, wd) = (widths[0], widths[1], widths[2], widths[3]);
        let whole = format!("{a:wa$}  {b:wb$}  {c:wc$}  {d:wd$}  {e}");
        let _ = writeln!(text, "{}", whole.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Felt, Series, Verdict};
    use quorate_engine::time::Span;

    fn run(election: Option<u64>, clean: u64) -> Run {
        let cost = Cost {
            phase: 0,
            fault: 0,
            label: "cp-a/1: power cut".to_owned(),
            election: election.map(Span::from_ms),
            not_ready: Vec::new(),
            ready: Vec::new(),
            whole: None,
            felt: vec![Felt {
                of: "kubectl".to_owned(),
                first: Some(Span::from_ms(clean / 2)),
                clean: Span::from_ms(clean),
                healed: None,
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
    fn a_prediction_is_close_within_a_fifth() {
        let spread = |p50: u64, n| {
            let mut spread = Spread::of(&[p50]).unwrap();
            spread.n = n;
            Some(spread)
        };
        let of = |p: u64, m: u64| Agreement::of(spread(p, 200).as_ref(), spread(m, 5).as_ref());
        assert_eq!(of(1_000, 1_200), Agreement::Close);
        assert_eq!(of(1_000, 1_201), Agreement::Off);
        assert_eq!(of(1_200, 1_000), Agreement::Close);
        assert_eq!(of(1_201, 1_000), Agreement::Off);
        assert_eq!(of(20, 120), Agreement::Close, "nobody can tell");
        let few = Agreement::of(spread(1_000, 200).as_ref(), spread(1_000, 4).as_ref());
        assert_eq!(few, Agreement::Few);
        assert_eq!(Agreement::of(None, spread(1, 5).as_ref()), Agreement::Alone);
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
        assert_eq!(rows[0].verdict, Agreement::Few);
        let alone = super::rows(&scenario, &[], &measured);
        assert!(
            alone
                .iter()
                .all(|row| row.predicted.is_none() && row.ratio.is_none())
        );
    }
}
