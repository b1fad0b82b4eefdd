//! Packet filters: one nwfilter for all machines of a region.
//!
//! Labels travel as comments of its rules: filters have no metadata. Where there is no nwfilter, a
//! network that is never started keeps the record.

use super::domain::filtered_by;
use super::network::vanished;
use super::record::{Record, note, uuid, uuid_text};
use super::session::{Named, Session};
use super::xml::{Element, element};
use super::{Libvirt, doing, exists};
use crate::labels::{self, Labels};
use quorate_engine::resource::{Kind, Resource, ResourceId, Spec};
use quorate_engine::seam::{Fault, FaultClass, Key, MachineState, Outcome, Reply, Seen};
use std::collections::BTreeMap;

/// Rules of ours that hold for every cluster, and what is public after them. nwfilter looks at
/// lower priorities first.
const ALWAYS: u16 = 100;
const PUBLIC: u16 = 200;
const LAST: u16 = 900;

/// What keeps a firewall's record.
pub(super) enum Keeper {
    /// A filter that filters.
    Filter(Named),
    /// A network that is never started.
    Note(Named),
}

/// A firewall of ours.
pub(super) struct Wall {
    pub(super) keeper: Keeper,
    pub(super) record: Record,
    mesh_port: Option<String>,
    public_ports: Option<String>,
}

fn rule(action: &str, direction: &str, priority: u16, what: Element) -> Element {
    element("rule")
        .with("action", action)
        .with("direction", direction)
        .with("priority", priority)
        .hold([what])
}

/// The filter's document. Comments hold at most 255 characters each, so each label has one of its
/// own.
fn document(record: &Record, mesh_port: u16, public_ports: &[u16]) -> String {
    let accept = |what| rule("accept", "in", ALWAYS, what);
    let mut rules = vec![
        accept(element("tcp").with("dstportstart", 22)),
        accept(element("udp").with("dstportstart", mesh_port)),
        accept(element("icmp")),
        accept(element("all").with("state", "ESTABLISHED,RELATED")),
        accept(
            element("udp")
                .with("srcportstart", 67)
                .with("dstportstart", 68),
        ),
        rule("accept", "out", ALWAYS, element("all")),
        rule("drop", "in", LAST, element("all")),
        rule("drop", "in", LAST, element("all-ipv6")),
    ];
    let pairs = record.labels.pairs().into_iter();
    let region = record.get(note::REGION).unwrap_or_default();
    let provider = record.get(note::PROVIDER);
    let pairs: Vec<_> = pairs
        .chain([(note::REGION.to_owned(), region.to_owned())])
        .chain(provider.map(|name| (note::PROVIDER.to_owned(), name.to_owned())))
        .collect();
    assert!(
        pairs.len() <= rules.len(),
        "every label has a rule to stand in"
    );
    for (rule, (name, value)) in rules.iter_mut().zip(pairs) {
        let comment = format!("{name}={value}");
        rule.children[0]
            .attributes
            .push(("comment".to_owned(), comment));
    }
    let public = |port: &u16| {
        let to = element("tcp").with("dstportstart", port);
        rule("accept", "in", PUBLIC, to)
    };
    let labels = &record.labels;
    element("filter")
        .with("name", labels::name(&labels.id))
        .with("chain", "root")
        .hold([element("uuid").say(uuid_text(uuid(&labels.owner, &labels.id)))])
        .hold(rules)
        .hold(public_ports.iter().map(public))
        .write()
}

/// What a filter's comments say.
fn record_of(filter: &Element) -> Option<Record> {
    let comments = filter.all("rule").flat_map(|rule| &rule.children);
    let comments = comments.filter_map(|what| what.get("comment")?.split_once('='));
    let pairs: BTreeMap<_, _> = comments
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let record = Record::new(Labels::read(&pairs)?);
    let record = record.note(note::REGION, pairs.get(note::REGION)?);
    Some(match pairs.get(note::PROVIDER) {
        Some(provider) => record.note(note::PROVIDER, provider),
        None => record,
    })
}

/// The ports that a filter opens to everybody, in order; and the mesh's.
fn ports(filter: &Element) -> (Option<String>, Option<String>) {
    let of = |name: &'static str, priority: u16| {
        let rules = filter.all("rule").filter(move |rule| {
            let mine = rule.get("priority").and_then(|text| text.parse().ok());
            mine == Some(priority) && rule.get("action") == Some("accept")
        });
        rules
            .filter_map(move |rule| {
                let what = rule
                    .at(name)
                    .filter(|what| what.get("srcportstart").is_none())?;
                what.get("dstportstart")?.parse::<u16>().ok()
            })
            .collect::<Vec<_>>()
    };
    let mut public = of("tcp", PUBLIC);
    public.sort_unstable();
    let mesh = of("udp", ALWAYS).first().map(u16::to_string);
    (mesh, serde_json::to_string(&public).ok())
}

/// The network that keeps a record where there is no nwfilter.
fn keeper_document(record: &Record) -> String {
    let labels = &record.labels;
    element("network")
        .hold([
            element("name").say(labels::name(&labels.id)),
            element("uuid").say(uuid_text(uuid(&labels.owner, &labels.id))),
            record.metadata(),
        ])
        .write()
}

impl Wall {
    pub(super) fn of_filter(named: Named, xml: &Element) -> Option<Self> {
        let (mesh_port, public_ports) = ports(xml);
        Some(Self {
            keeper: Keeper::Filter(named),
            record: record_of(xml)?,
            mesh_port,
            public_ports,
        })
    }

    pub(super) fn of_note(named: Named, record: Record) -> Self {
        let noted = |name| record.get(name).map(str::to_owned);
        Self {
            keeper: Keeper::Note(named),
            mesh_port: noted(note::MESH_PORT),
            public_ports: noted(note::PUBLIC_PORTS),
            record,
        }
    }

    /// The filter that machines are put behind, where it is one.
    pub(super) fn filter_name(&self) -> Option<String> {
        match &self.keeper {
            Keeper::Filter(named) => Some(named.name.clone()),
            Keeper::Note(_) => None,
        }
    }

    pub(super) fn seen(&self) -> Seen {
        let labels = &self.record.labels;
        let (Keeper::Filter(named) | Keeper::Note(named)) = &self.keeper;
        let shown = [
            ("region", self.record.get(note::REGION).map(str::to_owned)),
            ("mesh_port", self.mesh_port.clone()),
            ("public_ports", self.public_ports.clone()),
        ];
        let shown = shown.into_iter();
        Seen {
            id: labels.id.clone(),
            kind: Kind::Firewall,
            external: uuid_text(named.uuid),
            fingerprint: labels.fingerprint,
            state: MachineState::Running,
            address: None,
            private: None,
            host_key: None,
            fields: shown
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect(),
        }
    }
}

impl Libvirt {
    /// Whether filters filter here.
    pub(super) async fn filters(&self, session: &Session) -> Result<bool, Fault> {
        if !self.target()?.filters {
            return Ok(false);
        }
        let all = session.filters().await;
        Ok(all.map_err(doing("looking for filters"))?.is_some())
    }

    /// The firewall of this id: none where there is none, [`FaultClass::Exists`] where its name is
    /// somebody else's.
    pub(super) async fn find_firewall(
        &self,
        session: &Session,
        id: &ResourceId,
    ) -> Result<Option<Wall>, Fault> {
        let (name, owner) = (labels::name(id), &self.site.owner);
        let said = format!("looking for {id}");
        let filters = session.filters().await.map_err(doing(&said))?;
        if let Some(named) = filters
            .into_iter()
            .flatten()
            .find(|filter| filter.name == name)
        {
            let xml = session.filter_xml(&named).await.map_err(doing(&said))?;
            let Some(xml) = xml.as_deref().and_then(Element::parse) else {
                return Ok(None);
            };
            let wall = Wall::of_filter(named, &xml);
            let wall = wall.filter(|wall| wall.record.is(owner, id));
            return wall.map(Some).ok_or_else(|| exists(&name, "filter"));
        }
        let Some(named) = session.network(&name).await.map_err(doing(&said))? else {
            return Ok(None);
        };
        let xml = session.network_xml(&named).await.map_err(doing(&said))?;
        let Some(xml) = xml.as_deref().and_then(Element::parse) else {
            return Ok(None);
        };
        let record = Record::of(&xml).filter(|record| record.is(owner, id));
        let record = record.ok_or_else(|| exists(&name, "network"))?;
        Ok(Some(Wall::of_note(named, record)))
    }

    pub(super) async fn put_firewall(
        &self,
        resource: &Resource,
        key: Key,
        creates: bool,
    ) -> Outcome {
        let Spec::Firewall {
            region,
            mesh_port,
            public_ports,
        } = &resource.spec
        else {
            panic!("{} is a firewall", resource.id);
        };
        let id = &resource.id;
        let turn = self.turn(id);
        let _held = turn.lock().await;
        let session = self.session().await?;
        let found = self.find_firewall(&session, id).await;
        let found = if creates { found? } else { self.ours(found)? };
        let record = self.record_of(resource, key).note(note::REGION, region);
        match &found {
            None if !creates => return Err(vanished(id)),
            Some(wall) if creates => {
                if wall.record.labels.fingerprint != record.labels.fingerprint {
                    let said = format!("{id} exists, made from another spec");
                    return Err(Fault::new(FaultClass::Exists, said));
                }
                return Ok(Reply::Seen(wall.seen()));
            }
            Some(_) | None => {}
        }
        let filters = match &found {
            Some(wall) => matches!(wall.keeper, Keeper::Filter(_)),
            None => self.filters(&session).await?,
        };
        let said = format!("defining {id}");
        if filters {
            let xml = document(&record, *mesh_port, public_ports);
            session.define_filter(&xml).await.map_err(doing(&said))?;
        } else {
            let ports = serde_json::to_string(public_ports).expect("numbers are plain data");
            let record = record
                .note(note::MESH_PORT, mesh_port)
                .note(note::PUBLIC_PORTS, ports);
            let xml = keeper_document(&record);
            session.define_network(&xml).await.map_err(doing(&said))?;
        }
        let wall = self.find_firewall(&session, id).await?;
        wall.map(|wall| Reply::Seen(wall.seen()))
            .ok_or_else(|| vanished(id))
    }

    pub(super) async fn describe_firewall(&self, id: &ResourceId) -> Outcome {
        let session = self.session().await?;
        let found = self.ours(self.find_firewall(&session, id).await)?;
        Ok(found.map_or(Reply::Absent, |wall| Reply::Seen(wall.seen())))
    }

    pub(super) async fn delete_firewall(&self, id: &ResourceId) -> Outcome {
        let turn = self.turn(id);
        let _held = turn.lock().await;
        let session = self.session().await?;
        let Some(wall) = self.ours(self.find_firewall(&session, id).await)? else {
            return Ok(Reply::Done);
        };
        let said = format!("deleting {id}");
        match wall.keeper {
            Keeper::Filter(named) => {
                let behind = |xml: &Element| filtered_by(xml, &named.name);
                if let Some(user) = self.domains_where(&session, behind).await?.first() {
                    let said = format!("{id} is in use by the domain {user}");
                    return Err(Fault::new(FaultClass::Busy, said));
                }
                let gone = session.undefine_filter(&named).await;
                gone.map_err(doing(&said))?;
            }
            Keeper::Note(named) => {
                let gone = session.undefine_network(&named).await;
                gone.map_err(doing(&said))?;
            }
        }
        Ok(Reply::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Owner;

    #[test]
    fn a_filter_is_written_and_read() {
        let labels = Labels {
            owner: Owner {
                cluster: "shop".to_owned(),
                uid: 7,
            },
            id: ResourceId::new("shop/firewall.a/r1"),
            kind: Kind::Firewall,
            fingerprint: 1,
            key: Key(2),
        };
        let record = Record::new(labels).note(note::REGION, "r1");
        let record = record.note(note::PROVIDER, "home");
        let xml = Element::parse(&document(&record, 51820, &[443, 80])).unwrap();
        assert_eq!(record_of(&xml), Some(record));
        let shown = (Some("51820".to_owned()), Some("[80,443]".to_owned()));
        assert_eq!(ports(&xml), shown);
        let of = |action: &str| {
            let mine = xml
                .all("rule")
                .filter(|rule| rule.get("action") == Some(action));
            mine.map(|rule| rule.get("priority").unwrap().parse::<u16>().unwrap())
                .collect::<Vec<_>>()
        };
        let (accepted, dropped) = (of("accept"), of("drop"));
        assert!(
            accepted.iter().max() < dropped.iter().min(),
            "drops come last"
        );
        let ssh = |rule: &&Element| {
            let tcp = rule.at("tcp");
            tcp.and_then(|tcp| tcp.get("dstportstart")) == Some("22")
        };
        assert!(xml.all("rule").any(|rule| ssh(&rule)));
        let foreign = "<filter name='x'><rule action='drop'><all comment='a=b'/></rule></filter>";
        assert_eq!(record_of(&Element::parse(foreign).unwrap()), None);
    }
}
