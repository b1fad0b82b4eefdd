//! Networks: a bridge with the network's first address, and whatever libvirt does between it and
//! the world.

use super::domain::{gateway, networks as networks_of};
use super::record::{Record, device, note, uuid, uuid_text};
use super::session::{Named, Session};
use super::xml::{Element, element};
use super::{Libvirt, doing, exists};
use crate::labels::{self, Labels};
use ipnet::Ipv4Net;
use quorate_engine::resource::{Kind, Resource, ResourceId, Spec};
use quorate_engine::seam::{Fault, FaultClass, Key, MachineState, Outcome, Reply, Seen};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// A network of ours.
pub(super) struct Net {
    pub(super) named: Named,
    pub(super) record: Record,
    pub(super) xml: Element,
    /// It is started.
    pub(super) active: bool,
}

/// The addresses of a network.
pub(super) fn cidr(network: &Element) -> Option<Ipv4Net> {
    let ip = network.at("ip")?;
    let address: Ipv4Addr = ip.get("address")?.parse().ok()?;
    let net = match (ip.get("prefix"), ip.get("netmask")) {
        (Some(prefix), _) => Ipv4Net::new(address, prefix.parse().ok()?).ok()?,
        (None, Some(mask)) => Ipv4Net::with_netmask(address, mask.parse().ok()?).ok()?,
        (None, None) => return None,
    };
    Some(net.trunc())
}

fn document(record: &Record, cidr: Ipv4Net, forward: &str) -> String {
    let labels = &record.labels;
    let forward = (forward != "isolated").then(|| element("forward").with("mode", forward));
    element("network")
        .hold([
            element("name").say(labels::name(&labels.id)),
            element("uuid").say(uuid_text(uuid(&labels.owner, &labels.id))),
            record.metadata(),
        ])
        .hold(forward)
        .hold([
            element("bridge")
                .with("name", device(&labels.owner, &labels.id, 'b'))
                .with("stp", "off")
                .with("delay", 0),
            element("ip")
                .with("address", gateway(cidr))
                .with("netmask", cidr.netmask()),
        ])
        .write()
}

impl Net {
    pub(super) fn seen(&self) -> Seen {
        let labels = &self.record.labels;
        let mut fields = BTreeMap::new();
        if let Some(region) = self.record.get(note::REGION) {
            fields.insert("region".to_owned(), region.to_owned());
        }
        if let Some(cidr) = cidr(&self.xml) {
            fields.insert("cidr".to_owned(), cidr.to_string());
        }
        Seen {
            id: labels.id.clone(),
            kind: Kind::Network,
            external: uuid_text(self.named.uuid),
            fingerprint: labels.fingerprint,
            state: match self.active {
                true => MachineState::Running,
                false => MachineState::Stopped,
            },
            address: None,
            private: None,
            host_key: None,
            fields,
        }
    }
}

impl Libvirt {
    pub(super) fn record_of(&self, resource: &Resource, key: Key) -> Record {
        Record::new(Labels {
            owner: self.site.owner.clone(),
            id: resource.id.clone(),
            kind: resource.spec.kind(),
            fingerprint: resource.spec.fingerprint(),
            key,
        })
        .note(note::PROVIDER, &self.site.provider.name)
    }

    /// Whether a thing is this provider instance's: others of the same cluster may share the
    /// connection.
    pub(super) fn made_here(&self, record: &Record) -> bool {
        record.labels.owner == self.site.owner
            && record.get(note::PROVIDER) == Some(self.site.provider.name.as_str())
    }

    /// The network of this id: none where there is none, [`FaultClass::Exists`] where its name is
    /// somebody else's.
    pub(super) async fn find_network(
        &self,
        session: &Session,
        id: &ResourceId,
    ) -> Result<Option<Net>, Fault> {
        let said = || format!("looking for {id}");
        let found = session.network(&labels::name(id)).await;
        let Some(named) = found.map_err(doing(&said()))? else {
            return Ok(None);
        };
        let document = session.network_xml(&named).await.map_err(doing(&said()))?;
        let Some(xml) = document.as_deref().and_then(Element::parse) else {
            return Ok(None);
        };
        let record = Record::of(&xml).filter(|record| record.is(&self.site.owner, id));
        let Some(record) = record else {
            return Err(exists(&named.name, "network"));
        };
        let active = session.network_active(&named).await;
        Ok(Some(Net {
            active: active.map_err(doing(&said()))?,
            named,
            record,
            xml,
        }))
    }

    pub(super) async fn create_network(&self, resource: &Resource, key: Key) -> Outcome {
        let Spec::Network { region, cidr } = &resource.spec else {
            panic!("{} is a network", resource.id);
        };
        let id = &resource.id;
        let turn = self.turn(id);
        let _held = turn.lock().await;
        let session = self.session().await?;
        let record = self.record_of(resource, key).note(note::REGION, region);
        match self.find_network(&session, id).await? {
            Some(net) if net.record.labels.fingerprint != record.labels.fingerprint => {
                let said = format!("{id} exists, made from another spec");
                return Err(Fault::new(FaultClass::Exists, said));
            }
            Some(_) => {}
            None => {
                let xml = document(&record, *cidr, &self.target()?.forward);
                let defined = session.define_network(&xml).await;
                defined.map_err(doing(&format!("defining {id}")))?;
            }
        }
        let net = self.find_network(&session, id).await?;
        let mut net = net.ok_or_else(|| vanished(id))?;
        start(&session, &mut net).await?;
        Ok(Reply::Seen(net.seen()))
    }

    /// New labels; where its addresses are, it stays as long as it lives.
    pub(super) async fn update_network(&self, resource: &Resource, key: Key) -> Outcome {
        let Spec::Network {
            region,
            cidr: wanted,
        } = &resource.spec
        else {
            panic!("{} is a network", resource.id);
        };
        let id = &resource.id;
        let turn = self.turn(id);
        let _held = turn.lock().await;
        let session = self.session().await?;
        let Some(mut net) = self.ours(self.find_network(&session, id).await)? else {
            return Err(vanished(id));
        };
        if cidr(&net.xml) != Some(wanted.trunc()) {
            let said = format!("the addresses of {id} cannot be changed in place");
            return Err(Fault::new(FaultClass::Invalid, said));
        }
        let record = self.record_of(resource, key).note(note::REGION, region);
        let xml = document(&record, *wanted, &self.target()?.forward);
        let defined = session.define_network(&xml).await;
        defined.map_err(doing(&format!("updating {id}")))?;
        start(&session, &mut net).await?;
        Ok(Reply::Done)
    }

    pub(super) async fn describe_network(&self, id: &ResourceId) -> Outcome {
        let session = self.session().await?;
        let found = self.ours(self.find_network(&session, id).await)?;
        // One that was never started, or was stopped, is to be created again: that starts it.
        Ok(match found.filter(|net| net.active) {
            Some(net) => Reply::Seen(net.seen()),
            None => Reply::Absent,
        })
    }

    pub(super) async fn delete_network(&self, id: &ResourceId) -> Outcome {
        let turn = self.turn(id);
        let _held = turn.lock().await;
        let session = self.session().await?;
        let Some(net) = self.ours(self.find_network(&session, id).await)? else {
            return Ok(Reply::Done);
        };
        let users = self.domains_where(&session, |xml| {
            networks_of(xml).any(|network| network == net.named.name)
        });
        if let Some(user) = users.await?.first() {
            let said = format!("{id} is in use by the domain {user}");
            return Err(Fault::new(FaultClass::Busy, said));
        }
        let said = format!("deleting {id}");
        let stopped = session.destroy_network(&net.named).await;
        stopped.map_err(doing(&said))?;
        let gone = session.undefine_network(&net.named).await;
        gone.map_err(doing(&said))?;
        Ok(Reply::Done)
    }
}

pub(super) fn vanished(id: &ResourceId) -> Fault {
    Fault::new(FaultClass::NotFound, format!("{id} is not there"))
}

/// Starts it where it is stopped, now and with its host.
pub(super) async fn start(session: &Session, net: &mut Net) -> Result<(), Fault> {
    let said = format!("starting {}", net.record.labels.id);
    if !net.active {
        let started = session.start_network(&net.named).await;
        started.map_err(doing(&said))?;
        net.active = true;
    }
    let kept = session.autostart_network(&net.named).await;
    kept.map_err(doing(&said))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Owner;

    #[test]
    fn a_network_is_written_and_read() {
        let record = Record::new(Labels {
            owner: Owner {
                cluster: "shop".to_owned(),
                uid: 7,
            },
            id: ResourceId::new("shop/network.a/r1"),
            kind: Kind::Network,
            fingerprint: 1,
            key: Key(2),
        });
        let wanted: Ipv4Net = "10.5.0.0/24".parse().unwrap();
        let xml = Element::parse(&document(&record, wanted, "nat")).unwrap();
        assert_eq!(xml.at("name").unwrap().text, "shop-network-a-r1");
        assert_eq!(xml.at("forward").unwrap().get("mode"), Some("nat"));
        assert_eq!(xml.at("ip").unwrap().get("address"), Some("10.5.0.1"));
        assert!(xml.at("bridge").unwrap().get("name").unwrap().len() <= 15);
        assert_eq!(cidr(&xml), Some(wanted));
        assert_eq!(Record::of(&xml), Some(record.clone()));
        let alone = Element::parse(&document(&record, wanted, "isolated")).unwrap();
        assert!(alone.at("forward").is_none());
        let by_prefix = "<network><ip address='10.5.0.1' prefix='24'/></network>";
        assert_eq!(cidr(&Element::parse(by_prefix).unwrap()), Some(wanted));
        let none = "<network><ip family='ipv6' address='fd00::1' prefix='64'/></network>";
        assert_eq!(cidr(&Element::parse(none).unwrap()), None);
    }
}
