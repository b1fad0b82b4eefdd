//! What the benchmarks share. The programs are in `src/bin`, the other simulators in `peers`.
//!
//! Knows how to measure and nothing of what is measured.
pub mod measure;
