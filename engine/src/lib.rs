//! The pure half of Quorate: from manifest to plan to effects.
pub mod diagnostic;
pub mod document;
pub mod manifest;
pub mod random;
pub mod time;
pub mod units;
pub mod yaml;
