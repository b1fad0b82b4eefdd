//! A load balancer as clients and checks see it: it takes connections, answers a request, and closes
//! at once where no backend is left, as HAProxy does for TCP.
//!
//! Its backends are no hosts: whether one is left is a switch that the play turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use turmoil::net::{TcpListener, TcpStream};

/// What a client sends.
pub(crate) const REQUEST: &[u8; 4] = b"ask\n";

/// What it gets.
pub(crate) const ANSWER: &[u8; 4] = b"yes\n";

/// Whether a role has a backend that is up.
pub(crate) type Live = Arc<AtomicBool>;

/// Stands on every port, for as long as the host does.
pub(crate) async fn stand(ports: Vec<(u16, Live)>) -> turmoil::Result {
    for (port, live) in ports {
        let listener = TcpListener::bind(("0.0.0.0", port)).await?;
        tokio::spawn(async move {
            loop {
                let Ok((line, _)) = listener.accept().await else {
                    continue;
                };
                if live.load(Ordering::Relaxed) {
                    tokio::spawn(serve(line));
                }
            }
        });
    }
    std::future::pending().await
}

async fn serve(mut line: TcpStream) {
    let mut request = [0; REQUEST.len()];
    // A check says nothing and goes.
    if line.read_exact(&mut request).await.is_ok() && &request == REQUEST {
        // Whoever has gone meanwhile needs no answer.
        let _ = line.write_all(ANSWER).await;
    }
}
