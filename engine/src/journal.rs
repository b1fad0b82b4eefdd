//! The journal: the only thing that must survive a crash.
//!
//! Entries are written before what they announce. [`Ledger`] is the fold over them, used alike by
//! a living engine (entry by entry) and by one that recovers (all at once).

use crate::resource::ResourceId;
use crate::seam::{Fault, Key, Verb};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    /// A plan begins to be carried out.
    RunStarted {
        /// Number of the run, from 1.
        run: u32,
        /// Fingerprint of the plan.
        plan: u64,
        /// Its steps.
        steps: u32,
    },
    /// A node got its mesh address, for life.
    Allocated {
        /// The node's machine.
        machine: ResourceId,
        /// Its address.
        address: Ipv4Addr,
    },
    /// A mutating call is about to be made.
    Started {
        /// In which run.
        run: u32,
        /// Index of the step in the plan.
        step: u32,
        /// What is changed.
        resource: ResourceId,
        /// How.
        verb: Verb,
        /// Its idempotency key.
        key: Key,
        /// From 1.
        attempt: u32,
    },
    /// A mutating call was answered.
    Finished {
        /// In which run.
        run: u32,
        /// Index of the step in the plan.
        step: u32,
        /// What was changed.
        resource: ResourceId,
        /// How.
        verb: Verb,
        /// Whether it succeeded.
        outcome: Result<(), Fault>,
    },
    /// A plan was carried out as far as it could be.
    RunEnded {
        /// Which.
        run: u32,
        /// Steps that succeeded.
        done: u32,
        /// Steps that failed for good.
        failed: u32,
        /// Steps that were not tried, because one before them failed or the run was cancelled.
        skipped: u32,
    },
}

/// What the journal says so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Runs begun.
    pub runs: u32,
    /// Mesh addresses, for life.
    pub addresses: BTreeMap<ResourceId, Ipv4Addr>,
    /// How often each resource was surely made: part of its next key.
    pub incarnations: BTreeMap<ResourceId, u32>,
    /// Mutating calls announced and not answered, or answered with an unknown outcome.
    pub in_flight: BTreeMap<ResourceId, Verb>,
}
