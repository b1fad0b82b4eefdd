//! HAProxy on load balancers and nodes, for real: on network namespaces, in front of servers that
//! die, change, and tell who asked them.

use crate::lab::{self, program};
use crate::net::{Net, Node};
use quorate_engine::manifest::BackendCheck;
use quorate_engine::resource::{Backend, Forward, Kind, Resource, Spec};
use quorate_engine::seam::{Call, FaultClass, Key, Lane, Outcome, Reply, Verb};
use quorate_hosts::Hosts;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const API: u16 = 6443;
const PLAIN: u16 = 8080;
const TOLD: u16 = 8081;
const STICKY: u16 = 8082;

/// A dead server is noticed after two checks: at most 500 ms until the first, 300 ms for it to
/// fail, 200 ms until the second and 300 ms for that. Twice as long, since machines are busy.
const NOTICED: Duration = Duration::from_millis(2 * (500 + 300 + 200 + 300));

/// What stands behind: HAProxy again, which answers with its own name and with who asked.
fn server(name: &str) -> String {
    format!(
        "cd /run
        openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -keyout key -out cert 2>/dev/null
        cat key cert >pem
        cat >server.cfg <<'END'
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 60s
frontend tls
    bind :{API} ssl crt /run/pem
    http-request return status 404 if !{{ path /readyz }} !{{ path / }}
    http-request return status 200 content-type text/plain string {name}
frontend plain
    bind :{PLAIN}
    bind :{STICKY}
    http-request return status 200 content-type text/plain string {name}
frontend told
    bind :{TOLD} accept-proxy
    http-request return status 200 content-type text/plain lf-string %[src]
END
        haproxy -D -f server.cfg -p server.pid 2>/dev/null"
    )
}

/// Reads the configuration again, and waits until nobody is left who had read the old one.
const RELOAD: &str = "\
    read -r master </run/quorate-balancer.pid
    workers() { grep -l \"^PPid:[[:space:]]*$master\\$\" /proc/[0-9]*/status 2>/dev/null || true; }
    old=$(workers)
    kill -USR2 \"$master\"
    tries=0
    while new=$(workers); [ \"$new\" = \"$old\" ] || [ \"$(echo \"$new\" | wc -l)\" -gt 1 ]; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || exit 1
        sleep 0.1
    done";

struct World {
    /// Before the network: its connections end in an orderly way.
    hosts: Hosts,
    net: Net,
}

impl World {
    /// The first machine is a load balancer, the others are servers.
    async fn start(count: u8) -> Option<Self> {
        program("haproxy", "haproxy")?;
        program("openssl", "openssl")?;
        program("curl", "curl")?;
        let net = Net::start(count)?;
        let (settings, _) = lab::settings(net.reaches());
        let hosts = Hosts::new(settings);
        let world = Self { hosts, net };
        let host = Spec::Host {
            kubernetes: String::new(),
            pods: None,
        };
        for node in &world.net.nodes[1..] {
            node.by_hand(&server(&format!("n{}", node.number)));
        }
        for node in &world.net.nodes {
            let outcome = world.ask(Verb::Create, node, Kind::Host, Some(&host)).await;
            assert_eq!(outcome, Ok(Reply::Done));
        }
        Some(world)
    }

    async fn ask(&self, verb: Verb, node: &Node, kind: Kind, spec: Option<&Spec>) -> Outcome {
        let target = node
            .machine()
            .child(kind.on_machine().expect("on a machine"));
        let resource = spec.map(|spec| Resource {
            id: target.clone(),
            provider: "lab".to_owned(),
            spec: spec.clone(),
        });
        let call = Call {
            lane: Lane::Hosts,
            verb,
            target,
            kind,
            resource: resource.map(Arc::new),
            key: Key(1),
            addresses: Vec::new(),
            peers: [].into(),
        };
        self.hosts.call(&call).await
    }

    async fn make(&self, node: &Node, spec: &Spec) {
        let outcome = self.ask(Verb::Create, node, spec.kind(), Some(spec)).await;
        assert_eq!(outcome, Ok(Reply::Done));
    }

    /// The fingerprint of what is there.
    async fn probe(&self, node: &Node, kind: Kind) -> Option<u64> {
        let outcome = self.ask(Verb::Probe, node, Kind::Host, None).await;
        let Ok(Reply::Host(view)) = outcome else {
            panic!("{outcome:?}")
        };
        let mut found = view.installed.into_iter().filter(|(k, _)| *k == kind);
        found.next().map(|(_, print)| print)
    }
}

fn backends(nodes: &[Node]) -> Vec<Backend> {
    let backend = |node: &Node| Backend {
        machine: node.machine(),
        address: node.public,
    };
    nodes.iter().map(backend).collect()
}

fn balancer(nodes: &[Node]) -> Spec {
    let forward = |role: &str, port: u16| Forward {
        role: format!("web/{role}"),
        api: port == API,
        port,
        target_port: port,
        backends: backends(nodes),
        check: BackendCheck::default(),
        proxy_protocol: port == TOLD,
        sticky: port == STICKY,
    };
    Spec::Balancer {
        forwards: vec![
            forward("api", API),
            forward("plain", PLAIN),
            forward("told", TOLD),
            forward("sticky", STICKY),
        ],
    }
}

fn connect(at: Ipv4Addr, port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::from((at, port)), Duration::from_secs(3))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(stream)
}

/// One request on a connection of its own; the last line of the answer.
fn get(at: Ipv4Addr, port: u16) -> Result<String, String> {
    let mut stream = connect(at, port).map_err(|error| format!("connect: {error}"))?;
    let mut text = String::new();
    let sent = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
    sent.and_then(|()| stream.read_to_string(&mut text))
        .map_err(|error| error.to_string())?;
    if !text.contains(" 200 ") {
        return Err(format!("no good answer: {text:?}"));
    }
    Ok(text.lines().last().unwrap_or_default().to_owned())
}

/// Asks until it is told to stop; how often, and what failed.
fn load(at: Ipv4Addr, port: u16, stop: &AtomicBool) -> (u32, Vec<String>) {
    let (mut count, mut failed) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        count += 1;
        failed.extend(get(at, port).err());
    }
    (count, failed)
}

async fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("it does not panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_is_reloaded_under_load() {
    let Some(world) = World::start(3).await else {
        return;
    };
    let nodes = &world.net.nodes;
    let (front, at) = (&nodes[0], nodes[0].public);
    let one = balancer(&nodes[1..2]);
    world.make(front, &one).await;
    assert_eq!(
        world.probe(front, Kind::Balancer).await,
        Some(one.fingerprint())
    );
    assert_eq!(get(at, PLAIN).as_deref(), Ok("n2"));

    // A second server comes, under load: nobody notices.
    let mut kept = connect(at, PLAIN).expect("a connection");
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let loads: Vec<_> = (0..4)
        .map(|_| {
            let stop = Arc::clone(&stopped);
            tokio::task::spawn_blocking(move || load(at, PLAIN, &stop))
        })
        .collect();
    let both = balancer(&nodes[1..]);
    for spec in [&both, &one, &both] {
        world.make(front, spec).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut count = 0;
    for load in loads {
        let (asked, failed) = load.await.expect("it does not panic");
        assert_eq!(failed, Vec::<String>::new(), "of {asked}");
        count += asked;
    }
    assert!(count > 100, "{count} requests are no load");
    kept.write_all(b"GET / HTTP/1.0\r\n\r\n")
        .expect("it is open");
    let mut text = String::new();
    kept.read_to_string(&mut text).expect("it is open");
    assert!(text.ends_with("n2"), "{text}");
    drop(kept);

    // Both in turn; who asks is told; and one client has one server, also after a reload.
    let names: std::collections::BTreeSet<_> = (0..6).map(|_| get(at, PLAIN)).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let told = get(at, TOLD).expect("an answer");
    let own = connect(at, TOLD).expect("a connection").local_addr();
    assert_eq!(told, own.expect("an address").ip().to_string());
    let chosen = get(at, STICKY);
    front.by_hand(RELOAD);
    for _ in 0..10 {
        assert_eq!(get(at, STICKY), chosen);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_at_a_server_that_leaves_are_waited_for() {
    let Some(world) = World::start(3).await else {
        return;
    };
    let nodes = &world.net.nodes;
    let (front, at) = (&nodes[0], nodes[0].public);
    let (one, both) = (balancer(&nodes[1..2]), balancer(&nodes[1..]));
    // One of two leads to the server that leaves.
    let open = || -> Vec<TcpStream> {
        let some = (0..2).map(|_| connect(at, PLAIN).expect("a connection"));
        let some: Vec<_> = some.collect();
        std::thread::sleep(Duration::from_millis(200));
        some
    };
    world.make(front, &both).await;
    let under_way = open();
    let begun = Instant::now();
    let ends = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_millis(1_500));
        drop(under_way);
    });
    world.make(front, &one).await;
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_millis(1_400),
        "it did not wait: {took:?}"
    );
    ends.await.expect("it does not panic");

    world.make(front, &both).await;
    let mut kept = open();
    let begun = Instant::now();
    world.make(front, &one).await;
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(3), "it did not wait: {took:?}");
    assert!(
        took < Duration::from_secs(12),
        "it waits no longer: {took:?}"
    );
    for stream in &mut kept {
        stream
            .write_all(b"GET / HTTP/1.0\r\n\r\n")
            .expect("it is open");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("it is open");
        assert!(text.contains(" 200 "), "{text}");
    }
    // Nobody leaves: nobody is waited for.
    let _kept = open();
    let begun = Instant::now();
    world.make(front, &both).await;
    assert!(begun.elapsed() < took, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_without_a_word_is_left() {
    let Some(world) = World::start(3).await else {
        return;
    };
    let nodes = &world.net.nodes;
    let (front, at) = (&nodes[0], nodes[0].public);
    world.make(front, &balancer(&nodes[1..])).await;
    get(at, API).expect_err("it speaks TLS");
    // What is open to it is closed, and new requests go elsewhere.
    let open: Vec<_> = (0..2)
        .map(|_| connect(at, API).expect("a connection"))
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    nodes[1].by_hand("ip link set eth0 down");
    let died = Instant::now();
    let (closed, slowest) = elsewhere(move || {
        let mut slowest = Duration::ZERO;
        for _ in 0..10 {
            let begun = Instant::now();
            assert_eq!(get(at, PLAIN).as_deref(), Ok("n3"));
            slowest = slowest.max(begun.elapsed());
        }
        let mut closed = Vec::new();
        for mut stream in open {
            let limit = NOTICED.saturating_sub(died.elapsed());
            let limit = limit.max(Duration::from_millis(1));
            stream.set_read_timeout(Some(limit)).expect("a limit");
            // An end or a reset; else the limit.
            let read = stream.read(&mut [0]);
            closed.push(matches!(&read, Ok(0)) || read.is_err_and(|e| !timed_out(&e)));
        }
        closed.sort_unstable();
        (closed, slowest)
    })
    .await;
    assert_eq!(closed, [false, true], "one of two led to the dead server");
    assert!(slowest < NOTICED, "{slowest:?}");
    front.by_hand(&format!(
        "curl -sk --max-time 3 https://127.0.0.1:{API}/ | grep -x n3"
    ));
}

fn timed_out(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error.kind(), TimedOut | WouldBlock)
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_by_hand_are_seen_taken_ports_are_said_and_nothing_is_left() {
    let Some(world) = World::start(2).await else {
        return;
    };
    let nodes = &world.net.nodes;
    let (front, at) = (&nodes[0], nodes[0].public);
    let spec = balancer(&nodes[1..]);
    let before = front.by_hand("ls -A /etc /opt /var/lib /run | sort");
    world.make(front, &spec).await;
    let master = front.by_hand("cat /run/quorate-balancer.pid");
    world.make(front, &spec).await;
    assert_eq!(front.by_hand("cat /run/quorate-balancer.pid"), master);

    front.by_hand("echo '# by hand' >>/etc/quorate/balancer.cfg");
    assert_eq!(world.probe(front, Kind::Balancer).await, Some(0));
    world.make(front, &spec).await;
    let print = Some(spec.fingerprint());
    assert_eq!(world.probe(front, Kind::Balancer).await, print);
    front.by_hand(&format!("kill -9 {master}"));
    assert_eq!(world.probe(front, Kind::Balancer).await, Some(0));
    world.make(front, &spec).await;
    assert_eq!(world.probe(front, Kind::Balancer).await, print);

    // Somebody else has a port that is asked for now: the old configuration works on.
    front.by_hand(
        "printf 'defaults\\n mode http\\n timeout client 1s\\nfrontend x\\n bind 127.0.0.1:9000\\n' \
         >/run/other.cfg && haproxy -D -f /run/other.cfg -p /run/other.pid 2>/dev/null",
    );
    let Spec::Balancer { mut forwards } = balancer(&nodes[1..]) else {
        unreachable!("it is one")
    };
    forwards[1].port = 9000;
    let taken = Spec::Balancer { forwards };
    let outcome = world
        .ask(Verb::Update, front, Kind::Balancer, Some(&taken))
        .await;
    let fault = outcome.expect_err("the port is taken");
    assert_eq!(fault.class, FaultClass::Invalid, "{fault}");
    assert!(fault.detail.contains("9000"), "{fault}");
    assert_eq!(world.probe(front, Kind::Balancer).await, print);
    assert_eq!(get(at, PLAIN).as_deref(), Ok("n2"));
    front.by_hand("kill $(cat /run/other.pid); rm /run/other.*");

    let gone = world.ask(Verb::Delete, front, Kind::Balancer, None).await;
    assert_eq!(gone, Ok(Reply::Done));
    assert_eq!(world.probe(front, Kind::Balancer).await, None);
    assert!(get(at, PLAIN).is_err());
    let gone = world.ask(Verb::Delete, front, Kind::Balancer, None).await;
    assert_eq!(gone, Ok(Reply::Done));
    assert_eq!(
        front.by_hand("ls -A /etc /opt /var/lib /run | sort"),
        before
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_prefers_its_own_api_server_and_finds_the_others() {
    let Some(world) = World::start(3).await else {
        return;
    };
    let nodes = &world.net.nodes;
    let own = &nodes[1];
    let hosts = own.by_hand("cat /etc/hosts");
    let spec = Spec::ApiProxy {
        name: "api.example.com".to_owned(),
        port: 7443,
        servers: backends(&nodes[1..]),
    };
    world.make(own, &spec).await;
    assert_eq!(
        world.probe(own, Kind::ApiProxy).await,
        Some(spec.fingerprint())
    );
    let ask = "curl -sk --max-time 3 https://127.0.0.1:7443/";
    for _ in 0..4 {
        assert_eq!(own.by_hand(ask), "n2");
    }
    let names = own.by_hand("grep api.example.com /etc/hosts | cut -d ' ' -f 1");
    assert_eq!(
        names,
        format!("{}\n{}", nodes[1].public, nodes[2].public),
        "the own one is the first"
    );
    own.by_hand("kill $(cat /run/server.pid)");
    let begun = Instant::now();
    while own.by_hand(&format!("{ask} || true")) != "n3" {
        assert!(begun.elapsed() < NOTICED, "the other one is not found");
    }

    own.by_hand("sed -i '/api.example.com/d' /etc/hosts");
    assert_eq!(world.probe(own, Kind::ApiProxy).await, Some(0));
    world.make(own, &spec).await;
    assert_eq!(
        world.probe(own, Kind::ApiProxy).await,
        Some(spec.fingerprint())
    );
    let gone = world.ask(Verb::Delete, own, Kind::Host, None).await;
    assert_eq!(gone, Ok(Reply::Done));
    assert_eq!(own.by_hand("cat /etc/hosts"), hosts);
    assert!(!own.tries(ask));
}
