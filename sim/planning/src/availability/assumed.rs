//! Assumptions as numbers: their values, their ends, and draws from their ranges.
//!
//! A range is a lognormal in two pieces: the median is the value, `low` and `high` are the 5th and
//! the 95th percentile, so that a skewed range stays as it was written. Shares stop at 1.

use crate::data::{Assumption, Data};
use quorate_engine::random::{Seed, hash_name};
use std::collections::BTreeMap;

/// 95 % of a standard normal distribution lie below.
const Z95: f64 = 1.644_853_626_951_472_7;

/// Every assumption with the value it has here.
#[derive(Debug, Clone)]
pub(super) struct Assumed<'a> {
    known: BTreeMap<&'a str, (&'a Assumption, f64)>,
}

impl<'a> Assumed<'a> {
    pub(super) fn of(data: &'a Data) -> Self {
        let all = data.assumptions.iter();
        let known = all.map(|one| (one.key.as_str(), (one, one.value)));
        Self {
            known: known.collect(),
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.known.contains_key(key)
    }

    pub(super) fn row(&self, key: &str) -> Option<&'a Assumption> {
        self.known.get(key).map(|known| known.0)
    }

    /// # Panics
    /// If the tables have no such row: the built-in ones have, and users' only replace rows.
    pub(super) fn value(&self, key: &str) -> f64 {
        match self.known.get(key) {
            Some((_, value)) => *value,
            None => panic!("the tables have the assumption `{key}`"),
        }
    }

    /// The same with one value changed.
    pub(super) fn with(&self, key: &str, value: f64) -> Self {
        let mut changed = self.clone();
        if let Some(known) = changed.known.get_mut(key) {
            known.1 = value;
        }
        changed
    }

    /// All drawn from their ranges. Each has a stream of its own: the same sample of the same seed
    /// is the same for every design.
    pub(super) fn drawn(&self, seed: Seed, sample: u32) -> Self {
        let mut drawn = self.clone();
        for (key, (row, value)) in &mut drawn.known {
            let entity = hash_name(key).wrapping_add(u64::from(sample));
            let mut stream = seed.stream_of(entity, "assumption");
            *value = at(row, stream.normal());
        }
        drawn
    }
}

/// The value so many standard deviations from the median.
fn at(row: &Assumption, z: f64) -> f64 {
    let end = if z < 0.0 { row.low } else { row.high };
    let part = z.abs() / Z95;
    let value = if row.value > 0.0 && end > 0.0 {
        row.value * libm::exp(part * libm::log(end / row.value))
    } else {
        (row.value + part * (end - row.value)).max(0.0)
    };
    match row.unit == "share" {
        true => value.min(1.0),
        false => value,
    }
}
