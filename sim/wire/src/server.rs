//! A host that runs the name server: the code of `quorate dns serve`, on the simulated network.

use crate::journal::{Journal, now};
use crate::net::Wire;
use quorate_dns::config::File;
use quorate_dns::health::Notice;
use quorate_dns::serve::{Event, Place, serve_on};
use quorate_sim::outcome::Track;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// Where name servers listen.
pub(crate) const PORT: u16 = 53;

/// Whose address it is, by what a check is called.
pub(crate) type Labels = Arc<BTreeMap<String, String>>;

/// Serves a file, for as long as the host stands.
pub(crate) async fn stand(
    name: String,
    file: File,
    seed: u64,
    labels: Labels,
    journal: Journal,
) -> turmoil::Result {
    let tell = move |event: &Event| {
        if let Some(text) = said(&name, event, &labels) {
            journal.note(now(), Track::Entry, text);
        }
    };
    let place = Place {
        listen: vec![SocketAddr::from(([0, 0, 0, 0], PORT))],
        workers: 1,
        seed,
    };
    let _serves = serve_on(Wire, place, file, Arc::new(tell)).await?;
    std::future::pending().await
}

/// What a name server tells, for the timeline.
fn said(name: &str, event: &Event, labels: &BTreeMap<String, String>) -> Option<String> {
    let whose = |target: &String| labels.get(target).unwrap_or(target).clone();
    match event {
        Event::Health(Notice::Sick { target, .. }) => {
            Some(format!("{name} drops {}", whose(target)))
        }
        Event::Health(Notice::Well { target }) => Some(format!("{name} gives {}", whose(target))),
        Event::Health(Notice::AllSick { records }) => {
            Some(format!("{name} gives all of {records}: none is well"))
        }
        Event::Health(Notice::SomeWell { records }) => {
            Some(format!("{name} gives those of {records} that are well"))
        }
        Event::Loaded(_) => Some(format!("{name} serves")),
        Event::Refused(refused) => Some(format!("{name} refuses: {}", refused.problems.join("; "))),
    }
}
