//! The model beside what is known: the Raft paper, computed tables, and a real etcd.
//!
//! Every number of ours comes from the same [`super::raft::Member`] and [`super::cluster::Etcd`]
//! that run in the world; only the surroundings are plain. What others found is in `known.rs`.

pub mod election;
pub mod fig16;
pub mod flat;
pub mod known;
pub mod table;

pub use table::{Compared, election_table, fig16_table};

/// The value below which a share of `sorted` lies, by nearest rank. 0 for nothing.
#[must_use]
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let rank = libm::round(share * last as f64) as usize;
    sorted.get(rank.min(last)).copied().unwrap_or(0.0)
}

/// The arithmetic mean. 0 for nothing.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
