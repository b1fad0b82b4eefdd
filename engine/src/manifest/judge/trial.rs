//! Mistakes made on purpose: the shipped manifest, one edit, and the codes that must be found.

use super::{CODES, judge};
use crate::diagnostic::Severity;
use crate::manifest::{Manifest, load};
use serde_json::Value;
use std::collections::BTreeSet;

/// Edits of the shipped manifest, and what they must lead to.
pub(super) struct Case {
    edits: Vec<(String, Value)>,
    codes: BTreeSet<&'static str>,
    first: Option<&'static str>,
    severity: Option<Severity>,
}

/// One edit that leads to one code. `null` removes what is there; a last `-` appends.
pub(super) fn case(code: &'static str, path: &str, value: Value) -> Case {
    Case {
        edits: vec![(path.to_owned(), value)],
        codes: BTreeSet::from([code]),
        first: Some(code),
        severity: None,
    }
}

impl Case {
    /// One edit that leads to nothing.
    pub(super) fn clean(path: &str, value: Value) -> Self {
        Self {
            edits: vec![(path.to_owned(), value)],
            codes: BTreeSet::new(),
            first: None,
            severity: None,
        }
    }

    /// One edit more.
    pub(super) fn and_set(mut self, path: &str, value: Value) -> Self {
        self.edits.push((path.to_owned(), value));
        self
    }

    /// Another code that must be found.
    pub(super) fn with(mut self, code: &'static str) -> Self {
        self.codes.insert(code);
        self
    }

    /// What is found must be an error.
    pub(super) fn fails(mut self) -> Self {
        self.severity = Some(Severity::Error);
        self
    }

    /// What is found must be no worse than a warning.
    pub(super) fn only_warns(mut self) -> Self {
        self.severity = Some(Severity::Warning);
        self
    }
}

/// Judges each case and compares the codes, all of them.
pub(super) fn run(cases: Vec<Case>) {
    let shipped = shipped("three-clouds.yaml");
    for case in cases {
        let mut document = serde_json::to_value(&shipped).expect("manifests are data");
        for (path, value) in &case.edits {
            edit(&mut document, path, value.clone());
        }
        let what = format!("{:?}", case.edits);
        let manifest = serde_json::from_value(document).unwrap_or_else(|e| panic!("{what}: {e}"));
        let found = judge(&manifest);
        let codes: BTreeSet<_> = found.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, case.codes, "{what}\n{found:#?}");
        for finding in &found {
            assert!(
                CODES.contains(&finding.code),
                "{} is not listed",
                finding.code
            );
            assert!(
                !finding.fix.is_empty()
                    && !finding.message.ends_with('.')
                    && !finding.fix.ends_with('.'),
                "{finding:?}"
            );
            assert!(finding.path.as_str().starts_with(['s', 'm']), "{finding:?}");
            if Some(finding.code) == case.first {
                let severity = case.severity.unwrap_or(finding.severity);
                assert_eq!(finding.severity, severity, "{what}");
            }
        }
    }
}

fn edit(document: &mut Value, path: &str, value: Value) {
    let (parent, last) = path.rsplit_once('/').expect("a pointer has a slash");
    let parent = document
        .pointer_mut(parent)
        .unwrap_or_else(|| panic!("no {parent}"));
    match parent {
        Value::Object(map) if value.is_null() => {
            map.remove(last).unwrap_or_else(|| panic!("no {path}"));
        }
        Value::Object(map) => {
            map.insert(last.to_owned(), value);
        }
        Value::Array(list) if last == "-" => list.push(value),
        Value::Array(list) if value.is_null() => {
            list.remove(last.parse().expect("an index"));
        }
        Value::Array(list) => list[last.parse::<usize>().expect("an index")] = value,
        _ => panic!("{path} leads into a scalar"),
    }
}

/// A manifest of the repository.
pub(super) fn shipped(file: &str) -> Manifest {
    let text = match file {
        "three-clouds.yaml" => include_str!("../../../../scenarios/manifests/three-clouds.yaml"),
        "two-providers.yaml" => include_str!("../../../../scenarios/manifests/two-providers.yaml"),
        "five-members.yaml" => include_str!("../../../../scenarios/manifests/five-members.yaml"),
        "migrate-to.yaml" => include_str!("../../../../scenarios/manifests/migrate-to.yaml"),
        "burst-to.yaml" => include_str!("../../../../scenarios/manifests/burst-to.yaml"),
        _ => panic!("{file} is not shipped"),
    };
    let loaded = load(text.as_bytes(), None);
    let said = format!("{:#?}", loaded.diagnostics);
    loaded.manifest.unwrap_or_else(|| panic!("{file}: {said}"))
}

#[test]
fn the_article_s_cluster_is_clean() {
    assert_eq!(judge(&shipped("three-clouds.yaml")), []);
}

#[test]
fn every_code_has_a_case_and_every_case_a_code() {
    let cases = [
        super::names::tests::cases(),
        super::references::tests::cases(),
        super::providers::tests::cases(),
        super::pools::tests::cases(),
        super::ports::tests::cases(),
        super::balancers::tests::cases(),
        super::dns::tests::cases(),
        super::addresses::tests::cases(),
        super::mesh::tests::cases(),
        super::mtu::tests::cases(),
        super::distances::tests::cases(),
        super::quorum::tests::cases(),
        super::etcd::tests::cases(),
        super::kubernetes::tests::cases(),
        super::storage::tests::cases(),
        super::spreads::tests::cases(),
        super::workloads::tests::cases(),
    ];
    let tried: BTreeSet<_> = cases
        .iter()
        .flatten()
        .filter_map(|case| case.first)
        .collect();
    let listed: BTreeSet<_> = CODES.iter().copied().collect();
    assert_eq!(tried, listed);
    assert_eq!(CODES.len(), listed.len(), "each code is listed once");
}
