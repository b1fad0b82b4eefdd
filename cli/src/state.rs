//! `quorate state`: what is remembered of a cluster, shown and moved.

use crate::args::{State, StateDir};
use crate::exit::Exit;
use crate::input;
use crate::terminal;
use quorate_engine::journal::{Entry, Ledger};
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
        let journal = store.journal()?;
        let ledger = Ledger::replay(&journal);
        if as_json {
            let value = json!({
                "cluster": store.cluster(), "lineage": store.lineage(), "serial": store.serial(),
                "uid": ledger.uid.map(|uid| format!("{uid:016x}")),
                "runs": runs, "machines": machines, "mesh": ledger.peers,
                "forgotten": journal.iter().filter(|entry| is_forgetting(entry)).collect::<Vec<_>>(),
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
        out.push_str(&forgotten(&journal));
        Ok(out)
    };
    read().map_err(|error| error.to_string())
}

fn is_forgetting(entry: &Entry) -> bool {
    matches!(entry, Entry::Forgotten { .. })
}

/// Machines that were forgotten, when, and why.
fn forgotten(journal: &[Entry]) -> String {
    let mut out = String::new();
    for entry in journal {
        let Entry::Forgotten {
            machine,
            reason,
            at_ms,
        } = entry
        else {
            continue;
        };
        if out.is_empty() {
            out.push_str("\nforgotten\n");
        }
        let _ = writeln!(
            out,
            "  {:<24}  {}  {}",
            plain(machine.as_str()),
            date(*at_ms),
            plain(reason)
        );
    }
    out
}

/// The day and minute of milliseconds since the Unix epoch, in UTC. The calendar is Howard
/// Hinnant's `civil_from_days` (howardhinnant.github.io/date_algorithms.html): years begin in March.
pub(crate) fn date(ms: u64) -> String {
    let minutes = ms / 60_000;
    let days = minutes / (24 * 60) + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, turn) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = year + era * 400 + turn;
    let (hour, minute) = (minutes / 60 % 24, minutes % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As `date --utc --date=@SECONDS` has them.
    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_868_799, "2000-02-29 23:59 UTC"),
            (951_868_800, "2000-03-01 00:00 UTC"),
            (1_798_761_599, "2026-12-31 23:59 UTC"),
            (1_798_761_600, "2027-01-01 00:00 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
        ] {
            assert_eq!(date(seconds * 1_000), text, "{seconds}");
        }
    }
}
