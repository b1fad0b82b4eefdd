//! Requests to stop: from the terminal, from the system, or from a test.

use std::fmt;
use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// A request to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Interrupt => "interrupt",
            Self::Terminate => "termination",
        })
    }
}

/// Where requests come from; that its other end is gone means that there will be none.
pub type Signals = mpsc::UnboundedReceiver<Signal>;

/// The requests that this process gets from now on.
///
/// # Errors
/// If the system does not let us listen.
///
/// # Panics
/// Outside a tokio runtime.
pub fn process_signals() -> io::Result<Signals> {
    let (sender, signals) = mpsc::unbounded_channel();
    let kinds = [
        (SignalKind::interrupt(), Signal::Interrupt),
        (SignalKind::terminate(), Signal::Terminate),
    ];
    for (kind, request) in kinds {
        let mut arrivals = signal(kind)?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while arrivals.recv().await.is_some() && sender.send(request).is_ok() {}
        });
    }
    Ok(signals)
}
