//! The pure half of Quorate: from manifest to plan to effects.
pub mod diagnostic;
pub mod exec;
pub mod journal;
pub mod manifest;
pub mod plan;
pub mod quorum;
pub mod random;
pub mod resource;
pub mod seam;
pub mod time;
pub mod units;
