//! Against a real libvirt, where its socket is there.

use super::{Libvirt, ask, machine, network, sample, site};
use crate::Provider as _;
use crate::conformance::conform;
use quorate_engine::resource::Resource;
use quorate_engine::seam::{FaultClass, Reply, Verb};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

const SOCKET: &str = "/var/run/libvirt/libvirt-sock";

/// Whether a real libvirt is here; says so where it is not.
pub(super) fn libvirt_is_here(test: &str) -> bool {
    let here = std::os::unix::net::UnixStream::connect(SOCKET).is_ok();
    if !here {
        eprintln!(
            "SKIPPED {test}: no libvirt behind {SOCKET}: install libvirt-daemon-system, \
             start libvirtd"
        );
    }
    here
}

/// A name that no other run has at this time.
pub(super) fn cluster(what: &str) -> String {
    format!("qlv{what}{}", std::process::id())
}

#[tokio::test]
async fn the_mock_of_libvirt_passes_the_conformance_suite() {
    if !libvirt_is_here("conformance on test:///default") {
        return;
    }
    let cluster = cluster("t");
    let [ours, theirs] = [1, 2].map(|uid| Libvirt::new(site(&cluster, uid, "test:///default")));
    let sample = sample(&cluster, "10.219.1.0/24", ("", &theirs));
    assert_eq!(conform(&ours, sample).await, Vec::<String>::new());
}

pub(super) async fn made(
    libvirt: &Libvirt,
    resource: &Arc<Resource>,
) -> quorate_engine::seam::Seen {
    match ask(libvirt, Verb::Create, resource).await {
        Ok(Reply::Seen(seen)) => seen,
        other => panic!("{}: {other:?}", resource.id),
    }
}

pub(super) async fn remove(libvirt: &Libvirt, resources: &[&Arc<Resource>]) {
    for resource in resources {
        let gone = ask(libvirt, Verb::Delete, resource).await;
        assert_eq!(gone, Ok(Reply::Done), "{}", resource.id);
    }
}

#[tokio::test]
async fn addresses_run_out_in_words() {
    if !libvirt_is_here("addresses on test:///default") {
        return;
    }
    let cluster = cluster("a");
    let libvirt = Libvirt::new(site(&cluster, 1, "test:///default"));
    let net = network(&cluster, "10.219.5.0/29");
    let wall = super::firewall(&cluster, &[]);
    made(&libvirt, &net).await;
    made(&libvirt, &wall).await;
    let machines: Vec<_> = (0..6)
        .map(|n| machine(&cluster, n, ("1x128MiB", "")))
        .collect();
    let mut addresses = std::collections::BTreeSet::new();
    for one in &machines[..5] {
        assert!(addresses.insert(made(&libvirt, one).await.address.unwrap()));
    }
    let full = ask(&libvirt, Verb::Create, &machines[5]).await.unwrap_err();
    assert_eq!(full.class, FaultClass::Quota);
    assert!(full.detail.contains("10.219.5.0/29"), "{}", full.detail);
    remove(&libvirt, &[&machines[2]]).await;
    made(&libvirt, &machines[5]).await;
    let all: Vec<_> = machines.iter().chain([&wall, &net]).collect();
    remove(&libvirt, &all).await;
}

#[tokio::test]
async fn what_is_wrong_is_told_beforehand() {
    if !libvirt_is_here("preflight") {
        return;
    }
    let cluster = cluster("p");
    let told = async |endpoint: &str, wanted: &[Arc<Resource>]| {
        let libvirt = Libvirt::new(site(&cluster, 1, endpoint));
        let problems = libvirt.preflight(wanted).await;
        let lines = problems.iter().map(|p| format!("{}: {}\n", p.what, p.fix));
        lines.collect::<String>()
    };
    let net = network(&cluster, "192.168.122.0/25");
    let one = |size: &str, image: &str| vec![machine(&cluster, 1, (size, image))];
    let small: Vec<_> = (0..7)
        .map(|n| machine(&cluster, n, ("1x1GiB", "")))
        .chain([network(&cluster, "10.219.6.0/29")])
        .collect();
    let cases = [
        ("test:///default", vec![net], "192.168.122.0/24"),
        ("test:///default", one("cx22", ""), "2x4GiB"),
        ("test:///default", small, "addresses for 5"),
        ("xen:///system", one("1x1GiB", ""), "endpoint is wrong"),
        (
            "qemu:///system?socket=/nowhere/sock",
            one("1x1GiB", ""),
            "/nowhere/sock",
        ),
        (
            "qemu:///system?pool=qlvnone",
            one("1x1GiB", "x"),
            "pool-define-as qlvnone",
        ),
        (
            "lxc:///system",
            one("1x1GiB", "/nowhere"),
            "/nowhere is not a folder",
        ),
    ];
    for (endpoint, wanted, said) in cases {
        let lines = told(endpoint, &wanted).await;
        assert!(lines.contains(said), "{endpoint}: {lines}");
    }
}

/// A stand-in for ssh that runs the command on this host.
fn ssh(folder: &Path, script: &str) -> String {
    let path = folder.join("ssh");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn libvirt_is_reached_through_ssh() {
    if !libvirt_is_here("libvirt through ssh") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cluster = cluster("h");
    let endpoint = "test+ssh://root@far:2222/default";
    let mut libvirt = Libvirt::new(site(&cluster, 1, endpoint));
    let words = folder.path().join("words").display().to_string();
    let script = format!("echo \"$@\" >{words}; for last; do :; done; exec sh -c \"$last\"");
    libvirt.ssh = ssh(folder.path(), &script);
    let net = network(&cluster, "10.219.9.0/24");
    made(&libvirt, &net).await;
    remove(&libvirt, &[&net]).await;
    let words = fs::read_to_string(words).unwrap();
    assert!(
        words.contains("BatchMode=yes") && words.contains("-p 2222 -- root@far "),
        "{words}"
    );
}

#[tokio::test]
async fn what_ssh_complains_of_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut libvirt = Libvirt::new(site("shop", 1, "qemu+ssh://far/system"));
    libvirt.ssh = ssh(
        folder.path(),
        "echo 'root@far: Permission denied (publickey).' >&2; exit 255",
    );
    let fault = ask(&libvirt, Verb::Create, &network("shop", "10.0.0.0/24"))
        .await
        .unwrap_err();
    assert_eq!(fault.class, FaultClass::Retryable, "nothing was asked yet");
    assert!(
        fault.detail.contains("Permission denied (publickey)"),
        "{}",
        fault.detail
    );
    let problems = libvirt.preflight(&[]).await;
    assert!(problems[0].fix.contains("ssh far virsh"), "{problems:?}");
}
