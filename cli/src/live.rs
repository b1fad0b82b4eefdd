//! From a manifest to everything that a run in the real world needs: the state, the adapters, ssh.
//!
//! The only place of the program that reads credentials. Decides nothing: what is done about what
//! is missing is each command's.

mod credentials;
mod reach;

use crate::args::Live;
use crate::exit::Exit;
use crate::terminal;
use credentials::login;
use quorate_cluster::{Cluster, Snapshots};
use quorate_dns::builtin::{Builtin, probes};
use quorate_dns::rfc2136::Rfc2136;
use quorate_engine::engine::{Engine, Mode, Task, etcd_version};
use quorate_engine::exec::{Guard, Limits};
use quorate_engine::journal::{Entry, Ledger};
use quorate_engine::manifest::{Manifest, ProviderKind, SnapshotSchedule};
use quorate_engine::mesh::PeerFact;
use quorate_engine::quorum::Policy;
use quorate_engine::random::Seed;
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::Lane;
use quorate_engine::time::Span;
use quorate_hosts::{Hosts, Patience, Ssh};
use quorate_live::{
    Inventory, Pins, Port, Ports, Quiet, RunRecord, Signals, Store, StoreError, draw,
    process_signals,
};
use quorate_providers::{Owner, Problem, Provider, Site};
use quorate_sim::report::plain;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How long a prepared machine may be silent before it is replaced.
const PATIENCE: Span = Span::from_secs(600);

/// ssh sessions at work at once.
const SESSIONS: usize = 32;

/// A provider's adapter, by the name of the instance.
pub(crate) type Adapters = BTreeMap<Arc<str>, Arc<dyn Provider>>;

/// What a run in the real world needs.
pub(crate) struct World {
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) adapters: Adapters,
    pub(crate) ports: Ports,
    pub(crate) hosts: Arc<Hosts>,
    /// The Kubernetes cluster, where there is to be one.
    pub(crate) cluster: Option<Arc<Cluster>>,
    pub(crate) journal: Vec<Entry>,
    uid: u64,
}

/// Where the state of a cluster is kept.
pub(crate) fn state_dir(given: Option<&Path>, cluster: &str) -> PathBuf {
    given.map_or_else(|| Path::new(".quorate").join(cluster), Path::to_owned)
}

/// Where snapshots of etcd are kept, beside the state.
pub(crate) fn snapshots(state: &Path) -> PathBuf {
    state.join("snapshots")
}

/// So many of them stay.
pub(crate) fn kept(manifest: &Manifest) -> usize {
    let kubernetes = manifest.spec.kubernetes.as_ref();
    let schedule = kubernetes.map_or_else(SnapshotSchedule::default, |k| k.etcd.snapshots);
    // The manifest's rules ask for one at least.
    schedule.keep.max(1) as usize
}

/// What a state says, or an empty beginning where there is none.
pub(crate) fn remembered(dir: &Path) -> Result<Option<Store>, StoreError> {
    match Store::view(dir) {
        Ok(store) => Ok(Some(store)),
        Err(StoreError::Absent { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

impl World {
    /// Opens everything that the manifest names.
    ///
    /// # Errors
    /// Everything that is missing, all at once.
    pub(crate) fn open(
        manifest: &Arc<Manifest>,
        store: Option<&Store>,
        agent: Option<&Path>,
    ) -> Result<Self, Vec<Problem>> {
        let unreadable = |error: StoreError| vec![problem(&error)];
        let journal = store.map_or(Ok(Vec::new()), Store::journal);
        let journal = journal.map_err(unreadable)?;
        let inventory = store.map_or(Ok(Inventory::new()), Store::inventory);
        let inventory = inventory.map_err(unreadable)?;
        let pins = store.map_or_else(Pins::default, Store::pins);
        let uid = Ledger::replay(&journal).uid.unwrap_or_else(draw);
        let mut problems = Vec::new();
        problems.extend(abandoned(manifest, &inventory));
        let adapters = adapters(manifest, uid, &mut problems);
        let former = store.map_or(Ok(Vec::new()), former);
        let former = former.map_err(|text| {
            vec![Problem {
                what: text,
                fix: "see `quorate state show`".to_owned(),
            }]
        })?;
        let machines = reach::machines(manifest, &former, &inventory, &mut problems);
        let agent = agent.map_or_else(std::env::current_exe, |given| Ok(given.to_owned()));
        let kubernetes = manifest.spec.kubernetes.as_ref();
        let hosts = Arc::new(Hosts::new(quorate_hosts::Settings {
            cluster: manifest.metadata.name.clone(),
            uid,
            machines,
            pins: Arc::new(reach::Pinned(pins)),
            agent_binary: agent.ok(),
            packages: kubernetes.and_then(|k| k.packages.clone()),
            image_repository: kubernetes.and_then(|k| k.image_repository.clone()),
            parallel: SESSIONS,
            patience: Patience::default(),
        }));
        if !problems.is_empty() {
            return Err(problems);
        }
        let cluster = kubernetes.is_some().then(|| {
            let dir = store.map(Store::path).and_then(Path::parent);
            let settings = quorate_cluster::Settings {
                manifest: Arc::clone(manifest),
                snapshots: dir.map(|dir| Snapshots::new(snapshots(dir), kept(manifest))),
            };
            Arc::new(Cluster::new(Arc::clone(&hosts), settings))
        });
        Ok(Self {
            manifest: Arc::clone(manifest),
            ports: ports(&adapters, &hosts, cluster.as_ref()),
            adapters,
            cluster,
            hosts,
            journal,
            uid,
        })
    }

    /// Where machines are reached, as far as it is remembered.
    pub(crate) fn addresses(&self, store: &Store) -> Vec<(ResourceId, Ipv4Addr)> {
        let made = store.inventory().unwrap_or_default();
        let made = made
            .into_iter()
            .filter_map(|(id, machine)| Some((id, machine.public?)));
        let own = self.peers().into_iter();
        let own = own.filter_map(|peer| Some((peer.machine, peer.public?)));
        let all: BTreeMap<_, _> = own.chain(made).collect();
        all.into_iter().collect()
    }

    /// The mesh as it is known.
    pub(crate) fn peers(&self) -> Vec<PeerFact> {
        let ledger = Ledger::replay(&self.journal);
        ledger.peers.into_values().collect()
    }

    /// What an engine is to do here.
    pub(crate) fn task(&self, mode: Mode, agreed: Option<u64>, force: bool) -> Task {
        let policy = Policy {
            declared: 0,
            scale_down: false,
            force,
        };
        let version = etcd_version(&self.manifest);
        let mut limits = Limits::new(Guard { version, policy });
        for (name, adapter) in &self.adapters {
            if let Some(limit) = adapter.limit() {
                limits.lanes.insert(Lane::Provider(Arc::clone(name)), limit);
            }
        }
        Task {
            manifest: Arc::clone(&self.manifest),
            mode,
            patience: PATIENCE,
            limits,
            seed: Seed(self.uid),
            uid: self.uid,
            agreed,
        }
    }
}

fn ports(adapters: &Adapters, hosts: &Arc<Hosts>, cluster: Option<&Arc<Cluster>>) -> Ports {
    let port = |adapter: &Arc<dyn Provider>| -> Port {
        let adapter = Arc::clone(adapter);
        Arc::new(move |call| {
            let adapter = Arc::clone(&adapter);
            Box::pin(async move { adapter.call(&call).await })
        })
    };
    let (hosts, joined) = (Arc::clone(hosts), cluster.cloned());
    Ports {
        providers: adapters
            .iter()
            .map(|(name, adapter)| (Arc::clone(name), port(adapter)))
            .collect(),
        hosts: Arc::new(move |call| {
            let (hosts, joined) = (Arc::clone(&hosts), joined.clone());
            Box::pin(async move {
                match joined {
                    Some(cluster) if Cluster::<Ssh>::takes(&call) => cluster.call(&call).await,
                    Some(_) | None => hosts.call(&call).await,
                }
            })
        }),
        cluster: cluster.cloned().map(|cluster| -> Port {
            Arc::new(move |call| {
                let cluster = Arc::clone(&cluster);
                Box::pin(async move { cluster.call(&call).await })
            })
        }),
    }
}

fn adapters(manifest: &Manifest, uid: u64, problems: &mut Vec<Problem>) -> Adapters {
    let mut adapters = Adapters::new();
    let providers = manifest.spec.providers.iter();
    let making: Vec<_> = providers
        .filter(|provider| provider.kind != ProviderKind::Static)
        .collect();
    // Who only has hosts of one's own puts no key anywhere.
    let login = if making.is_empty() {
        Vec::new()
    } else {
        login(&manifest.spec.ssh, problems)
    };
    for provider in making {
        let site = Site {
            owner: Owner {
                cluster: manifest.metadata.name.clone(),
                uid,
                provider: provider.name.clone(),
            },
            provider: provider.clone(),
            secret: credentials::token(provider, problems),
            ssh_user: manifest.spec.ssh.user.clone(),
            ssh_keys: login.clone(),
        };
        match opened(manifest, site, provider.kind) {
            Ok(adapter) => {
                adapters.insert(provider.name.as_str().into(), adapter);
            }
            Err(problem) => problems.push(problem),
        }
    }
    adapters
}

/// The adapter to a provider instance. Name servers are a crate of their own, and have to be told
/// which zones and names of the manifest are theirs.
fn opened(
    manifest: &Manifest,
    site: Site,
    kind: ProviderKind,
) -> Result<Arc<dyn Provider>, Problem> {
    match kind {
        ProviderKind::Rfc2136 => {
            let name = &site.owner.provider;
            let here = manifest.spec.dns.iter().filter(|dns| dns.provider == *name);
            let zones: BTreeSet<String> = here.map(|dns| dns.zone.clone()).collect();
            let zones: Vec<String> = zones.into_iter().collect();
            Ok(Arc::new(Rfc2136::new(site, &zones)?))
        }
        ProviderKind::Builtin => Ok(Arc::new(Builtin::new(site, probes(manifest))?)),
        ProviderKind::Hetzner
        | ProviderKind::Aws
        | ProviderKind::Gcp
        | ProviderKind::Azure
        | ProviderKind::Digitalocean
        | ProviderKind::Openstack
        | ProviderKind::Libvirt
        | ProviderKind::Static
        | ProviderKind::Oci
        | ProviderKind::Exoscale
        | ProviderKind::Ovh
        | ProviderKind::Cloudrift
        | ProviderKind::Verda
        | ProviderKind::Cloudflare => quorate_providers::open(site, credentials::endpoint(kind)),
    }
}

/// Providers that the manifest does not name any more, and that still have something of ours.
fn abandoned(manifest: &Manifest, inventory: &Inventory) -> Vec<Problem> {
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for machine in inventory.values() {
        let named = |name: &str| manifest.spec.providers.iter().any(|p| p.name == name);
        if let Some(provider) = machine.provider.as_deref().filter(|name| !named(name)) {
            *left.entry(provider).or_default() += 1;
        }
    }
    let problem = |(name, count): (&str, usize)| Problem {
        what: format!("provider {name}: {count} of its machines are ours, and it is not named"),
        fix: format!("keep `{name}` under `providers` without pools until its machines are gone"),
    };
    left.into_iter().map(problem).collect()
}

fn problem(error: &StoreError) -> Problem {
    Problem {
        what: error.to_string(),
        fix: "see `quorate state --help`".to_owned(),
    }
}

/// The manifest of the last run that stands in a state.
pub(crate) fn last_manifest(store: &Store) -> Result<Option<Manifest>, String> {
    Ok(former(store)?.into_iter().next())
}

/// The manifests of all runs that stand in a state, the newest first.
fn former(store: &Store) -> Result<Vec<Manifest>, String> {
    let runs = store.runs().map_err(|error| error.to_string())?;
    let manifest = |run: &RunRecord| {
        let broken = |error: serde_json::Error| format!("the task of run {}: {error}", run.id);
        let mut task: serde_json::Value = serde_json::from_str(&run.task).map_err(broken)?;
        serde_json::from_value(task["manifest"].take()).map_err(broken)
    };
    runs.iter().rev().map(manifest).collect()
}

/// Looks at the real world for a command that changes nothing. Where it cannot, why has been said.
pub(crate) fn looked(manifest: &Arc<Manifest>, args: &Live) -> Result<(Engine, World), Exit> {
    let dir = state_dir(args.state.as_deref(), &manifest.metadata.name);
    let refused = |text: &str| {
        terminal::eprint(&format!("error: {}\n", plain(text)));
        Exit::Failed
    };
    let store = remembered(&dir).map_err(|error| refused(&error.to_string()))?;
    let world = World::open(manifest, store.as_ref(), args.agent.as_deref());
    let world = world.map_err(|problems| {
        complain(&problems);
        Exit::Failed
    })?;
    let looked = runtime().block_on(async {
        let mut signals = process_signals().map_err(|error| error.to_string())?;
        look(&world, &mut signals).await
    });
    Ok((looked.map_err(|text| refused(&text))?, world))
}

/// Looks at the world, once.
pub(crate) async fn look(world: &World, signals: &mut Signals) -> Result<Engine, String> {
    let task = world.task(Mode::Look, None, false);
    let ended = quorate_live::look(task, &world.journal, &world.ports, &mut Quiet, signals).await;
    let ended = ended.map_err(|error| error.to_string())?;
    if ended.engine.seen().is_none() {
        return Err("stopped before the world was seen".to_owned());
    }
    Ok(ended.engine)
}

/// Says everything that is wrong, each with its fix.
pub(crate) fn complain(problems: &[Problem]) {
    for problem in problems {
        terminal::eprint(&format!(
            "error: {}\n  fix: {}\n",
            plain(&problem.what),
            plain(&problem.fix)
        ));
    }
}

/// The loop that live commands run in.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.expect("the system gives threads")
}
