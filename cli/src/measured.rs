//! `--data DIR`: what the user measured, put before the built-in catalogue.
//!
//! Rows become part of the manifest, so that planner, simulator and journal all see the same ones.

use crate::input::{self, Checked};
use quorate_engine::catalog::{BadRow, read_distances};
use quorate_engine::diagnostic::{Diagnostic, Finding, Path as Place, Span};
use quorate_engine::manifest::{Distance, Manifest};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where `quorate measure` writes by itself.
pub(crate) const DIRECTORY: &str = "quorate-data";

/// The file of round trips in a directory of data.
pub(crate) fn rtt_file(directory: &Path) -> PathBuf {
    directory.join("rtt.csv")
}

/// What stands in a directory of data; without one: nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measured {
    directory: Option<String>,
    distances: Vec<Distance>,
}

impl Measured {
    /// Reads a directory.
    ///
    /// # Errors
    /// Every bad row.
    pub(crate) fn read(directory: Option<&Path>) -> Result<Self, Checked> {
        let Some(directory) = directory else {
            return Ok(Self::default());
        };
        let (name, bytes) = input::bytes(&rtt_file(directory)).map_err(|mut missing| {
            for one in &mut missing.diagnostics {
                one.finding.fix = "`quorate measure rtt MANIFEST` writes one".to_owned();
            }
            missing
        })?;
        let text = String::from_utf8_lossy(&bytes);
        match read_distances(&text) {
            Ok(distances) => Ok(Self {
                directory: Some(directory.display().to_string()),
                distances,
            }),
            Err(bad) => {
                let diagnostics = bad.iter().map(|row| diagnostic(&text, row)).collect();
                Err(Checked {
                    name,
                    bytes,
                    diagnostics,
                })
            }
        }
    }

    /// The directory, as it was given.
    pub(crate) fn directory(&self) -> Option<String> {
        self.directory.clone()
    }

    /// Its rows of round trips.
    pub(crate) fn distances(&self) -> Vec<Distance> {
        self.distances.clone()
    }

    /// Puts its rows into a manifest, in the place of rows for the same places.
    pub(crate) fn put(&self, manifest: &mut Manifest) {
        let pairs: BTreeSet<_> = self.distances.iter().map(Distance::pair).collect();
        let rows = &mut manifest.spec.distances;
        rows.retain(|row| !pairs.contains(&row.pair()));
        rows.extend(self.distances.iter().cloned());
    }
}

fn diagnostic(text: &str, row: &BadRow) -> Diagnostic {
    let mut start = 0;
    let mut lines = text.split_inclusive('\n');
    for line in lines.by_ref().take(row.line - 1) {
        start += line.len();
    }
    let length = lines.next().unwrap_or_default().trim_end().len();
    let finding = Finding::error("bad-distance", &Place::root(), row.what.clone());
    Diagnostic {
        finding: finding.fix(row.fix.clone()),
        span: Span {
            line: row.line,
            column: 1,
            start,
            end: start + length,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_engine::catalog::COLUMNS;

    #[test]
    fn bad_rows_are_shown_where_they_stand() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Measured::read(Some(folder.path())).unwrap_err();
        assert!(missing.diagnostics[0].finding.fix.contains("measure rtt"));
        let rows =
            "aws,a,aws,b,4,,p50,2026-11-22,measured,measured\naws,a,x,y,z\naws,,aws,b,0,,,,,";
        std::fs::write(rtt_file(folder.path()), format!("{COLUMNS}\n{rows}\n")).unwrap();
        let bad = Measured::read(Some(folder.path())).unwrap_err();
        let text = crate::diagnostics::rendered(&[bad], false);
        assert!(
            text.contains("3 | aws,a,x,y,z\n  | ^^^^^^^^^^^\n"),
            "{text}"
        );
        assert!(text.contains("a place without its region"), "{text}");
        assert!(Measured::read(None).unwrap().distances.is_empty());
    }
}
