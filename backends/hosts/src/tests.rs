//! Which job follows from which call, with machines that are plain data.

use super::*;
use quorate_engine::mesh::{PeerFact, Reach as At};
use quorate_engine::resource::{PodBridge, Resource};
use quorate_engine::seam::{Key as CallKey, Lane};
use std::collections::VecDeque;
use std::sync::Mutex;

/// Says what it was told to say, and remembers what it was asked.
struct Script {
    says: Mutex<VecDeque<Result<String, Fault>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Debug, Clone)]
struct Asked {
    title: &'static str,
    arguments: Vec<(&'static str, String)>,
    input: bool,
    mutates: bool,
}

impl Runner for Script {
    async fn run(&self, _: &ResourceId, _: &Reach, job: &Job<'_>) -> Result<Output, Fault> {
        self.asked.lock().unwrap().push(Asked {
            title: job.title,
            arguments: job.arguments.clone(),
            input: job.input.is_some(),
            mutates: job.mutates,
        });
        let said = self.says.lock().unwrap().pop_front();
        let stdout = said.expect("no more jobs than expected")?;
        Ok(Output {
            stdout,
            stderr: String::new(),
        })
    }

    async fn tunnel(&self, _: &ResourceId, _: &Reach, to: SocketAddrV4) -> Result<Tunnel, Fault> {
        Err(Fault::new(FaultClass::Retryable, format!("no way to {to}")))
    }
}

type Seen = Arc<Mutex<Vec<Asked>>>;

fn hosts(says: &[&str], agent: Option<PathBuf>, known: bool) -> (Hosts<Script>, Seen) {
    hosts_with(says, agent, known, None)
}

fn hosts_with(
    says: &[&str],
    agent: Option<PathBuf>,
    known: bool,
    packages: Option<Packages>,
) -> (Hosts<Script>, Seen) {
    let asked = Seen::default();
    let says = says.iter().map(|text| Ok((*text).to_owned())).collect();
    let script = Script {
        says: Mutex::new(says),
        asked: Arc::clone(&asked),
    };
    let reach = move |_: &ResourceId, _: &[(ResourceId, Ipv4Addr)]| {
        known.then(|| Reach {
            address: "192.0.2.1".to_owned(),
            port: None,
            user: None,
            key: Key::Agent,
        })
    };
    let settings = Settings {
        cluster: "shop".to_owned(),
        uid: 7,
        machines: Arc::new(reach),
        pins: Arc::<Remembered>::default(),
        agent_binary: agent,
        packages,
        image_repository: None,
        parallel: 1,
        patience: Patience::default(),
    };
    (Hosts::over(script, settings), asked)
}

fn call(verb: Verb, spec: Option<Spec>, kind: Kind, peers: &[PeerFact]) -> Call {
    let target = ResourceId::new("shop/w/1").child(kind.on_machine().unwrap_or("x"));
    let resource = spec.map(|spec| {
        Arc::new(Resource {
            id: target.clone(),
            provider: "lab".to_owned(),
            spec,
        })
    });
    Call {
        lane: Lane::Hosts,
        verb,
        target,
        kind,
        resource,
        key: CallKey(1),
        addresses: Vec::new(),
        peers: peers.into(),
    }
}

fn peer() -> Spec {
    Spec::Peer {
        address: Ipv4Addr::new(10, 88, 0, 1),
        port: 51820,
        mtu: 1420,
        underlay: "lab".to_owned(),
        dial_out: false,
        pods: None,
    }
}

fn kubernetes(version: &str) -> Spec {
    Spec::Host {
        kubernetes: version.to_owned(),
        pods: Some(PodBridge {
            subnet: "10.244.7.0/24".parse().unwrap(),
            all: "10.244.0.0/16".parse().unwrap(),
            mtu: 1420,
        }),
    }
}

fn facts() -> Vec<PeerFact> {
    let fact = |n: u8| {
        let reach = At {
            public: Some(Ipv4Addr::new(192, 0, 2, n)),
            private: None,
        };
        let machine = ResourceId::new(format!("shop/w/{n}"));
        PeerFact::new(&machine, &peer(), MeshKey([n; 32]), reach).unwrap()
    };
    vec![fact(1), fact(2)]
}

fn argument<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    let found = asked.arguments.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| value.as_str())
}

#[tokio::test]
async fn every_job_says_whose_machine_it_is_and_whether_it_changes_it() {
    let host = Spec::Host {
        kubernetes: String::new(),
        pods: None,
    };
    let links = Spec::Links { keepalive_s: 25 };
    let balancer = Spec::Balancer {
        forwards: Vec::new(),
    };
    let proxy = Spec::ApiProxy {
        name: "api.shop.internal".to_owned(),
        port: 7443,
        servers: Vec::new(),
    };
    let key = format!("key {}", MeshKey([1; 32]));
    for (verb, kind, spec) in [
        (Verb::Probe, Kind::Host, None),
        (Verb::Create, Kind::Host, Some(host.clone())),
        (Verb::Update, Kind::Host, Some(host)),
        (Verb::Create, Kind::Peer, Some(peer())),
        (Verb::Update, Kind::Links, Some(links)),
        (Verb::Create, Kind::Host, Some(kubernetes("v1.35.2"))),
        (Verb::Create, Kind::Balancer, Some(balancer.clone())),
        (Verb::Update, Kind::Balancer, Some(balancer)),
        (Verb::Create, Kind::ApiProxy, Some(proxy)),
        (Verb::Delete, Kind::Balancer, None),
        (Verb::Delete, Kind::ApiProxy, None),
        (Verb::Delete, Kind::Host, None),
        (Verb::Delete, Kind::Peer, None),
        (Verb::Delete, Kind::Links, None),
    ] {
        let (hosts, asked) = hosts(&[&key], None, true);
        let outcome = hosts.call(&call(verb, spec, kind, &facts())).await;
        assert!(outcome.is_ok(), "{verb} {kind}: {outcome:?}");
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), 1, "one request, one answer");
        assert_eq!(
            argument(&asked[0], "Q_OWNER"),
            Some("shop 0000000000000007 shop/w/1")
        );
        assert_eq!(asked[0].mutates, verb != Verb::Probe, "{verb} {kind}");
    }
}

#[tokio::test]
async fn a_machine_that_wants_the_agent_gets_it_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "abc").unwrap();
    let key = format!("key {}", MeshKey([5; 32]));
    let says = ["wants agent\n", "", &key];
    let (hosts, asked) = hosts(&says, Some(file.path().to_owned()), true);
    let outcome = hosts
        .call(&call(Verb::Create, Some(peer()), Kind::Peer, &[]))
        .await;
    let view = HostView {
        installed: vec![(Kind::Peer, peer().fingerprint())],
        mesh_key: Some(MeshKey([5; 32])),
    };
    assert_eq!(outcome, Ok(Reply::Host(view)));
    let asked = asked.lock().unwrap();
    let titles: Vec<_> = asked
        .iter()
        .map(|asked| (asked.title, asked.input))
        .collect();
    let make = ("make the mesh peer", false);
    assert_eq!(titles, [make, ("bring the mesh agent", true), make]);
    // FIPS 180-2, appendix B.1.
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert!(
        asked
            .iter()
            .all(|asked| argument(asked, "Q_AGENT") == Some(digest))
    );
}

#[tokio::test]
async fn packages_from_here_are_brought_to_whoever_wants_them() {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("bin")).unwrap();
    std::fs::write(folder.path().join("bin/kubeadm"), "x").unwrap();
    let path = folder.path().to_str().unwrap().to_owned();
    let says = ["wants packages\n", "", "", ""];
    let packages = Some(Packages::Directory(path));
    let (hosts, asked) = hosts_with(&says, None, true, packages);
    let spec = kubernetes("v1.35.2");
    let create = call(Verb::Create, Some(spec.clone()), Kind::Host, &[]);
    for _ in 0..2 {
        assert_eq!(hosts.call(&create).await, Ok(Reply::Done));
    }
    let asked = asked.lock().unwrap();
    let titles: Vec<_> = asked.iter().map(|a| (a.title, a.input)).collect();
    let prepare = ("prepare the machine for Kubernetes", false);
    let bring = ("bring the packages of Kubernetes", true);
    assert_eq!(titles, [prepare, bring, prepare, prepare]);
    let digest = argument(&asked[0], "Q_FROM").unwrap();
    assert_eq!(digest.len(), 64);
    assert!(asked.iter().all(|a| argument(a, "Q_FROM") == Some(digest)));
    for (name, value) in [
        ("Q_KUBERNETES", "1.35.2"),
        ("Q_SOURCE", "directory"),
        ("Q_REGISTRY", ""),
        ("Q_PODS", "10.244.7.0/24 10.244.0.0/16"),
        ("Q_PRINT", &format!("{:016x}", spec.fingerprint())),
    ] {
        assert_eq!(argument(&asked[0], name), Some(value), "{name}");
    }
    let net = argument(&asked[0], "Q_POD_NET").unwrap();
    for part in [r#""subnet": "10.244.7.0/24""#, r#""mtu": 1420"#] {
        assert!(net.contains(part), "{net}");
    }
}

#[tokio::test]
async fn packages_that_do_not_stay_are_not_brought_for_ever() {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("bin")).unwrap();
    std::fs::write(folder.path().join("bin/kubeadm"), "x").unwrap();
    let path = folder.path().to_str().unwrap().to_owned();
    let says = ["wants packages\n", "", "wants packages\n"];
    let (hosts, _) = hosts_with(&says, None, true, Some(Packages::Directory(path)));
    let create = call(Verb::Create, Some(kubernetes("1.35.2")), Kind::Host, &[]);
    let fault = hosts.call(&create).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Retryable);
}

#[tokio::test]
async fn a_node_knows_where_its_packages_are() {
    let url = "https://example.com/k.tar.gz".to_owned();
    let path = "/opt/kubernetes".to_owned();
    for (packages, source, from) in [
        (None, "repository", "https://pkgs.k8s.io/core:/stable:"),
        (Some(Packages::Archive(url.clone())), "archive", &*url),
        (
            Some(Packages::Preinstalled(path.clone())),
            "preinstalled",
            &*path,
        ),
    ] {
        let (hosts, asked) = hosts_with(&[""], None, true, packages);
        let create = call(Verb::Create, Some(kubernetes("1.35.2")), Kind::Host, &[]);
        assert_eq!(hosts.call(&create).await, Ok(Reply::Done));
        let asked = asked.lock().unwrap();
        assert_eq!(argument(&asked[0], "Q_SOURCE"), Some(source));
        assert_eq!(argument(&asked[0], "Q_FROM"), Some(from));
    }
}

#[tokio::test]
async fn a_peer_without_a_key_is_no_peer() {
    for said in ["", "key nonsense\n"] {
        let (hosts, _) = hosts(&[said], None, true);
        let outcome = hosts
            .call(&call(Verb::Create, Some(peer()), Kind::Peer, &[]))
            .await;
        assert_eq!(outcome.unwrap_err().class, FaultClass::Retryable);
    }
}

#[tokio::test]
async fn links_carry_the_fingerprint_of_the_whole_table() {
    let (hosts, asked) = hosts(&[""], None, true);
    let spec = Spec::Links { keepalive_s: 25 };
    let links = call(Verb::Create, Some(spec.clone()), Kind::Links, &facts());
    assert_eq!(hosts.call(&links).await, Ok(Reply::Done));
    let asked = asked.lock().unwrap();
    let list = argument(&asked[0], "Q_LINKS").unwrap();
    let print = links_print(
        spec.fingerprint(),
        table_print(&table_of(&facts())),
        &ResourceId::new("shop/w/1"),
    );
    let (read, peers) = links::read(list).unwrap();
    assert_eq!(read, print);
    assert_eq!(
        peers.into_keys().collect::<Vec<_>>(),
        [MeshKey([2; 32]).to_string()]
    );
}

#[tokio::test]
async fn what_cannot_be_done_is_said_without_a_connection() {
    let etcd = Spec::EtcdMember {
        heartbeat_ms: 100,
        election_ms: 1000,
        address: [10, 88, 0, 1].into(),
    };
    let links = Spec::Links { keepalive_s: 25 };
    let missing = PathBuf::from("/nonexistent/quorate");
    let cases = [
        (
            Verb::Create,
            Kind::Host,
            Some(kubernetes("1.33")),
            FaultClass::Invalid,
        ),
        (
            Verb::Create,
            Kind::EtcdMember,
            Some(etcd),
            FaultClass::Invalid,
        ),
        (Verb::Delete, Kind::Worker, None, FaultClass::Invalid),
        (Verb::Drain, Kind::Worker, None, FaultClass::Invalid),
        (Verb::Create, Kind::Host, None, FaultClass::Invalid),
        (Verb::Create, Kind::Peer, Some(peer()), FaultClass::Invalid),
        (Verb::Create, Kind::Links, Some(links), FaultClass::Busy),
    ];
    for (verb, kind, spec, class) in cases {
        let (hosts, _) = hosts(&[], Some(missing.clone()), true);
        let fault = hosts.call(&call(verb, spec, kind, &[])).await.unwrap_err();
        assert_eq!(fault.class, class, "{verb} {kind}: {fault}");
    }
    let (hosts, _) = hosts(&[], None, false);
    let fault = hosts
        .call(&call(Verb::Probe, None, Kind::Host, &[]))
        .await
        .unwrap_err();
    assert_eq!(fault.class, FaultClass::Busy);
    assert!(fault.detail.contains("shop/w/1"));
}
