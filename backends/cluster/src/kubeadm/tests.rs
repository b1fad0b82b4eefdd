//! Jobs as they reach a machine: real scripts, in rooms of their own where kubeadm, kubectl,
//! systemctl and containerd's client are played by scripts in `tests/stand-ins`.
//!
//! Rooms are mount namespaces: that needs root, and `unshare` of util-linux.

mod node;
mod plane;

use super::config::Documents;
use super::config::tests::manifest;
use super::jobs::{Jobs, Part, State};
use super::*;
use quorate_engine::resource::Kind;
use quorate_hosts::{Job, Output};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const OWNER: &str = "shop 0000000000000007 shop/cp/1";
const VERSION: &str = "1.28.3";
const TOKEN: &str = "abcdef.0123456789abcdef";

/// A machine's directories, and what plays on it.
struct Room {
    folder: tempfile::TempDir,
    manifest: Arc<Manifest>,
}

/// A room; none where there cannot be one.
fn room() -> Option<Room> {
    let able = Command::new("unshare").args(["-m", "true"]).status();
    if !able.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: scripts run in mount namespaces: needs root and `unshare`");
        return None;
    }
    let folder = tempfile::Builder::new()
        .prefix("quorate-room-")
        .tempdir()
        .unwrap();
    let room = Room {
        folder,
        manifest: manifest(VERSION),
    };
    for path in ["etc/quorate", "lib/quorate", "run/stand-in", "opt", "bin"] {
        std::fs::create_dir_all(room.path(path)).unwrap();
    }
    let stand_ins = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stand-ins");
    for entry in stand_ins.read_dir().unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), room.path("bin").join(entry.file_name())).unwrap();
    }
    room.put("etc/quorate/owner", &format!("{OWNER}\n"));
    room.play("version", &format!("v{VERSION}"));
    room.play("kubelet", &format!("v{VERSION}"));
    room.play("ready", "True kubelet is posting ready status");
    room.play(
        "kube-proxy",
        "data:\n    server: https://api.shop.internal:6443\n",
    );
    Some(room)
}

impl Room {
    fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    fn put(&self, inside: &str, text: &str) {
        let path = self.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn play(&self, what: &str, text: &str) {
        self.put(&format!("run/stand-in/{what}"), text);
    }

    fn read(&self, inside: &str) -> String {
        std::fs::read_to_string(self.path(inside)).unwrap_or_default()
    }

    /// What was called since this was asked the last time, without questions.
    fn calls(&self) -> Vec<String> {
        let all = self.read("run/stand-in/calls");
        self.play("calls", "");
        let asks = |line: &&str| line.contains("version -o") || line.contains("images list");
        let told = all.lines().filter(|line| !asks(line));
        told.map(|line| {
            line.replace("--config ", "")
                .split(" /run")
                .next()
                .unwrap()
                .to_owned()
        })
        .collect()
    }

    fn documents(&self) -> Documents<'_> {
        Documents::of(&self.manifest).unwrap()
    }

    fn jobs(&self) -> Jobs {
        Jobs::on(&ResourceId::new("shop/cp/1"), &self.documents())
    }

    fn init(&self) -> Job<'static> {
        let documents = self.documents();
        let address = "10.88.0.1".to_owned();
        let workplace = registered(&self.manifest, &ResourceId::new("shop/cp/1"));
        let place = place(&ResourceId::new("shop/cp/1"), &address, &workplace);
        let live = Live {
            address: &address,
            heartbeat: "100",
            election: "1000",
            version: documents.release().tag(),
        };
        let config = documents.init(&place, live);
        self.jobs().init(config, &documents.names(), 0xabc)
    }

    fn join(&self, part: Part, state: State) -> Job<'static> {
        let documents = self.documents();
        let ticket = Ticket {
            token: TOKEN.to_owned(),
            authority: "sha256:7".to_owned(),
            certificate_key: (part == Part::ControlPlane).then(|| format!("{:064}", 8)),
        };
        let workplace = registered(&self.manifest, &ResourceId::new("shop/cp/1"));
        let place = place(&ResourceId::new("shop/cp/1"), "10.88.0.2", &workplace);
        let config = joining(&documents, &place, Some(&ticket));
        self.jobs().join(part, state, config, 0xdef)
    }

    /// Starts a job as a machine does.
    fn start(&self, job: Job<'_>) -> Child {
        let root = self.folder.path().display();
        let mounts = [
            ("lib", "/var/lib"),
            ("run", "/run"),
            ("opt", "/opt"),
            ("bin", "/usr/local/bin"),
        ];
        // Of /etc only two folders are ours; everything else of the machine's is seen as it is.
        let mut script = format!(
            "set -e\nmkdir -p {root}/upper {root}/over {root}/etc/kubernetes\n\
             mount -t tmpfs tmpfs {root}/over\nmkdir {root}/over/upper {root}/over/aside\n\
             mount -t overlay overlay \
             -o lowerdir={root}/etc:/etc,upperdir={root}/over/upper,workdir={root}/over/aside \
             {root}/upper\n\
             mount --bind {root}/etc/kubernetes {root}/upper/kubernetes\n\
             mount --rbind {root}/upper /etc\n"
        );
        for (from, to) in mounts {
            script.push_str(&format!("mount --bind {root}/{from} {to}\n"));
        }
        script.push_str("exec sh -s");
        let mut child = Command::new("unshare")
            .args(["-m", "--propagation", "private", "sh", "-c", &script])
            .env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let text = job.with("Q_OWNER", OWNER.to_owned()).text();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        child
    }

    /// Does a job: what it printed, or its code and its words.
    fn run(&self, job: Job<'_>) -> Result<Output, (i32, String)> {
        let output = self.start(job).wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let stderr = text(output.stderr);
        match output.status.code() {
            Some(0) => Ok(Output {
                stdout: text(output.stdout),
                stderr,
            }),
            code => Err((code.unwrap_or(-1), stderr)),
        }
    }

    /// All that is written anywhere in the room, but for what played kubeadm keeps for us.
    fn everything(&self) -> String {
        let mut folders = vec![self.folder.path().to_owned()];
        let mut all = String::new();
        while let Some(folder) = folders.pop() {
            for entry in folder.read_dir().unwrap() {
                let path = entry.unwrap().path();
                if path.ends_with("stand-in") || path.ends_with("bin") {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else {
                    all.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap()));
                }
            }
        }
        all
    }
}

/// Waits until something is so.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn every_script_is_understood_by_a_posix_shell() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut count = 0;
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let status = Command::new("sh").arg("-n").arg(&path).status().unwrap();
        assert!(status.success(), "{}", path.display());
        count += 1;
    }
    assert!(count > 8, "{count} scripts");
}

#[test]
fn no_word_of_a_ticket_is_in_a_fault() {
    let ticket = Ticket {
        token: TOKEN.to_owned(),
        authority: String::new(),
        certificate_key: Some("00ff".to_owned()),
    };
    let said = format!("kubeadm join --token {TOKEN} --certificate-key 00ff failed");
    let fault = Fault::new(FaultClass::Retryable, said);
    let fault = without_secrets(fault, Some(&ticket));
    assert_eq!(
        fault.detail,
        "kubeadm join --token (secret) --certificate-key (secret) failed"
    );
}
