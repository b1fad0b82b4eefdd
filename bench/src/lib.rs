//! What the benchmarks share. The programs are in `src/bin`, the other simulators in `peers`.
//!
//! Knows how to measure and nothing of what is measured.

pub mod measure;

/// The middle one; of an even number, the upper of the two.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_median_does_not_depend_on_order_or_outliers() {
        assert!((super::median(vec![9e9, 1.0, 3.0, 2.0, -5.0]) - 2.0).abs() < f64::EPSILON);
    }
}
