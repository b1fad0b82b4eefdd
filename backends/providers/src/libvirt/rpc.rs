//! A connection to libvirt: calls go out in any number at once, and each reply finds its call.
//!
//! One task writes whole messages and one reads them, so that a call may be dropped at any instant
//! without leaving half a message on the way. Knows neither procedures nor how the bytes travel.

use super::link::Link;
use super::message::{HEAD, KEEPALIVE, Message, PING, PONG, REMOTE, RemoteError, Status, Type};
use super::xdr::Garbled;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::process::ChildStderr;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Data of a stream travels in pieces of at most this many bytes, which every version takes
/// (`VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX`).
const PIECE: usize = 262_120;

/// How long a program that ended may take to have said why.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// libvirt refuses.
    #[error("{}", .0.message)]
    Remote(RemoteError),
    /// There is no connection: nothing was asked.
    #[error("{0}")]
    Unsent(String),
    /// There is a connection, and it lets nobody in.
    #[error("{0}")]
    Shut(String),
    /// The connection ended after the question and before the answer.
    #[error("the connection to libvirt ended before the answer: {0}")]
    Lost(String),
    /// The answer makes no sense.
    #[error(transparent)]
    Garbled(#[from] Garbled),
}

/// An open connection.
pub(super) struct Connection {
    out: UnboundedSender<Vec<u8>>,
    shared: Arc<Shared>,
    serial: AtomicU32,
    tasks: [JoinHandle<()>; 2],
    /// Ends the process at the other end of its pipes, where there is one.
    _link: super::link::Keep,
}

#[derive(Default)]
struct Shared {
    calls: Mutex<Calls>,
    doubtful: AtomicBool,
}

#[derive(Default)]
struct Calls {
    waiting: BTreeMap<u32, UnboundedSender<Message>>,
    /// Why nothing comes any more.
    ended: Option<String>,
}

impl Shared {
    fn calls(&self) -> std::sync::MutexGuard<'_, Calls> {
        // A map of senders is whole after any panic.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, why: String) {
        let mut calls = self.calls();
        calls.ended.get_or_insert(why);
        calls.waiting.clear();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// A call under way. Dropped before its end it leaves doubt: the other side may hang.
struct Asked<'a> {
    connection: &'a Connection,
    serial: u32,
    procedure: i32,
    answers: UnboundedReceiver<Message>,
    over: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.connection.shared.calls().waiting.remove(&self.serial);
        if !self.over {
            self.connection
                .shared
                .doubtful
                .store(true, Ordering::Relaxed);
        }
    }
}

impl Asked<'_> {
    async fn answer(&mut self) -> Result<Vec<u8>, Trouble> {
        let Some(message) = self.answers.recv().await else {
            self.over = true;
            let calls = self.connection.shared.calls();
            let why = calls.ended.clone().unwrap_or_default();
            return Err(Trouble::Lost(why));
        };
        self.over = true;
        match message.status {
            Status::Error => Err(Trouble::Remote(RemoteError::decode(&message.payload)?)),
            Status::Ok | Status::Continue => Ok(message.payload),
        }
    }

    fn stream(&self, status: Status, payload: &[u8]) {
        let message = Message {
            program: REMOTE,
            procedure: self.procedure,
            kind: Type::Stream,
            serial: self.serial,
            status,
            payload: payload.to_vec(),
        };
        // A writer that is gone has ended the connection, and the next answer says why.
        let _gone = self.connection.out.send(message.encode());
    }
}

impl Connection {
    /// Over a link that is up.
    pub(super) fn new(link: Link) -> Self {
        let shared = Arc::new(Shared::default());
        let (out, queue) = unbounded_channel();
        let complaints = link.complaints;
        let reader = read(link.input, complaints, Arc::clone(&shared), out.clone());
        let writer = write(link.output, Arc::clone(&shared), queue);
        Self {
            out,
            shared,
            serial: AtomicU32::new(1),
            tasks: [tokio::spawn(reader), tokio::spawn(writer)],
            _link: link.keep,
        }
    }

    /// Whether the next call should go over a new one: this one ended, or a call on it was given
    /// up.
    pub(super) fn worn(&self) -> bool {
        self.shared.doubtful.load(Ordering::Relaxed) || self.shared.calls().ended.is_some()
    }

    fn ask(&self, procedure: i32, payload: Vec<u8>) -> Result<Asked<'_>, Trouble> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let (send, answers) = unbounded_channel();
        {
            let mut calls = self.shared.calls();
            if let Some(why) = &calls.ended {
                return Err(Trouble::Unsent(why.clone()));
            }
            calls.waiting.insert(serial, send);
        }
        let message = Message {
            program: REMOTE,
            procedure,
            kind: Type::Call,
            serial,
            status: Status::Ok,
            payload,
        };
        let mut asked = Asked {
            connection: self,
            serial,
            procedure,
            answers,
            over: false,
        };
        if self.out.send(message.encode()).is_err() {
            asked.over = true;
            let why = "the connection to libvirt has ended".to_owned();
            return Err(Trouble::Unsent(why));
        }
        Ok(asked)
    }

    /// Calls a procedure and waits for what it gives back.
    pub(super) async fn call(&self, procedure: i32, payload: Vec<u8>) -> Result<Vec<u8>, Trouble> {
        self.ask(procedure, payload)?.answer().await
    }

    /// Calls a procedure that takes a stream, and sends `data` down it.
    pub(super) async fn upload(
        &self,
        procedure: i32,
        payload: Vec<u8>,
        data: &[u8],
    ) -> Result<(), Trouble> {
        let mut asked = self.ask(procedure, payload)?;
        asked.answer().await?;
        asked.over = false;
        for piece in data.chunks(PIECE) {
            asked.stream(Status::Continue, piece);
        }
        asked.stream(Status::Ok, &[]);
        asked.answer().await.map(drop)
    }
}

async fn write(
    mut output: Box<dyn AsyncWrite + Send + Unpin>,
    shared: Arc<Shared>,
    mut queue: UnboundedReceiver<Vec<u8>>,
) {
    while let Some(bytes) = queue.recv().await {
        let mut sent = output.write_all(&bytes).await;
        if sent.is_ok() {
            sent = output.flush().await;
        }
        if let Err(error) = sent {
            // The other end has closed: whoever reads from it learns why, and says it first.
            sleep(2 * LAST_WORDS).await;
            return shared.end(error.to_string());
        }
    }
}

async fn read(
    mut input: Box<dyn AsyncRead + Send + Unpin>,
    complaints: Option<ChildStderr>,
    shared: Arc<Shared>,
    out: UnboundedSender<Vec<u8>>,
) {
    loop {
        let message = match receive(&mut input).await {
            Ok(Some(message)) => message,
            Ok(None) => continue,
            Err(why) => return shared.end(explain(why, complaints).await),
        };
        match (message.program, message.kind) {
            (KEEPALIVE, Type::Event) if message.procedure == PING => {
                let pong = Message {
                    procedure: PONG,
                    ..message
                };
                // The reader need not care: the writer has said why it ended.
                let _gone = out.send(pong.encode());
            }
            (REMOTE, Type::Reply | Type::Stream) => {
                let calls = shared.calls();
                if let Some(call) = calls.waiting.get(&message.serial) {
                    // Dropped in this instant: nobody waits for it.
                    let _dropped = call.send(message);
                }
            }
            // Events and other programs are not asked for.
            (_, Type::Call | Type::Reply | Type::Event | Type::Stream) => {}
        }
    }
}

/// Why a link ended, with the last line of what its other end had to say. A program that keeps its
/// pipe open beyond its end is not waited for.
async fn explain(why: String, complaints: Option<ChildStderr>) -> String {
    let Some(mut complaints) = complaints else {
        return why;
    };
    let mut said = [0; 4096];
    let read = async {
        let mut held = 0;
        while let Ok(more @ 1..) = complaints.read(&mut said[held..]).await {
            held += more;
        }
        held
    };
    let held = timeout(LAST_WORDS, read).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&said[..held]);
    match said.lines().map(str::trim).rfind(|line| !line.is_empty()) {
        Some(line) => format!("{why}: {line}"),
        None => why,
    }
}

/// The next message; none for one of a type that is not for us.
async fn receive(input: &mut (dyn AsyncRead + Send + Unpin)) -> Result<Option<Message>, String> {
    let mut first = [0; 4];
    let ended = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "libvirt closed it".to_owned(),
        _ => error.to_string(),
    };
    input.read_exact(&mut first).await.map_err(ended)?;
    let Some(length) = Message::length(first) else {
        return Err("what answers does not speak libvirt's protocol".to_owned());
    };
    let mut rest = vec![0; length - 4];
    assert!(rest.len() >= HEAD - 4, "a message has a header");
    input.read_exact(&mut rest).await.map_err(ended)?;
    Message::decode(&rest).map_err(|garbled| garbled.to_string())
}
