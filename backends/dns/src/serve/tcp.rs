//! Queries over TCP: any number on one connection, answered in order (RFC 7766).

use super::shared::Shared;
use crate::message::{Transport, respond};
use crate::net::Listener;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Connections at once. Who comes later waits in the kernel's queue.
const CONNECTIONS: usize = 512;

/// How long a connection may be silent, or may not take an answer.
const IDLE: Duration = Duration::from_secs(10);

/// Answers until the server ends, and then what has begun.
pub(super) async fn answer<L>(listener: L, shared: Arc<Shared>)
where
    L: Listener<Line: AsyncRead + AsyncWrite + Unpin + Send + 'static>,
{
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let mut open = JoinSet::new();
    loop {
        let accepted = async {
            let permit = Arc::clone(&free).acquire_owned().await;
            let permit = permit.expect("nobody closes the semaphore");
            (listener.accept().await, permit)
        };
        tokio::select! {
            biased;
            () = shared.ended() => break,
            (accepted, permit) = accepted => match accepted {
                Ok((line, from)) => {
                    let shared = Arc::clone(&shared);
                    open.spawn(async move {
                        let _permit = permit;
                        // Whoever cuts the line, or says nothing, is done.
                        let _ = talk(line, from, &shared).await;
                    });
                }
                // Out of descriptors, say: others may end meanwhile.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        while open.try_join_next().is_some() {}
    }
    while open.join_next().await.is_some() {}
}

async fn talk<L>(mut line: L, from: SocketAddr, shared: &Shared) -> io::Result<()>
where
    L: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let mut length = [0; 2];
        tokio::select! {
            biased;
            () = shared.ended() => return Ok(()),
            read = timeout(IDLE, line.read_exact(&mut length)) => { read??; }
        }
        let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
        timeout(IDLE, line.read_exact(&mut packet)).await??;
        let serving = shared.serving();
        let answer = respond(&serving.view, &packet, Transport::Tcp, from);
        shared.counters.tcp(answer.as_deref());
        let Some(answer) = answer else {
            // Nothing will come on this line that is worth an answer.
            return Err(io::Error::other(format!("{from} does not speak DNS")));
        };
        let length = u16::try_from(answer.len()).expect("an answer fits into a message");
        let mut whole = Vec::with_capacity(answer.len() + 2);
        whole.extend(length.to_be_bytes());
        whole.extend(answer);
        timeout(IDLE, line.write_all(&whole)).await??;
    }
}
