//! Typed documents: from YAML to a value of any type that has a JSON Schema, all mistakes at once.
//!
//! The type is the one source: its schema (as schemars derives it) says what the text may hold, and
//! serde decodes it. Knows nothing of what the documents mean.

mod alternatives;
mod check;
mod schema;

pub use schema::schema;

use crate::diagnostic::{Diagnostic, Finding, Path, Severity, in_order};
use crate::units::{Bytes, Cidr, Cpu, Duration, Percent, Rate};
use crate::yaml::{self, Node};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::str::FromStr;

/// How texts of a named schema are written: the name in `$defs`, and a check whose error says what
/// is wrong and, after its last `: `, what to write instead.
pub type Format = (&'static str, fn(&str) -> Result<(), String>);

/// The most mistakes that are listed for one document.
pub const MAX_DIAGNOSTICS: usize = 200;

fn parses<T: FromStr<Err: ToString>>(text: &str) -> Result<(), String> {
    text.parse::<T>()
        .map(drop)
        .map_err(|error| error.to_string())
}

/// The formats of [`crate::units`].
const UNITS: [Format; 6] = [
    ("Duration", parses::<Duration>),
    ("Cpu", parses::<Cpu>),
    ("Bytes", parses::<Bytes>),
    ("Rate", parses::<Rate>),
    ("Percent", parses::<Percent>),
    ("Cidr", parses::<Cidr>),
];

/// A decoded document with the tree it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Document<T> {
    /// What the text says.
    pub value: T,
    /// Warnings, in the order of the text.
    pub warnings: Vec<Diagnostic>,
    root: Node,
}

impl<T> Document<T> {
    /// Gives a finding about the value its place in the text: where its path leaves the text, as
    /// for a field that is not there, the place of the nearest thing around it.
    #[must_use]
    pub fn locate(&self, finding: Finding) -> Diagnostic {
        locate(&self.root, finding)
    }
}

/// Gives a finding its place in a tree, or that of the nearest thing around it.
#[must_use]
pub fn locate(root: &Node, finding: Finding) -> Diagnostic {
    let span = root.locate(&finding.path);
    Diagnostic { finding, span }
}

/// Reads an input that holds one document. `formats` are those of the type's own text types,
/// beyond the units.
///
/// # Errors
/// All mistakes, in the order of the text; never empty.
pub fn read<T>(bytes: &[u8], formats: &[Format]) -> Result<Document<T>, Vec<Diagnostic>>
where
    T: DeserializeOwned + JsonSchema,
{
    let mut parsed = yaml::parse(bytes);
    if let Some(second) = parsed.documents.get(1) {
        let message = "one document is expected, and a second one begins here";
        let finding = Finding::error("second-document", &Path::root(), message);
        parsed.diagnostics.push(Diagnostic {
            finding: finding.fix("keep one document per file"),
            span: second.head(),
        });
    }
    let Some(root) = parsed.documents.into_iter().next() else {
        return Err(in_order(parsed.diagnostics));
    };
    match read_node(&root, formats) {
        Ok((value, warnings)) if parsed.diagnostics.is_empty() => Ok(Document {
            value,
            warnings,
            root,
        }),
        Ok((_, mut more)) | Err(mut more) => {
            parsed.diagnostics.append(&mut more);
            Err(in_order(parsed.diagnostics))
        }
    }
}

/// Reads one document of several: its value, and warnings.
///
/// # Errors
/// All mistakes, in the order of the text; never empty.
pub fn read_node<T>(
    root: &Node,
    formats: &[Format],
) -> Result<(T, Vec<Diagnostic>), Vec<Diagnostic>>
where
    T: DeserializeOwned + JsonSchema,
{
    let schema = schema::of::<T>();
    let formats: Vec<Format> = UNITS.iter().chain(formats).copied().collect();
    let found = in_order(check::check(&schema, &formats, root));
    if found.iter().any(|d| d.finding.severity == Severity::Error) {
        return Err(found);
    }
    match yaml::decode(root) {
        Ok(value) => Ok((value, found)),
        Err(refusal) => {
            let mut found = found;
            found.push(*refusal);
            Err(in_order(found))
        }
    }
}

#[cfg(test)]
mod tests;
