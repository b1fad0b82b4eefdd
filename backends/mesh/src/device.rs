//! The agent as a value: datagrams, packets, ticks and configuration in, datagrams and packets out.
//!
//! Knows no socket, no interface, no thread, and takes the time as an argument. One exception:
//! boringtun's tunnels read a clock (handshake timers) and entropy (ephemeral keys) of their own.
//! The methods of the data path take `&self` and lock one peer at a time, so that workers share a
//! device; configuring takes `&mut self`.

use crate::allowed::AllowedIps;
use crate::datagrams::{Datagrams, Endpoint};
use crate::keys::PrivateKey;
use crate::offload::{Malformed, Offload, split};
use crate::packets::Packets;
pub use crate::peer::Now;
use crate::peer::{Identity, Peer};
use crate::uapi::{Change, PeerChange, PeerView, View};
use boringtun::noise::handshake::parse_handshake_anon;
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Packet, Tunn, TunnResult};
use boringtun::x25519::PublicKey;
use quorate_engine::mesh::MeshKey;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};

/// Handshake messages per second from which on senders have to prove their address by a cookie.
/// An initiation counts twice: before its sender is known, and again in its tunnel.
const HANDSHAKES_PER_S: u64 = 200;
/// boringtun numbers sessions with 24 bits for the peer and 8 for the session.
const INDEX_BITS: u32 = 24;

struct Cell {
    key: MeshKey,
    peer: Mutex<Peer>,
}

impl Cell {
    fn lock(&self) -> MutexGuard<'_, Peer> {
        self.peer.lock().expect("no panic while a peer is held")
    }
}

/// A WireGuard device.
pub struct Device {
    private: Option<PrivateKey>,
    identity: Option<Identity>,
    peers: BTreeMap<MeshKey, Arc<Cell>>,
    by_index: HashMap<u32, Arc<Cell>>,
    allowed: AllowedIps<Arc<Cell>>,
    next_index: u32,
    listen_port: u16,
    fwmark: u32,
}

impl Device {
    /// A device without key and peers. `seed`: anything that differs from life to life, so that
    /// datagrams meant for an earlier one find no session.
    #[must_use]
    pub fn new(seed: u32) -> Self {
        Self {
            private: None,
            identity: None,
            peers: BTreeMap::new(),
            by_index: HashMap::new(),
            allowed: AllowedIps::default(),
            next_index: seed,
            listen_port: 0,
            fwmark: 0,
        }
    }

    /// A packet, or a large one that stands for many, from the host.
    ///
    /// # Errors
    /// If the packet contradicts its offload header. Nothing was sent then.
    pub fn outbound(
        &self,
        packet: &mut [u8],
        offload: Offload,
        now: &Now,
        out: &mut Datagrams,
    ) -> Result<(), Malformed> {
        let cell = destination(packet).and_then(|to| self.allowed.longest_match(to));
        let Some(cell) = cell else {
            return Ok(());
        };
        let mut peer = cell.lock();
        split(packet, offload, |segment| peer.seal(segment, now, out))
    }

    /// Datagrams from the network, all from one endpoint: each `stride` bytes long, the last one
    /// perhaps shorter.
    ///
    /// # Panics
    /// If `stride` is 0.
    pub fn inbound(
        &self,
        (bytes, stride): (&[u8], usize),
        from: Endpoint,
        now: &Now,
        net: &mut Datagrams,
        host: &mut Packets,
    ) {
        let mut held: Option<(u32, &Arc<Cell>, MutexGuard<'_, Peer>)> = None;
        // Neighbours mostly come from one source: each run of them is looked up once.
        let mut known: Option<(IpAddr, bool)> = None;
        for datagram in bytes.chunks(stride) {
            let Ok(packet) = Tunn::parse_incoming_packet(datagram) else {
                continue;
            };
            let index = match packet {
                Packet::HandshakeInit(_) => {
                    held = None;
                    self.initiation(datagram, from, now, net, host);
                    continue;
                }
                Packet::HandshakeResponse(message) => message.receiver_idx >> 8,
                Packet::PacketCookieReply(message) => message.receiver_idx >> 8,
                Packet::PacketData(message) => message.receiver_idx >> 8,
            };
            if held.as_ref().is_none_or(|(held, ..)| *held != index) {
                // Let go of one peer before another is taken: no two threads wait in a circle.
                drop(held.take());
                known = None;
                held = self
                    .by_index
                    .get(&index)
                    .map(|cell| (index, cell, cell.lock()));
            }
            if let Some((_, cell, peer)) = &mut held {
                let behind = |source| match known {
                    Some((address, behind)) if address == source => behind,
                    Some(_) | None => {
                        let behind = self.lies_behind(source, cell);
                        known = Some((source, behind));
                        behind
                    }
                };
                peer.open(datagram, from, now, behind, (net, host));
            }
        }
    }

    fn lies_behind(&self, source: IpAddr, cell: &Arc<Cell>) -> bool {
        let owner = self.allowed.longest_match(source);
        owner.is_some_and(|owner| Arc::ptr_eq(owner, cell))
    }

    /// Somebody wants a session. Cheap checks come before the two costly ones.
    fn initiation(
        &self,
        datagram: &[u8],
        from: Endpoint,
        now: &Now,
        net: &mut Datagrams,
        host: &mut Packets,
    ) {
        let Some(identity) = &self.identity else {
            return;
        };
        let mut cookie = [0; 64];
        let address = Some(from.remote.ip());
        let message = match identity
            .limiter
            .verify_packet(address, datagram, &mut cookie)
        {
            Ok(Packet::HandshakeInit(message)) => message,
            Ok(_) => unreachable!("it was parsed as an initiation"),
            Err(TunnResult::WriteToNetwork(cookie)) => return net.push(from, cookie),
            Err(_) => return,
        };
        let Ok(half) = parse_handshake_anon(&identity.secret, &identity.public, &message) else {
            return;
        };
        if let Some(cell) = self.peers.get(&MeshKey(half.peer_static_public)) {
            let behind = |source| self.lies_behind(source, cell);
            cell.lock().open(datagram, from, now, behind, (net, host));
        }
    }

    /// Whatever is due by time. Call it about four times per second.
    pub fn tick(&self, now: &Now, out: &mut Datagrams) {
        if let Some(identity) = &self.identity {
            identity.limiter.reset_count();
        }
        for cell in self.peers.values() {
            cell.lock().tick(now, out);
        }
    }

    /// Our address that peers at this endpoint saw us at is gone: they are answered from whichever
    /// the host's routes choose.
    pub fn forget_local(&self, endpoint: Endpoint) {
        for cell in self.peers.values() {
            let mut peer = cell.lock();
            if let Some(known) = peer.endpoint.as_mut().filter(|known| **known == endpoint) {
                known.local = None;
            }
        }
    }

    /// Carries out a change, all of it.
    pub fn configure(&mut self, change: &Change, now: &Now, out: &mut Datagrams) {
        if let Some(port) = change.listen_port {
            self.listen_port = port;
        }
        if let Some(fwmark) = change.fwmark {
            self.fwmark = fwmark;
        }
        if let Some(private) = &change.private_key {
            self.set_private(private.clone());
        }
        if change.replace_peers {
            self.remove_peers(|_| true);
        }
        for peer in &change.peers {
            self.configure_peer(peer, now, out);
        }
    }

    fn set_private(&mut self, private: Option<PrivateKey>) {
        if self.private == private {
            return;
        }
        self.identity = private.as_ref().map(|private| {
            let public = PublicKey::from(private.public().0);
            Identity {
                secret: private.secret().clone(),
                public,
                limiter: Arc::new(RateLimiter::new(&public, HANDSHAKES_PER_S)),
            }
        });
        // Nobody is their own peer.
        if let Some(own) = private.as_ref().map(PrivateKey::public) {
            self.remove_peers(|key| *key == own);
        }
        self.private = private;
        for cell in self.peers.values().cloned().collect::<Vec<_>>() {
            self.renew(&cell);
        }
    }

    /// A fresh tunnel under a fresh index.
    fn renew(&mut self, cell: &Arc<Cell>) {
        let index = self.draw_index();
        cell.lock().renew(self.identity.as_ref(), index);
        self.listen(cell, index);
    }

    /// The same for another preshared key: the session that stands goes on.
    fn succeed(&mut self, cell: &Arc<Cell>) {
        let index = self.draw_index();
        cell.lock().succeed(self.identity.as_ref(), index);
        self.listen(cell, index);
    }

    /// Datagrams for the index, and for what the peer still listens under, are the peer's.
    fn listen(&mut self, cell: &Arc<Cell>, index: u32) {
        let peer = cell.lock();
        self.by_index
            .retain(|index, held| !Arc::ptr_eq(held, cell) || peer.listens_under(*index));
        drop(peer);
        self.by_index.insert(index, cell.clone());
    }

    fn draw_index(&mut self) -> u32 {
        loop {
            self.next_index = self.next_index.wrapping_add(1) & ((1 << INDEX_BITS) - 1);
            if !self.by_index.contains_key(&self.next_index) {
                return self.next_index;
            }
        }
    }

    fn remove_peers(&mut self, gone: impl Fn(&MeshKey) -> bool) {
        self.peers.retain(|key, _| !gone(key));
        self.by_index.retain(|_, cell| !gone(&cell.key));
        self.allowed.retain(|cell| !gone(&cell.key));
    }

    fn configure_peer(&mut self, change: &PeerChange, now: &Now, out: &mut Datagrams) {
        if change.remove {
            return self.remove_peers(|key| *key == change.key);
        }
        let own = self.private.as_ref().map(PrivateKey::public);
        let known = self.peers.get(&change.key).cloned();
        if own == Some(change.key) || (known.is_none() && change.update_only) {
            return;
        }
        let fresh = known.is_none();
        let cell = known.unwrap_or_else(|| {
            let peer = Mutex::new(Peer::new(change.key));
            let key = change.key;
            Arc::new(Cell { key, peer })
        });
        self.peers.insert(change.key, cell.clone());
        let mut peer = cell.lock();
        let preshared = change.preshared_key.unwrap_or(peer.preshared);
        let outdated = preshared != peer.preshared;
        peer.preshared = preshared;
        if let Some(remote) = change.endpoint {
            peer.endpoint = Some(remote.into());
        }
        let asked = change.keepalive_s.unwrap_or(peer.keepalive_s);
        let switched_on = peer.keepalive_s == 0 && asked > 0;
        peer.keepalive_s = asked;
        drop(peer);
        if fresh {
            self.renew(&cell);
        } else if outdated {
            self.succeed(&cell);
        }
        self.allow(change, &cell);
        if switched_on {
            cell.lock().greet(now, out);
        }
    }

    fn allow(&mut self, change: &PeerChange, cell: &Arc<Cell>) {
        if change.replace_allowed {
            self.allowed.retain(|owner| !Arc::ptr_eq(owner, cell));
        }
        for (network, keep) in &change.allowed {
            if *keep {
                self.allowed.insert(*network, cell.clone());
            } else {
                self.allowed
                    .remove(*network, |owner| Arc::ptr_eq(owner, cell));
            }
        }
    }

    /// The port it listens on, as configured or as the host chose it.
    #[must_use]
    pub fn listen_port(&self) -> u16 {
        self.listen_port
    }

    /// The host listens on this port.
    pub fn set_listen_port(&mut self, port: u16) {
        self.listen_port = port;
    }

    /// Mark of its datagrams for the host's routing; 0 for none.
    #[must_use]
    pub fn fwmark(&self) -> u32 {
        self.fwmark
    }

    /// All there is to see of it, its private key included.
    #[must_use]
    pub fn view(&self) -> View {
        View {
            private_key: self.private.clone(),
            listen_port: self.listen_port,
            fwmark: self.fwmark,
            peers: self
                .peers
                .values()
                .map(|cell| self.peer_view(cell))
                .collect(),
        }
    }

    fn peer_view(&self, cell: &Arc<Cell>) -> PeerView {
        let peer = cell.lock();
        PeerView {
            key: cell.key,
            preshared_key: peer.preshared,
            endpoint: peer.endpoint.map(|endpoint| endpoint.remote),
            last_handshake: peer.last_handshake,
            rx_bytes: peer.rx_bytes,
            tx_bytes: peer.tx_bytes,
            keepalive_s: peer.keepalive_s,
            allowed: self.allowed.networks(|owner| Arc::ptr_eq(owner, cell)),
        }
    }
}

/// Where an IP packet goes to.
fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => {
            let address: [u8; 4] = packet.get(16..20)?.try_into().expect("four bytes");
            Some(Ipv4Addr::from(address).into())
        }
        6 => {
            let address: [u8; 16] = packet.get(24..40)?.try_into().expect("sixteen bytes");
            Some(Ipv6Addr::from(address).into())
        }
        _ => None,
    }
}
