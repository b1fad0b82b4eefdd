//! The journal: the only thing that must survive a crash.
//!
//! Entries are written before what they announce. [`Ledger`] is the fold over them, used alike by
//! a living engine (entry by entry) and by one that recovers (all at once). Knows neither how
//! entries are stored nor what a run is about.

use crate::mesh::{PeerFact, Table};
use crate::random::{hash_name, mix};
use crate::resource::ResourceId;
use crate::seam::{Fault, FaultClass, Key, Verb};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    /// The first entry: the cluster has an identity, drawn once. Keys differ between clusters of
    /// the same name by it.
    Founded {
        /// Random.
        uid: u64,
    },
    /// A plan begins to be carried out.
    RunStarted {
        /// Number of the run, from 1.
        run: u32,
        /// Fingerprint of the plan.
        plan: u64,
        /// Its steps.
        steps: u32,
    },
    /// A node got its mesh address, for life.
    Allocated {
        /// The node's machine.
        machine: ResourceId,
        /// Its address.
        address: Ipv4Addr,
    },
    /// A mesh peer is as this from now on.
    Met {
        /// Everything that others must know to reach it.
        peer: PeerFact,
    },
    /// A mesh peer is gone for good.
    Parted {
        /// Its machine.
        machine: ResourceId,
    },
    /// A machine is dead for good, somebody says: nobody waits for it, or knows it, any more.
    Forgotten {
        /// Which.
        machine: ResourceId,
        /// Why, in that person's words.
        reason: String,
        /// When it was said, in milliseconds since the Unix epoch.
        at_ms: u64,
    },
    /// Nothing of the cluster is left, on purpose.
    Destroyed,
    /// A mutating call is about to be made.
    Started {
        /// In which run.
        run: u32,
        /// Index of the step in the plan.
        step: u32,
        /// What is changed.
        resource: ResourceId,
        /// How.
        verb: Verb,
        /// Its idempotency key.
        key: Key,
        /// From 1.
        attempt: u32,
    },
    /// A mutating call was answered.
    Finished {
        /// In which run.
        run: u32,
        /// Index of the step in the plan.
        step: u32,
        /// What was changed.
        resource: ResourceId,
        /// How.
        verb: Verb,
        /// Whether it succeeded.
        outcome: Result<(), Fault>,
    },
    /// A change in doubt turned out to be done: it was seen in the world later.
    Adopted {
        /// What was changed.
        resource: ResourceId,
        /// How.
        verb: Verb,
    },
    /// A plan was carried out as far as it could be.
    RunEnded {
        /// Which.
        run: u32,
        /// Steps that succeeded.
        done: u32,
        /// Steps that failed for good.
        failed: u32,
        /// Steps that were not tried, because one before them failed or the run was cancelled.
        skipped: u32,
    },
}

impl Entry {
    /// `finished create shop/cp/1`: names the entry for people.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::Founded { .. } => "founded".to_owned(),
            Self::RunStarted { run, .. } => format!("run {run} started"),
            Self::Allocated { machine, .. } => format!("allocated an address to {machine}"),
            Self::Met { peer } => format!("met {}", peer.machine),
            Self::Parted { machine } => format!("parted from {machine}"),
            Self::Forgotten { machine, .. } => format!("forgot {machine}"),
            Self::Destroyed => "destroyed".to_owned(),
            Self::Started { resource, verb, .. } => format!("started {verb} {resource}"),
            Self::Finished { resource, verb, .. } => format!("finished {verb} {resource}"),
            Self::Adopted { resource, verb } => format!("adopted {verb} {resource}"),
            Self::RunEnded { run, .. } => format!("run {run} ended"),
        }
    }
}

/// What the journal says so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    /// The cluster's identity; none in an empty journal.
    pub uid: Option<u64>,
    /// Runs begun.
    pub runs: u32,
    /// Whether the last run has not ended, or was cut off by a crash.
    pub running: bool,
    /// Mesh addresses, for life.
    pub addresses: BTreeMap<ResourceId, Ipv4Addr>,
    /// The mesh as it is known.
    pub peers: Table,
    /// How many changes of each resource surely succeeded: part of its next key.
    pub incarnations: BTreeMap<ResourceId, u32>,
    /// Mutating calls announced and not answered, or answered with an unknown outcome.
    pub in_flight: BTreeMap<ResourceId, Verb>,
    /// Machines that were prepared since they were last made.
    pub prepared: BTreeSet<ResourceId>,
    /// The machine on which the founding of the cluster was begun last.
    pub founder: Option<ResourceId>,
    /// The founding surely succeeded.
    pub founded: bool,
    /// What was surely made and not removed by us since. A view of the world that does not show it
    /// may merely be late.
    pub made: BTreeSet<ResourceId>,
}

/// An entry that cannot follow the ones before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {number} of the journal ({entry}) cannot stand there: {why}")]
pub struct Misfit {
    /// Which, from 1.
    pub number: u64,
    /// [`Entry::title`] of it.
    pub entry: String,
    /// The rule it breaks.
    pub why: String,
}

/// Whether an entry can follow; why not, as text.
type Fits = Result<(), String>;

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Fits {
    if holds { Ok(()) } else { Err(why()) }
}

impl Ledger {
    /// The fold over a whole journal that this engine wrote, or that was read with [`Self::read`].
    ///
    /// # Panics
    /// As [`Self::apply`].
    #[must_use]
    pub fn replay(entries: &[Entry]) -> Self {
        Self::read(entries).unwrap_or_else(|misfit| panic!("{misfit}"))
    }

    /// The fold over a journal from elsewhere: a file, a document.
    ///
    /// # Errors
    /// At the first entry that cannot follow the ones before it.
    pub fn read(entries: &[Entry]) -> Result<Self, Misfit> {
        let mut ledger = Self::default();
        for (number, entry) in (1..).zip(entries) {
            ledger.follow(entry).map_err(|why| Misfit {
                number,
                entry: entry.title(),
                why,
            })?;
        }
        Ok(ledger)
    }

    /// One entry further.
    ///
    /// # Panics
    /// Where the entry cannot follow the ones before it: the engine that wrote it is wrong.
    pub fn apply(&mut self, entry: &Entry) {
        if let Err(why) = self.follow(entry) {
            panic!("{why}: {}", entry.title());
        }
    }

    fn follow(&mut self, entry: &Entry) -> Fits {
        let founding = matches!(entry, Entry::Founded { .. });
        ensure(founding || self.uid.is_some(), || {
            "a journal begins with the founding".to_owned()
        })?;
        match entry {
            Entry::Founded { uid } => {
                ensure(*self == Self::default(), || {
                    "a cluster is founded first, and once".to_owned()
                })?;
                self.uid = Some(*uid);
            }
            Entry::RunStarted { run, .. } => {
                ensure(self.runs.checked_add(1) == Some(*run), || {
                    format!("runs are numbered without a gap: {run} after {}", self.runs)
                })?;
                self.runs = *run;
                self.running = true;
            }
            Entry::Allocated { machine, address } => self.allocate(machine, *address)?,
            Entry::Met { peer } => self.meet(peer)?,
            Entry::Parted { machine } => {
                let known = self.peers.remove(machine);
                ensure(known.is_some(), || {
                    format!("only a known peer parts: {machine}")
                })?;
            }
            Entry::Forgotten { machine, .. } => self.forget(machine)?,
            Entry::Destroyed => self.begin_another_life(),
            Entry::Started {
                run,
                resource,
                verb,
                key,
                attempt,
                step: _,
            } => {
                self.ensure_in(*run)?;
                ensure(*attempt > 0, || {
                    format!("attempts count from 1: {verb} {resource}")
                })?;
                self.announce(resource, *verb, *key)?;
            }
            Entry::Finished {
                run,
                resource,
                verb,
                outcome,
                step: _,
            } => {
                self.ensure_in(*run)?;
                self.answer(resource, *verb, outcome)?;
            }
            Entry::Adopted { resource, verb } => self.answer(resource, *verb, &Ok(()))?,
            Entry::RunEnded { run, .. } => {
                self.ensure_in(*run)?;
                self.running = false;
            }
        }
        Ok(())
    }

    fn allocate(&mut self, machine: &ResourceId, address: Ipv4Addr) -> Fits {
        let known = self.addresses.insert(machine.clone(), address);
        ensure(known.is_none_or(|before| before == address), || {
            format!("a mesh address is for life: {machine}")
        })
    }

    fn meet(&mut self, peer: &PeerFact) -> Fits {
        let machine = &peer.machine;
        ensure(self.addresses.get(machine) == Some(&peer.address), || {
            format!("a peer has the mesh address it was given: {machine}")
        })?;
        self.peers.insert(machine.clone(), peer.clone());
        Ok(())
    }

    /// Whether a machine, or anything on it, was ever made or begun, and not removed since.
    #[must_use]
    pub fn knows(&self, machine: &ResourceId) -> bool {
        self.prepared.contains(machine)
            || self.peers.contains_key(machine)
            || self.traces_of(machine).next().is_some()
    }

    /// What was made of a machine and on it, or may have been.
    fn traces_of<'a>(&'a self, machine: &'a ResourceId) -> impl Iterator<Item = &'a ResourceId> {
        let known = self.made.iter().chain(self.in_flight.keys());
        known.filter(move |id| id.machine() == *machine)
    }

    /// As if all of the machine was removed: what is made anew in its place gets other keys. Its
    /// mesh address stays its own.
    fn forget(&mut self, machine: &ResourceId) -> Fits {
        ensure(self.knows(machine), || {
            format!("only what is known is forgotten: {machine}")
        })?;
        let gone: BTreeSet<_> = self.traces_of(machine).cloned().collect();
        for id in gone {
            self.made.remove(&id);
            self.in_flight.remove(&id);
            *self.incarnations.entry(id).or_default() += 1;
        }
        self.prepared.remove(machine);
        self.peers.remove(machine);
        // A founding that never surely succeeded died with the machine it was begun on.
        if !self.founded && self.founder.as_ref() == Some(machine) {
            self.founder = None;
        }
        assert!(!self.knows(machine), "{machine} is forgotten");
        Ok(())
    }

    /// Another life of the same cluster: only what keeps its keys apart from those of the former
    /// one goes on.
    fn begin_another_life(&mut self) {
        *self = Self {
            uid: self.uid,
            runs: self.runs,
            incarnations: std::mem::take(&mut self.incarnations),
            ..Self::default()
        };
    }

    fn announce(&mut self, resource: &ResourceId, verb: Verb, key: Key) -> Fits {
        ensure(verb.mutates(), || {
            format!("reads are not recorded: {verb} {resource}")
        })?;
        let due = self.key(resource, verb);
        ensure(key == due, || {
            format!("a key is a function of the journal: {key} of {verb} {resource} is not {due}")
        })?;
        self.in_flight.insert(resource.clone(), verb);
        if verb == Verb::Init {
            self.founder = Some(resource.machine());
        }
        Ok(())
    }

    fn answer(&mut self, resource: &ResourceId, verb: Verb, outcome: &Result<(), Fault>) -> Fits {
        ensure(self.in_flight.get(resource) == Some(&verb), || {
            format!("only an announced call ends: {verb} {resource}")
        })?;
        match outcome {
            Ok(()) => self.succeed(resource, verb),
            Err(fault) if fault.class == FaultClass::Unknown => {}
            Err(_) => {
                self.in_flight.remove(resource);
            }
        }
        Ok(())
    }

    /// The idempotency key of the next call of `verb` for this resource. It stays the same until
    /// some change of the resource has surely succeeded: a repetition after a crash carries the key
    /// of the call that may have been made, and what is made anew after a removal gets a new one.
    ///
    /// # Panics
    /// Before the cluster is founded.
    #[must_use]
    pub fn key(&self, resource: &ResourceId, verb: Verb) -> Key {
        let uid = self
            .uid
            .expect("a key needs the cluster's identity: it is founded first");
        let incarnation = self.incarnations.get(resource).copied().unwrap_or(0);
        [
            resource.number(),
            hash_name(&verb.to_string()),
            u64::from(incarnation),
        ]
        .into_iter()
        .fold(Key(mix(uid)), |key, part| Key(mix(key.0 ^ mix(part))))
    }

    /// What to record after an observation: resources whose making is in doubt and which exist.
    /// Without it a later loss and re-creation would carry the old key, and do nothing.
    #[must_use]
    pub fn adoptions(&self, exists: impl Fn(&ResourceId) -> bool) -> Vec<Entry> {
        self.in_flight
            .iter()
            .filter(|(resource, verb)| **verb == Verb::Create && exists(resource))
            .map(|(resource, verb)| Entry::Adopted {
                resource: resource.clone(),
                verb: *verb,
            })
            .collect()
    }

    fn succeed(&mut self, resource: &ResourceId, verb: Verb) {
        if verb == Verb::Create {
            self.made.insert(resource.clone());
        } else if verb == Verb::Delete {
            self.made.remove(resource);
        }
        self.in_flight.remove(resource);
        let machine = resource.machine();
        match verb {
            Verb::Init => self.founded = true,
            Verb::Create if *resource == machine => {
                self.prepared.remove(&machine);
            }
            Verb::Create if *resource == machine.child("host") => {
                self.prepared.insert(machine);
            }
            Verb::Delete if *resource == machine || *resource == machine.child("host") => {
                self.prepared.remove(&machine);
            }
            _ => {}
        }
        *self.incarnations.entry(resource.clone()).or_default() += 1;
    }

    fn ensure_in(&self, run: u32) -> Fits {
        ensure(self.running && self.runs == run, || {
            format!("run {run} is not the one under way")
        })
    }
}

#[cfg(test)]
mod tests;
