//! A client that is as plain as can be: one request, one connection, whatever comes back.

use quorate_serve::Handle;
use serde_json::Value;
use std::io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    /// HTTP status.
    pub(crate) status: u16,
    /// Names in small letters.
    pub(crate) headers: Vec<(String, String)>,
    /// Null where there is none.
    pub(crate) body: Value,
}

impl Reply {
    /// A header's value; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map_or("", |(_, value)| value.as_str())
    }
}

/// Makes a request with a token; a connection that ends without an answer is an error.
pub(crate) async fn ask(to: &Handle, method: &str, path: &str, body: &Value) -> io::Result<Reply> {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let mut stream = TcpStream::connect(to.address()).await?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Authorization: Bearer token\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let text = String::from_utf8(bytes).map_err(io::Error::other)?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": "));
    Ok(Reply {
        status: status.ok_or(io::ErrorKind::InvalidData)?,
        headers: headers
            .map(|(n, v)| (n.to_lowercase(), v.to_owned()))
            .collect(),
        body: serde_json::from_str(body).unwrap_or_default(),
    })
}
