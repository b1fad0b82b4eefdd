//! The `quorate` binary: parses, wires, prints, and says by its exit code how it went.
//!
//! Reading order: `args` (what can be asked), `exit` (how it ends), then one file per command.
//! `input` and `world` are the only ones that know how manifests and scenarios become values.

mod adopt;
mod apply;
mod args;
mod campaign;
mod chaos;
mod check;
mod cluster;
mod data;
mod diagnostics;
mod dns;
mod drill;
mod exit;
mod forget;
mod input;
mod live;
mod measure;
mod measured;
mod mesh;
mod objects;
mod plan;
mod replay;
mod report;
mod restore;
mod run;
mod schema;
mod serve;
mod state;
mod status;
mod terminal;
mod world;

use args::{Cli, Command, Dns, Etcd, Measure, Sim};
use clap::Parser as _;
use exit::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    let exit = match Cli::try_parse() {
        Ok(cli) => run(cli.command),
        Err(refusal) => refused(&refusal),
    };
    exit.into()
}

fn run(command: Command) -> Exit {
    match command {
        Command::Check(args) => check::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Apply(args) => apply::apply(&args),
        Command::Run(args) => run::run(&args),
        Command::Destroy(args) => apply::destroy(&args),
        Command::Status(args) => status::run(&args),
        Command::State(command) => state::run(&command),
        Command::Adopt(args) => adopt::run(&args),
        Command::Forget(args) => forget::run(&args),
        Command::Mesh(command) => mesh::run(&command),
        Command::Kubeconfig(args) => cluster::kubeconfig(&args),
        Command::Objects(args) => objects::run(&args),
        Command::Etcd(Etcd::Snapshot(args)) => cluster::snapshot(&args),
        Command::Etcd(Etcd::Snapshots(args)) => cluster::snapshots(&args),
        Command::Etcd(Etcd::Restore(args)) => restore::run(&args),
        Command::Measure(Measure::Rtt(args)) => measure::rtt_of(&args),
        Command::Chaos(args) => chaos::run(&args),
        Command::Drill(args) => drill::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Dns(Dns::Serve(args)) => dns::serve(&args),
        Command::Report(args) => report::run(&args),
        Command::Data(command) => data::run(&command),
        Command::Sim(Sim::Serve(args)) => serve::run(&args),
    }
}

/// Help and version are refusals too, for clap; they go to the standard output and are fine.
fn refused(refusal: &clap::Error) -> Exit {
    let text = refusal.render();
    let coloured = |yes: bool| {
        if yes {
            text.ansi().to_string()
        } else {
            text.to_string()
        }
    };
    if refusal.use_stderr() {
        terminal::eprint(&coloured(terminal::stderr_coloured()));
        Exit::Usage
    } else {
        terminal::print(&coloured(terminal::stdout_coloured()));
        Exit::Fine
    }
}
