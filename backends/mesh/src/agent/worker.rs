//! One thread that carries packets both ways, from system call to system call, in batches.
//!
//! Knows neither keys nor peers, and makes no decision about a packet.

use super::Shared;
use super::interface::{self, Queue};
use super::sockets::{SocketSet, Udp};
use crate::datagrams::{Datagrams, Endpoint};
use crate::offload::{HEADER_BYTES, Offload};
use crate::packets::{FRAME_PIECES, Packets};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use quinn_udp::RecvMeta;
use std::io::{self, IoSlice, IoSliceMut, PipeReader, Read};
use std::os::fd::AsFd;
use std::sync::Arc;

/// Largest packet, and largest train of datagrams that the kernel hands over at once.
const LARGEST_BYTES: usize = 65_536;
/// Trains taken per system call.
const TRAINS: usize = 8;
/// Packets read from the interface before the network gets its turn.
const READS: usize = 64;
/// Encrypted bytes that are sent without waiting for more.
const SEND_BYTES: usize = 60_000;

pub(super) struct Worker<'a> {
    number: usize,
    queue: Queue,
    wake: PipeReader,
    shared: &'a Shared,
    sockets: Arc<SocketSet>,
    packet: Vec<u8>,
    trains: Vec<u8>,
    net: Datagrams,
    host: Packets,
}

/// What there is to do.
#[derive(Default)]
struct Ready {
    wake: bool,
    tun: bool,
    v4: bool,
    v6: bool,
}

impl<'a> Worker<'a> {
    pub(super) fn new(number: usize, queue: Queue, wake: PipeReader, shared: &'a Shared) -> Self {
        let host = Packets::new(queue.offload);
        Self {
            number,
            queue,
            wake,
            shared,
            sockets: shared.sockets(),
            packet: vec![0; HEADER_BYTES + LARGEST_BYTES],
            trains: vec![0; TRAINS * LARGEST_BYTES],
            net: Datagrams::default(),
            host,
        }
    }

    /// Carries packets until the other end of `wake` is closed.
    ///
    /// # Errors
    /// If the interface is gone.
    pub(super) fn run(mut self) -> io::Result<()> {
        loop {
            let ready = self.wait()?;
            if ready.wake {
                let mut bell = [0; 64];
                if self.wake.read(&mut bell)? == 0 {
                    return Ok(());
                }
                self.sockets = self.shared.sockets();
            }
            if ready.v4 || ready.v6 {
                let sockets = self.sockets.clone();
                let pair = sockets.of(self.number);
                let heard = [
                    ready.v4.then_some(&pair.v4),
                    pair.v6.as_ref().filter(|_| ready.v6),
                ];
                for udp in heard.into_iter().flatten() {
                    self.inbound(udp)?;
                }
            }
            if ready.tun {
                self.outbound()?;
            }
        }
    }

    fn wait(&self) -> io::Result<Ready> {
        let pair = self.sockets.of(self.number);
        let input = PollFlags::POLLIN;
        let v6 = pair.v6.as_ref().unwrap_or(&pair.v4);
        let mut fds = [
            PollFd::new(self.wake.as_fd(), input),
            PollFd::new(self.queue.tun.as_fd(), input),
            PollFd::new(pair.v4.as_fd(), input),
            PollFd::new(v6.as_fd(), input),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => return Ok(Ready::default()),
            Err(errno) => return Err(errno.into()),
        }
        let any = |at: usize| fds[at].any().unwrap_or(true);
        Ok(Ready {
            wake: any(0),
            tun: any(1),
            v4: any(2),
            v6: pair.v6.is_some() && any(3),
        })
    }

    /// Packets of the host: encrypt and send.
    fn outbound(&mut self) -> io::Result<()> {
        let now = self.shared.now();
        for _ in 0..READS {
            let len = match self.queue.tun.recv(&mut self.packet) {
                Ok(len) => len,
                Err(error) if interface::is_passing(&error) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let (offload, packet) = if self.queue.offload {
                let (header, packet) = self.packet[..len].split_at_mut(HEADER_BYTES.min(len));
                match Offload::read(header) {
                    Ok(offload) => (offload, packet),
                    // Of the kernel's making, and of no use to anybody.
                    Err(_) => continue,
                }
            } else {
                (Offload::None, &mut self.packet[..len])
            };
            let device = self.shared.device();
            let _dropped = device.outbound(packet, offload, &now, &mut self.net);
            drop(device);
            if self.net.waiting() >= SEND_BYTES {
                self.send();
            }
        }
        self.send();
        Ok(())
    }

    /// Datagrams of the network: decrypt and hand to the host.
    fn inbound(&mut self, udp: &Udp) -> io::Result<()> {
        let mut about = [RecvMeta::default(); TRAINS];
        let mut places = self.trains.chunks_mut(LARGEST_BYTES).map(IoSliceMut::new);
        let mut buffers: [_; TRAINS] =
            std::array::from_fn(|_| places.next().expect("a place for each train"));
        let count = match udp.receive(&mut buffers, &mut about) {
            Ok(count) => count,
            // Errors of earlier sends come back here, too: a port that nobody listens on.
            Err(_) => return Ok(()),
        };
        let now = self.shared.now();
        for (about, bytes) in about[..count].iter().zip(self.trains.chunks(LARGEST_BYTES)) {
            let from = Endpoint {
                remote: about.addr,
                local: about.dst_ip,
            };
            if about.len > 0 {
                let trains = (&bytes[..about.len], about.stride.max(1));
                let device = self.shared.device();
                device.inbound(trains, from, &now, &mut self.net, &mut self.host);
            }
        }
        self.send();
        self.write()
    }

    fn send(&mut self) {
        for moved in self.sockets.of(self.number).send(&mut self.net) {
            self.shared.device().forget_local(moved);
        }
    }

    fn write(&mut self) -> io::Result<()> {
        for frame in 0..self.host.frames() {
            let (header, pieces) = self.host.frame(frame);
            let mut slices = [IoSlice::new(&[]); FRAME_PIECES + 1];
            let mut used = 0;
            if self.queue.offload {
                slices[0] = IoSlice::new(&header);
                used = 1;
            }
            for piece in pieces {
                slices[used] = IoSlice::new(piece);
                used += 1;
            }
            match self.queue.tun.send_vectored(&slices[..used]) {
                Ok(_) => {}
                Err(error) if interface::is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        self.host.clear();
        Ok(())
    }
}
