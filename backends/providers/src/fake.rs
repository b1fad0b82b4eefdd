//! A server for tests, as good or as bad as each test says: it answers, cuts the line, hangs, or
//! stops in the middle, and remembers what it was asked.

use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
}

/// What becomes of it.
pub(crate) enum Reaction {
    /// Status, headers, body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// The line is cut, without an answer.
    Cut,
    /// Nothing comes.
    Hang,
    /// The line is cut in the middle of a good answer.
    Half,
}

impl Reaction {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::Answer(status, Vec::new(), body.to_string())
    }
}

type Log = Arc<Mutex<Vec<Asked>>>;
type Mind = dyn Fn(&Asked) -> Reaction + Send + Sync;

/// The server, until it is dropped.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    log: Log,
    task: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    pub(crate) async fn start(mind: impl Fn(&Asked) -> Reaction + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (log, mind) = (Log::default(), Arc::new(mind));
        let heard = Arc::clone(&log);
        let task = tokio::spawn(async move {
            while let Ok((line, _)) = listener.accept().await {
                let (heard, mind) = (Arc::clone(&heard), Arc::clone(&mind));
                tokio::spawn(async move { serve(line, &heard, &*mind).await });
            }
        });
        Self { address, log, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What it was asked, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }
}

/// One request a connection.
async fn serve(mut line: TcpStream, heard: &Log, mind: &Mind) {
    let Some(asked) = read(&mut line).await else {
        return;
    };
    heard.lock().unwrap().push(asked.clone());
    let (status, headers, body) = match mind(&asked) {
        Reaction::Answer(status, headers, body) => (status, headers, body),
        Reaction::Cut => return,
        Reaction::Hang => {
            // Until the client has had enough.
            let _ = line.read(&mut [0; 1]).await;
            return;
        }
        Reaction::Half => {
            let half = b"HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n{\"servers\": [";
            let _ = line.write_all(half).await;
            return;
        }
    };
    let mut text = format!("HTTP/1.1 {status} x\r\nconnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    let _ = line.write_all(text.as_bytes()).await;
}

async fn read(line: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if line.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).ok()?;
    let mut rows = text.split("\r\n");
    let mut first = rows.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?);
    let header = |row: &str| {
        let (name, value) = row.split_once(": ")?;
        Some((name.to_ascii_lowercase(), value.to_owned()))
    };
    let headers: BTreeMap<_, _> = rows.filter_map(header).collect();
    let length = headers.get("content-length");
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    while bytes.len() < head + 4 + length {
        if line.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let url = reqwest::Url::parse(&format!("http://x{target}")).ok()?;
    let pairs = url.query_pairs();
    Some(Asked {
        method,
        path: url.path().to_owned(),
        query: pairs
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        headers,
        body: serde_json::from_slice(&bytes[head + 4..]).unwrap_or(Value::Null),
    })
}
