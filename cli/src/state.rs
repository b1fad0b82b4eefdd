//! `quorate state` and `quorate forget`: what is remembered of a cluster, shown and moved.

use crate::args::{Forget, State, StateDir};
use crate::exit::Exit;
use crate::input;
use crate::terminal;
use quorate_engine::journal::Ledger;
use quorate_engine::resource::ResourceId;
use quorate_live::{Document, Store, StoreError, Unlocked, unlock};
use quorate_sim::report::plain;
use serde_json::json;
use std::fmt::Write as _;
use std::path::Path;

/// Carries out a command on the state.
pub(crate) fn run(command: &State) -> Exit {
    let done = match command {
        State::Show { dir, json } => show(&dir.state, *json),
        State::Export { dir } => export(dir),
        State::Import { dir, file, force } => import(dir, file, *force),
        State::Unlock { dir, force } => free(&dir.state, *force),
    };
    said(done)
}

/// Drops the host key that a machine is held to.
pub(crate) fn forget(args: &Forget) -> Exit {
    let machine = ResourceId::new(&args.machine);
    let forgotten = || -> Result<String, StoreError> {
        let cluster = Store::view(&args.dir.state)?.cluster().to_owned();
        let mut store = Store::open(&args.dir.state, &cluster, "quorate forget")?;
        Ok(if store.unpin(&machine)? {
            format!("The next host key that {machine} shows is trusted and kept.\n")
        } else {
            format!("No host key of {machine} is kept.\n")
        })
    };
    said(forgotten().map_err(|error| error.to_string()))
}

fn said(done: Result<String, String>) -> Exit {
    match done {
        Ok(text) => {
            terminal::print(&text);
            Exit::Fine
        }
        Err(text) => {
            terminal::eprint(&format!("error: {}\n", plain(&text)));
            Exit::Failed
        }
    }
}

fn show(dir: &Path, as_json: bool) -> Result<String, String> {
    let read = || -> Result<String, StoreError> {
        let store = Store::view(dir)?;
        let (runs, machines) = (store.runs()?, store.inventory()?);
        let ledger = Ledger::replay(&store.journal()?);
        if as_json {
            let value = json!({
                "cluster": store.cluster(), "lineage": store.lineage(), "serial": store.serial(),
                "uid": ledger.uid.map(|uid| format!("{uid:016x}")),
                "runs": runs, "machines": machines, "mesh": ledger.peers,
            });
            return Ok(format!("{value:#}\n"));
        }
        let mut out = format!(
            "cluster {}, lineage {}, serial {}\n\nruns\n",
            plain(store.cluster()),
            store.lineage(),
            store.serial()
        );
        for run in &runs {
            let ending = run.ending.as_deref().unwrap_or("cut off, or under way");
            let _ = writeln!(
                out,
                "  {:>4}  {:<16}  {}",
                run.id,
                plain(&run.command),
                plain(ending)
            );
        }
        out.push_str("\nmachines\n");
        for (id, machine) in &machines {
            let provider = machine.provider.as_deref().unwrap_or("one's own");
            let public = machine.public.map(|address| address.to_string());
            let mesh = ledger.addresses.get(id).map(ToString::to_string);
            let _ = writeln!(
                out,
                "  {:<24}  {provider:<15}  {:<15}  mesh {}",
                plain(id.as_str()),
                public.unwrap_or_else(|| "-".to_owned()),
                mesh.unwrap_or_else(|| "-".to_owned())
            );
        }
        Ok(out)
    };
    read().map_err(|error| error.to_string())
}

fn export(dir: &StateDir) -> Result<String, String> {
    let document = Store::view(&dir.state).and_then(|store| store.export());
    let document = document.map_err(|error| error.to_string())?;
    Ok(document.to_text())
}

fn import(dir: &StateDir, file: &Path, force: bool) -> Result<String, String> {
    let text = input::text(file)?;
    let document = Document::parse(&text).map_err(|error| error.to_string())?;
    let store = Store::import(&dir.state, &document, "quorate state import", force);
    let store = store.map_err(|error| error.to_string())?;
    Ok(format!(
        "The state of {} is in {}, serial {}.\n",
        plain(store.cluster()),
        store.path().display(),
        store.serial()
    ))
}

fn free(dir: &Path, force: bool) -> Result<String, String> {
    match unlock(dir, force) {
        Ok(Unlocked::Free(None)) => Ok("Nobody holds the state, and nobody did.\n".to_owned()),
        Ok(Unlocked::Free(Some(last))) => Ok(format!(
            "Nobody holds the state: the last was {last}, and a dead process holds nothing.\n"
        )),
        Ok(Unlocked::Forced(holder)) => {
            let who = holder.map_or("a process".to_owned(), |holder| holder.to_string());
            Ok(format!(
                "The lock of {who} was taken away; its next write is refused.\n"
            ))
        }
        Err(error) => Err(error.to_string()),
    }
}
