//! The adapter against a daemon in memory that loses its connection at every point, and against a
//! real libvirt where there is one.

mod containers;
mod daemon;
mod lost;
mod real;
mod virtual_machines;

use super::Libvirt;
use crate::conformance::Sample;
use crate::{Owner, Provider as _, Site};
use quorate_engine::manifest;
use quorate_engine::resource::{Kind, Resource, ResourceId, Spec};
use quorate_engine::seam::{Call, FaultClass, Key, Lane, Outcome, Verb};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9bZb1J2mTQ0pG2p7M1c1dT4d6nUdQGq7tE0sQ0o4xY q";

/// A cluster of a name that no other test and no other run uses.
pub(super) fn site(cluster: &str, uid: u64, endpoint: &str) -> Site {
    let provider = json!({"name": "lab", "type": "libvirt", "endpoint": endpoint});
    let provider: manifest::Provider = serde_json::from_value(provider).expect("a provider");
    Site {
        owner: Owner {
            cluster: cluster.to_owned(),
            uid,
            provider: "a".to_owned(),
        },
        provider,
        secret: None,
        ssh_user: "root".to_owned(),
        ssh_keys: vec![KEY.to_owned()],
    }
}

pub(super) fn resource(id: String, spec: Spec) -> Arc<Resource> {
    Arc::new(Resource {
        id: ResourceId::new(id),
        provider: "lab".to_owned(),
        spec,
    })
}

pub(super) fn network(cluster: &str, cidr: &str) -> Arc<Resource> {
    let spec = Spec::Network {
        region: "r1".to_owned(),
        cidr: cidr.parse().expect("a network"),
    };
    resource(format!("{cluster}/network.lab/r1"), spec)
}

pub(super) fn firewall(cluster: &str, public_ports: &[u16]) -> Arc<Resource> {
    let spec = Spec::Firewall {
        region: "r1".to_owned(),
        mesh_port: 51820,
        public_ports: public_ports.to_vec(),
    };
    resource(format!("{cluster}/firewall.lab/r1"), spec)
}

pub(super) fn machine(cluster: &str, number: usize, (size, image): (&str, &str)) -> Arc<Resource> {
    let spec = Spec::Machine {
        region: "r1".to_owned(),
        zone: "r1".to_owned(),
        machine_type: size.to_owned(),
        image: image.to_owned(),
        spot: false,
        roles: Vec::new(),
        existing: None,
    };
    resource(format!("{cluster}/w/{number}"), spec)
}

pub(super) fn call(verb: Verb, resource: &Arc<Resource>, key: u64) -> Call {
    Call {
        lane: Lane::Provider(Arc::from("lab")),
        verb,
        target: resource.id.clone(),
        kind: resource.spec.kind(),
        resource: Some(Arc::clone(resource)),
        key: Key(key),
        addresses: Vec::new(),
        peers: Arc::from([]),
    }
}

pub(super) fn list_of(cluster: &str) -> Call {
    Call {
        lane: Lane::Provider(Arc::from("lab")),
        verb: Verb::List,
        target: ResourceId::new(cluster),
        kind: Kind::Machine,
        resource: None,
        key: Key(0),
        addresses: Vec::new(),
        peers: Arc::from([]),
    }
}

pub(super) async fn ask(libvirt: &Libvirt, verb: Verb, resource: &Arc<Resource>) -> Outcome {
    libvirt.call(&call(verb, resource, 7)).await
}

/// A network, a firewall and a machine; what else there is to know follows from them.
pub(super) fn sample<'a>(
    cluster: &str,
    cidr: &str,
    (image, stranger): (&str, &'a Libvirt),
) -> Sample<'a> {
    let resources = vec![
        network(cluster, cidr),
        firewall(cluster, &[443]),
        machine(cluster, 1, ("1x128MiB", image)),
        machine(cluster, 2, ("1x128MiB", image)),
    ];
    let nowhere = Spec::Machine {
        region: "nowhere".to_owned(),
        zone: "nowhere".to_owned(),
        machine_type: "1x128MiB".to_owned(),
        image: image.to_owned(),
        spot: false,
        roles: Vec::new(),
        existing: None,
    };
    Sample {
        cluster: ResourceId::new(cluster),
        owner: Owner {
            cluster: cluster.to_owned(),
            uid: 1,
            provider: "a".to_owned(),
        },
        lane: Lane::Provider(Arc::from("lab")),
        updates: vec![firewall(cluster, &[80, 443])],
        held: vec![resources[0].id.clone()],
        refused: vec![
            (machine(cluster, 8, ("cx22", image)), FaultClass::Invalid),
            (
                resource(format!("{cluster}/w/9"), nowhere),
                FaultClass::NotFound,
            ),
        ],
        stranger: Some((stranger, resources.clone())),
        resources,
        addresses: Vec::new(),
        secrets: vec!["PRIVATE KEY".to_owned()],
        patience: Duration::from_secs(3),
        poll: Duration::from_millis(50),
    }
}
