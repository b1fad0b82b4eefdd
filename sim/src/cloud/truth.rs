//! The truth about the clouds, for those who check a run after the fact.
//!
//! Nothing here is visible to the engine.

use super::Cloud;
use super::stock::Thing;
use quorate_engine::resource::{Kind, ResourceId};
use quorate_engine::seam::{FaultClass, Lane, Seen, Verb};
use quorate_engine::time::{Span, Time};
use std::collections::{BTreeMap, BTreeSet};

/// How a request ended for its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// With a good answer.
    Good,
    /// With this kind of fault.
    Bad(FaultClass),
    /// Without an answer in time, or the caller was dead.
    Unheard,
}

/// Something that exists and is paid for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned<'a> {
    /// The provider instance.
    pub provider: &'a str,
    /// What it is.
    pub seen: Seen,
}

impl Cloud {
    /// All that truly exists and was made by us, oldest first; duplicates are there as often as
    /// they exist, and things being deleted until they are gone. Hosts that exist already are not
    /// ours.
    pub fn owned(&self) -> impl Iterator<Item = Owned<'_>> {
        let mine = |thing: &&Thing| thing.exists() && thing.is_ours();
        self.stock.things.iter().filter(mine).map(|thing| Owned {
            provider: &self.accounts[thing.account].account.name,
            seen: thing.seen(),
        })
    }

    /// What exists though nobody expects it: unknown ids, and all but the oldest of each known one.
    #[must_use]
    pub fn orphans(&self, expected: &BTreeSet<ResourceId>) -> Vec<Owned<'_>> {
        let mut met = BTreeSet::new();
        let stray = |owned: &Owned<'_>| {
            let id = &owned.seen.id;
            !expected.contains(id) || !met.insert(id.clone())
        };
        self.owned().filter(stray).collect()
    }

    /// How many requests of each kind ended how.
    #[must_use]
    pub fn tally(&self) -> &BTreeMap<(Lane, Verb, Ended), u64> {
        &self.tally
    }

    /// Requests that travel or are worked on.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.flights.len()
    }

    /// How long machines were paid for until `now`, summed up by provider.
    #[must_use]
    pub fn machine_time(&self, now: Time) -> BTreeMap<&str, Span> {
        let mut sums = BTreeMap::new();
        let machines = self.stock.things.iter();
        for thing in machines.filter(|thing| thing.kind == Kind::Machine && thing.is_ours()) {
            let name = self.accounts[thing.account].account.name.as_str();
            let lasted = thing.gone_at.unwrap_or(now).since(thing.made_at);
            *sums.entry(name).or_insert(Span::ZERO) += lasted;
        }
        sums
    }
}
