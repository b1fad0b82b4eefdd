//! The pure half of Quorate: from manifest to plan to effects.
pub mod random;
pub mod time;
