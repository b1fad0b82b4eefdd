//! From bytes to text that may be parsed, and from the parser's marks to places in it.

use super::{MAX_BYTES, MAX_NODES, mistake};
use crate::diagnostic::{Diagnostic, Span};
use saphyr_parser::Marker;

/// The most control characters that are named one by one.
const MAX_NAMED: usize = 10;

/// Text that is UTF-8, small enough, and free of characters that YAML does not allow.
pub(super) struct Text<'t> {
    /// Without a byte order mark.
    pub(super) text: &'t str,
    /// Bytes in front of `text`.
    skipped: usize,
    /// The byte at which each 64th character begins; empty where each character is one byte.
    checkpoints: Vec<usize>,
}

const EVERY: usize = 64;

impl<'t> Text<'t> {
    /// Takes the bytes of a file.
    pub(super) fn new(bytes: &'t [u8]) -> Result<Self, Vec<Diagnostic>> {
        let start = Span {
            line: 1,
            column: 1,
            start: 0,
            end: 0,
        };
        if bytes.len() > MAX_BYTES {
            let message = format!("the input is larger than {} MiB", MAX_BYTES >> 20);
            let fix = "give a manifest or a scenario; either is a few kilobytes";
            return Err(vec![mistake("yaml-too-large", start, message, fix)]);
        }
        if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
            let fix = "save the file as UTF-8";
            let message = "the text is UTF-16, and UTF-8 was expected";
            return Err(vec![mistake("yaml-not-utf8", start, message, fix)]);
        }
        let skipped = if bytes.starts_with(&[0xEF, 0xBB, 0xBF]) {
            3
        } else {
            0
        };
        let text = match std::str::from_utf8(&bytes[skipped..]) {
            Ok(text) => text,
            Err(error) => return Err(vec![not_utf8(bytes, skipped + error.valid_up_to())]),
        };
        let forbidden = forbidden(text, skipped);
        if !forbidden.is_empty() {
            return Err(forbidden);
        }
        // The scanner looks ahead to the end of a flow collection, so its size is limited first.
        let flow = text
            .bytes()
            .filter(|b| matches!(b, b',' | b'[' | b'{'))
            .count();
        if flow > MAX_NODES {
            let message = format!("the text has more than {MAX_NODES} elements");
            let fix = "split the input; a manifest of ten thousand nodes needs fewer";
            return Err(vec![mistake("yaml-too-many-nodes", start, message, fix)]);
        }
        let checkpoints = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices()
                .step_by(EVERY)
                .map(|(at, _)| at)
                .collect()
        };
        Ok(Self {
            text,
            skipped,
            checkpoints,
        })
    }

    /// The byte at which a character begins, in `text`.
    fn byte(&self, index: usize) -> usize {
        if self.checkpoints.is_empty() {
            return index.min(self.text.len());
        }
        let Some(&base) = self.checkpoints.get(index / EVERY) else {
            return self.text.len();
        };
        let within = self.text[base..].char_indices().nth(index % EVERY);
        within.map_or(self.text.len(), |(at, _)| base + at)
    }

    /// The place between two of the parser's marks.
    pub(super) fn span(&self, start: &Marker, end: &Marker) -> Span {
        let from = self.byte(start.index());
        let to = self.byte(end.index()).max(from);
        let (line, column) = if from == self.text.len() {
            // The parser counts a line too many where the last one is not ended.
            place_of(self.text)
        } else {
            (start.line().max(1), start.col() + 1)
        };
        Span {
            line,
            column,
            start: self.skipped + from,
            end: self.skipped + to,
        }
    }

    /// Whether the line of `span` is indented by a tab.
    pub(super) fn indented_by_tab(&self, span: Span) -> bool {
        let at = span.start.saturating_sub(self.skipped).min(self.text.len());
        let bytes = self.text.as_bytes();
        let from = bytes[..at]
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |n| n + 1);
        let line = bytes[from..].split(|b| *b == b'\n').next().unwrap_or(&[]);
        let mut indent = line.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'-'));
        indent.any(|b| *b == b'\t')
    }
}

/// Line and column of what comes after a text.
fn place_of(before: &str) -> (usize, usize) {
    let last = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, last.chars().count() + 1)
}

fn not_utf8(bytes: &[u8], at: usize) -> Diagnostic {
    let before = String::from_utf8_lossy(&bytes[..at]);
    let (line, column) = place_of(&before);
    let span = Span {
        line,
        column,
        start: at,
        end: at + 1,
    };
    let message = format!("the byte 0x{:02X} is not UTF-8", bytes[at]);
    mistake("yaml-not-utf8", span, message, "save the file as UTF-8")
}

/// Characters outside YAML's printable set (section 5.1), and the two that would hide in a line.
fn forbidden(text: &str, skipped: usize) -> Vec<Diagnostic> {
    let allowed = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    if text.chars().all(|c| allowed(c) && c != '\u{FEFF}') {
        return Vec::new();
    }
    let mut out = Vec::new();
    let (mut line, mut column) = (1, 0);
    for (at, c) in text.char_indices() {
        column += 1;
        if !allowed(c) || c == '\u{FEFF}' {
            let span = Span {
                line,
                column,
                start: skipped + at,
                end: skipped + at + c.len_utf8(),
            };
            let message = format!(
                "the character U+{:04X} is not allowed in YAML",
                u32::from(c)
            );
            let fix = "remove it, or write it as an escape in double quotes";
            out.push(mistake("yaml-character", span, message, fix));
        }
        if c == '\n' {
            (line, column) = (line + 1, 0);
        }
        if out.len() == MAX_NAMED {
            break;
        }
    }
    out
}
