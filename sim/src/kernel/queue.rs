//! Virtual time: a queue of events ordered by time and then by the order in which they were put in.
//!
//! Knows nothing of what the events mean. No float and no hash takes part in the order.
//!
//! A simulation never schedules into its past, so a general heap does more than it must. This is
//! a radix heap (Ahuja, Mehlhorn, Orlin, Tarjan 1990) with digits of six bits, laid out like the
//! hierarchical timing wheel of Varghese and Lauck (1987), at a resolution of one nanosecond: an
//! event waits in the bucket named by the highest digit in which its time differs from a floor
//! that no event is below, and by the value of that digit. The earliest events are in the
//! lowest bucket. When that bucket is crowded, the floor rises to its earliest time and its
//! events move to lower levels; each event moves at most once for each digit of its delay.
//!
//! Order of entry needs no sequence number: events of one instant always share a bucket, buckets
//! are lists in order of entry, and a crowded bucket is emptied from the front into empty ones.

use quorate_engine::time::{Span, Time};

/// Bits of a digit: one word of 64 bits says which buckets of a level hold something.
const DIGIT_BITS: u32 = 6;
const DIGITS: usize = 1 << DIGIT_BITS;
/// Enough digits for 64 bits.
const LEVELS: usize = 64_usize.div_ceil(DIGIT_BITS as usize);
/// A bucket with more events than this is spread over lower levels instead of searched.
const CROWD: u32 = 4;
/// No slot: the end of a list.
const NONE: u32 = u32::MAX;

/// An event in its place, or a free place.
struct Slot<E> {
    at: u64,
    next: u32,
    event: Option<E>,
}

/// Events in order of entry: a list through the slots, and the earliest time in it.
#[derive(Clone, Copy)]
struct Bucket {
    earliest: u64,
    head: u32,
    tail: u32,
    len: u32,
}

const EMPTY: Bucket = Bucket {
    earliest: u64::MAX,
    head: NONE,
    tail: NONE,
    len: 0,
};

/// Events to come, in the order in which they will happen.
///
/// Putting in and taking out cost the same whatever the number of events; memory follows the
/// greatest number of events that ever waited together.
pub struct Queue<E> {
    now: Time,
    scheduled: u64,
    waiting: usize,
    /// No waiting event is below it and it is never after `now`.
    floor: u64,
    /// Which levels hold something, one bit each.
    levels: u16,
    /// Which buckets of a level hold something.
    digits: [u64; LEVELS],
    buckets: Box<[Bucket]>,
    slots: Vec<Slot<E>>,
    /// The list of free slots: the one that was freed last is in the nearest cache.
    free: u32,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self {
            now: Time::ZERO,
            scheduled: 0,
            waiting: 0,
            floor: 0,
            levels: 0,
            digits: [0; LEVELS],
            buckets: vec![EMPTY; LEVELS * DIGITS].into_boxed_slice(),
            slots: Vec::new(),
            free: NONE,
        }
    }
}

impl<E> Queue<E> {
    /// The instant of the event that was taken out last, or that [`Queue::pop_until`] went to.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// How many events were ever put in.
    #[must_use]
    pub fn scheduled(&self) -> u64 {
        self.scheduled
    }

    /// How many events wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// True where no event waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.levels == 0
    }

    /// Puts an event `delay` after now.
    #[inline]
    pub fn after(&mut self, delay: Span, event: E) {
        self.at(self.now + delay, event);
    }

    /// Puts an event at an instant.
    ///
    /// # Panics
    /// If the instant has passed: that is our bug, never the scenario's.
    #[inline]
    pub fn at(&mut self, at: Time, event: E) {
        assert!(
            at >= self.now,
            "an event at {at} was scheduled at {}",
            self.now
        );
        if self.levels == 0 {
            self.floor = self.now.0;
        }
        let slot = self.occupy(at.0, event);
        self.append(slot, at.0);
        self.scheduled += 1;
        self.waiting += 1;
    }

    /// The instant of the next event.
    #[must_use]
    #[inline]
    pub fn next_at(&self) -> Option<Time> {
        let (level, digit) = self.lowest()?;
        Some(Time(self.buckets[level * DIGITS + digit].earliest))
    }

    /// Takes the next event out and moves the clock to it.
    #[inline]
    pub fn pop(&mut self) -> Option<E> {
        let (level, digit) = self.lowest()?;
        Some(self.take(level, digit))
    }

    /// Takes the next event out if it is due by `until`; else moves the clock to `until`.
    #[inline]
    pub fn pop_until(&mut self, until: Time) -> Option<E> {
        if let Some((level, digit)) = self.lowest()
            && self.buckets[level * DIGITS + digit].earliest <= until.0
        {
            return Some(self.take(level, digit));
        }
        self.now = self.now.max(until);
        None
    }

    /// The bucket of the earliest event.
    #[inline]
    fn lowest(&self) -> Option<(usize, usize)> {
        if self.levels == 0 {
            return None;
        }
        let level = self.levels.trailing_zeros() as usize;
        Some((level, self.digits[level].trailing_zeros() as usize))
    }

    /// Takes the first of the earliest events out of the lowest bucket.
    #[inline]
    fn take(&mut self, level: usize, digit: usize) -> E {
        let bucket = self.buckets[level * DIGITS + digit];
        assert!(bucket.earliest >= self.now.0, "time went backwards");
        let slot = if bucket.len == 1 {
            self.clear(level, digit);
            bucket.head
        } else if level == 0 {
            // Events of one instant: the first is the head.
            self.unlink(level, digit, NONE, bucket.head)
        } else if bucket.len <= CROWD {
            self.search(level, digit)
        } else {
            self.spread(level, digit)
        };
        self.now = Time(bucket.earliest);
        self.waiting -= 1;
        self.vacate(slot)
    }

    /// Unlinks the first of the earliest events of a bucket, and finds what is earliest then.
    fn search(&mut self, level: usize, digit: usize) -> u32 {
        let bucket = self.buckets[level * DIGITS + digit];
        let (mut before, mut slot) = (NONE, bucket.head);
        let (mut found, mut before_found) = (NONE, NONE);
        let mut earliest = u64::MAX;
        while slot != NONE {
            let Slot { at, next, .. } = self.slots[slot as usize];
            if at == bucket.earliest && found == NONE {
                (found, before_found) = (slot, before);
            } else {
                earliest = earliest.min(at);
            }
            (before, slot) = (slot, next);
        }
        assert_ne!(found, NONE, "a bucket does not hold its earliest event");
        let slot = self.unlink(level, digit, before_found, found);
        self.buckets[level * DIGITS + digit].earliest = earliest;
        slot
    }

    /// Raises the floor to the earliest event of the lowest bucket, takes out the first such
    /// event, and moves the others to lower levels, all of which are empty.
    fn spread(&mut self, level: usize, digit: usize) -> u32 {
        let bucket = self.buckets[level * DIGITS + digit];
        self.clear(level, digit);
        self.floor = bucket.earliest;
        let mut first = NONE;
        let mut slot = bucket.head;
        while slot != NONE {
            let Slot { at, next, .. } = self.slots[slot as usize];
            if at == bucket.earliest && first == NONE {
                first = slot;
            } else {
                self.append(slot, at);
            }
            slot = next;
        }
        assert_ne!(first, NONE, "a bucket does not hold its earliest event");
        first
    }

    /// Puts a slot at the end of its bucket.
    #[inline]
    fn append(&mut self, slot: u32, at: u64) {
        let differing = (at ^ self.floor) | 1;
        let level = (differing.ilog2() / DIGIT_BITS) as usize;
        let digit = (at >> (level as u32 * DIGIT_BITS)) as usize % DIGITS;
        self.slots[slot as usize].next = NONE;
        let bucket = &mut self.buckets[level * DIGITS + digit];
        let tail = std::mem::replace(&mut bucket.tail, slot);
        bucket.earliest = bucket.earliest.min(at);
        bucket.len += 1;
        if tail == NONE {
            bucket.head = slot;
            self.digits[level] |= 1 << digit;
            self.levels |= 1 << level;
        } else {
            self.slots[tail as usize].next = slot;
        }
    }

    /// Takes `slot`, which follows `before`, out of a bucket that holds another one.
    #[inline]
    fn unlink(&mut self, level: usize, digit: usize, before: u32, slot: u32) -> u32 {
        let next = self.slots[slot as usize].next;
        let bucket = &mut self.buckets[level * DIGITS + digit];
        bucket.len -= 1;
        if next == NONE {
            bucket.tail = before;
        }
        if before == NONE {
            bucket.head = next;
        } else {
            self.slots[before as usize].next = next;
        }
        slot
    }

    #[inline]
    fn clear(&mut self, level: usize, digit: usize) {
        self.buckets[level * DIGITS + digit] = EMPTY;
        self.digits[level] &= !(1 << digit);
        if self.digits[level] == 0 {
            self.levels &= !(1 << level);
        }
    }

    #[inline]
    fn occupy(&mut self, at: u64, event: E) -> u32 {
        let slot = self.free;
        if slot == NONE {
            return self.grow(at, event);
        }
        let place = &mut self.slots[slot as usize];
        self.free = place.next;
        place.at = at;
        place.event = Some(event);
        slot
    }

    #[cold]
    fn grow(&mut self, at: u64, event: E) -> u32 {
        let slot = u32::try_from(self.slots.len()).expect("fewer than 2^32 events wait");
        assert_ne!(slot, NONE, "fewer than 2^32 - 1 events wait");
        self.slots.push(Slot {
            at,
            next: NONE,
            event: Some(event),
        });
        slot
    }

    #[inline]
    fn vacate(&mut self, slot: u32) -> E {
        let place = &mut self.slots[slot as usize];
        place.next = self.free;
        self.free = slot;
        place.event.take().expect("a bucket lists full slots only")
    }
}

#[cfg(test)]
mod tests;
