//! YAML as a tree in which every key and value knows where it stands.
//!
//! The rules are those of YAML 1.2 and its core schema: `on` is text, `"1"` is text, `1` a number.
//! Hostile input costs bounded memory: bytes, nodes, depth and what aliases expand to are limited.
//! Knows nothing of manifests.

mod build;
mod decode;
mod scalar;
mod text;

pub use build::parse;
pub use decode::decode;
pub use scalar::Core;

use crate::diagnostic::{Diagnostic, Finding, Path, Span};

/// The largest input, in bytes. Whoever reads a file stops here instead of reading it whole.
pub const MAX_BYTES: usize = 4 << 20;
/// The most keys and values in one input, counting what aliases stand for each time.
pub const MAX_NODES: usize = 200_000;
/// The deepest nesting.
pub const MAX_DEPTH: usize = 64;
/// The most mistakes that are named in a text that can be read to its end.
pub const MAX_MISTAKES: usize = 100;

/// A value and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// From its first to its last character.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A single value, as text.
    Scalar {
        /// Without quotes, escapes resolved.
        text: String,
        /// Whether the text alone decides on its type.
        style: Style,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// Fields, in the order of the text; no key stands there twice.
    Mapping(Vec<Entry>),
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Bare: `1` is a number, `true` a truth value, `~` nothing.
    Plain,
    /// In quotes, as a block, or tagged `!!str`: always text.
    Quoted,
}

/// A field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub key: String,
    /// Where the name stands.
    pub key_span: Span,
    /// Its value.
    pub value: Node,
}

/// The documents of an input, and what is wrong with it as YAML.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parsed {
    /// Documents that hold something. Empty where the text could not be read to its end.
    pub documents: Vec<Node>,
    /// Every mistake: with a readable tree, such as a key given twice, or without.
    pub diagnostics: Vec<Diagnostic>,
}

impl Node {
    /// The value of a field; none if this is no mapping or has no such field.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// A field with its name; none if this is no mapping or has no such field.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        let Value::Mapping(entries) = &self.value else {
            return None;
        };
        entries.iter().find(|entry| entry.key == key)
    }

    /// The text of a scalar; none for lists and mappings.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    /// A scalar by the core schema of YAML 1.2; none for lists and mappings.
    #[must_use]
    pub fn core(&self) -> Option<Core<'_>> {
        match &self.value {
            Value::Scalar { text, style } => Some(Core::of(text, *style)),
            Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    /// What to point at: a scalar itself; of a mapping its first name; of a list its beginning.
    #[must_use]
    pub fn head(&self) -> Span {
        match &self.value {
            Value::Scalar { .. } => self.span,
            Value::Sequence(_) => first_byte(self.span),
            Value::Mapping(entries) => entries
                .first()
                .map_or(first_byte(self.span), |entry| entry.key_span),
        }
    }

    /// What to point at for a path; where the path leaves the tree, its last known ancestor.
    ///
    /// A key may itself contain dots, so the longest key that fits is taken at each step.
    #[must_use]
    pub fn locate(&self, path: &Path) -> Span {
        let (mut node, mut rest, mut place) = (self, path.as_str(), self.head());
        while let Some((next, span, tail)) = node.step(rest) {
            (node, rest, place) = (next, tail, span);
        }
        place
    }

    /// One step along `rest`: the child, what to point at for it, and what remains of the path.
    fn step<'p>(&self, rest: &'p str) -> Option<(&Node, Span, &'p str)> {
        match &self.value {
            Value::Scalar { .. } => None,
            Value::Sequence(items) => {
                let (index, tail) = rest.strip_prefix('[')?.split_once(']')?;
                let item = items.get(index.parse::<usize>().ok()?)?;
                Some((item, item.head(), tail))
            }
            Value::Mapping(entries) => {
                let rest = rest.strip_prefix('.').unwrap_or(rest);
                let fits = |key: &str| {
                    let tail = rest.strip_prefix(key)?;
                    (tail.is_empty() || tail.starts_with(['.', '['])).then_some(tail)
                };
                let longest = |e: &&Entry| {
                    if fits(&e.key).is_some() {
                        e.key.len() + 1
                    } else {
                        0
                    }
                };
                let entry = entries.iter().max_by_key(longest)?;
                let tail = fits(&entry.key)?;
                Some((&entry.value, entry.head(), tail))
            }
        }
    }
}

impl Entry {
    /// What to point at: the value if it is a scalar that can be seen, else the name.
    #[must_use]
    pub fn head(&self) -> Span {
        match &self.value.value {
            Value::Scalar { .. } if self.value.span.end > self.value.span.start => self.value.span,
            Value::Scalar { .. } | Value::Sequence(_) | Value::Mapping(_) => self.key_span,
        }
    }
}

fn first_byte(span: Span) -> Span {
    Span {
        end: span.end.min(span.start + 1),
        ..span
    }
}

/// A text as messages show it: in back quotes, short, and without control characters.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut out = String::from("`");
    for (count, c) in text.chars().enumerate() {
        if count == 60 {
            out.push('…');
            break;
        }
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.push('`');
    out
}

/// A mistake in the text as such.
fn mistake(code: &'static str, span: Span, message: impl Into<String>, fix: &str) -> Diagnostic {
    Diagnostic {
        finding: Finding::error(code, &Path::root(), message).fix(fix),
        span,
    }
}

#[cfg(test)]
mod tests;
