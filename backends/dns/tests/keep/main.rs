//! The adapters, held to the suite that every provider is held to: `builtin` on a directory, and
//! `rfc2136` at BIND and Knot, where they are installed.

mod builtin;
mod daemon;
mod rfc2136;

use quorate_engine::manifest::DnsCheck;
use quorate_engine::resource::{Resource, ResourceId, Spec};
use quorate_engine::seam::{Call, FaultClass, Key, Lane, Verb};
use quorate_providers::conformance::Sample;
use quorate_providers::{Owner, Provider, Secret, Site};
use serde_json::json;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

const PROVIDER: &str = "ns";

fn owner(uid: u64) -> Owner {
    Owner {
        cluster: "shop".to_owned(),
        uid,
        provider: PROVIDER.to_owned(),
    }
}

fn site(kind: &str, uid: u64, endpoint: &str, secret: Option<&str>) -> Site {
    let provider = json!({"name": PROVIDER, "type": kind, "endpoint": endpoint});
    Site {
        owner: owner(uid),
        provider: serde_json::from_value(provider).unwrap(),
        secret: secret.map(Secret::new),
        ssh_user: "root".to_owned(),
        ssh_keys: Vec::new(),
    }
}

fn machine(n: u8) -> ResourceId {
    ResourceId::new(format!("shop/lb/{n}"))
}

fn record(name: &str, zone: &str, ttl_s: u32, machines: &[u8]) -> Arc<Resource> {
    Arc::new(Resource {
        id: ResourceId::new(format!("shop/dns.{PROVIDER}/{name}")),
        provider: PROVIDER.to_owned(),
        spec: Spec::RecordSet {
            zone: zone.to_owned(),
            name: name.to_owned(),
            ttl_s,
            machines: machines.iter().copied().map(machine).collect(),
            check: Some(DnsCheck::default()),
        },
    })
}

fn addresses() -> Vec<(ResourceId, Ipv4Addr)> {
    (1..=3)
        .map(|n| (machine(n), Ipv4Addr::new(192, 0, 2, n)))
        .collect()
}

/// What every keeper of record sets is tried with.
fn sample(stranger: &dyn Provider, secrets: Vec<String>) -> Sample<'_> {
    let zone = "example.test";
    let www = record("www.example.test", zone, 30, &[1, 2]);
    let api = record("api.example.test", zone, 60, &[1, 2, 3]);
    Sample {
        cluster: ResourceId::new("shop"),
        owner: owner(1),
        lane: Lane::Provider(Arc::from(PROVIDER)),
        resources: vec![Arc::clone(&www), Arc::clone(&api)],
        updates: vec![record("www.example.test", zone, 90, &[2, 3])],
        held: Vec::new(),
        refused: vec![
            (
                record("www.other.test", zone, 30, &[1]),
                FaultClass::Invalid,
            ),
            (
                record("_quorate.example.test", zone, 30, &[1]),
                FaultClass::Invalid,
            ),
            (
                record("nobody.example.test", zone, 30, &[]),
                FaultClass::Busy,
            ),
        ],
        stranger: Some((stranger, vec![www, api])),
        addresses: addresses(),
        secrets,
        patience: Duration::from_secs(5),
        poll: Duration::from_millis(20),
    }
}

fn call(verb: Verb, resource: &Arc<Resource>, told: bool) -> Call {
    Call {
        lane: Lane::Provider(Arc::from(PROVIDER)),
        verb,
        target: resource.id.clone(),
        kind: resource.spec.kind(),
        resource: told.then(|| Arc::clone(resource)),
        key: Key(77),
        addresses: addresses(),
        peers: Arc::from([]),
    }
}
