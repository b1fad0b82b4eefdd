//! What the benchmarks share. The programs are in `src/bin`, the other simulators in `peers`.
//!
//! Knows how to measure, and clusters to measure with.

pub mod clusters;
pub mod measure;

use std::time::Duration;

/// The most memory this process ever had resident, in bytes: `VmHWM` of Linux.
///
/// # Panics
/// Where the system is not Linux.
#[must_use]
pub fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has /proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib
        .and_then(|kib| kib.parse().ok())
        .expect("VmHWM is in kB");
    kib * 1024
}

/// How long the main thread has run on a core: other programs on the machine do not count, though
/// they share its caches. The first figure of Linux's `schedstat`.
///
/// # Panics
/// Where the system is not Linux.
#[must_use]
pub fn time_on_core() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").expect("Linux has /proc");
    let ns = text.split(' ').next().and_then(|text| text.parse().ok());
    Duration::from_nanos(ns.expect("schedstat begins with nanoseconds"))
}

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
