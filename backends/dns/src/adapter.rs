//! What both adapters make of a call: which record set is wanted, and how one that is there is
//! shown.

use crate::config::whole;
use hickory_proto::rr::Name;
use quorate_engine::resource::{Kind, Resource, Spec};
use quorate_engine::seam::{Call, Fault, FaultClass, MachineState, Seen, Verb};
use quorate_providers::Owner;
use quorate_providers::labels::Labels;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The addresses that a record set was made with, in its labels: whatever differs was changed by
/// somebody else.
pub(crate) const ADDRESSES: &str = "quorate.dev/addresses";

/// Beginning of the name of the TXT record that says whose a name is.
pub(crate) const MARK: &str = "_quorate";

/// A record set as a call wants it.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) zone: Name,
    pub(crate) name: Name,
    pub(crate) ttl_s: u32,
    pub(crate) addresses: Vec<Ipv4Addr>,
    pub(crate) check: Option<quorate_engine::manifest::DnsCheck>,
    pub(crate) labels: Labels,
}

/// What is wrong with a call that is none for name servers.
pub(crate) fn invalid(text: impl Into<String>) -> Fault {
    Fault::new(FaultClass::Invalid, text)
}

/// Zone and name of a resource, if it is a record set.
///
/// # Errors
/// It is none, or its names are none.
pub(crate) fn place(resource: &Resource) -> Result<(Name, Name), Fault> {
    let Spec::RecordSet { zone, name, .. } = &resource.spec else {
        let kind = resource.spec.kind();
        return Err(invalid(format!("a name server has records, and no {kind}")));
    };
    let origin = whole(zone).ok_or_else(|| invalid(format!("`{zone}` is no name of a zone")))?;
    let owner = whole(name).filter(|owner| origin.zone_of(owner));
    let owner = owner.ok_or_else(|| invalid(format!("`{name}` is no name in {zone}")))?;
    let marked = owner
        .iter()
        .next()
        .is_some_and(|label| label.starts_with(MARK.as_bytes()));
    if marked || owner.is_wildcard() {
        return Err(invalid(format!("`{name}` is kept for our own use")));
    }
    Ok((origin, owner))
}

/// What a call wants.
///
/// # Errors
/// It wants no record set, or one that cannot be.
pub(crate) fn wanted(call: &Call, owner: &Owner) -> Result<Wanted, Fault> {
    let resource = call.resource.as_ref();
    let resource = resource.ok_or_else(|| invalid(format!("{} without a spec", call.verb)))?;
    let (zone, name) = place(resource)?;
    let Spec::RecordSet {
        ttl_s,
        machines,
        check,
        ..
    } = &resource.spec
    else {
        panic!("a place is a record set's");
    };
    let known = |id| call.addresses.iter().find(|(of, _)| of == id);
    let mut addresses: Vec<_> = machines
        .iter()
        .filter_map(known)
        .map(|(_, at)| *at)
        .collect();
    // A record set has each value once (RFC 2181, section 5).
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        let text = format!("{}: no machine of it has an address yet", resource.id);
        return Err(Fault::new(FaultClass::Busy, text));
    }
    let labels = Labels {
        owner: owner.clone(),
        id: resource.id.clone(),
        kind: Kind::RecordSet,
        fingerprint: resource.spec.fingerprint_at(&call.addresses),
        key: call.key,
    };
    Ok(Wanted {
        zone,
        name,
        ttl_s: *ttl_s,
        addresses,
        check: *check,
        labels,
    })
}

/// The labels that a record set is made with.
pub(crate) fn marks(wanted: &Wanted) -> BTreeMap<String, String> {
    let mut pairs = wanted.labels.pairs();
    pairs.insert(ADDRESSES.to_owned(), listed(&wanted.addresses));
    pairs
}

fn listed(addresses: &[Ipv4Addr]) -> String {
    let mut sorted = addresses.to_vec();
    sorted.sort_unstable();
    let texts: Vec<_> = sorted.iter().map(Ipv4Addr::to_string).collect();
    texts.join(",")
}

/// A record set that is there and ours.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) zone: Name,
    pub(crate) name: Name,
    /// None where its addresses were taken out by somebody else.
    pub(crate) ttl_s: Option<u32>,
    pub(crate) addresses: Vec<Ipv4Addr>,
    pub(crate) pairs: BTreeMap<String, String>,
    pub(crate) labels: Labels,
}

impl Found {
    /// As the engine is told of it.
    pub(crate) fn seen(&self) -> Seen {
        let bare = |name: &Name| name.to_ascii().trim_end_matches('.').to_owned();
        let mut fields = BTreeMap::new();
        fields.insert("zone".to_owned(), bare(&self.zone));
        fields.insert("name".to_owned(), bare(&self.name));
        if let Some(ttl_s) = self.ttl_s {
            fields.insert("ttl_s".to_owned(), ttl_s.to_string());
        }
        let made = self.pairs.get(ADDRESSES);
        let as_made = made.is_some_and(|made| *made == listed(&self.addresses));
        Seen {
            id: self.labels.id.clone(),
            kind: Kind::RecordSet,
            external: bare(&self.name),
            // Other addresses than it was made with: no spec is like that, so it is brought back.
            fingerprint: if as_made { self.labels.fingerprint } else { 0 },
            state: MachineState::Running,
            address: None,
            private: None,
            host_key: None,
            fields,
        }
    }
}

/// Verbs that go to machines and clusters.
pub(crate) fn not_ours(verb: Verb) -> Fault {
    invalid(format!("{verb} is not for a name server"))
}
