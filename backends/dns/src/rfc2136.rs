//! Record sets in somebody else's name server, by dynamic updates (RFC 2136) with TSIG (RFC 8945).
//!
//! Whose a name is stands beside it: `www.example.com` is ours if the TXT record at
//! `_quorate.www.example.com` says so. Both are changed in one message, which the server carries out
//! as a whole or not at all, and only if that record is as it was seen. Which names there are stands
//! in one more TXT record set, `_quorate-index.example.com`, changed in the same message: so nobody
//! has to allow us zone transfers.
//!
//! Does not know how the server is run, and neither waits nor retries.

mod key;
mod line;
mod update;

pub use key::{Key, KeyError};

use crate::adapter::{Found, Wanted, invalid, not_ours, place, wanted};
use crate::config::whole;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use line::Line;
use quorate_engine::resource::{Resource, ResourceId};
use quorate_engine::seam::{Call, Fault, FaultClass, Outcome, Reply, Verb};
use quorate_providers::labels::Labels;
use quorate_providers::{Owner, Pending, Problem, Provider, Site};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use update::{index_name, mark_name, marked};

/// How long a name server may take: it answers in milliseconds, or not at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// The port of DNS.
const PORT: u16 = 53;

/// A name server that takes updates.
#[derive(Debug, Clone)]
pub struct Rfc2136 {
    server: String,
    key: Option<Key>,
    zones: Vec<Name>,
    owner: Owner,
    patience: Duration,
}

/// What stands at a name, as far as it is our business.
enum Standing {
    /// Nothing says whose it is.
    Unmarked,
    /// It is somebody else's.
    Theirs,
    /// It is ours; with the TXT record as it stands there.
    Ours(Box<Found>, Box<Record>),
}

impl Rfc2136 {
    /// For a server (`endpoint`: `HOST` or `HOST:PORT`) and a key (the secret, as dig's `-y` takes
    /// it: `hmac-sha256:NAME:SECRET`; without one updates are not signed). `zones`: where record
    /// sets may be.
    ///
    /// # Errors
    /// A server that is missing, a key or a zone that is none.
    pub fn new(site: Site, zones: &[String]) -> Result<Self, Problem> {
        let name = &site.provider.name;
        let server = site
            .provider
            .endpoint
            .clone()
            .filter(|server| !server.trim().is_empty());
        let Some(server) = server else {
            return Err(Problem {
                what: format!("provider {name}: no name server to send updates to"),
                fix: "name it: `endpoint: ns1.example.com` or `endpoint: 192.0.2.1:53`".to_owned(),
            });
        };
        let key = site
            .secret
            .as_ref()
            .map(|secret| Key::read(secret.reveal()));
        let key = key.transpose().map_err(|error| Problem {
            what: format!("provider {name}: {error}"),
            fix: "give the key as dig's -y takes it: `hmac-sha256:NAME:SECRET`".to_owned(),
        })?;
        let read = |zone: &String| {
            whole(zone).ok_or_else(|| Problem {
                what: format!("provider {name}: `{zone}` is no name of a zone"),
                fix: "write it like `example.com`".to_owned(),
            })
        };
        Ok(Self {
            server: with_port(server.trim()),
            key,
            zones: zones.iter().map(read).collect::<Result<_, _>>()?,
            owner: site.owner,
            patience: PATIENCE,
        })
    }

    async fn open(&self) -> Result<Line, Fault> {
        Line::open(&self.server, self.key.clone(), self.patience).await
    }

    /// Whose a name is, and what stands there.
    async fn standing(&self, line: &mut Line, zone: &Name, name: &Name) -> Result<Standing, Fault> {
        let marks = line.read(&mark_name(name)?, RecordType::TXT).await?;
        let read = |record: &Record| marked(&record.data).map(|pairs| (record.clone(), pairs));
        let Some((mark, pairs)) = marks.iter().find_map(read) else {
            return Ok(Standing::Unmarked);
        };
        let labels = Labels::read(&pairs).filter(|labels| labels.owner == self.owner);
        let Some(labels) = labels else {
            return Ok(Standing::Theirs);
        };
        let records = line.read(name, RecordType::A).await?;
        let address = |record: &Record| match record.data {
            RData::A(address) => Some(address.0),
            _ => None,
        };
        let found = Found {
            zone: zone.clone(),
            name: name.clone(),
            ttl_s: records.first().map(|record| record.ttl),
            addresses: records.iter().filter_map(address).collect(),
            pairs,
            labels,
        };
        Ok(Standing::Ours(Box::new(found), Box::new(mark)))
    }

    /// Names in a zone that somebody has made here, ours or not.
    async fn index(line: &mut Line, zone: &Name) -> Result<BTreeSet<Name>, Fault> {
        let records = line.read(&index_name(zone)?, RecordType::TXT).await?;
        let name = |record: &Record| match &record.data {
            RData::TXT(text) => {
                let bytes = text.txt_data.first()?;
                whole(std::str::from_utf8(bytes).ok()?).filter(|name| zone.zone_of(name))
            }
            _ => None,
        };
        Ok(records.iter().filter_map(name).collect())
    }

    async fn list(&self) -> Outcome {
        let found = self.all().await?;
        Ok(Reply::List(
            found.iter().map(|(found, _)| found.seen()).collect(),
        ))
    }

    async fn all(&self) -> Result<Vec<(Found, Record)>, Fault> {
        let mut line = self.open().await?;
        let mut all = Vec::new();
        for zone in &self.zones {
            for name in Self::index(&mut line, zone).await? {
                match self.standing(&mut line, zone, &name).await? {
                    Standing::Ours(found, mark) => all.push((*found, *mark)),
                    Standing::Theirs | Standing::Unmarked => {}
                }
            }
        }
        Ok(all)
    }

    /// The record set with this id, if it is there and ours. Where its place is not told, all are
    /// looked at.
    async fn find(
        &self,
        id: &ResourceId,
        resource: Option<&Resource>,
    ) -> Result<Option<(Found, Record)>, Fault> {
        let ours = |found: &Found| found.labels.id == *id;
        let Some(resource) = resource else {
            let all = self.all().await?;
            return Ok(all.into_iter().find(|(found, _)| ours(found)));
        };
        // Where nothing can be made there is nothing.
        let Ok((zone, name)) = place(resource) else {
            return Ok(None);
        };
        let mut line = self.open().await?;
        Ok(match self.standing(&mut line, &zone, &name).await? {
            Standing::Ours(found, mark) if ours(&found) => Some((*found, *mark)),
            Standing::Ours(..) | Standing::Theirs | Standing::Unmarked => None,
        })
    }

    async fn describe(&self, call: &Call) -> Outcome {
        let found = self.find(&call.target, call.resource.as_deref()).await?;
        Ok(found.map_or(Reply::Absent, |(found, _)| Reply::Seen(found.seen())))
    }

    async fn create(&self, wanted: &Wanted) -> Outcome {
        let mut line = self.open().await?;
        let made = line.update(update::create(wanted)?).await?;
        let standing = self.standing(&mut line, &wanted.zone, &wanted.name).await?;
        match (made, standing) {
            (_, Standing::Ours(found, _)) if found.labels.id == wanted.labels.id => {
                Ok(Reply::Seen(found.seen()))
            }
            (ResponseCode::NoError, _) => {
                let text = format!("{} was made, and is gone already", wanted.name);
                Err(Fault::new(FaultClass::Retryable, text))
            }
            (_, Standing::Ours(..) | Standing::Theirs | Standing::Unmarked) => {
                let text = format!("{} is taken, and not by us", wanted.name);
                Err(Fault::new(FaultClass::Exists, text))
            }
        }
    }

    async fn replace(&self, wanted: &Wanted) -> Outcome {
        let mut line = self.open().await?;
        let standing = self.standing(&mut line, &wanted.zone, &wanted.name).await?;
        let Standing::Ours(found, mark) = standing else {
            let text = format!("{} is not there, or not ours", wanted.name);
            return Err(Fault::new(FaultClass::NotFound, text));
        };
        if found.labels.id != wanted.labels.id {
            let text = format!("{} is ours for {}", wanted.name, found.labels.id);
            return Err(Fault::new(FaultClass::Exists, text));
        }
        done(
            line.update(update::replace(wanted, &mark)?).await?,
            &wanted.name,
        )
    }

    async fn delete(&self, call: &Call) -> Outcome {
        let found = self.find(&call.target, call.resource.as_deref()).await?;
        let Some((found, mark)) = found else {
            return Ok(Reply::Done);
        };
        let mut line = self.open().await?;
        done(
            line.update(update::delete(&found, &mark)?).await?,
            &found.name,
        )
    }

    async fn answer(&self, call: &Call) -> Outcome {
        match call.verb {
            Verb::List => self.list().await,
            Verb::Describe => self.describe(call).await,
            Verb::Create => self.create(&wanted(call, &self.owner)?).await,
            Verb::Update => self.replace(&wanted(call, &self.owner)?).await,
            Verb::Delete => self.delete(call).await,
            Verb::Probe
            | Verb::Cluster
            | Verb::Init
            | Verb::AddLearner
            | Verb::Promote
            | Verb::MoveLeader
            | Verb::RemoveMember
            | Verb::Drain => Err(not_ours(call.verb)),
        }
    }

    async fn trouble(&self, wanted: &[Arc<Resource>]) -> Result<Vec<Problem>, Fault> {
        let mut problems = Vec::new();
        let mut line = self.open().await?;
        let mut served = BTreeMap::new();
        for resource in wanted.iter().filter(|r| r.provider == self.owner.provider) {
            let (zone, name) = place(resource)?;
            if !served.contains_key(&zone) {
                let here = line.serves(&zone).await?;
                if !here {
                    problems.push(Problem {
                        what: format!("{}: {zone} is not served there", self.server),
                        fix: "name the primary server of the zone".to_owned(),
                    });
                }
                served.insert(zone.clone(), here);
            }
            if !served[&zone] {
                continue;
            }
            let taken = match self.standing(&mut line, &zone, &name).await? {
                Standing::Ours(..) => false,
                Standing::Theirs => true,
                Standing::Unmarked => line.exists(&name).await? && name != zone,
            };
            if taken {
                problems.push(Problem {
                    what: format!("{name} is taken at {}, and not by us", self.server),
                    fix: "choose another hostname, or remove what stands there".to_owned(),
                });
            }
        }
        Ok(problems)
    }
}

/// What an update's answer means, where what it changes was seen just before.
fn done(code: ResponseCode, name: &Name) -> Outcome {
    match code {
        ResponseCode::NoError => Ok(Reply::Done),
        // Somebody was quicker; what is right now is for the next look.
        _ => Err(Fault::new(
            FaultClass::Retryable,
            format!("{name} was changed by somebody else meanwhile ({code})"),
        )),
    }
}

fn with_port(server: &str) -> String {
    let bare_v6 = server.parse::<std::net::Ipv6Addr>().is_ok();
    let has_port = server
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    match (bare_v6, has_port) {
        (true, _) => format!("[{server}]:{PORT}"),
        (false, true) => server.to_owned(),
        (false, false) => format!("{server}:{PORT}"),
    }
}

impl Provider for Rfc2136 {
    fn call<'a>(&'a self, call: &'a Call) -> Pending<'a, Outcome> {
        Box::pin(self.answer(call))
    }

    fn preflight<'a>(&'a self, wanted: &'a [Arc<Resource>]) -> Pending<'a, Vec<Problem>> {
        Box::pin(async move {
            let problem = |fault: Fault| Problem {
                what: format!("{}: {fault}", self.server),
                fix: "see that it is there, and that the key may update the zone".to_owned(),
            };
            match self.trouble(wanted).await {
                Ok(problems) => problems,
                Err(fault) => vec![problem(fault)],
            }
        })
    }

    fn owners(&self) -> Pending<'_, Result<Vec<Owner>, Fault>> {
        Box::pin(async move {
            let mut line = self.open().await?;
            let mut owners = BTreeSet::new();
            for zone in &self.zones {
                for name in Self::index(&mut line, zone).await? {
                    let marks = line.read(&mark_name(&name)?, RecordType::TXT).await?;
                    let labels = marks.iter().filter_map(|mark| marked(&mark.data));
                    let labels = labels.filter_map(|pairs| Labels::read(&pairs));
                    owners.extend(labels.map(|labels| labels.owner));
                }
            }
            Ok(owners.into_iter().collect())
        })
    }
}

/// A name that is too long with what we put before it.
fn too_long(name: &Name) -> Fault {
    invalid(format!("{name} is too long: we need a name below it"))
}

#[cfg(test)]
mod tests;
