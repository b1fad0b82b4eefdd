//! Schemas with alternatives: flattened, described in words, and chosen by what a node looks like.

use super::Format;
use super::schema::Schema;
use crate::yaml::{Core, Node, Value as Tree};
use serde_json::Value;

/// A schema without `$ref`, and the check of its texts if it has one.
#[derive(Clone, Copy)]
pub(super) struct Plain<'s> {
    pub(super) schema: &'s Value,
    pub(super) format: Option<Format>,
}

/// Where references lead, and which names have a format.
#[derive(Clone, Copy)]
pub(super) struct Definitions<'s> {
    pub(super) root: &'s Value,
    pub(super) formats: &'s [Format],
}

impl<'s> Definitions<'s> {
    /// Follows a reference that stands alone.
    pub(super) fn resolve(self, schema: &'s Value) -> Plain<'s> {
        let mut plain = Plain {
            schema,
            format: None,
        };
        while let Some(name) = plain.schema.word("$ref") {
            if plain.schema.keyword("properties").is_some() {
                break;
            }
            let name = name.trim_start_matches("#/$defs/");
            let named = |format: &&Format| format.0 == name;
            plain.format = self.formats.iter().find(named).copied();
            plain.schema = self.definition(name);
        }
        plain
    }

    /// What a reference stands for.
    pub(super) fn definition(self, name: &str) -> &'s Value {
        let name = name.trim_start_matches("#/$defs/");
        let found = if name == "#" {
            Some(self.root)
        } else {
            self.root
                .keyword("$defs")
                .and_then(|definitions| definitions.get(name))
        };
        found.unwrap_or_else(|| panic!("schemars defines what it refers to: {name}"))
    }

    /// All alternatives of a schema; itself, if it has no other.
    pub(super) fn alternatives(self, schema: &'s Value) -> Vec<Plain<'s>> {
        let plain = self.resolve(schema);
        let listed = plain
            .schema
            .list("oneOf")
            .iter()
            .chain(plain.schema.list("anyOf"));
        let inner: Vec<_> = listed.flat_map(|inner| self.alternatives(inner)).collect();
        if inner.is_empty() || plain.schema.keyword("properties").is_some() {
            vec![plain]
        } else {
            inner
        }
    }

    /// Which alternative of several a node was probably meant to be; none if it is like no one.
    pub(super) fn choose(self, all: &[Plain<'s>], node: &Node) -> Option<Plain<'s>> {
        match &node.value {
            Tree::Scalar { .. } => {
                let fitting = |plain: &&Plain<'_>| fits(**plain, node);
                all.iter()
                    .find(fitting)
                    .or_else(|| only(all, is_text))
                    .copied()
            }
            Tree::Sequence(_) => all
                .iter()
                .find(|plain| accepts(plain.schema, "array"))
                .copied(),
            Tree::Mapping(_) => {
                let objects: Vec<_> = all
                    .iter()
                    .filter(|plain| accepts(plain.schema, "object"))
                    .collect();
                let score = |plain: &&&Plain<'_>| self.likeness(plain.schema, node);
                let best = objects.iter().map(|plain| score(&plain)).max()?;
                objects
                    .iter()
                    .find(|plain| score(plain) == best)
                    .map(|plain| **plain)
            }
        }
    }

    /// How much of what marks an object's alternative a mapping has: constant fields count most,
    /// then required ones, then known ones.
    fn likeness(self, schema: &Value, node: &Node) -> (usize, usize, usize) {
        let Some(Value::Object(properties)) = schema.keyword("properties") else {
            return (0, 0, 0);
        };
        let marked = |(name, inner): &(&String, &Value)| {
            let text = node.get(name).and_then(Node::text);
            text.is_some_and(|text| inner.word("const") == Some(text))
        };
        let required = schema.list("required").iter().filter_map(Value::as_str);
        (
            properties.iter().filter(marked).count(),
            required.filter(|name| node.get(name).is_some()).count(),
            properties
                .keys()
                .filter(|name| node.get(name).is_some())
                .count(),
        )
    }

    /// The fields by whose constant value the alternatives are told apart, with all those values.
    pub(super) fn tag(self, all: &[Plain<'s>]) -> Option<(&'s str, Vec<&'s str>)> {
        let objects = all.iter().filter(|plain| accepts(plain.schema, "object"));
        let mut tags: Vec<(&str, &str)> = Vec::new();
        for plain in objects {
            let Some(Value::Object(properties)) = plain.schema.keyword("properties") else {
                return None;
            };
            let constant = |(name, inner): (&'s String, &'s Value)| {
                Some((name.as_str(), inner.word("const")?))
            };
            tags.push(properties.iter().find_map(constant)?);
        }
        let (name, _) = *tags.first()?;
        let same = tags.len() > 1 && tags.iter().all(|(other, _)| *other == name);
        same.then(|| (name, tags.into_iter().map(|(_, value)| value).collect()))
    }

    /// The names of which exactly one must be there, if that is how the alternatives differ.
    pub(super) fn exclusive(self, all: &[Plain<'s>]) -> Option<Vec<&'s str>> {
        let objects = all.iter().filter(|plain| accepts(plain.schema, "object"));
        let mut names = Vec::new();
        for plain in objects {
            let [Value::String(name)] = plain.schema.list("required") else {
                return None;
            };
            let Some(Value::Object(properties)) = plain.schema.keyword("properties") else {
                return None;
            };
            if properties.len() != 1 {
                return None;
            }
            names.push(name.as_str());
        }
        (names.len() > 1).then_some(names)
    }

    /// What is expected, in words.
    pub(super) fn expected(self, all: &[Plain<'s>]) -> String {
        let words: Vec<&str> = all.iter().flat_map(|plain| plain.schema.words()).collect();
        let mut parts: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        for plain in all.iter().filter(|plain| plain.schema.words().is_empty()) {
            parts.extend(described(plain));
        }
        parts.dedup();
        either(parts)
    }
}

/// `a, b or c`.
pub(super) fn either(mut parts: Vec<String>) -> String {
    match parts.pop() {
        None => "nothing".to_owned(),
        Some(last) if parts.is_empty() => last,
        Some(last) => format!("{} or {last}", parts.join(", ")),
    }
}

fn only<'a, 's>(all: &'a [Plain<'s>], is: fn(&Plain<'_>) -> bool) -> Option<&'a Plain<'s>> {
    let mut found = all.iter().filter(|plain| is(plain));
    let first = found.next()?;
    (found.next().is_none() && all.iter().all(|plain| is(plain))).then_some(first)
}

fn is_text(plain: &Plain<'_>) -> bool {
    accepts(plain.schema, "string")
}

/// Whether a scalar is all right as this alternative.
fn fits(plain: Plain<'_>, node: &Node) -> bool {
    let words = plain.schema.words();
    let text = node.text().unwrap_or_default();
    if !words.is_empty() {
        return words.contains(&text);
    }
    accepts(plain.schema, kind(node)) && plain.format.is_none_or(|(_, check)| check(text).is_ok())
}

/// The name that JSON Schema has for a node's type.
pub(super) fn kind(node: &Node) -> &'static str {
    match (&node.value, node.core()) {
        (Tree::Sequence(_), _) => "array",
        (Tree::Mapping(_), _) => "object",
        (Tree::Scalar { .. }, core) => match core {
            None | Some(Core::Null) => "null",
            Some(Core::Bool(_)) => "boolean",
            Some(Core::Integer(_)) => "integer",
            Some(Core::Float(_)) => "number",
            Some(Core::Text(_)) => "string",
        },
    }
}

/// Whether a schema takes values of a type.
pub(super) fn accepts(schema: &Value, kind: &str) -> bool {
    let types = schema.types();
    let words_only = types.is_empty() && !schema.words().is_empty();
    if words_only {
        return kind == "string";
    }
    types.is_empty() || types.contains(&kind) || (kind == "integer" && types.contains(&"number"))
}

fn described(plain: &Plain<'_>) -> Vec<String> {
    let schema = plain.schema;
    if let Some(Value::Array(examples)) = schema.keyword("examples") {
        let examples = examples.iter().filter_map(Value::as_str);
        return examples
            .map(|example| format!("a value like `{example}`"))
            .collect();
    }
    if let [Value::String(name)] = schema.list("required") {
        return vec![format!("the field `{name}`")];
    }
    let mut parts = Vec::new();
    for kind in schema.types() {
        parts.push(match kind {
            "string" => "text".to_owned(),
            "integer" => format!("a whole number{}", range(schema)),
            "number" => format!("a number{}", range(schema)),
            "boolean" => "`true` or `false`".to_owned(),
            "array" => "a list".to_owned(),
            "object" => "fields".to_owned(),
            _ => continue,
        });
    }
    parts
}

/// The range of a number in words: ` from 0 to 255`. A bound that only the machine has, such as
/// 2³² − 1, would explain nothing.
fn range(schema: &Value) -> String {
    let machine = |high: &i128| *high >= i128::from(i32::MAX);
    match bounds(schema) {
        (_, Some(high)) if machine(&high) => String::new(),
        (Some(low), Some(high)) => format!(" from {low} to {high}"),
        (Some(low), None) => format!(" of at least {low}"),
        (None, Some(high)) => format!(" of at most {high}"),
        (None, None) => String::new(),
    }
}

/// The bounds of a whole number, from its keywords and from the format that schemars gives it.
pub(super) fn bounds(schema: &Value) -> (Option<i128>, Option<i128>) {
    let (low, high) = match schema.word("format") {
        Some("uint8") => (Some(0), Some(i128::from(u8::MAX))),
        Some("uint16") => (Some(0), Some(i128::from(u16::MAX))),
        Some("uint32") => (Some(0), Some(i128::from(u32::MAX))),
        Some("uint64" | "uint") => (Some(0), Some(i128::from(u64::MAX))),
        Some("int32") => (Some(i128::from(i32::MIN)), Some(i128::from(i32::MAX))),
        Some("int64" | "int") => (Some(i128::from(i64::MIN)), Some(i128::from(i64::MAX))),
        Some(_) | None => (None, None),
    };
    let keyword = |name: &str| schema.keyword(name).and_then(Value::as_i64).map(i128::from);
    (keyword("minimum").or(low), keyword("maximum").or(high))
}
