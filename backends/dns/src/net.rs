//! The network under the name server: the kernel's, or one that a simulator gives.
//!
//! As much of sockets as the server uses, and no more. Time needs no seam: tokio's clock is virtual
//! where a simulator says so.

use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// Where sockets come from.
pub trait Net: Clone + Send + Sync + 'static {
    /// Its UDP sockets.
    type Datagrams: Datagrams;
    /// Its TCP listeners.
    type Listener: Listener<Line = Self::Line>;
    /// Its TCP connections.
    type Line: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Sockets on one address: one for TCP, several for UDP among which clients are spread. Port 0
    /// is any that is free, the same for all.
    ///
    /// # Errors
    /// An address that is taken, or is not ours.
    fn bind(
        &self,
        at: SocketAddr,
        workers: usize,
    ) -> impl Future<Output = io::Result<(Self::Listener, Vec<Self::Datagrams>)>> + Send;

    /// A connection.
    ///
    /// # Errors
    /// Nobody takes it.
    fn connect(&self, to: SocketAddr) -> impl Future<Output = io::Result<Self::Line>> + Send;
}

/// A UDP socket.
pub trait Datagrams: Send + Sync + 'static {
    /// Comes back when something may have come.
    ///
    /// # Errors
    /// The socket is of no use any more.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Takes what has come: its length, and from whom.
    ///
    /// # Errors
    /// `WouldBlock` where nothing has.
    fn try_recv_from(&self, packet: &mut [u8]) -> io::Result<(usize, SocketAddr)>;

    /// Sends, or does not.
    ///
    /// # Errors
    /// `WouldBlock` where there is no room.
    fn try_send_to(&self, packet: &[u8], to: SocketAddr) -> io::Result<usize>;
}

/// A TCP listener.
pub trait Listener: Send + Sync + 'static {
    /// What it gives.
    type Line;

    /// The next connection, which sends without delay, and from whom.
    ///
    /// # Errors
    /// There is none; the next one may be.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Line, SocketAddr)>> + Send;

    /// Where it listens.
    ///
    /// # Errors
    /// The socket is of no use any more.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// The network of the machine we run on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kernel;

impl Net for Kernel {
    type Datagrams = UdpSocket;
    type Listener = TcpListener;
    type Line = TcpStream;

    async fn bind(
        &self,
        at: SocketAddr,
        workers: usize,
    ) -> io::Result<(TcpListener, Vec<UdpSocket>)> {
        let (tcp, udp) = bound(at, workers)?;
        let udp = udp.into_iter().map(UdpSocket::from_std);
        Ok((TcpListener::from_std(tcp)?, udp.collect::<io::Result<_>>()?))
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(to).await
    }
}

impl Datagrams for UdpSocket {
    async fn readable(&self) -> io::Result<()> {
        Self::readable(self).await
    }

    fn try_recv_from(&self, packet: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        Self::try_recv_from(self, packet)
    }

    fn try_send_to(&self, packet: &[u8], to: SocketAddr) -> io::Result<usize> {
        Self::try_send_to(self, packet, to)
    }
}

impl Listener for TcpListener {
    type Line = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (line, from) = Self::accept(self).await?;
        line.set_nodelay(true)?;
        Ok((line, from))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}

/// Sockets on one address: one for TCP, several for UDP among which the kernel spreads clients.
fn bound(
    listen: SocketAddr,
    workers: usize,
) -> io::Result<(std::net::TcpListener, Vec<std::net::UdpSocket>)> {
    use socket2::{Domain, Socket, Type};
    let domain = Domain::for_address(listen);
    let open = |kind: Type, address: SocketAddr| {
        let socket = Socket::new(domain, kind, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        if kind == Type::STREAM {
            socket.set_reuse_address(true)?;
        } else {
            socket.set_reuse_port(true)?;
            // A burst of queries waits here while others are answered.
            let _ = socket.set_recv_buffer_size(4 << 20);
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        Ok::<_, io::Error>(socket)
    };
    let tcp = open(Type::STREAM, listen)?;
    tcp.listen(1_024)?;
    let tcp: std::net::TcpListener = tcp.into();
    let address = tcp.local_addr()?;
    // SO_REUSEPORT would let a second server of the same user in beside us, unnoticed: whoever has
    // the TCP port has the UDP port too.
    let udp = (0..workers).map(|_| open(Type::DGRAM, address).map(Into::into));
    Ok((tcp, udp.collect::<io::Result<_>>()?))
}
