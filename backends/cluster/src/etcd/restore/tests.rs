use super::*;
use crate::Snapshots;
use crate::fake::{Etcd, Lab, access, call, credentials, plane};
use quorate_engine::seam::Verb;
use std::fs;
use std::net::{SocketAddr, SocketAddrV4};
use std::process::{Command, Stdio};
use std::sync::Arc;

#[test]
fn all_are_halted_before_one_begins_anew() {
    let file = Path::new("s.db");
    let planes: Vec<_> = (1..=3).map(plane).collect();
    let steps = restore_plan(file, &plane(2), &planes);
    let text: Vec<_> = steps.iter().map(ToString::to_string).collect();
    let expected = [
        "halt etcd and the API server on shop/cp/1",
        "halt etcd and the API server on shop/cp/3",
        "halt etcd and the API server on shop/cp/2",
        "bring s.db to shop/cp/2",
        "make a cluster of one member of it on shop/cp/2",
        "start etcd and the API server on shop/cp/2",
    ];
    assert_eq!(text, expected);
}

/// Does a step on this machine, in a folder.
fn act(step: &RestoreStep, places: &Places<'_>, peer: &str) -> Result<(), String> {
    let job = job(step, places, peer).with("Q_OWNER", "shop 0000000000000007 x".to_owned());
    let mut shell = Command::new("sh");
    shell.args(["-c", &job.text()]).stdin(Stdio::null());
    if let Some(file) = job.input {
        shell.stdin(fs::File::open(file).unwrap());
    }
    let output = shell.output().unwrap();
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{:?} {said}", output.status.code()))
}

const POD: &str = "spec:\n  containers:\n  - command:\n    - etcd\n    \
    - --initial-cluster=a=https://192.0.2.1:2380,b=https://192.0.2.2:2380\n    \
    - --initial-cluster-state=existing\n    image: registry.k8s.io/etcd:3.5.15-0\n";

/// The manifest of etcd names nobody else.
fn stands_alone(kube: &str, peer: &str) {
    let pod = fs::read_to_string(format!("{kube}/manifests/etcd.yaml")).unwrap();
    assert!(
        pod.contains(&format!("--initial-cluster=shop-cp-1={peer}\n")),
        "{pod}"
    );
    assert!(pod.contains("--initial-cluster-state=new\n"), "{pod}");
}

#[tokio::test]
async fn a_snapshot_becomes_a_cluster_of_one() {
    if !Etcd::there() {
        return;
    }
    let mut etcd = Etcd::found(3);
    let mut lab = Lab::default();
    let member = SocketAddr::from((etcd.address(1), 2379));
    lab.routes.insert(
        (plane(1), SocketAddrV4::new(Ipv4Addr::LOCALHOST, 2379)),
        member,
    );
    lab.credentials.insert(plane(1), credentials(&etcd.pki));
    let access = access(&Arc::new(lab));
    let folder = tempfile::Builder::new()
        .prefix("quorate-restore-")
        .tempdir()
        .unwrap();
    let here = |name: &str| folder.path().join(name).display().to_string();

    etcd.ctl(1, &["put", "kept", "1"]).unwrap();
    let addresses = call(Verb::Cluster, &plane(1), &[plane(1)]).addresses;
    let to = Snapshots::new(here("snapshots"), 3);
    let taken = access.snapshot(&addresses, &to).await.unwrap();
    assert!(taken.revision > 1 && taken.bytes > 10_000, "{taken:?}");
    etcd.ctl(1, &["put", "late", "1"]).unwrap();

    let (kube, data, keep) = (here("kube"), etcd.data(1), here("keep"));
    fs::create_dir_all(format!("{kube}/manifests")).unwrap();
    fs::write(format!("{kube}/manifests/etcd.yaml"), POD).unwrap();
    let places = Places {
        kube: &kube,
        data: &data,
        keep: &keep,
    };
    let peer = format!("https://{}:2380", etcd.address(1));
    let steps = restore_plan(&taken.path, &plane(1), &[plane(1)]);
    let [halt, bring, restore, start] = &steps[..] else {
        panic!("{steps:?}")
    };
    let early = act(restore, &places, &peer).unwrap_err();
    assert!(early.contains("the snapshot is not here yet"), "{early}");
    act(bring, &places, &peer).unwrap();
    let running = act(restore, &places, &peer).unwrap_err();
    assert!(
        running.starts_with("Some(75)") && running.contains("still runs"),
        "{running}"
    );
    (1..=3).for_each(|member| etcd.kill(member));
    for step in [halt, halt, bring, restore, restore, start] {
        act(step, &places, &peer).unwrap_or_else(|why| panic!("{step}: {why}"));
    }
    stands_alone(&kube, &peer);

    etcd.start(1, "new", &[1]);
    etcd.await_leader(1);
    assert_eq!(
        etcd.ctl(1, &["get", "kept", "--print-value-only"]).unwrap(),
        "1\n"
    );
    assert_eq!(
        etcd.ctl(1, &["get", "late", "--print-value-only"]).unwrap(),
        ""
    );
    let members = etcd.ctl(1, &["member", "list"]).unwrap();
    assert_eq!(members.lines().count(), 1, "{members}");
    let old = fs::read_dir(&keep).unwrap().flatten();
    let kept = |name: &str| name.starts_with("member-");
    let kept = old
        .filter(|entry| kept(&entry.file_name().to_string_lossy()))
        .count();
    assert_eq!(kept, 1, "what was there before is kept");
}

#[test]
fn a_damaged_snapshot_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.db");
    fs::write(&file, [7; 600]).unwrap();
    let keep = folder.path().join("keep").display().to_string();
    let places = Places {
        kube: &keep,
        data: &keep,
        keep: &keep,
    };
    let steps = restore_plan(&file, &plane(1), &[plane(1)]);
    let said = act(&steps[1], &places, "https://192.0.2.1:2380").unwrap_err();
    assert!(
        said.starts_with("Some(65)") && said.contains("damaged"),
        "{said}"
    );
}
