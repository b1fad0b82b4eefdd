//! The promises of raft, watched in every run: one leader per term, agreeing committed prefixes,
//! and no acknowledged write lost.
//!
//! An observer: it sees what members did and never influences them. What it finds is a value, so
//! that a run can end with a verdict instead of a panic.

use super::log::{Entries, Index, Term};
use super::member_id::MemberId;
use super::raft::Member;
use quorate_engine::time::Time;
use std::collections::{BTreeMap, VecDeque};

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// When it was seen.
    pub at: Time,
    /// Which promise, by whom, in words.
    pub text: String,
}

/// The observer.
#[derive(Debug, Default)]
pub struct Safety {
    leaders: BTreeMap<Term, MemberId>,
    /// Prefix hashes of what was committed, from position `base + 1` on.
    chosen: VecDeque<u64>,
    base: Index,
    acknowledged: Index,
    violations: Vec<Violation>,
}

impl Safety {
    /// All that was broken, in order of time.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// The last position known to be committed.
    #[must_use]
    pub fn committed(&self) -> Index {
        self.base + self.chosen.len() as Index
    }

    /// The last position somebody was told of.
    #[must_use]
    pub fn acknowledged(&self) -> Index {
        self.acknowledged
    }

    /// Somebody was told that the write at `index` is done.
    pub fn acknowledge(&mut self, index: Index) {
        self.acknowledged = self.acknowledged.max(index);
    }

    /// `member` became leader.
    pub fn leads(&mut self, at: Time, member: &Member, entries: &Entries) {
        let (id, term) = (member.id(), member.term());
        let first = *self.leaders.entry(term).or_insert(id);
        if first != id {
            self.report(at, format!("two leaders in term {term}: {first} and {id}"));
        }
        let told = self.acknowledged;
        if told > member.log().last() {
            let last = member.log().last();
            self.report(at, format!(
                "{id} leads term {term} with a log that ends at {last}, but {told} was acknowledged"
            ));
        } else if !self.agrees(member, told, entries) {
            self.report(
                at,
                format!(
                    "{id} leads term {term} with another log up to {told} than was acknowledged"
                ),
            );
        }
    }

    /// `member` holds everything up to its commit index to be committed.
    /// Whether that is news.
    pub fn commits(&mut self, at: Time, member: &Member, entries: &Entries) -> bool {
        let (id, commit) = (member.id(), member.committed());
        if commit <= self.committed() {
            if !self.agrees(member, commit, entries) {
                self.report(
                    at,
                    format!("{id} committed another log up to {commit} than others"),
                );
            }
            return false;
        }
        if !self.agrees(member, self.committed(), entries) {
            let shared = self.committed();
            self.report(
                at,
                format!("{id} committed another log up to {shared} than others"),
            );
            return false;
        }
        for index in self.committed() + 1..=commit {
            match hash_at(member, index, entries) {
                Some(hash) => self.chosen.push_back(hash),
                None => {
                    // A snapshot of what nobody was seen to commit.
                    self.report(
                        at,
                        format!("{id} holds a snapshot beyond what is committed"),
                    );
                    return false;
                }
            }
        }
        true
    }

    /// A member found committed entries missing from its own log.
    pub fn ruined(&mut self, at: Time, member: &Member) {
        if let Some(ruined) = member.ruined() {
            let id = member.id();
            let (commit, last) = (ruined.commit, ruined.last);
            self.report(
                at,
                format!(
                    "{id} lost committed entries: it must commit {commit}, its log ends at {last}"
                ),
            );
        }
    }

    /// Forgets prefixes that every log has compacted.
    pub fn release_before(&mut self, index: Index) {
        while self.base < index && !self.chosen.is_empty() {
            self.chosen.pop_front();
            self.base += 1;
        }
    }

    /// Whether `member`'s log and what is committed are the same up to `index`, as far as both
    /// still know.
    fn agrees(&self, member: &Member, index: Index, entries: &Entries) -> bool {
        if index <= self.base {
            return true;
        }
        let chosen = self.chosen.get((index - self.base) as usize - 1);
        match (chosen, hash_at(member, index, entries)) {
            (Some(chosen), Some(held)) => *chosen == held,
            (None, _) | (_, None) => true,
        }
    }

    fn report(&mut self, at: Time, text: String) {
        self.violations.push(Violation { at, text });
    }
}

fn hash_at(member: &Member, index: Index, entries: &Entries) -> Option<u64> {
    Some(entries.get(member.log().id(index)?).hash)
}
