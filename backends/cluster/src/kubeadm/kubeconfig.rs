//! The administrator's credentials as people use them: from outside, by name where there is one.
//!
//! Changes the text that kubeadm made in two places, and knows nothing of what else is in it.

use quorate_engine::graph::api_name;
use quorate_engine::manifest::{LbKind, Manifest};
use quorate_engine::resource::ResourceId;
use std::net::Ipv4Addr;

/// Port of the API server on control planes.
const API_PORT: u16 = 6443;

/// Where the API is reached from outside.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Door {
    host: String,
    port: u16,
    /// The name that its certificate is to be valid for, where that is not the host.
    name: Option<String>,
}

/// The API's own name if somebody serves it; else the first load balancer or control plane whose
/// address is known.
pub(super) fn door(
    manifest: &Manifest,
    control_planes: &[&ResourceId],
    addresses: &[(ResourceId, Ipv4Addr)],
) -> Option<Door> {
    let spec = &manifest.spec;
    let front = spec.load_balancers.iter().find_map(|balancer| {
        let mut roles = balancer.roles.iter();
        let role = roles.find(|role| role.kind == LbKind::Api)?;
        Some((balancer, role.port))
    });
    let name = api_name(manifest);
    let host = |host: String, port| Door {
        host,
        port,
        name: Some(name.clone()),
    };
    if let Some((balancer, port)) = front {
        if spec
            .dns
            .iter()
            .any(|dns| dns.load_balancer == balancer.name)
        {
            return Some(Door {
                host: name,
                port,
                name: None,
            });
        }
        let carries = |id: &ResourceId| {
            let pool = id.as_str().split('/').nth(1);
            balancer.pools.iter().any(|p| Some(p.as_str()) == pool)
        };
        let carrier = addresses.iter().find(|(id, _)| carries(id));
        if let Some((_, address)) = carrier {
            return Some(host(address.to_string(), port));
        }
    }
    let plane = addresses
        .iter()
        .find(|(id, _)| control_planes.contains(&id));
    plane.map(|(_, address)| host(address.to_string(), API_PORT))
}

/// The same credentials for that door.
pub(super) fn through(door: &Door, text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    for line in text.lines() {
        let trimmed = line.trim_start();
        if trimmed.starts_with("server:") {
            let indent = &line[..line.len() - trimmed.len()];
            out.push_str(&format!(
                "{indent}server: https://{}:{}\n",
                door.host, door.port
            ));
            if let Some(name) = &door.name {
                out.push_str(&format!("{indent}tls-server-name: {name}\n"));
            }
        } else if !trimmed.starts_with("tls-server-name:") {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_engine::manifest::load;

    const MADE: &str = "\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: Q0E=
    server: https://api.shop.internal:6443
  name: shop
";

    fn manifest(entry: &str) -> Manifest {
        let text = format!(
            "
apiVersion: quorate.dev/v1
kind: Cluster
metadata: {{name: shop}}
spec:
  kubernetes: {{version: 1.35.0}}
  providers: [{{name: lab, type: static}}, {{name: names, type: builtin}}]
  nodePools:
    - name: cp
      provider: lab
      roles: [control-plane]
      hosts: [{{address: 192.0.2.1}}]
    - name: w
      provider: lab
      roles: [worker, load-balancer]
      hosts: [{{address: 192.0.2.2}}]
{entry}"
        );
        let loaded = load(text.as_bytes(), None);
        assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
        loaded.manifest.expect("it is one")
    }

    const BALANCER: &str = "
  loadBalancers:
    - {name: api, pools: [w], roles: [{name: api, kind: api, port: 8443}]}
";
    const NAME: &str = "
  dns: [{provider: names, zone: example.com, hostname: k8s, loadBalancer: api}]
";

    #[test]
    fn people_come_in_by_the_door_that_is_there() {
        let (plane, worker) = (ResourceId::new("shop/cp/1"), ResourceId::new("shop/w/1"));
        let addresses = [
            (plane.clone(), Ipv4Addr::new(192, 0, 2, 1)),
            (worker, Ipv4Addr::new(192, 0, 2, 2)),
        ];
        let own = "    tls-server-name: api.shop.internal\n";
        for (entry, address, name) in [
            (String::new(), "192.0.2.1:6443", own),
            (BALANCER.to_owned(), "192.0.2.2:8443", own),
            (format!("{BALANCER}{NAME}"), "k8s.example.com:8443", ""),
        ] {
            let door = door(&manifest(&entry), &[&plane], &addresses).unwrap();
            let expected = MADE.replace(
                "    server: https://api.shop.internal:6443\n",
                &format!("    server: https://{address}\n{name}"),
            );
            assert_eq!(through(&door, MADE), expected);
            // Twice is as good as once.
            assert_eq!(through(&door, &expected), expected);
        }
        assert_eq!(door(&manifest(""), &[&plane], &[]), None);
    }
}
