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

fn expect(cases: &[(String, &str)]) {
    for (text, said) in cases {
        let problems = problems(text);
        let found = problems
            .iter()
            .any(|p| p.contains(said) && p.starts_with("line "));
        assert!(found, "`{said}` is not said of {text}: {problems:?}");
    }
}

#[test]
fn what_is_wrong_with_zones_has_a_place_and_a_fix() {
    let cases = [
        ("zones: []", "there is no zone"),
        ("zones:\n- {zone: 'a b..c'}", "no name of a zone"),
        (
            "zones:\n- {zone: a.test}\n- {zone: A.test}",
            "is there twice",
        ),
        (
            "zones:\n- {zone: a.test, nameServers: ['a..b']}",
            "`a..b` is no name",
        ),
        (
            "zones:\n- {zone: a.test, negativeTtl: 99999d}",
            "for so long",
        ),
    ];
    expect(&cases.map(|(text, said)| (text.to_owned(), said)));
}

#[test]
fn what_is_wrong_with_records_has_a_place_and_a_fix() {
    let www = "{name: www, type: A, values: [192.0.2.1]}";
    let alias = "{name: www, type: CNAME, values: [a]}";
    let one = |name: &str, kind: &str, value: &str| {
        with(&format!(
            "{{name: '{name}', type: {kind}, values: ['{value}']}}"
        ))
    };
    let values = |kind: &str, values: &str| {
        with(&format!("{{name: www, type: {kind}, values: [{values}]}}"))
    };
    let two = |one: &str, other: &str| format!("{}  - {other}\n", with(one));
    expect(&[
        (
            one("www", "A", "192.0.2.300"),
            "no value of type A: write an IPv4",
        ),
        (one("www", "A", "2001:db8::1"), "no value of type A"),
        (one("www", "AAAA", "192.0.2.1"), "no value of type AAAA"),
        (one("www", "MX", "mail"), "no value of type MX"),
        (one("*", "A", "192.0.2.1"), "no wildcards"),
        (
            one("www.other.test.", "A", "192.0.2.1"),
            "no name in example.test",
        ),
        (one("www", "PTR", "x"), "PTR"),
        (values("A", ""), "there is no value"),
        (values("A", "192.0.2.1, 192.0.2.1"), "is there twice"),
        (values("CNAME", "a, b"), "one name only"),
        (two(www, www), "put all values into one"),
        (two(www, alias), "another name and has records"),
    ]);
}

#[test]
fn what_is_wrong_with_checks_has_a_place_and_a_fix() {
    let cases = [
        ("protocol: tcp, port: 0", "port 0"),
        ("protocol: tcp, port: 1, threshold: 0", "threshold"),
        ("protocol: tcp, port: 1, interval: 0s", "no time is left"),
        ("protocol: tcp, port: 1, path: /x", "tcp fetches nothing"),
        ("protocol: http, port: 1, path: x", "the path is none"),
        (
            "protocol: http, port: 1, status: [42]",
            "no status is like this",
        ),
        (
            "protocol: http, port: 1, ca: x",
            "no certificate without TLS",
        ),
        ("protocol: https, port: 1, ca: nonsense", "no certificate"),
        ("protocol: gopher, port: 1", "gopher"),
    ];
    let text = |check| {
        with(&format!(
            "{{name: a, type: A, values: [192.0.2.1], check: {{{check}}}}}"
        ))
    };
    expect(&cases.map(|(check, said)| (text(check), said)));
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
