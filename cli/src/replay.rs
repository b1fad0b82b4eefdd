//! `quorate replay`: one seed of a scenario, or the runs that stand in a state, told line by line.

use crate::args::{Replay, Rung};
use crate::campaign;
use crate::chaos;
use crate::exit::Exit;
use crate::terminal;
use quorate_live::{Store, Verdict, replay};
use quorate_sim::report::{plain, timeline};
use std::path::Path;

/// Runs one seed, or decides real runs again, and tells what happened.
pub(crate) fn run(args: &Replay) -> Exit {
    let most = args.lines.unwrap_or(usize::MAX);
    match (&args.journal, &args.file, args.seed) {
        (Some(state), ..) => runs(state, most),
        (None, Some(file), Some(seed)) => {
            scenario(file, args.data.as_deref(), args.rung, seed, most)
        }
        (None, ..) => unreachable!("the command line asks for one of the two"),
    }
}

fn scenario(file: &Path, data: Option<&Path>, rung: Rung, seed: u64, most: usize) -> Exit {
    let files = [file.to_owned()];
    let prepared = match chaos::prepare(&files, data, rung) {
        Ok(mut prepared) => prepared.remove(0),
        Err(exit) => return exit,
    };
    let run = campaign::twice(&prepared, seed);
    terminal::print(&timeline(&run, most));
    Exit::of(run.verdict)
}

/// A new engine is told what the real ones were told, and must decide the same.
fn runs(state: &Path, most: usize) -> Exit {
    let replayed = match Store::view(state).and_then(|store| replay(&store)) {
        Ok(replayed) => replayed,
        Err(error) => {
            terminal::eprint(&format!("error: {}\n", plain(&error.to_string())));
            return Exit::Failed;
        }
    };
    for line in replayed.lines.iter().take(most) {
        terminal::print(&format!("{}\n", plain(line)));
    }
    let (runs, events) = (replayed.runs, replayed.events);
    match replayed.verdict {
        Verdict::Same => {
            terminal::print(&format!(
                "\n{runs} runs, {events} events: the same decisions in the same order\n"
            ));
            Exit::Fine
        }
        Verdict::Different(difference) => {
            terminal::print(&format!("\n{}\n", plain(&difference.to_string())));
            Exit::Nondeterministic
        }
    }
}
