//! A world before anything happened: clouds, sites, clients, and an orchestrator that waits.

use super::World;
use super::control::Control;
use super::stage::Stage;
use super::tally::Tally;
use super::watch::Watch;
use crate::cloud::{Account, Cloud, Ended};
use crate::kube::{Kube, Settings, WorkloadSpec};
use crate::net::Endpoint;
use crate::report::MEASURED;
use crate::traffic::{PopulationSettings, ResolverSettings, Target, Traffic};
use quorate_engine::catalog::plain;
use quorate_engine::engine::etcd_version;
use quorate_engine::engine::{Mode, Task};
use quorate_engine::exec::{Guard, Limits};
use quorate_engine::manifest::{Distance, Kubernetes, Manifest, NodePool, ProviderKind};
use quorate_engine::quorum::Policy;
use quorate_engine::random::Seed;
use quorate_engine::resource::{Resource, ResourceId, Spec};
use quorate_engine::seam::Lane;
use quorate_engine::time::Span;
use quorate_engine::timing::Timing;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a world is made from.
#[derive(Debug, Clone)]
pub struct WorldSettings {
    /// The cluster to be.
    pub manifest: Arc<Manifest>,
    /// The seed of everything drawn.
    pub seed: Seed,
    /// Once, or for good.
    pub mode: Mode,
    /// How long a machine may be silent before it is replaced.
    pub patience: Span,
    /// How long the orchestrator is down after a crash.
    pub restart: Span,
}

/// Where clients are.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// Round trip to the load balancers.
    pub rtt: Span,
    /// Resolvers keep answers for its clients.
    pub caches: bool,
}

/// Round trip between the orchestrator and anything.
const ORCHESTRATOR_RTT: Span = Span::from_ms(30);

/// Round trip between a DNS provider (its name servers, its health checkers) and anything.
const DNS_RTT: Span = Span::from_ms(20);

impl World {
    /// A world in which nothing exists but hosts of one's own.
    #[must_use]
    pub fn new(settings: &WorldSettings) -> Self {
        let WorldSettings { manifest, seed, .. } = settings;
        let kubernetes = manifest.spec.kubernetes.as_ref();
        // Without Kubernetes nothing asks for it.
        let minor = kubernetes.and_then(Kubernetes::minor).unwrap_or(35);
        let mut world = Self {
            stage: Stage::new(
                *seed,
                &manifest.spec.distances,
                far("orchestrator", ORCHESTRATOR_RTT),
            ),
            cloud: Cloud::new(*seed, []),
            etcd: None,
            kube: Kube::new(Settings::of_minor(minor), *seed),
            traffic: Traffic::new(*seed),
            control: Control::new(task(settings), settings.restart),
            watch: Watch::default(),
            jobs: super::cluster::Jobs::default(),
            manifest: Arc::clone(manifest),
            roles: Vec::new(),
            role_workloads: Vec::new(),
            population_roles: Vec::new(),
            records: BTreeMap::new(),
            dns_numbers: BTreeMap::new(),
            writes: BTreeMap::new(),
            next_write: 1,
            storage: None,
            tally: Tally::default(),
        };
        world.meet_providers(manifest);
        world.with_traffic(|traffic, ground| traffic.set_watchful(ground, false));
        world.place_own_hosts();
        world.settle();
        world
    }

    /// Opens accounts at providers that were not met before, and finds their name servers.
    pub(super) fn meet_providers(&mut self, manifest: &Manifest) {
        for provider in &manifest.spec.providers {
            let (name, kind) = (provider.name.clone(), provider.kind);
            self.cloud.open_account(Account {
                name,
                kind,
                quota: None,
                containers: crate::cloud::containers(provider),
            });
            if kind.has_dns() && !self.dns_numbers.contains_key(&provider.name) {
                let endpoint = self
                    .stage
                    .add_endpoint(far(&format!("dns.{}", provider.name), DNS_RTT));
                let number = self.stage.dns_providers.len() as u16;
                self.stage.dns_providers.push(endpoint);
                self.dns_numbers.insert(provider.name.clone(), number);
            }
        }
    }

    /// Hosts that exist already are there from the start.
    fn place_own_hosts(&mut self) {
        let manifest = Arc::clone(&self.manifest);
        for pool in &manifest.spec.node_pools {
            for (index, host) in pool.hosts.iter().enumerate() {
                let id = format!("{}/{}/{}", manifest.metadata.name, pool.name, index + 1);
                let resource = Resource {
                    id: ResourceId::new(id),
                    provider: pool.provider.clone(),
                    spec: Spec::Machine {
                        region: pool.region.clone().unwrap_or_else(|| pool.provider.clone()),
                        zone: pool.zone.clone().unwrap_or_else(|| pool.provider.clone()),
                        machine_type: String::new(),
                        image: String::new(),
                        spot: false,
                        roles: pool.roles.clone(),
                        existing: Some(host.address.clone()),
                    },
                };
                self.with_cloud(|cloud, ground| cloud.place(ground, &Arc::new(resource)));
            }
        }
    }

    /// Takes a round trip between the machines of two providers as measured.
    pub fn measured(&mut self, between: (&str, &str), rtt: Span) {
        self.stage.net.measured(between, rtt);
    }

    /// Adds a place where clients are, with resolvers of its own.
    pub fn add_site(&mut self, site: &Site) -> u16 {
        let endpoint = self
            .stage
            .add_endpoint(far(&format!("clients.{}", site.name), site.rtt));
        let number = self.stage.sites.len() as u16;
        self.stage.sites.push(endpoint);
        let settings = match site.caches {
            true => ResolverSettings {
                site: number,
                ..ResolverSettings::default()
            },
            false => ResolverSettings::uncached(number),
        };
        let resolvers = self.traffic.add_resolvers(settings);
        assert_eq!(resolvers, number, "each site has one group of resolvers");
        number
    }

    /// Adds clients at a site, at rest, that come through a role of a load balancer: by its name
    /// where it has one, else by the address of its first node; `balancer/role@pool/number`: by the
    /// address of that node. None where nothing leads there.
    pub fn add_population(
        &mut self,
        name: &str,
        through: &str,
        mut settings: PopulationSettings,
    ) -> Option<u16> {
        settings.role = self.role(through.split('@').next().unwrap_or_default());
        settings.resolvers = settings.site;
        settings.target = self.target_of(through)?;
        self.population_roles.push(settings.role);
        let number = self.traffic.add_population(settings);
        self.watch.add_population(name);
        assert_eq!(
            usize::from(number) + 1,
            self.population_roles.len(),
            "numbered alike"
        );
        Some(number)
    }

    /// The record set that leads to a load balancer, or its first node.
    fn target_of(&self, through: &str) -> Option<Target> {
        let spec = &self.manifest.spec;
        if let Some((_, node)) = through.split_once('@') {
            let node = format!("{}/{node}", self.manifest.metadata.name);
            let host = self.stage.find(&ResourceId::new(node));
            return host.map(Target::Balancer);
        }
        let balancer = through.split('/').next()?;
        let named = spec.dns.iter().find(|dns| dns.load_balancer == balancer);
        let record = named.and_then(|dns| {
            let name = format!("{}.{}", dns.hostname, dns.zone);
            let path = format!(
                "{}/dns.{}/{name}",
                self.manifest.metadata.name, dns.provider
            );
            self.records.get(&ResourceId::new(path)).copied()
        });
        if let Some(record) = record {
            return Some(Target::Name(record));
        }
        let balancer = spec.load_balancers.iter().find(|lb| lb.name == balancer)?;
        let pool = balancer.pools.first()?;
        let first = format!("{}/{pool}/1", self.manifest.metadata.name);
        self.stage
            .find(&ResourceId::new(first))
            .map(Target::Balancer)
    }

    /// Clients begin to send requests.
    pub fn start_population(&mut self, population: u16) {
        self.with_traffic(|traffic, ground| traffic.start(ground, population));
    }

    /// Clients send no more requests.
    pub fn stop_population(&mut self, population: u16) {
        self.traffic.stop(population);
    }

    /// The number of a DNS provider in the traffic model.
    pub(super) fn dns_provider(&self, name: &str) -> u16 {
        let number = self.dns_numbers.get(name).copied();
        number.unwrap_or_else(|| panic!("{name} keeps records and is no DNS provider"))
    }

    /// Whether every node of the cluster is Ready and takes pods, as `kubectl wait` would find it.
    #[must_use]
    pub fn nodes_ready(&self) -> bool {
        self.kube.all_ready()
    }

    /// Deploys the manifest's workloads, as somebody does once the cluster is there.
    pub fn deploy(&mut self) {
        let manifest = Arc::clone(&self.manifest);
        for workload in &manifest.spec.workloads {
            let spec = WorkloadSpec::from(workload);
            let id = self.with_kube(|kube, ground| kube.deploy(ground, spec));
            if let Some(traffic) = &workload.traffic {
                let role = self.role(&traffic.through);
                self.role_workloads[usize::from(role)] = Some(id);
            }
        }
        self.settle();
    }

    /// Gives a workload another number of pods; false where there is no such workload.
    pub fn scale(&mut self, workload: &str, replicas: u32) -> bool {
        let Some(id) = self.kube.workload(workload) else {
            return false;
        };
        self.with_kube(|kube, ground| kube.scale(ground, id, replicas));
        self.settle();
        true
    }

    /// Pods that are on no node yet.
    pub(super) fn pending_pods(&self) -> u32 {
        let workloads = &self.manifest.spec.workloads;
        let ids = workloads
            .iter()
            .filter_map(|workload| self.kube.workload(&workload.name));
        ids.map(|id| self.kube.counts(id).pending).sum()
    }

    /// Machines that exist, by pool.
    #[must_use]
    pub fn machines_by_pool(&self) -> BTreeMap<String, u64> {
        let mut pools = BTreeMap::new();
        for fact in self.cloud.machines() {
            let pool = fact
                .resource
                .id
                .as_str()
                .split('/')
                .nth(1)
                .unwrap_or_default();
            *pools.entry(pool.to_owned()).or_insert(0) += 1;
        }
        pools
    }

    /// Voters of etcd, by provider.
    #[must_use]
    pub fn voters_by_provider(&self) -> BTreeMap<String, u64> {
        let mut providers = BTreeMap::new();
        let Some(etcd) = &self.etcd else {
            return providers;
        };
        for voter in etcd.config().voters {
            let host = self.stage.host(self.stage.host_of(voter));
            let provider = host.map_or(String::new(), |host| host.place.provider.clone());
            *providers.entry(provider).or_insert(0) += 1;
        }
        providers
    }

    /// Calls that a provider's API refused, failed or left unanswered, so far.
    #[must_use]
    pub fn failed_calls(&self) -> BTreeMap<String, u64> {
        let mut providers = BTreeMap::new();
        for ((lane, _, ended), count) in self.cloud.tally() {
            if let (Lane::Provider(name), Ended::Bad(_) | Ended::Unheard) = (lane, ended) {
                *providers.entry(name.to_string()).or_insert(0) += count;
            }
        }
        providers
    }

    /// Every parameter that was drawn for the whole run.
    #[must_use]
    pub fn parameters(&self) -> Vec<(String, String)> {
        let percent = self.stage.net.stretch_permille() as f64 / 10.0;
        let fsync = self.stage.fsync_median();
        let timing = Timing::of(&self.manifest);
        let mut etcd = etcd_version(&self.manifest).to_string();
        if !timing.is_default() {
            etcd.push_str(&format!(", {}", timing.reason()));
        }
        let mut all = vec![
            (
                "network paths".to_owned(),
                format!("{percent}% of the catalogue's"),
            ),
            ("median fsync of etcd's disks".to_owned(), fsync.to_string()),
            ("etcd".to_owned(), etcd),
        ];
        let places = places(&self.manifest);
        let here = |row: &&Distance| {
            let (a, b) = row.pair();
            places.contains(&a) && places.contains(&b)
        };
        let rows = self.manifest.spec.distances.iter().filter(here);
        all.extend(rows.map(|row| {
            let [a, b] = &row.between;
            let known = [&row.statistic, &row.source, &row.date].map(String::as_str);
            let known = known.into_iter().filter(|word| !word.is_empty());
            (
                format!("{MEASURED}{} - {}", a.region, b.region),
                format!("{} ({})", row.rtt, known.collect::<Vec<_>>().join(", ")),
            )
        }));
        all
    }
}

/// Where pools stand, as measured distances name it.
fn places(manifest: &Manifest) -> BTreeSet<(ProviderKind, String)> {
    let spec = &manifest.spec;
    let place = |pool: &NodePool| {
        let provider = spec.providers.iter().find(|p| p.name == pool.provider)?;
        let region = pool.region.as_ref().unwrap_or(&pool.provider);
        Some((provider.kind, plain(region)))
    };
    spec.node_pools.iter().filter_map(place).collect()
}

/// An endpoint whose distance to everything is given.
fn far(name: &str, rtt: Span) -> Endpoint {
    Endpoint {
        name: name.to_owned(),
        place: None,
        distance: rtt,
        meshed: false,
        behind_nat: false,
    }
}

fn task(settings: &WorldSettings) -> Task {
    let version = etcd_version(&settings.manifest);
    let policy = Policy {
        declared: 0,
        scale_down: false,
        force: false,
    };
    Task {
        manifest: Arc::clone(&settings.manifest),
        mode: settings.mode,
        patience: settings.patience,
        limits: Limits::new(Guard { version, policy }),
        seed: settings.seed,
        uid: settings.seed.stream("cluster", "uid").bits(),
        agreed: None,
    }
}
