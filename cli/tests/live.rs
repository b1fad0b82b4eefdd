//! The program against a simulated cloud on loopback and against bad input: nothing real is touched.

use quorate_engine::journal::{Entry, Ledger};
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{Fault, FaultClass, Verb};
use quorate_live::Store;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const TOKEN: &str = "a-token-that-nobody-may-ever-see";

/// A directory with a manifest, and a simulated cloud.
struct Place {
    dir: tempfile::TempDir,
    cloud: Child,
    endpoint: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.cloud.kill().expect("it was started");
        self.cloud.wait().expect("it ends");
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.env_remove("HCLOUD_TOKEN").stdin(Stdio::null());
    command
}

fn manifest(count: u32, machine_type: &str) -> String {
    format!(
        "apiVersion: quorate.dev/v1\nkind: Cluster\nmetadata: {{ name: shop }}\nspec:\n  \
         providers:\n    - {{ name: htz, type: hetzner, credentials: {{ env: QTOKEN }} }}\n  \
         nodePools:\n    - {{ name: w, provider: htz, region: fsn1, machineType: {machine_type}, \
         image: debian-12, count: {count} }}\n  ssh:\n    credentials: {{ file: key }}\n"
    )
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f", "key"])
            .current_dir(dir.path())
            .status();
        assert!(key.unwrap().success(), "OpenSSH is there");
        let mut cloud = program()
            .args(["sim", "serve", "--provider", "hetzner", "--speed", "100"])
            .args(["--token", TOKEN])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(cloud.stdout.take().unwrap()).lines();
        let endpoint = lines
            .map_while(Result::ok)
            .find_map(|line| {
                let at = line.find("http://")?;
                line[at..].split_whitespace().next().map(str::to_owned)
            })
            .expect("it says where it is");
        Self {
            dir,
            cloud,
            endpoint,
        }
    }

    fn write(&self, text: &str) {
        std::fs::write(self.dir.path().join("shop.yaml"), text).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = program();
        command
            .args(args)
            .current_dir(self.dir.path())
            .env("QTOKEN", TOKEN)
            .env("HCLOUD_ENDPOINT", &self.endpoint);
        command.output().unwrap()
    }

    /// Begins an apply and kills it once so many machines were made: those of a simulated cloud
    /// have no sshd, so such a run can only be ended.
    fn killed_after(&self, machines: usize) {
        let mut child = program()
            .args(["apply", "shop.yaml", "--yes"])
            .current_dir(self.dir.path())
            .env("QTOKEN", TOKEN)
            .env("HCLOUD_ENDPOINT", &self.endpoint)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let made = lines
            .map_while(Result::ok)
            .filter(|line| line.contains(" s  create shop/w/") && !line.contains("waits"))
            .take(machines)
            .count();
        assert_eq!(made, machines, "the machines were made");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

/// Every byte of every file below a directory.
fn bytes(dir: &Path, all: &mut Vec<u8>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            bytes(&path, all);
        } else {
            all.extend(std::fs::read(path).unwrap());
        }
    }
}

#[test]
fn what_can_be_known_before_is_said_before_anything_is_made() {
    let place = Place::new();
    place.write(&manifest(1, "no-such-type"));
    let refused = place.run(&["apply", "shop.yaml", "--yes"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(
        text(&refused).contains("no-such-type"),
        "{}",
        text(&refused)
    );
    place.write(&manifest(1, "cx23"));
    let asked = place.run(&["apply", "shop.yaml"]);
    assert_eq!(asked.status.code(), Some(130), "{}", text(&asked));
    assert!(text(&asked).contains("--yes"), "{}", text(&asked));
    let plan = place.run(&["plan", "shop.yaml", "--json"]);
    assert_eq!(plan.status.code(), Some(2), "{}", text(&plan));
    std::fs::write(place.dir.path().join("plan.json"), &plan.stdout).unwrap();
    place.write(&manifest(2, "cx23"));
    let stale = place.run(&["apply", "shop.yaml", "--plan", "plan.json"]);
    assert_eq!(stale.status.code(), Some(1), "{}", text(&stale));
    assert!(text(&stale).contains("stale"), "{}", text(&stale));
    let status = place.run(&["status", "shop.yaml", "--json"]);
    assert_eq!(status.status.code(), Some(2), "{}", text(&status));
    assert!(!text(&status).contains("\"runs"), "nothing was made");
}

#[test]
fn files_that_a_run_would_want_are_looked_at_before() {
    let place = Place::new();
    let kubernetes = "  kubernetes:\n    version: 1.35.2\n    packages: { directory: releases }\n  \
                      storage: { engine: longhorn, replicas: 1, spread: node, manifest: lh.yaml }\n";
    let machines = manifest(1, "cx23").replace("count:", "roles: [control-plane, worker], count:");
    place.write(&(machines + kubernetes));
    let refused = place.run(&["apply", "shop.yaml", "--yes"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    for wrong in [
        "spec.kubernetes.packages.directory: releases has no bin/kubeadm, no bin/kubelet",
        "spec.kubernetes.cni.manifest: Cilium has no manifest of its own",
        "spec.storage.manifest: lh.yaml: No such file",
    ] {
        assert!(text(&refused).contains(wrong), "{}", text(&refused));
    }
    let status = place.run(&["status", "shop.yaml", "--json"]);
    assert!(!text(&status).contains("\"runs"), "nothing was made");
}

#[test]
fn a_run_that_is_killed_is_taken_up_and_destroy_leaves_nothing_and_no_secret_is_kept() {
    let place = Place::new();
    place.write(&manifest(2, "cx23"));
    place.killed_after(2);
    let shown = place.run(&["state", "show", "--state", ".quorate/shop"]);
    assert!(text(&shown).contains("shop/w/2"), "{}", text(&shown));
    let same = place.run(&["replay", "--journal", ".quorate/shop"]);
    assert_eq!(same.status.code(), Some(0), "{}", text(&same));
    let again = place.run(&["plan", "shop.yaml"]);
    assert!(
        !text(&again).contains("create shop/w/1 "),
        "{}",
        text(&again)
    );
    let gone = place.run(&["destroy", "--state", ".quorate/shop", "--yes"]);
    assert_eq!(gone.status.code(), Some(0), "{}", text(&gone));
    let nothing = place.run(&["destroy", "shop.yaml", "--yes"]);
    assert!(
        text(&nothing).contains("nothing to do"),
        "{}",
        text(&nothing)
    );
    let mut kept = Vec::new();
    bytes(&place.dir.path().join(".quorate"), &mut kept);
    for output in [shown, same, again, gone, nothing] {
        kept.extend(text(&output).into_bytes());
    }
    let private = std::fs::read_to_string(place.dir.path().join("key")).unwrap();
    let private = private.lines().nth(1).unwrap();
    for secret in [TOKEN, private] {
        let found = kept
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!found, "a secret is kept");
    }
    let named = kept.windows(6).any(|window| window == b"QTOKEN");
    assert!(named, "the search finds what is there");
}

#[test]
fn a_lost_state_begins_again_from_the_labels() {
    let place = Place::new();
    place.write(&manifest(0, "cx23").replace("count: 0", "count: 1"));
    let nobody = place.run(&["adopt", "shop.yaml"]);
    assert_eq!(nobody.status.code(), Some(1), "{}", text(&nobody));
    place.killed_after(1);
    std::fs::rename(
        place.dir.path().join(".quorate"),
        place.dir.path().join("lost"),
    )
    .unwrap();
    let foreign = place.run(&["apply", "shop.yaml", "--yes"]);
    assert_eq!(foreign.status.code(), Some(1), "{}", text(&foreign));
    assert!(text(&foreign).contains("shop-w-1"), "{}", text(&foreign));
    std::fs::remove_dir_all(place.dir.path().join(".quorate")).unwrap();
    let adopted = place.run(&["adopt", "shop.yaml"]);
    assert_eq!(adopted.status.code(), Some(0), "{}", text(&adopted));
    let gone = place.run(&["destroy", "shop.yaml", "--yes"]);
    assert_eq!(gone.status.code(), Some(0), "{}", text(&gone));
    assert!(text(&gone).contains("delete shop/w/1"), "{}", text(&gone));
}

/// A host of one's own where nobody listens, as if it had been prepared once.
fn prepare(state: &Path, machine: &ResourceId) {
    let mut store = Store::open(state, "shop", "quorate test").unwrap();
    let mut ledger = Ledger::replay(&store.journal().unwrap());
    let host = machine.child("host");
    let begun = Entry::RunStarted {
        run: ledger.runs + 1,
        plan: 1,
        steps: 1,
    };
    ledger.apply(&begun);
    let started = Entry::Started {
        run: ledger.runs,
        step: 0,
        resource: host.clone(),
        verb: Verb::Create,
        key: ledger.key(&host, Verb::Create),
        attempt: 1,
    };
    let finished = |outcome| Entry::Finished {
        run: ledger.runs,
        step: 0,
        resource: host.clone(),
        verb: Verb::Create,
        outcome,
    };
    let doubt = Fault::new(FaultClass::Unknown, "no answer");
    let entries = [
        begun.clone(),
        started.clone(),
        finished(Err(doubt)),
        started.clone(),
        finished(Ok(())),
    ];
    store.append(&entries).unwrap();
}

#[test]
fn a_dead_machine_is_forgotten_and_a_live_one_is_not() {
    let place = Place::new();
    let state = place.dir.path().join(".quorate/shop");
    let rack = "    - { name: rack, type: static }\n  nodePools:\n    - { name: own, provider: rack, \
                hosts: [{ address: 127.0.0.1, sshPort: 1 }] }\n";
    let both = manifest(1, "cx23").replace("  nodePools:\n", rack);
    place.write(&both);
    place.killed_after(1);
    let own = ResourceId::new("shop/own/1");
    prepare(&state, &own);

    let forget = |args: &[&str]| {
        let common = ["forget", "--state", ".quorate/shop"];
        let output = place.run(&[&common, args].concat());
        (output.status.code(), text(&output))
    };
    let before = Store::view(&state).unwrap().journal().unwrap();
    for (machine, why) in [
        ("shop/own/9", "nothing is known of shop/own/9"),
        ("shop/w/1", "provider htz lists shop/w/1"),
    ] {
        let (code, said) = forget(&[machine]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(why), "{said}");
    }
    let (code, said) = forget(&["shop/w/1", "--host-key"]);
    assert_eq!(code, Some(0), "{said}");
    let journal = || Store::view(&state).unwrap().journal().unwrap();
    assert_eq!(journal(), before, "nothing is forgotten yet");

    let (code, said) = forget(&["shop/own/1", "--reason", "burnt down"]);
    assert_eq!(code, Some(0), "{said}");
    let Some(Entry::Forgotten {
        machine, reason, ..
    }) = journal().pop()
    else {
        panic!("{:?}", journal().last())
    };
    assert_eq!((machine, reason.as_str()), (own, "burnt down"));
    let shown = text(&place.run(&["state", "show", "--state", ".quorate/shop"]));
    let line = shown.lines().find(|line| line.contains("burnt down"));
    assert!(
        line.is_some_and(|line| line.contains("shop/own/1")),
        "{shown}"
    );
    let same = place.run(&["replay", "--journal", ".quorate/shop"]);
    assert_eq!(same.status.code(), Some(0), "{}", text(&same));

    // By force even what lives.
    let (code, said) = forget(&["shop/w/1", "--force"]);
    assert_eq!(code, Some(0), "{said}");
    let ledger = Ledger::read(&journal()).unwrap();
    assert!(!ledger.knows(&ResourceId::new("shop/w/1")));
}

#[test]
fn what_this_version_cannot_make_is_refused_with_what_can_be_done() {
    let place = Place::new();
    let three = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../scenarios/manifests/three-clouds.yaml"
    );
    let refused = place.run(&["apply", three, "--yes"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    let said = text(&refused);
    assert!(said.contains("simulation work for every type"), "{said}");
    let offline = place.run(&["plan", three, "--offline"]);
    assert_eq!(offline.status.code(), Some(2), "{}", text(&offline));
}
