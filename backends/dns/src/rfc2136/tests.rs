//! What goes into messages, and what is made of a user's mistakes. The adapter against real servers:
//! `tests/servers.rs`.

use super::update::{create, delete, replace};
use super::*;
use hickory_proto::rr::DNSClass;
use quorate_engine::resource::Kind;
use quorate_engine::seam::Key as CallKey;
use quorate_providers::Secret;
use serde_json::json;

fn site(endpoint: Option<&str>, secret: Option<&str>) -> Site {
    let mut provider = json!({"name": "ns", "type": "rfc2136"});
    if let Some(endpoint) = endpoint {
        provider["endpoint"] = json!(endpoint);
    }
    Site {
        owner: Owner {
            cluster: "shop".to_owned(),
            uid: 7,
            provider: "ns".to_owned(),
        },
        provider: serde_json::from_value(provider).unwrap(),
        secret: secret.map(Secret::new),
        ssh_user: "root".to_owned(),
        ssh_keys: Vec::new(),
    }
}

fn wanted_at(name: &str) -> Wanted {
    let labels = Labels {
        owner: site(None, None).owner,
        id: ResourceId::new("shop/dns.ns/www.example.test"),
        kind: Kind::RecordSet,
        fingerprint: 9,
        key: CallKey(3),
    };
    Wanted {
        zone: whole("example.test").unwrap(),
        name: whole(name).unwrap(),
        ttl_s: 30,
        addresses: vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()],
        check: None,
        labels,
    }
}

fn shown(records: &[Record]) -> Vec<String> {
    let line = |record: &Record| {
        let (name, kind, class) = (&record.name, record.record_type(), record.dns_class);
        format!("{name} {class} {kind}")
    };
    records.iter().map(line).collect()
}

#[test]
fn a_name_is_taken_with_its_mark_or_not_at_all() {
    let update = create(&wanted_at("www.example.test")).unwrap();
    assert_eq!(
        shown(&update.conditions),
        [
            "_quorate.www.example.test. NONE TXT",
            "www.example.test. NONE ANY"
        ]
    );
    assert_eq!(
        shown(&update.changes),
        [
            "www.example.test. IN A",
            "www.example.test. IN A",
            "_quorate.www.example.test. IN TXT",
            "_quorate-index.example.test. IN TXT",
        ]
    );
    let apex = create(&wanted_at("example.test")).unwrap();
    assert_eq!(
        shown(&apex.conditions),
        [
            "_quorate.example.test. NONE TXT",
            "example.test. NONE A",
            "example.test. NONE AAAA"
        ]
    );
}

#[test]
fn what_was_seen_has_to_be_so_still() {
    let wanted = wanted_at("www.example.test");
    let made = create(&wanted).unwrap();
    let seen = &made.changes[2];
    let pairs = marked(&seen.data).unwrap();
    assert_eq!(Labels::read(&pairs), Some(wanted.labels.clone()));
    let found = Found {
        zone: wanted.zone.clone(),
        name: wanted.name.clone(),
        ttl_s: Some(30),
        addresses: wanted.addresses.clone(),
        labels: wanted.labels.clone(),
        pairs,
    };
    assert_eq!(found.seen().fingerprint, 9);
    let changed = Found {
        addresses: vec!["192.0.2.9".parse().unwrap()],
        ..found.clone()
    };
    assert_eq!(changed.seen().fingerprint, 0, "somebody else changed it");
    for update in [
        replace(&wanted, seen).unwrap(),
        delete(&found, seen).unwrap(),
    ] {
        let condition = &update.conditions[..];
        assert_eq!(shown(condition), ["_quorate.www.example.test. IN TXT"]);
        assert_eq!((condition[0].ttl, &condition[0].data), (0, &seen.data));
        let first = shown(&update.changes[..3]);
        assert!(
            first.iter().all(|line| line.contains(" ANY ")),
            "all is cleared: {first:?}"
        );
    }
    let gone = delete(&found, seen).unwrap();
    let last = gone.changes.last().unwrap();
    assert_eq!((last.dns_class, last.ttl), (DNSClass::NONE, 0));
}

#[test]
fn mistakes_are_told_without_the_secret() {
    let zones = ["example.test".to_owned()];
    let cases = [
        (site(None, None), "no name server"),
        (site(Some("ns1"), Some("hunter2")), "not of the form"),
        (
            site(Some("ns1"), Some("hmac-md5:k:aHVudGVyMg==")),
            "algorithm",
        ),
        (
            site(Some("ns1"), Some("hmac-sha256:k:hunter2!")),
            "no base64",
        ),
        (
            site(Some("ns1"), Some("hmac-sha256:a..b:aHVudGVyMg==")),
            "no name",
        ),
    ];
    for (site, said) in cases {
        let problem = Rfc2136::new(site, &zones).unwrap_err();
        assert!(problem.what.contains(said), "{problem:?}");
        assert!(!format!("{problem:?}").contains("hunter2"), "{problem:?}");
    }
    let good = Rfc2136::new(
        site(Some("ns1"), Some("hmac-sha512:k:aHVudGVyMg==")),
        &zones,
    );
    let shown = format!("{:?}", good.unwrap());
    assert!(
        !shown.contains("aHVudGVyMg") && !shown.contains("hunter2"),
        "{shown}"
    );
}

#[test]
fn a_server_has_a_port() {
    let cases = [
        ("ns1.example.com", "ns1.example.com:53"),
        ("192.0.2.1:5353", "192.0.2.1:5353"),
        ("2001:db8::1", "[2001:db8::1]:53"),
        ("[2001:db8::1]:5353", "[2001:db8::1]:5353"),
    ];
    for (given, meant) in cases {
        assert_eq!(with_port(given), meant);
    }
}

#[tokio::test]
async fn nobody_there_is_worth_another_try() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nobody = Rfc2136::new(site(Some(&free.to_string()), None), &["e.test".to_owned()]);
    let fault = nobody.unwrap().owners().await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Retryable, "{fault}");
}
