//! The life of a machine: built, booting, up, off, gone; and the hands that a fault has on it.
//!
//! Knows nothing of what runs on it: the world hears of each change and stops or starts that.

use super::stock::{Inside, Installed, Life, Power, Thing, external};
use super::trouble::Place;
use super::{Account, Change, Cloud, CloudEvent, Ground};
use quorate_engine::mesh::{MeshKey, PeerFact};
use quorate_engine::random::Stream;
use quorate_engine::resource::{Kind, Resource, ResourceId, Spec};
use quorate_engine::time::Span;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// How often what waits for a provider to recover looks again.
const LOOK_AGAIN: Span = Span::from_secs(5);

/// What a machine truly is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MachineFact<'a> {
    /// Its spec, id and provider.
    pub resource: &'a Arc<Resource>,
    /// The account it is in.
    pub account: &'a Account,
    /// Its public address.
    pub address: Ipv4Addr,
    /// Whether its operating system runs.
    pub power: Power,
}

impl Cloud {
    /// Puts something there as if it had been made long ago: hosts that exist already, or a cluster
    /// that a scenario finds built. Machines are up at once, records are published.
    ///
    /// # Panics
    /// If its provider is unknown, or it is not a provider's kind of thing.
    pub fn place(&mut self, ground: &mut dyn Ground, resource: &Arc<Resource>) {
        let kind = resource.spec.kind();
        assert!(kind.at_provider(), "{} is not at a provider", resource.id);
        let account = self.account(&resource.provider);
        let serial = self.stock_up(ground, account, resource);
        if kind == Kind::Machine {
            let inside = self.inside(serial);
            inside.power = Power::Up;
            inside.boot = 1;
            self.say_up(ground, serial);
        }
        if let Spec::RecordSet { machines, .. } = &resource.spec {
            let known = |id: &ResourceId| Some((id.clone(), self.address(id)?));
            let addresses: Vec<_> = machines.iter().filter_map(known).collect();
            let thing = &mut self.stock.things[serial];
            thing.fingerprint = resource.spec.fingerprint_at(&addresses);
            thing.addresses = addresses;
            ground.changed(self.records(serial));
        }
    }

    fn stock_up(&mut self, ground: &dyn Ground, account: usize, wanted: &Arc<Resource>) -> usize {
        let prefix = self.accounts[account].profile.prefix;
        let nth = self.stock.of(&wanted.id).len();
        let external = external(prefix, account, &wanted.id, nth);
        let mut thing = Thing::new(account, wanted, external, ground.now());
        if let Spec::Machine { existing, .. } = &wanted.spec {
            let given = existing.as_ref().and_then(|at| at.parse().ok());
            self.accounts[account].machines += 1;
            thing.address = Some(match given {
                Some(address) => self.stock.reserve(address),
                None => self.stock.allocate(account, &wanted.id),
            });
        }
        self.stock.add(thing, None)
    }

    /// Off at once, as when the power of its host is cut; the disk is kept. The provider's API goes
    /// on saying that it runs. False where it was not on.
    pub fn kill(&mut self, ground: &mut dyn Ground, machine: &ResourceId) -> bool {
        self.power_down(ground, machine, true)
    }

    /// Shut down in order, by the provider's API, which shows it. False where it was not on.
    pub fn stop(&mut self, ground: &mut dyn Ground, machine: &ResourceId) -> bool {
        self.power_down(ground, machine, false)
    }

    fn power_down(&mut self, ground: &mut dyn Ground, id: &ResourceId, hard: bool) -> bool {
        let Some(serial) = self.stock.machine(id) else {
            return false;
        };
        if self.inside(serial).power == Power::Off {
            return false;
        }
        let life = &mut self.stock.things[serial].life;
        assert_eq!(*life, Life::Running, "only what runs has power");
        if !hard {
            *life = Life::Stopped;
        }
        self.cut_power(ground, serial, hard);
        true
    }

    /// Switches on what was killed or stopped. False where it was not off.
    pub fn start(&mut self, ground: &mut dyn Ground, machine: &ResourceId) -> bool {
        let Some(serial) = self.stock.machine(machine) else {
            return false;
        };
        let off = self.inside(serial).power == Power::Off;
        let built = matches!(
            self.stock.things[serial].life,
            Life::Running | Life::Stopped
        );
        if off && built {
            self.power_on(ground, serial);
        }
        off && built
    }

    /// Off and on again. False where it was not on.
    pub fn reboot(&mut self, ground: &mut dyn Ground, machine: &ResourceId) -> bool {
        self.kill(ground, machine) && self.start(ground, machine)
    }

    /// Stands still, memory and all. False where it was not up.
    pub fn pause(&mut self, ground: &mut dyn Ground, machine: &ResourceId) -> bool {
        let changed = self.flip(machine, Power::Up, Power::Paused);
        if changed {
            let machine = machine.clone();
            ground.changed(Change::MachinePaused { machine });
        }
        changed
    }

    /// Goes on. False where it was not paused.
    pub fn resume(&mut self, ground: &mut dyn Ground, machine: &ResourceId) -> bool {
        let changed = self.flip(machine, Power::Paused, Power::Up);
        if changed {
            let machine = machine.clone();
            ground.changed(Change::MachineResumed { machine });
        }
        changed
    }

    fn flip(&mut self, machine: &ResourceId, from: Power, to: Power) -> bool {
        let Some(serial) = self.stock.machine(machine) else {
            return false;
        };
        let power = &mut self.inside(serial).power;
        let fits = *power == from;
        if fits {
            *power = to;
        }
        fits
    }

    /// The provider loses it with its disk. False where there is none, or where it is a host of the
    /// user's own: nobody takes those away.
    pub fn destroy(&mut self, ground: &mut dyn Ground, machine: &ResourceId) -> bool {
        let ours = |&serial: &usize| self.stock.things[serial].is_ours();
        let Some(serial) = self.stock.machine(machine).filter(ours) else {
            return false;
        };
        self.vanish(ground, serial);
        true
    }

    /// The provider takes a spot machine back, after the notice it gives. False where it is none.
    pub fn reclaim(&mut self, ground: &mut dyn Ground, machine: &ResourceId) -> bool {
        let Some(serial) = self.stock.machine(machine) else {
            return false;
        };
        let thing = &self.stock.things[serial];
        if !matches!(thing.resource.spec, Spec::Machine { spot: true, .. }) {
            return false;
        }
        let notice = self.accounts[thing.account].profile.notice;
        let machine = machine.clone();
        ground.changed(Change::Reclaimed { machine, notice });
        ground.after(notice, CloudEvent::Reclaim(serial as u64));
        true
    }

    /// Says that something is on a machine: for what the cluster's own lane puts there. False where
    /// there is no such machine.
    pub fn mark_installed(&mut self, machine: &ResourceId, resource: Arc<Resource>) -> bool {
        let Some(serial) = self.stock.machine(machine) else {
            return false;
        };
        let id = resource.id.clone();
        let installed = Installed::bare(resource);
        self.inside(serial).installed.insert(id, installed);
        true
    }

    /// Says that something is not on a machine any more. False where it was not.
    pub fn unmark_installed(&mut self, machine: &ResourceId, resource: &ResourceId) -> bool {
        let Some(serial) = self.stock.machine(machine) else {
            return false;
        };
        self.inside(serial).installed.remove(resource).is_some()
    }

    /// What is on a machine, in the order of ids; what a reboot starts again.
    pub fn installed(&self, machine: &ResourceId) -> impl Iterator<Item = &Arc<Resource>> {
        let serial = self.stock.machine(machine);
        let inside = serial.and_then(|serial| self.stock.things[serial].inside.as_ref());
        let all = inside
            .into_iter()
            .flat_map(|inside| inside.installed.values());
        all.map(|installed| &installed.resource)
    }

    /// A machine's end of the mesh: its key, and the peers it was told of.
    #[must_use]
    pub fn mesh(&self, machine: &ResourceId) -> (Option<MeshKey>, Arc<[PeerFact]>) {
        let serial = self.stock.machine(machine);
        let inside = serial.and_then(|serial| self.stock.things[serial].inside.as_ref());
        let all = || inside.iter().flat_map(|inside| inside.installed.values());
        let told = all().find(|it| it.resource.spec.kind() == Kind::Links);
        let peers = told.map(|links| Arc::clone(&links.peers));
        (all().find_map(|it| it.mesh_key), peers.unwrap_or_default())
    }

    /// A machine as it truly is; none where there is none, or only one on its way out.
    #[must_use]
    pub fn machine(&self, id: &ResourceId) -> Option<MachineFact<'_>> {
        Some(self.fact(self.stock.machine(id)?))
    }

    /// All machines, one for each id, oldest first.
    pub fn machines(&self) -> impl Iterator<Item = MachineFact<'_>> {
        let all = 0..self.stock.things.len();
        all.filter(|&serial| self.is_first(serial))
            .map(|serial| self.fact(serial))
    }

    fn fact(&self, serial: usize) -> MachineFact<'_> {
        let thing = &self.stock.things[serial];
        MachineFact {
            resource: &thing.resource,
            account: &self.accounts[thing.account].account,
            address: thing.address.expect("a machine has an address"),
            power: thing
                .inside
                .as_ref()
                .expect("a machine has an inside")
                .power,
        }
    }

    fn address(&self, id: &ResourceId) -> Option<Ipv4Addr> {
        self.machine(id).map(|machine| machine.address)
    }

    pub(super) fn inside(&mut self, serial: usize) -> &mut Inside {
        let thing = &mut self.stock.things[serial];
        thing.inside.as_mut().expect("only machines have power")
    }

    /// Whether the world knows this one under its id: the oldest that lives.
    fn is_first(&self, serial: usize) -> bool {
        self.stock.machine(self.stock.things[serial].id()) == Some(serial)
    }

    fn say_up(&mut self, ground: &mut dyn Ground, serial: usize) {
        let thing = &self.stock.things[serial];
        if self.is_first(serial) && self.fact(serial).power == Power::Up {
            let address = thing.address.expect("a machine has an address");
            let machine = thing.id().clone();
            ground.changed(Change::MachineUp { machine, address });
        }
    }

    pub(super) fn built(&mut self, ground: &mut dyn Ground, serial: usize) {
        let thing = &self.stock.things[serial];
        if thing.life != Life::Building {
            return;
        }
        let name = self.accounts[thing.account].account.name.as_str();
        let at = Place::of(&thing.resource.spec);
        if self.troubles.stuck(name, at, false) {
            ground.after(LOOK_AGAIN, CloudEvent::Built(serial as u64));
        } else if thing.doomed {
            self.stock.things[serial].life = Life::Failed;
        } else {
            self.power_on(ground, serial);
        }
    }

    pub(super) fn power_on(&mut self, ground: &mut dyn Ground, serial: usize) {
        let thing = &mut self.stock.things[serial];
        assert!(
            matches!(thing.life, Life::Building | Life::Stopped | Life::Running),
            "{} can be switched on",
            thing.id()
        );
        thing.life = Life::Running;
        let (account, id) = (thing.account, thing.id().clone());
        let inside = self.inside(serial);
        assert_eq!(inside.power, Power::Off, "{id} is switched on once");
        inside.power = Power::Booting;
        inside.boot += 1;
        let boot = inside.boot;
        let nth = ((serial as u64) << 32) | u64::from(boot);
        let mut luck: Stream = self.luck(account, &id, nth, "boot");
        let lasts = self.accounts[account].profile.boot.draw(&mut luck);
        ground.after(lasts, CloudEvent::Booted(serial as u64, boot));
    }

    pub(super) fn booted(&mut self, ground: &mut dyn Ground, serial: usize, boot: u32) {
        let inside = self.inside(serial);
        if inside.boot != boot || inside.power != Power::Booting {
            return;
        }
        let thing = &self.stock.things[serial];
        let name = self.accounts[thing.account].account.name.as_str();
        let at = Place::of(&thing.resource.spec);
        if self.troubles.stuck(name, at, true) {
            return ground.after(LOOK_AGAIN, CloudEvent::Booted(serial as u64, boot));
        }
        self.inside(serial).power = Power::Up;
        self.say_up(ground, serial);
    }

    fn cut_power(&mut self, ground: &mut dyn Ground, serial: usize, hard: bool) {
        let first = self.is_first(serial);
        let inside = self.inside(serial);
        let was = inside.power;
        inside.power = Power::Off;
        inside.locks.clear();
        if first && matches!(was, Power::Up | Power::Paused) {
            let machine = self.stock.things[serial].id().clone();
            ground.changed(Change::MachineDown { machine, hard });
        }
    }

    /// A deletion was accepted: the machine is off now, and gone later.
    pub(super) fn retire(&mut self, ground: &mut dyn Ground, serial: usize) {
        let was_first = self.is_first(serial);
        let thing = &mut self.stock.things[serial];
        thing.life = Life::Deleting;
        let (account, id) = (thing.account, thing.id().clone());
        self.take_out(ground, serial, was_first);
        let mut luck = self.luck(account, &id, serial as u64, "delete");
        let lasts = self.accounts[account].profile.delete.draw(&mut luck);
        ground.after(lasts, CloudEvent::Deleted(serial as u64));
    }

    pub(super) fn deleted(&mut self, ground: &mut dyn Ground, serial: usize) {
        if self.stock.things[serial].exists() {
            self.end(ground, serial);
        }
    }

    /// Gone at once. Nothing where it is gone already.
    pub(super) fn vanish(&mut self, ground: &mut dyn Ground, serial: usize) {
        if !self.stock.things[serial].lives() {
            return;
        }
        let was_first = self.is_first(serial);
        self.end(ground, serial);
        self.take_out(ground, serial, was_first);
    }

    /// The world loses a machine; where a second one has its id, that one takes its place.
    fn take_out(&mut self, ground: &mut dyn Ground, serial: usize, was_first: bool) {
        self.inside(serial).power = Power::Off;
        if was_first {
            let machine = self.stock.things[serial].id().clone();
            let next = self.stock.machine(&machine);
            ground.changed(Change::MachineGone { machine });
            if let Some(next) = next {
                self.say_up(ground, next);
            }
        }
    }
}
