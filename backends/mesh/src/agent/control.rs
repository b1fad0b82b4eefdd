//! The controlling thread: configuration requests, the clock's ticks, signals.
//!
//! Knows the text of requests only as [`crate::uapi`] parses it.

use super::sockets::SocketSet;
use super::{AgentError, Crew, Settings, Shared};
use crate::datagrams::Datagrams;
use crate::uapi::{self, Change, Request};
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream as Probe;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

/// boringtun's timers are meant to be looked at this often.
const TICK: Duration = Duration::from_millis(250);
/// The longest request: some ten thousand peers.
const REQUEST_BYTES: u64 = 4 << 20;

/// Why the agent stops.
pub(super) enum End {
    Signal,
    Worker,
}

pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self, AgentError> {
        let listen = |kind| signal(kind).map_err(AgentError::system("cannot wait for signals"));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The configuration socket, removed when dropped.
pub(super) struct Listener {
    socket: UnixListener,
    path: PathBuf,
}

impl Listener {
    pub(super) fn bind(settings: &Settings) -> Result<Self, AgentError> {
        let path = settings
            .socket_dir
            .join(format!("{}.sock", settings.interface));
        if Probe::connect(&path).is_ok() {
            return Err(AgentError::Running(path));
        }
        let bind = || -> io::Result<UnixListener> {
            let dir = &settings.socket_dir;
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
            // Made where nobody else can reach it, opened to nobody, then moved to its place,
            // over the one that an agent left which was killed.
            let private = dir.join(format!(".{}.{}", settings.interface, std::process::id()));
            DirBuilder::new().mode(0o700).create(&private)?;
            let made = private.join("sock");
            let bound = UnixListener::bind(&made).and_then(|socket| {
                std::fs::set_permissions(&made, Permissions::from_mode(0o600))?;
                std::fs::rename(&made, &path)?;
                Ok(socket)
            });
            if bound.is_err() {
                let _absent = std::fs::remove_file(&made);
            }
            std::fs::remove_dir(&private)?;
            bound
        };
        match bind() {
            Ok(socket) => Ok(Self { socket, path }),
            Err(source) => Err(AgentError::Socket { path, source }),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Somebody may have cleared the directory before us.
        let _absent = std::fs::remove_file(&self.path);
    }
}

/// A request, and where its answer goes.
type Asked = (Request, oneshot::Sender<String>);

/// Serves until there is a reason to stop.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    crew: &mut Crew,
    listener: &Listener,
    mut signals: Signals,
) -> End {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut net = Datagrams::default();
    let (asks, mut asked) = mpsc::channel::<Asked>(1);
    loop {
        tokio::select! {
            () = signals.any() => return End::Signal,
            () = crew.any_ended() => return End::Worker,
            _ = ticks.tick() => shared.device().tick(&shared.now(), &mut net),
            Ok((stream, _)) = listener.socket.accept() => {
                tokio::spawn(converse(stream, asks.clone()));
            }
            Some((request, answer)) = asked.recv() => {
                // Who asked may be gone by now.
                let _gone = answer.send(carry_out(request, shared, crew, &mut net));
            }
        }
        send(shared, &mut net);
    }
}

fn send(shared: &Shared, net: &mut Datagrams) {
    for moved in shared.sockets().of(0).send(net) {
        shared.device().forget_local(moved);
    }
}

/// One client: request after request, until it hangs up or says something that ends nowhere.
async fn converse(stream: UnixStream, asks: mpsc::Sender<Asked>) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut request = Vec::new();
        let mut limited = (&mut reader).take(REQUEST_BYTES);
        loop {
            let read = limited.read_until(b'\n', &mut request).await?;
            if limited.limit() == 0 {
                let refusal = uapi::answer(uapi::ERRNO_TOO_LONG);
                return writer.write_all(refusal.as_bytes()).await;
            }
            if request == b"\n" || request.ends_with(b"\n\n") {
                break;
            }
            if read == 0 || !request.ends_with(b"\n") {
                // Hung up in the middle of a request, or between two.
                return Ok(());
            }
        }
        request.pop();
        let text = String::from_utf8_lossy(&request);
        let reply = match uapi::parse(&text) {
            Err(_mistake) => uapi::answer(uapi::ERRNO_INVALID),
            Ok(request) => {
                let (answer, answered) = oneshot::channel();
                if asks.send((request, answer)).await.is_err() {
                    return Ok(());
                }
                match answered.await {
                    Ok(reply) => reply,
                    Err(_) => return Ok(()),
                }
            }
        };
        writer.write_all(reply.as_bytes()).await?;
    }
}

fn carry_out(request: Request, shared: &Shared, crew: &mut Crew, net: &mut Datagrams) -> String {
    match request {
        Request::Get => shared.device().view().answer(),
        Request::Set(change) => match rebind(&change, shared) {
            Ok(rebound) => {
                let mut device = shared.device_mut();
                device.configure(&change, &shared.now(), net);
                if let Some(sockets) = rebound {
                    device.set_listen_port(sockets.port());
                    let mut current = shared
                        .sockets
                        .write()
                        .unwrap_or_else(PoisonError::into_inner);
                    *current = Arc::new(sockets);
                    drop(current);
                    drop(device);
                    crew.ring();
                }
                uapi::answer(0)
            }
            Err(error) => uapi::answer(error.raw_os_error().unwrap_or(uapi::ERRNO_IO)),
        },
    }
}

/// Sockets for the port and the mark that a change asks for, if they are others than now.
fn rebind(change: &Change, shared: &Shared) -> io::Result<Option<SocketSet>> {
    let device = shared.device();
    let (port, fwmark) = (device.listen_port(), device.fwmark());
    drop(device);
    let asked_port = change.listen_port.unwrap_or(port);
    let asked_mark = change.fwmark.unwrap_or(fwmark);
    let current = shared.sockets();
    if asked_port == port && asked_mark == fwmark {
        return Ok(None);
    }
    if asked_port == port {
        for worker in 0..current.workers() {
            current.of(worker).mark(asked_mark)?;
        }
        return Ok(None);
    }
    SocketSet::bind(asked_port, asked_mark, current.workers()).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says everything at once, hangs up, and reads what is answered. `get` is answered with
    /// `shown`, a change with 0.
    async fn said(text: Vec<u8>) -> String {
        let (client, agent) = UnixStream::pair().unwrap();
        let (asks, mut asked) = mpsc::channel::<Asked>(1);
        tokio::spawn(converse(agent, asks));
        tokio::spawn(async move {
            while let Some((request, answer)) = asked.recv().await {
                let reply = match request {
                    Request::Get => "shown\n\n".to_owned(),
                    Request::Set(_) => uapi::answer(0),
                };
                answer.send(reply).unwrap();
            }
        });
        let (mut reader, mut writer) = client.into_split();
        let writing = tokio::spawn(async move {
            // It may hang up on us in the middle.
            let _cut = writer.write_all(&text).await;
        });
        let mut answers = Vec::new();
        // Unread requests at the end of a conversation come back as a reset.
        let _reset = reader.read_to_end(&mut answers).await;
        writing.await.unwrap();
        String::from_utf8(answers).unwrap()
    }

    #[tokio::test]
    async fn a_client_asks_as_often_as_it_likes() {
        let cases = [
            ("get=1\n\n", "shown\n\n"),
            (
                "get=1\n\nset=1\nlisten_port=1\n\nget=1\n\n",
                "shown\n\nerrno=0\n\nshown\n\n",
            ),
            (
                "set=1\nlisten_port=x\n\nget=1\n\n",
                "errno=-22\n\nshown\n\n",
            ),
            ("\n", "errno=-22\n\n"),
            // Hung up in the middle of a request: it is not carried out.
            ("set=1\nlisten_port=1\n", ""),
            ("get=1", ""),
            ("", ""),
        ];
        for (text, answers) in cases {
            assert_eq!(said(text.into()).await, answers, "{text}");
        }
    }

    #[tokio::test]
    async fn a_request_without_end_is_cut_off() {
        let endless = "set=1\n".repeat(REQUEST_BYTES as usize / 6 + 2);
        assert_eq!(said(endless.into()).await, "errno=-7\n\n");
        let one_line = "x".repeat(REQUEST_BYTES as usize + 9);
        assert_eq!(said(one_line.into()).await, "errno=-7\n\n");
        assert_eq!(said(vec![0xff, b'\n', b'\n']).await, "errno=-22\n\n");
    }
}
