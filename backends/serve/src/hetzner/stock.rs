//! What exists in a project.

use super::actions::{Action, Due};
use super::catalog::{Image, Location, ServerType};
use super::labels::Labels;
use crate::Thing;
use ipnet::Ipv4Net;
use quorate_engine::time::{Span, Time};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// What everything has.
#[derive(Debug, Clone)]
pub(super) struct Base {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) labels: Labels,
    pub(super) made: Time,
    /// Lists show it from then on.
    pub(super) listed: Time,
    /// Against deletion.
    pub(super) protected: bool,
}

/// The vendor's states of a server that this model knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Initializing,
    Starting,
    Running,
    Stopping,
    Off,
    Deleting,
    /// Its making failed.
    Unknown,
}

impl Status {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Off => "off",
            Self::Deleting => "deleting",
            Self::Unknown => "unknown",
        }
    }
}

/// A server's place in a network.
#[derive(Debug, Clone)]
pub(super) struct Attachment {
    pub(super) network: u64,
    pub(super) address: Ipv4Addr,
    pub(super) aliases: Vec<Ipv4Addr>,
    /// Before, the address is only kept for it.
    pub(super) done: bool,
}

pub(super) struct Server {
    pub(super) base: Base,
    pub(super) status: Status,
    pub(super) kind: &'static ServerType,
    pub(super) image: &'static Image,
    pub(super) location: &'static Location,
    pub(super) group: Option<u64>,
    pub(super) nets: Vec<Attachment>,
    /// Primary addresses by id.
    pub(super) ipv4: Option<u64>,
    pub(super) ipv6: Option<u64>,
    pub(super) rebuild_protected: bool,
    pub(super) user_data: Option<String>,
    /// Counts changes of power: what was begun before one does not end after it.
    pub(super) turn: u32,
    /// Lists show it so long after it is gone.
    pub(super) linger: Span,
}

#[derive(Debug, Clone)]
pub(super) struct Subnet {
    pub(super) block: Ipv4Net,
    pub(super) kind: String,
    pub(super) zone: String,
    pub(super) vswitch: Option<u64>,
}

pub(super) struct Network {
    pub(super) base: Base,
    pub(super) block: Ipv4Net,
    pub(super) subnets: Vec<Subnet>,
    pub(super) routes: Vec<(Ipv4Net, Ipv4Addr)>,
    pub(super) exposed: bool,
}

/// What a firewall is applied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Applied {
    Server(u64),
    Selector(String),
}

pub(super) struct Firewall {
    pub(super) base: Base,
    pub(super) rules: Vec<Value>,
    pub(super) applied: Vec<Applied>,
    /// Servers on which it is not in force yet.
    pub(super) pending: Vec<u64>,
}

pub(super) struct SshKey {
    pub(super) base: Base,
    pub(super) line: String,
    pub(super) fingerprint: String,
}

pub(super) struct Group {
    pub(super) base: Base,
}

/// The address itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    V4(Ipv4Addr),
    /// The nth /64 of the documentation range.
    V6(u16),
}

pub(super) struct PrimaryIp {
    pub(super) base: Base,
    pub(super) number: Number,
    pub(super) location: &'static Location,
    pub(super) server: Option<u64>,
    /// It goes with its server.
    pub(super) auto_delete: bool,
}

/// Everything, by id. Ids are unique over all kinds.
#[derive(Default)]
pub(super) struct Stock {
    ids: u64,
    /// Public addresses given so far, of IPv6 and of IPv4.
    pub(super) numbers: [u32; 2],
    pub(super) servers: BTreeMap<u64, Server>,
    pub(super) networks: BTreeMap<u64, Network>,
    pub(super) firewalls: BTreeMap<u64, Firewall>,
    pub(super) keys: BTreeMap<u64, SshKey>,
    pub(super) groups: BTreeMap<u64, Group>,
    pub(super) primary: BTreeMap<u64, PrimaryIp>,
    pub(super) actions: BTreeMap<u64, Action>,
    pub(super) due: BTreeMap<(Time, u64), Due>,
    /// What is gone and still shown by stale lists: until when, under which plural, and as what.
    pub(super) ghosts: Vec<(Time, &'static str, Value)>,
}

/// The vendor's ids of a project that is not new are large.
const FIRST_ID: u64 = 10_000_000;

impl Stock {
    pub(super) fn next_id(&mut self) -> u64 {
        self.ids += 1;
        FIRST_ID + self.ids
    }

    /// All that exists, in the order in which it was made.
    pub(super) fn things(&self) -> Vec<Thing> {
        let thing = |kind: &str, base: &Base| Thing {
            kind: kind.to_owned(),
            id: base.id,
            name: base.name.clone(),
            labels: base.labels.clone(),
            state: String::new(),
            private: Vec::new(),
            user_data: None,
        };
        let servers = self.servers.values().map(|server| Thing {
            state: server.status.word().to_owned(),
            private: server.nets.iter().map(|net| net.address).collect(),
            user_data: server.user_data.clone(),
            ..thing("server", &server.base)
        });
        let mut all: Vec<Thing> = servers.collect();
        all.extend(self.networks.values().map(|it| thing("network", &it.base)));
        all.extend(
            self.firewalls
                .values()
                .map(|it| thing("firewall", &it.base)),
        );
        all.extend(self.keys.values().map(|it| thing("ssh_key", &it.base)));
        all.extend(
            self.groups
                .values()
                .map(|it| thing("placement_group", &it.base)),
        );
        all.extend(
            self.primary
                .values()
                .map(|it| thing("primary_ip", &it.base)),
        );
        all.sort_by_key(|thing| thing.id);
        all
    }
}
