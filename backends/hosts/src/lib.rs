//! Machines over ssh: prepared, joined by the mesh, given their HAProxies, looked at.
//!
//! Answers the calls of [`Lane::Hosts`](quorate_engine::seam::Lane): one request, one answer. What
//! is done on a machine stands in `scripts/`, in POSIX sh; here it is decided which script with
//! which arguments, and what its answer means. When to call, and what to do about a fault, is the
//! engine's.

mod health;
mod job;
mod kubernetes;
mod links;
mod packages;
mod pins;
mod proxy;
mod reach;
pub mod rotate;
mod rtt;
mod ssh;
mod view;

pub use health::LinkHealth;
pub use job::{Job, Output, Runner, Tunnel};
pub use packages::lacking;
pub use pins::{Pins, Remembered, fingerprint};
pub use reach::{Key, Machines, Reach};
pub use ssh::{Patience, Ssh};

use kubernetes::{Release, Source};
use quorate_engine::manifest::Packages;
use quorate_engine::mesh::{MeshKey, links_print, table_of, table_print, tunnels};
use quorate_engine::resource::{Kind, ResourceId, Spec};
use quorate_engine::seam::{Call, Fault, FaultClass, HostView, Outcome, Reply, Verb};
use sha2::{Digest, Sha256};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const PACKAGES: &str = include_str!("../scripts/packages.sh");
const HOST: &str = include_str!("../scripts/host.sh");
const RELEASE: &str = include_str!("../scripts/release.sh");
const CARRY: &str = include_str!("../scripts/carry.sh");
const RUNTIME: &str = include_str!("../scripts/runtime.sh");
const PODS: &str = include_str!("../scripts/pods.sh");
const KUBERNETES: &str = include_str!("../scripts/kubernetes.sh");
const UNKUBERNETES: &str = include_str!("../scripts/unkubernetes.sh");
const PREPARED: &str = include_str!("../scripts/prepared.sh");
const PROXIES: &str = include_str!("../scripts/proxies.sh");
const PROXY: &str = include_str!("../scripts/proxy.sh");
const UNPROXY: &str = include_str!("../scripts/unproxy.sh");
const RESET: &str = include_str!("../scripts/reset.sh");
const DOWN: &str = include_str!("../scripts/down.sh");
const UP: &str = include_str!("../scripts/up.sh");
const PEER: &str = include_str!("../scripts/peer.sh");
const UNPEER: &str = include_str!("../scripts/unpeer.sh");
const LINKS: &str = include_str!("../scripts/links.sh");
const UNLINKS: &str = include_str!("../scripts/unlinks.sh");
const PROBE: &str = include_str!("../scripts/probe.sh");
const UPLOAD: &str = include_str!("../scripts/upload.sh");

/// Packages come over the network: as long as a slow mirror takes.
const HOST_LIMIT: Duration = Duration::from_secs(600);
/// The agent has about 15 MB; at 1 Mb/s this is what it takes.
const UPLOAD_LIMIT: Duration = Duration::from_secs(180);
/// Every pod is stopped, and HAProxies have connections to end.
const RESET_LIMIT: Duration = Duration::from_secs(180);
/// Everything else takes a second, unless another run holds the lock for 10 s.
const LIMIT: Duration = Duration::from_secs(45);

/// What a cluster's machines are reached with.
pub struct Settings {
    /// The cluster's name and identity: machines are marked with it.
    pub cluster: String,
    /// See [`Self::cluster`].
    pub uid: u64,
    /// Where machines are reached.
    pub machines: Arc<dyn Machines>,
    /// Keeps host keys.
    pub pins: Arc<dyn Pins>,
    /// The `quorate` binary for machines whose kernel has no WireGuard.
    pub agent_binary: Option<PathBuf>,
    /// Where nodes get Kubernetes from; none: from the Kubernetes project's package repository.
    pub packages: Option<Packages>,
    /// Another registry than kubeadm's own for Kubernetes' images.
    pub image_repository: Option<String>,
    /// At most so many jobs at a time.
    pub parallel: usize,
    /// How patient connections are.
    pub patience: Patience,
}

/// The machines of a cluster.
pub struct Hosts<R = Ssh> {
    runner: R,
    cluster: String,
    uid: u64,
    machines: Arc<dyn Machines>,
    agent_binary: Option<PathBuf>,
    release: Release,
}

impl Hosts {
    /// Over ssh.
    ///
    /// # Panics
    /// If `settings.parallel` is 0.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let runner = Ssh::new(
            Arc::clone(&settings.pins),
            settings.patience,
            settings.parallel,
        );
        Self::over(runner, settings)
    }
}

impl<R: Runner> Hosts<R> {
    /// Over something else that carries jobs to machines; pins, parallelism and patience are its
    /// own.
    pub fn over(runner: R, settings: Settings) -> Self {
        Self {
            runner,
            cluster: settings.cluster,
            uid: settings.uid,
            machines: settings.machines,
            agent_binary: settings.agent_binary,
            release: Release {
                source: Source::of(settings.packages.as_ref()),
                registry: settings.image_repository.unwrap_or_default(),
            },
        }
    }

    /// Answers a call of the hosts' lane. It may be dropped at any instant: what runs on the
    /// machine then ends by itself, and a repeated call waits for it.
    ///
    /// # Errors
    /// `Auth`: the door is closed, or its host key has changed. `Busy`: still booting, or another
    /// run is at work there. `Exists`: the machine is somebody else's. `Invalid`: it cannot ever
    /// work like this. `Quota`: its disk is full. `Unknown`: the connection broke during a change.
    /// `Retryable`: everything else.
    pub async fn call(&self, call: &Call) -> Outcome {
        let machine = call.target.machine();
        let at = self.at(&machine, &call.addresses)?;
        match call.verb {
            Verb::Probe => {
                let job = job("look at the machine", &[PROXIES, PROBE], LIMIT);
                let output = at.run(job).await?;
                Ok(Reply::Host(view::view(&output.stdout, &at.owner)))
            }
            Verb::Create | Verb::Update => self.install(call, &at).await,
            Verb::Delete => self.remove(call, &at).await,
            Verb::List
            | Verb::Describe
            | Verb::Cluster
            | Verb::Init
            | Verb::AddLearner
            | Verb::Promote
            | Verb::MoveLeader
            | Verb::RemoveMember
            | Verb::Drain => Err(not_here(call)),
        }
    }

    /// Does a job of somebody else's on a machine of ours: with what all scripts begin with, and
    /// with the owner's mark as `Q_OWNER`.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn run(
        &self,
        machine: &ResourceId,
        addresses: &[(ResourceId, Ipv4Addr)],
        job: Job<'_>,
    ) -> Result<Output, Fault> {
        self.at(machine, addresses)?.run(job).await
    }

    /// Opens a way through a machine of ours to an address that is seen from there.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn tunnel(
        &self,
        machine: &ResourceId,
        addresses: &[(ResourceId, Ipv4Addr)],
        to: SocketAddrV4,
    ) -> Result<Tunnel, Fault> {
        let at = self.at(machine, addresses)?;
        self.runner.tunnel(machine, &at.reach, to).await
    }

    async fn install(&self, call: &Call, at: &At<'_, R>) -> Outcome {
        let Some(resource) = &call.resource else {
            let what = format!("{} {}: without its spec", call.verb, call.target);
            return Err(Fault::new(FaultClass::Invalid, what));
        };
        let print = resource.spec.fingerprint();
        match &resource.spec {
            Spec::Host { kubernetes, .. } if kubernetes.is_empty() => {
                let parts = [PACKAGES, HOST, PREPARED];
                let job = change("prepare the machine", &parts, HOST_LIMIT)
                    .with("Q_PRINT", format!("{print:016x}"));
                at.run(job).await?;
                Ok(Reply::Done)
            }
            Spec::Host { kubernetes, pods } => {
                kubernetes::prepare(at, &self.release, kubernetes, pods.as_ref(), print).await?;
                Ok(Reply::Done)
            }
            Spec::Balancer { forwards } => {
                let config = proxy::balancer(forwards);
                at.run(haproxy("balancer", print, config, String::new()))
                    .await?;
                Ok(Reply::Done)
            }
            Spec::ApiProxy {
                name,
                port,
                servers,
            } => {
                let config = proxy::api_proxy(&at.machine, *port, servers);
                let names = proxy::hosts_lines(&at.machine, name, servers);
                at.run(haproxy("api-proxy", print, config, names)).await?;
                Ok(Reply::Done)
            }
            Spec::Peer {
                address, port, mtu, ..
            } => {
                let job = change("make the mesh peer", &[DOWN, UP, PEER], LIMIT)
                    .with("Q_PRINT", format!("{print:016x}"))
                    .with("Q_ADDRESS", address.to_string())
                    .with("Q_PORT", port.to_string())
                    .with("Q_MTU", mtu.to_string())
                    .with("Q_UP", job::standalone(&[UP, "up"]));
                self.peer(at, job, print).await
            }
            Spec::Links { keepalive_s } => {
                let table = table_of(&call.peers);
                if !table.contains_key(&at.machine) {
                    let what = format!("{}: the mesh does not know it yet", call.target);
                    return Err(Fault::new(FaultClass::Busy, what));
                }
                let print = links_print(print, table_print(&table), &at.machine);
                let list = links::list(&tunnels(&at.machine, &table), *keepalive_s, print);
                let job = change("set the mesh links", &[UP, LINKS], LIMIT).with("Q_LINKS", list);
                at.run(job).await?;
                Ok(Reply::Done)
            }
            Spec::Network { .. }
            | Spec::Firewall { .. }
            | Spec::Machine { .. }
            | Spec::EtcdMember { .. }
            | Spec::ControlPlane { .. }
            | Spec::Worker { .. }
            | Spec::RecordSet { .. }
            | Spec::StoragePool { .. } => Err(not_here(call)),
        }
    }

    /// Makes the mesh's end, and brings the agent there first if the machine needs it.
    async fn peer(&self, at: &At<'_, R>, job: Job<'_>, print: u64) -> Outcome {
        let digest = self.agent_binary.as_deref().map(digest).transpose()?;
        let job = job.with("Q_AGENT", digest.clone().unwrap_or_default());
        let mut output = at.run(job.clone()).await?;
        if output.stdout.lines().any(|line| line == "wants agent") {
            let (Some(path), Some(digest)) = (&self.agent_binary, digest) else {
                unreachable!("a machine asks for the agent only where there is one");
            };
            let mut upload = change("bring the mesh agent", &[UPLOAD], UPLOAD_LIMIT);
            upload.input = Some(path);
            at.run(upload.with("Q_AGENT", digest)).await?;
            output = at.run(job).await?;
        }
        let lines = output.stdout.lines();
        let mut keys = lines.filter_map(|line| line.strip_prefix("key "));
        let key: Option<MeshKey> = keys.next_back().and_then(|key| key.parse().ok());
        let Some(key) = key else {
            let what = format!("{} ({}): the script gave no key", at.machine, at.reach);
            return Err(Fault::new(FaultClass::Retryable, what));
        };
        Ok(Reply::Host(HostView {
            installed: vec![(Kind::Peer, print)],
            mesh_key: Some(key),
        }))
    }

    async fn remove(&self, call: &Call, at: &At<'_, R>) -> Outcome {
        let job = match call.kind {
            Kind::Host => {
                let parts = [DOWN, PROXIES, PODS, UNKUBERNETES, RESET];
                change("reset the machine", &parts, RESET_LIMIT)
            }
            Kind::Peer => change("remove the mesh peer", &[DOWN, UNPEER], LIMIT),
            Kind::Links => change("remove the mesh links", &[UP, UNLINKS], LIMIT),
            Kind::Balancer => remove_haproxy("balancer"),
            Kind::ApiProxy => remove_haproxy("api-proxy"),
            Kind::Network
            | Kind::Firewall
            | Kind::Machine
            | Kind::EtcdMember
            | Kind::ControlPlane
            | Kind::Worker
            | Kind::RecordSet
            | Kind::StoragePool => return Err(not_here(call)),
        };
        at.run(job).await?;
        Ok(Reply::Done)
    }

    fn at(
        &self,
        machine: &ResourceId,
        addresses: &[(ResourceId, Ipv4Addr)],
    ) -> Result<At<'_, R>, Fault> {
        let Some(reach) = self.machines.reach(machine, addresses) else {
            let what = format!("{machine}: its address is not known yet");
            return Err(Fault::new(FaultClass::Busy, what));
        };
        Ok(At {
            runner: &self.runner,
            owner: format!("{} {:016x} {machine}", self.cluster, self.uid),
            machine: machine.clone(),
            reach,
        })
    }
}

/// One machine, and how it is reached.
struct At<'a, R> {
    runner: &'a R,
    machine: ResourceId,
    reach: Reach,
    /// The mark that it has if it is ours.
    owner: String,
}

impl<R: Runner> At<'_, R> {
    async fn run(&self, job: Job<'_>) -> Result<Output, Fault> {
        let job = job.with("Q_OWNER", self.owner.clone());
        self.runner.run(&self.machine, &self.reach, &job).await
    }
}

/// A job that only looks.
fn job(title: &'static str, parts: &[&'static str], limit: Duration) -> Job<'static> {
    Job {
        title,
        parts: parts.to_vec(),
        arguments: Vec::new(),
        input: None,
        limit,
        mutates: false,
    }
}

/// A job that changes the machine.
fn change(title: &'static str, parts: &[&'static str], limit: Duration) -> Job<'static> {
    Job {
        mutates: true,
        ..job(title, parts, limit)
    }
}

/// Puts one of our HAProxies to work.
fn haproxy(name: &str, print: u64, config: String, names: String) -> Job<'static> {
    let parts = [PACKAGES, PROXIES, PROXY];
    change("put HAProxy to work", &parts, HOST_LIMIT)
        .with("Q_PROXY", name.to_owned())
        .with("Q_PRINT", format!("{print:016x}"))
        .with("Q_CONFIG", config)
        .with("Q_HOSTS", names)
}

/// Takes one of our HAProxies away.
fn remove_haproxy(name: &str) -> Job<'static> {
    change("remove HAProxy", &[PROXIES, UNPROXY], LIMIT).with("Q_PROXY", name.to_owned())
}

/// The SHA-256 of a file, in hexadecimal.
fn digest(path: &Path) -> Result<String, Fault> {
    let bytes = std::fs::read(path).map_err(|error| {
        let what = format!("the mesh agent's binary {}: {error}", path.display());
        Fault::new(FaultClass::Invalid, what)
    })?;
    Ok(format!("{:x}", Sha256::digest(bytes)))
}

fn not_here(call: &Call) -> Fault {
    let what = format!(
        "{} {} {}: not by this build",
        call.verb, call.kind, call.target
    );
    Fault::new(FaultClass::Invalid, what)
}

#[cfg(test)]
mod tests;
