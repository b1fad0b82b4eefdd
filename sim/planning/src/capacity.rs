//! What still fits: now, without each failure domain, and when a growing load is too much.
