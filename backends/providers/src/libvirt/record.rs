//! What libvirt keeps for us in the `<metadata>` of domains and networks, and names and numbers
//! that follow from an id alone.
//!
//! Knows neither connections nor what a machine is made of.

use super::xml::{Element, element};
use crate::Owner;
use crate::labels::Labels;
use quorate_engine::random::hash_name;
use quorate_engine::resource::{Kind, ResourceId};
use std::collections::BTreeMap;

/// The namespace of our elements.
pub(super) const NAMESPACE: &str = "https://quorate.dev/libvirt/1";

/// Notes that a record has besides its labels.
pub(super) mod note {
    pub(crate) const ADDRESS: &str = "address";
    pub(crate) const HOST_KEY: &str = "host-key";
    pub(crate) const IMAGE: &str = "image";
    pub(crate) const MACHINE_TYPE: &str = "machine-type";
    pub(crate) const MESH_PORT: &str = "mesh-port";
    pub(crate) const PUBLIC_PORTS: &str = "public-ports";
    pub(crate) const REGION: &str = "region";
}

/// Whose a thing is, and what cannot be seen in it otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) labels: Labels,
    pub(super) notes: BTreeMap<String, String>,
}

impl Record {
    pub(super) fn new(labels: Labels) -> Self {
        Self {
            labels,
            notes: BTreeMap::new(),
        }
    }

    pub(super) fn note(mut self, name: &str, value: impl ToString) -> Self {
        self.notes.insert(name.to_owned(), value.to_string());
        self
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.notes.get(name).map(String::as_str)
    }

    /// The `<metadata>` with nothing but the record.
    pub(super) fn metadata(&self) -> Element {
        let name = match self.labels.kind {
            Kind::Machine => "q:machine",
            Kind::Network => "q:network",
            Kind::Firewall => "q:firewall",
            Kind::Host
            | Kind::Peer
            | Kind::Links
            | Kind::EtcdMember
            | Kind::ControlPlane
            | Kind::Worker
            | Kind::Balancer
            | Kind::ApiProxy
            | Kind::RecordSet
            | Kind::StoragePool => panic!("libvirt makes no {}", self.labels.kind),
        };
        let pair = |tag: &str, (name, value): (String, String)| {
            element(tag).with("name", name).with("value", value)
        };
        let labels = self.labels.pairs().into_iter();
        let notes = self.notes.clone().into_iter();
        let record = element(name)
            .with("xmlns:q", NAMESPACE)
            .hold(labels.map(|label| pair("q:label", label)))
            .hold(notes.map(|note| pair("q:note", note)));
        element("metadata").hold([record])
    }

    /// The record in a domain or network; none where there is none, or it is not whole.
    pub(super) fn of(thing: &Element) -> Option<Self> {
        let ours = |child: &&Element| {
            let prefix = child.name.split_once(':').map(|(prefix, _)| prefix);
            let space = prefix.map(|prefix| format!("xmlns:{prefix}"));
            space.is_some_and(|space| child.get(&space) == Some(NAMESPACE))
        };
        let record = thing.at("metadata")?.children.iter().find(ours)?;
        let pairs = |tag: &str| -> BTreeMap<String, String> {
            let mine = record.children.iter().filter(|child| {
                let local = child.name.rsplit(':').next();
                local == Some(tag)
            });
            mine.filter_map(|child| {
                let (name, value) = (child.get("name")?, child.get("value")?);
                Some((name.to_owned(), value.to_owned()))
            })
            .collect()
        };
        Some(Self {
            labels: Labels::read(&pairs("label"))?,
            notes: pairs("note"),
        })
    }

    /// Whether it says that the thing is `id` of this owner.
    pub(super) fn is(&self, owner: &Owner, id: &ResourceId) -> bool {
        self.labels.owner == *owner && self.labels.id == *id
    }
}

/// A number for an owner's thing; `salt` makes it another one for another use.
fn number(owner: &Owner, id: &ResourceId, salt: &str) -> u64 {
    let Owner { cluster, uid, .. } = owner;
    hash_name(&format!("{salt} {cluster} {uid:016x} {id}"))
}

/// The UUID of an owner's thing: a custom one (RFC 9562, version 8).
pub(super) fn uuid(owner: &Owner, id: &ResourceId) -> [u8; 16] {
    let halves = ["uuid high", "uuid low"].map(|salt| number(owner, id, salt).to_be_bytes());
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&halves[0]);
    bytes[8..].copy_from_slice(&halves[1]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}

/// A UUID as text.
pub(super) fn uuid_text(uuid: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in uuid.iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// The name of a network's bridge or of a machine's port on it. Linux allows 15 characters, and
/// libvirt takes names like `vnet0` for its own.
pub(super) fn device(owner: &Owner, id: &ResourceId, what: char) -> String {
    let short = number(owner, id, "device") & 0xffff_ffff_ffff;
    format!("q{what}{short:012x}")
}

/// The folder of an owner's root file systems, and the beginning of the names of its volumes.
pub(super) fn shelf(owner: &Owner) -> String {
    format!("{}.{}-{:016x}", owner.provider, owner.cluster, owner.uid)
}

/// The name of a machine's own folder or volume, from which its id can be read.
pub(super) fn slot(id: &ResourceId) -> String {
    id.as_str().replace('/', "_")
}

/// The id that a slot is named by.
pub(super) fn slot_id(name: &str) -> ResourceId {
    ResourceId::new(name.replace('_', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_engine::seam::Key;

    fn owner(uid: u64) -> Owner {
        Owner {
            cluster: "shop".to_owned(),
            uid,
            provider: "a".to_owned(),
        }
    }

    fn record() -> Record {
        Record::new(Labels {
            owner: owner(7),
            id: ResourceId::new("shop/w/1"),
            kind: Kind::Machine,
            fingerprint: 0xfeed,
            key: Key(3),
        })
        .note(note::ADDRESS, "10.0.0.2")
        .note(note::IMAGE, "/a & \"b\"")
    }

    #[test]
    fn a_record_goes_through_libvirt_and_back() {
        let record = record();
        let domain = element("domain").hold([element("name"), record.metadata()]);
        assert_eq!(Record::of(&domain), Some(record.clone()));
        // libvirt keeps the element and may choose another prefix.
        let text = domain.write().replace("q:", "ns0:").replace(":q=", ":ns0=");
        let read = Record::of(&Element::parse(&text).unwrap());
        assert_eq!(read, Some(record.clone()));
        assert!(record.is(&owner(7), &ResourceId::new("shop/w/1")));
        assert!(!record.is(&owner(8), &ResourceId::new("shop/w/1")));
        assert!(!record.is(&owner(7), &ResourceId::new("shop/w/2")));
    }

    #[test]
    fn what_is_not_ours_has_no_record() {
        let foreign = [
            "<domain/>",
            "<domain><metadata/></domain>",
            "<domain><metadata><q:machine xmlns:q='https://else'/></metadata></domain>",
            "<domain><metadata><machine/></metadata></domain>",
            "<domain><metadata><q:machine xmlns:q='https://quorate.dev/libvirt/1'/></metadata>\
             </domain>",
        ];
        for foreign in foreign {
            assert_eq!(
                Record::of(&Element::parse(foreign).unwrap()),
                None,
                "{foreign}"
            );
        }
    }

    #[test]
    fn names_follow_from_owner_and_id() {
        let id = ResourceId::new("shop/htz-cp/1");
        let uuids = [1, 2].map(|uid| uuid_text(uuid(&owner(uid), &id)));
        assert_ne!(uuids[0], uuids[1]);
        assert_eq!(uuids[0], uuid_text(uuid(&owner(1), &id)));
        assert_eq!(uuids[0].len(), 36);
        assert_eq!(&uuids[0][14..15], "8", "version");
        assert!("89ab".contains(&uuids[0][19..20]), "variant");
        let bridge = device(&owner(1), &id, 'b');
        assert!(bridge.len() <= 15 && bridge.starts_with("qb"), "{bridge}");
        assert_ne!(bridge, device(&owner(2), &id, 'b'));
        assert_eq!(slot_id(&slot(&id)), id);
        assert_eq!(shelf(&owner(1)), "a.shop-0000000000000001");
    }
}
