//! Machines: domains, with the files they stand on.
//!
//! Order is everything here. Creation: definition (which reserves the address), files, start,
//! autostart. Deletion: autostart off, stop, files, definition. What has autostart or runs is
//! whole; anything else is begun anew.

use super::domain::{Size, TYPE_FORM, seen};
use super::network::{start, vanished};
use super::record::{Record, note, shelf, slot};
use super::rootfs;
use super::session::{Named, Power, Session};
use super::uri::{Driver, Place};
use super::xml::Element;
use super::{Libvirt, doing, exists, volumes};
use crate::host_key::HostKey;
use crate::labels;
use quorate_engine::resource::{Resource, ResourceId, Spec};
use quorate_engine::seam::{Fault, FaultClass, Key, MachineState, Outcome, Reply};
use std::path::{Path, PathBuf};

/// `VIR_DOMAIN_UNDEFINE_MANAGED_SAVE`, `_SNAPSHOTS_METADATA` and `_NVRAM`: what a virtual machine
/// may have gathered. Other drivers take none.
const UNDEFINE_ALL: u32 = 1 | 2 | 4;

/// A domain of ours.
pub(super) struct Domain {
    pub(super) named: Named,
    pub(super) xml: Element,
    pub(super) record: Record,
    power: Power,
    autostarts: bool,
}

impl Domain {
    pub(super) async fn look(
        session: &Session,
        named: Named,
        xml: Element,
        record: Record,
    ) -> Result<Self, Fault> {
        let said = format!("looking at {}", record.labels.id);
        Ok(Self {
            power: session.power(&named).await.map_err(doing(&said))?,
            autostarts: session.autostarts(&named).await.map_err(doing(&said))?,
            named,
            xml,
            record,
        })
    }

    /// Its creation came to its end, and no deletion began.
    pub(super) fn made(&self) -> bool {
        match self.power {
            Power::On | Power::Paused => true,
            Power::Off | Power::Crashed => self.autostarts,
        }
    }

    pub(super) fn state(&self) -> MachineState {
        match self.power {
            Power::On | Power::Paused => MachineState::Running,
            Power::Off => MachineState::Stopped,
            Power::Crashed => MachineState::Error,
        }
    }
}

/// What a machine's spec means here.
pub(super) struct Wanted<'a> {
    pub(super) id: &'a ResourceId,
    pub(super) region: &'a str,
    pub(super) machine_type: &'a str,
    pub(super) image: &'a str,
    pub(super) size: Size,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(resource: &'a Resource) -> Result<Self, Fault> {
        let Spec::Machine {
            region,
            machine_type,
            image,
            existing,
            ..
        } = &resource.spec
        else {
            panic!("{} is a machine", resource.id);
        };
        let id = &resource.id;
        let bad = |said: String| Err(Fault::new(FaultClass::Invalid, said));
        if existing.is_some() {
            return bad(format!("{id} exists already: libvirt does not make it"));
        }
        let Some(size) = Size::parse(machine_type) else {
            return bad(format!(
                "{id}: `{machine_type}` is no machine type: {TYPE_FORM}"
            ));
        };
        Ok(Self {
            id,
            region,
            machine_type,
            image,
            size,
        })
    }

    /// The network and the firewall of a machine follow from its provider and region.
    pub(super) fn shared(&self, what: &str, provider: &str) -> ResourceId {
        let cluster = self.id.as_str().split('/').next().unwrap_or_default();
        ResourceId::new(format!("{cluster}/{what}.{provider}/{}", self.region))
    }
}

impl Libvirt {
    /// The domain of this id: none where there is none, [`FaultClass::Exists`] where its name is
    /// somebody else's.
    pub(super) async fn find_domain(
        &self,
        session: &Session,
        id: &ResourceId,
    ) -> Result<Option<Domain>, Fault> {
        let said = format!("looking for {id}");
        let found = session.domain(&labels::name(id)).await;
        let Some(named) = found.map_err(doing(&said))? else {
            return Ok(None);
        };
        let xml = session.domain_xml(&named).await.map_err(doing(&said))?;
        let Some(xml) = xml.as_deref().and_then(Element::parse) else {
            return Ok(None);
        };
        let record = Record::of(&xml).filter(|record| record.is(&self.site.owner, id));
        let record = record.ok_or_else(|| exists(&named.name, "domain"))?;
        Domain::look(session, named, xml, record).await.map(Some)
    }

    pub(super) async fn create_machine(&self, resource: &Resource, key: Key) -> Outcome {
        let wanted = Wanted::of(resource)?;
        let id = wanted.id;
        let turn = self.turn(id);
        let _held = turn.lock().await;
        let session = self.session().await?;
        let record = self.record_of(resource, key);
        let found = self.find_domain(&session, id).await?;
        if let Some(domain) = found.as_ref().filter(|domain| domain.made()) {
            if domain.record.labels.fingerprint != record.labels.fingerprint {
                let said = format!("{id} exists, made from another spec");
                return Err(Fault::new(FaultClass::Exists, said));
            }
            return self.running(&session, id).await;
        }
        let mut net = self.network_of(&session, &wanted).await?;
        if !net.active {
            start(&session, &mut net).await?;
        }
        let host_key = HostKey::fresh();
        let kept = found.as_ref().map(|domain| &domain.xml);
        let blueprint = self.define(&session, (&wanted, &net), record, (kept, &host_key));
        let blueprint = blueprint.await?;
        self.furnish(&session, &wanted, &blueprint, host_key)
            .await?;
        self.running(&session, id).await
    }

    pub(super) fn root(&self, id: &ResourceId) -> Result<PathBuf, Fault> {
        let roots = Path::new(&self.target()?.roots);
        Ok(roots.join(shelf(&self.site.owner)).join(slot(id)))
    }

    /// Has it run, now and with its host, and shows it.
    async fn running(&self, session: &Session, id: &ResourceId) -> Outcome {
        let said = format!("starting {id}");
        let domain = self.find_domain(session, id).await?;
        let domain = domain.ok_or_else(|| vanished(id))?;
        match domain.power {
            Power::On => {}
            Power::Paused => {
                let went_on = session.resume_domain(&domain.named).await;
                went_on.map_err(doing(&said))?;
            }
            Power::Off | Power::Crashed => {
                let started = session.start_domain(&domain.named).await;
                started.map_err(doing(&said))?;
            }
        }
        if !domain.autostarts {
            let kept = session.set_autostart(&domain.named, true).await;
            kept.map_err(doing(&said))?;
        }
        let shown = seen(&domain.xml, &domain.record, MachineState::Running);
        Ok(Reply::Seen(shown))
    }

    /// New labels, the size of its type from its next start on, and power. Another type, image or
    /// region is another machine.
    pub(super) async fn update_machine(&self, resource: &Resource, key: Key) -> Outcome {
        let wanted = Wanted::of(resource)?;
        let id = wanted.id;
        let turn = self.turn(id);
        let _held = turn.lock().await;
        let session = self.session().await?;
        let found = self.ours(self.find_domain(&session, id).await)?;
        let Some(domain) = found.filter(Domain::made) else {
            return Err(vanished(id));
        };
        let same = [
            (note::REGION, wanted.region),
            (note::IMAGE, wanted.image),
            (note::MACHINE_TYPE, wanted.machine_type),
        ];
        if let Some((what, _)) = same
            .into_iter()
            .find(|(name, value)| domain.record.get(name) != Some(value))
        {
            let said = format!("the {what} of {id} cannot be changed in place");
            return Err(Fault::new(FaultClass::Invalid, said));
        }
        let mut record = domain.record.clone();
        record.labels = self.record_of(resource, key).labels;
        let xml = resized(&domain.xml, &record, wanted.size);
        let defined = session.define_domain(&xml.write()).await;
        defined.map_err(doing(&format!("updating {id}")))?;
        self.running(&session, id).await?;
        Ok(Reply::Done)
    }

    pub(super) async fn describe_machine(&self, id: &ResourceId) -> Outcome {
        let session = self.session().await?;
        let found = self.ours(self.find_domain(&session, id).await)?;
        Ok(match found.filter(Domain::made) {
            Some(domain) => Reply::Seen(seen(&domain.xml, &domain.record, domain.state())),
            None => Reply::Absent,
        })
    }

    pub(super) async fn delete_machine(&self, id: &ResourceId) -> Outcome {
        let turn = self.turn(id);
        let _held = turn.lock().await;
        let session = self.session().await?;
        let said = format!("deleting {id}");
        let found = self.ours(self.find_domain(&session, id).await)?;
        if let Some(domain) = &found {
            // From here on it is not whole any more, whatever happens.
            let marked = session.set_autostart(&domain.named, false).await;
            marked.map_err(doing(&said))?;
            let stopped = session.destroy_domain(&domain.named).await;
            stopped.map_err(doing(&said))?;
        }
        let target = self.target()?;
        match (target.driver, &target.place) {
            (Driver::Lxc, Place::Here) => rootfs::remove(&self.root(id)?).await?,
            (Driver::Qemu, _) => {
                let pool = session.pool(&target.pool).await.map_err(doing(&said))?;
                if let Some(pool) = pool {
                    let (disk, seed) = volumes::names(&self.site.owner, id);
                    volumes::remove(&session, &pool, (&disk, &seed)).await?;
                }
            }
            (Driver::Test, _) | (Driver::Lxc, Place::Ssh { .. }) => {}
        }
        if let Some(domain) = &found {
            let flags = match target.driver {
                Driver::Qemu => UNDEFINE_ALL,
                Driver::Lxc | Driver::Test => 0,
            };
            let gone = session.undefine_domain(&domain.named, flags).await;
            gone.map_err(doing(&said))?;
        }
        Ok(Reply::Done)
    }
}

/// A definition with another record and the size of its machine type.
fn resized(domain: &Element, record: &Record, size: Size) -> Element {
    let mut domain = domain.clone();
    for child in &mut domain.children {
        match child.name.as_str() {
            "metadata" => *child = record.metadata(),
            "memory" | "currentMemory" => {
                child.attributes = vec![("unit".to_owned(), "KiB".to_owned())];
                child.text = size.memory_kib.to_string();
            }
            "vcpu" => child.text = size.vcpus.to_string(),
            _ => {}
        }
    }
    domain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_changes_size_and_record_and_nothing_else() {
        let domain = Element::parse(
            "<domain type='test'><name>x</name><metadata/><memory unit='MiB'>9</memory>\
             <currentMemory unit='MiB'>9</currentMemory><vcpu>7</vcpu><devices/></domain>",
        )
        .unwrap();
        let record = Record::new(labels::Labels {
            owner: crate::Owner {
                cluster: "shop".to_owned(),
                uid: 1,
                provider: "a".to_owned(),
            },
            id: ResourceId::new("shop/w/1"),
            kind: quorate_engine::resource::Kind::Machine,
            fingerprint: 5,
            key: Key(6),
        });
        let after = resized(&domain, &record, Size::parse("2x1GiB").unwrap());
        assert_eq!(Record::of(&after), Some(record));
        assert_eq!(after.at("memory").unwrap().text, "1048576");
        assert_eq!(after.at("memory").unwrap().get("unit"), Some("KiB"));
        assert_eq!(after.at("currentMemory").unwrap().text, "1048576");
        assert_eq!(after.at("vcpu").unwrap().text, "2");
        assert_eq!(after.at("name"), domain.at("name"));
        assert_eq!(after.at("devices"), domain.at("devices"));
    }
}
