//! Every kind of mistake against a type that has every kind of schema.

use super::*;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A document of the tests.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fleet {
    /// What it is called. Shown in reports.
    name: String,
    #[serde(default)]
    size: u8,
    #[serde(default)]
    ratio: f64,
    #[serde(default)]
    armed: bool,
    timeout: Option<Duration>,
    #[schemars(with = "Option<Cidr>")]
    net: Option<ipnet::Ipv4Net>,
    #[serde(default)]
    ships: Vec<Ship>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    mtu: Option<Mtu>,
    key: Option<Key>,
    #[serde(default)]
    orders: Vec<Order>,
    crew: Option<Crew>,
    #[serde(default)]
    docks: BTreeMap<Ship, u32>,
    bound: Option<Amount>,
    place: Option<[u16; 2]>,
    code: Option<Even>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Ship {
    /// Small.
    Dinghy,
    /// Large.
    TallShip,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mtu {
    Auto,
    #[serde(untagged)]
    Fixed(u16),
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Key {
    Env(String),
    File(String),
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Order {
    Sail { to: String, after: Option<Duration> },
    Anchor { chain: u16 },
}

/// Either of two, told apart by type alone.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Amount {
    Count(u64),
    Text(String),
}

/// Takes unknown fields.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
struct Crew {
    captain: String,
}

/// A type whose text only serde can judge.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "u32")]
struct Even(u32);

impl TryFrom<u32> for Even {
    type Error = String;
    fn try_from(n: u32) -> Result<Self, String> {
        n.is_multiple_of(2)
            .then_some(Self(n))
            .ok_or(format!("{n} is odd"))
    }
}

/// All mistakes as `line:column path code: message -> fix`.
fn mistakes(text: &str) -> Vec<String> {
    let found = match read::<Fleet>(text.as_bytes(), &[]) {
        Ok(document) => document.warnings,
        Err(found) => found,
    };
    let line = |d: &Diagnostic| {
        let Finding {
            path,
            code,
            message,
            fix,
            ..
        } = &d.finding;
        let (line, column) = (d.span.line, d.span.column);
        format!("{line}:{column} {path} {code}: {message} -> {fix}")
    };
    found.iter().map(line).collect()
}

#[test]
fn a_sound_document_is_read_whole() {
    let text = "name: x\nsize: 3\nratio: 2\narmed: true\ntimeout: 1h30m\nnet: 10.0.0.0/8\n\
        ships: [tall-ship]\nlabels: {a.b/c: \"1\"}\nmtu: 1400\nkey: {env: E}\n\
        orders: [{kind: sail, to: y}, {kind: anchor, chain: 7}]\ncrew: {captain: z}\n\
        place: [1, 2]\ncode: 4\n";
    let fleet = read::<Fleet>(text.as_bytes(), &[]).unwrap().value;
    assert_eq!((fleet.size, fleet.ratio, fleet.armed), (3, 2.0, true));
    assert_eq!(
        (fleet.mtu, fleet.key),
        (Some(Mtu::Fixed(1400)), Some(Key::Env("E".into())))
    );
    assert_eq!(fleet.timeout.unwrap().0.as_ms(), 5_400_000);
    assert_eq!(fleet.orders[1], Order::Anchor { chain: 7 });
    assert_eq!((fleet.place, fleet.code), (Some([1, 2]), Some(Even(4))));
    assert_eq!((fleet.ships, fleet.labels.len()), (vec![Ship::TallShip], 1));
}

#[test]
fn nothing_is_read_as_absent_where_it_may_be() {
    assert_eq!(
        mistakes("name: x\nmtu:\ntimeout: ~\nkey: null\nnet:\n"),
        [""; 0]
    );
}

/// A second line of a document, and below it what is found.
const MISTAKES: &str = r#"
> size: 300
2:7 size out-of-range: 300 is not a whole number from 0 to 255
  -> write a whole number from 0 to 255
> size: "3"
2:7 size wrong-type: `3` is text; expected a whole number from 0 to 255
  -> remove the quotes: 3
> armed: yes
2:8 armed wrong-type: `yes` is text; expected `true` or `false`
  -> write `true` without quotes
> labels: {v: 1.30}
2:13 labels.v wrong-type: `1.30` is a number; expected text
  -> put it in quotes: "1.30"
> ships: dinghy
2:8 ships wrong-type: `dinghy` is text; expected a list
  -> begin each element on its own line with `- `
> ships:
2:1 ships wrong-type: there is nothing; expected a list
  -> write a list, or remove the field
> ships: [dingy]
2:9 ships[0] unknown-word: `dingy` is not `dinghy` or `tall-ship`
  -> write `dinghy`
> shps: []
2:1 shps unknown-field: there is no field `shps` here
  -> write `ships`
> timeout: 60
2:10 timeout value: `60` is not a duration
  -> write it like `250ms`, `60s`, `5m`, `1h30m`
> net: 10.0.0.1/8
2:6 net value: `10.0.0.1/8` begins inside its block
  -> write `10.0.0.0/8`
> mtu: atuo
2:6 mtu unknown-word: `atuo` is not `auto` or a whole number from 0 to 65535
  -> write `auto`
> mtu: 70000
2:6 mtu out-of-range: 70000 is not a whole number from 0 to 65535
  -> write a whole number from 0 to 65535
> key: {evn: X}
2:7 key one-of: exactly one field is expected here: `env` or `file`
  -> write `env`
> key: {env: X, file: Y}
2:1 key one-of: exactly one field is expected here: `env` or `file`
  -> keep one of `env` or `file`
> key: X
2:6 key wrong-type: `X` is text; expected the field `env` or the field `file`
  -> write fields as `name: value`, one on each line
> orders: [{kind: sial, to: y}]
2:17 orders[0].kind unknown-word: `kind` is none of `sail` or `anchor`
  -> write `sail`
> orders: [{to: y}]
2:11 orders[0] missing-field: `kind` is missing: it says which kind this is
  -> add `kind:` and `sail` or `anchor`
> orders: [{kind: sail, chain: 1}]
2:11 orders[0] missing-field: `to` is missing
  -> add `to:` and text
2:23 orders[0].chain unknown-field: there is no field `chain` here
  -> remove it; known here: kind, to, after
> place: [1, 2, 3]
2:1 place list-length: the list has 3 elements, and the limit is 2
  -> write 2 elements
> code: 3
2:7 (document) value: 3 is odd
  -> change the value as the message says
> docks: {dingy: 1, tall-ship: 2}
2:9 (document) value: `dingy` is none of `dinghy`, `tall-ship`
  -> write `dinghy`
> docks: {dinghy: 5000000000}
2:17 docks.dinghy out-of-range: 5000000000 is not a whole number from 0 to 4294967295
  -> write a whole number from 0 to 4294967295
> docks: {dinghy: x}
2:17 docks.dinghy wrong-type: `x` is text; expected a whole number
  -> write a whole number
> bound: -5
2:8 bound out-of-range: -5 is not a whole number from 0 to 18446744073709551615
  -> write a whole number from 0 to 18446744073709551615
> bound: 1.5
2:8 bound wrong-type: `1.5` is a number; expected a whole number or text
  -> put it in quotes: "1.5"
> crew: {captain: x, mate: y}
2:20 crew.mate unknown-field: the field `mate` is unknown and has no effect
  -> remove it; known here: captain
"#;

#[test]
fn each_mistake_is_found_at_its_place_with_a_fix() {
    for case in MISTAKES.trim().trim_start_matches("> ").split("\n> ") {
        let (text, expected) = case.split_once('\n').unwrap();
        let found = mistakes(&format!("name: x\n{text}"))
            .join("\n")
            .replace(" -> ", "\n  -> ");
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn all_mistakes_come_at_once_in_the_order_of_the_text() {
    let found = mistakes("size: x\nsize: 2\nships: [a, b]\nlabels: {k: 1}\nextra: 1\n---\nname: y");
    let codes: Vec<_> = found
        .iter()
        .map(|m| m.split([' ', ':']).nth(3).unwrap())
        .collect();
    assert_eq!(
        codes,
        [
            "missing-field",
            "wrong-type",
            "yaml-duplicate-key",
            "unknown-word",
            "unknown-word",
            "wrong-type",
            "unknown-field",
            "second-document",
        ],
        "{found:#?}"
    );
    assert!(
        found[0].contains("`name` is missing (What it is called)"),
        "{}",
        found[0]
    );
}

#[test]
fn own_formats_are_checked_like_units() {
    let upper: Format = ("Ship", |text| match text {
        "TITANIC" => Err("`TITANIC` has sunk: write another".to_owned()),
        _ => Ok(()),
    });
    let found = read::<Fleet>(b"name: x\nships: [TITANIC]", &[upper]).unwrap_err();
    assert!(!found.is_empty());
}

#[test]
fn mistakes_without_end_are_cut_off() {
    let text = format!(
        "name: x\n{}",
        (0..5_000).map(|n| format!("f{n}: 1\n")).collect::<String>()
    );
    assert_eq!(mistakes(&text).len(), MAX_DIAGNOSTICS + 1);
}

#[test]
fn control_characters_of_values_do_not_reach_messages() {
    for field in [
        "timeout",
        "net",
        "mtu",
        "size",
        "armed",
        "code",
        "\"\\e[31m\"",
    ] {
        for message in mistakes(&format!("name: x\n{field}: \"\\e[31m\"\n")) {
            assert!(!message.chars().any(char::is_control), "{message:?}");
        }
    }
}

#[test]
fn the_schema_for_editors_names_itself() {
    let schema = schema::<Fleet>("https://example.com/fleet.json", "A fleet");
    let keys: Vec<_> = schema
        .as_object()
        .unwrap()
        .keys()
        .take(3)
        .map(String::as_str)
        .collect();
    assert_eq!(keys, ["$schema", "$id", "title"]);
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert_eq!(schema["description"], "A document of the tests.");
    assert_eq!(schema["properties"]["name"]["type"], "string");
}
