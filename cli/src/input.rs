//! From files to manifests, scenarios and observations, with every diagnostic on the way.
//!
//! The only place of the program that reads files. None is read beyond its limit, so neither a
//! large file nor an endless one costs memory.

use crate::measured::Measured;
use quorate_engine::diagnostic::{Diagnostic, Finding, Path as Place, Severity, Span, in_order};
use quorate_engine::document::{self, Document};
use quorate_engine::manifest::{Manifest, Resilience, judge, load};
use quorate_engine::observed::Observed;
use quorate_engine::yaml;
use quorate_sim::scenario::Scenario;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Largest saved observation: one of 10,000 nodes has about 20 MB.
const OBSERVED_BYTES: usize = 256 << 20;

/// Stands for the standard input.
const STDIN: &str = "-";

/// A file and what is to be said about it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Checked {
    /// As it was given.
    pub(crate) name: String,
    /// What stands in it; empty if it could not be read.
    pub(crate) bytes: Vec<u8>,
    /// In the order of the text.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Checked {
    fn failed(name: String, finding: Finding) -> Self {
        let span = Span {
            line: 1,
            column: 1,
            start: 0,
            end: 0,
        };
        let diagnostics = vec![Diagnostic { finding, span }];
        Self {
            name,
            bytes: Vec::new(),
            diagnostics,
        }
    }

    /// Whether it cannot be used.
    pub(crate) fn has_errors(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|one| one.finding.severity == Severity::Error)
    }
}

/// What a manifest is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To be built: it must meet its own objectives.
    Build,
    /// To be tried in a scenario, which may show just how it misses them.
    Try,
}

/// A manifest that can be used, and what is to be said about it nevertheless.
pub(crate) struct ManifestInput {
    pub(crate) manifest: Manifest,
    pub(crate) checked: Checked,
}

/// A scenario with everything it refers to.
pub(crate) struct ScenarioInput {
    /// The file, as it was given: replay commands name it.
    pub(crate) file: String,
    pub(crate) document: Document<Scenario>,
    /// The directory of measured data, as it was given.
    pub(crate) data: Option<String>,
    /// By the path that the scenario gives.
    pub(crate) manifests: BTreeMap<String, Manifest>,
    /// Warnings and notes of all files.
    pub(crate) checked: Vec<Checked>,
}

/// The JSON Schema of a scenario.
pub(crate) fn schema_of_scenario() -> serde_json::Value {
    let id = "https://quorate.dev/schema/v1/scenario.json";
    document::schema::<Scenario>(id, "Quorate chaos scenario")
}

/// What is to be said about a file: about a manifest, or about a scenario and its manifests.
pub(crate) fn check(file: &Path, cluster: Option<&str>, data: &Measured) -> Vec<Checked> {
    let (name, bytes) = match read(file) {
        Ok(found) => found,
        Err(failed) => return vec![failed],
    };
    if is_scenario(&bytes) {
        return match scenario_of(name, bytes, &directory(file), data) {
            Ok(input) => input.checked,
            Err(checked) => checked,
        };
    }
    vec![
        match manifest_of(name, bytes, (cluster, data), Purpose::Build) {
            Ok(input) => input.checked,
            Err(checked) => checked,
        },
    ]
}

/// Reads a manifest.
pub(crate) fn manifest(
    file: &Path,
    cluster: Option<&str>,
    data: &Measured,
) -> Result<ManifestInput, Checked> {
    let (name, bytes) = read(file)?;
    manifest_of(name, bytes, (cluster, data), Purpose::Build)
}

/// Reads a file of data, with its name.
pub(crate) fn bytes(file: &Path) -> Result<(String, Vec<u8>), Checked> {
    read(file)
}

/// Reads a manifest that may miss its own objectives: to say by how much, not to build it.
pub(crate) fn tried(
    file: &Path,
    cluster: Option<&str>,
    data: &Measured,
) -> Result<ManifestInput, Checked> {
    let (name, bytes) = read(file)?;
    manifest_of(name, bytes, (cluster, data), Purpose::Try)
}

/// Reads a scenario and the manifests it refers to.
pub(crate) fn scenario(file: &Path, data: &Measured) -> Result<ScenarioInput, Vec<Checked>> {
    let (name, bytes) = read(file).map_err(|failed| vec![failed])?;
    scenario_of(name, bytes, &directory(file), data)
}

/// Reads a text as it is.
pub(crate) fn text(file: &Path) -> Result<String, String> {
    let said = |checked: Checked| checked.diagnostics[0].finding.message.clone();
    let (name, bytes) = read_up_to(file, OBSERVED_BYTES).map_err(said)?;
    String::from_utf8(bytes).map_err(|_| format!("{name} is not text"))
}

/// Reads the tables of a directory, by path, in order of their names.
pub(crate) fn tables(directory: &Path) -> Result<Vec<(String, String)>, String> {
    let unreadable = |error: io::Error| format!("{} cannot be read: {error}", directory.display());
    let entries = std::fs::read_dir(directory).map_err(unreadable)?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(unreadable)?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "csv"));
    paths.sort();
    let named = |path: &PathBuf| text(path).map(|text| (path.display().to_string(), text));
    paths.iter().map(named).collect()
}

/// Reads what goes wrong at a simulated cloud.
pub(crate) fn faults(file: &Path) -> Result<Vec<quorate_serve::Fault>, Checked> {
    let (name, bytes) = read(file)?;
    quorate_serve::read_faults(&bytes).map_err(|diagnostics| Checked {
        name,
        bytes,
        diagnostics,
    })
}

/// Reads an observation that was saved as JSON.
pub(crate) fn observed(file: &Path) -> Result<Observed, Checked> {
    let (name, bytes) = read_up_to(file, OBSERVED_BYTES)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let finding = Finding::error("not-an-observation", &Place::root(), error.to_string());
        let (line, column) = (error.line().max(1), error.column().max(1));
        // Bytes of the place are unknown; the line is shown by its number only.
        let span = Span {
            line,
            column,
            start: usize::MAX,
            end: usize::MAX,
        };
        let finding = finding.fix("give a file that was saved from an observation of the cluster");
        Checked {
            name,
            bytes: Vec::new(),
            diagnostics: vec![Diagnostic { finding, span }],
        }
    })
}

fn manifest_of(
    name: String,
    bytes: Vec<u8>,
    (cluster, data): (Option<&str>, &Measured),
    purpose: Purpose,
) -> Result<ManifestInput, Checked> {
    let mut loaded = load(&bytes, cluster);
    if let Some(manifest) = &mut loaded.manifest {
        data.put(manifest);
    }
    if let Some(manifest) = &loaded.manifest {
        let findings = match purpose {
            Purpose::Build => judge(manifest),
            Purpose::Try => judge(&without_objectives(manifest)),
        };
        loaded = loaded.with(findings);
    }
    let checked = Checked {
        name,
        bytes,
        diagnostics: loaded.diagnostics,
    };
    match loaded.manifest {
        Some(manifest) if !checked.has_errors() => Ok(ManifestInput { manifest, checked }),
        _ => Err(checked),
    }
}

/// Judged without objectives, what cannot survive a loss is a warning, not an error.
fn without_objectives(manifest: &Manifest) -> Manifest {
    let mut tried = manifest.clone();
    tried.spec.resilience = Resilience::default();
    tried
}

fn is_scenario(bytes: &[u8]) -> bool {
    let parsed = yaml::parse(bytes);
    let kind = parsed.documents.first().and_then(|root| root.get("kind"));
    kind.and_then(yaml::Node::text) == Some("Scenario")
}

fn scenario_of(
    name: String,
    bytes: Vec<u8>,
    directory: &Path,
    data: &Measured,
) -> Result<ScenarioInput, Vec<Checked>> {
    let document = match document::read::<Scenario>(&bytes, &[]) {
        Ok(document) => document,
        Err(diagnostics) => {
            return Err(vec![Checked {
                name,
                bytes,
                diagnostics,
            }]);
        }
    };
    let mut own = document.warnings.clone();
    let mut checked = Vec::new();
    let mut manifests = BTreeMap::new();
    for (place, path) in references(&document.value) {
        if manifests.contains_key(&path) {
            continue;
        }
        let tried = read(&directory.join(&path))
            .and_then(|(name, bytes)| manifest_of(name, bytes, (None, data), Purpose::Try));
        match tried {
            Ok(input) => {
                manifests.insert(path, input.manifest);
                checked.push(input.checked);
            }
            Err(failed) if failed.bytes.is_empty() => {
                // It could not be read: that is a mistake of the reference.
                own.extend(failed.diagnostics.into_iter().map(|one| {
                    let finding = Finding {
                        path: place.clone(),
                        ..one.finding
                    };
                    document.locate(finding)
                }));
            }
            Err(failed) => checked.push(failed),
        }
    }
    if let Some(manifest) = manifests.get(&document.value.manifest) {
        let findings = quorate_sim::run::judge(&document.value, manifest);
        own.extend(findings.into_iter().map(|finding| document.locate(finding)));
    }
    checked.insert(
        0,
        Checked {
            name: name.clone(),
            bytes,
            diagnostics: in_order(own),
        },
    );
    if checked.iter().any(Checked::has_errors) {
        return Err(checked);
    }
    Ok(ScenarioInput {
        file: name,
        data: data.directory(),
        document,
        manifests,
        checked,
    })
}

/// Every manifest that a scenario refers to, with its place.
fn references(scenario: &Scenario) -> Vec<(Place, String)> {
    let root = Place::root();
    let mut all = vec![(root.field("manifest"), scenario.manifest.clone())];
    for (number, phase) in scenario.phases.iter().enumerate() {
        let place = root.field("phases").index(number).field("changes");
        for (number, change) in phase.changes.iter().enumerate() {
            let apply = change.apply.clone();
            all.extend(apply.map(|path| (place.index(number).field("apply"), path)));
        }
    }
    all
}

/// Where paths in a file start; for the standard input, here.
fn directory(file: &Path) -> PathBuf {
    file.parent().map(Path::to_owned).unwrap_or_default()
}

fn read(file: &Path) -> Result<(String, Vec<u8>), Checked> {
    read_up_to(file, yaml::MAX_BYTES)
}

fn read_up_to(file: &Path, limit: usize) -> Result<(String, Vec<u8>), Checked> {
    let stdin = file.as_os_str() == STDIN;
    let name = if stdin {
        "(standard input)".to_owned()
    } else {
        file.display().to_string()
    };
    let read = if stdin {
        bounded(io::stdin().lock(), limit)
    } else {
        File::open(file).and_then(|opened| bounded(opened, limit))
    };
    match read {
        Ok(Some(bytes)) => Ok((name, bytes)),
        Ok(None) => {
            let message = format!("{name} is larger than {} MiB", limit >> 20);
            let finding = Finding::error("file-too-large", &Place::root(), message);
            let fix = "give the manifest or scenario itself; either is a few kilobytes";
            Err(Checked::failed(name, finding.fix(fix)))
        }
        Err(error) => {
            let message = format!("{name} cannot be read: {error}");
            let finding = Finding::error("file-unreadable", &Place::root(), message);
            Err(Checked::failed(
                name,
                finding.fix("give the path of a file that can be read"),
            ))
        }
    }
}

/// All bytes, or none if there are more than `limit`. Never reads further than one byte beyond.
fn bounded(from: impl Read, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    from.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= limit).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_input_is_refused() {
        assert_eq!(bounded(io::repeat(b'x'), 1_000).unwrap(), None);
        assert_eq!(
            bounded(&b"four"[..], 4).unwrap().as_deref(),
            Some(&b"four"[..])
        );
        assert_eq!(bounded(&b"fives"[..], 4).unwrap(), None);
    }

    #[test]
    fn every_manifest_of_a_scenario_is_found() {
        let text = "apiVersion: quorate.dev/v1\nkind: Scenario\nname: a\nmanifest: m.yaml\n\
            phases:\n- name: p\n  for: 1m\n  changes:\n  - apply: n.yaml\n\
            expect:\n- measure: elections\n  atMost: 1\n";
        assert!(is_scenario(text.as_bytes()));
        let document = document::read::<Scenario>(text.as_bytes(), &[]).unwrap();
        let all = references(&document.value);
        let shown: Vec<_> = all
            .iter()
            .map(|(place, path)| format!("{place}={path}"))
            .collect();
        assert_eq!(
            shown,
            ["manifest=m.yaml", "phases[0].changes[0].apply=n.yaml"]
        );
    }
}
