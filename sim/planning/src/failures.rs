//! The failure table: what is left without each failure domain.
