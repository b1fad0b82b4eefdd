//! Real name servers, started for one test and ended with it.

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Name and secret of the key that may update; a key that may not; and one that is not known.
pub(crate) const KEY: &str = "hmac-sha256:upd:c2VjcmV0IGZvciB0ZXN0cyBvbmx5";
pub(crate) const WRONG: &str = "hmac-sha256:upd:b3RoZXIgc2VjcmV0IGZvciB0ZXN0cw==";
pub(crate) const UNKNOWN: &str = "hmac-sha256:stranger:c2VjcmV0IGZvciB0ZXN0cyBvbmx5";

const SECRET: &str = "c2VjcmV0IGZvciB0ZXN0cyBvbmx5";

const ZONE: &str = "$ORIGIN example.test.\n$TTL 60\n@ SOA ns1 hostmaster 1 3600 600 86400 30\n\
                    @ NS ns1\nns1 A 127.0.0.1\ntaken A 198.51.100.1\n";

/// A daemon and its files.
pub(crate) struct Daemon {
    pub(crate) address: SocketAddr,
    child: Child,
    _place: TempDir,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is free for UDP and TCP.
fn free() -> SocketAddr {
    for _ in 0..100 {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port is free");
}

fn started(program: &str, arguments: &[&str], place: TempDir, address: SocketAddr) -> Daemon {
    let log = fs::File::create(place.path().join("log")).unwrap();
    let child = Command::new(program)
        .args(arguments)
        .current_dir(place.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut daemon = Daemon {
        address,
        child,
        _place: place,
    };
    let since = Instant::now();
    // It listens before it has read its zone.
    while !answers(address) {
        let ended = daemon.child.try_wait().unwrap();
        let said = || fs::read_to_string(daemon._place.path().join("log")).unwrap();
        let late = since.elapsed() > Duration::from_secs(20);
        assert!(ended.is_none() && !late, "{}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
    daemon
}

fn answers(address: SocketAddr) -> bool {
    let (host, port) = (format!("@{}", address.ip()), address.port().to_string());
    let said = Command::new("dig")
        .args([
            &host,
            "-p",
            &port,
            "+short",
            "+norecurse",
            "+tries=1",
            "+time=1",
        ])
        .arg("ns1.example.test")
        .output()
        .expect("dig is there: apt-get install bind9-dnsutils");
    said.stdout.starts_with(b"127.0.0.1")
}

fn found(program: &str) -> Option<String> {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/sbin"];
    let paths = places.map(|place| format!("{place}/{program}"));
    paths.into_iter().find(|path| Path::new(path).exists())
}

/// BIND, if it is installed.
pub(crate) fn bind() -> Option<Daemon> {
    let program = found("named")?;
    let (place, address) = (tempfile::tempdir().unwrap(), free());
    fs::write(place.path().join("zone"), ZONE).unwrap();
    let port = address.port();
    let text = format!(
        "options {{ directory \".\"; listen-on port {port} {{ 127.0.0.1; }}; \
         listen-on-v6 {{ none; }}; pid-file none; session-keyfile none; recursion no; \
         dnssec-validation no; notify no; }};\ncontrols {{ }};\n\
         key upd {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n\
         zone \"example.test\" {{ type primary; file \"zone\"; \
         update-policy {{ grant upd zonesub ANY; }}; }};\n"
    );
    fs::write(place.path().join("named.conf"), text).unwrap();
    Some(started(
        &program,
        &["-c", "named.conf", "-g"],
        place,
        address,
    ))
}

/// Knot, if it is installed.
pub(crate) fn knot() -> Option<Daemon> {
    let program = found("knotd")?;
    let (place, address) = (tempfile::tempdir().unwrap(), free());
    fs::write(place.path().join("example.test.zone"), ZONE).unwrap();
    let (here, port) = (place.path().display(), address.port());
    let text = format!(
        "server:\n  rundir: {here}\n  listen: 127.0.0.1@{port}\n  user: root:root\n\
         log:\n - target: stderr\n   any: info\n\
         database:\n  storage: {here}\n\
         key:\n - id: upd\n   algorithm: hmac-sha256\n   secret: {SECRET}\n\
         acl:\n - id: upd\n   key: upd\n   action: update\n\
         template:\n - id: default\n   storage: {here}\n\
         zone:\n - domain: example.test\n   acl: upd\n"
    );
    fs::write(place.path().join("knot.conf"), text).unwrap();
    Some(started(&program, &["-c", "knot.conf"], place, address))
}
