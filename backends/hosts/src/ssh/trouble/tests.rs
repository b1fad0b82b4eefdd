//! Words of OpenSSH 9.2 and exit codes, and the faults they become.

use super::*;
use crate::reach::Key;
use FaultClass::{Auth, Busy, Exists, Invalid, Quota, Retryable, Unknown};
use std::time::Duration;

fn reach() -> Reach {
    Reach {
        address: "192.0.2.7".to_owned(),
        port: Some(2222),
        user: Some("root".to_owned()),
        key: Key::Agent,
    }
}

fn job(mutates: bool) -> Job<'static> {
    Job {
        title: "make the mesh peer",
        parts: Vec::new(),
        arguments: Vec::new(),
        input: None,
        limit: Duration::from_secs(30),
        mutates,
    }
}

#[test]
fn connections_fail_by_their_words() {
    let machine = ResourceId::new("shop/w/1");
    let cases = [
        (
            "ssh: connect to host 192.0.2.7 port 22: Connection refused",
            Retryable,
        ),
        (
            "ssh: connect to host 192.0.2.7 port 22: Connection timed out",
            Retryable,
        ),
        (
            "ssh: connect to host 192.0.2.7 port 22: No route to host",
            Retryable,
        ),
        (
            "ssh: Could not resolve hostname w1: Name or service not known",
            Retryable,
        ),
        (
            "kex_exchange_identification: Connection closed by remote host",
            Retryable,
        ),
        ("Connection reset by 192.0.2.7 port 22", Retryable),
        ("", Retryable),
        ("root@192.0.2.7: Permission denied (publickey).", Auth),
        (
            "Received disconnect from 192.0.2.7: 2: Too many authentication failures",
            Auth,
        ),
        ("Host key verification failed.", Auth),
        (
            "Unable to negotiate: no matching host key type found. Their offer: ssh-rsa",
            Auth,
        ),
        (
            "/home/me/.ssh/config: line 3: Bad configuration option: fast",
            Invalid,
        ),
    ];
    for (log, class) in cases {
        let fault = connecting(&machine, &reach(), &Broken::Said(log.to_owned()), None);
        assert_eq!(fault.class, class, "{log}");
        assert!(
            fault.detail.starts_with("shop/w/1 (root@192.0.2.7:2222): "),
            "{fault}"
        );
    }
    let late = Broken::TooLate(Duration::from_secs(20));
    assert_eq!(connecting(&machine, &reach(), &late, None).class, Retryable);
    let key = Broken::KeyFile("/k: not found".to_owned());
    assert_eq!(connecting(&machine, &reach(), &key, None).class, Auth);
}

#[test]
fn a_changed_key_says_old_new_and_what_to_do() {
    let log = "@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n\
        The fingerprint for the ED25519 key sent by the remote host is\n\
        SHA256:5dyHS05QlZtcYOWQydsuXFDIwy5V8Fsywov6cwj9VJ8.\nPlease contact";
    let pin = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDgaKFMZaY7Yu17zdJKUShWqMo6sX4ZhvFVMLPwNxYQr";
    let machine = ResourceId::new("shop/w/1");
    let broken = Broken::Said(log.to_owned());
    let fault = connecting(&machine, &reach(), &broken, Some(pin.to_owned()));
    assert_eq!(fault.class, Auth);
    let old = pins::fingerprint(pin).unwrap();
    for part in [
        old.as_str(),
        "shown SHA256:5dyHS05QlZtcYOWQydsuXFDIwy5V8Fsywov6cwj9VJ8. ",
        "192.0.2.7",
        "`quorate forget --host-key shop/w/1`",
    ] {
        assert!(fault.detail.contains(part), "{part} in {fault}");
    }
}

#[test]
fn jobs_fail_by_code_and_words() {
    let machine = ResourceId::new("shop/w/1");
    let cases = [
        (1, "cat: write error: No space left on device", Quota),
        (75, "tail: No space left on device", Quota),
        (1, "sudo: a password is required", Auth),
        (1, "me is not in the sudoers file.", Auth),
        (65, "no such thing", Invalid),
        (73, "somebody else's", Exists),
        (75, "cloud-init is still at work", Busy),
        (124, "", Retryable),
        (126, "", Invalid),
        (1, "E: Unable to fetch some archives", Retryable),
    ];
    for (code, stderr, class) in cases {
        let output = Output {
            stdout: String::new(),
            stderr: stderr.to_owned(),
        };
        let end = End::Exited(code, output);
        let fault = ended(&machine, &reach(), &job(true), end).unwrap_err();
        assert_eq!(fault.class, class, "{code} {stderr}");
        assert!(fault.detail.contains(stderr), "{fault}");
        assert!(fault.detail.contains("make the mesh peer"), "{fault}");
    }
}

#[test]
fn only_a_change_that_broke_off_is_unknown() {
    let machine = ResourceId::new("shop/w/1");
    let class = |mutates, end| {
        ended(&machine, &reach(), &job(mutates), end)
            .unwrap_err()
            .class
    };
    for (mutates, lost) in [(true, Unknown), (false, Retryable)] {
        assert_eq!(class(mutates, End::Lost(String::new())), lost);
        assert_eq!(class(mutates, End::TooLate), lost);
        assert_eq!(class(mutates, End::NeverStarted), Retryable);
    }
    assert_eq!(class(true, End::NoProgram(String::new())), Invalid);
}

#[test]
fn keys_do_not_get_into_faults() {
    let key = "YAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
    let words = scrubbed(&format!(
        "Key is not the correct length or format: `{key}'\r\nend"
    ));
    assert_eq!(
        words,
        "Key is not the correct length or format: `(key)'\nend"
    );
    // Also where the text is cut in the middle of one.
    for pad in 0..60 {
        let text = format!("{key} {}", "x ".repeat((WORDS - pad) / 2));
        assert!(!scrubbed(&text).contains(&key[30..43]), "{pad}");
    }
    assert_eq!(scrubbed("SHA256:abc = d"), "SHA256:abc = d");
}
