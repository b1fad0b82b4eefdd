//! What is there: everything of ours, whole or half made, and whose the rest is.

use super::domain::{remains, seen};
use super::firewall::Wall;
use super::machine::Domain;
use super::network::Net;
use super::record::{Record, shelf, slot_id};
use super::session::Session;
use super::uri::Driver;
use super::xml::Element;
use super::{Libvirt, doing, rootfs, volumes};
use crate::Owner;
use quorate_engine::resource::{Kind, ResourceId};
use quorate_engine::seam::{Fault, MachineState, Outcome, Reply, Seen};
use std::collections::BTreeSet;
use std::path::Path;

const LISTING: &str = "listing what is there";

impl Libvirt {
    /// Names of all domains, ours or not, whose document is like this.
    pub(super) async fn domains_where(
        &self,
        session: &Session,
        like: impl Fn(&Element) -> bool,
    ) -> Result<Vec<String>, Fault> {
        let all = self.domain_documents(session).await?;
        let like = all.into_iter().filter(|(_, xml)| like(xml));
        Ok(like.map(|(name, _)| name).collect())
    }

    /// All domains with their documents.
    pub(super) async fn domain_documents(
        &self,
        session: &Session,
    ) -> Result<Vec<(String, Element)>, Fault> {
        let mut documents = Vec::new();
        for named in session.domains().await.map_err(doing(LISTING))? {
            let xml = session.domain_xml(&named).await.map_err(doing(LISTING))?;
            if let Some(xml) = xml.as_deref().and_then(Element::parse) {
                documents.push((named.name, xml));
            }
        }
        Ok(documents)
    }

    pub(super) async fn list(&self) -> Outcome {
        let session = self.session().await?;
        let mut list = self.list_networks(&session).await?;
        let machines = self.list_machines(&session).await?;
        let known: BTreeSet<_> = machines.iter().map(|seen| seen.id.clone()).collect();
        list.extend(machines);
        for (id, place) in self.leftovers(&session).await? {
            if !known.contains(&id) {
                list.push(remains(id, &place));
            }
        }
        list.sort_by(|a, b| a.id.cmp(&b.id));
        list.dedup_by(|a, b| a.id == b.id);
        Ok(Reply::List(list))
    }

    /// Networks and firewalls.
    async fn list_networks(&self, session: &Session) -> Result<Vec<Seen>, Fault> {
        let mut list = Vec::new();
        for wall in self.all_filters(session).await? {
            if self.made_here(&wall.record) {
                list.push(wall.seen());
            }
        }
        for named in session.networks().await.map_err(doing(LISTING))? {
            let xml = session.network_xml(&named).await.map_err(doing(LISTING))?;
            let Some(xml) = xml.as_deref().and_then(Element::parse) else {
                continue;
            };
            let Some(record) = Record::of(&xml).filter(|record| self.made_here(record))
            else {
                continue;
            };
            if record.labels.kind == Kind::Firewall {
                list.push(Wall::of_note(named, record).seen());
                continue;
            }
            let active = session.network_active(&named).await;
            let net = Net {
                active: active.map_err(doing(LISTING))?,
                named,
                record,
                xml,
            };
            list.push(net.seen());
        }
        Ok(list)
    }

    async fn all_filters(&self, session: &Session) -> Result<Vec<Wall>, Fault> {
        let mut walls = Vec::new();
        let filters = session.filters().await.map_err(doing(LISTING))?;
        for named in filters.into_iter().flatten() {
            let xml = session.filter_xml(&named).await.map_err(doing(LISTING))?;
            let xml = xml.as_deref().and_then(Element::parse);
            walls.extend(xml.and_then(|xml| Wall::of_filter(named, &xml)));
        }
        Ok(walls)
    }

    async fn list_machines(&self, session: &Session) -> Result<Vec<Seen>, Fault> {
        let mut list = Vec::new();
        for named in session.domains().await.map_err(doing(LISTING))? {
            let xml = session.domain_xml(&named).await.map_err(doing(LISTING))?;
            let Some(xml) = xml.as_deref().and_then(Element::parse) else {
                continue;
            };
            let Some(record) = Record::of(&xml).filter(|record| self.made_here(record))
            else {
                continue;
            };
            let domain = Domain::look(session, named, xml, record).await?;
            let state = match domain.made() {
                true => domain.state(),
                false => MachineState::Error,
            };
            list.push(seen(&domain.xml, &domain.record, state));
        }
        Ok(list)
    }

    /// Files of ours, by the machine they were made for, with their place. Most have a domain.
    async fn leftovers(&self, session: &Session) -> Result<Vec<(ResourceId, String)>, Fault> {
        let target = self.target()?;
        let shelf = shelf(&self.site.owner, &self.site.provider.name);
        match target.driver {
            Driver::Lxc => {
                let folder = Path::new(&target.roots).join(shelf);
                rootfs::slots(&folder)
            }
            Driver::Qemu => {
                let pool = session.pool(&target.pool).await.map_err(doing(LISTING))?;
                let Some(pool) = pool else {
                    return Ok(Vec::new());
                };
                let all = session.volumes(&pool).await;
                let all = all.map_err(doing(LISTING))?;
                let ours = all.into_iter().filter_map(|volume| {
                    let slot = volumes::slot_of(&shelf, &volume.name)?;
                    Some((slot_id(slot), volume.key))
                });
                Ok(ours.collect())
            }
            Driver::Test => Ok(Vec::new()),
        }
    }

    pub(super) async fn all_owners(&self) -> Result<Vec<Owner>, Fault> {
        let session = self.session().await?;
        let mut owners = BTreeSet::new();
        for wall in self.all_filters(&session).await? {
            owners.insert(wall.record.labels.owner);
        }
        for named in session.networks().await.map_err(doing(LISTING))? {
            let xml = session.network_xml(&named).await.map_err(doing(LISTING))?;
            let xml = xml.as_deref().and_then(Element::parse);
            owners.extend(xml.and_then(|xml| Some(Record::of(&xml)?.labels.owner)));
        }
        for (_, xml) in self.domain_documents(&session).await? {
            owners.extend(Record::of(&xml).map(|record| record.labels.owner));
        }
        Ok(owners.into_iter().collect())
    }
}
