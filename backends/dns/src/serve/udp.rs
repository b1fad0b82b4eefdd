//! Queries over UDP: one socket, one task.

use super::shared::{Serving, Shared};
use crate::authority::handle;
use crate::limit::{Limiter, RateLimit};
use crate::message::Transport;
use crate::net::Datagrams;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};

/// Larger queries than this do not exist; what is cut off is malformed.
const QUERY_MAX: usize = 4_096;

/// Answers until the server ends, and then what has come by then.
pub(super) async fn answer(socket: impl Datagrams, shared: Arc<Shared>) {
    let mut worker = Worker {
        free: Limiter::new(
            RateLimit {
                per_second: 0,
                slip: 0,
            },
            0,
        ),
        shared: Arc::clone(&shared),
        packet: vec![0; QUERY_MAX],
    };
    let ended = shared.ended();
    tokio::pin!(ended);
    loop {
        tokio::select! {
            biased;
            () = &mut ended => {
                worker.drain(&socket, LAST);
                return;
            }
            // What can fail here is the runtime, not the network.
            ready = socket.readable() => if ready.is_err() { return },
        }
        worker.drain(&socket, BATCH);
        tokio::task::yield_now().await;
    }
}

/// Queries that are answered before others have their turn.
const BATCH: usize = 64;

/// Queries that are answered after the end was asked for: more than any buffer holds.
const LAST: usize = 100_000;

struct Worker {
    /// Of a server that limits nobody.
    free: Limiter,
    shared: Arc<Shared>,
    packet: Vec<u8>,
}

impl Worker {
    /// Answers what waits on the socket, at most so many.
    fn drain(&mut self, socket: &impl Datagrams, most: usize) {
        let serving = self.shared.serving();
        for _ in 0..most {
            match socket.try_recv_from(&mut self.packet) {
                Ok((length, from)) => self.one(socket, &serving, length, from),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP error about an answer of ours, say: the next packet is another one.
                Err(_) => {}
            }
        }
    }

    fn one(&mut self, socket: &impl Datagrams, serving: &Serving, length: usize, from: SocketAddr) {
        if from.port() == 0 {
            return;
        }
        let now = self.shared.now();
        let query = (Transport::Udp, &self.packet[..length]);
        let answer = match &serving.limiter {
            None => handle(&serving.view, &mut self.free, now, from, query),
            Some(limiter) => {
                let mut limiter = limiter.lock().unwrap_or_else(PoisonError::into_inner);
                handle(&serving.view, &mut limiter, now, from, query)
            }
        };
        self.shared.counters.udp(answer.as_deref());
        if let Some(answer) = answer {
            // A full buffer loses an answer, as the network may: clients ask again.
            let _ = socket.try_send_to(&answer, from);
        }
    }
}
