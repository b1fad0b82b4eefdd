//! Votes and hysteresis.
