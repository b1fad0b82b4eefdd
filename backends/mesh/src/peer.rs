//! One peer: its tunnel, where it is reached, and what is counted of it.
//!
//! The tunnel's states and timers are boringtun's ([`Tunn`]), which reads a clock of its own. What
//! boringtun leaves to its host is here: roaming, keepalive that outlives a peer's absence, when
//! the last handshake was, and that a session outlives a change of the preshared key. Does not know
//! which addresses lie behind the peer.

use crate::datagrams::{Datagrams, Endpoint};
use crate::keys::PresharedKey;
use crate::packets::Packets;
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Packet, Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use quorate_engine::mesh::MeshKey;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Bytes that encryption adds to a packet: type, receiver, counter and tag.
pub(crate) const OVERHEAD_BYTES: usize = 32;
/// The longest message of the protocol but data: a handshake's initiation.
const MESSAGE_BYTES: usize = 148;
const INITIATION: u8 = 1;
const RESPONSE: u8 = 2;
const COOKIE_REPLY: u8 = 3;
const DATA: u8 = 4;
/// Data came and nothing left since: an empty packet is due (whitepaper, section 6.5).
const PASSIVE_KEEPALIVE: Duration = Duration::from_secs(10);
/// Data left and nothing came since: a handshake is due. The 10 s in which the peer owes an answer,
/// and 5 s for the answer to a handshake (whitepaper, section 6.1 and 6.5).
const SILENCE: Duration = Duration::from_secs(15);

/// The two clocks of a device's host.
#[derive(Debug, Clone, Copy, Default)]
pub struct Now {
    /// Since any fixed start; never goes back.
    pub steady: Duration,
    /// Since 1970, UTC; may be set.
    pub wall: Duration,
}

/// What every tunnel of a device shares.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) secret: StaticSecret,
    pub(crate) public: PublicKey,
    pub(crate) limiter: Arc<RateLimiter>,
}

/// The tunnel from before the preshared key changed. A preshared key counts at handshakes only:
/// until the first one with the new key has succeeded, data goes by the session that stands. All
/// handshakes are the new tunnel's.
struct Former {
    index: u32,
    tunnel: Tunn,
}

pub(crate) struct Peer {
    key: MeshKey,
    /// Under which the other side names our tunnel.
    index: u32,
    tunnel: Option<Tunn>,
    former: Option<Former>,
    pub(crate) preshared: Option<PresharedKey>,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) keepalive_s: u16,
    pub(crate) rx_bytes: u64,
    pub(crate) tx_bytes: u64,
    pub(crate) last_handshake: Option<Duration>,
    /// The session we answered an initiation with: done once the peer uses it.
    unconfirmed: Option<u32>,
    /// When something authenticated last passed, either way.
    last_passed: Duration,
    /// When the first data left that nothing came after. boringtun compares times that it takes
    /// only at each tick: to it, what passes between two ticks has no order.
    unanswered: Option<Duration>,
    /// When the first data came that nothing left after.
    owed: Option<Duration>,
}

impl Peer {
    pub(crate) fn new(key: MeshKey) -> Self {
        Self {
            key,
            index: 0,
            tunnel: None,
            former: None,
            preshared: None,
            endpoint: None,
            keepalive_s: 0,
            rx_bytes: 0,
            tx_bytes: 0,
            last_handshake: None,
            unconfirmed: None,
            last_passed: Duration::ZERO,
            unanswered: None,
            owed: None,
        }
    }

    /// A fresh tunnel under `index`, or none while the device has no key. Sessions are lost.
    pub(crate) fn renew(&mut self, identity: Option<&Identity>, index: u32) {
        (self.unconfirmed, self.unanswered, self.owed) = (None, None, None);
        self.former = None;
        self.begin(identity, index);
    }

    /// As [`Self::renew`], but a session that stands is used until there is a new one.
    pub(crate) fn succeed(&mut self, identity: Option<&Identity>, index: u32) {
        let stands = |tunnel: &Tunn| tunnel.time_since_last_handshake().is_some();
        if let Some(tunnel) = self.tunnel.take_if(|tunnel| stands(tunnel)) {
            let index = self.index;
            self.former = Some(Former { index, tunnel });
        }
        self.begin(identity, index);
    }

    /// Whether a datagram for this index may be for a tunnel of ours.
    pub(crate) fn listens_under(&self, index: u32) -> bool {
        let former = self.former.as_ref();
        self.index == index || former.is_some_and(|former| former.index == index)
    }

    fn begin(&mut self, identity: Option<&Identity>, index: u32) {
        self.index = index;
        self.tunnel = identity.map(|identity| {
            let public = PublicKey::from(self.key.0);
            let secret = identity.secret.clone();
            let limiter = Some(identity.limiter.clone());
            let preshared = self.preshared.map(|key| key.0);
            Tunn::new(secret, public, preshared, None, index, limiter)
        });
    }

    /// The tunnel by which data leaves.
    fn carrier(&mut self) -> Option<&mut Tunn> {
        let stands = |former: &Former| former.tunnel.time_since_last_handshake().is_some();
        self.former = self.former.take().filter(stands);
        match &mut self.former {
            Some(former) => Some(&mut former.tunnel),
            None => self.tunnel.as_mut(),
        }
    }

    /// Encrypts a packet, or, without a session, keeps it and asks for one.
    pub(crate) fn seal(&mut self, packet: &[u8], now: &Now, out: &mut Datagrams) {
        let to = self.endpoint;
        let (Some(tunnel), Some(to)) = (self.carrier(), to) else {
            return;
        };
        let room = out.room((packet.len() + OVERHEAD_BYTES).max(MESSAGE_BYTES));
        if let TunnResult::WriteToNetwork(datagram) = tunnel.encapsulate(packet, room) {
            let (kind, len) = (datagram[0], datagram.len());
            self.expect_answer(kind, len, now);
            self.sent(to, len, now, out);
        }
    }

    /// A message of this type and length leaves: if there is a packet in it, the peer has to be
    /// heard of.
    fn expect_answer(&mut self, kind: u8, len: usize, now: &Now) {
        if kind == DATA && len > OVERHEAD_BYTES {
            self.unanswered.get_or_insert(now.steady);
        }
    }

    /// The first `len` bytes of the room leave.
    fn sent(&mut self, to: Endpoint, len: usize, now: &Now, out: &mut Datagrams) {
        self.tx_bytes += len as u64;
        self.last_passed = now.steady;
        self.owed = None;
        out.commit(to, len);
    }

    /// Takes a datagram whose receiver index, or whose initiator's key, is this peer's. A packet
    /// in it goes to the host if `behind` says that its source address is the peer's.
    pub(crate) fn open(
        &mut self,
        datagram: &[u8],
        from: Endpoint,
        now: &Now,
        mut behind: impl FnMut(IpAddr) -> bool,
        out: (&mut Datagrams, &mut Packets),
    ) {
        let (net, host) = out;
        let mut former = self.former.as_mut();
        former = former.filter(|former| receiver(datagram) == Some(former.index));
        let by_former = former.is_some();
        let tunnel = match former {
            Some(former) => Some(&mut former.tunnel),
            None => self.tunnel.as_mut(),
        };
        let Some(tunnel) = tunnel else {
            return;
        };
        let room = host.room(datagram.len().max(MESSAGE_BYTES));
        let (mut reply, mut flush, mut data) = (None, false, false);
        match tunnel.decapsulate(Some(from.remote.ip()), datagram, room) {
            TunnResult::Err(_) => return,
            TunnResult::Done => flush = true,
            TunnResult::WriteToNetwork(message) => {
                net.push(from, message);
                self.tx_bytes += message.len() as u64;
                if message[0] == COOKIE_REPLY {
                    // Under load: the sender has proven nothing yet.
                    return;
                }
                self.owed = None;
                flush = true;
                reply = message[4..8].try_into().ok().map(u32::from_le_bytes);
            }
            TunnResult::WriteToTunnelV4(packet, source) => {
                let len = packet.len();
                data = true;
                if behind(source.into()) {
                    host.commit(len);
                }
            }
            TunnResult::WriteToTunnelV6(packet, source) => {
                let len = packet.len();
                data = true;
                if behind(source.into()) {
                    host.commit(len);
                }
            }
        }
        self.authenticated(datagram, reply, from, now);
        if data {
            self.owed.get_or_insert(now.steady);
        }
        if by_former {
            // It only had a session to give: what waits, waits for the new tunnel.
            return;
        }
        if matches!(datagram[0], RESPONSE | DATA) {
            // Both hold the new preshared key.
            self.former = None;
        }
        if flush {
            self.flush(from, now, net);
        }
    }

    /// What a datagram that was truly the peer's says about it.
    fn authenticated(&mut self, datagram: &[u8], reply: Option<u32>, from: Endpoint, now: &Now) {
        self.rx_bytes += datagram.len() as u64;
        match Tunn::parse_incoming_packet(datagram).expect("it was parsed before") {
            Packet::PacketCookieReply(_) => return,
            // Our response names the new session; the peer has to use it.
            Packet::HandshakeInit(_) => self.unconfirmed = reply,
            Packet::HandshakeResponse(_) => self.last_handshake = Some(now.wall),
            Packet::PacketData(data) => {
                if self.unconfirmed == Some(data.receiver_idx) {
                    self.unconfirmed = None;
                    self.last_handshake = Some(now.wall);
                }
            }
        }
        self.last_passed = now.steady;
        self.unanswered = None;
        self.endpoint = Some(from);
    }

    /// Sends what waited for a session.
    fn flush(&mut self, to: Endpoint, now: &Now, net: &mut Datagrams) {
        loop {
            let tunnel = self.tunnel.as_mut().expect("a tunnel that just answered");
            // The longest packet, for what waits was read from the interface.
            let room = net.room(usize::from(u16::MAX) + OVERHEAD_BYTES);
            let TunnResult::WriteToNetwork(datagram) = tunnel.decapsulate(None, &[], room) else {
                return;
            };
            let (kind, len) = (datagram[0], datagram.len());
            self.expect_answer(kind, len, now);
            self.sent(to, len, now, net);
        }
    }

    /// Rekeys, retries, keeps alive: whatever is due. Call it a few times per second.
    pub(crate) fn tick(&mut self, now: &Now, out: &mut Datagrams) {
        let Some(tunnel) = &mut self.tunnel else {
            return;
        };
        // Also without an endpoint: boringtun learns only here how late it is.
        let mut due = match tunnel.update_timers(out.room(MESSAGE_BYTES)) {
            TunnResult::WriteToNetwork(message) => Some(message.len()),
            // No answer for 90 s, or no session for 540 s: boringtun rests until there is a packet.
            // A peer to be kept alive is asked for again below.
            TunnResult::Err(_)
            | TunnResult::Done
            | TunnResult::WriteToTunnelV4(..)
            | TunnResult::WriteToTunnelV6(..) => None,
        };
        if due.is_none()
            && let Some(former) = &mut self.former
        {
            due = match former.tunnel.update_timers(out.room(MESSAGE_BYTES)) {
                // The next session is to stand on the new preshared key.
                TunnResult::WriteToNetwork(message) if message[0] == INITIATION => {
                    length(tunnel.format_handshake_initiation(out.room(MESSAGE_BYTES), false))
                }
                other => length(other),
            };
        }
        let Some(to) = self.endpoint else {
            return;
        };
        let since = |at: Option<Duration>| at.map(|at| now.steady.saturating_sub(at));
        if due.is_none() && since(self.unanswered) >= Some(SILENCE) {
            self.unanswered = None;
            due = length(tunnel.format_handshake_initiation(out.room(MESSAGE_BYTES), false));
        }
        let interval = Duration::from_secs(self.keepalive_s.into());
        let idle = now.steady.saturating_sub(self.last_passed);
        let asked = self.keepalive_s > 0 && idle >= interval;
        if due.is_none() && (asked || since(self.owed) >= Some(PASSIVE_KEEPALIVE)) {
            let tunnel = self.carrier().expect("there is one");
            due = keep_alive(tunnel, out.room(MESSAGE_BYTES));
        }
        if let Some(len) = due {
            self.sent(to, len, now, out);
        }
    }

    /// Keepalive, as soon as it is switched on: opens the way back through a NAT.
    pub(crate) fn greet(&mut self, now: &Now, out: &mut Datagrams) {
        let to = self.endpoint;
        let (Some(tunnel), Some(to)) = (self.carrier(), to) else {
            return;
        };
        if let Some(len) = keep_alive(tunnel, out.room(MESSAGE_BYTES)) {
            self.sent(to, len, now, out);
        }
    }
}

fn keep_alive(tunnel: &mut Tunn, room: &mut [u8]) -> Option<usize> {
    length(if tunnel.time_since_last_handshake().is_some() {
        tunnel.encapsulate(&[], room)
    } else {
        // Empty packets would only fill the queue.
        tunnel.format_handshake_initiation(room, false)
    })
}

/// Which of our tunnels a datagram names; an initiation names none.
fn receiver(datagram: &[u8]) -> Option<u32> {
    let index = match Tunn::parse_incoming_packet(datagram).ok()? {
        Packet::HandshakeInit(_) => return None,
        Packet::HandshakeResponse(message) => message.receiver_idx,
        Packet::PacketCookieReply(message) => message.receiver_idx,
        Packet::PacketData(message) => message.receiver_idx,
    };
    Some(index >> 8)
}

/// How long a message to the network is, if there is one.
fn length(message: TunnResult<'_>) -> Option<usize> {
    match message {
        TunnResult::WriteToNetwork(message) => Some(message.len()),
        TunnResult::Done
        | TunnResult::Err(_)
        | TunnResult::WriteToTunnelV4(..)
        | TunnResult::WriteToTunnelV6(..) => None,
    }
}
