//! The userspace WireGuard agent on boringtun.
