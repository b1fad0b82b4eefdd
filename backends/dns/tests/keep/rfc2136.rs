//! `rfc2136` at BIND and at Knot.

use super::daemon::{Daemon, KEY, UNKNOWN, WRONG, bind, knot};
use super::{call, record, sample, site};
use quorate_dns::rfc2136::Rfc2136;
use quorate_engine::seam::{FaultClass, Reply, Verb};
use quorate_providers::Provider as _;
use quorate_providers::conformance::conform;
use std::process::Command;

fn keeper(server: &Daemon, uid: u64, key: Option<&str>) -> Rfc2136 {
    let site = site("rfc2136", uid, &server.address.to_string(), key);
    Rfc2136::new(site, &["example.test".to_owned()]).unwrap()
}

/// Every server that is installed.
fn servers() -> Vec<(&'static str, Daemon)> {
    let all = [("bind9", bind()), ("knot", knot())];
    let there = |(name, server): (&'static str, Option<Daemon>)| {
        if server.is_none() {
            eprintln!("SKIPPED: {name} is not here; apt-get install {name}");
        }
        Some((name, server?))
    };
    all.into_iter().filter_map(there).collect()
}

#[tokio::test]
async fn it_does_what_every_provider_has_to_do() {
    for (name, server) in servers() {
        let stranger = keeper(&server, 2, Some(KEY));
        let secret = KEY.rsplit_once(':').unwrap().1.to_owned();
        let ours = keeper(&server, 1, Some(KEY));
        let broken = conform(&ours, sample(&stranger, vec![secret])).await;
        assert_eq!(broken, Vec::<String>::new(), "{name}");
    }
}

#[tokio::test]
async fn who_may_not_is_told_so_as_such() {
    for (name, server) in servers() {
        let resource = record("www.example.test", "example.test", 30, &[1]);
        for key in [Some(WRONG), Some(UNKNOWN), None] {
            let keeper = keeper(&server, 1, key);
            let fault = keeper
                .call(&call(Verb::Create, &resource, true))
                .await
                .unwrap_err();
            assert_eq!(fault.class, FaultClass::Auth, "{name} {key:?}: {fault}");
        }
        let seen = keeper(&server, 1, Some(KEY))
            .call(&call(Verb::Describe, &resource, true))
            .await;
        assert_eq!(seen, Ok(Reply::Absent), "{name}");
        let elsewhere = record("www.other.test", "other.test", 30, &[1]);
        let keeper = keeper(&server, 1, Some(KEY));
        let made = keeper.call(&call(Verb::Create, &elsewhere, true)).await;
        assert_eq!(
            made.unwrap_err().class,
            FaultClass::Auth,
            "{name}: no such zone"
        );
    }
}

#[tokio::test]
async fn what_stood_there_before_us_stays() {
    for (name, server) in servers() {
        let keeper = keeper(&server, 1, Some(KEY));
        let taken = record("taken.example.test", "example.test", 30, &[1]);
        let fault = keeper
            .call(&call(Verb::Create, &taken, true))
            .await
            .unwrap_err();
        assert_eq!(fault.class, FaultClass::Exists, "{name}: {fault}");
        assert_eq!(
            keeper.preflight(std::slice::from_ref(&taken)).await.len(),
            1,
            "{name}"
        );
        let deleted = keeper.call(&call(Verb::Delete, &taken, true)).await;
        assert_eq!(deleted, Ok(Reply::Done), "{name}: nothing of ours is there");
        assert_eq!(
            dig(&server, "taken.example.test"),
            ["198.51.100.1"],
            "{name}"
        );
    }
}

#[tokio::test]
async fn what_others_change_is_seen_and_what_is_left_goes() {
    for (name, server) in servers() {
        let keeper = keeper(&server, 1, Some(KEY));
        let resource = record("www.example.test", "example.test", 30, &[1, 2]);
        let made = keeper.call(&call(Verb::Create, &resource, true)).await;
        assert!(matches!(made, Ok(Reply::Seen(_))), "{name}: {made:?}");
        assert_eq!(
            dig(&server, "www.example.test"),
            ["192.0.2.1", "192.0.2.2"],
            "{name}"
        );
        nsupdate(&server, "update delete www.example.test 30 A 192.0.2.2");
        let Ok(Reply::Seen(seen)) = keeper.call(&call(Verb::Describe, &resource, true)).await
        else {
            panic!("{name}: it is there");
        };
        assert_eq!(seen.fingerprint, 0, "{name}: an address is missing");
        let mended = keeper.call(&call(Verb::Update, &resource, true)).await;
        assert_eq!(mended, Ok(Reply::Done), "{name}");
        assert_eq!(
            dig(&server, "www.example.test"),
            ["192.0.2.1", "192.0.2.2"],
            "{name}"
        );
        // No spec: as the engine removes what no manifest names any more.
        let deleted = keeper.call(&call(Verb::Delete, &resource, false)).await;
        assert_eq!(deleted, Ok(Reply::Done), "{name}");
        assert!(dig(&server, "www.example.test").is_empty(), "{name}");
    }
}

fn dig(server: &Daemon, name: &str) -> Vec<String> {
    let (host, port) = (server.address.ip(), server.address.port().to_string());
    let said = Command::new("dig")
        .args([
            &format!("@{host}"),
            "-p",
            &port,
            "+short",
            "+norecurse",
            name,
            "A",
        ])
        .output()
        .expect("dig is there: apt-get install bind9-dnsutils");
    let text = String::from_utf8(said.stdout).unwrap();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn nsupdate(server: &Daemon, line: &str) {
    use std::io::Write as _;
    let (host, port) = (server.address.ip(), server.address.port());
    let mut child = Command::new("nsupdate")
        .args(["-y", KEY])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("nsupdate is there: apt-get install bind9-dnsutils");
    let text = format!("server {host} {port}\nzone example.test\n{line}\nsend\n");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
}
