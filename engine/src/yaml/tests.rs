//! What is read, what is refused, and that hostile input stays cheap.

use super::*;
use proptest::prelude::*;

fn codes(parsed: &Parsed) -> Vec<&'static str> {
    parsed.diagnostics.iter().map(|d| d.finding.code).collect()
}

/// Parses one sound document.
fn one(text: &str) -> Node {
    let parsed = parse(text.as_bytes());
    assert_eq!(parsed.diagnostics, [], "{text}");
    assert_eq!(parsed.documents.len(), 1, "{text}");
    parsed.documents.into_iter().next().unwrap()
}

/// The first mistake as `line:column code: message`.
fn first(text: &str) -> String {
    let parsed = parse(text.as_bytes());
    let found = parsed.diagnostics.first().expect("a mistake");
    assert!(!found.finding.fix.is_empty(), "{found:?}");
    let Span { line, column, .. } = found.span;
    format!(
        "{line}:{column} {}: {}",
        found.finding.code, found.finding.message
    )
}

#[test]
fn every_value_and_key_knows_its_place() {
    let text = "a: é\nlist:\n  - ü: 1\n    on: x # note\n  - [p, {q: r}]\nb: |\n  t\n";
    let root = one(text);
    let show = |path: Path| {
        let span = root.locate(&path);
        (&text[span.start..span.end], span.line, span.column)
    };
    let list = Path::root().field("list");
    assert_eq!(show(Path::root().field("a")), ("é", 1, 4));
    assert_eq!(show(list.clone()), ("list", 2, 1));
    assert_eq!(show(list.index(0)), ("ü", 3, 5));
    assert_eq!(show(list.index(0).field("ü")), ("1", 3, 8));
    assert_eq!(show(list.index(0).field("on")), ("x", 4, 9));
    assert_eq!(show(list.index(1).index(1).field("q")), ("r", 5, 13));
    // What is not there is shown at the nearest thing around it.
    assert_eq!(show(list.index(0).field("missing").index(3)), ("ü", 3, 5));
    assert_eq!(show(Path::root().field("missing")), ("a", 1, 1));
}

#[test]
fn keys_with_dots_are_found() {
    let root = one("labels:\n  a: 1\n  a.b/c: 2\n  a.b/c.d: 3\n");
    let label = |name| root.locate(&Path::root().field("labels").field(name)).line;
    assert_eq!([label("a"), label("a.b/c"), label("a.b/c.d")], [2, 3, 4]);
}

#[test]
fn a_byte_order_mark_is_read_over_and_counted() {
    let root = parse("\u{FEFF}a: b".as_bytes()).documents.remove(0);
    let span = root.get("a").unwrap().span;
    assert_eq!((span.line, span.column, span.start, span.end), (1, 4, 6, 7));
}

#[test]
fn documents_without_content_are_left_out() {
    assert_eq!(
        parse(b"---\n---\na: 1\n---\n# nothing\n").documents.len(),
        1
    );
    for text in ["", "\n\n", "# only a comment", "---\n---\n", "~"] {
        assert_eq!(codes(&parse(text.as_bytes())), ["yaml-empty"], "{text:?}");
    }
}

#[test]
fn aliases_stand_for_what_they_name() {
    let root = one("a: &x {b: 1}\nc: *x\n");
    assert_eq!(root.get("c").unwrap().get("b").unwrap().text(), Some("1"));
    assert!(first("a: &x [*x]").contains("yaml-alias"));
    assert!(first("a: *x").contains("yaml-syntax"));
    assert!(
        first("a: &x 1\n---\nb: *x").contains("3:"),
        "anchors end with their document"
    );
}

#[test]
fn mistakes_have_a_place_and_a_name() {
    for (text, expected) in [
        (
            "a: 1\nb: 2\na: 3",
            "3:1 yaml-duplicate-key: `a` is given twice: first at line 1",
        ),
        (
            "x: &x {a: 1}\ny:\n  <<: *x",
            "3:3 yaml-merge-key: merge keys",
        ),
        (
            "a: !secret b",
            "1:4 yaml-tag: the tag `secret` has no meaning",
        ),
        ("? [a]\n: b", "1:3 yaml-key: a key must be a name"),
        ("a:\n\tb: 1", "2:"),
        (": b", "1:1 yaml-key: a key has no name"),
        ("a: [1, 2", "1:4 yaml-syntax: this bracket is still open"),
        ("a: \"x", "1:"),
        ("a: b: c", "1:"),
        ("a: b\n  c: d", "2:"),
        ("a: \u{0}", "1:4 yaml-character: the character U+0000"),
        (
            "a: 1\nb: \u{1b}[31m",
            "2:4 yaml-character: the character U+001B",
        ),
    ] {
        let found = first(text);
        assert!(found.starts_with(expected), "{text:?}: {found}");
    }
    assert!(first("a:\n\tb: 1").contains("tab"));
}

#[test]
fn all_mistakes_of_a_readable_text_are_named() {
    let parsed = parse(b"a: 1\na: 2\nb: !x 3\n<<: {}\n");
    assert_eq!(
        codes(&parsed),
        ["yaml-duplicate-key", "yaml-tag", "yaml-merge-key"]
    );
    assert_eq!(parsed.documents.len(), 1);
}

#[test]
fn text_must_be_utf8() {
    let parsed = parse(b"a: 1\nb: x\xff\n");
    let span = parsed.diagnostics[0].span;
    assert_eq!(codes(&parsed), ["yaml-not-utf8"]);
    assert_eq!((span.line, span.column, span.start), (2, 5, 9));
    assert_eq!(codes(&parse(b"\xff\xfea\0")), ["yaml-not-utf8"]);
}

#[test]
fn hostile_input_is_refused_cheaply() {
    let laughs = |bytes: usize| {
        let mut text = format!("a0: &a0 {}\n", "x".repeat(bytes));
        for level in 1..40 {
            let refs = vec![format!("*a{}", level - 1); 9].join(",");
            text += &format!("a{level}: &a{level} [{refs}]\n");
        }
        text
    };
    for (name, text, code) in [
        ("billion laughs", laughs(1), "yaml-too-many-nodes"),
        ("laughs of long text", laughs(1 << 20), "yaml-too-large"),
        ("100 MB", "a: 1\n".repeat(20 << 20), "yaml-too-large"),
        ("deep flow", "[".repeat(1_000_000), "yaml-too-many-nodes"),
        ("deep flow, below the limit", "[".repeat(100_000), "yaml-"),
        ("deep block", "- ".repeat(1_000_000), "yaml-too-deep"),
        ("deep mappings", "? ".repeat(1_000_000), "yaml-too-deep"),
        ("deep aliases", deep_aliases(), "yaml-too-deep"),
        (
            "many items",
            "- a\n".repeat(1_000_000),
            "yaml-too-many-nodes",
        ),
        (
            "many keys",
            (0..300_000).map(|n| format!("k{n}: 1\n")).collect(),
            "yaml-too-many-nodes",
        ),
        (
            "many anchors",
            "- &a b\n".repeat(150_000),
            "yaml-too-many-nodes",
        ),
        (
            "many documents",
            "--- a\n".repeat(400_000),
            "yaml-too-many-nodes",
        ),
    ] {
        let parsed = parse(text.as_bytes());
        let found = codes(&parsed);
        assert_eq!(
            (found.len(), parsed.documents.len()),
            (1, 0),
            "{name}: {found:?}"
        );
        assert!(found[0].starts_with(code), "{name}: {found:?}");
    }
}

fn deep_aliases() -> String {
    let mut text = "a0: &a0 x\n".to_owned();
    for level in 1..80 {
        text += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
    }
    text
}

#[test]
fn many_tags_do_not_make_many_messages() {
    let parsed = parse("- !x\n".repeat(50_000).as_bytes());
    assert!(
        parsed.diagnostics.len() <= MAX_MISTAKES + 1,
        "{}",
        parsed.diagnostics.len()
    );
}

/// Texts of the characters that mean something in YAML.
const YAML_LIKE: &str = "[-:?,{}\\[\\]&*!|>'\"%@ \n\ta-cé#~0-9]{0,120}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_give_documents_or_a_mistake(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let parsed = parse(&bytes);
        prop_assert!(!parsed.documents.is_empty() || !parsed.diagnostics.is_empty());
    }

    #[test]
    fn any_yaml_like_text_gives_spans_inside_it(text in YAML_LIKE) {
        let parsed = parse(text.as_bytes());
        prop_assert!(!parsed.documents.is_empty() || !parsed.diagnostics.is_empty());
        for diagnostic in &parsed.diagnostics {
            let Span { start, end, .. } = diagnostic.span;
            prop_assert!(start <= end && end <= text.len(), "{diagnostic:?}");
        }
        for document in &parsed.documents {
            inside(document, &text);
        }
    }
}

fn inside(node: &Node, text: &str) {
    assert!(
        text.get(node.span.start..node.span.end).is_some(),
        "{:?}",
        node.span
    );
    match &node.value {
        Value::Scalar { .. } => {}
        Value::Sequence(items) => items.iter().for_each(|item| inside(item, text)),
        Value::Mapping(entries) => {
            for entry in entries {
                assert!(text.get(entry.key_span.start..entry.key_span.end).is_some());
                inside(&entry.value, text);
            }
        }
    }
}
