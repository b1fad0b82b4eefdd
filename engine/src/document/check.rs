//! The walk over tree and schema, side by side.

use super::alternatives::{Definitions, Plain, accepts, bounds, either, kind};
use super::schema::Schema;
use super::{Format, MAX_DIAGNOSTICS};
use crate::diagnostic::{Diagnostic, Finding, Path, Severity, Span, nearest};
use crate::yaml::{Core, Entry, Node, Style, Value as Tree, shown};
use serde_json::Value;

/// Everything in `root` that its schema does not allow.
pub(super) fn check(schema: &Value, formats: &[Format], root: &Node) -> Vec<Diagnostic> {
    let definitions = Definitions {
        root: schema,
        formats,
    };
    let mut checker = Checker {
        definitions,
        out: Vec::new(),
    };
    let place = Place {
        path: Path::root(),
        head: root.head(),
    };
    checker.node(schema, root, &place);
    checker.out
}

struct Checker<'s> {
    definitions: Definitions<'s>,
    out: Vec<Diagnostic>,
}

/// Where a node stands: its path, and what to point at.
struct Place {
    path: Path,
    head: Span,
}

/// The fields of an object, gathered from all parts of its schema.
#[derive(Default)]
struct Shape<'s> {
    fields: Vec<(&'s str, &'s Value)>,
    required: Vec<&'s str>,
    /// Other fields than these are mistakes.
    closed: bool,
    /// What other fields hold, where any are allowed.
    others: Option<&'s Value>,
}

impl<'s> Checker<'s> {
    fn report(&mut self, severity: Severity, finding: Finding, span: Span) {
        let finding = Finding {
            severity,
            ..finding
        };
        if self.out.len() < MAX_DIAGNOSTICS {
            self.out.push(Diagnostic { finding, span });
        } else if self.out.len() == MAX_DIAGNOSTICS {
            let message = format!("there are more mistakes than the {MAX_DIAGNOSTICS} listed");
            let more = Finding::error("too-many-mistakes", &Path::root(), message);
            let finding = more.fix("mend these first");
            self.out.push(Diagnostic { finding, span });
        }
    }

    fn error(&mut self, code: &'static str, place: &Place, message: String, fix: String) {
        let finding = Finding::error(code, &place.path, message).fix(fix);
        self.report(Severity::Error, finding, place.head);
    }

    fn node(&mut self, schema: &'s Value, node: &Node, place: &Place) {
        let all = self.definitions.alternatives(schema);
        match all[..] {
            [plain] => self.plain(plain, node, place),
            _ => self.choice(&all, node, place),
        }
    }

    fn plain(&mut self, plain: Plain<'s>, node: &Node, place: &Place) {
        if !accepts(plain.schema, kind(node)) {
            return self.wrong_type(&[plain], node, place);
        }
        match &node.value {
            Tree::Scalar { text, .. } => self.scalar(plain, node, text, place),
            Tree::Sequence(items) => self.sequence(plain.schema, items, place),
            Tree::Mapping(entries) => self.mapping(plain.schema, node, entries, place),
        }
    }

    fn choice(&mut self, all: &[Plain<'s>], node: &Node, place: &Place) {
        let real: Vec<_> = all
            .iter()
            .filter(|p| p.schema.types() != ["null"])
            .copied()
            .collect();
        if kind(node) == "null" && real.len() < all.len() {
            return;
        }
        if matches!(node.value, Tree::Mapping(_)) && self.misfit(&real, node, place) {
            return;
        }
        match self.definitions.choose(&real, node) {
            Some(plain) => self.plain(plain, node, place),
            None => self.wrong_type(&real, node, place),
        }
    }

    /// Reports a mapping that is none of several kinds of object, where it can be said why.
    fn misfit(&mut self, all: &[Plain<'s>], node: &Node, place: &Place) -> bool {
        if let Some((tag, values)) = self.definitions.tag(all) {
            let list = quoted(&values);
            match node.entry(tag) {
                None => {
                    let message = format!("`{tag}` is missing: it says which kind this is");
                    self.error(
                        "missing-field",
                        place,
                        message,
                        format!("add `{tag}:` and {list}"),
                    );
                    true
                }
                Some(entry) => match entry.value.text() {
                    Some(text) if values.contains(&text) => false,
                    text => {
                        let inner = place.field(entry);
                        let message = format!("`{tag}` is none of {list}");
                        let near = text.and_then(|text| nearest(text, values.iter().copied()));
                        let fix = near.map_or(format!("write {list}"), |n| format!("write `{n}`"));
                        self.error("unknown-word", &inner, message, fix);
                        true
                    }
                },
            }
        } else if let Some(names) = self.definitions.exclusive(all) {
            let Tree::Mapping(entries) = &node.value else {
                return false;
            };
            if let [entry] = &entries[..]
                && names.contains(&entry.key.as_str())
            {
                return false;
            }
            let list = quoted(&names);
            let message = format!("exactly one field is expected here: {list}");
            let unknown = entries
                .iter()
                .find(|entry| !names.contains(&entry.key.as_str()));
            let near = unknown.and_then(|entry| nearest(&entry.key, names.iter().copied()));
            let fix = match (near, entries.len()) {
                (Some(near), 1) => format!("write `{near}`"),
                (_, 0) => format!("add {list}"),
                (_, _) => format!("keep one of {list}"),
            };
            let head = unknown.map_or(place.head, |entry| entry.key_span);
            let path = place.path.clone();
            self.error("one-of", &Place { path, head }, message, fix);
            true
        } else {
            false
        }
    }

    fn wrong_type(&mut self, all: &[Plain<'s>], node: &Node, place: &Place) {
        let expected = self.definitions.expected(all);
        let here = match &node.value {
            Tree::Scalar { text, .. } => match node.core() {
                None | Some(Core::Null) => "there is nothing".to_owned(),
                Some(Core::Text(_)) => format!("{} is text", shown(text)),
                Some(Core::Bool(_)) => format!("{} is a truth value", shown(text)),
                Some(Core::Integer(_) | Core::Float(_)) => format!("{} is a number", shown(text)),
            },
            Tree::Sequence(_) => "this is a list".to_owned(),
            Tree::Mapping(_) => "these are fields".to_owned(),
        };
        let words: Vec<&str> = all.iter().flat_map(|plain| plain.schema.words()).collect();
        let text = node.text().unwrap_or_default();
        if !words.is_empty() && kind(node) == "string" {
            let message = format!("{} is not {expected}", shown(text));
            let near = nearest(text, words.iter().copied());
            let fix = near.map_or(format!("write {expected}"), |near| {
                format!("write `{near}`")
            });
            return self.error("unknown-word", place, message, fix);
        }
        let takes = |kind: &str| all.iter().any(|plain| accepts(plain.schema, kind));
        let fix = match kind(node) {
            "null" => format!("write {expected}, or remove the field"),
            "integer" | "number" | "boolean" if takes("string") => {
                format!("put it in quotes: \"{}\"", text.trim())
            }
            "string" if (takes("integer") || takes("number")) && is_number(text) => {
                format!("remove the quotes: {text}")
            }
            "string" if takes("boolean") => match truth(text) {
                Some(value) => format!("write {value} without quotes"),
                None => "write `true` or `false`".to_owned(),
            },
            _ if takes("array") => "begin each element on its own line with `- `".to_owned(),
            _ if takes("object") => "write fields as `name: value`, one on each line".to_owned(),
            _ => format!("write {expected}"),
        };
        let message = format!("{here}; expected {expected}");
        self.error("wrong-type", place, message, fix);
    }

    fn scalar(&mut self, plain: Plain<'s>, node: &Node, text: &str, place: &Place) {
        let schema = plain.schema;
        let words = schema.words();
        if !words.is_empty() && !words.contains(&text) {
            return self.wrong_type(&[plain], node, place);
        }
        if let Some((_, check)) = plain.format
            && kind(node) != "null"
            && let Err(error) = check(text)
        {
            let (message, fix) = error
                .rsplit_once(": ")
                .unwrap_or((&error, "change the value"));
            return self.error("value", place, message.to_owned(), fix.to_owned());
        }
        if let Some(Core::Integer(number)) = node.core() {
            let (low, high) = bounds(schema);
            if low.is_some_and(|low| number < low) || high.is_some_and(|high| number > high) {
                let expected = match (low, high) {
                    (Some(low), Some(high)) => format!("a whole number from {low} to {high}"),
                    (_, _) => self.definitions.expected(&[plain]),
                };
                let message = format!("{number} is not {expected}");
                self.error("out-of-range", place, message, format!("write {expected}"));
            }
        }
    }

    fn sequence(&mut self, schema: &'s Value, items: &[Node], place: &Place) {
        let limit = |name: &str| schema.keyword(name).and_then(Value::as_u64);
        let count = items.len() as u64;
        let few = limit("minItems").filter(|least| count < *least);
        let many = limit("maxItems").filter(|most| count > *most);
        if let Some(limit) = few.or(many) {
            let message = format!("the list has {count} elements, and the limit is {limit}");
            self.error(
                "list-length",
                place,
                message,
                format!("write {limit} elements"),
            );
        }
        for (index, item) in items.iter().enumerate() {
            let inner = schema
                .list("prefixItems")
                .get(index)
                .or(schema.keyword("items"));
            if let Some(inner) = inner {
                let place = Place {
                    path: place.path.index(index),
                    head: item.head(),
                };
                self.node(inner, item, &place);
            }
        }
    }

    fn mapping(&mut self, schema: &'s Value, node: &Node, entries: &[Entry], place: &Place) {
        let mut shape = Shape::default();
        self.gather(schema, node, &mut shape);
        for entry in entries {
            let place = place.field(entry);
            let known = shape.fields.iter().find(|(name, _)| *name == entry.key);
            match (known, shape.others) {
                (Some((_, inner)), _) => self.node(inner, &entry.value, &place),
                (None, Some(inner)) => self.node(inner, &entry.value, &place),
                (None, None) => self.unknown(&shape, entry, &place),
            }
        }
        for name in &shape.required {
            if node.get(name).is_none() {
                let inner = shape.fields.iter().find(|(field, _)| field == name);
                let about = inner.and_then(|(_, inner)| inner.word("description"));
                let sentence = about.and_then(|about| about.split(['.', ';']).next());
                let message = match sentence {
                    Some(text) if !text.is_empty() => format!("`{name}` is missing ({text})"),
                    Some(_) | None => format!("`{name}` is missing"),
                };
                let expected = inner.map_or("a value".to_owned(), |(_, inner)| {
                    self.definitions
                        .expected(&self.definitions.alternatives(inner))
                });
                let fix = format!("add `{name}:` and {expected}");
                self.error("missing-field", place, message, fix);
            }
        }
    }

    /// A field that the type does not have: refused, or read over with a warning.
    fn unknown(&mut self, shape: &Shape<'_>, entry: &Entry, place: &Place) {
        if shape.fields.is_empty() && !shape.closed {
            return;
        }
        let free = shape.fields.iter().map(|(name, _)| *name);
        let near = nearest(&entry.key, free.clone());
        let fix = near.map_or_else(
            || {
                format!(
                    "remove it; known here: {}",
                    free.collect::<Vec<_>>().join(", ")
                )
            },
            |near| format!("write `{near}`"),
        );
        let name = shown(&entry.key);
        let (severity, message) = if shape.closed {
            (Severity::Error, format!("there is no field {name} here"))
        } else {
            (
                Severity::Warning,
                format!("the field {name} is unknown and has no effect"),
            )
        };
        let finding = Finding::error("unknown-field", &place.path, message).fix(fix);
        self.report(severity, finding, entry.key_span);
    }

    /// Collects an object's fields: its own, those of what it refers to, and those of the
    /// alternative that the node looks like.
    fn gather(&self, schema: &'s Value, node: &Node, shape: &mut Shape<'s>) {
        if let Some(name) = schema.word("$ref") {
            self.gather(self.definitions.definition(name), node, shape);
        }
        for part in schema.list("allOf") {
            self.gather(part, node, shape);
        }
        for name in ["oneOf", "anyOf"] {
            let all = schema.list(name).iter();
            let all: Vec<_> = all
                .flat_map(|part| self.definitions.alternatives(part))
                .collect();
            if let Some(chosen) = self.definitions.choose(&all, node) {
                self.gather(chosen.schema, node, shape);
            }
        }
        if let Some(Value::Object(fields)) = schema.keyword("properties") {
            for (name, inner) in fields {
                if shape.fields.iter().all(|(known, _)| known != name) {
                    shape.fields.push((name, inner));
                }
            }
        }
        shape
            .required
            .extend(schema.list("required").iter().filter_map(Value::as_str));
        for name in ["additionalProperties", "unevaluatedProperties"] {
            match schema.keyword(name) {
                Some(Value::Bool(false)) => shape.closed = true,
                Some(inner @ Value::Object(_)) => shape.others = Some(inner),
                Some(_) | None => {}
            }
        }
    }
}

impl Place {
    fn field(&self, entry: &Entry) -> Self {
        Self {
            path: self.path.field(&entry.key),
            head: entry.head(),
        }
    }
}

fn quoted(words: &[&str]) -> String {
    either(words.iter().map(|word| format!("`{word}`")).collect())
}

fn is_number(text: &str) -> bool {
    matches!(
        Core::of(text, Style::Plain),
        Core::Integer(_) | Core::Float(_)
    )
}

/// The truth value that older YAML, or habit, means by a word.
fn truth(text: &str) -> Option<&'static str> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "y" | "true" => Some("`true`"),
        "no" | "off" | "n" | "false" => Some("`false`"),
        _ => None,
    }
}
