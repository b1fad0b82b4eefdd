//! Zones: names, what stands at them, and which addresses are watched.
//!
//! Plain data that never changes once it is made. Knows neither packets nor who is alive.

use crate::health::Target;
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{LowerName, Name, RData, RecordType};
use std::collections::BTreeMap;

/// Numbers the watched addresses of all zones, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WatchId(pub usize);

/// One value of a record set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What is answered.
    pub data: RData,
    /// The address is given out only while it is well.
    pub watch: Option<WatchId>,
}

/// All values of one type at one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSet {
    /// Seconds for which resolvers may keep the answer.
    pub ttl_s: u32,
    /// In the order of the configuration; an answer has them in another one each time.
    pub members: Vec<Member>,
}

/// What stands at one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// By type. Empty where only names below this one have something (RFC 4592, section 2.2.2).
    pub sets: BTreeMap<RecordType, RecordSet>,
}

/// A zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its name.
    pub apex: LowerName,
    /// The same as a name that can be written.
    pub origin: Name,
    /// Start of authority. Its `minimum` is how long "there is none" may be kept (RFC 2308).
    pub soa: SOA,
    /// Seconds for which resolvers may keep the SOA record itself.
    pub soa_ttl_s: u32,
    /// Everything in it, the apex among them.
    pub nodes: BTreeMap<LowerName, Node>,
}

/// All zones of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Zones {
    /// By name.
    pub zones: BTreeMap<LowerName, Zone>,
    /// What is watched, by [`WatchId`].
    pub watches: Vec<Target>,
}

impl Zones {
    /// The innermost zone that has this name.
    #[must_use]
    pub fn of(&self, name: &LowerName) -> Option<&Zone> {
        let mut at = name.clone();
        loop {
            if let Some(zone) = self.zones.get(&at) {
                return Some(zone);
            }
            if at.is_root() {
                return None;
            }
            at = at.base_name();
        }
    }

    /// The number of a target; a new one where it is watched for the first time.
    pub fn watch(&mut self, target: Target) -> WatchId {
        let known = self.watches.iter().position(|known| *known == target);
        WatchId(known.unwrap_or_else(|| {
            self.watches.push(target);
            self.watches.len() - 1
        }))
    }
}

impl Zone {
    /// Puts a record set at a name, and makes the names between it and the apex exist.
    ///
    /// # Panics
    /// If the name is not in the zone: callers look it up first.
    pub fn put(&mut self, name: &LowerName, kind: RecordType, set: RecordSet) {
        assert!(self.apex.zone_of(name), "{name} is in {}", self.apex);
        let mut above = name.clone();
        while above != self.apex {
            above = above.base_name();
            self.nodes.entry(above.clone()).or_default();
        }
        let node = self.nodes.entry(name.clone()).or_default();
        node.sets.insert(kind, set);
    }

    /// Seconds for which "there is none" may be kept: the lesser of the SOA record's own time and
    /// its `minimum` (RFC 2308, section 5).
    #[must_use]
    pub fn negative_ttl_s(&self) -> u32 {
        self.soa.minimum.min(self.soa_ttl_s)
    }
}
