//! Ports: in range, and each taken once on every node that it is opened on.

use super::view::{View, placed};
use crate::diagnostic::{Finding, Path};
use crate::manifest::{LbKind, LbRole, NodePool, Protocol, Role};
use std::collections::BTreeMap;

/// Where kubeadm's API servers listen.
const API_SERVER: u16 = 6_443;

pub(super) fn check(view: View<'_>, found: &mut Vec<Finding>) {
    let spec = view.spec;
    zero(&view.at("mesh").field("port"), spec.mesh.port, found);
    for (path, pool) in view.pools() {
        for (path, host) in placed(path.field("hosts"), &pool.hosts) {
            zero(&path.field("sshPort"), host.ssh_port, found);
        }
    }
    for (path, balancer) in placed(view.at("loadBalancers"), &spec.load_balancers) {
        for (path, role) in placed(path.field("roles"), &balancer.roles) {
            zero(&path.field("port"), role.port, found);
            zero(
                &path.field("targetPort"),
                role.target_port.unwrap_or(1),
                found,
            );
            protocol(&path, role, found);
        }
    }
    for pool in &spec.node_pools {
        clashes(view, pool, found);
    }
}

fn zero(path: &Path, port: u16, found: &mut Vec<Finding>) {
    if port == 0 {
        found.push(
            Finding::error("port-zero", path, "port 0 cannot be listened on")
                .fix("choose a port from 1 to 65535"),
        );
    }
}

fn protocol(path: &Path, role: &LbRole, found: &mut Vec<Finding>) {
    let udp = role.protocol == Protocol::Udp;
    if udp && role.proxy_protocol {
        found.push(
            Finding::error(
                "proxy-protocol-over-udp",
                &path.field("proxyProtocol"),
                "the PROXY protocol needs TCP",
            )
            .why("it is a first line in a stream, and UDP has no stream")
            .fix("remove proxyProtocol, or set `protocol: tcp`"),
        );
    }
    if role.kind == LbKind::Ingress {
        return;
    }
    if role.proxy_protocol {
        let path = path.field("proxyProtocol");
        found.push(
            Finding::error(
                "proxy-protocol-to-api",
                &path,
                "API servers do not speak PROXY",
            )
            .why("they would take its first line for a broken TLS handshake")
            .fix("remove proxyProtocol from this role"),
        );
    }
    if udp {
        let path = path.field("protocol");
        found.push(
            Finding::error("api-over-udp", &path, "API servers listen on TCP only")
                .fix("set `protocol: tcp`, or leave it out"),
        );
    }
    let target = role.target_port.unwrap_or(role.port);
    if target != API_SERVER && target != 0 {
        let message = format!("API servers listen on {API_SERVER}, not on {target}");
        found.push(
            Finding::error("api-target-port", path, message)
                .why("every connection would be refused by the backend")
                .fix(format!("set `targetPort: {API_SERVER}`")),
        );
    }
}

/// What listens on the nodes of a pool apart from load balancers.
fn taken(view: View<'_>, pool: &NodePool) -> BTreeMap<(&'static str, u16), String> {
    let mut taken = BTreeMap::new();
    let mut take = |protocol, port: u16, who: &str| {
        taken.insert((protocol, port), who.to_owned());
    };
    let (control, worker) = (
        pool.roles.contains(&Role::ControlPlane),
        pool.roles.contains(&Role::Worker),
    );
    if control {
        take("tcp", API_SERVER, "the API server");
        take("tcp", 2_379, "etcd's clients");
        take("tcp", 2_380, "etcd's peers");
        take("tcp", 10_257, "the controller manager");
        take("tcp", 10_259, "the scheduler");
    }
    if control || worker {
        take("tcp", 10_250, "the kubelet");
    }
    take("tcp", 22, "sshd");
    for host in &pool.hosts {
        take("tcp", host.ssh_port, "sshd");
    }
    take("udp", view.spec.mesh.port, "the mesh");
    taken
}

/// A transport as a key with an order.
fn transport(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

fn clashes(view: View<'_>, pool: &NodePool, found: &mut Vec<Finding>) {
    let mut taken = taken(view, pool);
    for (path, balancer) in placed(view.at("loadBalancers"), &view.spec.load_balancers) {
        if !balancer.pools.contains(&pool.name) {
            continue;
        }
        for (path, role) in placed(path.field("roles"), &balancer.roles) {
            let who = format!("`{}/{}`", balancer.name, role.name);
            if let Some(other) = taken.insert((transport(role.protocol), role.port), who.clone())
                && other != who
                && !found
                    .iter()
                    .any(|f| f.code == "port-clash" && f.path == path.field("port"))
            {
                let message = format!(
                    "port {} is taken by {other} on the nodes of `{}`",
                    role.port, pool.name
                );
                found.push(
                    Finding::error("port-clash", &path.field("port"), message)
                        .why("two programs cannot listen on one port of one machine")
                        .fix("change one of the ports, or put the load balancer on other pools"),
                );
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::manifest::judge::trial::{Case, case, run};
    use serde_json::json;

    pub(in super::super) fn cases() -> Vec<Case> {
        let role = |index: u32, field: &str| format!("/spec/loadBalancers/{index}/roles/0/{field}");
        let other = |port: u16, protocol: &str| {
            json!({
                "name": "other", "kind": "ingress", "port": port, "protocol": protocol
            })
        };
        vec![
            case("port-zero", "/spec/mesh/port", json!(0)),
            case("port-zero", &role(1, "port"), json!(0)),
            case("port-zero", &role(1, "targetPort"), json!(0)),
            case("port-zero", "/spec/nodePools/3/hosts/0/sshPort", json!(0)),
            case(
                "proxy-protocol-over-udp",
                &role(1, "proxyProtocol"),
                json!(true),
            )
            .and_set(&role(1, "protocol"), json!("udp")),
            case(
                "proxy-protocol-to-api",
                &role(0, "proxyProtocol"),
                json!(true),
            ),
            case("api-over-udp", &role(0, "protocol"), json!("udp")),
            case("api-target-port", &role(0, "port"), json!(8443)),
            case(
                "port-clash",
                "/spec/loadBalancers/1/roles/-",
                other(6443, "tcp"),
            ),
            case(
                "port-clash",
                "/spec/loadBalancers/1/roles/-",
                other(443, "tcp"),
            ),
            case(
                "port-clash",
                "/spec/loadBalancers/1/roles/-",
                other(22, "tcp"),
            ),
            case(
                "port-clash",
                "/spec/loadBalancers/1/roles/-",
                other(51_820, "udp"),
            ),
            case(
                "port-clash",
                "/spec/nodePools/6/roles/-",
                json!("control-plane"),
            )
            .with("even-voters")
            .with("majority-in-one-location"),
        ]
    }

    #[test]
    fn each_mistake_is_found() {
        run(cases());
    }

    #[test]
    fn kubelets_listen_where_pods_run() {
        let path = "/spec/loadBalancers/1/roles/-";
        let role = json!({"name": "odd", "kind": "ingress", "port": 10_250});
        run(vec![
            Case::clean(path, role.clone()),
            case("port-clash", path, role).and_set("/spec/nodePools/6/roles/-", json!("worker")),
        ]);
    }

    #[test]
    fn the_same_number_over_another_transport_is_no_clash() {
        let path = "/spec/loadBalancers/1/roles/-";
        let role = json!({"name": "quic", "kind": "ingress", "port": 443, "protocol": "udp"});
        run(vec![Case::clean(path, role)]);
    }
}
