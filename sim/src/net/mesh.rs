//! Sessions of the WireGuard mesh, as far as they delay a path that opens again.
//!
//! A session lives 180 s without a handshake (`REJECT_AFTER_TIME`). A path that was cut for less
//! goes on at once; after more, the first packet starts a handshake, and the side that has been
//! trying repeats it every 5 s (`REKEY_TIMEOUT`, plus up to a third of a second of jitter). Both
//! sides try, unless one is behind NAT and can only dial out. Timers: WireGuard paper, section 6.

use quorate_engine::random::{Seed, mix};
use quorate_engine::time::{Span, Time};
use std::collections::BTreeMap;

/// `REJECT_AFTER_TIME`.
const REJECT_AFTER: Span = Span::from_secs(180);

/// `REKEY_TIMEOUT` and its jitter.
const REKEY_TIMEOUT: Span = Span::from_ms(5_333);

/// What is known of one direction of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Session {
    /// When the path was cut; none while it is open.
    cut_at: Option<Time>,
    /// How often it came back.
    revivals: u32,
}

/// All sessions that were ever cut, by ordered pair of endpoints.
#[derive(Debug, Clone)]
pub(super) struct Sessions {
    seed: Seed,
    cut: BTreeMap<(usize, usize), Session>,
}

impl Sessions {
    pub(super) fn new(seed: Seed) -> Self {
        Self {
            seed,
            cut: BTreeMap::new(),
        }
    }

    pub(super) fn broken(&mut self, now: Time, from: usize, to: usize) {
        let fresh = Session {
            cut_at: None,
            revivals: 0,
        };
        let session = self.cut.entry((from, to)).or_insert(fresh);
        assert!(session.cut_at.is_none(), "a path is cut once at a time");
        session.cut_at = Some(now);
    }

    /// When a path that opens now carries packets again, both directions of a pair at one instant.
    pub(super) fn restored(
        &mut self,
        now: Time,
        (from, to): (usize, usize),
        round: Span,
        nat: bool,
    ) -> Time {
        let session = self.cut.get_mut(&(from, to)).expect("it was cut");
        let cut_at = session.cut_at.take().expect("it was cut");
        session.revivals += 1;
        if now.since(cut_at) < REJECT_AFTER {
            return now;
        }
        let pair = (from.min(to) as u64) << 32 | from.max(to) as u64;
        let key = mix(pair) ^ u64::from(session.revivals);
        let mut luck = self.seed.stream_of(key, "mesh-handshake");
        let tries = [luck.below(REKEY_TIMEOUT.0), luck.below(REKEY_TIMEOUT.0)];
        let first = if nat {
            tries[0]
        } else {
            tries[0].min(tries[1])
        };
        now + Span(first) + round
    }
}
