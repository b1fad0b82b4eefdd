//! `quorate dns serve`: the name server in the foreground, until somebody says stop.

use crate::args::DnsServe;
use crate::exit::Exit;
use crate::terminal;
use quorate_dns::config::from_lines;
use quorate_dns::health::Notice;
use quorate_dns::serve::{Event, Handle, ServeError, Settings, Source, Tell, serve as begin};
use quorate_sim::report::plain;
use serde_json::json;
use std::io::{self, Write as _};
use std::sync::Arc;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// Serves until somebody says stop.
pub(crate) fn serve(args: &DnsServe) -> Exit {
    let settings = match settings(args) {
        Ok(settings) => settings,
        Err(refusal) => return failed(&refusal, "see `quorate dns serve --help`"),
    };
    let runtime = Builder::new_multi_thread().enable_all().build();
    match runtime.map(|runtime| runtime.block_on(until_stopped(args.json, settings))) {
        Ok(Ok(())) => Exit::Fine,
        Ok(Err(Trouble::Serve(error))) => failed(&error.to_string(), fix(&error)),
        Ok(Err(Trouble::Io(error))) | Err(error) => failed(
            &error.to_string(),
            "look at what the operating system allows",
        ),
    }
}

/// A name server goes on when nobody listens to what it says any more.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn failed(what: &str, fix: &str) -> Exit {
    terminal::eprint(&format!("error: {}\n  fix: {fix}\n", plain(what)));
    Exit::Failed
}

fn fix(error: &ServeError) -> &'static str {
    match error {
        ServeError::Listen(..) => "give an address of this machine with a port that is free",
        ServeError::Unreadable(..) => "name a file that you may read",
        ServeError::Wrong(_) => "`quorate schema dns` says what may stand there",
        ServeError::Entropy(_) => "look at what the operating system allows",
    }
}

fn settings(args: &DnsServe) -> Result<Settings, String> {
    let source = match (&args.config, &args.zone) {
        (Some(path), _) => Source::File(path.clone()),
        (None, Some(zone)) => {
            let mut file = from_lines(zone, &args.ns, &args.records)?;
            if let Some(rate) = args.rate {
                file.rate_limit.per_second = rate;
            }
            Source::Given(file)
        }
        (None, None) => return Err("there is neither a file nor a zone".to_owned()),
    };
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Settings {
        listen: args.listen.clone(),
        source,
        status: args.status,
        workers: args.workers.map_or_else(cores, usize::from),
    })
}

enum Trouble {
    Serve(ServeError),
    Io(io::Error),
}

async fn until_stopped(json: bool, settings: Settings) -> Result<(), Trouble> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Trouble::Io)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(Trouble::Io)?;
    let tell: Tell = Arc::new(move |event| say(&line(json, event)));
    let handle = begin(settings, tell).await.map_err(Trouble::Serve)?;
    say(&listening(json, &handle));
    loop {
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.map_err(Trouble::Io)?;
                break;
            }
            _ = terminate.recv() => break,
            _ = hangup.recv() => handle.reload(),
        }
    }
    let queries = handle.counters().queries();
    handle.stop().await;
    say(&if json {
        format!("{}\n", json!({"event": "stopped", "queries": queries}))
    } else {
        format!("stopped after {queries} queries\n")
    });
    Ok(())
}

fn listening(json: bool, handle: &Handle) -> String {
    let (addresses, status) = (handle.addresses(), handle.status());
    if json {
        let event = json!({"event": "listening", "addresses": addresses, "status": status});
        return format!("{event}\n");
    }
    let mut text = String::new();
    for address in addresses {
        text.push_str(&format!("listening on {address} (UDP and TCP)\n"));
    }
    if let Some(status) = status {
        text.push_str(&format!("status on http://{status}/status and /metrics\n"));
    }
    text + "Ctrl-C ends it\n"
}

fn line(json: bool, event: &Event) -> String {
    if json {
        let event = serde_json::to_string(event).expect("an event is plain data");
        return format!("{event}\n");
    }
    let text = match event {
        Event::Loaded(loaded) => {
            let zone = |(zone, serial): &(String, u32)| format!("{zone} serial {serial}");
            let zones: Vec<_> = loaded.zones.iter().map(zone).collect();
            let watched = loaded.watched;
            format!(
                "serving {}; {watched} addresses are watched",
                zones.join(", ")
            )
        }
        Event::Refused(refused) => format!(
            "the new configuration is refused, the old one stays: {}",
            refused.problems.join("; ")
        ),
        Event::Health(Notice::Sick { target, votes }) => {
            let (against, all) = votes;
            format!("{target} is sick, by {against} of {all}: it leaves the answers")
        }
        Event::Health(Notice::Well { target }) => format!("{target} is well again"),
        Event::Health(Notice::AllSick { records }) => {
            format!("{records}: every address is sick: all are given out")
        }
        Event::Health(Notice::SomeWell { records }) => {
            format!("{records}: not every address is sick any more")
        }
    };
    format!("{}\n", plain(&text))
}
