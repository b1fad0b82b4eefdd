//! What stands in configurations, and that HAProxy itself takes them.

use super::*;
use quorate_engine::units::Duration;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::Command;

fn backends(count: u8) -> Vec<Backend> {
    let backend = |n: u8| Backend {
        machine: ResourceId::new(format!("shop/htz.cp/{n}")),
        address: Ipv4Addr::new(10, 88, 0, n),
    };
    (1..=count).map(backend).collect()
}

fn forward(role: &str, port: u16) -> Forward {
    Forward {
        role: role.to_owned(),
        api: false,
        port,
        target_port: port + 10_000,
        backends: backends(2),
        check: BackendCheck::default(),
        proxy_protocol: false,
        sticky: false,
    }
}

/// Every kind of forward.
fn forwards() -> Vec<Forward> {
    let api = Forward {
        api: true,
        target_port: 6443,
        ..forward("web/api", 6443)
    };
    let proxy = Forward {
        proxy_protocol: true,
        ..forward("web/https", 443)
    };
    let sticky = Forward {
        sticky: true,
        ..forward("web/http", 80)
    };
    let empty = Forward {
        backends: Vec::new(),
        ..forward("web/later", 81)
    };
    vec![api, proxy, sticky, empty]
}

/// The lines of a section, without their indentation.
fn section<'a>(text: &'a str, head: &str) -> Vec<&'a str> {
    let lines = text.lines().skip_while(|line| *line != head).skip(1);
    let own = lines.take_while(|line| line.starts_with(' '));
    own.map(str::trim).collect()
}

/// Whether HAProxy would start with it; none where there is no HAProxy.
fn taken(text: &str) -> Option<Result<(), String>> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let mut command = Command::new("haproxy");
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    let Ok(output) = command.arg("-c").arg("-f").arg(file.path()).output() else {
        eprintln!("SKIPPED: no haproxy here (apt install haproxy)");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Some(if output.status.success() && !said.contains("[WARNING]") {
        Ok(())
    } else {
        Err(said)
    })
}

#[test]
fn haproxy_takes_what_is_written() {
    let node = ResourceId::new("shop/w/1");
    for text in [
        balancer(&forwards()),
        balancer(&[]),
        api_proxy(&node, 7443, &backends(3)),
        api_proxy(&backends(3)[1].machine, 7443, &backends(3)),
        api_proxy(&node, 7443, &[]),
    ] {
        if let Some(outcome) = taken(&text) {
            assert_eq!(outcome, Ok(()), "{text}");
            assert!(
                taken(&text.replace("mode tcp", "mode odd"))
                    .unwrap()
                    .is_err()
            );
        }
    }
}

#[test]
fn api_servers_are_asked_whether_they_are_ready() {
    let text = balancer(&forwards());
    assert_eq!(
        section(&text, "frontend web-api"),
        [
            "bind 0.0.0.0:6443",
            "bind [::]:6443 v6only",
            "default_backend web-api"
        ]
    );
    assert_eq!(
        section(&text, "backend web-api"),
        [
            "balance roundrobin",
            "timeout connect 300ms",
            "timeout check 500ms",
            "option httpchk GET /readyz?exclude=etcd",
            "http-check expect status 200",
            "default-server check inter 500ms fastinter 200ms downinter 1000ms fall 2 rise 2 \
             tcp-ut 10s check-ssl verify none on-marked-down shutdown-sessions",
            "server shop-htz-cp-1 10.88.0.1:6443 id 173539329",
            "server shop-htz-cp-2 10.88.0.2:6443 id 173539330",
        ]
    );
}

#[test]
fn each_wish_shows_where_it_was_asked_for_and_nowhere_else() {
    let text = balancer(&forwards());
    for (backend, proxy, sticky) in [
        ("backend web-api", false, false),
        ("backend web-https", true, false),
        ("backend web-http", false, true),
        ("backend web-later", false, false),
    ] {
        let lines = section(&text, backend);
        let any = |word: &str| lines.iter().any(|line| line.contains(word));
        assert_eq!(any("send-proxy-v2"), proxy, "{backend}");
        assert_eq!(any("balance source"), sticky, "{backend}");
        assert_eq!(any("balance roundrobin"), !sticky, "{backend}");
        assert_eq!(any("httpchk"), backend == "backend web-api", "{backend}");
    }
}

#[test]
fn checks_are_as_the_manifest_has_them() {
    let ms = |n| Duration(Span::from_ms(n));
    let check = BackendCheck {
        interval: ms(3000),
        timeout: ms(700),
        fall: 0,
        rise: 5,
        connect_timeout: ms(900),
    };
    let text = balancer(&[Forward {
        check,
        ..forward("a/b", 80)
    }]);
    let lines = section(&text, "backend a-b");
    assert_eq!(
        lines[1..4],
        [
            "timeout connect 900ms",
            "timeout check 700ms",
            "default-server check inter 3000ms fastinter 200ms downinter 3000ms fall 1 rise 5 \
             tcp-ut 10s"
        ]
    );
}

#[test]
fn the_own_api_server_comes_first_and_the_others_stand_by() {
    let servers = backends(3);
    let text = api_proxy(&servers[1].machine, 7443, &servers);
    let lines = section(&text, "backend api");
    let ranks: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("server"))
        .map(|line| (line.contains("10.88.0.2:6443"), line.ends_with(" backup")))
        .collect();
    assert_eq!(ranks, [(true, false), (false, true), (false, true)]);
    assert!(lines.contains(&"option allbackups"));
    assert_eq!(
        section(&text, "frontend api"),
        ["bind 127.0.0.1:7443", "default_backend api"]
    );

    let elsewhere = api_proxy(&ResourceId::new("shop/w/1"), 7443, &servers);
    assert!(!elsewhere.contains("backup"));
    assert_eq!(elsewhere.matches("\n    server ").count(), 3);
}

#[test]
fn names_lead_to_the_own_server_first_and_elsewhere_not_all_to_the_same() {
    let servers = backends(3);
    let lines = hosts_lines(&servers[2].machine, "api.example.com", &servers);
    assert!(lines.starts_with("10.88.0.3 api.example.com\n"), "{lines}");
    assert_eq!(lines.lines().count(), 3);
    let firsts: std::collections::BTreeSet<_> = (1..30)
        .map(|n| {
            let lines = hosts_lines(&ResourceId::new(format!("shop/w/{n}")), "api", &servers);
            assert_eq!(lines.lines().count(), 3);
            lines.lines().next().unwrap().to_owned()
        })
        .collect();
    assert_eq!(firsts.len(), 3);
    assert_eq!(hosts_lines(&servers[0].machine, "192.0.2.7", &servers), "");
    assert_eq!(hosts_lines(&servers[0].machine, "api", &[]), "");
}
