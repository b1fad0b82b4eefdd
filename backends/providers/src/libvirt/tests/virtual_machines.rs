//! Virtual machines of a real libvirt.

use super::real::{cluster, libvirt_is_here, made, remove};
use super::{Libvirt, list_of, machine, network, sample, site};
use crate::Provider as _;
use crate::conformance::conform;
use crate::libvirt::session::Session;
use crate::libvirt::uri::Target;
use quorate_engine::seam::{MachineState, Reply};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

const VIRTLOGD: &str = "/run/libvirt/virtlogd-sock";

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
    async fn new(name: &str, test: &str) -> Option<Self> {
        if !libvirt_is_here(test) {
            return None;
        }
        let target = Target::parse("qemu:///system").unwrap();
        if let Err(trouble) = Session::open(&target, "ssh").await {
            eprintln!(
                "SKIPPED {test}: no virtual machines ({trouble}): install \
                 libvirt-daemon-driver-qemu and qemu-system-x86"
            );
            return None;
        }
        if !Path::new(VIRTLOGD).exists() {
            eprintln!("SKIPPED {test}: no {VIRTLOGD}: start virtlogd, which QEMU's output goes to");
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
        let name = cluster(name);
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
    let Some(pool) = Pool::new("pq", "conformance on qemu:///system").await else {
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
    let Some(pool) = Pool::new("ps", "the seed of a virtual machine").await else {
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
    let stem = format!("{place}/a.{cluster}-0000000000000001-{cluster}_w_1");
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
