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
    let zones = config::build(&file).map_err(|findings| {
        let said = |f: &quorate_engine::diagnostic::Finding| {
            format!("{}: {}: {}", f.path, f.message, f.fix)
        };
        ServeError::Wrong(findings.iter().map(said).collect())
    })?;
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(ServeError::Entropy)?;
    let shared = Arc::new(Shared::new(u64::from_le_bytes(seed), tell));
    let mut tasks = JoinSet::new();
    let mut addresses = Vec::new();
    for listen in settings.listen {
        let broken = |error| ServeError::Listen(listen, error);
        let (listener, sockets) = bound(listen, settings.workers.max(1)).map_err(broken)?;
        let listener = TcpListener::from_std(listener).map_err(broken)?;
        addresses.push(listener.local_addr().map_err(broken)?);
        for socket in sockets {
            let socket = tokio::net::UdpSocket::from_std(socket).map_err(broken)?;
            tasks.spawn(udp::answer(socket, Arc::clone(&shared)));
        }
        tasks.spawn(tcp::answer(listener, Arc::clone(&shared)));
    }
    let mut status = None;
    if let Some(address) = settings.status {
        let broken = |error| ServeError::Listen(address, error);
        let listener = TcpListener::bind(address).await.map_err(broken)?;
        status = Some(listener.local_addr().map_err(broken)?);
        tasks.spawn(status::answer(listener, Arc::clone(&shared)));
    }
    shared.load(file, zones);
    tasks.spawn(checks::watch(Arc::clone(&shared)));
    tasks.spawn(peers::listen(Arc::clone(&shared)));
    if let Some((path, text)) = text {
        tasks.spawn(reload::follow(path, text, Arc::clone(&shared)));
    }
    Ok(Handle {
        shared,
        tasks,
        addresses,
        status,
    })
}

/// Sockets on one address: one for TCP, several for UDP among which the kernel spreads clients.
fn bound(
    listen: SocketAddr,
    workers: usize,
) -> io::Result<(std::net::TcpListener, Vec<std::net::UdpSocket>)> {
    use socket2::{Domain, Socket, Type};
    let domain = Domain::for_address(listen);
    let open = |kind: Type, address: SocketAddr| {
        let socket = Socket::new(domain, kind, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        if kind == Type::STREAM {
            socket.set_reuse_address(true)?;
        } else {
            socket.set_reuse_port(true)?;
            // A burst of queries waits here while others are answered.
            let _ = socket.set_recv_buffer_size(4 << 20);
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        Ok::<_, io::Error>(socket)
    };
    let tcp = open(Type::STREAM, listen)?;
    tcp.listen(1_024)?;
    let tcp: std::net::TcpListener = tcp.into();
    let address = tcp.local_addr()?;
    // SO_REUSEPORT would let a second server of the same user in beside us, unnoticed: whoever has
    // the TCP port has the UDP port too.
    let udp = (0..workers).map(|_| open(Type::DGRAM, address).map(Into::into));
    Ok((tcp, udp.collect::<io::Result<_>>()?))
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
