//! `quorate apply` and `quorate destroy`: look, show the plan, ask, carry it out, say how it went.

pub(crate) mod ask;
mod files;
mod progress;
mod summary;

use crate::args::{self, Apply, Destroy};
use crate::diagnostics;
use crate::exit::Exit;
use crate::input::{self, Checked};
use crate::live::{self, World};
use crate::measured::Measured;
use crate::plan::{self, Source};
use crate::terminal;
use progress::Progress;
pub(crate) use progress::is_read;
use quorate_engine::diagnostic::Severity;
use quorate_engine::engine::{Engine, Mode, Preview};
use quorate_engine::manifest::Manifest;
use quorate_engine::resource::Resource;
use quorate_engine::seam::Verb;
use quorate_live::{Signals, Store, drive, process_signals};
use quorate_providers::Problem;
use quorate_sim::report::plain;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// What is asked for, whichever command asks.
struct Wanted<'a> {
    command: &'static str,
    mode: Mode,
    manifest: Arc<Manifest>,
    state: Option<&'a Path>,
    agent: Option<&'a Path>,
    /// A plan that was saved and reviewed: its fingerprint.
    agreed: Option<u64>,
    yes: bool,
    force: bool,
    json: bool,
    progress: bool,
}

/// Carries out what the manifest wants.
pub(crate) fn apply(args: &Apply) -> Exit {
    let agreed = match args.plan.as_deref().map(plan::saved).transpose() {
        Ok(agreed) => agreed,
        Err(text) => return refuse(&text),
    };
    let manifest = match wanted(&args.wanted) {
        Ok(manifest) => manifest,
        Err(exit) => return exit,
    };
    carry_out(&Wanted {
        command: "quorate apply",
        mode: Mode::Apply,
        manifest,
        state: args.wanted.live.state.as_deref(),
        agent: args.wanted.live.agent.as_deref(),
        agreed,
        yes: args.yes || agreed.is_some(),
        force: args.force_quorum,
        json: args.json,
        progress: !args.no_progress,
    })
}

/// Carries out what the manifest wants, for a command that has asked already.
pub(crate) fn go_on(wanted: &args::Wanted) -> Exit {
    apply(&Apply {
        wanted: wanted.clone(),
        yes: true,
        plan: None,
        force_quorum: false,
        json: false,
        no_progress: false,
    })
}

/// Removes everything that is ours.
pub(crate) fn destroy(args: &Destroy) -> Exit {
    let manifest = match &args.file {
        Some(file) => manifest(file, args.cluster.as_deref(), args.live.data.as_deref()),
        None => last_applied(args.live.state.as_deref()),
    };
    let manifest = match manifest {
        Ok(manifest) => manifest,
        Err(exit) => return exit,
    };
    carry_out(&Wanted {
        command: "quorate destroy",
        mode: Mode::Destroy,
        manifest,
        state: args.live.state.as_deref(),
        agent: args.live.agent.as_deref(),
        agreed: None,
        yes: args.yes,
        force: false,
        json: args.json,
        progress: !args.no_progress,
    })
}

fn refuse(text: &str) -> Exit {
    terminal::eprint(&format!("error: {}\n", plain(text)));
    Exit::Failed
}

/// Reads the manifest that a command of the real world is given.
pub(crate) fn wanted(args: &args::Wanted) -> Result<Arc<Manifest>, Exit> {
    manifest(
        &args.file,
        args.cluster.as_deref(),
        args.live.data.as_deref(),
    )
}

/// Reads a manifest and says what is wrong with it; what `quorate check` merely notes, it says.
pub(crate) fn manifest(
    file: &Path,
    cluster: Option<&str>,
    data: Option<&Path>,
) -> Result<Arc<Manifest>, Exit> {
    let coloured = terminal::stderr_coloured();
    let failed = |checked: Checked| {
        terminal::eprint(&diagnostics::rendered(&[checked], coloured));
        Exit::Failed
    };
    let data = Measured::read(data).map_err(failed)?;
    let mut input = input::manifest(file, cluster, &data).map_err(failed)?;
    let noted = |severity| severity == Severity::Note;
    let said = &mut input.checked.diagnostics;
    said.retain(|one| !noted(one.finding.severity));
    terminal::eprint(&diagnostics::rendered(&[input.checked], coloured));
    Ok(Arc::new(input.manifest))
}

/// The manifest of the last run, for who has lost the file, or never had it.
fn last_applied(state: Option<&Path>) -> Result<Arc<Manifest>, Exit> {
    let Some(dir) = state else {
        return Err(refuse("give the manifest, or its state with `--state DIR`"));
    };
    let store = Store::view(dir).map_err(|error| refuse(&error.to_string()))?;
    let manifest = live::last_manifest(&store).map_err(|text| refuse(&text))?;
    manifest.map(Arc::new).ok_or_else(|| {
        refuse(&format!(
            "no run stands in {}: nothing was ever made from it",
            dir.display()
        ))
    })
}

fn carry_out(wanted: &Wanted<'_>) -> Exit {
    let cluster = &wanted.manifest.metadata.name;
    let dir = live::state_dir(wanted.state, cluster);
    let mut store = match Store::open(&dir, cluster, wanted.command) {
        Ok(store) => store,
        Err(error) => return refuse(&error.to_string()),
    };
    let world = match World::open(&wanted.manifest, Some(&store), wanted.agent) {
        Ok(world) => world,
        Err(problems) => {
            live::complain(&problems);
            return Exit::Failed;
        }
    };
    live::runtime().block_on(async {
        let mut signals = match process_signals() {
            Ok(signals) => signals,
            Err(error) => return refuse(&format!("signals cannot be listened to: {error}")),
        };
        run(wanted, &world, &mut store, &mut signals).await
    })
}

async fn run(wanted: &Wanted<'_>, world: &World, store: &mut Store, signals: &mut Signals) -> Exit {
    let engine = match live::look(world, signals).await {
        Ok(engine) => engine,
        Err(text) => return refuse(&text),
    };
    let preview = match engine.preview(wanted.mode) {
        Ok(preview) => preview,
        Err(full) => return refuse(&full.to_string()),
    };
    if let Err(exit) = settled(wanted, world, &engine, &preview).await {
        return exit;
    }
    let found = preview.plan.fingerprint();
    if let Some(shown) = wanted.agreed.filter(|shown| *shown != found) {
        return summary::stale(shown, found);
    }
    if !preview.plan.is_empty() && !wanted.yes && !ask::agreed(wanted.mode) {
        terminal::eprint("Nothing was changed.\n");
        return Exit::Stopped;
    }
    let begun = Instant::now();
    let steps = preview.plan.steps.len();
    let mut progress = Progress::new(wanted.progress && !wanted.json, steps);
    let task = world.task(wanted.mode, Some(found), wanted.force);
    let ended = drive(task, store, &world.ports, &mut progress, signals).await;
    progress.end();
    summary::report(
        wanted.mode,
        wanted.json,
        ended,
        begun.elapsed(),
        store.path(),
    )
}

/// Shows the plan and what stands against it; an error ends the command.
async fn settled(
    wanted: &Wanted<'_>,
    world: &World,
    engine: &Engine,
    preview: &Preview,
) -> Result<(), Exit> {
    if !wanted.json {
        let plan = preview.plan.clone();
        terminal::eprint(&plan::shown(&wanted.manifest, Source::World, plan));
    }
    if !preview.problems.is_empty() {
        let list: Vec<_> = preview.problems.iter().map(ToString::to_string).collect();
        return Err(refuse(&format!(
            "the plan does not stand its check: {}",
            list.join("; ")
        )));
    }
    let mut problems = preflight(world, engine, preview).await;
    problems.extend(files::problems(&wanted.manifest, &preview.plan).await);
    if !problems.is_empty() {
        live::complain(&problems);
        return Err(Exit::Failed);
    }
    Ok(())
}

/// What can be known to be wrong before anything is made.
async fn preflight(world: &World, engine: &Engine, preview: &Preview) -> Vec<Problem> {
    let made = preview.plan.steps.iter();
    let made = made.filter(|step| step.verb == Verb::Create && step.kind.at_provider());
    let made: Vec<Arc<Resource>> = made.filter_map(|step| step.desired.clone()).collect();
    let mut problems = Vec::new();
    for (name, adapter) in &world.adapters {
        let here = made.iter().filter(|resource| *resource.provider == **name);
        let here: Vec<_> = here.cloned().collect();
        if !here.is_empty() {
            problems.extend(adapter.preflight(&here).await);
        } else if let Some((fault, wanted)) = engine.never_met(name, preview) {
            let found = adapter.preflight(&wanted).await;
            problems.extend(if found.is_empty() {
                vec![Problem {
                    what: format!("provider {name}: {fault}"),
                    fix: "see that it can be reached from here, and run the command again"
                        .to_owned(),
                }]
            } else {
                found
            });
        }
    }
    problems
}
