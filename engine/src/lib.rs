//! The pure half of Quorate: from manifest to plan to effects.

pub mod catalog;
pub mod check;
pub mod diagnostic;
pub mod document;
pub mod drift;
pub mod engine;
pub mod exec;
pub mod graph;
pub mod journal;
pub mod manifest;
pub mod mesh;
pub mod observed;
pub mod plan;
pub mod quorum;
pub mod random;
pub mod resource;
pub mod seam;
pub mod time;
pub mod timing;
pub mod topology;
pub mod units;
pub mod yaml;
