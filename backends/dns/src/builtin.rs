//! Record sets in Quorate's own name servers: a provider that writes their configuration file.
//!
//! Everything is in one file, `zones.json` in the directory that is the provider's endpoint: of this
//! machine, or of a name server's own by ssh. What is ours carries labels; everything else in it,
//! other clusters' record sets among them, stays as it is. Written as a whole beside the old one and
//! then put in its place, under a lock, so that name servers and other clusters never see half of it.
//!
//! Does not know who serves the file, and how many do.

mod far;
mod near;
mod probes;
mod store;

pub use probes::probes;

use crate::adapter::{Found, Wanted, not_ours, place, wanted};
use crate::check::{Check, Protocol};
use crate::config::{self, File, RecordFile, RecordKind, ZoneFile, inside, whole};
use hickory_proto::rr::Name;
use quorate_engine::resource::{Resource, ResourceId};
use quorate_engine::seam::{Call, Fault, FaultClass, Outcome, Reply, Verb};
use quorate_engine::time::Span;
use quorate_engine::units::Duration;
use quorate_providers::labels::Labels;
use quorate_providers::{Owner, Pending, Problem, Provider, Site};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::Store;

/// Asked where nothing says what a name leads to.
const PORT: u16 = 443;

/// A directory with the file.
#[derive(Debug, Clone)]
pub struct Builtin {
    store: Store,
    owner: Owner,
    probes: BTreeMap<String, Check>,
}

/// What becomes of the file after a change.
enum Change {
    /// It is written.
    Write(Reply),
    /// It stays as it is.
    Keep(Reply),
}

impl Builtin {
    /// For a directory (`endpoint`), here or by ssh. `probes`: what addresses are asked, by name; see
    /// [`probes`].
    ///
    /// # Errors
    /// No directory is named, or one that cannot be one.
    pub fn new(site: Site, probes: BTreeMap<String, Check>) -> Result<Self, Problem> {
        let name = &site.provider.name;
        let endpoint = site.provider.endpoint.as_deref().unwrap_or_default();
        let store = match endpoint {
            "" => Err("no directory for zones.json".to_owned()),
            endpoint => Store::new(endpoint),
        };
        let store = store.map_err(|why| Problem {
            what: format!("provider {name}: {why}"),
            fix: "name the directory that name servers read: `endpoint: /etc/quorate/dns`, or \
                  `ssh://root@ns1.example.com/etc/quorate/dns`"
                .to_owned(),
        })?;
        Ok(Self {
            store,
            owner: site.owner,
            probes,
        })
    }

    /// Does blocking work on the file where it holds nobody up.
    async fn at_work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let ours = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&ours)).await;
        done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    fn changed(&self, change: impl FnOnce(&mut File) -> Result<Change, Fault>) -> Outcome {
        let mut held = self.store.hold()?;
        let file = &mut held.file;
        match change(file)? {
            Change::Keep(reply) => Ok(reply),
            Change::Write(reply) => {
                if let Err(findings) = config::build(file)
                    && let Some(finding) = findings.first()
                    // Without zones there is nothing to serve, and nothing wrong with that here.
                    && !file.zones.is_empty()
                {
                    let text = format!("{}: {}", finding.path, finding.message);
                    return Err(Fault::new(FaultClass::Invalid, text));
                }
                self.store.write(held)?;
                Ok(reply)
            }
        }
    }

    fn create(&self, wanted: &Wanted) -> Outcome {
        self.changed(|file| {
            let index = zone(file, &wanted.zone);
            let zone = &mut file.zones[index];
            let mut taken = false;
            for record in zone
                .records
                .iter()
                .filter(|record| stands_at(record, wanted))
            {
                let found = self.found(&wanted.zone, record);
                match found.filter(|found| found.labels.id == wanted.labels.id) {
                    Some(found) => return Ok(Change::Keep(Reply::Seen(found.seen()))),
                    None => taken |= in_the_way(record, wanted),
                }
            }
            if taken {
                let text = format!("{} is taken, and not by us", wanted.name);
                return Err(Fault::new(FaultClass::Exists, text));
            }
            let record = self.record(wanted);
            let found = self
                .found(&wanted.zone, &record)
                .expect("what we make is ours");
            zone.records.push(record);
            Ok(Change::Write(Reply::Seen(found.seen())))
        })
    }

    fn replace(&self, wanted: &Wanted) -> Outcome {
        self.changed(|file| {
            let ours = |zone: &Name, record: &RecordFile| {
                let found = self.found(zone, record);
                found.is_some_and(|found| found.labels.id == wanted.labels.id)
            };
            let record = records_of(file).find(|(zone, record)| ours(zone, record));
            let Some((_, record)) = record else {
                let text = format!("{} is not there, or not ours", wanted.name);
                return Err(Fault::new(FaultClass::NotFound, text));
            };
            *record = self.record(wanted);
            Ok(Change::Write(Reply::Done))
        })
    }

    fn delete(&self, id: &ResourceId) -> Outcome {
        self.changed(|file| {
            let mut removed = false;
            for zone in &mut file.zones {
                let Some(origin) = whole(&zone.zone) else {
                    continue;
                };
                zone.records.retain(|record| {
                    let found = self.found(&origin, record);
                    let ours = found.is_some_and(|found| found.labels.id == *id);
                    removed |= ours;
                    !ours
                });
            }
            let reply = Reply::Done;
            Ok(if removed {
                Change::Write(reply)
            } else {
                Change::Keep(reply)
            })
        })
    }

    /// A record set, if it is ours.
    fn found(&self, zone: &Name, record: &RecordFile) -> Option<Found> {
        let labels = Labels::read(&record.labels)?;
        if labels.owner != self.owner || record.kind != RecordKind::A {
            return None;
        }
        Some(Found {
            zone: zone.clone(),
            name: inside(&record.name, zone)?,
            ttl_s: record.ttl.map(|ttl| ttl.0.as_secs() as u32),
            addresses: record
                .values
                .iter()
                .filter_map(|value| value.parse().ok())
                .collect(),
            pairs: record.labels.clone(),
            labels,
        })
    }

    fn all(&self) -> Result<Vec<Found>, Fault> {
        let mut file = self.store.read()?;
        let found = records_of(&mut file).filter_map(|(zone, record)| self.found(&zone, record));
        Ok(found.collect())
    }

    fn record(&self, wanted: &Wanted) -> RecordFile {
        let name = wanted.name.to_ascii();
        let check = wanted.check.map(|check| {
            let bare = name.trim_end_matches('.');
            let probe = self.probes.get(bare).cloned();
            Check {
                interval: check.interval,
                timeout: check.timeout,
                threshold: check.threshold,
                ..probe.unwrap_or_else(|| Check::new(Protocol::Tcp, PORT))
            }
        });
        RecordFile {
            name,
            kind: RecordKind::A,
            ttl: Some(Duration(Span::from_secs(u64::from(wanted.ttl_s)))),
            values: wanted.addresses.iter().map(ToString::to_string).collect(),
            check,
            labels: crate::adapter::marks(wanted),
        }
    }

    async fn answer(&self, call: &Call) -> Outcome {
        match call.verb {
            Verb::List => {
                let all = self.at_work(Self::all).await?;
                Ok(Reply::List(all.iter().map(Found::seen).collect()))
            }
            Verb::Describe => {
                let all = self.at_work(Self::all).await?;
                let found = all.iter().find(|found| found.labels.id == call.target);
                Ok(found.map_or(Reply::Absent, |found| Reply::Seen(found.seen())))
            }
            Verb::Create => {
                let wanted = wanted(call, &self.owner)?;
                self.at_work(move |ours| ours.create(&wanted)).await
            }
            Verb::Update => {
                let wanted = wanted(call, &self.owner)?;
                self.at_work(move |ours| ours.replace(&wanted)).await
            }
            Verb::Delete => {
                let id = call.target.clone();
                self.at_work(move |ours| ours.delete(&id)).await
            }
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

    fn trouble(&self, wanted: &[Arc<Resource>]) -> Result<Vec<Problem>, Fault> {
        let mut file = self.store.read()?;
        let mut problems = Vec::new();
        for resource in wanted.iter().filter(|r| r.provider == self.owner.provider) {
            let (_, name) = place(resource)?;
            let mut there = records_of(&mut file).filter(|(zone, record)| {
                inside(&record.name, zone).as_ref() == Some(&name) && *zone != name
            });
            let taken = there.any(|(zone, record)| {
                let found = self.found(&zone, record);
                found.is_none_or(|found| found.labels.id != resource.id)
            });
            if taken {
                problems.push(Problem {
                    what: format!("{name} is taken in {}", self.store),
                    fix: "choose another hostname, or take out what stands there".to_owned(),
                });
            }
        }
        Ok(problems)
    }
}

/// Whether a record is about the same name.
fn stands_at(record: &RecordFile, wanted: &Wanted) -> bool {
    inside(&record.name, &wanted.zone).as_ref() == Some(&wanted.name)
}

/// Whether a record at the same name leaves no room for addresses of ours. At the zone's own name
/// other things may stand beside them.
fn in_the_way(record: &RecordFile, wanted: &Wanted) -> bool {
    let address = matches!(
        record.kind,
        RecordKind::A | RecordKind::Aaaa | RecordKind::Cname
    );
    address || wanted.name != wanted.zone
}

/// All record sets with their zones.
fn records_of(file: &mut File) -> impl Iterator<Item = (Name, &mut RecordFile)> {
    file.zones.iter_mut().flat_map(|zone| {
        let origin = whole(&zone.zone);
        zone.records
            .iter_mut()
            .filter_map(move |record| Some((origin.clone()?, record)))
    })
}

/// Where a zone is in the file; a new one if it is not.
fn zone(file: &mut File, name: &Name) -> usize {
    let known = file
        .zones
        .iter()
        .position(|zone| whole(&zone.zone).as_ref() == Some(name));
    known.unwrap_or_else(|| {
        file.zones.push(ZoneFile {
            zone: name.to_ascii().trim_end_matches('.').to_owned(),
            ..ZoneFile::default()
        });
        file.zones.len() - 1
    })
}

impl Provider for Builtin {
    fn call<'a>(&'a self, call: &'a Call) -> Pending<'a, Outcome> {
        Box::pin(self.answer(call))
    }

    fn preflight<'a>(&'a self, wanted: &'a [Arc<Resource>]) -> Pending<'a, Vec<Problem>> {
        let wanted = wanted.to_vec();
        Box::pin(async move {
            let found = self.at_work(move |ours| {
                ours.store.writable()?;
                ours.trouble(&wanted)
            });
            found.await.unwrap_or_else(|fault| {
                vec![Problem {
                    what: fault.to_string(),
                    fix: "see that the directory is there and yours to write in".to_owned(),
                }]
            })
        })
    }

    fn owners(&self) -> Pending<'_, Result<Vec<Owner>, Fault>> {
        Box::pin(self.at_work(|ours| {
            let mut file = ours.store.read()?;
            let labels =
                records_of(&mut file).filter_map(|(_, record)| Labels::read(&record.labels));
            let owners: BTreeSet<_> = labels.map(|labels| labels.owner).collect();
            Ok(owners.into_iter().collect())
        }))
    }
}
