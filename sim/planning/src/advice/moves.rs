//! What could be changed in a manifest, one thing at a time, as JSON Patches.
//!
//! Places are those the manifest has already, and clouds it could have: those with a price list.
//! A pool in a new place is made like the largest of its kind, of the cheapest machine there that
//! holds as much. Whether a change is any good is the search's to find out.

use super::Operation;
use crate::data::Data;
use quorate_engine::catalog;
use quorate_engine::manifest::{
    Domain, LbKind, Manifest, NodePool, ProviderKind, Resources, Role, StorageEngine,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A change and what to call it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Move {
    pub(super) words: String,
    pub(super) patch: Vec<Operation>,
}

/// Images that the vendors keep under the same name for years.
const IMAGES: [(ProviderKind, &str); 3] = [
    (ProviderKind::Hetzner, "ubuntu-24.04"),
    (
        ProviderKind::Aws,
        "resolve:ssm:/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id",
    ),
    (
        ProviderKind::Gcp,
        "projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64",
    ),
];

/// Everything that could be changed.
pub(super) fn moves(manifest: &Manifest, data: &Data) -> Vec<Move> {
    let mut moves = Vec::new();
    let places = places(manifest, data);
    control_planes(manifest, data, &places, &mut moves);
    balancers(manifest, data, &places, &mut moves);
    workers(manifest, data, &places, &mut moves);
    names(manifest, &mut moves);
    storage(manifest, &mut moves);
    workloads(manifest, &mut moves);
    moves
}

fn add(path: impl Into<String>, value: Value) -> Operation {
    Operation::Add {
        path: path.into(),
        value,
    }
}

fn replace(path: impl Into<String>, value: Value) -> Operation {
    Operation::Replace {
        path: path.into(),
        value,
    }
}

fn remove(path: impl Into<String>) -> Operation {
    Operation::Remove { path: path.into() }
}

/// A provider's region where machines could be.
#[derive(Debug, Clone)]
struct Place {
    provider: String,
    kind: ProviderKind,
    region: String,
    image: String,
    /// What the manifest lacks for it: the provider itself.
    new: Option<Operation>,
}

fn places(manifest: &Manifest, data: &Data) -> Vec<Place> {
    let spec = &manifest.spec;
    let mut places: Vec<Place> = Vec::new();
    for pool in spec.node_pools.iter().filter(|pool| pool.hosts.is_empty()) {
        let provider = spec.providers.iter().find(|one| one.name == pool.provider);
        let (Some(provider), Some(region), Some(image)) = (provider, &pool.region, &pool.image)
        else {
            continue;
        };
        if !places.iter().any(|place| place.provider == pool.provider) {
            places.push(Place {
                provider: pool.provider.clone(),
                kind: provider.kind,
                region: region.clone(),
                image: image.clone(),
                new: None,
            });
        }
    }
    let known: Vec<Place> = places.clone();
    for (kind, image) in IMAGES {
        let there = spec.providers.iter().any(|provider| provider.kind == kind);
        let region = near(kind, &known, data).filter(|_| !there);
        let Some(region) = region else { continue };
        let name = serde_json::to_value(kind).expect("a name");
        let name = name.as_str().expect("a name").to_owned();
        places.push(Place {
            new: Some(add(
                "/spec/providers/-",
                json!({"name": name, "type": name}),
            )),
            provider: name,
            kind,
            region,
            image: image.to_owned(),
        });
    }
    places
}

/// The region of a cloud that is nearest to those in use, of regions with prices.
fn near(kind: ProviderKind, known: &[Place], data: &Data) -> Option<String> {
    let priced = |region: &str| {
        let of_kind = data.machines.iter().filter(|row| row.provider == kind);
        of_kind
            .into_iter()
            .any(|row| row.region.as_deref().is_none_or(|name| name == region))
    };
    let regions = catalog::regions(kind)
        .iter()
        .filter(|region| priced(region.name));
    let way = |region: &&catalog::Region| -> u64 {
        let to = |place: &Place| {
            catalog::rtt((place.kind, &place.region), (kind, region.name))
                .rtt
                .0
        };
        known.iter().map(to).sum()
    };
    regions.min_by_key(way).map(|region| region.name.to_owned())
}

/// The cheapest machine type of a place that holds as much.
fn machine(place: &Place, least: Resources, data: &Data) -> Option<String> {
    let of_place = data.machines.iter().filter(|row| {
        row.provider == place.kind
            && row
                .region
                .as_deref()
                .is_none_or(|region| region == place.region)
    });
    let holds = of_place.filter(|row| {
        let machine = catalog::machine(place.kind, &row.machine_type);
        machine.is_some_and(|has| has.cpu >= least.cpu && has.memory >= least.memory)
    });
    let cheapest = holds.min_by(|a, b| a.monthly.total_cmp(&b.monthly));
    cheapest.map(|row| row.machine_type.clone())
}

fn capacity(manifest: &Manifest, pool: &NodePool) -> Resources {
    let provider = manifest
        .spec
        .providers
        .iter()
        .find(|one| one.name == pool.provider);
    let known = provider.zip(pool.machine_type.as_ref());
    let known = known.and_then(|(provider, name)| catalog::machine(provider.kind, name));
    pool.capacity.or(known).unwrap_or_default()
}

fn of_role(manifest: &Manifest, role: Role) -> impl Iterator<Item = (usize, &NodePool)> {
    let pools = manifest.spec.node_pools.iter().enumerate();
    pools.filter(move |(_, pool)| pool.roles.contains(&role))
}

/// One more node of a role at a place: its pool there grows, or a new one is made like `like`.
fn one_more(
    manifest: &Manifest,
    data: &Data,
    place: &Place,
    role: Role,
    like: &NodePool,
) -> Option<(Vec<Operation>, Option<String>)> {
    let there = of_role(manifest, role).find(|(_, pool)| pool.provider == place.provider);
    if let Some((at, pool)) = there {
        let count = pool.count?;
        let path = format!("/spec/nodePools/{at}/count");
        return Some((vec![replace(path, json!(count + 1))], None));
    }
    let machine = machine(place, capacity(manifest, like), data)?;
    let short = match role {
        Role::ControlPlane => "control",
        Role::Worker => "workers",
        Role::LoadBalancer => "lb",
    };
    let name = format!("{short}-{}", place.provider);
    if name.len() > 20
        || manifest
            .spec
            .node_pools
            .iter()
            .any(|pool| pool.name == name)
    {
        return None;
    }
    let mut patch: Vec<Operation> = place.new.clone().into_iter().collect();
    patch.push(add(
        "/spec/nodePools/-",
        json!({"name": name, "provider": place.provider, "region": place.region,
               "machineType": machine, "image": place.image, "count": 1, "roles": [role],
               "disks": like.disks}),
    ));
    Some((patch, Some(name)))
}

/// One member moves to where fewer are, or two join: their number stays odd.
fn control_planes(manifest: &Manifest, data: &Data, places: &[Place], moves: &mut Vec<Move>) {
    let mut at = BTreeMap::<&str, u32>::new();
    for (_, pool) in of_role(manifest, Role::ControlPlane) {
        *at.entry(&pool.provider).or_default() += pool.count.unwrap_or(pool.hosts.len() as u32);
    }
    let Some(like) = of_role(manifest, Role::ControlPlane)
        .map(|(_, pool)| pool)
        .next()
    else {
        return;
    };
    let members: u32 = at.values().sum();
    let here = |place: &Place| at.get(place.provider.as_str()).copied().unwrap_or(0);
    let more = |manifest: &Manifest, place: &Place| {
        one_more(manifest, data, place, Role::ControlPlane, like)
    };
    let crowded = of_role(manifest, Role::ControlPlane)
        .filter_map(|(index, pool)| Some((index, pool, pool.count?)))
        .max_by_key(|(_, pool, _)| at[pool.provider.as_str()]);
    for place in places {
        if let Some((index, pool, count)) = crowded
            && at[pool.provider.as_str()] > here(place) + 1
            && let Some((mut patch, _)) = more(manifest, place)
        {
            patch.push(replace(
                format!("/spec/nodePools/{index}/count"),
                json!(count - 1),
            ));
            if count == 1 {
                patch.pop();
                patch.push(remove(format!("/spec/nodePools/{index}")));
            }
            let words = format!(
                "a control plane moves from {} to {}",
                pool.provider, place.provider
            );
            moves.push(Move { words, patch });
        }
    }
    if members % 2 == 1 && members <= 5 {
        pairs(manifest, places, &more, moves);
    } else if members.is_multiple_of(2) {
        for place in places {
            if let Some((patch, _)) = more(manifest, place) {
                let words = format!("a control plane more at {}", place.provider);
                moves.push(Move { words, patch });
            }
        }
    }
}

type More<'a> = &'a dyn Fn(&Manifest, &Place) -> Option<(Vec<Operation>, Option<String>)>;

fn pairs(manifest: &Manifest, places: &[Place], more: More<'_>, moves: &mut Vec<Move>) {
    for (i, a) in places.iter().enumerate() {
        for b in &places[i..] {
            let both = more(manifest, a).and_then(|(mut patch, _)| {
                let half = super::apply(manifest, &patch)?;
                patch.extend(more(&half, b)?.0);
                Some(patch)
            });
            if let Some(patch) = both {
                let words = match a.provider == b.provider {
                    true => format!("two control planes more at {}", a.provider),
                    false => format!(
                        "a control plane more at {} and at {}",
                        a.provider, b.provider
                    ),
                };
                moves.push(Move { words, patch });
            }
        }
    }
}

/// A load balancer more, in every entry point that has some already.
fn balancers(manifest: &Manifest, data: &Data, places: &[Place], moves: &mut Vec<Move>) {
    let Some((_, like)) = of_role(manifest, Role::LoadBalancer).next() else {
        return;
    };
    for place in places {
        let more = one_more(manifest, data, place, Role::LoadBalancer, like);
        let Some((mut patch, name)) = more else {
            continue;
        };
        if let Some(name) = name {
            for at in 0..manifest.spec.load_balancers.len() {
                patch.push(add(
                    format!("/spec/loadBalancers/{at}/pools/-"),
                    json!(name),
                ));
            }
        }
        let words = format!("a load balancer more at {}", place.provider);
        moves.push(Move { words, patch });
    }
    for (at, pool) in of_role(manifest, Role::LoadBalancer) {
        if let Some(count @ 2..) = pool.count {
            moves.push(Move {
                words: format!("a load balancer less in {}", pool.name),
                patch: vec![replace(
                    format!("/spec/nodePools/{at}/count"),
                    json!(count - 1),
                )],
            });
        }
    }
}

fn workers(manifest: &Manifest, data: &Data, places: &[Place], moves: &mut Vec<Move>) {
    let largest = of_role(manifest, Role::Worker).filter(|(_, pool)| pool.hosts.is_empty());
    let Some((_, like)) = largest.max_by_key(|(_, pool)| capacity(manifest, pool).cpu) else {
        return;
    };
    for place in places {
        if let Some((patch, _)) = one_more(manifest, data, place, Role::Worker, like) {
            let words = format!("a worker more at {}", place.provider);
            moves.push(Move { words, patch });
        }
    }
    for (at, pool) in of_role(manifest, Role::Worker) {
        let path = format!("/spec/nodePools/{at}");
        if let Some(count @ 2..) = pool.count {
            moves.push(Move {
                words: format!("a worker less in {}", pool.name),
                patch: vec![replace(format!("{path}/count"), json!(count - 1))],
            });
        }
        if let Some(bounds) = pool.autoscale.filter(|bounds| bounds.min < bounds.max) {
            moves.push(Move {
                words: format!("{} begins with {} nodes", pool.name, bounds.min + 1),
                patch: vec![replace(
                    format!("{path}/autoscale/min"),
                    json!(bounds.min + 1),
                )],
            });
        }
    }
}

fn names(manifest: &Manifest, moves: &mut Vec<Move>) {
    for (at, dns) in manifest.spec.dns.iter().enumerate() {
        let name = format!("{}.{}", dns.hostname, dns.zone);
        let path = format!("/spec/dns/{at}");
        let check = json!({"interval": "10s", "threshold": 3, "timeout": "2s"});
        match dns.health_check {
            None => moves.push(Move {
                words: format!("{name} gets a health check"),
                patch: vec![add(format!("{path}/healthCheck"), check)],
            }),
            Some(check) if check.threshold > 1 => moves.push(Move {
                words: format!(
                    "{name} drops an address after {} failures",
                    check.threshold - 1
                ),
                patch: vec![replace(
                    format!("{path}/healthCheck/threshold"),
                    json!(check.threshold - 1),
                )],
            }),
            Some(_) => {}
        }
        let seconds = dns.ttl.0.0 / 1_000_000_000;
        if seconds > 30 {
            moves.push(Move {
                words: format!("answers for {name} live {}s", seconds / 2),
                patch: vec![add(
                    format!("{path}/ttl"),
                    json!(format!("{}s", seconds / 2)),
                )],
            });
        }
    }
}

fn storage(manifest: &Manifest, moves: &mut Vec<Move>) {
    let data = manifest
        .spec
        .workloads
        .iter()
        .any(|workload| workload.data.is_some());
    let Some(storage) = &manifest.spec.storage else {
        if data {
            let value =
                json!({"engine": StorageEngine::Longhorn, "replicas": 3, "spread": "provider"});
            moves.push(Move {
                words: "volumes get three replicas, each at another provider".to_owned(),
                patch: vec![add("/spec/storage", value)],
            });
        }
        return;
    };
    if storage.replicas < 3 {
        moves.push(Move {
            words: format!("volumes get {} replicas", storage.replicas + 1),
            patch: vec![add("/spec/storage/replicas", json!(storage.replicas + 1))],
        });
    }
    if storage.spread < Domain::Provider {
        moves.push(Move {
            words: "replicas are kept apart by provider".to_owned(),
            patch: vec![add("/spec/storage/spread", json!(Domain::Provider))],
        });
    }
}

fn workloads(manifest: &Manifest, moves: &mut Vec<Move>) {
    for (at, workload) in manifest.spec.workloads.iter().enumerate() {
        let path = format!("/spec/workloads/{at}");
        if workload.replicas == 1 {
            moves.push(Move {
                words: format!("{} gets a second pod", workload.name),
                patch: vec![add(format!("{path}/replicas"), json!(2))],
            });
        }
        let reached = manifest.spec.load_balancers.iter().any(|balancer| {
            balancer
                .roles
                .iter()
                .any(|role| role.kind == LbKind::Ingress)
        });
        if workload.spread.is_none() && workload.replicas > 1 && reached {
            let value = json!({"across": "provider", "whenUnsatisfiable": "ScheduleAnyway"});
            moves.push(Move {
                words: format!("pods of {} are kept apart by provider", workload.name),
                patch: vec![add(format!("{path}/spread"), value)],
            });
        }
    }
}
