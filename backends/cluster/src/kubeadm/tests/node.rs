//! Founding and joining: once, again, cut off anywhere.

use super::*;

const LOCAL: &str = "    server: https://127.0.0.1:7443";

fn founded(room: &Room) {
    assert_eq!(room.read("lib/quorate/etcd"), "0000000000000abc\n");
    assert!(room.read("etc/kubernetes/kubelet.conf").contains(LOCAL));
    assert!(room.read("run/stand-in/kube-proxy").contains(LOCAL));
}

#[test]
fn a_cluster_is_founded_once() {
    let Some(room) = room() else { return };
    room.run(room.init()).unwrap();
    founded(&room);
    let config = room.read("run/stand-in/init.json");
    assert!(
        config.contains("\"advertiseAddress\": \"10.88.0.1\""),
        "{config}"
    );
    let calls = room.calls();
    assert_eq!(
        calls,
        [
            "kubeadm init",
            "systemctl restart kubelet",
            "kubectl --kubeconfig /etc/kubernetes/admin.conf --server https://127.0.0.1:6443 \
             --request-timeout 20s -n kube-system rollout restart daemonset kube-proxy",
        ]
    );
    room.run(room.init()).unwrap();
    assert_eq!(room.calls(), [""; 0]);
    // Neither the token that kubeadm prints nor the script that had one is kept.
    assert!(!room.everything().contains(TOKEN));
    assert!(!room.path("run/quorate/work.sh").exists());
}

#[test]
fn the_founding_goes_on_when_nobody_waits_for_it_any_more() {
    let Some(room) = room() else { return };
    room.play("slow", "3");
    let mut first = room.start(room.init());
    until("it begins", || room.path("run/stand-in/init.json").exists());
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(room.read("lib/quorate/etcd"), "");
    room.run(room.init()).unwrap();
    founded(&room);
    let inits = room
        .calls()
        .into_iter()
        .filter(|call| call == "kubeadm init");
    assert_eq!(inits.count(), 1);
}

#[test]
fn whoever_comes_too_early_is_told_to_ask_again() {
    let Some(room) = room() else { return };
    room.play("slow", "4");
    let first = room.start(room.init());
    until("it begins", || room.path("run/stand-in/init.json").exists());
    let mut job = room.init();
    for (name, value) in &mut job.arguments {
        if *name == "Q_WAIT" {
            *value = "1".to_owned();
        }
    }
    let (code, said) = room.run(job).unwrap_err();
    assert_eq!(code, 75, "{said}");
    assert!(first.wait_with_output().unwrap().status.success());
    founded(&room);
}

#[test]
fn half_a_founding_is_taken_back_and_done_anew() {
    let Some(room) = room() else { return };
    room.put("lib/quorate/kubeadm", "init\n");
    room.put("etc/kubernetes/admin.conf", "x");
    room.put("lib/etcd/member/wal", "x");
    room.run(room.init()).unwrap();
    founded(&room);
    assert!(!room.path("lib/etcd/member/wal").exists());
    let calls = room.calls();
    assert!(calls[0].starts_with("kubeadm reset -f"), "{calls:?}");
    assert!(calls[0].ends_with("--skip-phases=remove-etcd-member"));
    assert_eq!(calls[1], "kubeadm init");
}

#[test]
fn an_api_server_that_came_up_is_kept() {
    let Some(room) = room() else { return };
    room.run(room.init()).unwrap();
    room.calls();
    room.put("lib/quorate/kubeadm", "init\n");
    std::fs::remove_file(room.path("lib/quorate/etcd")).unwrap();
    room.run(room.init()).unwrap();
    founded(&room);
    let all = room.calls();
    assert!(all.iter().all(|call| !call.contains("reset")), "{all:?}");
    let log = room.read("lib/quorate/kubeadm");
    assert_eq!(log, "init done\n");
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let Some(room) = room() else { return };
    room.put("etc/kubernetes/kubelet.conf", "somebody else's");
    for job in [room.init(), room.join(Part::Worker, State::None)] {
        let (code, said) = room.run(job).unwrap_err();
        assert_eq!(code, 73, "{said}");
    }
    let (code, _) = room.run(room.jobs().look(Part::Worker)).unwrap_err();
    assert_eq!(code, 73);
    assert_eq!(room.calls(), [""; 0]);
}

#[test]
fn a_cluster_that_was_founded_is_never_reset() {
    let Some(room) = room() else { return };
    room.run(room.init()).unwrap();
    room.calls();
    std::fs::remove_file(room.path("run/stand-in/up")).unwrap();
    // As if it had no patience: the wait for the server is cut short by its return.
    let waiting = room.start(room.init());
    std::thread::sleep(Duration::from_secs(1));
    room.play("up", "");
    assert!(waiting.wait_with_output().unwrap().status.success());
    assert_eq!(room.calls(), [""; 0]);
}

#[test]
fn what_kubeadm_says_is_told_apart() {
    for (words, code, told) in [
        (
            "\t[ERROR ImagePull]: failed to pull image registry.k8s.io/etcd:3.5.9-0",
            1,
            "failed to pull image registry.k8s.io/etcd:3.5.9-0",
        ),
        (
            "\t[ERROR NumCPU]: the number of available CPUs 1 is less than the required 2\n\
             \t[ERROR Mem]: too little",
            65,
            "list Mem,NumCPU under spec.kubernetes.ignorePreflightErrors",
        ),
        (
            "error execution phase wait-control-plane: timed out waiting for the condition",
            1,
            "timed out waiting",
        ),
        (
            "error: strict decoding error: unknown field \"x\"",
            65,
            "spec.kubernetes",
        ),
        (
            "error execution phase kubelet-start: a Node with name \"x\" and status \"Ready\" \
             already exists in the cluster",
            75,
            "still taken for alive",
        ),
    ] {
        let Some(room) = room() else { return };
        room.play("fail", &format!("some line\n{words}\nsecret {TOKEN} end\n"));
        let (ended, said) = room.run(room.init()).unwrap_err();
        assert_eq!(ended, code, "{said}");
        assert!(said.contains(told), "{said}");
        assert!(!said.contains(TOKEN) && !room.everything().contains(TOKEN));
        assert_eq!(room.read("lib/quorate/etcd"), "");
        // What was in the way is gone.
        room.play("fail", "");
        room.run(room.init()).unwrap();
        founded(&room);
    }
}

#[test]
fn without_an_image_of_it_there_is_no_dns_in_the_cluster() {
    let Some(mut room) = room() else { return };
    let mut manifest = (*room.manifest).clone();
    let kubernetes = manifest.spec.kubernetes.as_mut().unwrap();
    let packages = quorate_engine::manifest::Packages::Directory("x".to_owned());
    kubernetes.packages = Some(packages);
    room.manifest = Arc::new(manifest);
    room.play(
        "wanted",
        "r/kube-proxy:v1\nr/pause:3.2\nr/coredns/coredns:v1\n",
    );
    room.play("there", "");
    let (code, said) = room.run(room.init()).unwrap_err();
    assert!(
        code == 65 && said.contains("r/kube-proxy:v1"),
        "{code}: {said}"
    );
    assert!(!said.contains("r/pause"), "{said}");
    room.play("there", "r/kube-proxy:v1\n");
    let output = room.run(room.init()).unwrap();
    assert!(
        output.stderr.contains("note: no image of CoreDNS"),
        "{}",
        output.stderr
    );
    founded(&room);
}

#[test]
fn machines_join_and_say_how_far_they_are() {
    for part in [Part::ControlPlane, Part::Worker] {
        let Some(room) = room() else { return };
        room.play("elsewhere", "");
        room.play("kept", "apiServer:\n  certSANs:\n  - a\n  - b\nx: y\n");
        let look = || {
            let said = room.run(room.jobs().look(part)).unwrap();
            room.jobs().state(&said.stdout).unwrap()
        };
        assert_eq!(look(), State::None);
        room.put("lib/quorate/kubeadm", "join\n");
        assert_eq!(look(), State::Half);
        room.run(room.join(part, State::Half)).unwrap();
        let calls = room.calls();
        assert!(calls[0].starts_with("kubeadm reset -f"), "{calls:?}");
        assert_eq!(calls[1], "kubeadm join");
        assert_eq!(look(), State::Joined);
        assert!(room.read("etc/kubernetes/kubelet.conf").contains(LOCAL));
        let config = room.read("run/stand-in/join.json");
        assert!(config.contains("\"127.0.0.1:7443\"") && config.contains(TOKEN));
        let marks = (
            room.read("lib/quorate/etcd"),
            room.read("lib/quorate/names"),
        );
        let expected = match part {
            Part::ControlPlane => ("0000000000000def\n", "a\nb\n"),
            Part::Worker => ("", ""),
        };
        assert_eq!((marks.0.as_str(), marks.1.as_str()), expected);
        assert!(!room.everything().contains(TOKEN));
        // Cut off after everything had started.
        room.put("lib/quorate/kubeadm", "join\n");
        assert_eq!(look(), State::Up);
        room.calls();
        room.run(room.join(part, State::Up)).unwrap();
        let calls = room.calls().join("\n");
        assert!(
            calls.contains("annotate") && !calls.contains("kubeadm join"),
            "{calls}"
        );
        let labels = calls.contains("node-role.kubernetes.io/control-plane=");
        assert_eq!(labels, part == Part::ControlPlane, "{calls}");
        assert_eq!(look(), State::Joined);
    }
}

#[test]
fn a_ticket_has_what_the_guest_needs() {
    let Some(room) = room() else { return };
    room.run(room.init()).unwrap();
    let guest = ResourceId::new("shop/cp/2");
    let upload = room.documents().upload();
    let said = room.run(room.jobs().ticket(Some(upload), &guest)).unwrap();
    let ticket = room.jobs().read(&said.stdout, Part::ControlPlane).unwrap();
    assert_eq!(ticket.token, TOKEN);
    assert_eq!(ticket.authority, format!("sha256:{:064}", 7));
    let key = ticket.certificate_key.unwrap();
    assert_eq!(key.len(), 64);
    let uploaded = room.read("run/stand-in/phase.json");
    assert!(
        uploaded.contains(&key) && uploaded.contains("\"10.88.0.1\""),
        "{uploaded}"
    );
    assert!(!uploaded.contains('@'), "{uploaded}");
    assert!(!room.everything().contains(&key));
    let said = room.run(room.jobs().ticket(None, &guest)).unwrap();
    let ticket = room.jobs().read(&said.stdout, Part::Worker).unwrap();
    assert_eq!(ticket.certificate_key, None);
    assert!(room.jobs().read(&said.stdout, Part::ControlPlane).is_err());
}

#[test]
fn a_machine_without_the_release_is_not_prepared() {
    let Some(room) = room() else { return };
    room.play("version", "v1.27.0");
    let (code, said) = room.run(room.init()).unwrap_err();
    assert!(code == 75 && said.contains("v1.28.3"), "{code}: {said}");
    std::fs::remove_file(room.path("bin/kubelet")).unwrap();
    let (code, said) = room.run(room.init()).unwrap_err();
    assert!(code == 75 && said.contains("no kubelet"), "{code}: {said}");
}
