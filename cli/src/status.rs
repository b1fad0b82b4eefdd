//! `quorate status`: what is desired, what is there, and where they differ.

mod mesh;

use crate::apply;
use crate::args::Status as Args;
use crate::exit::Exit;
use crate::live;
use crate::terminal;
use quorate_engine::drift::{Drift, drift};
use quorate_engine::engine::{Mode, Preview};
use quorate_engine::graph::Desired;
use quorate_engine::observed::{Observed, Sight};
use quorate_engine::resource::{Kind, Resource, ResourceId};
use quorate_engine::seam::MachineState;
use quorate_sim::report::plain;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One resource: wanted, there, or both.
#[derive(Debug, Serialize)]
struct Row {
    resource: ResourceId,
    kind: Kind,
    /// In a word or two.
    seen: String,
    /// What differs from the manifest, field by field.
    drift: Vec<Drift>,
    /// Whether there is nothing to do about it.
    fine: bool,
}

/// Looks and compares.
pub(crate) fn run(args: &Args) -> Exit {
    let manifest = match apply::wanted(&args.wanted) {
        Ok(manifest) => manifest,
        Err(exit) => return exit,
    };
    let (engine, world) = match live::looked(&manifest, &args.wanted.live) {
        Ok(looked) => looked,
        Err(exit) => return exit,
    };
    let preview = match engine.preview(Mode::Apply) {
        Ok(preview) => preview,
        Err(full) => {
            terminal::eprint(&format!("error: {}\n", plain(&full.to_string())));
            return Exit::Failed;
        }
    };
    let seen = engine.seen().expect("the world was looked at");
    let desired = preview.desired.as_ref();
    let desired = desired.expect("a manifest wants something");
    let rows = rows(desired, seen);
    let views = match mesh::mtu(desired).filter(|_| !args.no_mesh) {
        Some(mtu) => live::runtime().block_on(mesh::views(&world, seen, mtu)),
        None => Vec::new(),
    };
    let calm = preview.plan.is_empty() && preview.plan.held.is_empty() && mesh::whole(&views);
    if args.json {
        let value = serde_json::json!({
            "cluster": manifest.metadata.name, "resources": rows,
            "steps": preview.plan.steps.len(), "held": preview.plan.held, "mesh": views,
        });
        terminal::print(&format!("{value:#}\n"));
    } else {
        let mesh = if views.is_empty() {
            String::new()
        } else {
            mesh::text(&views)
        };
        terminal::print(&text(&manifest.metadata.name, &rows, &mesh, &preview));
    }
    if calm { Exit::Fine } else { Exit::Changes }
}

fn rows(desired: &Desired, seen: &Observed) -> Vec<Row> {
    let listed: BTreeMap<_, _> = seen.listed().map(|(_, thing)| (&thing.id, thing)).collect();
    let wanted = desired.resources().filter(|resource| {
        let kind = resource.spec.kind();
        kind.at_provider() || kind.on_machine().is_some()
    });
    let mut rows: Vec<Row> = wanted.map(|resource| row(resource, seen)).collect();
    let surplus = listed
        .values()
        .filter(|thing| desired.get(&thing.id).is_none());
    rows.extend(surplus.map(|thing| Row {
        resource: thing.id.clone(),
        kind: thing.kind,
        seen: "there, and not in the manifest".to_owned(),
        drift: Vec::new(),
        fine: false,
    }));
    rows.sort_by(|a, b| a.resource.cmp(&b.resource));
    rows
}

fn row(resource: &Resource, seen: &Observed) -> Row {
    let kind = resource.spec.kind();
    let (text, drift) = if kind.at_provider() {
        at_provider(resource, seen)
    } else {
        (on_machine(resource, seen), Vec::new())
    };
    Row {
        resource: resource.id.clone(),
        kind,
        fine: drift.is_empty() && good(&text),
        seen: text,
        drift,
    }
}

/// Whether a text says that all is well.
fn good(text: &str) -> bool {
    ["runs", "there", "one's own"]
        .iter()
        .any(|word| text.starts_with(word))
}

fn at_provider(resource: &Resource, seen: &Observed) -> (String, Vec<Drift>) {
    match seen.sight(&resource.provider, &resource.id) {
        None => ("one's own".to_owned(), Vec::new()),
        Some(Sight::Blind(fault)) => (format!("cannot be looked at: {fault}"), Vec::new()),
        Some(Sight::Absent) => ("absent".to_owned(), Vec::new()),
        Some(Sight::Seen(thing)) => {
            let mut drift = drift(&resource.spec, thing);
            let made_so = thing.fingerprint == resource.spec.fingerprint();
            if drift.is_empty() && !made_so && resource.spec.refers_to().is_empty() {
                drift.push(Drift {
                    field: "spec".to_owned(),
                    wanted: format!("{:016x}", resource.spec.fingerprint()),
                    seen: format!("{:016x}", thing.fingerprint),
                });
            }
            let text = match thing.state {
                MachineState::Running if thing.kind == Kind::Machine => "runs",
                MachineState::Running => "there",
                MachineState::Building => "is being made",
                MachineState::Stopped => "stopped",
                MachineState::Error => "broken",
            };
            let at = thing.address.map(|address| format!(" at {address}"));
            (format!("{text}{}", at.unwrap_or_default()), drift)
        }
    }
}

fn on_machine(resource: &Resource, seen: &Observed) -> String {
    let machine = resource.id.machine();
    match seen.hosts.get(&machine) {
        None => "unknown: its machine is not there".to_owned(),
        Some(Err(fault)) => format!("unknown: its machine does not answer: {fault}"),
        Some(Ok(_)) => match seen.installed(&machine, resource.spec.kind()) {
            None => "absent".to_owned(),
            // What links should be depends on the whole mesh: the plan knows.
            Some(_) if resource.spec.kind() == Kind::Links => "there".to_owned(),
            Some(print) if print == resource.spec.fingerprint() => "there".to_owned(),
            Some(_) => "differs".to_owned(),
        },
    }
}

fn text(cluster: &str, rows: &[Row], mesh: &str, preview: &Preview) -> String {
    let mut out = format!("cluster {}\n\n", plain(cluster));
    let width = |text: fn(&Row) -> String| {
        let lengths = rows.iter().map(|row| text(row).chars().count());
        lengths.max().unwrap_or_default()
    };
    let id = |row: &Row| row.resource.to_string();
    let (first, second) = (width(id), width(|row| row.kind.to_string()));
    for row in rows {
        let _ = writeln!(
            out,
            "  {:<first$}  {:<second$}  {}",
            plain(row.resource.as_str()),
            row.kind,
            plain(&row.seen)
        );
        for drift in &row.drift {
            let _ = writeln!(
                out,
                "  {:first$}  differs: {}",
                "",
                plain(&drift.to_string())
            );
        }
    }
    out.push('\n');
    out.push_str(mesh);
    for held in &preview.plan.held {
        let _ = writeln!(
            out,
            "Left alone: {}: {}",
            held.resource,
            plain(&held.reason)
        );
    }
    let _ = match preview.plan.steps.len() {
        0 => writeln!(out, "Nothing to do."),
        1 => writeln!(out, "1 step to do: `quorate plan` shows it."),
        many => writeln!(out, "{many} steps to do: `quorate plan` shows them."),
    };
    out
}
