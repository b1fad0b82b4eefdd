//! Virtual time: a queue of events ordered by (time, sequence), and the hash chain of a run.
//!
//! Knows nothing of what the events mean. No float takes part in ordering; two events at one
//! instant happen in the order in which they were put in.

use quorate_engine::random::mix;
use quorate_engine::time::{Span, Time};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

struct Entry<E> {
    at: u64,
    seq: u64,
    event: E,
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.seq) == (other.at, other.seq)
    }
}
impl<E> Eq for Entry<E> {}
impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
/// Reversed: the standard heap yields the greatest, and the earliest must come first.
impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.seq).cmp(&(self.at, self.seq))
    }
}

/// Events to come, in the order in which they will happen.
pub struct Queue<E> {
    now: Time,
    seq: u64,
    heap: BinaryHeap<Entry<E>>,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self {
            now: Time::ZERO,
            seq: 0,
            heap: BinaryHeap::new(),
        }
    }
}

impl<E> Queue<E> {
    /// The instant of the event that was taken out last.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// How many events were ever put in.
    #[must_use]
    pub fn scheduled(&self) -> u64 {
        self.seq
    }

    /// Puts an event `delay` after now.
    pub fn after(&mut self, delay: Span, event: E) {
        self.at(self.now + delay, event);
    }

    /// Puts an event at an instant.
    ///
    /// # Panics
    /// If the instant has passed: that is our bug, never the scenario's.
    pub fn at(&mut self, at: Time, event: E) {
        assert!(
            at >= self.now,
            "an event at {at} was scheduled at {}",
            self.now
        );
        self.heap.push(Entry {
            at: at.0,
            seq: self.seq,
            event,
        });
        self.seq += 1;
    }

    /// The instant of the next event.
    #[must_use]
    pub fn next_at(&self) -> Option<Time> {
        self.heap.peek().map(|entry| Time(entry.at))
    }

    /// Takes the next event out and moves the clock to it.
    pub fn pop(&mut self) -> Option<E> {
        let entry = self.heap.pop()?;
        self.now = Time(entry.at);
        Some(entry.event)
    }

    /// Takes the next event out if it is due by `until`; else moves the clock to `until`.
    pub fn pop_until(&mut self, until: Time) -> Option<E> {
        if self.next_at().is_some_and(|at| at <= until) {
            return self.pop();
        }
        self.now = self.now.max(until);
        None
    }
}

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
    fn events_come_out_by_time_and_then_by_order_of_entry() {
        let mut queue = Queue::default();
        for (ms, name) in [(5, "c"), (1, "a"), (5, "d"), (2, "b")] {
            queue.after(Span::from_ms(ms), name);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, ["a", "b", "c", "d"]);
        assert_eq!(queue.now(), Time::ZERO + Span::from_ms(5));
    }

    #[test]
    fn the_clock_stops_where_it_was_told_to() {
        let mut queue = Queue::default();
        queue.after(Span::from_secs(10), ());
        assert!(queue.pop_until(Time::ZERO + Span::from_secs(3)).is_none());
        assert_eq!(queue.now(), Time::ZERO + Span::from_secs(3));
    }

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
