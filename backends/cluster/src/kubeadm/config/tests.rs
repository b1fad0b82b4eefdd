//! What kubeadm is told, release by release; and, where there is a kubeadm, whether it agrees.

use super::*;
use quorate_engine::graph::Desired;
use quorate_engine::manifest::load;
use quorate_engine::resource::Spec;
use quorate_engine::topology::{Roster, Topology};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

const MANIFEST: &str = "
apiVersion: quorate.dev/v1
kind: Cluster
metadata:
  name: shop
spec:
  kubernetes:
    version: VERSION
    cni: {name: bridge}
    etcd: {heartbeat: 150ms}
    certSans: [203.0.113.9]
    kubelet:
      cgroupDriver: cgroupfs
      evictionHard: {memory.available: 0%}
    kubeProxy: {conntrack: {maxPerCore: 0}}
  providers:
    - {name: lab, type: static}
  nodePools:
    - name: cp
      provider: lab
      roles: [control-plane]
      hosts: [{address: 192.0.2.1}]
    - name: w
      provider: lab
      roles: [worker]
      hosts: [{address: 192.0.2.2}]
";

pub(crate) fn manifest(version: &str) -> Arc<Manifest> {
    let text = MANIFEST.replace("VERSION", version);
    let loaded = load(text.as_bytes(), None);
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    Arc::new(loaded.manifest.expect("it is one"))
}

fn workplace() -> (Vec<(String, String)>, Vec<Taint>) {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let labels = vec![
        label("node-restriction.kubernetes.io/x", "y"),
        label("quorate.dev/pool", "cp"),
        label("topology.kubernetes.io/region", "fsn1"),
    ];
    let taints = vec![Taint {
        key: "node-role.kubernetes.io/control-plane".to_owned(),
        value: String::new(),
        effect: TaintEffect::NoSchedule,
    }];
    (labels, taints)
}

/// All documents of a release: of the first control plane, of another one, of a worker.
fn documents(version: &str) -> [String; 3] {
    let manifest = manifest(version);
    let documents = Documents::of(&manifest).unwrap();
    let (labels, taints) = workplace();
    let place = |name: &str, address: &str| Place {
        name: name.to_owned(),
        address: address.to_owned(),
        labels: &labels,
        taints: &taints,
    };
    let live = Live {
        address: "10.88.0.1",
        heartbeat: "150",
        election: "1500",
        version: documents.release().tag(),
    };
    let mut ticket = Ticket {
        token: "abcdef.0123456789abcdef".to_owned(),
        authority: format!("sha256:{:064}", 7),
        certificate_key: Some(format!("{:064}", 8)),
    };
    let init = documents.init(&place("shop-cp-1", "10.88.0.1"), live);
    let endpoint = "127.0.0.1:7443";
    let plane = documents.join(&place("shop-cp-2", "10.88.0.2"), &ticket, endpoint);
    ticket.certificate_key = None;
    let worker = Place {
        taints: &[],
        ..place("shop-w-1", "10.88.0.3")
    };
    [init, plane, documents.join(&worker, &ticket, endpoint)]
}

fn golden(version: &str) -> PathBuf {
    let name = format!("tests/golden/{version}.yaml");
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[test]
fn every_dialect_says_the_same_in_its_words() {
    for version in ["1.20.2", "1.28.3", "1.31.1", "1.35.0"] {
        let text = documents(version).join("---\n");
        if std::env::var_os("QUORATE_BLESS").is_some() {
            std::fs::write(golden(version), &text).unwrap();
        }
        let kept = std::fs::read_to_string(golden(version)).unwrap();
        assert_eq!(text, kept, "{version}: QUORATE_BLESS=1 takes it over");
    }
}

/// With QUORATE_KUBEADM, the path of an executable: it reads its own release's documents.
#[test]
fn kubeadm_itself_reads_it() {
    let Some(kubeadm) = std::env::var_os("QUORATE_KUBEADM") else {
        eprintln!("SKIPPED: set QUORATE_KUBEADM to the path of a kubeadm to have it read these");
        return;
    };
    let run = |arguments: &[&str]| {
        let output = Command::new(&kubeadm).args(arguments).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {words}");
        assert!(!words.contains("unknown field"), "{arguments:?}: {words}");
        String::from_utf8(output.stdout).unwrap()
    };
    let version = run(&["version", "-o", "short"]);
    let folder = tempfile::tempdir().unwrap();
    for (number, text) in documents(version.trim()).iter().enumerate() {
        let path = folder.path().join(format!("{number}.yaml"));
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap();
        // It has no command that reads a join and does nothing: `migrate` reads old ones only.
        let images = ["config", "images", "list", "--config", path];
        let migrate = ["config", "migrate", "--old-config", path];
        let said = if number == 0 {
            run(&images)
        } else {
            run(&migrate)
        };
        assert!(!said.is_empty(), "document {number}");
    }
}

#[test]
fn certificates_are_made_for_the_names_that_are_asked_for_later() {
    let manifest = manifest("1.35.0");
    let topology = Topology::resolve(&manifest, &Roster::default()).unwrap();
    let desired = Desired::of(Arc::new(topology));
    let ours = Documents::of(&manifest).unwrap().names();
    let mut planes = 0;
    for resource in desired.resources() {
        if let Spec::ControlPlane { names, .. } = &resource.spec {
            assert_eq!(*names, ours);
            planes += 1;
        }
    }
    assert_eq!(planes, 1);
}

#[test]
fn kubelets_give_themselves_only_what_they_may() {
    for (key, may) in [
        ("disk", true),
        ("quorate.dev/pool", true),
        ("example.com/kubernetes.io", true),
        ("notkubernetes.io/x", true),
        ("topology.kubernetes.io/zone", true),
        ("node.kubernetes.io/instance-type", true),
        ("sub.node.kubernetes.io/x", true),
        ("node-role.kubernetes.io/control-plane", false),
        ("node-restriction.kubernetes.io/x", false),
        ("kubernetes.io/x", false),
        ("x.k8s.io/y", false),
    ] {
        assert_eq!(may_label_itself(key), may, "{key}");
    }
}

#[test]
fn nobody_sees_a_ticket_in_a_trace() {
    let ticket = Ticket {
        token: "abcdef.0123456789abcdef".to_owned(),
        authority: String::new(),
        certificate_key: Some("00ff".to_owned()),
    };
    assert_eq!(format!("{ticket:?}"), "Ticket(..)");
}

#[test]
fn the_manifest_has_the_last_word_on_settings_and_only_on_those_it_names() {
    let theirs = json!({"a": {"x": 1}, "b": [2]});
    let Value::Object(theirs) = theirs else {
        unreachable!()
    };
    let ours = json!({"a": {"x": 0, "y": 0}, "b": [0, 0], "c": 0});
    let document = merged(("v", "K"), ours, &theirs);
    let expected = json!({
        "apiVersion": "v", "kind": "K", "a": {"x": 1, "y": 0}, "b": [2], "c": 0
    });
    assert_eq!(Value::Object(document), expected);
}
