//! Against a real libvirt, where its socket is there.

use super::{Libvirt, ask, list_of, machine, network, sample, site};
use crate::conformance::conform;
use crate::{Provider as _, libvirt::uri::Target};
use quorate_engine::resource::Resource;
use quorate_engine::seam::{FaultClass, MachineState, Reply, Verb};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const SOCKET: &str = "/var/run/libvirt/libvirt-sock";

/// Whether a real libvirt is here; says so where it is not.
fn libvirt_is_here(test: &str) -> bool {
    let here = std::os::unix::net::UnixStream::connect(SOCKET).is_ok();
    if !here {
        eprintln!(
            "SKIPPED {test}: no libvirt behind {SOCKET}: install libvirt-daemon-system, start libvirtd"
        );
    }
    here
}

/// A name that no other run has at this time.
fn cluster(what: &str) -> String {
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

/// The smallest system that libvirt starts: busybox, and an init that says what it found.
fn image(folder: &Path) -> Option<String> {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .find(|path| {
            let linked = Command::new("ldd").arg(path).output();
            Path::new(path).exists() && linked.is_ok_and(|said| !said.status.success())
        })?;
    for name in [
        "etc/ssh", "usr/bin", "sbin", "proc", "sys", "dev", "run", "root", "tmp",
    ] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    fs::copy(busybox, folder.join("usr/bin/busybox")).unwrap();
    let init = "#!/usr/bin/busybox sh\n\
        b=/usr/bin/busybox\n\
        { $b ls -l /dev/net/tun; $b mknod /tmp/tun c 10 200 && echo made; $b ip -4 addr; $b ip route; } \
        >/found 2>&1\n\
        $b mv /found /ready\n\
        while :; do $b sleep 1000; done\n";
    fs::write(folder.join("sbin/init"), init).unwrap();
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.join("sbin/init"), executable).unwrap();
    fs::write(folder.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    fs::write(folder.join("etc/ssh/ssh_host_rsa_key"), "the image's own").unwrap();
    Some(folder.display().to_string())
}

/// Where containers can be made, a folder with their image and a URI.
async fn lxc(test: &str) -> Option<(tempfile::TempDir, String, String)> {
    if !libvirt_is_here(test) {
        return None;
    }
    let folder = tempfile::Builder::new()
        .prefix("qlibvirt")
        .tempdir()
        .unwrap();
    // Others than root go through it.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let Some(image) = image(&folder.path().join("image")) else {
        eprintln!("SKIPPED {test}: no static busybox: install busybox-static");
        return None;
    };
    let roots = folder.path().join("roots").display().to_string();
    let uri = format!("lxc:///system?forward=open&roots={roots}");
    let target = Target::parse(&uri).unwrap();
    if let Err(trouble) = super::super::Session::open(&target, "ssh").await {
        eprintln!(
            "SKIPPED {test}: no containers ({trouble}): install libvirt-daemon-driver-lxc and be root"
        );
        return None;
    }
    Some((folder, image, uri))
}

#[tokio::test]
async fn containers_pass_the_conformance_suite() {
    let Some((folder, image, uri)) = lxc("conformance on lxc:///system").await else {
        return;
    };
    let cluster = cluster("c");
    let [ours, theirs] = [1, 2].map(|uid| Libvirt::new(site(&cluster, uid, &uri)));
    let sample = sample(&cluster, "10.219.2.0/24", (&image, &theirs));
    assert_eq!(conform(&ours, sample).await, Vec::<String>::new());
    let left = fs::read_dir(folder.path().join("roots")).unwrap().count();
    assert_eq!(left, 0, "no root file system is left");
}

async fn made(libvirt: &Libvirt, resource: &Arc<Resource>) -> quorate_engine::seam::Seen {
    match ask(libvirt, Verb::Create, resource).await {
        Ok(Reply::Seen(seen)) => seen,
        other => panic!("{}: {other:?}", resource.id),
    }
}

async fn remove(libvirt: &Libvirt, resources: &[&Arc<Resource>]) {
    for resource in resources {
        let gone = ask(libvirt, Verb::Delete, resource).await;
        assert_eq!(gone, Ok(Reply::Done), "{}", resource.id);
    }
}

#[tokio::test]
async fn a_container_has_its_address_its_keys_and_a_tun_device() {
    let Some((folder, image, uri)) = lxc("a container from inside").await else {
        return;
    };
    let cluster = cluster("i");
    let libvirt = Libvirt::new(site(&cluster, 1, &format!("{uri}&firewall=none")));
    let net = network(&cluster, "10.219.3.0/24");
    let wall = super::firewall(&cluster, &[]);
    let one = machine(&cluster, 1, ("1x128MiB", &image));
    made(&libvirt, &net).await;
    made(&libvirt, &wall).await;
    let seen = made(&libvirt, &one).await;
    let root = folder
        .path()
        .join(format!("roots/{cluster}-0000000000000001/{cluster}_w_1"));
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap_or_default();
    for _ in 0..100 {
        if !read("ready").is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let found = read("ready");
    let key = read("etc/ssh/ssh_host_ed25519_key.pub");
    let private = read("etc/ssh/ssh_host_ed25519_key");
    let stale = root.join("etc/ssh/ssh_host_rsa_key").exists();
    let (allowed, hostname) = (read("root/.ssh/authorized_keys"), read("etc/hostname"));
    use std::os::unix::fs::MetadataExt as _;
    let links = fs::metadata(root.join("usr/bin/busybox")).map(|meta| meta.nlink());
    let untouched = fs::read_to_string(Path::new(&image).join("etc/ssh/ssh_host_rsa_key"));
    remove(&libvirt, &[&one, &wall, &net]).await;
    let address = seen.address.unwrap().to_string();
    assert!(found.contains(&format!("inet {address}/24")), "{found}");
    assert!(found.contains("default via 10.219.3.1"), "{found}");
    assert!(
        found.contains("10, 200") && found.contains("made"),
        "{found}"
    );
    assert_eq!(Some(key.trim()), seen.host_key.as_deref());
    let parsed = ssh_key::PrivateKey::from_openssh(&private).unwrap();
    let public = parsed.public_key().to_openssh().unwrap();
    assert_eq!(Some(public), seen.host_key, "both halves belong together");
    assert!(!stale, "the image's own host keys are not shared");
    assert_eq!(untouched.unwrap(), "the image's own");
    assert_eq!(allowed.trim(), super::KEY);
    assert_eq!(hostname.trim(), format!("{cluster}-w-1"));
    assert_eq!(links.unwrap(), 2, "files under /usr are shared");
}

#[tokio::test]
async fn what_a_crash_or_a_hand_leaves_is_seen_and_cleaned_up() {
    let Some((folder, image, uri)) = lxc("leftovers of containers").await else {
        return;
    };
    let cluster = cluster("l");
    let libvirt = Libvirt::new(site(&cluster, 1, &format!("{uri}&firewall=none")));
    let net = network(&cluster, "10.219.4.0/24");
    let one = machine(&cluster, 1, ("1x128MiB", &image));
    let shelf = folder
        .path()
        .join(format!("roots/{cluster}-0000000000000001"));
    let states = async || match libvirt.call(&list_of(&cluster)).await {
        Ok(Reply::List(list)) => list.into_iter().map(|seen| (seen.id, seen.state)).collect(),
        other => panic!("{other:?}"),
    };
    for leftover in ["", "~making", "~gone"] {
        fs::create_dir_all(shelf.join(format!("{cluster}_w_1{leftover}/etc"))).unwrap();
        let seen: Vec<_> = states().await;
        assert_eq!(seen, [(one.id.clone(), MachineState::Error)], "{leftover}");
        remove(&libvirt, &[&one]).await;
        assert!(!shelf.exists(), "{leftover}");
    }
    made(&libvirt, &net).await;
    let wall = super::firewall(&cluster, &[]);
    made(&libvirt, &wall).await;
    let before = made(&libvirt, &one).await;
    let virsh = |words: &[&str]| {
        let said = Command::new("virsh")
            .args(["-c", "lxc:///system"])
            .args(words)
            .output();
        let said = said.expect("libvirt-clients is there with libvirt");
        assert!(said.status.success(), "{said:?}");
    };
    let name = format!("{cluster}-w-1");
    virsh(&["destroy", &name]);
    let stopped = ask(&libvirt, Verb::Describe, &one).await;
    assert!(
        matches!(&stopped, Ok(Reply::Seen(seen)) if seen.state == MachineState::Stopped),
        "{stopped:?}"
    );
    assert_eq!(ask(&libvirt, Verb::Update, &one).await, Ok(Reply::Done));
    let again = ask(&libvirt, Verb::Describe, &one).await;
    assert_eq!(
        again,
        Ok(Reply::Seen(before)),
        "it is on again, with its keys"
    );
    // Half made: it never got to start with its host.
    virsh(&["destroy", &name]);
    virsh(&["autostart", "--disable", &name]);
    assert_eq!(ask(&libvirt, Verb::Describe, &one).await, Ok(Reply::Absent));
    let seen: Vec<_> = states().await;
    assert!(
        seen.contains(&(one.id.clone(), MachineState::Error)),
        "{seen:?}"
    );
    let anew = made(&libvirt, &one).await;
    assert_eq!(anew.state, MachineState::Running);
    // Undefined by hand: its files are left.
    virsh(&["destroy", &name]);
    virsh(&["undefine", &name]);
    let seen: Vec<_> = states().await;
    assert!(
        seen.contains(&(one.id.clone(), MachineState::Error)),
        "{seen:?}"
    );
    remove(&libvirt, &[&one, &wall, &net]).await;
    assert_eq!(states().await, Vec::new());
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

/// Where virtual machines can be made: a pool of our own with a disk that has nothing on it.
struct Pool {
    name: String,
    _folder: tempfile::TempDir,
}

fn virsh(words: &[&str]) -> String {
    let said = Command::new("virsh")
        .args(["-c", "qemu:///system"])
        .args(words)
        .output();
    let said = said.expect("libvirt-clients is there with libvirt");
    assert!(said.status.success(), "{words:?}: {said:?}");
    String::from_utf8(said.stdout).unwrap()
}

impl Pool {
    async fn new(test: &str) -> Option<Self> {
        if !libvirt_is_here(test) {
            return None;
        }
        let target = Target::parse("qemu:///system").unwrap();
        if let Err(trouble) = super::super::Session::open(&target, "ssh").await {
            eprintln!(
                "SKIPPED {test}: no virtual machines ({trouble}): install libvirt-daemon-driver-qemu and qemu-system-x86"
            );
            return None;
        }
        let folder = tempfile::Builder::new()
            .prefix("qlibvirt")
            .tempdir()
            .unwrap();
        // QEMU runs as another user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let place = folder.path().display().to_string();
        let made = Command::new("qemu-img")
            .args([
                "create",
                "-q",
                "-f",
                "qcow2",
                &format!("{place}/empty.qcow2"),
                "8M",
            ])
            .status();
        if !made.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED {test}: no qemu-img: install qemu-utils");
            return None;
        }
        let name = cluster("pool");
        virsh(&["pool-define-as", &name, "dir", "--target", &place]);
        virsh(&["pool-start", &name]);
        Some(Self {
            name,
            _folder: folder,
        })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for verb in ["pool-destroy", "pool-undefine"] {
            let mut command = Command::new("virsh");
            command.args(["-q", "-c", "qemu:///system", verb, &self.name]);
            // Another failure is the one to be told of.
            let _tried = command.status();
        }
    }
}

#[tokio::test]
async fn virtual_machines_pass_the_conformance_suite() {
    let Some(pool) = Pool::new("conformance on qemu:///system").await else {
        return;
    };
    let cluster = cluster("q");
    let uri = format!("qemu:///system?forward=open&pool={}", pool.name);
    let [ours, theirs] = [1, 2].map(|uid| Libvirt::new(site(&cluster, uid, &uri)));
    let sample = sample(&cluster, "10.219.7.0/24", ("empty.qcow2", &theirs));
    assert_eq!(conform(&ours, sample).await, Vec::<String>::new());
    let left = virsh(&["vol-list", &pool.name]);
    assert!(!left.contains(&cluster), "{left}");
}

#[tokio::test]
async fn a_virtual_machine_gets_its_seed_whole() {
    let Some(pool) = Pool::new("the seed of a virtual machine").await else {
        return;
    };
    let cluster = cluster("s");
    let uri = format!(
        "qemu:///system?forward=open&firewall=none&pool={}",
        pool.name
    );
    let libvirt = Libvirt::new(site(&cluster, 1, &uri));
    let net = network(&cluster, "10.219.8.0/24");
    let wall = super::firewall(&cluster, &[]);
    let one = machine(&cluster, 1, ("1x128MiB", "empty.qcow2"));
    made(&libvirt, &net).await;
    made(&libvirt, &wall).await;
    let seen = made(&libvirt, &one).await;
    let place = virsh(&["pool-dumpxml", &pool.name]);
    let place = crate::libvirt::xml::Element::parse(&place).unwrap();
    let place = place.at("target/path").unwrap().text.clone();
    let stem = format!("{place}/{cluster}-0000000000000001-{cluster}_w_1");
    let seed = fs::read(format!("{stem}-seed.img")).unwrap();
    let disk = fs::metadata(format!("{stem}.qcow2")).unwrap().len();
    // Undefined by hand: volumes say whose they are.
    let name = format!("{cluster}-w-1");
    virsh(&["destroy", &name]);
    virsh(&["undefine", &name]);
    let list = libvirt.call(&list_of(&cluster)).await;
    let left = matches!(&list, Ok(Reply::List(list)) if list.iter().any(|seen| {
        seen.id == one.id && seen.state == MachineState::Error
    }));
    remove(&libvirt, &[&one, &wall, &net]).await;
    assert!(left, "{list:?}");
    assert!(
        disk < 1 << 20,
        "a disk takes up what is written to it: {disk}"
    );
    let volume = std::io::Cursor::new(seed);
    let volume = fatfs::FileSystem::new(volume, fatfs::FsOptions::new()).unwrap();
    let mut user = String::new();
    let mut file = volume.root_dir().open_file("user-data").unwrap();
    std::io::Read::read_to_string(&mut file, &mut user).unwrap();
    assert!(user.contains(seen.host_key.as_deref().unwrap()), "{user}");
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
