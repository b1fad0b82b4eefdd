//! Control planes and workers that are there: certificates, releases, timing.

use super::*;

fn plane(room: &Room, names: &[&str]) -> Job<'static> {
    let documents = room.documents();
    let machine = ResourceId::new("shop/cp/1");
    let workplace = registered(&room.manifest, &machine);
    let config = documents.init(&place(&machine, "10.88.0.1", &workplace), OF_NODE);
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    room.jobs().plane(config, &names)
}

fn founded() -> Option<Room> {
    let room = room()?;
    room.run(room.init()).unwrap();
    let names = room.documents().names().join("\n") + "\n";
    assert_eq!(room.read("lib/quorate/names"), names);
    // What kubeadm keeps is what it was told.
    let kept = names.lines().map(|name| format!("  - {name}\n"));
    let kept: String = kept.collect();
    let kept = format!("kubernetesVersion: v{VERSION}\napiServer:\n  certSANs:\n{kept}x: y\n");
    room.play("kept", &kept);
    room.calls();
    Some(room)
}

#[test]
fn a_control_plane_as_it_should_be_is_left_alone() {
    let Some(room) = founded() else { return };
    let names = room.documents().names();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    room.run(plane(&room, &names)).unwrap();
    assert_eq!(room.calls(), [""; 0]);
}

#[test]
fn other_names_make_another_certificate() {
    let Some(room) = founded() else { return };
    room.put("lib/quorate/names", "an\nold one\n");
    let names = room.documents().names();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let restarted = room.start(plane(&room, &names));
    until("the pod changes", || {
        room.read("etc/kubernetes/manifests/kube-apiserver.yaml")
            .contains("    quorate.dev/certificate: \"")
    });
    std::fs::remove_file(room.path("run/stand-in/up")).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    room.play("up", "");
    let output = restarted.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(room.calls(), ["kubeadm init phase certs apiserver"]);
    let config = room.read("run/stand-in/phase.json");
    assert!(
        config.contains("\"certificatesDir\"") && !config.contains('@'),
        "{config}"
    );
    assert_eq!(room.read("etc/kubernetes/pki/apiserver.crt"), "new\n");
    assert_eq!(room.read("lib/quorate/names"), names.join("\n") + "\n");
    // Once is enough.
    room.run(plane(&room, &names)).unwrap();
    assert_eq!(room.calls(), [""; 0]);
}

#[test]
fn the_cluster_learns_other_names() {
    let Some(room) = founded() else { return };
    let kept = format!("kubernetesVersion: v{VERSION}\napiServer:\n  certSANs:\n  - old\nx: y\n");
    room.play("kept", &kept);
    let names = room.documents().names();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    room.run(plane(&room, &names)).unwrap();
    assert_eq!(room.calls(), ["kubeadm init phase upload-config kubeadm"]);
    let kept = room.read("run/stand-in/kept");
    assert!(
        kept.contains("  - 203.0.113.9\n") && !kept.contains("old"),
        "{kept}"
    );
    room.run(plane(&room, &names)).unwrap();
    assert_eq!(room.calls(), [""; 0]);
}

#[test]
fn the_first_takes_the_cluster_to_a_release_and_the_others_follow() {
    for first in [true, false] {
        let Some(mut room) = founded() else { return };
        room.manifest = manifest("1.29.1");
        room.play("version", "v1.29.1");
        room.put("opt/quorate/kubernetes/1.29.1/bin/kubelet", "#!/bin/sh\n");
        let kubelet = room.path("opt/quorate/kubernetes/1.29.1/bin/kubelet");
        let status = Command::new("chmod").arg("755").arg(&kubelet).status();
        assert!(status.unwrap().success());
        if !first {
            let kept = room.read("run/stand-in/kept").replace("v1.28.3", "v1.29.1");
            room.play("kept", &kept);
        }
        let names = room.documents().names();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        room.run(plane(&room, &names)).unwrap();
        let expected = if first {
            "kubeadm upgrade apply -y v1.29.1 --kubeconfig"
        } else {
            "kubeadm upgrade node --kubeconfig"
        };
        let calls = room.calls();
        assert_eq!(calls[0], expected);
        assert!(
            calls.contains(&"systemctl daemon-reload".to_owned()),
            "{calls:?}"
        );
        let link = std::fs::read_link(room.path("bin/kubelet")).unwrap();
        assert_eq!(
            link,
            Path::new("/opt/quorate/kubernetes/1.29.1/bin/kubelet")
        );
        assert_eq!(room.read("run/stand-in/kubelet"), "v1.29.1");
        let conf = room.read("etc/kubernetes/kubelet.conf");
        assert!(conf.contains("https://127.0.0.1:7443"), "{conf}");
        room.run(plane(&room, &names)).unwrap();
        assert_eq!(room.calls(), [""; 0]);
    }
}

/// The machine's proxy, with the API server here and another one.
fn proxied(room: &Room) -> std::os::unix::net::UnixListener {
    let config = "backend api\n    server qlab-cp-a-1 10.88.0.1:6443 id 1\n    \
                  server qlab-cp-b-1 10.88.0.2:6443 id 2 backup\n";
    room.put("etc/quorate/api-proxy.cfg", config);
    let socket = room.path("run/quorate-api-proxy.sock");
    std::os::unix::net::UnixListener::bind(socket).unwrap()
}

const ASIDE: [&str; 2] = [
    "proxy: set server api/qlab-cp-a-1 state maint",
    "proxy: shutdown sessions server api/qlab-cp-a-1",
];
const BACK: &str = "proxy: set server api/qlab-cp-a-1 state ready";

#[test]
fn a_machine_asks_other_api_servers_while_its_own_is_upgraded() {
    let Some(mut room) = founded() else { return };
    let _socket = proxied(&room);
    room.manifest = manifest("1.29.1");
    room.play("version", "v1.29.1");
    let names = room.documents().names();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    room.play("fail", "error execution phase\n");
    room.run(plane(&room, &names)).unwrap_err();
    let upgrade = "kubeadm upgrade apply -y v1.29.1 --kubeconfig";
    let calls = room.calls();
    assert_eq!(
        calls,
        [ASIDE[0], ASIDE[1], upgrade, BACK],
        "also if it fails"
    );

    room.play("fail", "");
    room.run(plane(&room, &names)).unwrap();
    let calls = room.calls();
    assert_eq!(calls[..4], [ASIDE[0], ASIDE[1], upgrade, BACK]);
    let kubelet = calls
        .iter()
        .position(|call| call.contains("restart kubelet"));
    assert!(kubelet.is_none_or(|at| at > 3), "{calls:?}");
}

#[test]
fn what_was_cut_off_is_finished_with_the_control_plane() {
    for (begun, expected) in [("init", "kubeadm init"), ("join", "annotate")] {
        let Some(room) = founded() else { return };
        room.put("lib/quorate/kubeadm", &format!("{begun}\n"));
        let names = room.documents().names();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        room.run(plane(&room, &names)).unwrap();
        assert!(room.calls()[0].contains(expected));
        assert_eq!(room.read("lib/quorate/kubeadm"), format!("{begun} done\n"));
        if begun == "init" {
            let config = room.read("run/stand-in/init.json");
            assert!(
                config.contains("\"10.88.0.1\"") && !config.contains('@'),
                "{config}"
            );
        }
    }
}

#[test]
fn a_node_that_is_not_ready_is_not_done() {
    let Some(room) = founded() else { return };
    room.play("ready", "False container runtime is down");
    let names = room.documents().names();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let waiting = room.start(plane(&room, &names));
    std::thread::sleep(Duration::from_secs(2));
    room.play("ready", "True kubelet is posting ready status");
    assert!(waiting.wait_with_output().unwrap().status.success());
}

#[test]
fn the_timing_of_a_member_is_changed_where_it_runs_and_for_who_comes() {
    let Some(room) = founded() else { return };
    let config = room.documents().phase(OF_NODE);
    let job = || room.jobs().member((250, 2500), config.clone(), 0x123);
    let restarted = room.start(job());
    until("the pod changes", || {
        room.read("etc/kubernetes/manifests/etcd.yaml")
            .contains("=2500")
    });
    std::fs::remove_file(room.path("run/stand-in/up")).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    room.play("up", "");
    let output = restarted.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let pod = room.read("etc/kubernetes/manifests/etcd.yaml");
    assert!(pod.contains("    - --election-timeout=2500\n"), "{pod}");
    assert!(pod.contains("    - --heartbeat-interval=250\n"), "{pod}");
    assert!(pod.contains("    - --name=x\n"), "{pod}");
    let manifests = room.path("etc/kubernetes/manifests").read_dir().unwrap();
    assert_eq!(manifests.count(), 4);
    assert_eq!(room.calls(), ["kubeadm init phase upload-config kubeadm"]);
    let kept = room.read("run/stand-in/phase.json");
    assert!(
        kept.contains("\"250\"") && kept.contains("\"2500\""),
        "{kept}"
    );
    assert_eq!(room.read("lib/quorate/etcd"), "0000000000000123\n");
    room.run(job()).unwrap();
    assert_eq!(room.calls(), [""; 0]);
}

#[test]
fn a_worker_takes_the_release_over() {
    let Some(room) = room() else { return };
    room.play("elsewhere", "");
    room.run(room.join(Part::Worker, State::None)).unwrap();
    room.run(room.jobs().worker()).unwrap();
    room.calls();
    room.run(room.jobs().worker()).unwrap();
    assert_eq!(room.calls(), [""; 0]);
    room.play("kubelet", "v1.27.9");
    room.run(room.jobs().worker()).unwrap();
    let calls = room.calls();
    assert_eq!(calls[0], "kubeadm upgrade node");
    assert_eq!(room.read("run/stand-in/kubelet"), "v1.28.3");
    for kind in [Kind::Worker, Kind::ControlPlane] {
        room.run(jobs::mark(kind, 0x77)).unwrap();
        let mark = room.read(&format!("lib/quorate/{}", kind.on_machine().unwrap()));
        assert_eq!(mark, "0000000000000077\n");
    }
}
