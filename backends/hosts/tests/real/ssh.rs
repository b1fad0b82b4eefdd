//! Connections to a real sshd: pins, closed doors, silence, connections that break, full disks.

use crate::lab::{self, Sshd, patience};
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::{Fault, FaultClass};
use quorate_hosts::{
    Job, Key, Output, Patience, Pins, Reach, Remembered, Runner, Ssh, fingerprint,
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn machine() -> ResourceId {
    ResourceId::new("shop/w/1")
}

fn script(part: &'static str) -> Job<'static> {
    Job {
        title: "try it",
        parts: vec![part],
        arguments: Vec::new(),
        input: None,
        limit: Duration::from_secs(5),
        mutates: true,
    }
}

fn ssh(pins: &Arc<Remembered>) -> Ssh {
    Ssh::new(Arc::clone(pins) as Arc<dyn Pins>, patience(), 8)
}

async fn run(ssh: &Ssh, reach: &Reach, job: Job<'_>) -> Result<Output, Fault> {
    ssh.run(&machine(), reach, &job).await
}

/// Until a file is there.
async fn exists(path: &std::path::Path) {
    while !path.exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_first_key_is_kept_and_another_one_refused() {
    let Some(first) = Sshd::start() else { return };
    let pins = Arc::new(Remembered::default());
    let output = run(&ssh(&pins), &first.reach(), script("echo hello")).await;
    assert_eq!(output.unwrap().stdout, "hello\n");
    assert_eq!(
        pins.get(&machine()).as_deref(),
        Some(first.host_key.as_str())
    );
    // The same one again, now pinned.
    run(&ssh(&pins), &first.reach(), script("true"))
        .await
        .unwrap();

    let Some(second) = Sshd::start() else { return };
    let fault = run(&ssh(&pins), &second.reach(), script("true"))
        .await
        .unwrap_err();
    assert_eq!(fault.class, FaultClass::Auth);
    let [old, new] = [&first, &second].map(|sshd| fingerprint(&sshd.host_key).unwrap());
    let address = format!("127.0.0.1:{}", second.port);
    for part in [
        "shop/w/1",
        &address,
        &old,
        &new,
        "quorate forget --host-key shop/w/1",
    ] {
        assert!(fault.detail.contains(part), "{part} in {fault}");
    }
    assert_eq!(
        pins.get(&machine()).as_deref(),
        Some(first.host_key.as_str())
    );
}

#[tokio::test]
async fn a_delivered_pin_lets_only_its_own_machine_in() {
    let Some(sshd) = Sshd::start() else { return };
    let other = tempfile::tempdir().unwrap();
    let other = lab::keygen(&other.path().join("other"));
    for (pin, class) in [
        (format!("{} root@image", sshd.host_key), None),
        (other, Some(FaultClass::Auth)),
        ("no key".to_owned(), Some(FaultClass::Invalid)),
    ] {
        let pins = Arc::new(Remembered::default());
        pins.put(&machine(), &pin).unwrap();
        let outcome = run(&ssh(&pins), &sshd.reach(), script("true")).await;
        assert_eq!(outcome.err().map(|fault| fault.class), class, "{pin}");
    }
}

#[tokio::test]
async fn a_key_opens_as_file_and_as_text_and_leaves_nothing() {
    let Some(sshd) = Sshd::start() else { return };
    let text = fs::read_to_string(sshd.folder.path().join("user")).unwrap();
    let secret = text.lines().nth(2).unwrap().to_owned();
    let reach = Reach {
        key: Key::Text(text),
        ..sshd.reach()
    };
    let ssh = ssh(&Arc::default());
    run(&ssh, &reach, script("true")).await.unwrap();
    // While the connection is still there, no file of ours has it.
    let ours = fs::read_dir(std::env::temp_dir()).unwrap().flatten();
    let ours = ours.filter(|e| e.file_name().to_string_lossy().starts_with("quorate-ssh-"));
    let mut folders = 0;
    for folder in ours {
        let Ok(entries) = fs::read_dir(folder.path()) else {
            continue;
        };
        // Others may use this machine for the same.
        let hosts = fs::read_to_string(folder.path().join("known_hosts"));
        if !hosts.is_ok_and(|hosts| hosts.contains(&sshd.host_key)) {
            continue;
        }
        folders += 1;
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o77, 0);
        for file in entries
            .flatten()
            .filter(|e| e.file_type().is_ok_and(|t| t.is_file()))
        {
            let bytes = fs::read(file.path()).unwrap_or_default();
            assert!(
                !String::from_utf8_lossy(&bytes).contains(&secret),
                "{:?}",
                file.path()
            );
        }
    }
    assert_eq!(folders, 1, "the connection has a folder");
}

#[tokio::test]
async fn a_wrong_key_is_denied_and_a_missing_one_named() {
    let Some(sshd) = Sshd::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    lab::keygen(&folder.path().join("wrong"));
    for (file, part) in [("wrong", "the login is refused"), ("missing", "missing")] {
        let reach = Reach {
            key: Key::File(folder.path().join(file)),
            ..sshd.reach()
        };
        let fault = run(&ssh(&Arc::default()), &reach, script("true"))
            .await
            .unwrap_err();
        assert_eq!(fault.class, FaultClass::Auth, "{fault}");
        assert!(fault.detail.contains(part), "{fault}");
    }
}

#[tokio::test]
async fn nobody_there_is_tried_again() {
    let Some(mut sshd) = Sshd::start() else {
        return;
    };
    sshd.stop();
    let fault = run(&ssh(&Arc::default()), &sshd.reach(), script("true"))
        .await
        .unwrap_err();
    assert_eq!(fault.class, FaultClass::Retryable);
    assert!(fault.detail.contains("Connection refused"), "{fault}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    // Accepts and is silent: the kernel does so for whoever listens.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let reach = Reach {
        address: "127.0.0.1".to_owned(),
        port: Some(silent.local_addr().unwrap().port()),
        user: None,
        key: Key::Agent,
    };
    let begun = Instant::now();
    let fault = run(&ssh(&Arc::default()), &reach, script("true"))
        .await
        .unwrap_err();
    assert_eq!(fault.class, FaultClass::Retryable, "{fault}");
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_command_that_hangs_is_stopped_there_too() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = ssh(&Arc::default());
    let mut job = script("echo $$ >\"$Q_AT/pid\"; sleep 1000");
    job.limit = Duration::from_secs(1);
    let at = sshd.folder.path().display().to_string();
    let fault = run(&ssh, &sshd.reach(), job.with("Q_AT", at))
        .await
        .unwrap_err();
    assert_eq!(
        fault.class,
        FaultClass::Retryable,
        "it is over for sure: {fault}"
    );
    let pid = fs::read_to_string(sshd.folder.path().join("pid")).unwrap();
    assert!(
        !std::path::Path::new("/proc").join(pid.trim()).exists(),
        "{pid} still runs"
    );
    // The connection is as good as before.
    run(&ssh, &sshd.reach(), script("true")).await.unwrap();
    assert_eq!(sshd.sessions().len(), 1);
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_a_change_unknown() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = ssh(&Arc::default());
    for (mutates, class) in [(true, FaultClass::Unknown), (false, FaultClass::Retryable)] {
        let begun = sshd.folder.path().join("begun");
        drop(fs::remove_file(&begun));
        let mut job = script("echo >\"$Q_AT\"; sleep 4");
        job = job.with("Q_AT", begun.display().to_string());
        job.mutates = mutates;
        let reach = sshd.reach();
        let breaks = async {
            exists(&begun).await;
            for pid in sshd.sessions() {
                lab::must("kill", &["-9", &pid.to_string()]);
            }
        };
        let (outcome, ()) = tokio::join!(run(&ssh, &reach, job), breaks);
        let fault = outcome.unwrap_err();
        assert_eq!(fault.class, class, "{fault}");
    }
    // Between two jobs it is only made anew.
    run(&ssh, &sshd.reach(), script("true")).await.unwrap();
    for pid in sshd.sessions() {
        lab::must("kill", &["-9", &pid.to_string()]);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    run(&ssh, &sshd.reach(), script("true")).await.unwrap();
}

#[tokio::test]
async fn a_machine_that_freezes_is_noticed_by_keepalives() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = ssh(&Arc::default());
    let freeze = || {
        for pid in sshd.sessions() {
            lab::must("kill", &["-STOP", &pid.to_string()]);
        }
    };
    let reach = sshd.reach();
    // While nothing runs: the job has not begun, and is done over another connection.
    run(&ssh, &reach, script("true")).await.unwrap();
    freeze();
    let begun = Instant::now();
    run(&ssh, &reach, script("true")).await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
    // While a change is made: nobody knows.
    let sign = sshd.folder.path().join("begun");
    let freezes = async {
        exists(&sign).await;
        freeze();
    };
    let mut job = script("echo >\"$Q_AT\"; sleep 30").with("Q_AT", sign.display().to_string());
    job.limit = Duration::from_secs(60);
    let begun = Instant::now();
    let (outcome, ()) = tokio::join!(run(&ssh, &reach, job), freezes);
    let fault = outcome.unwrap_err();
    assert_eq!(fault.class, FaultClass::Unknown, "{fault}");
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_full_disk_is_said_to_be_one() {
    let Some(sshd) = Sshd::start() else { return };
    let disk = sshd.folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let at = disk.to_str().unwrap().to_owned();
    let mount = ["-t", "tmpfs", "-o", "size=1m", "qhosts", &at];
    if !std::process::Command::new("mount")
        .args(mount)
        .status()
        .unwrap()
        .success()
    {
        eprintln!("SKIPPED: tmpfs cannot be mounted here (run as root with CAP_SYS_ADMIN)");
        return;
    }
    let job = script("head -c 2000000 /dev/zero | put \"$Q_AT/file\"").with("Q_AT", at.clone());
    let outcome = run(&ssh(&Arc::default()), &sshd.reach(), job).await;
    let half = disk.join("file").exists();
    lab::must("umount", &[&at]);
    let fault = outcome.unwrap_err();
    assert_eq!(fault.class, FaultClass::Quota, "{fault}");
    assert!(!half, "a file is there at once or not at all");
}

#[tokio::test]
async fn no_more_jobs_run_at_a_time_than_allowed() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = Ssh::new(Arc::<Remembered>::default(), patience(), 2);
    let at = sshd.folder.path().display().to_string();
    let begin = "echo + >>\"$Q_AT/trace\"; sleep 1.5; echo - >>\"$Q_AT/trace\"";
    let reach = sshd.reach();
    let one = || run(&ssh, &reach, script(begin).with("Q_AT", at.clone()));
    let (a, b, c, d, e, f) = tokio::join!(one(), one(), one(), one(), one(), one());
    assert!([a, b, c, d, e, f].iter().all(Result::is_ok));
    let trace = fs::read_to_string(sshd.folder.path().join("trace")).unwrap();
    let (mut running, mut most) = (0i32, 0);
    for line in trace.lines() {
        running += if line == "+" { 1 } else { -1 };
        most = most.max(running);
    }
    assert_eq!((running, most), (0, 2), "{trace}");
    assert_eq!(sshd.sessions().len(), 1, "one connection for all");
}

#[tokio::test]
async fn input_arrives_whole_and_arguments_as_they_are() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = ssh(&Arc::default());
    let file = sshd.folder.path().join("input");
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| ((n * 7) >> 3) as u8).collect();
    fs::write(&file, &bytes).unwrap();
    let mut job = script("cat >\"$Q_AT\"; echo \"$Q_WORD\"");
    job.input = Some(&file);
    let copy = sshd.folder.path().join("it's a $copy");
    let job = job
        .with("Q_AT", copy.display().to_string())
        .with("Q_WORD", "\"$(id)\" it's\n!".to_owned());
    let output = run(&ssh, &sshd.reach(), job).await.unwrap();
    assert_eq!(output.stdout, "\"$(id)\" it's\n!\n");
    assert_eq!(fs::read(copy).unwrap(), bytes);
}

#[tokio::test]
async fn a_connection_nobody_uses_goes_by_itself() {
    let Some(sshd) = Sshd::start() else { return };
    let idle = Patience {
        idle: Duration::from_secs(1),
        ..patience()
    };
    let ssh = Ssh::new(Arc::<Remembered>::default(), idle, 2);
    run(&ssh, &sshd.reach(), script("true")).await.unwrap();
    assert_eq!(sshd.sessions().len(), 1);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(sshd.sessions().len(), 0);
    run(&ssh, &sshd.reach(), script("true")).await.unwrap();
}
