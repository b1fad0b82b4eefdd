//! `quorate report`: what a design can take, in a screen, and in files for people and machines.

use crate::args::Report as Args;
use crate::data;
use crate::diagnostics::{self, Counts};
use crate::exit::Exit;
use crate::input;
use crate::measured::{Measured, rtt_file};
use crate::terminal;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use quorate_engine::manifest::Manifest;
use quorate_planning::change::{Change, change};
use quorate_planning::compare;
use quorate_planning::page::{self, Page};
use quorate_planning::report::{Document, Options, Report, report};
use quorate_sim::report::plain;
use std::path::Path;
use std::sync::Arc;

/// Reports on a manifest, compares two, or looks at the change from one to the other.
pub(crate) fn run(args: &Args) -> Exit {
    match asked(args) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn asked(args: &Args) -> Result<Exit, Exit> {
    if args.change && args.files.len() != 2 {
        terminal::eprint("error: a change leads from one manifest to another: give two\n");
        return Err(Exit::Usage);
    }
    let manifests = manifests(args)?;
    let data = data::load(args.data.as_deref())?;
    writable(args)?;
    let bar = bar(!args.no_progress && terminal::watched());
    let mut progress = |what: &str, done: usize, all: usize| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
        bar.set_message(what.to_owned());
    };
    let options = Options {
        seed: args.seed,
        today: data::today(),
        advice: args.advice,
        simulate: args.simulate,
    };
    let mut reports = Vec::new();
    for (name, manifest) in &manifests {
        let made = report(manifest, &data, &options, &mut progress);
        reports.push(made.map_err(|full| refused(&format!("{name}: {full}")))?);
    }
    let change = match args.change {
        false => None,
        true => {
            let (old, new) = (&manifests[0].1, &manifests[1].1);
            let made = change(old, new, &data, args.seeds, &mut progress);
            Some(made.map_err(|full| refused(&full.to_string()))?)
        }
    };
    bar.finish_and_clear();
    let document = Document {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        reports,
        change,
    };
    let page = page(args, &manifests, &document);
    written(args, &page, &document)?;
    let change = document.change.as_ref();
    let sound = change.is_none_or(|change| change.problems.is_empty());
    let met = document.reports.iter().all(Report::holds);
    Ok(if met && sound {
        Exit::Fine
    } else {
        Exit::Failed
    })
}

/// The manifests, with what is to be said about them on the error output. What only misses the
/// objectives is reported on all the same: that is what reports are for.
fn manifests(args: &Args) -> Result<Vec<(String, Arc<Manifest>)>, Exit> {
    let mut manifests = Vec::new();
    let mut bad = Vec::new();
    // Prices of one's own need no measured round trips beside them.
    let measured = args.data.as_deref().filter(|dir| rtt_file(dir).exists());
    let measured = Measured::read(measured).unwrap_or_else(|wrong| {
        bad.push(wrong);
        Measured::default()
    });
    for file in &args.files {
        match input::tried(file, args.cluster.as_deref(), &measured) {
            Ok(input) => {
                let name = file.display().to_string();
                manifests.push((name, Arc::new(input.manifest)));
            }
            Err(checked) => bad.push(checked),
        }
    }
    if bad.is_empty() {
        return Ok(manifests);
    }
    let mut text = diagnostics::rendered(&bad, terminal::stderr_coloured());
    text.push_str(&format!("nothing was reported: {}\n", Counts::of(&bad)));
    terminal::eprint(&text);
    Err(Exit::Failed)
}

fn page(args: &Args, manifests: &[(String, Arc<Manifest>)], document: &Document) -> Page {
    let (reports, change) = (document.reports.as_slice(), document.change.as_ref());
    let mut made_of: Vec<(String, String)> = Vec::new();
    for ((name, _), report) in manifests.iter().zip(reports) {
        made_of.push((name.clone(), report.fingerprint.clone()));
    }
    made_of.push(("seed".to_owned(), args.seed.to_string()));
    let data = args.data.as_ref().map(|dir| dir.display().to_string());
    made_of.push((
        "data".to_owned(),
        data.unwrap_or_else(|| "built in".to_owned()),
    ));
    let mut sections = Vec::new();
    let title = reports[0].cluster.clone();
    let subtitle = match (reports, change) {
        ([_], _) => "What the design can take, at what price".to_owned(),
        (_, None) => format!("{} beside {}", manifests[0].0, manifests[1].0),
        (_, Some(_)) => format!("From {} to {}", manifests[0].0, manifests[1].0),
    };
    if let [a, b] = reports {
        sections.extend(change.map(Change::section));
        sections.push(compare::section(a, b, [&manifests[0].0, &manifests[1].0]));
    }
    // Of two designs the new one is told whole: short names of its tables stand once in a page.
    let last = reports.last().expect("a report for each manifest");
    sections.extend(last.sections());
    Page {
        title,
        subtitle,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made_of,
        sections,
    }
}

fn written(args: &Args, page: &Page, document: &Document) -> Result<(), Exit> {
    let json = || {
        let text = serde_json::to_string_pretty(document).expect("a report is plain data");
        text + "\n"
    };
    let mut spoken = false;
    type Form<'a> = &'a dyn Fn() -> String;
    let forms: [(_, Form<'_>); 3] = [
        (&args.html, &|| page::html(page)),
        (&args.md, &|| page::markdown(page)),
        (&args.json, &json),
    ];
    for (path, form) in forms {
        let Some(path) = path else { continue };
        if path.as_os_str() == "-" {
            spoken = true;
            terminal::print(&form());
        } else {
            write(path, &form())?;
        }
    }
    if let Some(directory) = &args.csv {
        for (name, text) in page::csv(page) {
            write(&directory.join(name), &text)?;
        }
    }
    let text = match args.section.as_deref() {
        None => page::summary(page),
        Some(id) => chosen(page, id)?,
    };
    match spoken {
        true => terminal::eprint(&text),
        false => terminal::print(&text),
    }
    Ok(())
}

/// One section whole, with its tables.
fn chosen(page: &Page, id: &str) -> Result<String, Exit> {
    let found = page.sections.iter().find(|section| section.id == id);
    found.map(page::terminal::section).ok_or_else(|| {
        let ids: Vec<&str> = page.sections.iter().map(|section| section.id).collect();
        refused(&format!(
            "there is no section `{id}`: take one of {}",
            ids.join(", ")
        ))
    })
}

/// Finds out before the work whether its result can be written.
fn writable(args: &Args) -> Result<(), Exit> {
    if let Some(directory) = &args.csv {
        std::fs::create_dir_all(directory).map_err(|error| unwritable(directory, &error))?;
    }
    for path in [&args.html, &args.md, &args.json].into_iter().flatten() {
        if path.as_os_str() != "-" {
            let file = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path);
            file.map_err(|error| unwritable(path, &error))?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Exit> {
    std::fs::write(path, text).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Exit {
    let path = plain(&path.display().to_string());
    terminal::eprint(&format!("error: {path} cannot be written: {error}\n"));
    Exit::Invalid
}

fn refused(text: &str) -> Exit {
    terminal::eprint(&format!("error: {text}\n"));
    Exit::Failed
}

fn bar(shown: bool) -> ProgressBar {
    if !shown {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len}  {wide_msg}");
    let style = style
        .expect("the template is well-formed")
        .progress_chars("━━─");
    ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr_with_hz(4)).with_style(style)
}
