//! How a run ended, and what to do next.

use crate::exit::Exit;
use crate::terminal;
use quorate_engine::engine::Mode;
use quorate_engine::seam::{Ending, Fault, FaultClass};
use quorate_live::{DriveError, Ended};
use quorate_sim::report::plain;
use serde_json::json;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// The world is another one than when the plan was shown.
pub(super) fn stale(shown: u64, found: u64) -> Exit {
    terminal::eprint(&format!(
        "error: the plan is stale: the world has changed since it was shown (plan {shown:016x}, \
         now {found:016x}); nothing was changed\n  fix: look at the new plan and agree to it\n"
    ));
    Exit::Failed
}

/// Says how a run ended.
pub(super) fn report(
    mode: Mode,
    as_json: bool,
    ended: Result<Ended, DriveError>,
    took: Duration,
    state: &Path,
) -> Exit {
    let ending = match ended {
        Ok(ended) => ended.ending,
        Err(error) => {
            terminal::eprint(&format!("error: {}\n", plain(&error.to_string())));
            return match error {
                DriveError::Stopped { .. } => Exit::Stopped,
                DriveError::Store(_) | DriveError::NoPort { .. } => Exit::Failed,
            };
        }
    };
    if as_json {
        let text = json!({"ending": ending, "seconds": took.as_secs_f64()});
        terminal::print(&format!("{text:#}\n"));
    } else {
        terminal::eprint(&text(mode, &ending, took, state));
    }
    match ending {
        Ending::Converged => Exit::Fine,
        Ending::Incomplete(_) => Exit::Failed,
        Ending::Cancelled => Exit::Stopped,
        Ending::Stale { shown, found } => stale(shown, found),
    }
}

fn text(mode: Mode, ending: &Ending, took: Duration, state: &Path) -> String {
    let took = took.as_secs_f64();
    match ending {
        Ending::Converged if mode == Mode::Destroy => {
            format!("\nDestroyed in {took:.1} s: nothing of the cluster is left at any provider.\n")
        }
        Ending::Converged => format!(
            "\nDone in {took:.1} s: the world is as the manifest wants it.\n\
             Next: `quorate status` shows machines and mesh; `quorate destroy` takes all away.\n\
             The state is in {}: keep it, it knows what is yours.\n",
            state.display()
        ),
        Ending::Incomplete(undone) => {
            let mut out = format!("\nNot complete after {took:.1} s; everything else is done.\n");
            let what = if mode == Mode::Destroy {
                "left"
            } else {
                "undone"
            };
            for (step, fault) in undone {
                let fault_text = plain(&fault.to_string());
                let _ = writeln!(out, "  {what}: {}: {fault_text}", plain(step));
                let _ = writeln!(out, "    fix: {}", advice(fault));
            }
            out.push_str("Run the same command again afterwards: it goes on from here.\n");
            out
        }
        Ending::Cancelled => "\nStopped on request: what was under way has ended and is recorded. \
                              Run the same command again to go on.\n"
            .to_owned(),
        Ending::Stale { .. } => String::new(),
    }
}

/// What a class of fault usually asks of people.
fn advice(fault: &Fault) -> &'static str {
    match fault.class {
        FaultClass::Retryable | FaultClass::Unknown => {
            "see whether the other side is up and can be reached from here"
        }
        FaultClass::Busy => "wait for what it names, or end it",
        FaultClass::Exists => "rename or remove what has the name, or rename the cluster",
        FaultClass::Capacity => "choose another machine type, zone or region, or wait",
        FaultClass::Quota => "ask for a higher limit, or free what is used up",
        FaultClass::Auth => "give credentials that may do this; mind a changed host key",
        FaultClass::Invalid => "change the manifest as the message says",
        FaultClass::NotFound => "see who removed it",
        FaultClass::Refused => "bring enough etcd members up first",
    }
}
