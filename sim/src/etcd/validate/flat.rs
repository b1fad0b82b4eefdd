//! The plainest surroundings: all members equally far from each other, all disks equally fast,
//! and paths that can be cut in either direction.

use crate::etcd::cluster::{Etcd, EtcdEvent, EtcdNote, Ground};
use crate::etcd::member_id::{MemberId, Members};
use crate::kernel::Queue;
use quorate_engine::time::{Span, Time};

/// A flat world, with everything that was noted in it.
pub struct Flat {
    queue: Queue<EtcdEvent>,
    one_way: Span,
    fsync: Span,
    cuts: Vec<Members>,
    /// What happened, and when.
    pub notes: Vec<(Time, EtcdNote)>,
}

impl Flat {
    /// Every message takes `one_way`, every write `fsync`.
    #[must_use]
    pub fn new(one_way: Span, fsync: Span) -> Self {
        Self {
            queue: Queue::default(),
            one_way,
            fsync,
            cuts: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Cuts the way from `from` to `to`; the way back stays.
    pub fn cut(&mut self, from: MemberId, to: MemberId) {
        if self.cuts.len() <= from.at() {
            self.cuts.resize(from.at() + 1, Members::NONE);
        }
        self.cuts[from.at()] = self.cuts[from.at()].with(to);
    }

    /// Cuts `member` off from all of `others`, both ways.
    pub fn isolate(&mut self, member: MemberId, others: Members) {
        for other in others.without(member) {
            self.cut(member, other);
            self.cut(other, member);
        }
    }

    /// All ways work again.
    pub fn heal(&mut self) {
        self.cuts.clear();
    }

    /// The next event due by `until`; without one the clock moves there.
    pub fn next(&mut self, until: Time) -> Option<EtcdEvent> {
        self.queue.pop_until(until)
    }

    /// Lets the cluster live until `until`.
    pub fn run(&mut self, etcd: &mut Etcd, until: Time) {
        while let Some(event) = self.queue.pop_until(until) {
            etcd.handle(self, event);
        }
    }

    /// Lets the cluster live until something is noted that `wanted` accepts, or until `until`.
    pub fn run_until(
        &mut self,
        etcd: &mut Etcd,
        until: Time,
        wanted: impl Fn(&EtcdNote) -> bool,
    ) -> Option<Time> {
        let mut read = self.notes.len();
        loop {
            if let Some((at, _)) = self.notes[read..].iter().find(|(_, note)| wanted(note)) {
                return Some(*at);
            }
            read = self.notes.len();
            let event = self.queue.pop_until(until)?;
            etcd.handle(self, event);
        }
    }
}

impl Ground for Flat {
    fn now(&self) -> Time {
        self.queue.now()
    }

    fn after(&mut self, delay: Span, event: EtcdEvent) {
        self.queue.after(delay, event);
    }

    fn carry(&mut self, from: MemberId, to: MemberId) -> Option<Span> {
        let cut = self.cuts.get(from.at()).is_some_and(|row| row.contains(to));
        (!cut).then_some(self.one_way)
    }

    fn fsync(&mut self, _: MemberId) -> Span {
        self.fsync
    }

    fn note(&mut self, note: EtcdNote) {
        self.notes.push((self.queue.now(), note));
    }
}
