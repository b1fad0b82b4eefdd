//! Who stands on the wire: hosts with their addresses, the name servers' file, and whom a target
//! means.
//!
//! Two name servers for each provider of names, each load balancer that clients come through, and a
//! host for each population. Knows no sockets and no time.

use crate::judge::misfit;
use quorate_dns::check::{Check, Protocol};
use quorate_dns::config::{File, RecordFile, RecordKind, ZoneFile};
use quorate_engine::diagnostic::{Finding, Path};
use quorate_engine::manifest::{self, Dns, LbKind, LbRole, LoadBalancer, Manifest, Role};
use quorate_engine::random::{Stream, shuffle};
use quorate_engine::resource::ResourceId;
use quorate_engine::topology::{Node, Roster, Topology};
use quorate_sim::scenario::{Pick, Scenario, Target};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Name servers of a provider: a zone has two at least (RFC 1034, section 4.1).
const SERVERS: usize = 2;

/// More hosts than this take longer than what they show is worth: turmoil looks at every link on
/// every tick.
const HOSTS_MAX: usize = 12;

/// A host that runs the name server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// `provider/number`.
    pub(crate) name: String,
    pub(crate) provider: String,
    pub(crate) at: Ipv4Addr,
}

/// A host that is a load balancer.
#[derive(Debug, Clone)]
pub(crate) struct Balancer {
    /// Its machine.
    pub(crate) id: ResourceId,
    pub(crate) at: Ipv4Addr,
    /// Which roles it has, by number.
    pub(crate) roles: Vec<usize>,
}

/// A port of load balancers with what stands behind it.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    /// `balancer/role`.
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) backends: Vec<ResourceId>,
}

/// A host of clients.
#[derive(Debug, Clone)]
pub(crate) struct Guests {
    /// Index of the population in the scenario.
    pub(crate) at: Ipv4Addr,
    pub(crate) service: usize,
    /// Who keeps the name that leads there.
    pub(crate) provider: String,
    pub(crate) hostname: String,
}

/// All of them.
#[derive(Debug, Clone)]
pub(crate) struct Cast {
    pub(crate) topology: Topology,
    pub(crate) servers: Vec<Server>,
    /// What name servers serve, by provider.
    pub(crate) files: BTreeMap<String, File>,
    pub(crate) balancers: Vec<Balancer>,
    pub(crate) services: Vec<Service>,
    /// In the order of the scenario's populations.
    pub(crate) guests: Vec<Guests>,
}

impl Cast {
    /// Casts a scenario, or says what is missing.
    pub(crate) fn new(scenario: &Scenario, manifest: &Manifest) -> Result<Self, Box<Finding>> {
        let manifest = Arc::new(manifest.clone());
        let topology = Topology::resolve(&manifest, &Roster::default()).map_err(|full| {
            Box::new(misfit(
                &Path::root().field("manifest"),
                full.to_string(),
                "",
            ))
        })?;
        let mut cast = Self {
            topology,
            servers: Vec::new(),
            files: BTreeMap::new(),
            balancers: Vec::new(),
            services: Vec::new(),
            guests: Vec::new(),
        };
        for (index, clients) in scenario.clients.iter().enumerate() {
            let at = Path::root().field("clients").index(index).field("through");
            let refused = |why: &str, fix: &str| Box::new(misfit(&at, why, fix));
            let through = clients.through.split_once('/').unwrap_or_default();
            let (balancer, role) = entry(&manifest, through)
                .ok_or_else(|| refused("nothing leads there", "name a `balancer/role`"))?;
            if role.protocol != manifest::Protocol::Tcp {
                return Err(refused(
                    "clients on the wire speak TCP",
                    "choose another role",
                ));
            }
            let dns = manifest
                .spec
                .dns
                .iter()
                .find(|dns| dns.load_balancer == balancer.name);
            let dns = dns.ok_or_else(|| {
                refused(
                    "no name leads there",
                    "give the load balancer one in `spec.dns`",
                )
            })?;
            let service = cast.service(balancer, role);
            cast.name(dns, balancer);
            let number = u8::try_from(index + 1).unwrap_or(u8::MAX);
            cast.guests.push(Guests {
                at: Ipv4Addr::new(203, 0, 113, number),
                service,
                provider: dns.provider.clone(),
                hostname: format!("{}.{}.", dns.hostname, dns.zone),
            });
        }
        let hosts = cast.servers.len() + cast.balancers.len() + cast.guests.len();
        if hosts > HOSTS_MAX {
            let at = Path::root().field("clients");
            let message = format!("it takes {hosts} hosts, and the wire has room for {HOSTS_MAX}");
            return Err(Box::new(misfit(&at, message, "have fewer populations")));
        }
        Ok(cast)
    }

    /// The number of a service, with its load balancers.
    fn service(&mut self, balancer: &LoadBalancer, role: &LbRole) -> usize {
        let name = format!("{}/{}", balancer.name, role.name);
        if let Some(known) = self.services.iter().position(|known| known.name == name) {
            return known;
        }
        let number = self.services.len();
        let behind = |node: &&Node| {
            let pool = self.topology.pool_name(node);
            let chosen = role.target_pools.iter().any(|wanted| wanted == pool);
            let fitting = match role.kind {
                LbKind::Api => node.is(Role::ControlPlane),
                LbKind::Ingress => node.is(Role::Worker),
            };
            if role.target_pools.is_empty() {
                fitting
            } else {
                chosen
            }
        };
        let backends = self.topology.nodes.iter().filter(behind);
        self.services.push(Service {
            name,
            port: role.port,
            backends: backends.map(|node| node.id.clone()).collect(),
        });
        let carriers: Vec<ResourceId> = self
            .topology
            .carriers(balancer)
            .map(|node| node.id.clone())
            .collect();
        for id in carriers {
            match self.balancers.iter_mut().find(|known| known.id == id) {
                Some(known) => known.roles.push(number),
                None => {
                    let last = u8::try_from(self.balancers.len() + 1).unwrap_or(u8::MAX);
                    self.balancers.push(Balancer {
                        id,
                        at: Ipv4Addr::new(198, 51, 100, last),
                        roles: vec![number],
                    });
                }
            }
        }
        number
    }

    /// Puts a name into its zone, once.
    fn name(&mut self, dns: &Dns, balancer: &LoadBalancer) {
        let of = |node: &Node| self.balancers.iter().find(|known| known.id == node.id);
        let carriers = self.topology.carriers(balancer).filter_map(of);
        let values: Vec<String> = carriers.map(|known| known.at.to_string()).collect();
        let port = balancer.roles.first().map(|role| role.port);
        let check = dns.health_check.zip(port).map(|(asked, port)| Check {
            interval: asked.interval,
            timeout: asked.timeout,
            threshold: asked.threshold,
            ..Check::new(Protocol::Tcp, port)
        });
        if !self.files.contains_key(&dns.provider) {
            for number in 1..=SERVERS {
                let last = u8::try_from(self.servers.len() + 1).unwrap_or(u8::MAX);
                self.servers.push(Server {
                    name: format!("{}/{number}", dns.provider),
                    provider: dns.provider.clone(),
                    at: Ipv4Addr::new(192, 0, 2, last),
                });
            }
        }
        let file = self.files.entry(dns.provider.clone()).or_default();
        let record = RecordFile {
            name: dns.hostname.clone(),
            kind: RecordKind::A,
            ttl: Some(dns.ttl),
            values,
            check,
            labels: BTreeMap::new(),
        };
        let zone = match file.zones.iter().position(|zone| zone.zone == dns.zone) {
            Some(known) => &mut file.zones[known],
            None => {
                let zone = dns.zone.clone();
                file.zones.push(ZoneFile {
                    zone,
                    ..ZoneFile::default()
                });
                file.zones.last_mut().expect("it was just put there")
            }
        };
        if !zone.records.iter().any(|known| known.name == record.name) {
            zone.records.push(record);
        }
    }

    /// Whose address it is, by what a check is called.
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        for balancer in &self.balancers {
            for service in &self.services {
                let target = format!("tcp://{}:{}", balancer.at, service.port);
                labels.insert(target, label(&balancer.id).to_owned());
            }
        }
        labels
    }

    /// Machines that fit a target, picked as asked, in order of id.
    pub(crate) fn pick(&self, target: &Target, luck: &mut Stream) -> Vec<&Node> {
        let mut fitting: Vec<&Node> = self.topology.nodes.iter().collect();
        fitting.retain(|node| self.fits(target, node));
        picked(fitting, target.pick, luck)
    }

    /// Name servers of a provider, picked as asked.
    pub(crate) fn pick_servers(&self, target: &Target, luck: &mut Stream) -> Vec<&Server> {
        let of = |server: &&Server| Some(&server.provider) == target.provider.as_ref();
        picked(self.servers.iter().filter(of).collect(), target.pick, luck)
    }

    fn fits(&self, target: &Target, node: &Node) -> bool {
        let is = |wanted: &Option<String>, has: &str| wanted.as_deref().is_none_or(|w| w == has);
        let pool = &self.topology.manifest.spec.node_pools[node.pool];
        let labelled = |wanted: &String| {
            let (key, value) = wanted.split_once('=').unwrap_or((wanted, ""));
            pool.labels.get(key).is_some_and(|has| has == value)
        };
        is(&target.provider, &node.provider)
            && is(&target.region, &node.region)
            && is(&target.zone, &node.zone)
            && is(&target.pool, &pool.name)
            && is(&target.name, label(&node.id))
            && target.role.is_none_or(|role| node.is(role))
            && target.label.as_ref().is_none_or(labelled)
    }
}

fn entry<'a>(
    manifest: &'a Manifest,
    (balancer, role): (&str, &str),
) -> Option<(&'a LoadBalancer, &'a LbRole)> {
    let balancers = &manifest.spec.load_balancers;
    let balancer = balancers.iter().find(|known| known.name == balancer)?;
    let role = balancer.roles.iter().find(|known| known.name == role)?;
    Some((balancer, role))
}

fn picked<'a, T>(mut fitting: Vec<&'a T>, pick: Pick, luck: &mut Stream) -> Vec<&'a T> {
    let count = match pick {
        Pick::All => return fitting,
        Pick::Leader => 0,
        Pick::One => 1,
        Pick::Minority => fitting.len().saturating_sub(1) / 2,
        Pick::Majority => fitting.len() / 2 + 1,
    };
    let mut order: Vec<usize> = (0..fitting.len()).collect();
    shuffle(&mut order, luck);
    order.truncate(count);
    let mut place = 0..;
    fitting.retain(|_| place.next().is_some_and(|place| order.contains(&place)));
    fitting
}

/// `pool/number` of a machine.
pub(crate) fn label(machine: &ResourceId) -> &str {
    let text = machine.as_str();
    text.split_once('/').map_or(text, |(_, rest)| rest)
}
