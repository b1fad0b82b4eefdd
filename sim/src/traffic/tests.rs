//! Tests of traffic as a whole, on a small world of their own.

mod balancing;
mod connecting;
mod lab;
mod naming;
mod speed;
