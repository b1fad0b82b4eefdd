//! The way to a cluster: a control plane that answers, the API server and etcd behind it, and the
//! credentials of its administrator, which are read there and kept in memory only.
//!
//! Knows what makes a control plane usable; not what is asked of it.

mod clients;
mod credentials;
pub(crate) mod together;

pub(crate) use clients::within;
pub(crate) use credentials::Credentials;

use crate::etcd::{Gateway, Sight, Snapshots, Status};
use quorate_engine::manifest::{Manifest, Role};
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{Fault, FaultClass};
use quorate_hosts::{Hosts, Job, Output, Runner, Tunnel};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use together::{Branch, Group, first};

/// Addresses of machines, as they come with a call.
pub(crate) type Addresses = [(ResourceId, Ipv4Addr)];

/// So long a control plane that answered is taken for one that answers.
const FRESH: Duration = Duration::from_secs(5);
/// Whoever answered last is asked alone for so long: what a dead one costs.
const LAST_FIRST: Duration = Duration::from_millis(1200);
/// Control planes of the manifest are asked alone for so long: a login over a slow path, and then
/// machines that the manifest does not name any more.
const OURS_FIRST: Duration = Duration::from_secs(8);
/// Nobody answers.
const NOBODY: Duration = Duration::from_secs(20);
/// One control plane, from login to its member's answer.
const ONE: Duration = Duration::from_secs(15);
/// A request of etcd or of an API server that costs it nothing.
const PING: Duration = Duration::from_secs(2);
/// Where every control plane reaches its own member, and its own API server.
const MEMBER_HERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 2379);
const API_HERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 6443);

/// The way to a cluster.
pub struct Access<R> {
    hosts: Arc<Hosts<R>>,
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) snapshots: Option<Snapshots>,
    kept: Mutex<Kept>,
}

/// What is remembered between calls; all of it can be found out again.
#[derive(Default)]
struct Kept {
    way: Option<(Way, Instant)>,
    last: Option<ResourceId>,
    tunnels: BTreeMap<(ResourceId, SocketAddrV4), Arc<Tunnel>>,
    sight: Sight,
}

/// A control plane that answered.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    pub(crate) machine: ResourceId,
    pub(crate) credentials: Arc<Credentials>,
    /// Its API server answers, too.
    api: bool,
}

impl<R: Runner> Access<R> {
    /// Over these machines.
    pub fn new(hosts: Arc<Hosts<R>>, manifest: Arc<Manifest>) -> Self {
        // Somebody else in this process may have chosen before; then theirs is used.
        drop(rustls::crypto::ring::default_provider().install_default());
        Self {
            hosts,
            manifest,
            snapshots: None,
            kept: Mutex::default(),
        }
    }

    /// With a snapshot of etcd before every change of its membership.
    #[must_use]
    pub fn with_snapshots(mut self, snapshots: Snapshots) -> Self {
        self.snapshots = Some(snapshots);
        self
    }

    /// Does a job on a machine.
    pub(crate) async fn run(
        &self,
        machine: &ResourceId,
        addresses: &Addresses,
        job: Job<'_>,
    ) -> Result<Output, Fault> {
        self.hosts.run(machine, addresses, job).await
    }

    /// A control plane that answers over ssh, has the administrator's credentials, and whose member
    /// knows a leader; any but `not`. One that is dead costs little more than a second.
    ///
    /// # Errors
    /// `Retryable`: nobody answers, or nobody knows a leader. `Auth`: all doors are closed.
    pub(crate) async fn via(
        &self,
        addresses: &Addresses,
        not: Option<&ResourceId>,
    ) -> Result<ResourceId, Fault> {
        Ok(self.way(addresses, not).await?.machine)
    }

    /// See [`Self::via`].
    pub(crate) async fn way(
        &self,
        addresses: &Addresses,
        not: Option<&ResourceId>,
    ) -> Result<Way, Fault> {
        if let Some((way, seen)) = &self.kept().way
            && seen.elapsed() < FRESH
            && Some(&way.machine) != not
        {
            return Ok(way.clone());
        }
        let groups = self.groups(addresses, not);
        if groups.is_empty() {
            let what = "no address of any control plane is known yet";
            return Err(Fault::new(FaultClass::Retryable, what));
        }
        let asked = first(groups, |answer| answer.as_ref().is_ok_and(|way| way.api));
        let answers = match tokio::time::timeout(NOBODY, asked).await {
            Ok(Ok(way)) => vec![way],
            Ok(Err(answers)) => answers,
            Err(_) => {
                let what = format!("no control plane answered within {} s", NOBODY.as_secs());
                return Err(Fault::new(FaultClass::Retryable, what));
            }
        };
        let mut faults = Vec::new();
        for answer in answers {
            match answer {
                Ok(way) => {
                    let mut kept = self.kept();
                    kept.last = Some(way.machine.clone());
                    kept.way = Some((way.clone(), Instant::now()));
                    return Ok(way);
                }
                Err(fault) => faults.push(fault),
            }
        }
        Err(nobody(&faults))
    }

    /// Whom to ask, in which order, and how long before the others are asked, too.
    fn groups<'a>(
        &'a self,
        addresses: &'a Addresses,
        not: Option<&ResourceId>,
    ) -> Vec<Group<'a, Result<Way, Fault>>> {
        let last = self.kept().last.clone();
        let known = addresses.iter().map(|(id, _)| id);
        let mut known: Vec<_> = known.filter(|id| Some(*id) != not).collect();
        let ours = self.control_planes(addresses);
        // Strangers last; whoever answered last goes before all.
        let rank = |id: &&ResourceId| match () {
            () if last.as_ref() == Some(*id) => 0,
            () if ours.contains(id) => 1,
            () => 2,
        };
        known.sort_by_key(|id| (rank(id), *id));
        known.dedup();
        let starts = [LAST_FIRST, OURS_FIRST, Duration::MAX];
        let group = |(number, start)| {
            let members = known.iter().filter(|id| rank(id) == number);
            let ask = |id: &&'a ResourceId| {
                let id = *id;
                Box::pin(self.ask(id, addresses)) as Branch<'a, Result<Way, Fault>>
            };
            (members.map(ask).collect::<Vec<_>>(), start)
        };
        let groups = starts.into_iter().enumerate().map(group);
        groups.filter(|(asked, _)| !asked.is_empty()).collect()
    }

    /// Asks one machine whether it can be the way.
    async fn ask(&self, machine: &ResourceId, addresses: &Addresses) -> Result<Way, Fault> {
        let asked = async {
            let output = self
                .run(machine, addresses, credentials::reading(ONE))
                .await?;
            let credentials = Arc::new(Credentials::read(output)?);
            let mut way = Way {
                machine: machine.clone(),
                credentials,
                api: false,
            };
            let gateway = self.gateway(&way, addresses, MEMBER_HERE).await?;
            let status = gateway.status(PING).await.map_err(|e| e.fault(false))?;
            // A learner answers hardly anything.
            let lacks = match () {
                () if status.leader == 0 => Some("knows no leader"),
                () if status.learner => Some("has no vote yet"),
                () => None,
            };
            if let Some(lacks) = lacks {
                let what = format!("{machine}: its etcd member {lacks}");
                return Err(Fault::new(FaultClass::Retryable, what));
            }
            let client = self.client(&way, addresses).await?;
            way.api = within(PING, false, client.apiserver_version())
                .await
                .is_ok();
            Ok(way)
        };
        match tokio::time::timeout(ONE, asked).await {
            Ok(answer) => answer,
            Err(_) => {
                let what = format!("{machine}: no answer within {} s", ONE.as_secs());
                Err(Fault::new(FaultClass::Retryable, what))
            }
        }
    }

    /// What the member of a control plane says of itself, whether it knows a leader or not.
    pub(crate) async fn status_at(
        &self,
        machine: &ResourceId,
        addresses: &Addresses,
    ) -> Result<Status, Fault> {
        let output = self
            .run(machine, addresses, credentials::reading(ONE))
            .await?;
        let way = Way {
            machine: machine.clone(),
            credentials: Arc::new(Credentials::read(output)?),
            api: false,
        };
        let gateway = self.gateway(&way, addresses, MEMBER_HERE).await?;
        gateway.status(PING).await.map_err(|e| e.fault(false))
    }

    /// A client of the Kubernetes API, through the tunnel.
    ///
    /// # Errors
    /// As [`Self::via`], and `Retryable` where control planes answer and no API server does.
    pub(crate) async fn api(&self, addresses: &Addresses) -> Result<kube::Client, Fault> {
        let mut way = self.way(addresses, None).await?;
        if !way.api {
            self.kept().way = None;
            way = self.way(addresses, None).await?;
        }
        if !way.api {
            self.kept().way = None;
            return Err(Fault::new(FaultClass::Retryable, "no API server answers"));
        }
        self.client(&way, addresses).await
    }

    /// The gateway of the member beside the control plane that answers.
    pub(crate) async fn own_member(
        &self,
        way: &Way,
        addresses: &Addresses,
    ) -> Result<Gateway, Fault> {
        self.gateway(way, addresses, MEMBER_HERE).await
    }

    /// What became of something that was done on the way: where that may have led nowhere, the next
    /// one who asks looks for another.
    pub(crate) fn heard<T>(&self, outcome: Result<T, Fault>) -> Result<T, Fault> {
        if let Err(fault) = &outcome
            && matches!(fault.class, FaultClass::Retryable | FaultClass::Unknown)
        {
            self.lost();
        }
        outcome
    }

    /// Whether the next one who asks is shown a way from memory.
    pub(crate) fn remembers(&self) -> bool {
        let way = &self.kept().way;
        way.as_ref().is_some_and(|(_, seen)| seen.elapsed() < FRESH)
    }

    /// Forgets the way: it is looked for anew.
    pub(crate) fn lost(&self) {
        let mut kept = self.kept();
        kept.way = None;
        kept.tunnels.clear();
    }

    /// A tunnel that is open. Those that are there are used again: each one is a port forwarding
    /// of the shared connection, which nobody takes back.
    async fn tunnel(
        &self,
        machine: &ResourceId,
        addresses: &Addresses,
        to: SocketAddrV4,
    ) -> Result<Arc<Tunnel>, Fault> {
        let key = (machine.clone(), to);
        let there = self.kept().tunnels.get(&key).cloned();
        if let Some(tunnel) = there
            && tokio::net::UnixStream::connect(tunnel.socket())
                .await
                .is_ok()
        {
            return Ok(tunnel);
        }
        let tunnel = Arc::new(self.hosts.tunnel(machine, addresses, to).await?);
        self.kept().tunnels.insert(key, Arc::clone(&tunnel));
        Ok(tunnel)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered of members' health.
    pub(crate) fn with_sight<T>(&self, look: impl FnOnce(&mut Sight) -> T) -> T {
        look(&mut self.kept().sight)
    }

    /// Machines that are known and may be control planes, by the manifest's pools.
    pub(crate) fn control_planes<'a>(&self, addresses: &'a Addresses) -> Vec<&'a ResourceId> {
        let ours = |id: &&ResourceId| self.has_role(id, Role::ControlPlane);
        addresses.iter().map(|(id, _)| id).filter(ours).collect()
    }

    /// Whether a machine's pool has a role in the manifest.
    pub(crate) fn has_role(&self, machine: &ResourceId, role: Role) -> bool {
        let pool = machine.as_str().split('/').nth(1);
        let pools = &self.manifest.spec.node_pools;
        let mut able = pools.iter().filter(|pool| pool.roles.contains(&role));
        able.any(|able| Some(able.name.as_str()) == pool)
    }

    /// The cluster's name.
    pub(crate) fn cluster(&self) -> &str {
        &self.manifest.metadata.name
    }
}

/// Why nobody answers, in one fault.
fn nobody(faults: &[Fault]) -> Fault {
    assert!(!faults.is_empty(), "somebody was asked");
    let closed = faults.iter().all(|fault| fault.class == FaultClass::Auth);
    let class = if closed {
        FaultClass::Auth
    } else {
        FaultClass::Retryable
    };
    let mut why: Vec<_> = faults.iter().map(|fault| fault.detail.as_str()).collect();
    why.sort_unstable();
    why.dedup();
    let more = why.len().saturating_sub(3);
    why.truncate(3);
    let mut text = format!("no control plane answers: {}", why.join("; "));
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    Fault::new(class, text)
}

#[cfg(test)]
mod tests;
