//! turmoil's sockets under the name server, in the place of the kernel's.
//!
//! Knows nothing of names. Addresses are those of the host that the code runs on.

use quorate_dns::net::{Datagrams, Listener, Net};
use std::io;
use std::net::SocketAddr;
use turmoil::net::{TcpListener, TcpStream, UdpSocket};

/// The simulated network, seen from the host that asks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wire;

/// A simulated UDP socket.
pub struct Udp(UdpSocket);

/// A simulated TCP listener.
pub struct Tcp(TcpListener);

impl Net for Wire {
    type Datagrams = Udp;
    type Listener = Tcp;
    type Line = TcpStream;

    async fn bind(&self, at: SocketAddr, _workers: usize) -> io::Result<(Tcp, Vec<Udp>)> {
        let listener = TcpListener::bind(at).await?;
        // One socket: there is one thread, and no kernel to spread clients.
        let socket = UdpSocket::bind(listener.local_addr()?).await?;
        Ok((Tcp(listener), vec![Udp(socket)]))
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(to).await
    }
}

impl Datagrams for Udp {
    async fn readable(&self) -> io::Result<()> {
        self.0.readable().await
    }

    fn try_recv_from(&self, packet: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.try_recv_from(packet)
    }

    fn try_send_to(&self, packet: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.0.try_send_to(packet, to)
    }
}

impl Listener for Tcp {
    type Line = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.accept().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
