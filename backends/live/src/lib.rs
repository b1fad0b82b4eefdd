//! The engine against the real world: the driver, the state store, the lock.
