//! What a leader knows of one follower's log, after etcd's `tracker.Progress`.
//!
//! Knows positions only; sending is the member's business.

use super::log::Index;

/// How entries are sent to a follower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// One append at a time, until the follower's position is known.
    Probe {
        /// An append is under way: wait for the answer or the next heartbeat's.
        paused: bool,
    },
    /// Entries are sent as they come, without waiting.
    Replicate,
    /// A snapshot up to this position is under way.
    Snapshot {
        /// The snapshot's last position.
        pending: Index,
    },
}

/// One follower, as its leader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The follower holds the leader's log up to here.
    pub matched: Index,
    /// The next entry to send.
    pub next: Index,
    /// The way of sending.
    pub flow: Flow,
    /// Heard from since the last CheckQuorum.
    pub active: bool,
}

impl Progress {
    /// Nothing known; sending would begin at `next`.
    #[must_use]
    pub const fn new(next: Index) -> Self {
        Self {
            matched: 0,
            next,
            flow: Flow::Probe { paused: false },
            active: false,
        }
    }

    /// Whether nothing may be sent now.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        match self.flow {
            Flow::Probe { paused } => paused,
            Flow::Replicate => false,
            Flow::Snapshot { .. } => true,
        }
    }

    /// A heartbeat was answered: one more probe may go.
    pub fn resume(&mut self) {
        if let Flow::Probe { paused } = &mut self.flow {
            *paused = false;
        }
    }

    /// Entries up to `last` were sent.
    pub fn sent(&mut self, last: Index) {
        match &mut self.flow {
            Flow::Probe { paused } => *paused = true,
            Flow::Replicate => self.next = last + 1,
            Flow::Snapshot { .. } => panic!("entries were sent while a snapshot is under way"),
        }
    }

    /// The follower acknowledged `last`. Whether that was news.
    pub fn acknowledged(&mut self, last: Index) -> bool {
        let news = self.matched < last;
        if news {
            self.matched = last;
            self.resume();
        }
        self.next = self.next.max(last + 1);
        if news {
            match self.flow {
                Flow::Probe { .. } => self.replicate(),
                Flow::Snapshot { pending } if self.matched >= pending => self.probe(),
                Flow::Snapshot { .. } | Flow::Replicate => {}
            }
        }
        news
    }

    /// The follower refused `prev` and hinted at `hint`. Whether that was news.
    pub fn refused(&mut self, prev: Index, hint: Index) -> bool {
        match self.flow {
            Flow::Replicate => {
                let news = prev > self.matched;
                if news {
                    self.probe();
                }
                news
            }
            Flow::Probe { .. } | Flow::Snapshot { .. } => {
                if self.next != prev + 1 {
                    return false;
                }
                self.next = prev.min(hint + 1).max(1);
                self.resume();
                true
            }
        }
    }

    /// Back to one append at a time.
    pub fn probe(&mut self) {
        self.next = match self.flow {
            Flow::Snapshot { pending } => self.matched.max(pending) + 1,
            Flow::Probe { .. } | Flow::Replicate => self.matched + 1,
        };
        self.flow = Flow::Probe { paused: false };
    }

    /// From now on without waiting.
    pub fn replicate(&mut self) {
        self.flow = Flow::Replicate;
        self.next = self.matched + 1;
    }

    /// The transport says what became of a snapshot.
    pub fn snapshot_ended(&mut self, delivered: bool) {
        if let Flow::Snapshot { pending } = &mut self.flow {
            if !delivered {
                *pending = 0;
            }
            self.probe();
            // Wait for the next heartbeat's answer before probing, as etcd does.
            self.flow = Flow::Probe { paused: true };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_waits_and_an_acknowledgement_opens_the_flow() {
        let mut p = Progress::new(8);
        p.sent(9);
        assert!(p.is_paused());
        assert!(p.refused(7, 3));
        assert_eq!((p.next, p.is_paused()), (4, false));
        assert!(!p.refused(7, 3), "the same refusal again is old");
        assert!(p.acknowledged(6));
        assert_eq!((p.flow, p.next), (Flow::Replicate, 7));
        p.sent(9);
        assert!(!p.acknowledged(6));
        assert_eq!(p.next, 10);
        assert!(p.refused(9, 6));
        assert_eq!((p.flow, p.next), (Flow::Probe { paused: false }, 7));
    }

    #[test]
    fn a_lost_snapshot_starts_again_from_what_is_known() {
        let mut p = Progress::new(1);
        p.flow = Flow::Snapshot { pending: 50 };
        p.snapshot_ended(false);
        assert_eq!((p.next, p.is_paused()), (1, true));
        p.flow = Flow::Snapshot { pending: 50 };
        p.snapshot_ended(true);
        assert_eq!((p.next, p.is_paused()), (51, true));
    }
}
