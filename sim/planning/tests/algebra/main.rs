//! The algebra of availability against enumeration, published figures, and its own simulation.

mod dynamics;
mod exact;
mod formulas;
