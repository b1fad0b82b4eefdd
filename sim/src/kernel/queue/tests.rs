//! The queue beside a sorted map, and its edges. Knows the queue's insides only to count places.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Step {
    Put(u64),
    Burst(u64, u8),
    Pop,
    PopUntil(u64),
}

/// Delays from one instant to the end of time, and many that are equal.
fn delay() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => 0..4_u64,
        2 => 0..300_u64,
        4 => 500_000..1_500_000_u64,
        2 => (0..5_u64).prop_map(|minutes| minutes * 60_000_000_000),
        1 => any::<u64>(),
        1 => Just(u64::MAX),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => delay().prop_map(Step::Put),
        1 => (delay(), 1..40_u8).prop_map(|(delay, n)| Step::Burst(delay, n)),
        6 => Just(Step::Pop),
        2 => delay().prop_map(Step::PopUntil),
    ]
}

/// The queue beside a map sorted by (time, order of entry).
#[derive(Default)]
struct Pair {
    queue: Queue<u64>,
    sorted: BTreeMap<(u64, u64), ()>,
    now: u64,
    entered: u64,
}

impl Pair {
    fn put(&mut self, delay: u64) {
        let at = self.now.saturating_add(delay);
        self.queue.after(Span(delay), self.entered);
        self.sorted.insert((at, self.entered), ());
        self.entered += 1;
    }

    fn pop_until(&mut self, until: u64) -> Option<u64> {
        let due = self.sorted.first_key_value().map(|(&key, ())| key);
        match due {
            Some((at, seq)) if at <= until => {
                self.sorted.remove(&(at, seq));
                self.now = at;
                Some(seq)
            }
            _ => {
                self.now = self.now.max(until);
                None
            }
        }
    }

    fn pop(&mut self) -> Option<u64> {
        if self.sorted.is_empty() {
            return None;
        }
        self.pop_until(u64::MAX)
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Put(delay) => self.put(delay),
            Step::Burst(delay, n) => (0..n).for_each(|_| self.put(delay)),
            Step::Pop => assert_eq!(self.queue.pop(), self.pop()),
            Step::PopUntil(delay) => {
                let until = self.now.saturating_add(delay);
                assert_eq!(self.queue.pop_until(Time(until)), self.pop_until(until));
            }
        }
        self.agree();
    }

    fn agree(&self) {
        let next = self.sorted.first_key_value().map(|(&(at, _), ())| Time(at));
        assert_eq!(self.queue.next_at(), next);
        assert_eq!(self.queue.now(), Time(self.now));
        assert_eq!(self.queue.len(), self.sorted.len());
        assert_eq!(self.queue.is_empty(), self.sorted.is_empty());
        assert_eq!(self.queue.scheduled(), self.entered);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn the_order_is_that_of_a_sorted_map(
        steps in prop::collection::vec(step(), 0..400),
    ) {
        let mut pair = Pair::default();
        for step in &steps {
            pair.step(step);
        }
        while !pair.sorted.is_empty() {
            pair.step(&Step::Pop);
        }
        pair.step(&Step::Pop);
    }
}

/// Steady traffic of a large world: messages about 1 ms away beside timers minutes away.
#[test]
fn a_large_world_keeps_the_order() {
    let mut pair = Pair::default();
    let mut stream = quorate_engine::random::Seed(11).stream("queue", "delays");
    for i in 0..3_000 {
        pair.put(if i % 3 == 0 {
            500_000 + stream.below(1_000_000)
        } else {
            i * 100_000_000
        });
    }
    for i in 0..30_000_u64 {
        assert_eq!(pair.queue.pop(), pair.pop());
        let message = 500_000 + stream.below(1_000_000);
        let timer = 60_000_000_000 + stream.below(1_000) * 1_000_000;
        pair.put(if i % 4 == 0 { timer } else { message });
        pair.agree();
    }
    while !pair.sorted.is_empty() {
        pair.step(&Step::Pop);
    }
}

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
    assert!(queue.pop_until(Time::ZERO + Span::from_secs(1)).is_none());
    assert_eq!(queue.now(), Time::ZERO + Span::from_secs(3), "turned back");
}

#[test]
#[should_panic(expected = "was scheduled at 00:03.000")]
fn the_past_is_closed() {
    let mut queue = Queue::default();
    assert!(queue.pop_until(Time::ZERO + Span::from_secs(3)).is_none());
    queue.at(Time::ZERO + Span::from_secs(2), ());
}

/// Places are used again: memory follows what waits, not what has happened.
#[test]
fn memory_follows_what_waits() {
    let mut queue = Queue::default();
    for i in 0..10_u64 {
        queue.after(Span(i), i);
    }
    for i in 0..100_000_u64 {
        assert!(queue.pop().is_some());
        queue.after(Span(i % 977 * 1_000), i);
    }
    assert_eq!(queue.slots.len(), 10);
}
