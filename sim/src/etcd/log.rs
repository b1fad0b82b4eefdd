//! Entries and logs.
//!
//! All entries of a run live in one tree: each knows its predecessor, so the last entry of a log
//! names the whole log, and a message that replicates entries carries one number. A member's log
//! is a path in that tree, held with its indices. Knows nothing of elections or messages.

use super::member_id::{Change, Config, MemberId};
use quorate_engine::random::mix;
use std::collections::VecDeque;
use std::num::NonZeroU32;

/// Raft's term.
pub type Term = u32;
/// Position in a log; 0 is the empty start.
pub type Index = u32;

/// An entry, by the order in which it came into being in this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId(NonZeroU32);

/// The empty start of every log: index 0, term 0.
pub const GENESIS: EntryId = EntryId(NonZeroU32::MIN);

/// A write's number, in halves, so that messages need no padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write([u32; 2]);

impl Write {
    /// The write with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self([number as u32, (number >> 32) as u32])
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0[0] as u64 | (self.0[1] as u64) << 32
    }
}

/// What an entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// The entry by which a new leader commits what its predecessors left.
    Empty,
    /// Somebody's write.
    Write(Write),
    /// A change of the configuration, in force once applied.
    Change(Change),
}

/// One entry.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its position.
    pub index: Index,
    /// The term of the leader that made it.
    pub term: Term,
    /// What it says.
    pub payload: Payload,
    /// The member at which it was proposed.
    pub by: MemberId,
    /// Hash of this entry and all before it: equal exactly where the whole prefixes are equal.
    pub hash: u64,
    before: Option<EntryId>,
    config: u16,
}

/// All entries of a run.
#[derive(Debug)]
pub struct Entries {
    first: u32,
    nodes: VecDeque<Entry>,
    configs: Vec<Config>,
}

impl Entries {
    /// The tree that holds only [`GENESIS`], at which `config` is in force.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let genesis = Entry {
            index: 0,
            term: 0,
            payload: Payload::Empty,
            by: MemberId(0),
            hash: 0,
            before: None,
            config: 0,
        };
        Self {
            first: GENESIS.0.get(),
            nodes: VecDeque::from([genesis]),
            configs: vec![config],
        }
    }

    /// An entry, unless it was released.
    #[must_use]
    pub fn find(&self, id: EntryId) -> Option<&Entry> {
        self.nodes.get(id.0.get().checked_sub(self.first)? as usize)
    }

    /// An entry that is known to be held.
    ///
    /// # Panics
    /// If it was released: then a log pointed outside of itself.
    #[must_use]
    pub fn get(&self, id: EntryId) -> &Entry {
        self.find(id)
            .expect("an entry of a live log is never released")
    }

    /// The configuration in force once the log up to `id` is applied.
    #[must_use]
    pub fn config(&self, id: EntryId) -> Config {
        self.configs[self.get(id).config as usize]
    }

    /// How many entries are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.nodes.len()
    }

    /// Makes the entry that follows `before`.
    pub fn follow(
        &mut self,
        before: EntryId,
        term: Term,
        payload: Payload,
        by: MemberId,
    ) -> EntryId {
        let last = *self.get(before);
        assert!(last.term <= term, "terms never fall along a log");
        let (word, config) = match payload {
            Payload::Empty => (1, last.config),
            Payload::Write(write) => (mix(write.number()), last.config),
            Payload::Change(change) => {
                (2 + u64::from(change.member().0), self.changed(last, change))
            }
        };
        self.nodes.push_back(Entry {
            index: last.index + 1,
            term,
            payload,
            by,
            hash: mix(last.hash ^ mix(word ^ u64::from(term).rotate_left(40))),
            before: Some(before),
            config,
        });
        let id = self.first + self.nodes.len() as u32 - 1;
        EntryId(NonZeroU32::new(id).expect("ids start at one and grow"))
    }

    fn changed(&mut self, last: Entry, change: Change) -> u16 {
        let config = self.configs[last.config as usize].after(change);
        self.configs.push(config);
        u16::try_from(self.configs.len() - 1).expect("fewer than 65,536 changes in a run")
    }

    /// Forgets entries that came into being before `id`, which no log points at any more.
    pub fn release_before(&mut self, id: EntryId) {
        while self.first < id.0.get() && self.nodes.len() > 1 {
            self.nodes.pop_front();
            self.first += 1;
        }
    }
}

/// Why a path cannot be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// Its entries are not held any more: the message that named it was very old.
    Released,
    /// It differs from what is committed here.
    Contradicts,
}

/// One member's log: from a base, which is compacted and only known by its term, to the last.
#[derive(Debug, Clone)]
pub struct Log {
    base: Index,
    path: VecDeque<(EntryId, Term)>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            base: 0,
            path: VecDeque::from([(GENESIS, 0)]),
        }
    }
}

impl Log {
    /// The position whose entries before and at are compacted.
    #[must_use]
    pub fn base(&self) -> Index {
        self.base
    }

    /// Position of the last entry.
    #[must_use]
    pub fn last(&self) -> Index {
        self.base + self.path.len() as Index - 1
    }

    /// Term of the last entry.
    #[must_use]
    pub fn last_term(&self) -> Term {
        self.path[self.path.len() - 1].1
    }

    /// The last entry: it names the whole log.
    #[must_use]
    pub fn tip(&self) -> EntryId {
        self.path[self.path.len() - 1].0
    }

    /// The oldest entry the log still points at.
    #[must_use]
    pub fn oldest(&self) -> EntryId {
        self.path[0].0
    }

    /// The entry at a position from the base to the last.
    #[must_use]
    pub fn id(&self, index: Index) -> Option<EntryId> {
        Some(self.path.get(index.checked_sub(self.base)? as usize)?.0)
    }

    /// The term at a position from the base to the last.
    #[must_use]
    pub fn term(&self, index: Index) -> Option<Term> {
        Some(self.path.get(index.checked_sub(self.base)? as usize)?.1)
    }

    /// Whether a log that ends so is at least as complete as this one (Raft paper, 5.4.1).
    #[must_use]
    pub fn is_matched_by(&self, last: Index, last_term: Term) -> bool {
        (last_term, last) >= (self.last_term(), self.last())
    }

    /// Adds one entry at the end.
    pub fn push(&mut self, id: EntryId, term: Term) {
        assert!(term >= self.last_term(), "terms never fall along a log");
        self.path.push_back((id, term));
    }

    /// Takes over the path that ends in `tip` and leaves this log after `prev`, which both share.
    /// Entries that are there already stay, so an old message never shortens the log.
    /// Returns the last position that is as it was before.
    ///
    /// # Errors
    /// [`Unfit`]; nothing is changed.
    pub fn splice(
        &mut self,
        entries: &Entries,
        prev: Index,
        tip: EntryId,
        committed: Index,
    ) -> Result<Index, Unfit> {
        let entry = entries.find(tip).ok_or(Unfit::Released)?;
        if entry.before == Some(self.tip()) {
            // By far the most frequent: one entry more.
            let kept = self.last();
            self.push(tip, entry.term);
            return Ok(kept);
        }
        let mut fresh = Vec::new();
        let mut at = Some(tip);
        let meets = loop {
            let id = at.ok_or(Unfit::Released)?;
            let entry = entries.find(id).ok_or(Unfit::Released)?;
            if self.id(entry.index) == Some(id) || entry.index <= prev {
                break entry.index;
            }
            fresh.push((id, entry.term));
            at = entry.before;
        };
        if fresh.is_empty() {
            return Ok(self.last());
        }
        if meets < committed {
            return Err(Unfit::Contradicts);
        }
        self.path.truncate((meets - self.base) as usize + 1);
        self.path.extend(fresh.into_iter().rev());
        Ok(meets)
    }

    /// The last position at or before `index` whose term is at most `term`, and its term.
    #[must_use]
    pub fn last_at_most(&self, index: Index, term: Term) -> (Index, Term) {
        let mut at = index.min(self.last());
        loop {
            match self.term(at) {
                Some(here) if here > term && at > self.base => at -= 1,
                Some(here) => return (at, here),
                None => return (self.base, self.path[0].1),
            }
        }
    }

    /// Forgets what lies before `index`, keeping its term.
    pub fn compact(&mut self, index: Index) {
        assert!(index <= self.last(), "compacted beyond the end");
        while self.base < index {
            self.path.pop_front();
            self.base += 1;
        }
    }

    /// Replaces everything by a snapshot that ends in `tip`.
    pub fn restore(&mut self, entries: &Entries, tip: EntryId) {
        let entry = entries.get(tip);
        self.base = entry.index;
        self.path.clear();
        self.path.push_back((tip, entry.term));
    }

    /// The log from `oldest`, which becomes the base, to `tip`, as a disk gives it back.
    #[must_use]
    pub fn rebuild(entries: &Entries, oldest: EntryId, tip: EntryId) -> Self {
        if tip == GENESIS {
            return Self::default();
        }
        let base = entries.get(oldest).index;
        let mut path = VecDeque::new();
        let mut at = Some(tip);
        loop {
            let id = at.expect("the oldest entry is an ancestor of the newest");
            let entry = entries.get(id);
            path.push_front((id, entry.term));
            if id == oldest {
                return Self { base, path };
            }
            at = entry.before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::member_id::Members;

    fn tree() -> Entries {
        Entries::new(Config {
            voters: Members::first(3),
            learners: Members::NONE,
        })
    }

    fn chain(entries: &mut Entries, from: EntryId, terms: &[Term]) -> Vec<EntryId> {
        let mut at = from;
        let mut add = |(i, &term): (usize, &Term)| {
            let write = Payload::Write(Write::new(u64::MAX - i as u64));
            at = entries.follow(at, term, write, MemberId(1));
            at
        };
        terms.iter().enumerate().map(&mut add).collect()
    }

    #[test]
    fn a_log_takes_over_a_diverging_path() {
        let mut entries = tree();
        let old = chain(&mut entries, GENESIS, &[1, 1, 2, 2]);
        let new = chain(&mut entries, old[1], &[3]);
        let mut log = Log::default();
        assert_eq!(log.splice(&entries, 0, old[3], 0), Ok(0));
        assert_eq!((log.last(), log.last_term()), (4, 2));
        assert_eq!(log.splice(&entries, 2, new[0], 2), Ok(2));
        assert_eq!((log.last(), log.last_term(), log.tip()), (3, 3, new[0]));
        assert_eq!(
            log.splice(&entries, 0, old[1], 2),
            Ok(3),
            "an old message changes nothing"
        );
        assert_eq!(log.last(), 3);
        assert_eq!(
            log.splice(&entries, 2, old[3], 3),
            Err(Unfit::Contradicts),
            "what is committed stays"
        );
        let back = Log::rebuild(&entries, old[0], new[0]);
        assert_eq!((back.base(), back.last(), back.term(2)), (1, 3, Some(1)));
    }

    #[test]
    fn compaction_keeps_the_term_at_the_base() {
        let mut entries = tree();
        let ids = chain(&mut entries, GENESIS, &[1, 1, 2, 3]);
        let mut log = Log::default();
        assert_eq!(log.splice(&entries, 0, ids[3], 0), Ok(0));
        log.compact(3);
        assert_eq!((log.base(), log.term(3), log.term(2)), (3, Some(2), None));
        entries.release_before(log.oldest());
        assert_eq!(entries.held(), 2);
        assert!(entries.find(ids[1]).is_none());
        assert_eq!(log.last_at_most(4, 2), (3, 2));
    }

    #[test]
    fn the_hash_tells_the_whole_prefix() {
        let mut entries = tree();
        let a = chain(&mut entries, GENESIS, &[1, 1, 2]);
        let b = chain(&mut entries, GENESIS, &[1, 1, 2]);
        let c = chain(&mut entries, GENESIS, &[1, 2, 2]);
        assert_eq!(entries.get(a[2]).hash, entries.get(b[2]).hash);
        assert_ne!(entries.get(a[2]).hash, entries.get(c[2]).hash);
    }

    #[test]
    fn changes_take_effect_along_their_own_branch() {
        let mut entries = tree();
        let add = Payload::Change(Change::AddLearner(MemberId(3)));
        let with = entries.follow(GENESIS, 1, add, MemberId(0));
        let without = entries.follow(GENESIS, 2, Payload::Empty, MemberId(1));
        assert_eq!(entries.config(with).learners.len(), 1);
        assert_eq!(entries.config(without).learners.len(), 0);
    }
}
