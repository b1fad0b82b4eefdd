//! `quorate check`: every mistake of every file, at once.

use crate::args::Check;
use crate::diagnostics::{self, Counts};
use crate::exit::Exit;
use crate::input::{self, Checked};
use crate::measured::Measured;
use crate::terminal;
use quorate_engine::diagnostic::Diagnostic;
use serde::Serialize;

#[derive(Serialize)]
struct Report<'a> {
    files: Vec<File<'a>>,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Serialize)]
struct File<'a> {
    file: &'a str,
    diagnostics: &'a [Diagnostic],
}

/// Checks files and prints what was found.
pub(crate) fn run(args: &Check) -> Exit {
    let mut checked: Vec<Checked> = Vec::new();
    let data = Measured::read(args.data.as_deref()).unwrap_or_else(|bad| {
        checked.push(bad);
        Measured::default()
    });
    for file in &args.files {
        for found in input::check(file, args.cluster.as_deref(), &data) {
            // Several scenarios may share a manifest: it is shown once.
            if !checked.iter().any(|known| known.name == found.name) {
                checked.push(found);
            }
        }
    }
    let counts = Counts::of(&checked);
    if args.json {
        let files = checked.iter().map(|one| File {
            file: &one.name,
            diagnostics: &one.diagnostics,
        });
        let report = Report {
            files: files.collect(),
            counts,
        };
        let text = serde_json::to_string_pretty(&report).expect("a report is plain data");
        terminal::print(&format!("{text}\n"));
    } else {
        let mut text = diagnostics::rendered(&checked, terminal::stdout_coloured());
        let files = match checked.len() {
            1 => "1 file".to_owned(),
            count => format!("{count} files"),
        };
        text.push_str(&format!("{files} checked: {counts}\n"));
        terminal::print(&text);
    }
    if counts.errors > 0 {
        Exit::Failed
    } else {
        Exit::Fine
    }
}
