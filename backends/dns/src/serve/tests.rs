//! The server over loopback.
