//! Diagnostics as text: the place, the line it stands in, why it matters and the fix.

use crate::input::Checked;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use quorate_engine::diagnostic::{Diagnostic, Severity};
use quorate_sim::report::plain;
use serde::Serialize;
use std::fmt;

/// Longer lines are not shown: nobody finds a place in them by eye.
const LONGEST_LINE: usize = 400;

/// How many of each severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Counts {
    pub(crate) errors: usize,
    pub(crate) warnings: usize,
    pub(crate) notes: usize,
}

impl Counts {
    pub(crate) fn of(checked: &[Checked]) -> Self {
        let mut counts = Self::default();
        for diagnostic in checked.iter().flat_map(|one| &one.diagnostics) {
            match diagnostic.finding.severity {
                Severity::Error => counts.errors += 1,
                Severity::Warning => counts.warnings += 1,
                Severity::Note => counts.notes += 1,
            }
        }
        counts
    }
}

/// `3 errors, 1 warning`; notes only where there are some.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: usize, what: &str| match count {
            0 => format!("no {what}s"),
            1 => format!("1 {what}"),
            _ => format!("{count} {what}s"),
        };
        write!(
            f,
            "{}, {}",
            counted(self.errors, "error"),
            counted(self.warnings, "warning")
        )?;
        if self.notes > 0 {
            write!(f, ", {}", counted(self.notes, "note"))?;
        }
        Ok(())
    }
}

/// All diagnostics of all files, each followed by an empty line.
pub(crate) fn rendered(checked: &[Checked], coloured: bool) -> String {
    let renderer = if coloured {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut text = String::new();
    for one in checked {
        let source = std::str::from_utf8(&one.bytes).unwrap_or_default();
        for diagnostic in &one.diagnostics {
            text.push_str(&renderer.render(&[group(&one.name, source, diagnostic)]));
            text.push_str("\n\n");
        }
    }
    text
}

fn group<'a>(file: &str, source: &'a str, diagnostic: &Diagnostic) -> Group<'a> {
    let finding = &diagnostic.finding;
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level
        .primary_title(plain(&finding.message))
        .id(finding.code);
    let file = plain(file);
    let mut group = match shown_line(source, diagnostic) {
        Some((line, marked)) => title.element(
            Snippet::source(line)
                .path(file)
                .line_start(diagnostic.span.line)
                .annotation(AnnotationKind::Primary.span(marked)),
        ),
        None => title.element(
            Origin::path(file)
                .line(diagnostic.span.line)
                .char_column(diagnostic.span.column),
        ),
    };
    if !finding.why.is_empty() {
        group = group.element(Level::NOTE.message(plain(&finding.why)));
    }
    if !finding.fix.is_empty() {
        group = group.element(Level::HELP.message(plain(&finding.fix)));
    }
    group
}

/// The line in which a diagnostic's place begins, and the bytes to mark in it. None where there is
/// nothing to show: an empty text, a line too long for a person, a place that is not in the text.
fn shown_line<'a>(
    source: &'a str,
    diagnostic: &Diagnostic,
) -> Option<(&'a str, std::ops::Range<usize>)> {
    let span = diagnostic.span;
    let before = source.get(..span.start)?;
    let begin = before.rfind('\n').map_or(0, |at| at + 1);
    let rest = &source[begin..];
    let line = rest.split(['\n', '\r']).next().unwrap_or_default();
    if line.trim().is_empty() || line.len() > LONGEST_LINE {
        return None;
    }
    let start = span.start - begin;
    let end = (span.end.max(span.start) - begin).min(line.len());
    // A place after the end of its line, as of something that is missing, marks the end.
    if start > line.len() || !line.is_char_boundary(end) {
        return None;
    }
    Some((line, start..end.max(start)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_engine::diagnostic::{Finding, Path, Span};

    fn checked(text: &str, wanted: &str) -> Checked {
        let start = text.find(wanted).unwrap();
        let line = text[..start].matches('\n').count() + 1;
        let column = text[..start]
            .chars()
            .rev()
            .take_while(|c| *c != '\n')
            .count()
            + 1;
        let end = start + wanted.len();
        let finding = Finding::warning("two-providers-give-one", &Path::root(), "two are one")
            .why("a majority of three stands at one of them")
            .fix("add a third provider");
        Checked {
            name: "shop.yaml".to_owned(),
            bytes: text.as_bytes().to_vec(),
            diagnostics: vec![Diagnostic {
                finding,
                span: Span {
                    line,
                    column,
                    start,
                    end,
                },
            }],
        }
    }

    fn shown(checked: Checked) -> String {
        rendered(&[checked], false)
    }

    #[test]
    fn a_diagnostic_has_place_line_reason_and_fix() {
        let text = "spec:\n  providers:\n    - name: größe\n    - name: b\n";
        insta::assert_snapshot!(shown(checked(text, "name: b")));
    }

    #[test]
    fn a_place_of_several_lines_marks_the_first() {
        let text = "a: 1\nb:\n  - c\n  - d\ne: 2\n";
        let shown = shown(checked(text, "b:\n  - c\n  - d"));
        assert!(shown.contains("2 | b:\n  | ^^\n"), "{shown}");
    }

    #[test]
    fn what_cannot_be_shown_still_has_its_place() {
        let long = format!("a: {}x\n", "y".repeat(1_000_000));
        let text = shown(checked(&long, "x"));
        assert!(
            text.contains("shop.yaml:1:1000004") && text.len() < 500,
            "{text}"
        );
        let mut binary = checked("a: b", "b");
        binary.bytes = vec![0xff, 0xfe, 0x00];
        assert!(shown(binary).contains("shop.yaml:1:4"));
        let mut empty = checked("a: b", "b");
        empty.bytes.clear();
        assert!(shown(empty).contains("shop.yaml:1:4"));
    }

    #[test]
    fn hostile_text_cannot_steer_a_terminal() {
        let mut hostile = checked("a: \x1b[31m\u{202e}red", "red");
        hostile.name = "evil\x1b[2J.yaml".to_owned();
        hostile.diagnostics[0].finding.message = "bad \x07 name".to_owned();
        let text = shown(hostile);
        assert!(
            text.chars().all(|c| c == '\n' || !c.is_control()),
            "{text:?}"
        );
        assert!(!text.contains('\u{202e}'), "{text:?}");
    }

    #[test]
    fn counts_are_sentences() {
        let counts = |errors, warnings, notes| {
            Counts {
                errors,
                warnings,
                notes,
            }
            .to_string()
        };
        assert_eq!(counts(0, 0, 0), "no errors, no warnings");
        assert_eq!(counts(3, 1, 0), "3 errors, 1 warning");
        assert_eq!(counts(1, 0, 2), "1 error, no warnings, 2 notes");
    }
}
