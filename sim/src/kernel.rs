//! What every simulated world stands on: virtual time and the hash chain of a run.
//!
//! Knows nothing of what the events mean.

mod queue;

pub use queue::Queue;

use quorate_engine::random::mix;

/// The hash chain of a run: equal exactly where the same things happened in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    state: u64,
    links: u64,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            state: 0x5155_4F52_4154_4521,
            links: 0,
        }
    }
}

impl Chain {
    /// Adds one thing that happened: two words that say what and when.
    #[inline]
    pub fn add(&mut self, what: u64, when: u64) {
        let word = what.wrapping_mul(0xD6E8_FEB8_6659_FD93) ^ when.rotate_left(32);
        self.state = mix(self.state ^ word);
        self.links += 1;
    }

    /// The hash of all that was added, in order.
    #[must_use]
    pub fn hash(&self) -> u64 {
        mix(self.state ^ self.links)
    }

    /// How many things were added.
    #[must_use]
    pub fn links(&self) -> u64 {
        self.links
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_tells_order() {
        let (mut a, mut b) = (Chain::default(), Chain::default());
        a.add(1, 10);
        a.add(2, 10);
        b.add(2, 10);
        b.add(1, 10);
        assert_ne!(a.hash(), b.hash());
    }
}
