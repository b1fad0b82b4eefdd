//! The server over loopback.

use super::*;
use crate::config::from_lines;
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinHandle;

/// How long something may take that takes milliseconds.
const SOON: Duration = Duration::from_secs(20);

type Heard = Arc<Mutex<Vec<Event>>>;

async fn started(source: Source) -> (Handle, Heard) {
    let heard = Heard::default();
    let log = Arc::clone(&heard);
    let tell: Tell = Arc::new(move |event| log.lock().unwrap().push(event.clone()));
    let settings = Settings {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        source,
        status: Some("127.0.0.1:0".parse().unwrap()),
        workers: 2,
    };
    (serve(settings, tell).await.unwrap(), heard)
}

fn question(name: &str) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_str(name).unwrap(), RecordType::A));
    message.to_vec().unwrap()
}

fn addresses(answer: &[u8]) -> BTreeSet<String> {
    let answer = Message::from_vec(answer).unwrap();
    assert_eq!(answer.metadata.id, 7);
    answer
        .answers
        .iter()
        .map(|record| record.data.to_string())
        .collect()
}

async fn udp(server: SocketAddr, name: &str) -> BTreeSet<String> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&question(name), server).await.unwrap();
    let mut answer = [0; 2_000];
    let length = tokio::time::timeout(SOON, socket.recv(&mut answer)).await;
    addresses(&answer[..length.unwrap().unwrap()])
}

/// Asks until it is so, and says what it was last.
async fn until(server: SocketAddr, name: &str, wanted: &[&str]) -> BTreeSet<String> {
    let since = Instant::now();
    loop {
        let given = udp(server, name).await;
        if given.iter().eq(wanted) || since.elapsed() > SOON {
            return given;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn file(records: &[&str]) -> File {
    let lines: Vec<_> = records.iter().map(|&line| line.to_owned()).collect();
    from_lines("e.test", &[], &lines).unwrap()
}

async fn read(line: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    line.read_exact(&mut length).await.unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    line.read_exact(&mut answer).await.unwrap();
    answer
}

fn framed(packet: &[u8]) -> Vec<u8> {
    let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
    [&length[..], packet].concat()
}

#[tokio::test]
async fn udp_and_tcp_give_the_same() {
    let source = Source::Given(file(&["www A 192.0.2.1", "www A 192.0.2.2"]));
    let (server, _) = started(source).await;
    let at = server.addresses()[0];
    let both: BTreeSet<_> = ["192.0.2.1", "192.0.2.2"].map(str::to_owned).into();
    assert_eq!(udp(at, "www.e.test.").await, both);
    let mut line = TcpStream::connect(at).await.unwrap();
    // Two at once on one connection, and a third in pieces.
    let asked = framed(&question("www.e.test."));
    line.write_all(&[asked.clone(), asked.clone()].concat())
        .await
        .unwrap();
    for _ in 0..2 {
        assert_eq!(addresses(&read(&mut line).await), both);
    }
    for byte in asked {
        line.write_all(&[byte]).await.unwrap();
        line.flush().await.unwrap();
    }
    assert_eq!(addresses(&read(&mut line).await), both);
    // What is no DNS ends the connection, and only that.
    line.write_all(&framed(b"nonsense")).await.unwrap();
    assert_eq!(line.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert_eq!(udp(at, "www.e.test.").await, both);
    assert_eq!(server.counters().queries(), 6);
    server.stop().await;
    assert!(
        TcpStream::connect(at).await.is_err(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn a_new_file_is_served_and_a_bad_one_is_not() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("zones.json");
    let write = |file: &File| std::fs::write(&path, serde_json::to_vec(file).unwrap()).unwrap();
    write(&file(&["www A 192.0.2.1"]));
    let (server, heard) = started(Source::File(path.clone())).await;
    let at = server.addresses()[0];
    assert_eq!(until(at, "www.e.test.", &["192.0.2.1"]).await.len(), 1);
    write(&file(&["www A 192.0.2.7"]));
    server.reload();
    let given = until(at, "www.e.test.", &["192.0.2.7"]).await;
    assert!(given.contains("192.0.2.7"), "{given:?}");
    std::fs::write(&path, "zones: [{zone: e.test, records: nonsense}]").unwrap();
    let since = Instant::now();
    let refused = || {
        let heard = heard.lock().unwrap();
        heard.iter().any(|event| matches!(event, Event::Refused(_)))
    };
    // Nobody says that it has changed: it is seen.
    while !refused() && since.elapsed() < SOON {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(refused(), "{heard:?}");
    assert_eq!(udp(at, "www.e.test.").await.first().unwrap(), "192.0.2.7");
    write(&file(&["www A 192.0.2.8"]));
    assert_eq!(
        until(at, "www.e.test.", &["192.0.2.8"])
            .await
            .first()
            .unwrap(),
        "192.0.2.8"
    );
    server.stop().await;
}

#[tokio::test]
async fn no_query_is_lost_while_files_change() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("zones.json");
    let text = |n: u32| {
        let mut file = file(&[&format!("www A 192.0.2.{n}")]);
        // One client asks as fast as it can.
        file.rate_limit.per_second = 0;
        serde_json::to_vec(&file).unwrap()
    };
    std::fs::write(&path, text(0)).unwrap();
    let (server, heard) = started(Source::File(path.clone())).await;
    let at = server.addresses()[0];
    let asking = tokio::spawn(async move {
        for _ in 0..2_000 {
            assert_eq!(udp(at, "www.e.test.").await.len(), 1);
        }
    });
    for n in 1..=20 {
        let beside = place.path().join("new");
        std::fs::write(&beside, text(n)).unwrap();
        std::fs::rename(&beside, &path).unwrap();
        server.reload();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    asking.await.unwrap();
    let heard = heard.lock().unwrap().clone();
    let loads = heard
        .iter()
        .filter(|event| matches!(event, Event::Loaded(_)))
        .count();
    assert!(loads > 3, "{loads} configurations were served");
}

/// A web server that gives one status, until it is dropped.
struct Backend {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn backend(address: SocketAddr, status: u16) -> Backend {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((mut line, _)) = listener.accept().await {
            let mut heard = [0; 1_000];
            let _ = line.read(&mut heard).await;
            let text = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
            let _ = line.write_all(text.as_bytes()).await;
        }
    });
    Backend { address, task }
}

fn watching(port: u16, protocol: &str, peers: &[SocketAddr]) -> Source {
    let text = format!(
        r#"{{"peers": {}, "zones": [{{"zone": "e.test", "records": [{{"name": "www", "type": "A",
        "values": ["127.0.0.1", "127.0.0.2"], "check": {{"protocol": "{protocol}", "port": {port},
        "interval": "60ms", "timeout": "500ms", "threshold": 2}}}}]}}]}}"#,
        serde_json::to_string(peers).unwrap()
    );
    Source::Given(config::load(text.as_bytes()).unwrap().0)
}

#[tokio::test]
async fn a_dead_address_leaves_and_a_living_one_returns() {
    for protocol in ["tcp", "http"] {
        let one = backend("127.0.0.1:0".parse().unwrap(), 200).await;
        let port = one.address.port();
        let second = SocketAddr::new("127.0.0.2".parse().unwrap(), port);
        let (server, heard) = started(watching(port, protocol, &[])).await;
        let at = server.addresses()[0];
        if protocol == "tcp" {
            // It takes connections and closes them: a load balancer without backends.
            let listener = TcpListener::bind(second).await.unwrap();
            let task = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
            let _closes = Backend {
                address: second,
                task,
            };
            assert_eq!(
                until(at, "www.e.test.", &["127.0.0.1"]).await.len(),
                1,
                "{heard:?}"
            );
        } else {
            let _unready = backend(second, 503).await;
            assert_eq!(
                until(at, "www.e.test.", &["127.0.0.1"]).await.len(),
                1,
                "{heard:?}"
            );
        }
        drop(one);
        let both = ["127.0.0.1", "127.0.0.2"];
        assert_eq!(
            until(at, "www.e.test.", &both).await.len(),
            2,
            "never nobody: {heard:?}"
        );
        let status = reqwest::get(format!("http://{}/status", server.status().unwrap())).await;
        let status: serde_json::Value = status.unwrap().json().await.unwrap();
        assert_eq!(status["allSick"][0], "www.e.test. A", "{status}");
        let _back = backend(SocketAddr::new("127.0.0.1".parse().unwrap(), port), 200).await;
        assert_eq!(
            until(at, "www.e.test.", &["127.0.0.1"]).await.len(),
            1,
            "{heard:?}"
        );
        let heard = heard.lock().unwrap().clone();
        let said = |wanted: fn(&Notice) -> bool| {
            let health = heard
                .iter()
                .filter(|e| matches!(e, Event::Health(n) if wanted(n)));
            health.count()
        };
        assert_eq!(
            said(|n| matches!(n, Notice::AllSick { .. })),
            1,
            "{heard:?}"
        );
        assert_eq!(
            said(|n| matches!(n, Notice::SomeWell { .. })),
            1,
            "{heard:?}"
        );
        server.stop().await;
    }
}

/// Status of another instance, as a fixed text.
async fn told(name: &'static str, port: u16, sick: bool) -> (SocketAddr, JoinHandle<()>) {
    let own = serde_json::json!({"sick": sick, "ageMs": 1});
    let address = |host: &str, own: serde_json::Value| {
        serde_json::json!({"target": format!("tcp://{host}:{port}"), "sick": false, "own": own,
                           "votesAgainst": 0, "votes": 0})
    };
    let well = serde_json::json!({"sick": false, "ageMs": 1});
    let text = serde_json::json!({"instance": name, "zones": [], "allSick": [],
        "addresses": [address("127.0.0.1", own), address("127.0.0.2", well)]});
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let routes = axum::Router::new().route(
        "/status",
        axum::routing::get(move || async move { axum::Json(text) }),
    );
    let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    (at, task)
}

#[tokio::test]
async fn vantage_points_outvote_each_other() {
    let (one, two) = (
        backend("127.0.0.1:0".parse().unwrap(), 200).await,
        TcpListener::bind("127.0.0.2:0").await.unwrap(),
    );
    drop(two);
    let port = one.address.port();
    let _two = backend(SocketAddr::new("127.0.0.2".parse().unwrap(), port), 200).await;
    let mut peers = Vec::new();
    for name in ["first", "second"] {
        peers.push(told(name, port, true).await);
    }
    let addresses: Vec<_> = peers.iter().map(|(at, _)| *at).collect();
    // We see both addresses well; two of three say that the first is not.
    let (server, heard) = started(watching(port, "tcp", &addresses)).await;
    let at = server.addresses()[0];
    assert_eq!(
        until(at, "www.e.test.", &["127.0.0.2"]).await.len(),
        1,
        "{heard:?}"
    );
    // They fall silent: our own eyes count alone.
    for (_, task) in peers {
        task.abort();
    }
    let both = ["127.0.0.1", "127.0.0.2"];
    assert_eq!(until(at, "www.e.test.", &both).await.len(), 2, "{heard:?}");
    server.stop().await;
}

#[tokio::test]
async fn metrics_count_and_an_address_that_is_taken_is_named() {
    let (server, _) = started(Source::Given(file(&["www A 192.0.2.1"]))).await;
    let at = server.addresses()[0];
    udp(at, "www.e.test.").await;
    udp(at, "nope.e.test.").await;
    let metrics = reqwest::get(format!("http://{}/metrics", server.status().unwrap())).await;
    let metrics = metrics.unwrap().text().await.unwrap();
    for line in [
        "quorate_dns_queries_total{transport=\"udp\"} 2",
        "quorate_dns_answers_total{rcode=\"NXDOMAIN\"} 1",
        "quorate_dns_answers_total{rcode=\"NOERROR\"} 1",
        "quorate_dns_all_sick_record_sets 0",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} in {metrics}");
    }
    let settings = Settings {
        listen: vec![at],
        source: Source::Given(file(&["www A 192.0.2.1"])),
        status: None,
        workers: 1,
    };
    let refused = serve(settings, Arc::new(|_| {})).await.err().unwrap();
    assert!(refused.to_string().contains(&at.to_string()), "{refused}");
    server.stop().await;
}
