//! The agent's process side: a TUN interface, UDP sockets, the configuration socket, signals.
//!
//! Workers carry packets (`worker`), this thread configures, ticks and stops. A worker does both
//! directions from system call to system call: a packet is read, encrypted and sent by one thread,
//! so nothing is queued between threads and no core waits for another. Knows no WireGuard: that is
//! [`crate::device`].

mod control;
mod interface;
mod sockets;
mod worker;

use crate::device::{Device, Now};
use sockets::SocketSet;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;

/// Where `wg` looks for the sockets of userspace implementations.
pub const SOCKET_DIR: &str = "/var/run/wireguard";
/// Overhead over IPv6 is 80 bytes: 1,500 − 80. What `wg-quick` and others take by default.
pub const DEFAULT_MTU: u16 = 1420;

/// By default. A peer's tunnel is one state machine: more workers serve only more peers.
const WORKERS_MAX: usize = 8;

/// What an agent is to be.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name of the interface, 15 bytes at most.
    pub interface: String,
    /// Largest packet of the interface, in bytes.
    pub mtu: u16,
    /// Threads that carry packets; by default one for every two cores, 8 at most: what is carried
    /// has to be made and used by somebody, too. (On two cores, one is as fast as two.)
    pub workers: Option<NonZeroUsize>,
    /// Directory of the configuration socket.
    pub socket_dir: PathBuf,
}

impl Settings {
    /// An interface of this name, and the rest by default.
    #[must_use]
    pub fn new(interface: impl Into<String>) -> Self {
        Self {
            interface: interface.into(),
            mtu: DEFAULT_MTU,
            workers: None,
            socket_dir: PathBuf::from(SOCKET_DIR),
        }
    }
}

/// Why an agent cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Not a name that Linux takes.
    #[error(
        "`{0}` cannot be an interface's name: 1 to 15 bytes, without white space, `/`, `:` and `%`"
    )]
    Name(String),
    /// The interface cannot be made.
    #[error(
        "cannot make the interface {name}: {source} (root or CAP_NET_ADMIN, and /dev/net/tun, are needed; a name in use is refused)"
    )]
    Interface {
        /// Its name.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// The interface was removed by somebody else.
    #[error("the interface {0} was removed while the agent ran")]
    Removed(String),
    /// No UDP port can be had.
    #[error("cannot listen on a UDP port: {0}")]
    Listen(#[source] io::Error),
    /// Another agent answers on the configuration socket.
    #[error("{0} is in use: another WireGuard runs an interface of this name")]
    Running(PathBuf),
    /// The configuration socket cannot be made.
    #[error("cannot make the configuration socket {path}: {source}")]
    Socket {
        /// Where it was to be.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system refuses something else.
    #[error("{what}: {source}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

impl AgentError {
    fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}

/// What workers and the controlling thread share.
struct Shared {
    device: RwLock<Device>,
    sockets: RwLock<Arc<SocketSet>>,
    started: Instant,
}

impl Shared {
    fn device(&self) -> RwLockReadGuard<'_, Device> {
        self.device.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn device_mut(&self) -> RwLockWriteGuard<'_, Device> {
        self.device.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn sockets(&self) -> Arc<SocketSet> {
        let sockets = self.sockets.read();
        sockets.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        Now {
            steady: self.started.elapsed(),
            wall: wall.unwrap_or_default(),
        }
    }
}

/// Runs an agent until SIGTERM or SIGINT; its interface is gone afterwards. Keys and peers come
/// over the configuration socket, as to any WireGuard; addresses and routes are the caller's.
///
/// # Errors
/// If the interface, a port or the configuration socket cannot be had, or the interface is removed
/// by somebody else.
///
/// # Panics
/// If a worker does: that is a bug of ours.
pub fn run(settings: &Settings) -> Result<(), AgentError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(AgentError::system("cannot start the controlling thread"))?;
    runtime.block_on(start(settings))
}

async fn start(settings: &Settings) -> Result<(), AgentError> {
    interface::check_name(&settings.interface)?;
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let by_default = cores.div_ceil(2).min(WORKERS_MAX);
    let workers = settings.workers.map_or(by_default, NonZeroUsize::get);
    // Signals first: nothing that is made from here on stays behind.
    let signals = control::Signals::new()?;
    let listener = control::Listener::bind(settings)?;
    let queues = interface::open(settings, workers)?;
    let sockets = SocketSet::bind(0, 0, workers).map_err(AgentError::Listen)?;
    let mut seed = [0; 4];
    getrandom::fill(&mut seed).expect("an operating system with entropy");
    let mut device = Device::new(u32::from_le_bytes(seed));
    device.set_listen_port(sockets.port());
    let shared = Arc::new(Shared {
        device: RwLock::new(device),
        sockets: RwLock::new(Arc::new(sockets)),
        started: Instant::now(),
    });
    let mut crew = Crew::default();
    for (number, queue) in queues.into_iter().enumerate() {
        crew.hire(number, queue, &shared)?;
    }
    let end = control::serve(&shared, &mut crew, &listener, signals).await;
    let gone = crew.dismiss();
    match (end, gone) {
        (control::End::Signal, _) => Ok(()),
        (control::End::Worker, Some(Err(source))) if interface::is_removed(&source) => {
            Err(AgentError::Removed(settings.interface.clone()))
        }
        (control::End::Worker, Some(Err(source))) => Err(AgentError::System {
            what: "cannot go on carrying packets",
            source,
        }),
        (control::End::Worker, _) => unreachable!("a worker ends by itself only with an error"),
    }
}

struct Member {
    thread: std::thread::JoinHandle<io::Result<()>>,
    bell: io::PipeWriter,
}

/// The workers, and how to reach them.
#[derive(Default)]
struct Crew {
    members: Vec<Member>,
    ended: Vec<oneshot::Receiver<()>>,
}

impl Crew {
    fn hire(
        &mut self,
        number: usize,
        queue: interface::Queue,
        shared: &Arc<Shared>,
    ) -> Result<(), AgentError> {
        let cannot = AgentError::system;
        let (wake, bell) = io::pipe().map_err(cannot("cannot make a pipe"))?;
        let (ends, ended) = oneshot::channel();
        let shared = shared.clone();
        let thread = std::thread::Builder::new()
            .name(format!("mesh-{number}"))
            .spawn(move || {
                let result = worker::Worker::new(number, queue, wake, &shared).run();
                // Dropped in a panic, too: either way the controlling thread hears of it.
                drop(ends);
                result
            })
            .map_err(cannot("cannot start a worker"))?;
        self.members.push(Member { thread, bell });
        self.ended.push(ended);
        Ok(())
    }

    /// Tells every worker to take the sockets of now.
    fn ring(&mut self) {
        use io::Write;
        for member in &mut self.members {
            // A worker that ended does not listen; its end is heard of elsewhere.
            let _gone = member.bell.write_all(&[1]);
        }
    }

    /// Returns once any worker has ended.
    async fn any_ended(&mut self) {
        std::future::poll_fn(|cx| {
            use std::future::Future;
            let mut ended = self.ended.iter_mut();
            if ended.any(|ended| std::pin::Pin::new(ended).poll(cx).is_ready()) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
    }

    /// Ends all workers; the first failure among them.
    fn dismiss(self) -> Option<io::Result<()>> {
        let mut failure = None;
        for Member { thread, bell } in self.members {
            drop(bell);
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(failed) => failure = failure.or(Some(failed)),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        failure
    }
}
