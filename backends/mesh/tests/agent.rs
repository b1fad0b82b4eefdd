//! The whole agent in network namespaces, configured by `wg`: what users get.
//!
//! Needs root, /dev/net/tun, `ip`, `wg` and `ping`; where one is missing a test says so and does
//! nothing. Processes inside a namespace are this very program in another role.

use quorate_mesh::agent::{AgentError, Settings, run};
use quorate_mesh::keys::PrivateKey;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What a process inside a namespace is: `agent INTERFACE`, `sink ADDRESS` or `source ADDRESS`.
const ROLE: &str = "QUORATE_TEST_ROLE";
const STREAM_BYTES: usize = 32 << 20;
const PORT: &str = "51820";

fn missing() -> Option<&'static str> {
    let found = |program: &str, arg: &str| {
        let mut command = Command::new(program);
        let quiet = command.arg(arg).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok()
    };
    let root = Command::new("id").arg("-u").output();
    if !root.is_ok_and(|id| id.stdout == b"0\n") {
        return Some("root, to make namespaces and interfaces");
    }
    if !Path::new("/dev/net/tun").exists() {
        return Some("/dev/net/tun (modprobe tun)");
    }
    let programs = [
        ("ip", "-V", "ip (package iproute2)"),
        ("wg", "--version", "wg (package wireguard-tools)"),
        ("ping", "-V", "ping (package iputils-ping)"),
    ];
    let absent = programs
        .iter()
        .find(|(program, arg, _)| !found(program, arg));
    absent.map(|(_, _, how)| *how)
}

fn ran(command: &mut Command) -> Output {
    let output = command.output().expect("a program that was there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output
}

fn ip(args: &str) {
    ran(Command::new("ip").args(args.split(' ')));
}

fn wg(args: &[&str]) -> String {
    let output = ran(Command::new("wg").args(args));
    String::from_utf8(output.stdout).expect("text")
}

fn soon(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{what}: not within 20 s"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One side of the laboratory.
struct Side {
    netns: String,
    interface: String,
    key: PrivateKey,
    agent: Child,
}

impl Side {
    fn role(netns: &str, role: &str) -> Child {
        let program = std::env::current_exe().expect("this program");
        let mut command = Command::new("ip");
        command.args(["netns", "exec", netns]).arg(program);
        command.args([
            "--exact",
            "a_process_in_a_namespace",
            "--ignored",
            "--nocapture",
        ]);
        let piped = command
            .env(ROLE, role)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        piped.spawn().expect("a process")
    }

    /// An agent of its own name in the namespace that the name begins with.
    fn start(tag: &str, name: &str) -> Self {
        let netns = format!("quorate-{tag}{}", &name[..1]);
        let interface = format!("q{tag}{name}");
        let agent = Self::role(&netns, &format!("agent {interface}"));
        let key = PrivateKey::generate().expect("entropy");
        let side = Self {
            netns,
            interface,
            key,
            agent,
        };
        soon("a configuration socket", || side.socket().exists());
        side
    }

    fn socket(&self) -> PathBuf {
        Path::new("/var/run/wireguard").join(format!("{}.sock", self.interface))
    }

    /// As an administrator would: a file for `wg setconf`, an address, up.
    fn configure(&self, peer: &Self, address: &str, behind: &str, endpoint: &str) {
        let (private, public) = (self.key.secret_text(), peer.key.public());
        let text = format!(
            "[Interface]\nPrivateKey = {private}\nListenPort = {PORT}\n\
             [Peer]\nPublicKey = {public}\nAllowedIPs = {behind}\n\
             Endpoint = {endpoint}:{PORT}\n"
        );
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        let path = file.path().to_str().expect("a plain path").to_owned();
        wg(&["setconf", &self.interface, &path]);
        // The same once more, as reloads do.
        wg(&["syncconf", &self.interface, &path]);
        let (netns, interface) = (&self.netns, &self.interface);
        ip(&format!("-n {netns} address add {address} dev {interface}"));
        ip(&format!("-n {netns} link set {interface} up"));
    }

    fn ping(&self, size: &str, to: &str) -> bool {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.netns, "ping", "-c1", "-W2", "-Mdo"]);
        let quiet = command
            .args(["-s", size, to])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        quiet.status().expect("ping").success()
    }

    /// Ends the agent as a service manager does, and says how it ended.
    fn stop(mut self) -> Output {
        let pid = self.agent.id().to_string();
        ran(Command::new("kill").args(["-TERM", &pid]));
        self.agent.wait().expect("its end");
        self.ended()
    }

    fn ended(self) -> Output {
        self.agent.wait_with_output().expect("its output")
    }
}

/// Two namespaces with a wire between them; gone when dropped.
struct Lab {
    tag: String,
}

impl Lab {
    fn new(test: &str) -> Self {
        let tag = format!("{}{test}", std::process::id() % 100_000);
        let lab = Self { tag };
        let tag = &lab.tag;
        for side in ["a", "b"] {
            ip(&format!("netns add quorate-{tag}{side}"));
        }
        ip(&format!(
            "link add wire netns quorate-{tag}a type veth peer name wire netns quorate-{tag}b"
        ));
        for (side, last) in [("a", 1), ("b", 2)] {
            let netns = format!("quorate-{tag}{side}");
            ip(&format!(
                "-n {netns} address add 192.0.2.{last}/24 dev wire"
            ));
            ip(&format!(
                "-n {netns} address add fd00:2::{last}/64 dev wire nodad"
            ));
            ip(&format!("-n {netns} link set wire up"));
            ip(&format!("-n {netns} link set lo up"));
        }
        lab
    }

    fn sides(&self) -> [Side; 2] {
        ["a", "b"].map(|name| Side::start(&self.tag, name))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for side in ["a", "b"] {
            let netns = format!("quorate-{}{side}", self.tag);
            let inside = Command::new("ip").args(["netns", "pids", &netns]).output();
            let pids = inside.map(|output| output.stdout).unwrap_or_default();
            for pid in String::from_utf8_lossy(&pids).split_whitespace() {
                let _ended = Command::new("kill").args(["-KILL", pid]).status();
            }
            let _gone = Command::new("ip")
                .args(["netns", "delete", &netns])
                .status();
        }
    }
}

/// Runs a test where it can run, and says loudly where it cannot.
fn in_lab(test: &str, body: impl FnOnce(&Lab)) {
    match missing() {
        Some(what) => eprintln!("SKIPPED: this test needs {what}"),
        None => body(&Lab::new(test)),
    }
}

#[test]
#[ignore = "is started by the other tests, inside a namespace"]
fn a_process_in_a_namespace() {
    let role = std::env::var(ROLE).expect("a role");
    match role.split_once(' ').expect("a role and what for") {
        ("agent", interface) => {
            let mut settings = Settings::new(interface);
            // One side with one worker, the other with several queues and sockets.
            settings.workers = NonZeroUsize::new(if interface.ends_with('b') { 3 } else { 1 });
            run(&settings).expect("an agent");
        }
        ("sink", address) => {
            let listener = TcpListener::bind(address).expect("an address of ours");
            let (mut stream, _) = listener.accept().expect("a source");
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).expect("the stream");
            assert!(bytes == stream_bytes(), "{} bytes, or others", bytes.len());
        }
        ("source", address) => {
            let mut stream = TcpStream::connect(address).expect("the sink");
            stream.write_all(&stream_bytes()).expect("sent");
        }
        (other, _) => panic!("no such role: {other}"),
    }
}

/// Bytes that repeat after no period of any segment's size.
fn stream_bytes() -> Vec<u8> {
    let mut state = 1_u64;
    let byte = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..STREAM_BYTES).map(byte).collect()
}

#[test]
fn two_agents_carry_packets_and_leave_nothing_behind() {
    in_lab("p", |lab| {
        let [a, b] = lab.sides();
        let mode = a
            .socket()
            .metadata()
            .expect("a socket")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        a.configure(&b, "10.88.0.1/24", "10.88.0.2/32,fd88::2/128", "192.0.2.2");
        b.configure(&a, "10.88.0.2/24", "10.88.0.1/32,fd88::1/128", "192.0.2.1");
        assert!(a.ping("56", "10.88.0.2"));
        // 1,420 bytes of MTU less 28 of IP and ICMP; the next larger one does not fit.
        assert!(b.ping("1392", "10.88.0.1"));
        assert!(!b.ping("1393", "10.88.0.1"));
        let handshakes = wg(&["show", &a.interface, "latest-handshakes"]);
        let second = handshakes.split_whitespace().nth(1).map(str::parse::<u64>);
        assert!(matches!(second, Some(Ok(1..))), "{handshakes}");
        let port = wg(&["show", &a.interface, "listen-port"]);
        assert_eq!(port.trim(), PORT);

        let sink = Side::role(&b.netns, "sink 10.88.0.2:7000");
        soon("a stream", || {
            let source = Side::role(&a.netns, "source 10.88.0.2:7000");
            source.wait_with_output().expect("its end").status.success()
        });
        let sunk = sink.wait_with_output().expect("its end");
        let said = String::from_utf8_lossy(&sunk.stdout).into_owned();
        assert!(sunk.status.success(), "{said}");

        let (netns, interface, socket) = (a.netns.clone(), a.interface.clone(), a.socket());
        assert!(a.stop().status.success());
        assert!(!socket.exists());
        let mut show = Command::new("ip");
        let show = show
            .args(["-n", &netns, "link", "show", &interface])
            .output();
        assert!(
            !show.expect("ip").status.success(),
            "the interface is still there"
        );
        assert!(b.stop().status.success());
    });
}

#[test]
fn peers_meet_over_ipv6_and_after_one_of_them_moved() {
    in_lab("r", |lab| {
        let [a, b] = lab.sides();
        a.configure(&b, "10.88.0.1/24", "10.88.0.2/32", "[fd00:2::2]");
        b.configure(&a, "10.88.0.2/24", "10.88.0.1/32", "[fd00:2::1]");
        assert!(a.ping("56", "10.88.0.2"));
        // Another port while packets flow: b follows without being told.
        wg(&["set", &a.interface, "listen-port", "51999"]);
        assert!(a.ping("56", "10.88.0.2"));
        let endpoints = wg(&["show", &b.interface, "endpoints"]);
        assert!(
            endpoints.trim().ends_with("[fd00:2::1]:51999"),
            "{endpoints}"
        );
        assert!(b.ping("56", "10.88.0.1"));
        assert!(a.stop().status.success() && b.stop().status.success());
    });
}

#[test]
fn a_port_in_use_is_refused_and_nothing_changes() {
    in_lab("u", |lab| {
        let [a, b] = lab.sides();
        let second = Side::start(&lab.tag, "a2");
        wg(&["set", &a.interface, "listen-port", PORT]);
        let before = wg(&["show", &second.interface, "listen-port"]);
        assert_ne!(before.trim(), "0");
        let mut taken = Command::new("wg");
        let taken = taken.args(["set", &second.interface, "listen-port", PORT, "fwmark", "9"]);
        let refused = taken.output().expect("wg");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            !refused.status.success() && said.contains("in use"),
            "{said}"
        );
        assert_eq!(wg(&["show", &second.interface, "listen-port"]), before);
        assert_eq!(wg(&["show", &second.interface, "fwmark"]).trim(), "off");
        for side in [a, b, second] {
            assert!(side.stop().status.success());
        }
    });
}

#[test]
fn an_interface_removed_by_somebody_ends_the_agent() {
    in_lab("d", |lab| {
        let [a, b] = lab.sides();
        ip(&format!("-n {} link delete {}", a.netns, a.interface));
        let (socket, mut a) = (a.socket(), a);
        soon("its end", || a.agent.try_wait().expect("a child").is_some());
        let ended = a.ended();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(
            !ended.status.success() && said.contains("Removed"),
            "{said}"
        );
        assert!(!socket.exists());
        assert!(b.stop().status.success());
    });
}

#[test]
fn names_that_linux_refuses_are_refused_first() {
    for name in ["", "sixteen-letters-", "a/b", "a b", "..", "a%d"] {
        let mut settings = Settings::new(name);
        settings.socket_dir = tempfile::tempdir().expect("a directory").path().to_owned();
        let refused = run(&settings);
        assert!(
            matches!(refused, Err(AgentError::Name(_))),
            "{name}: {refused:?}"
        );
    }
}

#[test]
fn a_name_that_another_agent_answers_for_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("qtaken.sock");
    let _listening = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    let mut settings = Settings::new("qtaken");
    settings.socket_dir = dir.path().to_owned();
    assert!(matches!(run(&settings), Err(AgentError::Running(at)) if at == path));
    assert!(path.exists(), "the other agent's socket is left alone");
}
