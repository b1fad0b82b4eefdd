//! Zones, health and rate limit together: the name server without its sockets.
//!
//! Queries are answered from a [`View`] that does not change; [`Authority`] makes the next one when
//! the zones or somebody's health do. A simulator hosts both as a server does.

use crate::answer::Order;
use crate::health::{Condition, Health, Notice, Opinion, Target};
use crate::limit::{Allowance, Limiter};
use crate::message::{Transport, View, respond, slip};
use crate::zone::Zones;
use quorate_engine::time::Time;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

/// Takes a packet, gives its answer.
#[must_use]
pub fn handle(
    view: &View,
    limiter: &mut Limiter,
    now: Time,
    from: SocketAddr,
    (transport, packet): (Transport, &[u8]),
) -> Option<Vec<u8>> {
    let allowance = match transport {
        Transport::Udp => limiter.judge(now, from.ip()),
        Transport::Tcp => Allowance::Answer,
    };
    match allowance {
        Allowance::Answer => respond(view, packet, transport, from),
        Allowance::Slip => slip(packet, from),
        Allowance::Silence => None,
    }
}

/// What changes: the zones, and who is well.
#[derive(Debug, Default)]
pub struct Authority {
    zones: Arc<Zones>,
    health: Health,
    all_sick: BTreeSet<String>,
    /// Goes on where it was when the zones or somebody's health change.
    order: Arc<Order>,
}

impl Authority {
    /// Without zones. `seed` begins the sequence that answers take their order from.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            order: Arc::new(Order::from(seed)),
            ..Self::default()
        }
    }

    /// Other zones from now on. What is known of addresses that are still watched stays.
    pub fn load(&mut self, zones: Arc<Zones>) -> Vec<Notice> {
        self.health.watch(&zones.watches);
        self.zones = zones;
        self.hopeless()
    }

    /// A check by this instance has ended.
    pub fn observe(&mut self, now: Time, target: &Target, well: bool) -> Vec<Notice> {
        let change = self.health.observe(now, target, well);
        self.changed(change.into_iter().collect())
    }

    /// Another instance says what it has seen itself.
    pub fn hear(&mut self, now: Time, peer: &str, said: &[(Target, Opinion)]) -> Vec<Notice> {
        let mut notices = Vec::new();
        for (target, opinion) in said {
            notices.extend(self.health.hear(now, peer, target, *opinion));
        }
        self.changed(notices)
    }

    /// Time has passed: old opinions stop counting.
    pub fn age(&mut self, now: Time) -> Vec<Notice> {
        let notices = self.health.age(now);
        self.changed(notices)
    }

    /// What queries are answered from.
    #[must_use]
    pub fn view(&self) -> View {
        let sick = |target| self.health.is_sick(target);
        let sick = self.zones.watches.iter().map(sick).collect();
        View::new(&self.zones, sick, &self.order)
    }

    /// The zones.
    #[must_use]
    pub fn zones(&self) -> &Arc<Zones> {
        &self.zones
    }

    /// How a watched address is.
    #[must_use]
    pub fn condition(&self, now: Time, target: &Target) -> Option<Condition> {
        self.health.condition(now, target)
    }

    /// Record sets of which every address is sick, as `NAME TYPE`.
    #[must_use]
    pub fn all_sick(&self) -> &BTreeSet<String> {
        &self.all_sick
    }

    fn changed(&mut self, mut notices: Vec<Notice>) -> Vec<Notice> {
        if !notices.is_empty() {
            notices.extend(self.hopeless());
        }
        notices
    }

    /// Says once of each record set that nobody in it is well, and once that somebody is again.
    fn hopeless(&mut self) -> Vec<Notice> {
        let zones = &self.zones;
        let mut now = BTreeSet::new();
        let nodes = zones.zones.values().flat_map(|zone| &zone.nodes);
        for (name, node) in nodes {
            for (kind, set) in &node.sets {
                let ill =
                    |watch: crate::zone::WatchId| self.health.is_sick(&zones.watches[watch.0]);
                let mut members = set.members.iter();
                if members.all(|member| member.watch.is_some_and(ill)) {
                    now.insert(format!("{name} {kind}"));
                }
            }
        }
        let mut notices = Vec::new();
        for records in now.difference(&self.all_sick).cloned() {
            notices.push(Notice::AllSick { records });
        }
        for records in self.all_sick.difference(&now).cloned() {
            notices.push(Notice::SomeWell { records });
        }
        self.all_sick = now;
        notices
    }
}
