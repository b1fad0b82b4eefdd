//! What the addresses of a name are asked: something that only a backend behind the load balancer
//! can answer.

use crate::check::{Check, Protocol};
use quorate_engine::manifest::{self, LbKind, LbRole, Manifest};
use std::collections::BTreeMap;

/// Answers of a web server that works: whatever it says, it is not the load balancer's "there is
/// nobody".
const ANSWERS: [u16; 13] = [
    200, 204, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 426,
];

/// An API server that is ready, or that does not tell strangers (anonymous access turned off).
const READY: [u16; 3] = [200, 401, 403];

/// For each name of a manifest what its addresses are asked, by the load balancer behind it: API
/// servers whether they are ready, web servers for any answer, others for a connection.
#[must_use]
pub fn probes(manifest: &Manifest) -> BTreeMap<String, Check> {
    let spec = &manifest.spec;
    let mut probes = BTreeMap::new();
    for dns in &spec.dns {
        let balancer = spec
            .load_balancers
            .iter()
            .find(|lb| lb.name == dns.load_balancer);
        let roles = balancer.map_or(&[][..], |balancer| &balancer.roles);
        let tcp = |role: &&LbRole| role.protocol == manifest::Protocol::Tcp;
        // API servers first: they say themselves whether they are ready.
        let role = roles
            .iter()
            .filter(tcp)
            .min_by_key(|role| role.kind != LbKind::Api);
        let Some(role) = role else { continue };
        for hostname in std::iter::once(&dns.hostname).chain(&dns.alternative_names) {
            let name = format!("{hostname}.{}", dns.zone).to_ascii_lowercase();
            let check = probe(role, &name);
            probes.insert(name, check);
        }
    }
    probes
}

fn probe(role: &LbRole, name: &str) -> Check {
    let fetch = |protocol, path: &str, status: &[u16]| Check {
        path: Some(path.to_owned()),
        host: Some(name.to_owned()),
        status: status.to_vec(),
        ..Check::new(protocol, role.port)
    };
    match (role.kind, role.port) {
        (LbKind::Api, _) => fetch(Protocol::Https, "/readyz", &READY),
        (LbKind::Ingress, 80 | 8080) => fetch(Protocol::Http, "/", &ANSWERS),
        (LbKind::Ingress, 443 | 8443) => fetch(Protocol::Https, "/", &ANSWERS),
        (LbKind::Ingress, port) => Check::new(Protocol::Tcp, port),
    }
}
