//! Machines over ssh: log in, look or work, come back.
//!
//! Work that was begun goes on when the line breaks and ends with the machine. Knows nothing of
//! what the installed things do; etcd and the control plane come by the cluster's own lane.

use super::profile::Lasts;
use super::stock::{Inside, Installed, Power};
use super::{CONNECT_TIMEOUT, Change, Cloud, CloudEvent, Ground};
use quorate_engine::resource::Kind;
use quorate_engine::seam::{Call, Fault, FaultClass, HostView, Outcome, Reply, Verb};
use quorate_engine::time::Span;
use std::sync::Arc;

/// Trips over the line before a command runs: TCP, key exchange, authentication, channel: five
/// there and five back (RFC 4252 to 4254).
const TRIPS: u64 = 10;

/// To look at a machine, or to find that nothing is to be done.
const LOOK: Lasts = lasts(400, 0.3);

const fn lasts(median_ms: u64, sigma: f64) -> Lasts {
    Lasts { median_ms, sigma }
}

/// How long it takes to put a kind of thing on a machine; none where that is not done over ssh.
/// Ranges are of kubeadm installations on cloud machines.
const fn putting(kind: Kind) -> Option<Lasts> {
    match kind {
        // 30 to 120 s: packages, container runtime, images.
        Kind::Host => Some(lasts(55_000, 0.3)),
        // Five peers with their links were configured in 1.9 to 2.3 s on a local network.
        Kind::Peer => Some(lasts(2_000, 0.2)),
        // One file and one command.
        Kind::Links | Kind::ApiProxy => Some(lasts(600, 0.2)),
        // 5 to 10 s.
        Kind::Balancer => Some(lasts(7_000, 0.15)),
        // 10 to 20 s: kubeadm join.
        Kind::Worker => Some(lasts(14_000, 0.15)),
        Kind::EtcdMember
        | Kind::ControlPlane
        | Kind::Network
        | Kind::Firewall
        | Kind::Machine
        | Kind::RecordSet
        | Kind::StoragePool => None,
    }
}

/// How long it takes to take it off.
const fn taking(kind: Kind) -> Lasts {
    match kind {
        // kubeadm reset.
        Kind::Worker | Kind::EtcdMember | Kind::ControlPlane => lasts(8_000, 0.2),
        Kind::Host => lasts(5_000, 0.2),
        Kind::Peer
        | Kind::Links
        | Kind::Balancer
        | Kind::ApiProxy
        | Kind::Network
        | Kind::Firewall
        | Kind::Machine
        | Kind::RecordSet
        | Kind::StoragePool => lasts(1_500, 0.2),
    }
}

/// What must be on a machine before this can be put there.
const fn needs(kind: Kind) -> &'static [Kind] {
    match kind {
        Kind::Peer | Kind::Balancer => &[Kind::Host],
        Kind::Links => &[Kind::Peer],
        Kind::ApiProxy => &[Kind::Host],
        Kind::Worker => &[Kind::Host, Kind::Links, Kind::ApiProxy],
        Kind::Host
        | Kind::EtcdMember
        | Kind::ControlPlane
        | Kind::Network
        | Kind::Firewall
        | Kind::Machine
        | Kind::RecordSet
        | Kind::StoragePool => &[],
    }
}

impl Cloud {
    /// Somebody wants to log in.
    pub(super) fn connect(&mut self, ground: &mut dyn Ground, number: u64) {
        let call = Arc::clone(&self.flights[&number].call);
        let up = self.answering(&call);
        let path = ground.reachable(&call.target.machine());
        let (Some((serial, boot)), Some(delay)) = (up, path) else {
            return self.fail(ground, number, CONNECT_TIMEOUT, "no ssh");
        };
        let flight = self.flights.get_mut(&number).expect("it was just made");
        flight.machine = Some((serial, boot));
        flight.leg = delay.max(Span::from_ms(1));
        ground.after(flight.leg.times(TRIPS), CloudEvent::Arrive(number));
    }

    /// The machine at the address that the caller knows, and its boot, where ssh answers there.
    fn answering(&self, call: &Call) -> Option<(usize, u32)> {
        let id = call.target.machine();
        let known = call.addresses.iter().find(|(of, _)| *of == id);
        let serial = match known {
            Some((_, address)) => self.stock.of(&id).iter().copied().find(|&serial| {
                let thing = &self.stock.things[serial];
                thing.lives() && thing.address == Some(*address)
            })?,
            None => self.stock.machine(&id)?,
        };
        let inside = self.stock.things[serial].inside.as_ref()?;
        (inside.power == Power::Up).then_some((serial, inside.boot))
    }

    fn still_the_same(&self, serial: usize, boot: u32) -> Option<Power> {
        let inside = self.stock.things[serial].inside.as_ref()?;
        (inside.boot == boot).then_some(inside.power)
    }

    /// Logged in: looks or begins to work.
    pub(super) fn begin_work(&mut self, ground: &mut dyn Ground, number: u64) {
        let flight = &self.flights[&number];
        let (serial, boot) = flight.machine.expect("it was connected");
        let (call, leg) = (Arc::clone(&flight.call), flight.leg);
        if self.still_the_same(serial, boot) != Some(Power::Up) {
            return self.fail(ground, number, CONNECT_TIMEOUT, "the line broke at login");
        }
        let lasts = match plan_work(self.inside(serial), &call) {
            Ok(lasts) => lasts,
            Err(fault) => return self.reply(ground, number, leg, Err(fault)),
        };
        if call.verb.mutates() {
            let locks = &mut self.inside(serial).locks;
            let before = locks.insert(call.target.clone(), number);
            assert!(before.is_none(), "{} is worked on once", call.target);
        }
        let flight = self.flights.get_mut(&number).expect("it is under way");
        let lasts = lasts.draw(&mut flight.luck);
        ground.after(lasts, CloudEvent::Worked(number));
    }

    /// The work would be done now, if the machine still is what it was.
    pub(super) fn end_work(&mut self, ground: &mut dyn Ground, number: u64) {
        let flight = &self.flights[&number];
        let (serial, boot) = flight.machine.expect("it was connected");
        let call = Arc::clone(&flight.call);
        match self.still_the_same(serial, boot) {
            Some(Power::Up) => {}
            Some(Power::Paused) => {
                return ground.after(Span::from_secs(1), CloudEvent::Worked(number));
            }
            Some(Power::Off | Power::Booting) | None => return self.lose(ground, number, false),
        }
        if call.verb.mutates() {
            let held = self.inside(serial).locks.remove(&call.target);
            assert_eq!(held, Some(number), "the lock of {} was kept", call.target);
        }
        let outcome = self.finish_work(ground, serial, &call);
        match ground.reachable(&call.target.machine()) {
            Some(delay) => self.reply(ground, number, delay, outcome),
            None => self.lose(ground, number, outcome.is_ok()),
        }
    }

    fn finish_work(&mut self, ground: &mut dyn Ground, serial: usize, call: &Call) -> Outcome {
        let machine = call.target.machine();
        if call.verb == Verb::Probe {
            return Ok(Reply::Host(view(self.inside(serial))));
        }
        if call.verb == Verb::Delete {
            for gone in take_off(self.inside(serial), call) {
                ground.changed(Change::Uninstalled {
                    machine: machine.clone(),
                    kind: gone.resource.spec.kind(),
                    resource: gone.resource.id.clone(),
                });
            }
            return Ok(Reply::Done);
        }
        let resource = call.resource.as_ref().expect("checked when it began");
        ground.admits(&machine, resource)?;
        let installed = &mut self.inside(serial).installed;
        let new = Installed::new(resource, call, installed.get(&call.target));
        if installed.get(&call.target) != Some(&new) {
            installed.insert(call.target.clone(), new);
            ground.changed(Change::Installed {
                machine,
                resource: Arc::clone(resource),
                addresses: call.addresses.clone(),
            });
        }
        Ok(match resource.spec.kind() {
            Kind::Peer => Reply::Host(view(self.inside(serial))),
            _ => Reply::Done,
        })
    }
}

/// How long the work will take, or why it cannot begin.
fn plan_work(inside: &Inside, call: &Call) -> Result<Lasts, Fault> {
    let invalid = |detail: String| Err(Fault::new(FaultClass::Invalid, detail));
    if inside.locks.contains_key(&call.target) && call.verb.mutates() {
        return Err(Fault::new(FaultClass::Busy, "another run holds the lock"));
    }
    let there = inside.installed.get(&call.target);
    match (call.verb, &call.resource) {
        (Verb::Probe, _) => Ok(LOOK),
        (Verb::Delete, _) => Ok(there.map_or(LOOK, |it| taking(it.resource.spec.kind()))),
        (Verb::Create | Verb::Update, Some(wanted)) => {
            let kind = wanted.spec.kind();
            let Some(lasts) = putting(kind).filter(|_| wanted.id == call.target) else {
                return invalid(format!("{kind} {} is not put there by ssh", call.target));
            };
            let has = |kind| {
                inside
                    .installed
                    .values()
                    .any(|it| it.resource.spec.kind() == kind)
            };
            if let Some(missing) = needs(kind).iter().find(|&&kind| !has(kind)) {
                let detail = format!("a {kind} needs a {missing} there");
                return Err(Fault::new(FaultClass::NotFound, detail));
            }
            let done = there.is_some_and(|it| {
                it.resource.spec == wanted.spec
                    && it.addresses == call.addresses
                    && it.peers == call.peers
            });
            Ok(if done { LOOK } else { lasts })
        }
        (Verb::Create | Verb::Update, None) => invalid(format!("{} of what?", call.verb)),
        (
            Verb::List
            | Verb::Describe
            | Verb::Cluster
            | Verb::Init
            | Verb::AddLearner
            | Verb::Promote
            | Verb::MoveLeader
            | Verb::RemoveMember
            | Verb::Drain,
            _,
        ) => invalid(format!("a machine cannot {}", call.verb)),
    }
}

/// Takes one thing off a machine; with what all others stand on, everything, the last first.
fn take_off(inside: &mut Inside, call: &Call) -> Vec<Installed> {
    if call.kind != Kind::Host {
        return inside.installed.remove(&call.target).into_iter().collect();
    }
    let all = std::mem::take(&mut inside.installed);
    let mut all: Vec<_> = all.into_values().collect();
    all.sort_by_key(|it| std::cmp::Reverse(it.resource.spec.kind()));
    all
}

fn view(inside: &Inside) -> HostView {
    let all = inside.installed.values();
    let mut installed: Vec<_> = all
        .map(|it| (it.resource.spec.kind(), it.fingerprint))
        .collect();
    installed.sort_by_key(|(kind, _)| *kind);
    let mesh_key = inside.installed.values().find_map(|it| it.mesh_key);
    HostView {
        installed,
        mesh_key,
    }
}
