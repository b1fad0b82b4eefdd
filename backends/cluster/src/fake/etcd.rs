//! Real etcd, each member at a loopback address of its own, with TLS as kubeadm sets it up.

use quorate_engine::resource::ResourceId;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A certificate authority and one certificate for everybody.
pub(crate) struct Pki {
    folder: TempDir,
}

impl Pki {
    pub(crate) fn new(addresses: &[Ipv4Addr]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("quorate-pki-")
            .tempdir()
            .unwrap();
        let names = addresses
            .iter()
            .map(|at| format!(",IP:{at}"))
            .collect::<String>();
        let extensions = format!(
            "subjectAltName=DNS:kubernetes,DNS:localhost,IP:127.0.0.1{names}\n\
             extendedKeyUsage=serverAuth,clientAuth\n"
        );
        fs::write(folder.path().join("ext"), extensions).unwrap();
        let script = "set -e
            openssl ecparam -genkey -name prime256v1 -noout | openssl pkcs8 -topk8 -nocrypt >ca.key
            openssl req -x509 -new -key ca.key -subj /CN=ca -days 2 -out ca.crt
            openssl ecparam -genkey -name prime256v1 -noout | openssl pkcs8 -topk8 -nocrypt \
                >node.key
            openssl req -new -key node.key -subj /O=system:masters/CN=node -out node.csr
            openssl x509 -req -in node.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
                -extfile ext -out node.crt";
        let made = Command::new("sh")
            .args(["-c", script])
            .current_dir(folder.path())
            .output()
            .expect("there is a shell");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        Self { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn text(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).unwrap()
    }
}

/// Clusters of this process so far.
static FOUNDED: AtomicU32 = AtomicU32::new(0);

/// Members of one cluster.
pub(crate) struct Etcd {
    pub(crate) pki: Pki,
    folder: TempDir,
    net: (u8, u8),
    processes: Vec<(u32, Child)>,
}

impl Etcd {
    /// Whether etcd and openssl are there; says so where not.
    pub(crate) fn there() -> bool {
        let there = |program: &str| {
            let mut asked = Command::new(program);
            let asked = asked
                .arg("version")
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            asked.status().is_ok()
        };
        let all = there("etcd") && there("etcdctl") && there("openssl");
        if !all {
            eprintln!("SKIPPED: apt-get install etcd-server etcd-client openssl");
        }
        all
    }

    /// Members `shop-cp-1` to `shop-cp-N`, which found a cluster together.
    pub(crate) fn found(count: u32) -> Self {
        // Its own addresses, whether tests run as processes or as threads of one.
        let number = std::process::id() + FOUNDED.fetch_add(1, Ordering::Relaxed);
        let net = ((number % 100) as u8 + 100, (number / 100 % 250) as u8);
        let all: Vec<_> = (1..=9)
            .map(|n| Ipv4Addr::new(127, net.0, net.1, n))
            .collect();
        let mut etcd = Self {
            pki: Pki::new(&all),
            folder: tempfile::Builder::new()
                .prefix("quorate-etcd-")
                .tempdir()
                .unwrap(),
            net,
            processes: Vec::new(),
        };
        let members: Vec<_> = (1..=count).collect();
        for member in &members {
            etcd.start(*member, "new", &members);
        }
        etcd.await_leader(1);
        etcd
    }

    /// A member's mesh address.
    pub(crate) fn address(&self, member: u32) -> Ipv4Addr {
        Ipv4Addr::new(127, self.net.0, self.net.1, member as u8)
    }

    fn url(&self, member: u32, port: u16) -> String {
        format!("https://{}:{port}", self.address(member))
    }

    /// Starts a member's process, which knows of these.
    pub(crate) fn start(&mut self, member: u32, state: &str, members: &[u32]) {
        let pki = |file: &str| self.pki.path().join(file).display().to_string();
        let (client, peer) = (self.url(member, 2379), self.url(member, 2380));
        let name = |n: &u32| format!("shop-cp-{n}={}", self.url(*n, 2380));
        let cluster = members.iter().map(name).collect::<Vec<_>>().join(",");
        let log = fs::File::create(self.folder.path().join(format!("log{member}"))).unwrap();
        let mut etcd = Command::new("etcd");
        etcd.args(["--name", &format!("shop-cp-{member}")])
            .arg("--data-dir")
            .arg(self.folder.path().join(member.to_string()))
            .args([
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
            ])
            .args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
            ])
            .args([
                "--initial-cluster",
                &cluster,
                "--initial-cluster-state",
                state,
            ])
            .args([
                "--cert-file",
                &pki("node.crt"),
                "--key-file",
                &pki("node.key"),
            ])
            .args(["--trusted-ca-file", &pki("ca.crt"), "--client-cert-auth"])
            .args([
                "--peer-cert-file",
                &pki("node.crt"),
                "--peer-key-file",
                &pki("node.key"),
            ])
            .args([
                "--peer-trusted-ca-file",
                &pki("ca.crt"),
                "--peer-client-cert-auth",
            ])
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.processes
            .push((member, etcd.spawn().expect("etcd starts")));
    }

    /// Where a member's data are.
    pub(crate) fn data(&self, member: u32) -> String {
        self.folder
            .path()
            .join(member.to_string())
            .display()
            .to_string()
    }

    /// Kills a member's process.
    pub(crate) fn kill(&mut self, member: u32) {
        for (_, process) in self
            .processes
            .extract_if(.., |(number, _)| *number == member)
        {
            end(process);
        }
    }

    /// What `etcdctl` says, asked at a member.
    pub(crate) fn ctl(&self, member: u32, arguments: &[&str]) -> Result<String, String> {
        let pki = |file: &str| self.pki.path().join(file);
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .arg("--endpoints")
            .arg(self.url(member, 2379))
            .arg("--cacert")
            .arg(pki("ca.crt"))
            .arg("--cert")
            .arg(pki("node.crt"))
            .arg("--key")
            .arg(pki("node.key"))
            .args(arguments)
            .output()
            .expect("etcdctl is there");
        if output.status.success() {
            Ok(String::from_utf8(output.stdout).unwrap())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Adds a learner that is not started.
    pub(crate) fn add_learner(&self, member: u32) {
        let url = format!("--peer-urls={}", self.url(member, 2380));
        let name = format!("shop-cp-{member}");
        let limit = Instant::now() + Duration::from_secs(30);
        // Members count from 5 s on; until then etcd takes nobody in.
        loop {
            match self.ctl(1, &["member", "add", &name, "--learner", &url]) {
                Ok(_) => return,
                Err(why) => assert!(Instant::now() < limit, "{why}"),
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// Waits until a member can write.
    pub(crate) fn await_leader(&self, member: u32) {
        let limit = Instant::now() + Duration::from_secs(60);
        while let Err(why) = self.ctl(member, &["put", "q", "1"]) {
            assert!(Instant::now() < limit, "{why}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The member that leads.
    pub(crate) fn leader(&self) -> u32 {
        let running = self.processes.iter().map(|(number, _)| *number);
        let leads = |member: &u32| {
            let text = self.ctl(*member, &["endpoint", "status", "-w", "json"]);
            let text = text.unwrap_or_default();
            let status: Option<serde_json::Value> = serde_json::from_str(&text).ok();
            status.is_some_and(|status| {
                let status = &status[0]["Status"];
                status["leader"] == status["header"]["member_id"]
            })
        };
        running.filter(leads).min().expect("somebody leads")
    }

    /// The machine of a member.
    pub(crate) fn machine(member: u32) -> ResourceId {
        super::plane(member)
    }
}

fn end(mut process: Child) {
    process.kill().unwrap();
    process.wait().unwrap();
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for (_, process) in self.processes.drain(..) {
            end(process);
        }
    }
}
