//! `quorate forget`: a machine that is dead for good is waited for no more, and its ssh host key goes.
//!
//! Whether it may be forgotten is the engine's to say, from what is seen.

use crate::args::Forget;
use crate::exit::Exit;
use crate::live::{self, World};
use crate::terminal;
use quorate_engine::engine::{Remembered, forgotten};
use quorate_engine::journal::{Entry, Ledger};
use quorate_engine::observed::Observed;
use quorate_engine::resource::ResourceId;
use quorate_live::{Store, StoreError, process_signals, unix_ms};
use quorate_sim::report::plain;
use std::sync::Arc;

/// Forgets a machine, or drops the host key that it is held to.
pub(crate) fn run(args: &Forget) -> Exit {
    let machine = ResourceId::new(&args.machine);
    let mut store = match open(args) {
        Ok(store) => store,
        Err(error) => return refuse(&error.to_string()),
    };
    let done = if args.host_key {
        store
            .unpin(&machine)
            .map(|known| key_dropped(&machine, known))
    } else {
        let entry = match entry(args, &store, &machine) {
            Ok(entry) => entry,
            Err(exit) => return exit,
        };
        store.forget(&entry).map(|()| {
            format!(
                "{} is forgotten, and its host key with it.\n\
                 Next: `quorate apply` takes it out of the mesh of the others; where the manifest \
                 names it still, it is made anew.\n",
                plain(machine.as_str())
            )
        })
    };
    match done {
        Ok(text) => {
            terminal::print(&text);
            Exit::Fine
        }
        Err(error) => refuse(&error.to_string()),
    }
}

fn open(args: &Forget) -> Result<Store, StoreError> {
    let cluster = Store::view(&args.dir.state)?.cluster().to_owned();
    Store::open(&args.dir.state, &cluster, "quorate forget")
}

fn refuse(text: &str) -> Exit {
    terminal::eprint(&format!("error: {}\n", plain(text)));
    Exit::Failed
}

fn key_dropped(machine: &ResourceId, known: bool) -> String {
    let machine = plain(machine.as_str());
    if known {
        format!("The next host key that {machine} shows is trusted and kept.\n")
    } else {
        format!("No host key of {machine} is kept.\n")
    }
}

/// What the journal is to say. Where it is to say nothing, why has been said.
fn entry(args: &Forget, store: &Store, machine: &ResourceId) -> Result<Entry, Exit> {
    let journal = store.journal();
    let ledger = Ledger::replay(&journal.map_err(|error| refuse(&error.to_string()))?);
    // Whom nobody knows is not looked for.
    let seen = if args.force || !ledger.knows(machine) {
        None
    } else {
        Some(looked(store)?)
    };
    let entry = forgotten(&ledger, seen.as_ref(), machine, &args.reason, unix_ms());
    entry.map_err(|why| match why {
        Remembered::Stranger { .. } => refuse(&why.to_string()),
        Remembered::Answers { .. }
        | Remembered::Troubled { .. }
        | Remembered::Listed { .. }
        | Remembered::Blind { .. } => refuse(&format!("{why}; `--force` forgets it all the same")),
    })
}

/// The world, by the manifest of the last run.
fn looked(store: &Store) -> Result<Observed, Exit> {
    let manifest = live::last_manifest(store).map_err(|text| refuse(&text))?;
    let Some(manifest) = manifest else {
        let text = "no run stands in this state, so nobody knows where to look; `--force` \
                    forgets without looking";
        return Err(refuse(text));
    };
    let world = World::open(&Arc::new(manifest), Some(store), None).map_err(|problems| {
        live::complain(&problems);
        Exit::Failed
    })?;
    let engine = live::runtime().block_on(async {
        let mut signals = process_signals().map_err(|error| error.to_string())?;
        live::look(&world, &mut signals).await
    });
    let engine = engine.map_err(|text| refuse(&text))?;
    Ok(engine.seen().expect("it has looked").clone())
}
