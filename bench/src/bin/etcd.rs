//! Our elections beside those of others: the Raft paper, formulas, and real etcd.
//!
//! Prints one row for each number. Nothing is timed; the seed is fixed, so the output is too.

use quorate_sim::etcd::validate::{election_table, fig16_table};

const SEED: u64 = 1;
const TRIALS: usize = 10_000;

fn main() {
    let mut rows = fig16_table(SEED, TRIALS);
    rows.extend(election_table(SEED, TRIALS));
    let show = |value: Option<f64>| match value {
        None => "never".to_owned(),
        Some(share) if share < 1.0 => format!("{share:.3}"),
        Some(value) => format!("{value:.1}"),
    };
    println!(
        "{:<46} {:<52} {:>10} {:>10}",
        "source", "what", "theirs", "ours"
    );
    for row in rows {
        let (theirs, ours) = (show(row.theirs), show(row.ours));
        println!(
            "{:<46} {:<52} {theirs:>10} {ours:>10}",
            row.source, row.what
        );
    }
}
