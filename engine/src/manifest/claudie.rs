//! Claudie's `InputManifest` (`claudie.io/v1beta1`), read as it is and translated.
//!
//! Schema and rules follow Claudie's own: the API server's (types), its admission webhook's (an
//! error here as there), and those it has code for and never runs (applied here). What its
//! validator overlooks is a warning. What has no meaning here is named, never dropped silently.

use super::Manifest;
use crate::diagnostic::{Diagnostic, Finding, Path, Span};
use crate::document;
use crate::yaml::{Node, Value, shown};
use std::collections::BTreeMap;

/// Its API group and version.
pub(super) const API_VERSION: &str = "claudie.io/v1beta1";
/// Its kind.
pub(super) const KIND: &str = "InputManifest";

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

/// A document in which no cluster can be told.
pub(super) fn without_clusters(root: &Node) -> Vec<Diagnostic> {
    let path = Path::root()
        .field("spec")
        .field("kubernetes")
        .field("clusters");
    let fix = "add a cluster with `name`, `version`, `network` and `pools`";
    let finding = Finding::error("claudie-no-cluster", &path, "there is no cluster").fix(fix);
    vec![document::locate(root, finding)]
}

/// A document beside a manifest.
pub(super) fn bystander(root: &Node, version: Option<&str>, kind: Option<&str>) -> Diagnostic {
    let _ = version;
    let kind = shown(kind.unwrap_or("?"));
    let finding = Finding::warning("document-ignored", &Path::root().field("kind"), kind);
    document::locate(root, finding)
}

pub(super) fn import(_: &Node, _: &str) -> Import {
    Import {
        manifest: None,
        diagnostics: Vec::new(),
        places: BTreeMap::new(),
    }
}
