//! The inventory: what was last seen of each machine, and the ssh host key it is held to.
//!
//! A convenience for people and for ssh, never for decisions: the engine looks at the world
//! itself. Only the pins of host keys are more than that, and they go with their machine.

use super::error::StoreError;
use super::runs::unix_ms;
use super::{Store, Writing};
use quorate_engine::journal::Entry;
use quorate_engine::mesh::MeshKey;
use quorate_engine::resource::{Kind, ResourceId};
use quorate_engine::seam::{
    Call, FaultClass, HostView, Lane, MachineState, Outcome, Reply, Seen, Verb,
};
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What was last seen of each machine.
pub type Inventory = BTreeMap<ResourceId, Machine>;

/// What was last seen of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Machine {
    /// The provider instance; none for a host of one's own.
    pub provider: Option<String>,
    /// The provider's own id.
    pub external: Option<String>,
    /// Its life at the provider.
    pub state: Option<MachineState>,
    /// Public address.
    pub public: Option<Ipv4Addr>,
    /// Address in the provider's private network.
    pub private: Option<Ipv4Addr>,
    /// The ssh host key it is held to.
    pub pin: Option<PinnedKey>,
    /// The public key of its mesh interface.
    pub mesh_key: Option<MeshKey>,
    /// When anything was last heard of it, in milliseconds since the Unix epoch.
    pub seen_ms: u64,
}

/// The ssh host key a machine is held to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedKey {
    /// As in an OpenSSH public key file.
    pub key: String,
    /// Where it is from.
    pub source: PinSource,
}

/// Where a pin is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PinSource {
    /// Delivered with the machine: nobody between it and us can have changed it.
    Provider,
    /// Trusted when it was first met.
    FirstUse,
}

/// The pins, shared with whoever opens ssh connections while the driver has the store.
#[derive(Debug, Clone, Default)]
pub struct Pins(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    known: BTreeMap<ResourceId, PinnedKey>,
    /// Trusted since the last write.
    fresh: BTreeSet<ResourceId>,
}

/// A machine shows another host key than the one it is held to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{machine} shows another ssh host key than before: it is another machine, or somebody stands \
     between; if it was reinstalled, `quorate forget --host-key {machine}` drops the old key"
)]
pub struct PinChanged {
    /// Which.
    pub machine: ResourceId,
}

impl Pins {
    fn book(&self) -> MutexGuard<'_, Book> {
        // Every change is one insertion or removal: a panic leaves no half of one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key a machine is held to, if it has been met.
    #[must_use]
    pub fn get(&self, machine: &ResourceId) -> Option<PinnedKey> {
        self.book().known.get(machine).cloned()
    }

    /// Holds a machine to the key it shows from now on; durable with the driver's next write.
    ///
    /// # Errors
    /// If it is held to another one.
    pub fn trust(&self, machine: &ResourceId, key: &str) -> Result<(), PinChanged> {
        let mut book = self.book();
        match book.known.get(machine) {
            Some(pin) if pin.key == key => Ok(()),
            Some(_) => Err(PinChanged {
                machine: machine.clone(),
            }),
            None => {
                let pin = PinnedKey {
                    key: key.to_owned(),
                    source: PinSource::FirstUse,
                };
                book.known.insert(machine.clone(), pin);
                book.fresh.insert(machine.clone());
                Ok(())
            }
        }
    }

    pub(super) fn of(inventory: &Inventory) -> Self {
        let pins = Self::default();
        for (id, machine) in inventory {
            pins.set(id, machine.pin.as_ref());
        }
        pins
    }

    fn set(&self, machine: &ResourceId, pin: Option<&PinnedKey>) {
        let mut book = self.book();
        match pin {
            Some(pin) => book.known.insert(machine.clone(), pin.clone()),
            None => book.known.remove(machine),
        };
        book.fresh.remove(machine);
    }
}

/// What an answer says of machines.
#[derive(Debug, Clone)]
pub(crate) enum Sighting {
    /// A provider shows it.
    Shown(String, Seen),
    /// It answered itself.
    Answered(ResourceId, HostView),
    /// It was removed.
    Removed(ResourceId),
}

impl Sighting {
    /// Everything that the answer to this call says of machines.
    pub(crate) fn of(call: &Call, outcome: &Outcome) -> Vec<Self> {
        let removal = call.verb == Verb::Delete && call.kind == Kind::Machine;
        let gone = || vec![Self::Removed(call.target.clone())];
        match (&call.lane, outcome) {
            (_, Ok(Reply::Done | Reply::Absent)) if removal => gone(),
            (_, Err(fault)) if removal && fault.class == FaultClass::NotFound => gone(),
            (Lane::Provider(name), Ok(Reply::Seen(seen))) => {
                Self::shown(name, std::slice::from_ref(seen))
            }
            (Lane::Provider(name), Ok(Reply::List(list))) => Self::shown(name, list),
            (Lane::Hosts, Ok(Reply::Host(view))) => {
                vec![Self::Answered(call.target.machine(), view.clone())]
            }
            (Lane::Provider(_) | Lane::Hosts | Lane::Cluster, Ok(_) | Err(_)) => Vec::new(),
        }
    }

    fn shown(provider: &str, list: &[Seen]) -> Vec<Self> {
        let machines = list.iter().filter(|seen| seen.kind == Kind::Machine);
        machines
            .map(|seen| Self::Shown(provider.to_owned(), seen.clone()))
            .collect()
    }

    fn machine(&self) -> &ResourceId {
        match self {
            Self::Shown(_, seen) => &seen.id,
            Self::Answered(id, _) | Self::Removed(id) => id,
        }
    }

    /// What is known of the machine after it; none if it is gone.
    fn onto(&self, before: Option<Machine>, now_ms: u64) -> Option<Machine> {
        match self {
            Self::Removed(_) => None,
            Self::Answered(_, view) => Some(Machine {
                mesh_key: view.mesh_key,
                seen_ms: now_ms,
                ..before.unwrap_or_default()
            }),
            Self::Shown(provider, seen) => {
                // Under another id of the provider's it is another machine: what was known of the
                // old one does not hold.
                let same = |known: &Machine| {
                    known
                        .external
                        .as_ref()
                        .is_none_or(|id| *id == seen.external)
                };
                let known = before.filter(same).unwrap_or_default();
                let delivered = seen.host_key.as_ref().map(|key| PinnedKey {
                    key: key.clone(),
                    source: PinSource::Provider,
                });
                Some(Machine {
                    provider: Some(provider.clone()),
                    external: Some(seen.external.clone()),
                    state: Some(seen.state),
                    public: seen.address,
                    private: seen.private,
                    pin: delivered.or(known.pin),
                    mesh_key: known.mesh_key,
                    seen_ms: now_ms,
                })
            }
        }
    }
}

impl Store {
    /// What was last seen of each machine.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn inventory(&self) -> Result<Inventory, StoreError> {
        let rows = self.all(&format!("{SELECT} ORDER BY machine"), machine_of)?;
        let mut inventory = Inventory::new();
        for (id, text) in rows {
            inventory.insert(ResourceId::new(&id), parse(self, &id, &text)?);
        }
        Ok(inventory)
    }

    /// The ssh host keys that machines are held to; stays up to date while the driver runs.
    #[must_use]
    pub fn pins(&self) -> Pins {
        self.pins.clone()
    }

    /// Drops the ssh host key a machine is held to: the next one it shows is trusted. Whether it
    /// was held to one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn unpin(&mut self, machine: &ResourceId) -> Result<bool, StoreError> {
        let known = self.pins.get(machine).is_some();
        self.pins.set(machine, None);
        let row = self.inventory()?.remove(machine);
        if let Some(row) = row {
            let bare = Machine { pin: None, ..row };
            self.write("drop a host key in", |writing| {
                writing.put_machine(machine, &bare)
            })?;
        }
        Ok(known)
    }

    /// Forgets a machine: the entry that says so goes into the journal, and what is kept of the
    /// machine goes, its ssh host key with it.
    ///
    /// # Errors
    /// If it cannot be written, or somebody else has written since: then nothing is forgotten.
    ///
    /// # Panics
    /// If the entry says something else.
    pub fn forget(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let Entry::Forgotten { machine, .. } = entry else {
            panic!("a machine is forgotten by its own entry: {}", entry.title())
        };
        self.write("forget a machine in", |writing| {
            writing.append(std::slice::from_ref(entry))?;
            writing.sight(&[Sighting::Removed(machine.clone())])
        })
    }
}

const SELECT: &str = "SELECT machine, facts FROM inventory";

fn machine_of(row: &Row<'_>) -> rusqlite::Result<(String, String)> {
    Ok((row.get(0)?, row.get(1)?))
}

fn parse(store: &Store, id: &str, text: &str) -> Result<Machine, StoreError> {
    serde_json::from_str(text).map_err(|error| {
        StoreError::corrupt(
            &store.path,
            format!("the inventory's entry of {id}: {error}"),
        )
    })
}

impl Writing<'_> {
    /// Keeps what answers say of machines, and which host keys were trusted since the last write.
    pub(crate) fn sight(&self, sightings: &[Sighting]) -> Result<(), StoreError> {
        for sighting in sightings {
            let id = sighting.machine();
            let after = sighting.onto(self.machine(id)?, unix_ms());
            self.pins
                .set(id, after.as_ref().and_then(|m| m.pin.as_ref()));
            match after {
                Some(machine) => self.put_machine(id, &machine)?,
                None => {
                    let sql = "DELETE FROM inventory WHERE machine = ?1";
                    self.run(sql, [id.as_str()])?;
                }
            }
        }
        Ok(())
    }

    /// Writes down what was trusted since the last write.
    pub(super) fn put_fresh_pins(&self) -> Result<(), StoreError> {
        let fresh: Vec<(ResourceId, Option<PinnedKey>)> = {
            let mut book = self.pins.book();
            let ids = std::mem::take(&mut book.fresh);
            let pin = |id: ResourceId| (id.clone(), book.known.get(&id).cloned());
            ids.into_iter().map(pin).collect()
        };
        for (id, pin) in fresh {
            let known = self.machine(&id)?.unwrap_or_default();
            self.put_machine(&id, &Machine { pin, ..known })?;
        }
        Ok(())
    }

    fn machine(&self, id: &ResourceId) -> Result<Option<Machine>, StoreError> {
        let sql = "SELECT facts FROM inventory WHERE machine = ?1";
        let text: Option<String> = self.ask(sql, [id.as_str()], |row| row.get(0))?;
        // What cannot be read is seen anew: the inventory decides nothing.
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    pub(super) fn put_machine(&self, id: &ResourceId, machine: &Machine) -> Result<(), StoreError> {
        let sql = "INSERT INTO inventory (machine, facts) VALUES (?1, ?2)
                   ON CONFLICT (machine) DO UPDATE SET facts = excluded.facts";
        let facts = serde_json::to_string(machine).expect("a machine is plain data");
        self.run(sql, params![id.as_str(), facts])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(external: &str, host_key: Option<&str>) -> Sighting {
        let seen = Seen {
            id: ResourceId::new("shop/w/1"),
            kind: Kind::Machine,
            external: external.to_owned(),
            fingerprint: 1,
            state: MachineState::Running,
            address: Some(Ipv4Addr::new(192, 0, 2, 1)),
            private: None,
            host_key: host_key.map(str::to_owned),
            fields: BTreeMap::new(),
        };
        Sighting::Shown("a".to_owned(), seen)
    }

    fn held_to(machine: Option<&Machine>) -> Option<&str> {
        machine?.pin.as_ref().map(|pin| pin.key.as_str())
    }

    #[test]
    fn a_pin_goes_with_its_machine() {
        let first = seen("i-1", Some("ssh-ed25519 A")).onto(None, 1);
        assert_eq!(held_to(first.as_ref()), Some("ssh-ed25519 A"));
        let later = seen("i-1", None).onto(first.clone(), 2);
        assert_eq!(held_to(later.as_ref()), Some("ssh-ed25519 A"), "not shown");
        let other = seen("i-2", None).onto(first.clone(), 3);
        assert_eq!(
            held_to(other.as_ref()),
            None,
            "another machine of that name"
        );
        let host = Sighting::Answered(ResourceId::new("shop/w/1"), HostView::default());
        let answered = host.onto(first.clone(), 4).unwrap();
        assert_eq!(held_to(Some(&answered)), Some("ssh-ed25519 A"));
        assert_eq!(
            (answered.seen_ms, answered.external.as_deref()),
            (4, Some("i-1"))
        );
        let gone = Sighting::Removed(ResourceId::new("shop/w/1"));
        assert_eq!(gone.onto(first, 5), None);
    }

    #[test]
    fn the_first_key_is_trusted_and_another_one_refused() {
        let (pins, machine) = (Pins::default(), ResourceId::new("home/pi/1"));
        pins.trust(&machine, "ssh-ed25519 A").unwrap();
        pins.trust(&machine, "ssh-ed25519 A").unwrap();
        let refused = pins.trust(&machine, "ssh-ed25519 B").unwrap_err();
        assert!(refused.to_string().contains("home/pi/1"));
        assert_eq!(pins.get(&machine).unwrap().source, PinSource::FirstUse);
    }
}
