//! Claudie's `InputManifest` (`claudie.io/v1beta1`), read as it is and translated.
//!
//! Schema and rules follow Claudie's own: the API server's (types), its admission webhook's (an
//! error here as there), and those it has code for and never runs (applied here). What its
//! validator overlooks is a warning. What has no meaning here is named, never dropped silently.
//! Does not judge the cluster: quorum, spread and address space are the same for both formats.

mod entry;
mod input;
mod meaningless;
mod names;
mod pools;
mod report;
mod rules;
mod translate;

use super::Manifest;
use crate::diagnostic::{Diagnostic, Finding, Path, Severity, Span};
use crate::document;
use crate::yaml::{Node, Style, Value, shown};
use input::InputManifest;
use report::Report;
use std::collections::BTreeMap;

/// Its API group and version.
pub(super) const API_VERSION: &str = "claudie.io/v1beta1";
/// Its kind.
pub(super) const KIND: &str = "InputManifest";
/// Where API servers listen, and how Claudie tells which role leads to them.
const API_PORT: i32 = 6_443;

/// A translated cluster.
pub(super) struct Import {
    /// None if there are errors.
    pub(super) manifest: Option<Manifest>,
    /// In no order.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Where the parts of the translated manifest come from.
    pub(super) places: BTreeMap<Path, Span>,
}

/// The names of the clusters in a document, as far as they can be told before it is checked.
pub(super) fn clusters(root: &Node) -> impl Iterator<Item = (&str, Span)> {
    let list = root
        .get("spec")
        .and_then(|n| n.get("kubernetes"))
        .and_then(|n| n.get("clusters"));
    let items = match list.map(|node| &node.value) {
        Some(Value::Sequence(items)) => items.as_slice(),
        Some(Value::Scalar { .. } | Value::Mapping(_)) | None => &[],
    };
    items.iter().filter_map(|item| {
        let name = item.get("name")?;
        Some((name.text()?, name.head()))
    })
}

/// A document in which no cluster can be told: its mistakes, and that one.
pub(super) fn without_clusters(root: &Node) -> Vec<Diagnostic> {
    let mut found = match document::read_node::<InputManifest>(root, &[]) {
        Ok((_, warnings)) => warnings,
        Err(mistakes) => mistakes,
    };
    let path = Path::root()
        .field("spec")
        .field("kubernetes")
        .field("clusters");
    let fix = "add a cluster with `name`, `version`, `network` and `pools`";
    let finding = Finding::error("claudie-no-cluster", &path, "there is no cluster").fix(fix);
    found.push(document::locate(root, finding));
    found
}

/// A document beside a manifest, of which nothing is taken.
pub(super) fn bystander(root: &Node, version: Option<&str>, kind: Option<&str>) -> Diagnostic {
    let name = root
        .get("metadata")
        .and_then(|m| m.get("name"))
        .and_then(Node::text);
    let name = name
        .map(|name| format!(" {}", shown(name)))
        .unwrap_or_default();
    let (code, message, fix) = match (version, kind) {
        (Some(API_VERSION), Some("TemplateGitReference")) => (
            "claudie-ignored-templates",
            format!("the TemplateGitReference{name} has no meaning here"),
            "check what its templates change: Quorate makes machines without templates",
        ),
        (Some("v1"), Some("Secret")) => (
            "ignored-secret",
            format!("the Secret{name} is not read: credentials are taken by reference"),
            "keep secrets out of manifests; have it where the reference leads",
        ),
        (_, kind) => (
            "ignored-document",
            format!(
                "this {}{name} has no meaning here",
                shown(kind.unwrap_or("document"))
            ),
            "remove it, or keep it in a file of its own",
        ),
    };
    let finding = Finding::warning(code, &Path::root(), message).fix(fix);
    document::locate(root, finding)
}

/// Reads a document and translates one of its clusters, by the name it has there.
pub(super) fn import(root: &Node, cluster: &str) -> Import {
    let mut import = Import {
        manifest: None,
        diagnostics: Vec::new(),
        places: BTreeMap::new(),
    };
    let input = match document::read_node::<InputManifest>(root, &[]) {
        Ok((input, warnings)) => {
            import.diagnostics = warnings;
            input
        }
        Err(mistakes) => {
            import.diagnostics = mistakes;
            return import;
        }
    };
    old_booleans(root, &mut import.diagnostics);
    let mut report = Report::new(root);
    let index = rules::Index::new(&input);
    rules::check(&index, &mut report);
    let number = input
        .spec
        .kubernetes
        .clusters
        .iter()
        .position(|c| c.name == cluster);
    let number = number.expect("the cluster was found in this document");
    meaningless::name_all(&index, number, &mut report);
    if report
        .findings
        .iter()
        .all(|finding| finding.severity != Severity::Error)
    {
        let (manifest, places) = translate::translate(&index, number, root, &mut report);
        import.manifest = Some(manifest);
        import.places = places;
    }
    let located = report
        .findings
        .into_iter()
        .map(|f| document::locate(root, f));
    import.diagnostics.extend(located);
    import
}

/// Bare words that are text here and truth values for the tools that would send the document to
/// Claudie: they read YAML 1.1 (<https://yaml.org/type/bool.html>).
fn old_booleans(node: &Node, out: &mut Vec<Diagnostic>) {
    match &node.value {
        Value::Scalar { text, style } => {
            let word = text.to_ascii_lowercase();
            let old = matches!(word.as_str(), "y" | "n" | "yes" | "no" | "on" | "off");
            if *style == Style::Plain && old && out.len() < document::MAX_DIAGNOSTICS {
                let message = format!("`{text}` is text here, and a truth value for kubectl");
                let finding = Finding::warning("claudie-old-boolean", &Path::root(), message);
                out.push(Diagnostic {
                    finding: finding.fix(format!("put it in quotes: \"{text}\"")),
                    span: node.span,
                });
            }
        }
        Value::Sequence(items) => items.iter().for_each(|item| old_booleans(item, out)),
        Value::Mapping(entries) => {
            for entry in entries {
                old_booleans(&entry.value, out);
            }
        }
    }
}

#[cfg(test)]
mod tests;
