//! `quorate mesh`: the userspace data plane of the mesh, and its keys.

mod rotate;

use crate::args::{Mesh, MeshRun};
use crate::exit::Exit;
use crate::terminal;
use quorate_mesh::agent::{self, Settings};
use quorate_sim::report::plain;
use std::num::NonZeroUsize;

/// Carries out a command of the mesh.
pub(crate) fn run(command: &Mesh) -> Exit {
    match command {
        Mesh::Run(args) => agent(args),
        Mesh::Rotate(args) => rotate::run(args),
    }
}

/// Is the agent until it is told to stop.
fn agent(args: &MeshRun) -> Exit {
    let settings = Settings {
        mtu: args.mtu,
        workers: args.threads.and_then(NonZeroUsize::new),
        ..Settings::new(&args.interface)
    };
    match agent::run(&settings) {
        Ok(()) => Exit::Fine,
        Err(error) => {
            terminal::eprint(&format!("error: {}\n", plain(&error.to_string())));
            Exit::Failed
        }
    }
}
