//! From the bytes of a file to one manifest: which documents it holds, and which cluster is meant.

use super::Manifest;
use super::claudie;
use crate::diagnostic::{Diagnostic, Finding, Path, Severity, Span, in_order, nearest};
use crate::document;
use crate::yaml::{self, Node, shown};
use std::collections::BTreeMap;

/// The manifest of an input, and all that is to be said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The cluster; none if there are errors.
    pub manifest: Option<Manifest>,
    /// In the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// In which format it was written; none if no cluster could be told.
    pub source: Option<Source>,
    places: Places,
}

/// Formats of manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `quorate.dev/v1`, `Cluster`.
    Quorate,
    /// `claudie.io/v1beta1`, `InputManifest`: read as it is, and translated.
    Claudie,
}

/// Where the parts of a manifest stand in the text.
#[derive(Debug, Clone, PartialEq)]
enum Places {
    /// Each part where its path leads in the document.
    Document(Box<Node>),
    /// Parts by the path they have after translation.
    Translated(BTreeMap<Path, Span>),
}

impl Loaded {
    fn failed(diagnostics: Vec<Diagnostic>) -> Self {
        Self {
            manifest: None,
            diagnostics: in_order(diagnostics),
            source: None,
            places: Places::Translated(BTreeMap::new()),
        }
    }

    /// Gives a finding about the manifest its place in the text: its own, or that of the nearest
    /// thing around it.
    #[must_use]
    pub fn locate(&self, finding: Finding) -> Diagnostic {
        let places = match &self.places {
            Places::Document(root) => return document::locate(root, finding),
            Places::Translated(places) => places,
        };
        let mut path = Some(finding.path.clone());
        let mut span = Span {
            line: 1,
            column: 1,
            start: 0,
            end: 0,
        };
        while let Some(place) = path {
            if let Some(found) = places.get(&place) {
                span = *found;
                break;
            }
            path = place.parent();
        }
        Diagnostic { finding, span }
    }

    /// Adds what was found about the manifest's meaning.
    #[must_use]
    pub fn with(mut self, findings: Vec<Finding>) -> Self {
        let located: Vec<_> = findings.into_iter().map(|f| self.locate(f)).collect();
        self.diagnostics.extend(located);
        self.diagnostics = in_order(self.diagnostics);
        self
    }

    /// Whether any of the diagnostics is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        has_errors(&self.diagnostics)
    }
}

fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics
        .iter()
        .any(|d| d.finding.severity == Severity::Error)
}

/// The most clusters that a message lists.
const LISTED: usize = 20;

/// A cluster in the input.
struct Candidate<'n> {
    name: String,
    span: Span,
    source: Source,
    root: &'n Node,
}

/// Reads the manifest of one cluster. `cluster` says which one, where the input has several; case
/// does not matter. Never panics, whatever the bytes are, and gives a manifest or an error.
#[must_use]
pub fn load(bytes: &[u8], cluster: Option<&str>) -> Loaded {
    let parsed = yaml::parse(bytes);
    let mut diagnostics = parsed.diagnostics;
    let mut candidates = Vec::new();
    let mut others = Vec::new();
    for root in &parsed.documents {
        match kind(root) {
            (Some("quorate.dev/v1"), Some("Cluster")) => candidates.push(native(root)),
            (Some(claudie::API_VERSION), Some(claudie::KIND)) => {
                candidates.extend(claudie::clusters(root).map(|(name, span)| Candidate {
                    name: name.to_owned(),
                    span,
                    source: Source::Claudie,
                    root,
                }));
                if claudie::clusters(root).next().is_none() {
                    diagnostics.extend(claudie::without_clusters(root));
                }
            }
            (version, kind) => others.push((root, version, kind)),
        }
    }
    if candidates.is_empty() && !has_errors(&diagnostics) {
        diagnostics.extend(others.iter().map(|(root, v, k)| foreign(root, *v, *k)));
    }
    if candidates.is_empty() {
        return Loaded::failed(diagnostics);
    }
    diagnostics.extend(
        others
            .iter()
            .map(|(root, v, k)| claudie::bystander(root, *v, *k)),
    );
    let chosen = match choose(&candidates, cluster) {
        Ok(chosen) => chosen,
        Err(error) => {
            diagnostics.push(*error);
            return Loaded::failed(diagnostics);
        }
    };
    let (manifest, places) = match chosen.source {
        Source::Quorate => match document::read_node::<Manifest>(chosen.root, &[]) {
            Ok((manifest, mut warnings)) => {
                diagnostics.append(&mut warnings);
                (
                    Some(manifest),
                    Places::Document(Box::new(chosen.root.clone())),
                )
            }
            Err(mut found) => {
                diagnostics.append(&mut found);
                (None, Places::Document(Box::new(chosen.root.clone())))
            }
        },
        Source::Claudie => {
            let mut import = claudie::import(chosen.root, &chosen.name);
            diagnostics.append(&mut import.diagnostics);
            (import.manifest, Places::Translated(import.places))
        }
    };
    let manifest = manifest.filter(|_| !has_errors(&diagnostics));
    Loaded {
        manifest,
        diagnostics: in_order(diagnostics),
        source: Some(chosen.source),
        places,
    }
}

fn kind(root: &Node) -> (Option<&str>, Option<&str>) {
    let text = |name| root.get(name).and_then(Node::text);
    (text("apiVersion"), text("kind"))
}

fn native(root: &Node) -> Candidate<'_> {
    let name = root
        .get("metadata")
        .and_then(|metadata| metadata.get("name"));
    Candidate {
        name: name.and_then(Node::text).unwrap_or_default().to_owned(),
        span: name.map_or(root.head(), Node::head),
        source: Source::Quorate,
        root,
    }
}

fn choose<'c, 'n>(
    candidates: &'c [Candidate<'n>],
    wanted: Option<&str>,
) -> Result<&'c Candidate<'n>, Box<Diagnostic>> {
    let names: Vec<&str> = candidates.iter().map(|c| c.name.as_str()).collect();
    let mut list = names
        .iter()
        .take(LISTED)
        .map(|name| shown(name))
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > LISTED {
        list += &format!(" and {} more", names.len() - LISTED);
    }
    let fail = |code, message: String, fix: String| {
        let finding = Finding::error(code, &Path::root(), message).fix(fix);
        let span = candidates[0].span;
        Err(Box::new(Diagnostic { finding, span }))
    };
    match (candidates, wanted) {
        ([only], None) => Ok(only),
        (_, None) => {
            let message = format!("the input has {} clusters: {list}", names.len());
            fail(
                "several-clusters",
                message,
                "choose one with `--cluster NAME`".to_owned(),
            )
        }
        (_, Some(wanted)) => {
            let exact = candidates.iter().find(|c| c.name == wanted);
            let folded = || {
                candidates
                    .iter()
                    .find(|c| c.name.eq_ignore_ascii_case(wanted))
            };
            if let Some(found) = exact.or_else(folded) {
                return Ok(found);
            }
            let message = format!("there is no cluster {} in the input", shown(wanted));
            let near = nearest(wanted, names.iter().copied());
            let fix = near.map_or(format!("choose one of {list}"), |n| format!("choose `{n}`"));
            fail("no-such-cluster", message, fix)
        }
    }
}

/// What is accepted as a manifest, for messages.
const ACCEPTED: &str = "`apiVersion: quorate.dev/v1` with `kind: Cluster`, or \
    `apiVersion: claudie.io/v1beta1` with `kind: InputManifest`";

/// An input without any manifest: says of each document what it is instead.
fn foreign(root: &Node, version: Option<&str>, kind: Option<&str>) -> Diagnostic {
    let message = match (version, kind) {
        (None, None) => "this document has neither `apiVersion` nor `kind`".to_owned(),
        (None, Some(kind)) => format!("this document is a {} without `apiVersion`", shown(kind)),
        (Some(version), None) => {
            format!(
                "this document has `apiVersion` {} and no `kind`",
                shown(version)
            )
        }
        (Some(version), Some(kind)) => format!(
            "this document is a {} of {}, which is no manifest",
            shown(kind),
            shown(version)
        ),
    };
    let path = Path::root().field(if version.is_some() {
        "apiVersion"
    } else {
        "kind"
    });
    let fix = format!("begin the manifest with {ACCEPTED}");
    document::locate(
        root,
        Finding::error("not-a-manifest", &path, message).fix(fix),
    )
}

#[cfg(test)]
mod tests;
