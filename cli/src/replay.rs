//! `quorate replay`: one seed, told line by line.

use crate::args::Replay;
use crate::campaign;
use crate::chaos;
use crate::exit::Exit;
use crate::terminal;
use quorate_sim::report::timeline;

/// Runs one seed and tells what happened.
pub(crate) fn run(args: &Replay) -> Exit {
    let prepared = match chaos::prepare(std::slice::from_ref(&args.file)) {
        Ok(mut prepared) => prepared.remove(0),
        Err(exit) => return exit,
    };
    let run = campaign::twice(&prepared, args.seed);
    terminal::print(&timeline(&run, args.lines.unwrap_or(usize::MAX)));
    Exit::of(run.verdict)
}
