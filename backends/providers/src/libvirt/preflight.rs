//! What can be known to be wrong before anything is made. Only looks.

use super::address::room;
use super::domain::{Size, TYPE_FORM};
use super::making::REMOTE_LXC;
use super::network::cidr;
use super::record::Record;
use super::session::Session;
use super::uri::{Driver, Place, Target};
use super::xml::Element;
use super::{Libvirt, rootfs, volumes};
use crate::{Problem, labels};
use ipnet::Ipv4Net;
use quorate_engine::resource::{Kind, Resource, Spec};
use quorate_engine::seam::{Fault, FaultClass};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

fn problem(what: impl Into<String>, fix: impl Into<String>) -> Problem {
    Problem {
        what: what.into(),
        fix: fix.into(),
    }
}

/// Two networks that have an address in common.
fn clash(a: &Ipv4Net, b: &Ipv4Net) -> bool {
    a.contains(b) || b.contains(a)
}

/// The machines among them: type and image.
fn machines(wanted: &[Arc<Resource>]) -> impl Iterator<Item = (&Resource, &str, &str)> {
    wanted.iter().filter_map(|resource| match &resource.spec {
        Spec::Machine {
            machine_type,
            image,
            existing: None,
            ..
        } => Some((&**resource, machine_type.as_str(), image.as_str())),
        _ => None,
    })
}

impl Libvirt {
    pub(super) async fn look_ahead(&self, wanted: &[Arc<Resource>]) -> Vec<Problem> {
        let name = &self.site.provider.name;
        let target = match &self.target {
            Ok(target) => target,
            Err(bad) => {
                return vec![problem(
                    format!("provider {name}: its endpoint is wrong: {bad}"),
                    "correct `endpoint` in the manifest",
                )];
            }
        };
        let mut problems = types(wanted);
        problems.extend(too_many(wanted));
        problems.extend(self.without_keys(wanted));
        let session = match self.session().await {
            Ok(session) => session,
            Err(fault) => {
                problems.push(self.no_way(target, &fault));
                return problems;
            }
        };
        let looked = [
            self.images(&session, target, wanted).await,
            self.names(&session, wanted).await,
            self.clashes(&session, wanted).await,
        ];
        for looked in looked {
            match looked {
                Ok(found) => problems.extend(found),
                Err(fault) => problems.push(problem(
                    format!("provider {name}: {}", fault.detail),
                    format!("see what {} says to the same question", target.uri),
                )),
            }
        }
        problems
    }

    fn no_way(&self, target: &Target, fault: &Fault) -> Problem {
        let name = &self.site.provider.name;
        // What a local socket needs stands in the fault already, after the semicolon.
        let (what, fix) = fault
            .detail
            .rsplit_once("; ")
            .unwrap_or((&fault.detail, ""));
        let fix = match (&target.place, fault.class) {
            (Place::Ssh { host, .. }, _) => format!(
                "`ssh {host} virsh -c {} list` has to work without a question",
                target.uri
            ),
            (Place::Here, _) if !fix.is_empty() => fix.to_owned(),
            (Place::Here, FaultClass::Auth) => {
                "let this user in: `sudo usermod -aG libvirt $USER`, then log in again".to_owned()
            }
            (Place::Here, _) => format!("`virsh -c {} list` has to work", target.uri),
        };
        problem(format!("provider {name}: {what}"), fix)
    }

    fn without_keys(&self, wanted: &[Arc<Resource>]) -> Option<Problem> {
        let needs = machines(wanted).next().is_some() && self.site.ssh_keys.is_empty();
        needs.then(|| {
            problem(
                format!("provider {}: nobody could log in", self.site.provider.name),
                "give an ssh public key",
            )
        })
    }

    async fn images(
        &self,
        session: &Session,
        target: &Target,
        wanted: &[Arc<Resource>],
    ) -> Result<Vec<Problem>, Fault> {
        let images: BTreeSet<_> = machines(wanted).map(|(_, _, image)| image).collect();
        let mut problems = Vec::new();
        match (target.driver, &target.place) {
            (Driver::Test, _) => {}
            (Driver::Lxc, Place::Ssh { .. }) if !images.is_empty() => {
                let what = format!("{} is on another host", self.site.provider.name);
                problems.push(problem(what, REMOTE_LXC));
            }
            (Driver::Lxc, _) => {
                let fix = "`image` is a folder with a root file system, made by debootstrap or the \
                           like";
                let user = &self.site.ssh_user;
                let lacks = |image: &&str| rootfs::lacks(Path::new(image), user);
                let lacking = images.iter().filter_map(lacks);
                problems.extend(lacking.map(|lacks| problem(lacks, fix)));
            }
            (Driver::Qemu, place) if !images.is_empty() => {
                let pool = match self.pool(session).await {
                    Ok(pool) => pool,
                    Err(fault) => {
                        let fix = format!(
                            "make it: `virsh pool-define-as {0} dir --target \
                             /var/lib/libvirt/images && virsh pool-start {0} && virsh \
                             pool-autostart {0}`, or name another one: `?pool=`",
                            target.pool
                        );
                        return Ok(vec![problem(fault.detail, fix)]);
                    }
                };
                for image in images {
                    if let Err(fault) = volumes::image(session, &pool, (image, place)).await {
                        let fix = "`image` is a cloud image: a volume of the pool, or a file on \
                                   the libvirt host";
                        problems.push(problem(fault.detail, fix));
                    }
                }
            }
            (Driver::Qemu, _) => {}
        }
        Ok(problems)
    }

    /// Names that somebody else has.
    async fn names(
        &self,
        session: &Session,
        wanted: &[Arc<Resource>],
    ) -> Result<Vec<Problem>, Fault> {
        let mut problems = Vec::new();
        for resource in wanted {
            let id = &resource.id;
            let found = match resource.spec.kind() {
                Kind::Network => self.find_network(session, id).await.map(drop),
                Kind::Firewall => self.find_firewall(session, id).await.map(drop),
                Kind::Machine => self.find_domain(session, id).await.map(drop),
                Kind::Host
                | Kind::Peer
                | Kind::Links
                | Kind::EtcdMember
                | Kind::ControlPlane
                | Kind::Worker
                | Kind::Balancer
                | Kind::ApiProxy
                | Kind::RecordSet
                | Kind::StoragePool => Ok(()),
            };
            match found {
                Ok(()) => {}
                Err(fault) if fault.class == FaultClass::Exists => {
                    let fix = format!(
                        "rename or remove {}, or give the cluster another name: it is not touched",
                        labels::name(id)
                    );
                    problems.push(problem(format!("{id}: {}", fault.detail), fix));
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(problems)
    }

    /// Addresses that another network of this host has.
    async fn clashes(
        &self,
        session: &Session,
        wanted: &[Arc<Resource>],
    ) -> Result<Vec<Problem>, Fault> {
        let mut ours = BTreeMap::new();
        for resource in wanted {
            if let Spec::Network { cidr, .. } = &resource.spec {
                ours.insert(resource.id.clone(), cidr.trunc());
            }
        }
        let mut problems = Vec::new();
        let looking = "looking for networks with the same addresses";
        let all = session.networks().await.map_err(super::doing(looking))?;
        for named in all {
            let xml = session.network_xml(&named).await;
            let xml = xml.map_err(super::doing(looking))?;
            let Some(xml) = xml.as_deref().and_then(Element::parse) else {
                continue;
            };
            let record = Record::of(&xml);
            let Some(theirs) = cidr(&xml) else { continue };
            for (id, mine) in &ours {
                let itself = record
                    .as_ref()
                    .is_some_and(|record| record.is(&self.site.owner, id));
                if !itself && clash(mine, &theirs) {
                    let what = format!(
                        "{id}: its addresses {mine} are also those of the network {} ({theirs})",
                        named.name
                    );
                    problems.push(problem(what, "give the provider another `networkCidr`"));
                }
            }
        }
        Ok(problems)
    }
}

/// Machine types that are no sizes.
fn types(wanted: &[Arc<Resource>]) -> Vec<Problem> {
    let wrong = machines(wanted).filter(|(_, text, _)| Size::parse(text).is_none());
    let wrong: BTreeMap<_, _> = wrong
        .map(|(machine, text, _)| (text, &machine.id))
        .collect();
    let wrong = wrong.into_iter();
    wrong
        .map(|(text, id)| problem(format!("{id}: `{text}` is no machine type"), TYPE_FORM))
        .collect()
}

/// Regions with more machines than addresses.
fn too_many(wanted: &[Arc<Resource>]) -> Vec<Problem> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for resource in wanted {
        if let Spec::Machine {
            region,
            existing: None,
            ..
        } = &resource.spec
        {
            *counts.entry(region).or_default() += 1;
        }
    }
    let small = wanted.iter().filter_map(|resource| {
        let Spec::Network { region, cidr } = &resource.spec else {
            return None;
        };
        let count = counts.get(region.as_str()).copied().unwrap_or_default();
        (count > room(*cidr)).then(|| {
            let what = format!(
                "{}: {count} machines, and {cidr} has addresses for {}",
                resource.id,
                room(*cidr)
            );
            problem(what, "give the provider a larger `networkCidr`")
        })
    });
    small.collect()
}
