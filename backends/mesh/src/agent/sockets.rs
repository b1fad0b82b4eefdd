//! UDP sockets: for each worker one per address family, all on one port.
//!
//! The kernel spreads senders over the sockets of a port (SO_REUSEPORT), so that a worker hears
//! all of a peer. Knows nothing of what datagrams carry.

use crate::datagrams::{Datagrams, Endpoint};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// Bytes that may wait in a socket: bursts of several large packets while a worker is off the CPU.
const BUFFER_BYTES: usize = 7 << 20;
/// How often another port is tried if a free one for IPv4 is taken for IPv6.
const PORT_TRIES: usize = 10;
/// How long a full send buffer is waited for before datagrams are dropped.
const FULL_WAIT_MS: u16 = 50;

/// One socket.
pub(super) struct Udp {
    socket: Socket,
    /// Replaced after a refusal that says nothing about what the socket can do.
    state: RwLock<UdpSocketState>,
}

impl Udp {
    fn bind(address: SocketAddr, fwmark: u32, shared: bool) -> io::Result<Self> {
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // The first one binds alone, so that a port of somebody else's is refused, and shares
        // from then on.
        if shared {
            socket.set_reuse_port(true)?;
        }
        socket.bind(&address.into())?;
        socket.set_reuse_port(true)?;
        if fwmark != 0 {
            socket.set_mark(fwmark)?;
        }
        // Beyond the system's limit where we may, up to it elsewhere.
        if setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_BYTES).is_err() {
            socket.set_recv_buffer_size(BUFFER_BYTES)?;
        }
        if setsockopt(&socket, sockopt::SndBufForce, &BUFFER_BYTES).is_err() {
            socket.set_send_buffer_size(BUFFER_BYTES)?;
        }
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let state = RwLock::new(state);
        Ok(Self { socket, state })
    }

    fn state(&self) -> RwLockReadGuard<'_, UdpSocketState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what was concluded from errors. quinn-udp takes EINVAL for a kernel without
    /// segmentation offload; an address of ours that is gone says the same.
    fn renew(&self) -> io::Result<()> {
        let fresh = UdpSocketState::new(UdpSockRef::from(&self.socket))?;
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    pub(super) fn receive(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        about: &mut [RecvMeta],
    ) -> io::Result<usize> {
        self.state()
            .recv(UdpSockRef::from(&self.socket), buffers, about)
    }

    fn send(&self, to: Endpoint, bytes: &[u8], segment: usize) -> io::Result<()> {
        let state = self.state();
        let segments = state.max_gso_segments();
        for train in bytes.chunks(segment * segments) {
            let transmit = Transmit {
                destination: to.remote,
                ecn: None,
                contents: train,
                segment_size: (train.len() > segment).then_some(segment),
                src_ip: to.local,
            };
            let send = || state.try_send(UdpSockRef::from(&self.socket), &transmit);
            match send() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let full = PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT);
                    poll(&mut [full], PollTimeout::from(FULL_WAIT_MS))?;
                    send()?;
                }
                sent => sent?,
            }
        }
        Ok(())
    }
}

impl AsFd for Udp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The sockets of one worker.
pub(super) struct Pair {
    pub(super) v4: Udp,
    /// None on a host without IPv6.
    pub(super) v6: Option<Udp>,
}

impl Pair {
    /// Marks its datagrams for the host's routing.
    pub(super) fn mark(&self, fwmark: u32) -> io::Result<()> {
        self.v4.socket.set_mark(fwmark)?;
        self.v6
            .as_ref()
            .map_or(Ok(()), |v6| v6.socket.set_mark(fwmark))
    }

    /// Sends everything. Endpoints that cannot be sent to from the address their peer sent to are
    /// returned: that address is gone.
    pub(super) fn send(&self, out: &mut Datagrams) -> Vec<Endpoint> {
        let mut moved = Vec::new();
        for (to, bytes, segment) in out.trains() {
            let socket = match to.remote {
                SocketAddr::V4(_) => Some(&self.v4),
                SocketAddr::V6(_) => self.v6.as_ref(),
            };
            let Some(socket) = socket else {
                continue;
            };
            // What cannot be sent is lost, as on any network: sessions recover by themselves.
            if socket.send(to, bytes, segment).is_err() && to.local.is_some() {
                let anywhere = Endpoint { local: None, ..to };
                let _lost = socket
                    .renew()
                    .and_then(|()| socket.send(anywhere, bytes, segment));
                moved.push(to);
            }
        }
        out.clear();
        moved
    }
}

/// The sockets of all workers.
pub(super) struct SocketSet {
    pairs: Vec<Pair>,
    port: u16,
}

impl SocketSet {
    /// Listens on a port, 0 for any, with sockets for each worker.
    pub(super) fn bind(port: u16, fwmark: u32, workers: usize) -> io::Result<Self> {
        let mut tries = 0;
        loop {
            tries += 1;
            match Self::try_bind(port, fwmark, workers) {
                Err(error)
                    if port == 0
                        && error.kind() == io::ErrorKind::AddrInUse
                        && tries < PORT_TRIES => {}
                bound => return bound,
            }
        }
    }

    fn try_bind(port: u16, fwmark: u32, workers: usize) -> io::Result<Self> {
        let v4 = |port, shared| Udp::bind((Ipv4Addr::UNSPECIFIED, port).into(), fwmark, shared);
        let v6 = |port, shared| Udp::bind((Ipv6Addr::UNSPECIFIED, port).into(), fwmark, shared);
        let first = v4(port, false)?;
        let address = first.socket.local_addr()?.as_socket();
        let port = address.expect("an address of IPv4").port();
        let absent = |error: io::Error| {
            let none = [nix::libc::EAFNOSUPPORT, nix::libc::EADDRNOTAVAIL];
            match error.raw_os_error() {
                Some(errno) if none.contains(&errno) => Ok(None),
                Some(_) | None => Err(error),
            }
        };
        let mut pairs = vec![Pair {
            v4: first,
            v6: v6(port, false).map(Some).or_else(absent)?,
        }];
        for _ in 1..workers {
            let v6 = match pairs[0].v6 {
                Some(_) => Some(v6(port, true)?),
                None => None,
            };
            let v4 = v4(port, true)?;
            pairs.push(Pair { v4, v6 });
        }
        Ok(Self { pairs, port })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn workers(&self) -> usize {
        self.pairs.len()
    }

    pub(super) fn of(&self, worker: usize) -> &Pair {
        &self.pairs[worker]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    /// What the workers of a set hear: where from, and the bytes.
    fn hear(set: &SocketSet, len: usize) -> (usize, Vec<u8>) {
        let start = Instant::now();
        let mut heard = Vec::new();
        let mut at = set.workers();
        while heard.len() < len {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{} bytes",
                heard.len()
            );
            for worker in 0..set.workers() {
                let mut buffer = vec![0; 65_536];
                let mut about = [RecvMeta::default()];
                let mut buffers = [IoSliceMut::new(&mut buffer)];
                if set.of(worker).v4.receive(&mut buffers, &mut about).is_ok() {
                    heard.extend(&buffer[..about[0].len]);
                    at = worker;
                }
            }
        }
        (at, heard)
    }

    fn train(to: Endpoint) -> Datagrams {
        let mut out = Datagrams::default();
        for n in 0..40 {
            out.push(to, &[n; 1000]);
        }
        out
    }

    fn loopback(port: u16) -> Endpoint {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()
    }

    #[test]
    fn all_of_a_sender_is_heard_by_one_worker() {
        let (set, sender) = (
            SocketSet::bind(0, 0, 4).unwrap(),
            SocketSet::bind(0, 0, 1).unwrap(),
        );
        let workers = [(); 3].map(|()| {
            let mut out = train(loopback(set.port()));
            assert!(sender.of(0).send(&mut out).is_empty());
            assert_eq!(out.waiting(), 0);
            let (worker, heard) = hear(&set, 40_000);
            assert!(
                heard
                    .chunks(1000)
                    .enumerate()
                    .all(|(n, bytes)| bytes == [n as u8; 1000])
            );
            worker
        });
        assert!(
            workers.iter().all(|worker| *worker == workers[0]),
            "{workers:?}"
        );
    }

    #[test]
    fn a_port_of_somebody_else_is_refused() {
        let set = SocketSet::bind(0, 0, 2).unwrap();
        let refused = SocketSet::bind(set.port(), 0, 2).map(|_| ());
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn an_address_that_is_gone_costs_nothing_but_itself() {
        let (set, sender) = (
            SocketSet::bind(0, 0, 1).unwrap(),
            SocketSet::bind(0, 0, 1).unwrap(),
        );
        let segments = sender.of(0).v4.state().max_gso_segments();
        // Of a network for documentation (RFC 5737): nobody has it.
        let gone = Endpoint {
            local: Some([192, 0, 2, 1].into()),
            ..loopback(set.port())
        };
        assert_eq!(sender.of(0).send(&mut train(gone)), [gone]);
        assert_eq!(hear(&set, 40_000).1.len(), 40_000);
        assert_eq!(sender.of(0).v4.state().max_gso_segments(), segments);
    }
}
