//! Machines: domains, with the files they stand on.
//!
//! Order is everything here. Creation: definition (which reserves the address), files, start,
//! autostart. Deletion: autostart off, stop, files, definition. What has autostart or runs is
//! whole; anything else is begun anew.

use super::domain::{Blueprint, Body, Size, TYPE_FORM, addresses, gateway, mac, networks, seen};
use super::network::{Net, cidr, start, vanished};
use super::record::{Record, note, shelf, slot, uuid, uuid_text};
use super::rootfs::{self, Delivery};
use super::seed::Seed;
use super::session::{Named, Power, Session};
use super::uri::{Driver, Place};
use super::xml::Element;
use super::{Libvirt, address, doing, exists, volumes};
use crate::Secret;
use crate::labels;
use ipnet::Ipv4Net;
use quorate_engine::resource::{Resource, ResourceId, Spec};
use quorate_engine::seam::{Fault, FaultClass, Key, MachineState, Outcome, Reply};
use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, LineEnding, PrivateKey};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
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
    fn shared(&self, what: &str, provider: &str) -> ResourceId {
        let cluster = self.id.as_str().split('/').next().unwrap_or_default();
        ResourceId::new(format!("{cluster}/{what}.{provider}/{}", self.region))
    }
}

/// A host key for one machine.
struct HostKey {
    private: Secret,
    public: String,
}

impl HostKey {
    fn draw() -> Result<Self, Fault> {
        let failed = |error: ssh_key::Error| {
            let said = format!("drawing a host key: {error}");
            Fault::new(FaultClass::Retryable, said)
        };
        let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).map_err(failed)?;
        let private = key.to_openssh(LineEnding::LF).map_err(failed)?;
        Ok(Self {
            private: Secret::new(private.as_str()),
            public: key.public_key().to_openssh().map_err(failed)?,
        })
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
        let host_key = HostKey::draw()?;
        let kept = found.as_ref().map(|domain| &domain.xml);
        let blueprint = self.define(&session, (&wanted, &net), record, (kept, &host_key));
        let blueprint = blueprint.await?;
        self.furnish(&session, &wanted, &blueprint, host_key)
            .await?;
        self.running(&session, id).await
    }

    async fn network_of(&self, session: &Session, wanted: &Wanted<'_>) -> Result<Net, Fault> {
        let id = wanted.shared("network", &self.site.provider.name);
        let found = self.find_network(session, &id).await?;
        found.ok_or_else(|| vanished(&id))
    }

    /// Writes the definition down, with an address that is its own from then on.
    async fn define(
        &self,
        session: &Session,
        (wanted, net): (&Wanted<'_>, &Net),
        record: Record,
        (kept, host_key): (Option<&Element>, &HostKey),
    ) -> Result<Blueprint, Fault> {
        let id = wanted.id;
        let Some(cidr) = cidr(&net.xml) else {
            let said = format!("the network of {id} has no addresses any more");
            return Err(Fault::new(FaultClass::Invalid, said));
        };
        let body = self.body(session, wanted).await?;
        let filter = self.filter_of(session, wanted).await?;
        let _choosing = self.choosing.lock().await;
        let name = &net.named.name;
        let address = self.address(session, (id, name, cidr), kept).await?;
        let record = record
            .note(note::ADDRESS, address)
            .note(note::HOST_KEY, &host_key.public);
        let blueprint = Blueprint {
            driver: self.target()?.driver,
            record: noted(record, wanted),
            size: wanted.size,
            network: name.clone(),
            cidr,
            address,
            filter,
            body,
        };
        let defined = session.define_domain(&blueprint.write()).await;
        defined.map_err(doing(&format!("defining {id}")))?;
        Ok(blueprint)
    }

    /// The filter in front of a machine: none where nothing filters.
    async fn filter_of(
        &self,
        session: &Session,
        wanted: &Wanted<'_>,
    ) -> Result<Option<String>, Fault> {
        if !self.filters(session).await? {
            return Ok(None);
        }
        let id = wanted.shared("firewall", &self.site.provider.name);
        match self.find_firewall(session, &id).await? {
            Some(wall) => Ok(wall.filter_name()),
            None => Err(vanished(&id)),
        }
    }

    /// The address it had in the same network already, or a free one.
    async fn address(
        &self,
        session: &Session,
        (id, network, cidr): (&ResourceId, &str, Ipv4Net),
        kept: Option<&Element>,
    ) -> Result<Ipv4Addr, Fault> {
        let name = labels::name(id);
        let mut taken = BTreeSet::new();
        for (other, xml) in self.domain_documents(session).await? {
            if other != name && networks(&xml).any(|of| of == network) {
                taken.extend(addresses(&xml));
            }
        }
        let kept = kept.into_iter().flat_map(addresses).find(|address| {
            cidr.contains(address) && *address != gateway(cidr) && !taken.contains(address)
        });
        let free = kept.or_else(|| address::choose(cidr, id, &taken));
        free.ok_or_else(|| {
            let said = format!(
                "no address is left for {id} in {cidr}: {} of {} are taken; give the provider a \
                 larger networkCidr, or remove machines",
                taken.len(),
                address::room(cidr)
            );
            Fault::new(FaultClass::Quota, said)
        })
    }

    pub(super) fn root(&self, id: &ResourceId) -> Result<PathBuf, Fault> {
        let roots = Path::new(&self.target()?.roots);
        let shelf = shelf(&self.site.owner, &self.site.provider.name);
        Ok(roots.join(shelf).join(slot(id)))
    }

    async fn body(&self, session: &Session, wanted: &Wanted<'_>) -> Result<Body, Fault> {
        let target = self.target()?;
        match target.driver {
            Driver::Test => Ok(Body::Mock),
            Driver::Lxc => {
                let said = match target.place {
                    Place::Here => rootfs::lacks(Path::new(wanted.image), &self.site.ssh_user),
                    Place::Ssh { .. } => Some(REMOTE_LXC.to_owned()),
                };
                let image = Path::new(wanted.image);
                match (said, rootfs::init(image)) {
                    (None, Some(init)) => Ok(Body::Root {
                        folder: self.root(wanted.id)?.display().to_string(),
                        init,
                    }),
                    (said, _) => {
                        let said = said.unwrap_or_else(|| "the image has no init".to_owned());
                        Err(Fault::new(FaultClass::Invalid, said))
                    }
                }
            }
            Driver::Qemu => {
                let pool = self.pool(session).await?;
                volumes::image(session, &pool, (wanted.image, &target.place)).await?;
                let host = session.capabilities().await;
                let host = host.map_err(doing("reading the host's capabilities"))?;
                let (accelerator, arch) = hypervisor(&host);
                let (disk, seed) = volumes::names(&self.site, wanted.id);
                Ok(Body::Volumes {
                    pool: target.pool.clone(),
                    disk,
                    seed,
                    accelerator,
                    arch,
                })
            }
        }
    }

    /// Makes the files, starts it, and only then has it start with its host.
    async fn furnish(
        &self,
        session: &Session,
        wanted: &Wanted<'_>,
        blueprint: &Blueprint,
        host_key: HostKey,
    ) -> Result<(), Fault> {
        let (id, site) = (wanted.id, &self.site);
        match &blueprint.body {
            Body::Mock => {}
            Body::Root { folder, .. } => {
                let delivery = Delivery {
                    hostname: labels::name(id),
                    user: site.ssh_user.clone(),
                    keys: site.ssh_keys.clone(),
                    host_key: host_key.private,
                    host_key_public: host_key.public,
                    nameserver: gateway(blueprint.cidr),
                };
                rootfs::make(Path::new(folder), Path::new(wanted.image), &delivery).await?;
            }
            Body::Volumes { disk, seed, .. } => {
                let target = self.target()?;
                let pool = self.pool(session).await?;
                let at = (wanted.image, &target.place);
                let image = volumes::image(session, &pool, at).await?;
                let content = Seed {
                    instance: uuid_text(uuid(&site.owner, id)),
                    hostname: labels::name(id),
                    user: site.ssh_user.clone(),
                    keys: site.ssh_keys.clone(),
                    host_key: host_key.private,
                    host_key_public: host_key.public,
                    mac: mac(blueprint.address),
                    address: blueprint.address,
                    cidr: blueprint.cidr,
                    gateway: gateway(blueprint.cidr),
                };
                let content = content.volume().map_err(|error| {
                    let said = format!("writing the seed of {id}: {error}");
                    Fault::new(FaultClass::Invalid, said)
                })?;
                let names = (disk.as_str(), seed.as_str());
                volumes::make(session, &pool, names, &image, &content).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn pool(&self, session: &Session) -> Result<Named, Fault> {
        let name = &self.target()?.pool;
        let found = session.pool(name).await;
        let found = found.map_err(doing(&format!("looking for the pool {name}")))?;
        found.ok_or_else(|| {
            let said = format!("there is no storage pool {name}");
            Fault::new(FaultClass::Invalid, said)
        })
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
                    let (disk, seed) = volumes::names(&self.site, id);
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

/// Why containers are made on this host only.
pub(super) const REMOTE_LXC: &str =
    "root file systems of containers are made on this host: run quorate on the libvirt host itself";

fn noted(record: Record, wanted: &Wanted<'_>) -> Record {
    record
        .note(note::REGION, wanted.region)
        .note(note::IMAGE, wanted.image)
        .note(note::MACHINE_TYPE, wanted.machine_type)
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

/// KVM where the host has it for its own architecture, else software emulation; and the
/// architecture.
fn hypervisor(capabilities: &str) -> (String, String) {
    let host = Element::parse(capabilities);
    let arch = host.as_ref().and_then(|host| host.at("host/cpu/arch"));
    let arch = arch.map_or("x86_64", |arch| arch.text.as_str());
    let guests = host.iter().flat_map(|host| host.all("guest"));
    let kvm = guests.filter_map(|guest| guest.at("arch")).any(|guest| {
        let kvm = |domain: &Element| domain.get("type") == Some("kvm");
        guest.get("name") == Some(arch) && guest.all("domain").any(kvm)
    });
    let accelerator = if kvm { "kvm" } else { "qemu" };
    (accelerator.to_owned(), arch.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kvm_is_used_where_there_is_some() {
        let host = |domains: &str| {
            format!(
                "<capabilities><host><cpu><arch>aarch64</arch></cpu></host>\
                 <guest><arch name='x86_64'><domain type='kvm'/></arch></guest>\
                 <guest><arch name='aarch64'>{domains}</arch></guest></capabilities>"
            )
        };
        let of = |domains: &str| hypervisor(&host(domains));
        let arch = "aarch64".to_owned();
        let emulated = of("<domain type='qemu'/>");
        assert_eq!(emulated, ("qemu".to_owned(), arch.clone()));
        let real = of("<domain type='qemu'/><domain type='kvm'/>");
        assert_eq!(real, ("kvm".to_owned(), arch));
    }

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
