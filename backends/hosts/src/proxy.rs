//! HAProxy's configuration: in front of the cluster on a load balancer's node, and on every node
//! on its way to the API servers.
//!
//! Text from specs, and nothing else. Knows neither how it gets onto a machine nor how HAProxy is
//! started. Needs HAProxy 2.4 or newer (Debian 12, Ubuntu 22.04, RHEL 9).

use quorate_engine::manifest::BackendCheck;
use quorate_engine::resource::{Backend, Forward, ResourceId};
use quorate_engine::time::Span;
use std::fmt::Write as _;
use std::net::IpAddr;

/// TCP port of API servers.
const API_PORT: u16 = 6443;

/// Time between checks while a backend's state is in question. Part of what took the unclean
/// service after a lost control plane from 4.7 s to 2.5 s on three nodes (median).
const FAST_INTERVAL: Span = Span::from_ms(200);

/// Time between checks of a backend that is down.
const DOWN_INTERVAL: Span = Span::from_secs(1);

/// What is ready although etcd has no leader: with etcd every backend would be taken out at once,
/// and clients would lose the servers' own answers.
const READY: &str = "/readyz?exclude=etcd";

/// A load balancer: one front and one back for each forward.
#[must_use]
pub(crate) fn balancer(forwards: &[Forward]) -> String {
    let mut text = frame("balancer", 20_000);
    for forward in forwards {
        let name = forward.role.replace('/', "-");
        // Two sockets rather than one for both families: on that one, IPv4 clients would come with
        // IPv6 addresses, also in the PROXY protocol. The second is left out where there is no IPv6.
        let port = forward.port;
        let head = format!(
            "\nfrontend {name}\n    bind 0.0.0.0:{port}\n    bind [::]:{port} v6only\n    \
             default_backend {name}\n\nbackend {name}\n"
        );
        text.push_str(&head);
        // A hash of the client's address instead of a table: it outlives a reload, and every load
        // balancer comes to the same answer.
        text.push_str(if forward.sticky {
            "    balance source\n    hash-type consistent\n"
        } else {
            "    balance roundrobin\n"
        });
        let kind = if forward.api { Back::Api } else { Back::Other };
        checks(&mut text, &forward.check, kind, forward.proxy_protocol);
        for backend in &forward.backends {
            server(&mut text, backend, forward.target_port, "");
        }
    }
    text
}

/// A node's own way to the API servers. The server on the node itself is preferred: a kubelet must
/// not be newer than the API server it talks to, and during an upgrade only that one is sure to be
/// as new. Elsewhere kubelets choose by lot: each has but one connection, and taking turns would
/// lead all of them to the first server.
///
/// On IPv4 loopback only, which is what certificates are valid for.
#[must_use]
pub(crate) fn api_proxy(machine: &ResourceId, port: u16, servers: &[Backend]) -> String {
    let mut text = frame("api-proxy", 4_000);
    let front = format!(
        "\nfrontend api\n    bind 127.0.0.1:{port}\n    default_backend api\n\nbackend api\n"
    );
    text.push_str(&front);
    let own = servers.iter().any(|backend| backend.machine == *machine);
    // Without the option only the first of the backups would get anything.
    text.push_str(if own { "    option allbackups\n" } else { "" });
    text.push_str("    balance random\n");
    checks(&mut text, &BackendCheck::default(), Back::Api, false);
    for backend in own_first(machine, servers) {
        let backup = own && backend.machine != *machine;
        let rank = if backup { " backup" } else { "" };
        server(&mut text, backend, API_PORT, rank);
    }
    text
}

/// Lines for `/etc/hosts`: the API's name leads to the API servers themselves, the own one first.
/// The others begin at a place that differs from node to node. Nothing for a name that is an
/// address.
#[must_use]
pub(crate) fn hosts_lines(machine: &ResourceId, name: &str, servers: &[Backend]) -> String {
    if name.parse::<IpAddr>().is_ok() {
        return String::new();
    }
    let lines = own_first(machine, servers).map(|backend| format!("{} {name}", backend.address));
    lines.collect::<Vec<_>>().join("\n")
}

fn own_first<'a>(
    machine: &'a ResourceId,
    servers: &'a [Backend],
) -> impl Iterator<Item = &'a Backend> {
    let count = servers.len().max(1) as u64;
    let begin = usize::try_from(machine.number() % count).expect("less than there are servers");
    let (late, early) = servers.split_at(begin.min(servers.len()));
    let is_own = |backend: &&Backend| backend.machine == *machine;
    let others = early.iter().chain(late).filter(move |b| !is_own(b));
    servers.iter().filter(is_own).chain(others)
}

/// What stands behind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Back {
    Api,
    Other,
}

/// What both have in common. Old processes live on after a reload as long as they have
/// connections, but do not check their backends any more: keepalives notice dead ones within 10 s
/// then, and after five minutes what is left is cut.
fn frame(name: &str, most: u32) -> String {
    format!(
        "\
global
    log stdout format raw daemon notice
    maxconn {most}
    no strict-limits
    user haproxy
    group haproxy
    hard-stop-after 5m
    stats socket /run/quorate-{name}.sock mode 600 level admin expose-fd listeners

defaults
    log global
    mode tcp
    option log-health-checks
    option tcpka
    clitcpka-idle 60s
    clitcpka-intvl 10s
    clitcpka-cnt 6
    srvtcpka-idle 5s
    srvtcpka-intvl 2s
    srvtcpka-cnt 3
    option redispatch 1
    retries 3
    timeout client 1h
    timeout server 1h
    timeout client-fin 30s
    timeout server-fin 30s
"
    )
}

/// How backends are watched. What workloads speak is not known: of those it is only asked that they
/// accept connections, and what they have open is theirs to end.
fn checks(text: &mut String, check: &BackendCheck, back: Back, proxy_protocol: bool) {
    let ms = |span: Span| format!("{}ms", span.as_ms().max(1));
    let interval = check.interval.0;
    let mut put = |line: String| writeln!(text, "    {line}").expect("text grows");
    put(format!("timeout connect {}", ms(check.connect_timeout.0)));
    put(format!("timeout check {}", ms(check.timeout.0)));
    if back == Back::Api {
        put(format!("option httpchk GET {READY}"));
        put("http-check expect status 200".to_owned());
    }
    let times = format!(
        "inter {} fastinter {} downinter {} fall {} rise {}",
        ms(interval),
        ms(interval.min(FAST_INTERVAL)),
        ms(interval.max(DOWN_INTERVAL)),
        check.fall.max(1),
        check.rise.max(1)
    );
    let more = match back {
        Back::Api => " check-ssl verify none on-marked-down shutdown-sessions",
        Back::Other => "",
    };
    let told = if proxy_protocol { " send-proxy-v2" } else { "" };
    // What was sent and nobody has acknowledged for 10 s went to a dead machine.
    put(format!(
        "default-server check {times} tcp-ut 10s{more}{told}"
    ));
}

fn server(text: &mut String, backend: &Backend, port: u16, rank: &str) {
    let name = backend.machine.as_str().replace(['/', '.'], "-");
    let address = backend.address;
    // The same on every load balancer and whoever else is there: the hash goes by it. Numbers are
    // positive ones of 32 bits with a sign; a mesh lies in one half of all addresses.
    let id = (address.to_bits() & 0x7fff_ffff).max(1);
    writeln!(text, "    server {name} {address}:{port} id {id}{rank}").expect("text grows");
}

#[cfg(test)]
mod tests;
