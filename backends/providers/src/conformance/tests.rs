//! The suite against a provider in memory: a good one passes, and each way of being wrong is found.

use super::{Sample, conform};
use crate::{Owner, Pending, Problem, Provider};
use ipnet::Ipv4Net;
use quorate_engine::resource::{Kind, Resource, ResourceId, Spec};
use quorate_engine::seam::{
    Call, Fault, FaultClass, Lane, MachineState, Outcome, Reply, Seen, Verb,
};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A way of being wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    MakesTwice,
    ShowsStrangers,
    TakesStrangers,
    KillsStrangers,
    BlindPreflight,
    ForgetsFingerprint,
    WrongField,
    NoAddress,
    ListsLess,
    UpdateReplaces,
    UpdateDoesNothing,
    TakesAnything,
    Probes,
    LetsGoOfUsed,
    KeepsDeleted,
    FaultsOnAbsent,
    Tells,
    NoOwners,
}

#[derive(Clone)]
struct Thing {
    owner: Owner,
    seen: Seen,
}

type Things = BTreeMap<ResourceId, Thing>;

type Account = Arc<Mutex<(Things, u32)>>;

struct Shelf {
    account: Account,
    owner: Owner,
    flaw: Flaw,
}

fn fault(class: FaultClass) -> Outcome {
    Err(Fault::new(class, "no"))
}

impl Shelf {
    fn answer(&self, call: &Call) -> Outcome {
        let mut account = self.account.lock().unwrap();
        let (things, serial) = &mut *account;
        let flaw = self.flaw;
        let there = things.get(&call.target).cloned();
        let ours = there
            .clone()
            .filter(|thing| thing.owner == self.owner || flaw == Flaw::ShowsStrangers);
        match call.verb {
            Verb::List => {
                let mine = |thing: &&Thing| thing.owner == self.owner;
                let all = things.values().filter(mine).map(|thing| thing.seen.clone());
                let skip = usize::from(flaw == Flaw::ListsLess);
                Ok(Reply::List(all.skip(skip).collect()))
            }
            Verb::Describe if flaw == Flaw::Tells && ours.is_some() => {
                Err(Fault::new(FaultClass::Auth, "hunter2 is not welcome"))
            }
            Verb::Describe => Ok(ours.map_or(Reply::Absent, |thing| Reply::Seen(thing.seen))),
            Verb::Create => self.create(call, things, serial),
            Verb::Update => match ours {
                None => fault(FaultClass::NotFound),
                Some(_) if flaw == Flaw::UpdateDoesNothing => Ok(Reply::Done),
                Some(thing) => {
                    let serial = match flaw {
                        Flaw::UpdateReplaces => 99,
                        _ => thing.seen.external.parse().unwrap(),
                    };
                    let seen = self.show(call.resource.as_ref().unwrap(), serial);
                    things.get_mut(&call.target).unwrap().seen = seen;
                    Ok(Reply::Done)
                }
            },
            Verb::Delete => {
                let kills = flaw == Flaw::KillsStrangers;
                let Some(_) = ours.or(there.filter(|_| kills)) else {
                    return match flaw {
                        Flaw::FaultsOnAbsent => fault(FaultClass::NotFound),
                        _ => Ok(Reply::Done),
                    };
                };
                let used = call.kind == Kind::Network && things.len() > 1;
                if used && flaw != Flaw::LetsGoOfUsed {
                    return fault(FaultClass::Busy);
                }
                if flaw != Flaw::KeepsDeleted {
                    things.remove(&call.target);
                }
                Ok(Reply::Done)
            }
            Verb::Probe if flaw == Flaw::Probes => Ok(Reply::Done),
            _ => fault(FaultClass::Invalid),
        }
    }

    fn create(&self, call: &Call, things: &mut Things, serial: &mut u32) -> Outcome {
        let flaw = self.flaw;
        if let Some(there) = things.get(&call.target)
            && flaw != Flaw::MakesTwice
        {
            let mine = there.owner == self.owner || flaw == Flaw::TakesStrangers;
            return match mine {
                true => Ok(Reply::Seen(there.seen.clone())),
                false => fault(FaultClass::Exists),
            };
        }
        let resource = call.resource.as_ref().unwrap();
        if call.target.as_str().contains("bad") && flaw != Flaw::TakesAnything {
            return fault(FaultClass::Invalid);
        }
        *serial += 1;
        let seen = self.show(resource, *serial);
        let owner = self.owner.clone();
        let thing = Thing {
            owner,
            seen: seen.clone(),
        };
        things.insert(call.target.clone(), thing);
        Ok(Reply::Seen(seen))
    }

    fn show(&self, resource: &Resource, serial: u32) -> Seen {
        let kind = resource.spec.kind();
        let mut fields = BTreeMap::new();
        if let Spec::Machine { image, .. } = &resource.spec {
            let wrong = self.flaw == Flaw::WrongField;
            let image = if wrong { "other" } else { image };
            fields.insert("image".to_owned(), image.to_owned());
        }
        if let Spec::Firewall { public_ports, .. } = &resource.spec {
            let ports = serde_json::to_string(public_ports).unwrap();
            fields.insert("public_ports".to_owned(), ports);
        }
        let forgets = self.flaw == Flaw::ForgetsFingerprint;
        Seen {
            id: resource.id.clone(),
            kind,
            external: serial.to_string(),
            fingerprint: if forgets {
                0
            } else {
                resource.spec.fingerprint()
            },
            state: MachineState::Running,
            address: (kind == Kind::Machine && self.flaw != Flaw::NoAddress)
                .then_some(Ipv4Addr::new(192, 0, 2, 1)),
            private: None,
            host_key: None,
            fields,
        }
    }
}

impl Provider for Shelf {
    fn call<'a>(&'a self, call: &'a Call) -> Pending<'a, Outcome> {
        Box::pin(async move { self.answer(call) })
    }

    fn preflight<'a>(&'a self, wanted: &'a [Arc<Resource>]) -> Pending<'a, Vec<Problem>> {
        Box::pin(async move {
            let account = self.account.lock().unwrap();
            let taken = |resource: &&Arc<Resource>| {
                let thing = account.0.get(&resource.id);
                thing.is_some_and(|thing| thing.owner != self.owner)
            };
            let taken = wanted.iter().filter(taken);
            let problem = |resource: &Arc<Resource>| Problem {
                what: resource.id.to_string(),
                fix: "another name".to_owned(),
            };
            match self.flaw {
                Flaw::BlindPreflight => Vec::new(),
                _ => taken.map(problem).collect(),
            }
        })
    }

    fn owners(&self) -> Pending<'_, Result<Vec<Owner>, Fault>> {
        Box::pin(async move {
            let account = self.account.lock().unwrap();
            let owners = account.0.values().map(|thing| thing.owner.clone());
            match self.flaw {
                Flaw::NoOwners => Ok(Vec::new()),
                _ => Ok(owners.collect()),
            }
        })
    }
}

fn resource(id: &str, spec: Spec) -> Arc<Resource> {
    Arc::new(Resource {
        id: ResourceId::new(id),
        provider: "mem".to_owned(),
        spec,
    })
}

fn network(cidr: &str) -> Spec {
    Spec::Network {
        region: "r".to_owned(),
        cidr: cidr.parse::<Ipv4Net>().unwrap(),
    }
}

fn firewall(public_ports: Vec<u16>) -> Spec {
    Spec::Firewall {
        region: "r".to_owned(),
        mesh_port: 51820,
        public_ports,
    }
}

fn machine() -> Spec {
    Spec::Machine {
        region: "r".to_owned(),
        zone: "r".to_owned(),
        machine_type: "small".to_owned(),
        image: "debian".to_owned(),
        spot: false,
        roles: Vec::new(),
        existing: None,
    }
}

async fn complaints(flaw: Flaw) -> Vec<String> {
    let account = Account::default();
    let shelf = |uid, flaw| Shelf {
        account: Arc::clone(&account),
        owner: Owner {
            cluster: "shop".to_owned(),
            uid,
        },
        flaw,
    };
    let (ours, theirs) = (shelf(1, flaw), shelf(2, Flaw::None));
    let resources = vec![
        resource("shop/network.mem/r", network("10.0.0.0/24")),
        resource("shop/firewall.mem/r", firewall(vec![443])),
        resource("shop/w/1", machine()),
    ];
    let sample = Sample {
        cluster: ResourceId::new("shop"),
        owner: ours.owner.clone(),
        lane: Lane::Provider(Arc::from("mem")),
        updates: vec![resource("shop/firewall.mem/r", firewall(vec![80, 443]))],
        held: vec![ResourceId::new("shop/network.mem/r")],
        refused: vec![(resource("shop/bad/1", machine()), FaultClass::Invalid)],
        stranger: Some((&theirs, resources.clone())),
        resources,
        addresses: Vec::new(),
        secrets: vec!["hunter2".to_owned()],
        patience: Duration::ZERO,
        poll: Duration::ZERO,
    };
    conform(&ours, sample).await
}

#[tokio::test]
async fn a_good_provider_passes() {
    assert_eq!(complaints(Flaw::None).await, Vec::<String>::new());
}

#[tokio::test]
async fn every_flaw_is_found() {
    let cases = [
        (Flaw::MakesTwice, "made twice with one key"),
        (Flaw::ShowsStrangers, "another owner's, and shown"),
        (Flaw::TakesStrangers, "is taken, yet"),
        (Flaw::KillsStrangers, "another owner's and became"),
        (Flaw::BlindPreflight, "does not see that names are taken"),
        (Flaw::ForgetsFingerprint, "is shown as"),
        (Flaw::WrongField, "image is shown as other"),
        (Flaw::NoAddress, "has no address"),
        (Flaw::ListsLess, "the list shows"),
        (Flaw::UpdateReplaces, "was replaced by an update"),
        (Flaw::UpdateDoesNothing, "is shown as"),
        (Flaw::TakesAnything, "is to be refused as invalid"),
        (Flaw::Probes, "is no provider's"),
        (Flaw::LetsGoOfUsed, "is in use, yet"),
        (Flaw::KeepsDeleted, "does not go"),
        (Flaw::FaultsOnAbsent, "deleting it says"),
        (Flaw::Tells, "shows a secret"),
        (Flaw::NoOwners, "their owners are"),
    ];
    for (flaw, sentence) in cases {
        let broken = complaints(flaw).await;
        let found = broken.iter().any(|said| said.contains(sentence));
        assert!(found, "{flaw:?}: {broken:#?}");
    }
}
