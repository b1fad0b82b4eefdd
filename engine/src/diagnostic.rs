//! What is wrong with a user's input: the place, an explanation and the fix, as values.
//!
//! Checks look at typed values and name a place by its [`Path`]; the reader of the text, which
//! knows where each path stands, turns that into line and column. Nothing here prints.

use serde::Serialize;
use std::fmt;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The input cannot be used.
    Error,
    /// It can be used, and something will hurt.
    Warning,
    /// Worth knowing.
    Note,
}

/// A place in a document: `spec.nodePools[2].region`. Empty: the document itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(transparent)]
pub struct Path(String);

impl Path {
    /// The document itself.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// The place of a field below this one.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        if self.0.is_empty() {
            Self(name.to_owned())
        } else {
            Self(format!("{}.{name}", self.0))
        }
    }

    /// The place of an element below this one.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The place that contains this one; none for the document itself.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.0.is_empty() {
            return None;
        }
        Some(Self(
            self.0[..self.0.rfind(['.', '[']).unwrap_or(0)].to_owned(),
        ))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if self.0.is_empty() {
            "(document)"
        } else {
            &self.0
        })
    }
}

/// Something found in an input, at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name of the rule, in kebab case: `two-providers-give-one`.
    pub code: &'static str,
    /// Where.
    pub path: Path,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// Why it matters. Empty where the message says all.
    pub why: String,
    /// What to do about it. Never empty.
    pub fix: String,
}

impl Finding {
    /// An error.
    pub fn error(code: &'static str, path: &Path, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, path, message.into())
    }

    /// A warning.
    pub fn warning(code: &'static str, path: &Path, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, path, message.into())
    }

    /// A note.
    pub fn note(code: &'static str, path: &Path, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, code, path, message.into())
    }

    fn new(severity: Severity, code: &'static str, path: &Path, message: String) -> Self {
        Self {
            severity,
            code,
            path: path.clone(),
            message,
            why: String::new(),
            fix: String::new(),
        }
    }

    /// Adds why it matters.
    #[must_use]
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }
}

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
pub struct Span {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Where it begins, in bytes.
    pub start: usize,
    /// Where it ends, in bytes.
    pub end: usize,
}

/// A finding with its place in the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
    /// Where it stands.
    pub span: Span,
}

/// Puts diagnostics in the order of the text; at one place the worst comes first. What was found
/// twice is kept once.
#[must_use]
pub fn in_order(mut all: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let key = |d: &Diagnostic| (d.span.start, d.finding.severity, d.span.end, d.finding.code);
    all.sort_by(|a, b| {
        let text = a.finding.message.cmp(&b.finding.message);
        key(a).cmp(&key(b)).then(text)
    });
    all.dedup();
    all
}

/// The longest name, in bytes, for which a nearest one is looked for: it takes quadratic time.
const MAX_NAME: usize = 64;

/// The name in `known` nearest to `wanted`, if one is near enough to be meant.
#[must_use]
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if wanted.len() > MAX_NAME {
        return None;
    }
    let distance = |name: &str| strsim::damerau_levenshtein(wanted, name);
    let best = known.into_iter().map(|name| (distance(name), name)).min()?;
    (best.0 <= wanted.chars().count().div_ceil(2).min(4)).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_grow_and_shrink() {
        let path = Path::root()
            .field("spec")
            .field("nodePools")
            .index(2)
            .field("region");
        assert_eq!(path.as_str(), "spec.nodePools[2].region");
        assert_eq!(path.parent().unwrap().as_str(), "spec.nodePools[2]");
        assert_eq!(
            path.parent().unwrap().parent().unwrap().as_str(),
            "spec.nodePools"
        );
        assert_eq!(Path::root().field("spec").parent(), Some(Path::root()));
    }

    #[test]
    fn the_nearest_name_is_near() {
        let known = ["fsn1", "nbg1", "hel1"];
        assert_eq!(nearest("fns1", known), Some("fsn1"));
        assert_eq!(nearest("us-east-1", known), None);
        assert_eq!(nearest(&"f".repeat(65), [&*"f".repeat(64)]), None);
    }

    #[test]
    fn diagnostics_follow_the_text_and_the_worst_comes_first() {
        let at = |start, severity, code| Diagnostic {
            finding: Finding {
                severity,
                ..Finding::error(code, &Path::root(), "m")
            },
            span: Span {
                start,
                end: start + 1,
                ..Span::default()
            },
        };
        let sorted = in_order(vec![
            at(9, Severity::Error, "c"),
            at(2, Severity::Warning, "b"),
            at(2, Severity::Error, "a"),
            at(9, Severity::Error, "c"),
        ]);
        let codes: Vec<_> = sorted.iter().map(|d| d.finding.code).collect();
        assert_eq!(codes, ["a", "b", "c"]);
    }
}
