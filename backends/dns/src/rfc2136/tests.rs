//! The adapter against a server of our own.
