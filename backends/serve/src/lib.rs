//! Simulated clouds behind their own wire protocols, on loopback.
//!
//! Adapters and the vendors' own clients talk to them as to the real thing. What they do with time
//! and luck comes from the profiles of [`quorate_sim::cloud`]; what they say comes from the
//! vendors' documents. Each vendor's model is a state machine that gets instants as arguments; this
//! crate puts one behind a socket, with a clock that runs as fast as is asked for, and lets it fail
//! in the words of a scenario.
//!
//! They prove nothing about the vendors: what is modelled is what is documented.

mod clock;
mod faults;
mod hetzner;
mod line;
mod server;
mod wire;
mod world;

pub use faults::{Fault, FaultFile, FaultId, FaultVerb, Place, Requests, read as read_faults};
pub use server::{Handle, serve};

use quorate_engine::time::{Span, Time};
use std::collections::BTreeMap;

/// How a simulated cloud is set up.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Whose wire protocol it speaks.
    pub vendor: Vendor,
    /// The one token that is accepted; without it any is, and none is not.
    pub token: Option<String>,
    /// How many times as fast as real time it lives.
    pub speed: f64,
    /// Of all that is drawn: times, losses.
    pub seed: u64,
    /// Requests that may come at once, and the time until one more is allowed; by default the
    /// vendor's own.
    pub limit: Option<(u32, Span)>,
    /// How many machines the account may have; by default as many as it likes.
    pub machines: Option<u32>,
    /// What goes wrong from the beginning on.
    pub faults: Vec<Fault>,
}

impl Settings {
    /// As the vendor's own, in real time.
    #[must_use]
    pub fn new(vendor: Vendor) -> Self {
        Self {
            vendor,
            token: None,
            speed: 1.0,
            seed: 1,
            limit: None,
            machines: None,
            faults: Vec::new(),
        }
    }
}

/// Clouds that can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    /// Hetzner Cloud, as of October 2026.
    Hetzner,
}

/// Something that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thing {
    /// The vendor's word, in the singular: `server`, `network`.
    pub kind: String,
    /// The vendor's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its labels or tags.
    pub labels: BTreeMap<String, String>,
    /// The vendor's word for its state; empty where it has none.
    pub state: String,
    /// Addresses in private networks.
    pub private: Vec<std::net::Ipv4Addr>,
    /// What it was told at its making: cloud-init's user data.
    pub user_data: Option<String>,
}

/// A request that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Since the server's start, by its own clock.
    pub at: Time,
    /// `GET`, `POST`, ...
    pub method: String,
    /// Without the version of the API and without the query.
    pub path: String,
    /// How it ended.
    pub ended: Ended,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With this status.
    Answered(u16),
    /// It was carried out, with this status, which nobody heard.
    Unheard(u16),
    /// The connection ended before it was carried out.
    Dropped,
    /// Not carried out, and nothing came back.
    Ignored,
}
