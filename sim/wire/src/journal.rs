//! What happened on all hosts, in the order in which it did, and the hash chain over it.
//!
//! One thread runs all hosts one after the other, so the order is a function of the seed.

use quorate_engine::random::hash_name;
use quorate_engine::time::Time;
use quorate_sim::kernel::Chain;
use quorate_sim::outcome::{Note, Track};
use quorate_sim::traffic::Cause;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A request that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) population: usize,
    pub(crate) start: Time,
    pub(crate) end: Time,
    pub(crate) outcome: Result<(), Cause>,
}

#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) chain: Chain,
    pub(crate) requests: Vec<Request>,
    pub(crate) notes: Vec<Note>,
}

/// Shared by all hosts of a run.
#[derive(Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<Kept>>);

/// The time of the run on the host that asks.
pub(crate) fn now() -> Time {
    let elapsed = turmoil::sim_elapsed().expect("only hosts of a run ask");
    Time(elapsed.as_nanos() as u64)
}

impl Journal {
    pub(crate) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line of the timeline.
    pub(crate) fn note(&self, at: Time, track: Track, text: String) {
        let mut kept = self.kept();
        kept.chain.add(hash_name(&text), at.0);
        kept.notes.push(Note { at, track, text });
    }

    /// A DNS message, byte for byte.
    pub(crate) fn message(&self, at: Time, packet: &[u8]) {
        let mut kept = self.kept();
        for word in packet.chunks(8) {
            let mut bytes = [0; 8];
            bytes[..word.len()].copy_from_slice(word);
            kept.chain.add(u64::from_le_bytes(bytes), at.0);
        }
    }

    /// A request has ended.
    pub(crate) fn request(&self, request: Request) {
        let mut kept = self.kept();
        let code = request.outcome.err().map_or(0, |cause| 1 + cause as u64);
        let what = (request.population as u64) << 8 | code;
        kept.chain.add(what, request.start.0);
        kept.chain.add(what, request.end.0);
        kept.requests.push(request);
    }
}
