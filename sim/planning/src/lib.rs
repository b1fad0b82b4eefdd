//! Planning reports: what a design can take, in figures one can defend, before money is spent.
//!
//! Pure, like the engine and the simulation: a manifest and dated data go in, a
//! [`report::Report`] comes out. Reading order: `data` (what is assumed, and who says so), `design`
//! (a manifest as a set of failure domains), one module for each section of the report, `report`
//! (all of them), `page` (tables and charts, for whoever prints them).

pub mod advice;
pub mod algebra;
pub mod availability;
pub mod capacity;
pub mod change;
pub mod compare;
pub mod data;
pub mod design;
pub mod distance;
pub mod failures;
pub mod objectives;
pub mod page;
pub mod placing;
pub mod price;
pub mod proof;
pub mod recovery;
pub mod report;
