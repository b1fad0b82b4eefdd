//! Drills: a scenario that ran in simulation, on real machines.
//!
//! The same file, the same targets, the same verdicts by the same code. Reading order: `cast` (who
//! there is), `act` (what is done to one, and what undoes it), `plan` (from a fault to acts), `undo`
//! (the list that survives us), `hands` (acts under that list), `lab` (hands for real machines),
//! `clients` and `eyes` (what is measured), `play` (phases over time), `record` (what it came to).
//! Decides nothing about which machines may be touched: whoever
//! starts a drill has settled that.

pub mod act;
pub mod api;
pub mod cast;
pub mod clients;
pub mod eyes;
pub mod hands;
pub mod lab;
pub mod plan;
pub mod play;
pub mod real;
pub mod record;
pub mod undo;
