//! The event queue of the simulation core beside a binary heap on (time, sequence).
//!
//! Each workload keeps a number of events waiting: one is taken out, one put in (the "hold"
//! model of Jones 1986). Prints nanoseconds for such a pair. Knows nothing of any protocol.

use quorate_engine::random::{Seed, Stream};
use quorate_engine::time::{Span, Time};
use quorate_sim::kernel::Queue;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// As large as the events of a simulated world.
type Event = [u64; 4];
/// How long each workload is measured, three times over.
const WALL: Duration = Duration::from_millis(150);

trait Agenda: Default {
    fn put(&mut self, delay: Span, event: Event);
    fn take(&mut self) -> Event;
    fn now(&self) -> Time;
}

impl Agenda for Queue<Event> {
    fn put(&mut self, delay: Span, event: Event) {
        self.after(delay, event);
    }
    fn take(&mut self) -> Event {
        self.pop().expect("an event waits")
    }
    fn now(&self) -> Time {
        Queue::now(self)
    }
}

#[derive(Default)]
struct Heap {
    now: Time,
    sequence: u64,
    heap: BinaryHeap<Reverse<(Time, u64, Event)>>,
}

impl Agenda for Heap {
    fn put(&mut self, delay: Span, event: Event) {
        self.heap
            .push(Reverse((self.now + delay, self.sequence, event)));
        self.sequence += 1;
    }
    fn take(&mut self) -> Event {
        let Reverse((at, _, event)) = self.heap.pop().expect("an event waits");
        self.now = at;
        event
    }
    fn now(&self) -> Time {
        self.now
    }
}

/// What waits, and how far ahead a new event is.
struct Workload {
    name: &'static str,
    waiting: usize,
    delay: fn(&mut Stream) -> Span,
}

/// A message of 1 ms on average.
fn message(stream: &mut Stream) -> Span {
    stream.between(Span::from_us(500), Span::from_us(1_500))
}

/// Mostly messages; each twentieth event is a client's timer, up to ten minutes ahead.
fn mixed(stream: &mut Stream) -> Span {
    if stream.below(20) == 0 {
        stream.between(Span::from_secs(1), Span::from_secs(600))
    } else {
        message(stream)
    }
}

/// All at the next multiple of 1 ms: many events of one instant.
fn same_instant(stream: &mut Stream) -> Span {
    Span::from_ms(stream.below(2))
}

const WORKLOADS: [Workload; 8] = [
    Workload {
        name: "messages",
        waiting: 4,
        delay: message,
    },
    Workload {
        name: "messages",
        waiting: 100,
        delay: message,
    },
    Workload {
        name: "messages",
        waiting: 1_000,
        delay: message,
    },
    Workload {
        name: "messages",
        waiting: 100_000,
        delay: message,
    },
    Workload {
        name: "mixed horizons",
        waiting: 100,
        delay: mixed,
    },
    Workload {
        name: "mixed horizons",
        waiting: 10_000,
        delay: mixed,
    },
    Workload {
        name: "mixed horizons",
        waiting: 1_000_000,
        delay: mixed,
    },
    Workload {
        name: "same instant",
        waiting: 1_000,
        delay: same_instant,
    },
];

/// Nanoseconds for one event taken out and one put in: the median of three measurements.
fn hold<A: Agenda>(workload: &Workload) -> f64 {
    let mut agenda = A::default();
    let mut stream = Seed(7).stream(workload.name, "delays");
    for i in 0..workload.waiting as u64 {
        agenda.put((workload.delay)(&mut stream), [i; 4]);
    }
    let mut rates = [0.0; 3];
    for rate in &mut rates {
        let start = Instant::now();
        let mut pairs = 0_u64;
        while start.elapsed() < WALL {
            for _ in 0..10_000 {
                let event = agenda.take();
                agenda.put((workload.delay)(&mut stream), event);
            }
            pairs += 10_000;
        }
        *rate = start.elapsed().as_nanos() as f64 / pairs as f64;
    }
    assert!(agenda.now() > Time::ZERO, "time stood still");
    rates.sort_unstable_by(f64::total_cmp);
    rates[1]
}

fn main() {
    println!(
        "{:<16} {:>9} {:>10} {:>10} {:>9}",
        "workload", "waiting", "queue ns", "heap ns", "quotient"
    );
    for workload in &WORKLOADS {
        let (queue, heap) = (hold::<Queue<Event>>(workload), hold::<Heap>(workload));
        println!(
            "{:<16} {:>9} {:>10.1} {:>10.1} {:>9.2}",
            workload.name,
            workload.waiting,
            queue,
            heap,
            heap / queue
        );
    }
}
