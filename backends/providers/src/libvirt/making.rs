//! What a machine is made from: its definition, with an address of its own, and its files.
//!
//! In which order that happens, and what a half-made machine means, is its caller's.

use super::domain::{Blueprint, Body, addresses, gateway, mac, networks};
use super::machine::Wanted;
use super::network::{Net, cidr, vanished};
use super::record::{Record, note, uuid, uuid_text};
use super::rootfs::{self, Delivery};
use super::seed::Seed;
use super::session::{Named, Session};
use super::uri::{Driver, Place};
use super::xml::Element;
use super::{Libvirt, address, doing, volumes};
use crate::first_boot::user_data;
use crate::host_key::HostKey;
use crate::labels;
use ipnet::Ipv4Net;
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{Fault, FaultClass};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;

/// Why containers are made on this host only.
pub(super) const REMOTE_LXC: &str =
    "root file systems of containers are made on this host: run quorate on the libvirt host itself";

impl Libvirt {
    pub(super) async fn network_of(
        &self,
        session: &Session,
        wanted: &Wanted<'_>,
    ) -> Result<Net, Fault> {
        let id = wanted.shared("network", &self.site.provider.name);
        let found = self.find_network(session, &id).await?;
        found.ok_or_else(|| vanished(&id))
    }

    /// Writes the definition down, with an address that is its own from then on.
    pub(super) async fn define(
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
                let (accelerator, arch) = hypervisor(&host, target.emulated);
                let (disk, seed) = volumes::names(&self.site.owner, wanted.id);
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
    pub(super) async fn furnish(
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
                    host_key,
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
                    user_data: user_data(&site.ssh_user, &site.ssh_keys, &host_key),
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
}

fn noted(record: Record, wanted: &Wanted<'_>) -> Record {
    record
        .note(note::REGION, wanted.region)
        .note(note::IMAGE, wanted.image)
        .note(note::MACHINE_TYPE, wanted.machine_type)
}

/// KVM where the host has it for its own architecture and it is wanted, else software emulation; and
/// the architecture.
fn hypervisor(capabilities: &str, emulated: bool) -> (String, String) {
    let host = Element::parse(capabilities);
    let arch = host.as_ref().and_then(|host| host.at("host/cpu/arch"));
    let arch = arch.map_or("x86_64", |arch| arch.text.as_str());
    let guests = host.iter().flat_map(|host| host.all("guest"));
    let kvm = guests.filter_map(|guest| guest.at("arch")).any(|guest| {
        let kvm = |domain: &Element| domain.get("type") == Some("kvm");
        guest.get("name") == Some(arch) && guest.all("domain").any(kvm)
    });
    let accelerator = if kvm && !emulated { "kvm" } else { "qemu" };
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
        let of = |domains: &str| hypervisor(&host(domains), false);
        let arch = "aarch64".to_owned();
        let emulated = of("<domain type='qemu'/>");
        assert_eq!(emulated, ("qemu".to_owned(), arch.clone()));
        let real = of("<domain type='qemu'/><domain type='kvm'/>");
        assert_eq!(real, ("kvm".to_owned(), arch.clone()));
        let unwanted = hypervisor(&host("<domain type='kvm'/>"), true);
        assert_eq!(unwanted, ("qemu".to_owned(), arch));
    }
}
