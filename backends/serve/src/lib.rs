//! Simulated clouds behind their own wire protocols, on loopback.
