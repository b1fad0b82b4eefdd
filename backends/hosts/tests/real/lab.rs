//! A real sshd for tests: on a loopback port or in a network namespace, with keys of its own,
//! started by the test and gone with it.

use quorate_engine::resource::ResourceId;
use quorate_hosts::{Key, Machines, Patience, Pins, Reach, Remembered, Settings};
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The program, where it is; else says how to get it.
pub(crate) fn program(name: &str, package: &str) -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/bin"];
    let found = folders
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|p| p.exists());
    if found.is_none() {
        eprintln!("SKIPPED: no {name} here (apt install {package})");
    }
    found
}

/// Runs a program to its end; panics with what it said if it fails.
pub(crate) fn must(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("text")
}

/// An ed25519 key pair in a file; the public half as text.
pub(crate) fn keygen(path: &Path) -> String {
    let text = path.to_str().expect("text");
    must(
        "ssh-keygen",
        &["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", text],
    );
    let public = fs::read_to_string(path.with_extension("pub")).expect("the public half");
    public.trim().to_owned()
}

/// A running sshd.
pub(crate) struct Sshd {
    pub(crate) folder: TempDir,
    pub(crate) address: String,
    pub(crate) port: u16,
    pub(crate) host_key: String,
    process: Child,
    stopped: bool,
}

/// The mark of a cluster that tests use.
pub(crate) const CLUSTER: &str = "shop";
pub(crate) const UID: u64 = 7;

impl Sshd {
    /// On loopback; none where there is no sshd.
    pub(crate) fn start() -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("it has one").port();
        drop(free);
        Self::with(&[], "127.0.0.1", port)
    }

    /// Behind a command that prepares its surroundings, as `ip netns exec NAME`.
    pub(crate) fn with(before: &[&str], address: &str, port: u16) -> Option<Self> {
        let sshd = program("sshd", "openssh-server")?;
        // It insists on this folder, also when nobody separates privileges.
        fs::create_dir_all("/run/sshd").expect("root can");
        let folder = tempfile::Builder::new()
            .prefix("qhosts-")
            .tempdir()
            .expect("a folder");
        let host_key = keygen(&folder.path().join("host"));
        let user_key = keygen(&folder.path().join("user"));
        fs::write(folder.path().join("authorized"), user_key + "\n").expect("written");
        let at = folder.path().display();
        let settings = format!(
            "Port {port}\nListenAddress {address}\nHostKey {at}/host\nPidFile none\n\
             AuthorizedKeysFile {at}/authorized\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nPermitRootLogin yes\nLoginGraceTime 15\n\
             MaxSessions 10\nMaxStartups 100\n"
        );
        fs::write(folder.path().join("settings"), settings).expect("written");
        let mut words: Vec<_> = before.iter().map(|word| (*word).to_owned()).collect();
        words.push(sshd.display().to_string());
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        let process = Command::new(&words[0])
            .args(&words[1..])
            .args(["-D", "-e", "-f"])
            .arg(folder.path().join("settings"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("sshd starts");
        let mut sshd = Self {
            folder,
            address: address.to_owned(),
            port,
            host_key,
            process,
            stopped: false,
        };
        sshd.await_port();
        Some(sshd)
    }

    fn await_port(&mut self) {
        let begun = Instant::now();
        while TcpStream::connect((self.address.as_str(), self.port)).is_err() {
            let ended = self.process.try_wait().expect("a child of ours");
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(ended.is_none(), "sshd ended: {}", log());
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "no sshd: {}",
                log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// How it is reached with the key that it knows.
    pub(crate) fn reach(&self) -> Reach {
        Reach {
            address: self.address.clone(),
            port: Some(self.port),
            user: Some("root".to_owned()),
            key: Key::File(self.folder.path().join("user")),
        }
    }

    /// Processes of its own sessions, without the listening one.
    pub(crate) fn sessions(&self) -> Vec<u32> {
        let parent = self.process.id().to_string();
        let output = Command::new("pgrep").args(["-P", &parent]).output();
        let text = String::from_utf8(output.expect("pgrep runs").stdout).expect("text");
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// The listening process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Its sessions and itself. Once only: its number may be another process's later.
    pub(crate) fn stop(&mut self) {
        if self.stopped {
            return;
        }
        self.stopped = true;
        for session in self.sessions() {
            drop(
                Command::new("kill")
                    .args(["-9", &session.to_string()])
                    .status(),
            );
        }
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Short, so that tests are.
pub(crate) fn patience() -> Patience {
    Patience {
        connect: Duration::from_secs(3),
        keepalive: Duration::from_secs(2),
        idle: Duration::from_secs(30),
    }
}

/// Settings for machines that are found in a list.
pub(crate) fn settings(machines: Vec<(ResourceId, Reach)>) -> (Settings, Arc<Remembered>) {
    let find = move |machine: &ResourceId, _: &[(ResourceId, Ipv4Addr)]| {
        let found = machines.iter().find(|(id, _)| id == machine);
        found.map(|(_, reach)| reach.clone())
    };
    let pins = Arc::new(Remembered::default());
    let machines: Arc<dyn Machines> = Arc::new(find);
    let settings = Settings {
        cluster: CLUSTER.to_owned(),
        uid: UID,
        machines,
        pins: Arc::clone(&pins) as Arc<dyn Pins>,
        agent_binary: None,
        packages: None,
        image_repository: None,
        parallel: 8,
        patience: patience(),
    };
    (settings, pins)
}
