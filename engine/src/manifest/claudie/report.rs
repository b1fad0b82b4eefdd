//! Collects what is found in an `InputManifest`, and the mistakes that many fields have in common.

use crate::diagnostic::{Finding, Path, nearest};
use crate::yaml::{Node, shown};
use std::collections::BTreeMap;

/// Findings so far. Each has a fix.
pub(super) struct Report<'n> {
    pub(super) findings: Vec<Finding>,
    root: &'n Node,
}

impl<'n> Report<'n> {
    pub(super) fn new(root: &'n Node) -> Self {
        Self {
            findings: Vec::new(),
            root,
        }
    }

    /// The line of a place, for messages that speak of two.
    pub(super) fn line(&self, path: &Path) -> usize {
        self.root.locate(path).line
    }

    pub(super) fn error(
        &mut self,
        code: &'static str,
        path: &Path,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.findings
            .push(Finding::error(code, path, message).fix(fix));
    }

    pub(super) fn warning(
        &mut self,
        code: &'static str,
        path: &Path,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.findings
            .push(Finding::warning(code, path, message).fix(fix));
    }

    pub(super) fn note(
        &mut self,
        code: &'static str,
        path: &Path,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.findings
            .push(Finding::note(code, path, message).fix(fix));
    }

    /// A name that must have 1 to `most` characters. One that is no DNS label is changed by the
    /// translation: Claudie would find out only when machines are made.
    pub(super) fn name(&mut self, path: &Path, name: &str, most: usize) {
        let length = name.chars().count();
        if length == 0 || length > most {
            let message = format!("the name has {length} characters, and 1 to {most} are allowed");
            let fix = format!("choose a name of at most {most} characters");
            return self.error("claudie-name", path, message, fix);
        }
        let label = super::names::as_label(name);
        if label.is_empty() {
            let message = format!("{} has no letter or digit", shown(name));
            self.error(
                "claudie-name",
                path,
                message,
                "use small letters, digits and `-`",
            );
        } else if label != name.to_ascii_lowercase() {
            let message = format!("{} is no DNS label; `{label}` is used instead", shown(name));
            let fix = "use small letters, digits and `-`: machines are named after it";
            self.warning("claudie-name", path, message, fix);
        }
    }

    /// Names of which each may be given once; `sort` says of what.
    pub(super) fn unique<'a>(
        &mut self,
        sort: &str,
        names: impl IntoIterator<Item = (&'a str, Path)>,
    ) {
        let mut seen: BTreeMap<&str, Path> = BTreeMap::new();
        for (name, path) in names {
            match seen.get(name) {
                None => {
                    seen.insert(name, path);
                }
                Some(first) => {
                    let (name, line) = (shown(name), self.line(first));
                    let message = format!("the {sort} {name} is given twice: first at line {line}");
                    self.error("claudie-duplicate", &path, message, "remove or rename one");
                }
            }
        }
    }

    /// A reference to something that is not there; `sort` says what it should be.
    pub(super) fn undefined<'a>(
        &mut self,
        sort: &str,
        path: &Path,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) {
        let message = format!("there is no {sort} {}", shown(name));
        let fix = match nearest(name, known) {
            Some(near) => format!("write `{near}`"),
            None => format!("define the {sort}, or refer to one that is defined"),
        };
        self.error("claudie-undefined", path, message, fix);
    }

    /// A required text that is empty.
    pub(super) fn filled(&mut self, path: &Path, text: &str) {
        if text.trim().is_empty() {
            let field = path.as_str().rsplit('.').next().unwrap_or_default();
            self.error(
                "claudie-empty",
                path,
                format!("`{field}` is empty"),
                "fill it in",
            );
        }
    }
}
