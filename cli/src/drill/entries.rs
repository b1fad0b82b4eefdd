//! Clients of a scenario as populations of a drill: entry points with their addresses, and names.

use super::paths::Paths;
use quorate_drill::cast::{Cast, Member};
use quorate_drill::clients::{Kind, Population};
use quorate_engine::manifest::{LbKind, LbRole, LoadBalancer, Manifest};
use quorate_engine::time::Span;
use quorate_sim::scenario::{Asks, Clients, Scenario};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Linux gives a connection up after this, where its client has more patience (6 retries).
const SYSTEM: Duration = Duration::from_secs(127);

/// Every population twice: as the scenario has it, and alone at each entry point. And what is to be
/// said of them.
pub(super) async fn populations(
    scenario: &Scenario,
    manifest: &Manifest,
    cast: &Cast,
) -> Result<(Vec<Population>, Vec<String>), String> {
    let (mut all, mut said) = (Vec::new(), Vec::new());
    for clients in &scenario.clients {
        let (balancer, role) = entry(manifest, &clients.through)
            .ok_or_else(|| format!("nothing leads to {}", clients.through))?;
        let doors = doors(balancer, role, cast);
        if doors.is_empty() {
            return Err(format!(
                "{}: no entry point has an address",
                clients.through
            ));
        }
        let by_name = name(manifest, balancer, role.port, &doors).await;
        said.push(match &by_name {
            Some((name, _)) => format!("{} come by {name}", clients.name),
            None => format!(
                "{}: no name leads there from here; addresses come in a drawn order",
                clients.name
            ),
        });
        let whole: Vec<SocketAddr> = doors.iter().map(|(_, address)| *address).collect();
        all.push(population(
            clients,
            role,
            clients.name.clone(),
            by_name,
            whole,
        ));
        for (member, address) in &doors {
            let name = at(clients, member);
            all.push(population(clients, role, name, None, vec![*address]));
        }
    }
    Ok((all, said))
}

/// The name of those clients that come through one entry point alone.
fn at(clients: &Clients, member: &Member) -> String {
    format!("{}@{}", clients.name, member.label)
}

/// The scenario with the same populations, for the simulator: as far away as they were measured, and
/// like ours they ask for names each time.
pub(super) fn mirrored(
    scenario: &Scenario,
    manifest: &Manifest,
    cast: &[String],
    paths: &Paths,
) -> Scenario {
    let mut mirrored = scenario.clone();
    mirrored.orchestrator.heals = false;
    if !paths.between.is_empty() {
        mirrored.round_trips.clone_from(&paths.between);
    }
    for clients in &mut mirrored.clients {
        clients.caches = false;
        if let Some(here) = paths.here {
            clients.rtt = quorate_engine::units::Duration(here);
        }
        if let Some(request) = paths.request {
            // There and back for the connection, for TLS, and for the request itself.
            let way = clients.rtt.0.times(3);
            let work = Span(request.0.saturating_sub(way.0));
            clients.work = quorate_engine::units::Duration(work);
        }
    }
    for clients in mirrored.clients.clone() {
        let Some((balancer, _)) = entry(manifest, &clients.through) else {
            continue;
        };
        let carries = |label: &&String| {
            let pool = label.split('/').next().unwrap_or_default();
            balancer.pools.iter().any(|carrier| carrier == pool)
        };
        for label in cast.iter().filter(carries) {
            mirrored.clients.push(Clients {
                name: format!("{}@{label}", clients.name),
                through: format!("{}@{label}", clients.through),
                ..clients.clone()
            });
        }
    }
    mirrored
}

/// Every address at which an API server may answer.
pub(super) fn api(manifest: &Manifest, cast: &Cast) -> Vec<SocketAddr> {
    let balancers = manifest.spec.load_balancers.iter();
    let mut all: Vec<SocketAddr> = balancers
        .flat_map(|balancer| balancer.roles.iter().map(move |role| (balancer, role)))
        .filter(|(_, role)| role.kind == LbKind::Api)
        .flat_map(|(balancer, role)| doors(balancer, role, cast))
        .map(|(_, address)| address)
        .collect();
    if all.is_empty() {
        let planes = cast.with(quorate_engine::manifest::Role::ControlPlane);
        all.extend(planes.filter_map(|m| Some(SocketAddr::new(IpAddr::V4(m.public?), 6443))));
    }
    all
}

fn entry<'a>(manifest: &'a Manifest, through: &str) -> Option<(&'a LoadBalancer, &'a LbRole)> {
    let (balancer, role) = through.split_once('/')?;
    let mut balancers = manifest.spec.load_balancers.iter();
    let balancer = balancers.find(|one| one.name == balancer)?;
    let role = balancer.roles.iter().find(|one| one.name == role)?;
    Some((balancer, role))
}

fn doors<'a>(
    balancer: &'a LoadBalancer,
    role: &LbRole,
    cast: &'a Cast,
) -> Vec<(&'a Member, SocketAddr)> {
    let address = |member: &'a Member| {
        let address = SocketAddr::new(IpAddr::V4(member.public?), role.port);
        Some((member, address))
    };
    cast.carriers(balancer).filter_map(address).collect()
}

/// The name that leads to these doors, if this host resolves it to any of them.
async fn name(
    manifest: &Manifest,
    balancer: &LoadBalancer,
    port: u16,
    doors: &[(&Member, SocketAddr)],
) -> Option<(String, u16)> {
    let mut named = manifest.spec.dns.iter();
    let dns = named.find(|dns| dns.load_balancer == balancer.name)?;
    let name = format!("{}.{}", dns.hostname, dns.zone);
    let found = tokio::net::lookup_host((name.as_str(), port)).await.ok()?;
    let found: Vec<SocketAddr> = found.collect();
    let leads = doors.iter().any(|(_, door)| found.contains(door));
    leads.then_some((name, port))
}

fn population(
    clients: &Clients,
    role: &LbRole,
    name: String,
    by_name: Option<(String, u16)>,
    entries: Vec<SocketAddr>,
) -> Population {
    let wall = |span: Span| Duration::from_nanos(span.0);
    Population {
        name,
        kind: match (role.kind, clients.asks) {
            (LbKind::Ingress, _) => Kind::Ingress,
            (LbKind::Api, Asks::Read) => Kind::Read,
            (LbKind::Api, Asks::Write) => Kind::Write,
        },
        by_name,
        entries,
        interval: Span(Span::from_secs(1_000).0 / clients.rate.0.max(1)),
        connect_within: clients
            .connect_timeout
            .map_or(SYSTEM, |given| wall(given.0)),
        timeout: wall(clients.timeout.0),
    }
}
