//! Reading files, good and bad.

use super::*;

fn problems(text: &str) -> Vec<String> {
    match load(text.as_bytes()) {
        Ok(_) => Vec::new(),
        Err(all) => crate::serve::lines(&all),
    }
}

fn with(record: &str) -> String {
    format!("zones:\n- zone: example.test\n  records:\n  - {record}\n")
}

#[test]
fn json_and_yaml_say_the_same() {
    let json = r#"{"zones": [{"zone": "Example.Test", "records": [
        {"name": "www", "type": "A", "values": ["192.0.2.1"], "ttl": "5m"}]}]}"#;
    let yaml = "zones:\n- zone: Example.Test\n  records:\n  - {name: www, type: A, \
                values: [192.0.2.1], ttl: 5m}\n";
    let (one, other) = (
        load(json.as_bytes()).unwrap(),
        load(yaml.as_bytes()).unwrap(),
    );
    assert_eq!(one, other);
    let zone = one.1.zones.values().next().unwrap();
    let name = LowerName::new(&whole("www.example.test").unwrap());
    assert_eq!(zone.nodes[&name].sets[&RecordType::A].ttl_s, 300);
}

#[test]
fn the_serial_follows_the_zone_and_nothing_else() {
    let serial = |text: &str| {
        let (_, zones) = load(text.as_bytes()).unwrap();
        zones.zones.values().next().unwrap().soa.serial
    };
    let text = with("{name: www, type: A, values: [192.0.2.1]}");
    assert_eq!(
        serial(&text),
        serial(&format!("{text}peers: ['192.0.2.9:80']\n"))
    );
    assert_ne!(
        serial(&text),
        serial(&text.replace("192.0.2.1", "192.0.2.2"))
    );
    assert_ne!(serial(&text), 0);
}

#[test]
fn everything_that_is_wrong_has_a_place_and_a_fix() {
    let check = |check: &str| {
        with(&format!(
            "{{name: a, type: A, values: [192.0.2.1], check: {{{check}}}}}"
        ))
    };
    let record = |name: &str, kind: &str, value: &str| {
        with(&format!(
            "{{name: '{name}', type: {kind}, values: ['{value}']}}"
        ))
    };
    let two = |one: &str, other: &str| format!("{}  - {other}\n", with(one));
    let www = "{name: www, type: A, values: [192.0.2.1]}";
    let cases = [
        ("zones: []".to_owned(), "there is no zone"),
        ("zones:\n- {zone: 'a b..c'}".to_owned(), "no name of a zone"),
        (
            "zones:\n- {zone: a.test}\n- {zone: A.test}".to_owned(),
            "is there twice",
        ),
        (
            "zones:\n- {zone: a.test, nameServers: ['a..b']}".to_owned(),
            "`a..b` is no name",
        ),
        (
            "zones:\n- {zone: a.test, negativeTtl: 99999d}".to_owned(),
            "for so long",
        ),
        (
            record("www", "A", "192.0.2.300"),
            "no value of type A: write an IPv4",
        ),
        (record("www", "A", "2001:db8::1"), "no value of type A"),
        (record("www", "AAAA", "192.0.2.1"), "no value of type AAAA"),
        (record("www", "MX", "mail"), "no value of type MX"),
        (record("*", "A", "192.0.2.1"), "no wildcards"),
        (
            record("www.other.test.", "A", "192.0.2.1"),
            "no name in example.test",
        ),
        (record("www", "PTR", "x"), "PTR"),
        (
            with("{name: www, type: A, values: []}"),
            "there is no value",
        ),
        (
            with("{name: www, type: A, values: [192.0.2.1, 192.0.2.1]}"),
            "is there twice",
        ),
        (
            with("{name: www, type: CNAME, values: [a, b]}"),
            "one name only",
        ),
        (two(www, www), "put all values into one"),
        (
            two(www, "{name: www, type: CNAME, values: [a]}"),
            "another name and has records",
        ),
        (check("protocol: tcp, port: 0"), "port 0"),
        (check("protocol: tcp, port: 1, threshold: 0"), "threshold"),
        (
            check("protocol: tcp, port: 1, interval: 0s"),
            "no time is left",
        ),
        (
            check("protocol: tcp, port: 1, path: /x"),
            "tcp fetches nothing",
        ),
        (
            check("protocol: http, port: 1, path: x"),
            "the path is none",
        ),
        (
            check("protocol: http, port: 1, status: [42]"),
            "no status is like this",
        ),
        (
            check("protocol: http, port: 1, ca: x"),
            "no certificate without TLS",
        ),
        (
            check("protocol: https, port: 1, ca: nonsense"),
            "no certificate",
        ),
        (check("protocol: gopher, port: 1"), "gopher"),
    ];
    for (text, said) in cases {
        let problems = problems(&text);
        let found = problems
            .iter()
            .any(|p| p.contains(said) && p.starts_with("line "));
        assert!(found, "`{said}` is not said of {text}: {problems:?}");
    }
}

#[test]
fn names_are_below_the_zone_or_whole() {
    let text = "zones:\n- zone: example.test\n  records:\n\
                \x20 - {name: a, type: CNAME, values: [b]}\n\
                \x20 - {name: b.example.test, type: CNAME, values: [c.example.net]}\n\
                \x20 - {name: c.d, type: MX, values: ['5 mail']}\n";
    let (_, zones) = load(text.as_bytes()).unwrap();
    let zone = zones.zones.values().next().unwrap();
    let shown: Vec<_> = zone
        .nodes
        .iter()
        .flat_map(|(name, node)| node.sets.values().map(move |set| (name, set)))
        .filter(|(name, _)| **name != zone.apex)
        .map(|(name, set)| format!("{name} {}", set.members[0].data))
        .collect();
    let meant = [
        "a.example.test. b.example.test.",
        "b.example.test. c.example.net.",
        "c.d.example.test. 5 mail.example.test.",
    ];
    assert_eq!(shown, meant);
}

#[test]
fn the_schema_knows_every_field() {
    let schema = schema_of_file().to_string();
    for field in ["nameServers", "rateLimit", "threshold", "peers", "labels"] {
        assert!(schema.contains(field), "{field}");
    }
}
