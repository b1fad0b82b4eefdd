//! Containers of a real libvirt.

use super::real::{cluster, libvirt_is_here, made, remove};
use super::{Libvirt, ask, list_of, machine, network, sample, site};
use crate::Provider as _;
use crate::conformance::conform;
use crate::libvirt::session::Session;
use crate::libvirt::uri::Target;
use quorate_engine::seam::{MachineState, Reply, Verb};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

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
        { $b ls -l /dev/net/tun; $b mknod /tmp/tun c 10 200 && echo made; $b ip -4 addr; \
        $b ip route; } \
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
    if let Err(trouble) = Session::open(&target, "ssh").await {
        eprintln!(
            "SKIPPED {test}: no containers ({trouble}): install \
             libvirt-daemon-driver-lxc and be root"
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
        .join(format!("roots/a.{cluster}-0000000000000001/{cluster}_w_1"));
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
        .join(format!("roots/a.{cluster}-0000000000000001"));
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
