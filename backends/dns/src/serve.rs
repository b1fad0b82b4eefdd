//! The name server as a process: sockets, clock, checks, and the file it is told by.
//!
//! What an answer is, and who is well, is decided in the pure half. A new configuration is taken
//! over between two queries; a bad one is refused and the old one stays.

mod checks;
mod counters;
mod peers;
mod probe;
mod reload;
mod shared;
mod status;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;

pub use counters::Counters;

use crate::config::{self, File};
use crate::health::Notice;
use crate::net::{Kernel, Listener as _, Net};
use quorate_engine::diagnostic::Diagnostic;
use serde::Serialize;
use shared::Shared;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What is served where.
#[derive(Debug, Clone)]
pub struct Settings {
    /// UDP and TCP; port 0 is any that is free, the same for both.
    pub listen: Vec<SocketAddr>,
    /// Where zones come from.
    pub source: Source,
    /// Where zones, health and metrics can be read over HTTP.
    pub status: Option<SocketAddr>,
    /// Tasks that answer UDP on each address.
    pub workers: usize,
}

/// Where zones come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file, which is read again when its content changes, and when [`Handle::reload`] says so.
    File(PathBuf),
    /// Given once.
    Given(File),
}

/// What happens, for people and logs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Event {
    /// Zones are served from now on.
    Loaded(Loaded),
    /// A new configuration is not taken over; the old one stays.
    Refused(Refused),
    /// Somebody's health has changed.
    Health(Notice),
}

/// Zones are served from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename = "loaded")]
pub struct Loaded {
    /// Names and serials.
    pub zones: Vec<(String, u32)>,
    /// Addresses that are watched.
    pub watched: usize,
}

/// A configuration is not taken over.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename = "refused")]
pub struct Refused {
    /// What is wrong with it.
    pub problems: Vec<String>,
}

/// Who is told of events.
pub type Tell = Arc<dyn Fn(&Event) + Send + Sync>;

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// The configuration cannot be read.
    #[error("{path} cannot be read: {1}", path = .0.display())]
    Unreadable(PathBuf, io::Error),
    /// It is wrong.
    #[error("the configuration is wrong: {}", .0.join("; "))]
    Wrong(Vec<String>),
    /// No random numbers are to be had from the operating system.
    #[error("the operating system gives no random numbers: {0}")]
    Entropy(getrandom::Error),
}

/// A server that runs, until it is stopped.
pub struct Handle {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    addresses: Vec<SocketAddr>,
    status: Option<SocketAddr>,
}

impl Handle {
    /// Where it listens, over UDP and TCP.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where its status can be read.
    #[must_use]
    pub fn status(&self) -> Option<SocketAddr> {
        self.status
    }

    /// Reads its file again, now.
    pub fn reload(&self) {
        self.shared.reload.notify_one();
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Answers what has come, and ends.
    pub async fn stop(mut self) {
        self.shared.stop();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Begins to serve.
///
/// # Errors
/// A configuration that is wrong, an address that is taken.
pub async fn serve(settings: Settings, tell: Tell) -> Result<Handle, ServeError> {
    let (text, file) = match settings.source {
        Source::Given(file) => (None, file),
        Source::File(path) => {
            let text = std::fs::read(&path);
            let text = text.map_err(|error| ServeError::Unreadable(path.clone(), error))?;
            let (file, _) = config::load(&text).map_err(|all| ServeError::Wrong(lines(&all)))?;
            (Some((path, text)), file)
        }
    };
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(ServeError::Entropy)?;
    let place = Place {
        listen: settings.listen,
        workers: settings.workers,
        seed: u64::from_le_bytes(seed),
    };
    let mut handle = serve_on(Kernel, place, file, tell).await?;
    let shared = &handle.shared;
    if let Some(address) = settings.status {
        let broken = |error| ServeError::Listen(address, error);
        let listener = TcpListener::bind(address).await.map_err(broken)?;
        handle.status = Some(listener.local_addr().map_err(broken)?);
        let answering = status::answer(listener, Arc::clone(shared));
        handle.tasks.spawn(answering);
    }
    handle.tasks.spawn(peers::listen(Arc::clone(shared)));
    if let Some((path, text)) = text {
        let following = reload::follow(path, text, Arc::clone(shared));
        handle.tasks.spawn(following);
    }
    Ok(handle)
}

/// Where a server stands.
#[derive(Debug, Clone)]
pub struct Place {
    /// UDP and TCP; port 0 is any that is free, the same for both.
    pub listen: Vec<SocketAddr>,
    /// Tasks that answer UDP on each address.
    pub workers: usize,
    /// Everything that it draws.
    pub seed: u64,
}

/// Begins to serve what a file says, on any network: queries, and checks over TCP. Other instances,
/// a status over HTTP and checks by HTTP need the kernel's network ([`serve`]).
///
/// # Errors
/// A configuration that is wrong, an address that is taken.
pub async fn serve_on<N: Net>(
    net: N,
    place: Place,
    file: File,
    tell: Tell,
) -> Result<Handle, ServeError> {
    let zones = config::build(&file).map_err(|findings| {
        let said = |f: &quorate_engine::diagnostic::Finding| {
            format!("{}: {}: {}", f.path, f.message, f.fix)
        };
        ServeError::Wrong(findings.iter().map(said).collect())
    })?;
    let shared = Arc::new(Shared::new(place.seed, tell));
    let mut tasks = JoinSet::new();
    let mut addresses = Vec::new();
    for listen in place.listen {
        let broken = |error| ServeError::Listen(listen, error);
        let bound = net.bind(listen, place.workers.max(1)).await;
        let (listener, sockets) = bound.map_err(broken)?;
        addresses.push(listener.local_addr().map_err(broken)?);
        for socket in sockets {
            tasks.spawn(udp::answer(socket, Arc::clone(&shared)));
        }
        tasks.spawn(tcp::answer(listener, Arc::clone(&shared)));
    }
    shared.load(file, zones);
    tasks.spawn(checks::watch(net, Arc::clone(&shared)));
    Ok(Handle {
        shared,
        tasks,
        addresses,
        status: None,
    })
}

/// Diagnostics, a line each.
#[must_use]
pub fn lines(all: &[Diagnostic]) -> Vec<String> {
    let line = |d: &Diagnostic| {
        let (span, finding) = (&d.span, &d.finding);
        let (at, column) = (span.line, span.column);
        format!("line {at}:{column}: {}: {}", finding.message, finding.fix)
    };
    all.iter().map(line).collect()
}
