//! The text by which `wg` and others configure a device: WireGuard's cross-platform userspace API
//! (<https://www.wireguard.com/xplatform/>).
//!
//! A request is lines of `key=value` up to an empty one. It is parsed whole before anything of it
//! is done: one mistake, and nothing happens. Knows no socket and does nothing itself.

use crate::keys::{PresharedKey, PrivateKey};
use ipnet::IpNet;
use quorate_engine::mesh::MeshKey;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

/// `EINVAL`: the request is wrong.
pub const ERRNO_INVALID: i32 = 22;
/// `E2BIG`: the request is longer than anybody's.
pub const ERRNO_TOO_LONG: i32 = 7;
/// `EIO`: the host refused, for a reason without a number.
pub const ERRNO_IO: i32 = 5;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Show everything.
    Get,
    /// Change something.
    Set(Change),
}

/// A change of a device: what is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Another key, or none any more.
    pub private_key: Option<Option<PrivateKey>>,
    /// UDP port to listen on; 0 for any.
    pub listen_port: Option<u16>,
    /// Mark of datagrams for the host's routing; 0 for none.
    pub fwmark: Option<u32>,
    /// All peers that there are go first.
    pub replace_peers: bool,
    /// Peers, in order.
    pub peers: Vec<PeerChange>,
}

/// A change of one peer: what is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerChange {
    /// Its public key.
    pub key: MeshKey,
    /// It goes.
    pub remove: bool,
    /// Nothing happens if there is no such peer.
    pub update_only: bool,
    /// A secret that both sides mix in, or none any more.
    pub preshared_key: Option<Option<PresharedKey>>,
    /// Where it is reached, until it shows up from elsewhere.
    pub endpoint: Option<SocketAddr>,
    /// Seconds without traffic after which an empty packet is sent; 0 for never.
    pub keepalive_s: Option<u16>,
    /// All networks behind it go first.
    pub replace_allowed: bool,
    /// Networks behind it: given to it, or (`false`) taken from it.
    pub allowed: Vec<(IpNet, bool)>,
}

impl PeerChange {
    /// A change that makes the peer exist and nothing more.
    #[must_use]
    pub fn of(key: MeshKey) -> Self {
        Self {
            key,
            remove: false,
            update_only: false,
            preshared_key: None,
            endpoint: None,
            keepalive_s: None,
            replace_allowed: false,
            allowed: Vec::new(),
        }
    }
}

/// What there is to see of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Its key.
    pub private_key: Option<PrivateKey>,
    /// UDP port it listens on.
    pub listen_port: u16,
    /// Mark of its datagrams; 0 for none.
    pub fwmark: u32,
    /// Its peers, in order of key.
    pub peers: Vec<PeerView>,
}

/// What there is to see of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerView {
    /// Its public key.
    pub key: MeshKey,
    /// The secret that both sides mix in.
    pub preshared_key: Option<PresharedKey>,
    /// Where it is reached.
    pub endpoint: Option<SocketAddr>,
    /// When the last handshake was done, since 1970.
    pub last_handshake: Option<Duration>,
    /// Bytes of datagrams received from it.
    pub rx_bytes: u64,
    /// Bytes of datagrams sent to it.
    pub tx_bytes: u64,
    /// Seconds without traffic after which an empty packet is sent; 0 for never.
    pub keepalive_s: u16,
    /// Networks behind it.
    pub allowed: Vec<IpNet>,
}

/// Why a request is not carried out. It never repeats a value: that may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// Neither `get=1` nor `set=1`.
    #[error("a request begins with get=1 or set=1")]
    Operation,
    /// Not `key=value`.
    #[error("line {0} is not key=value")]
    Line(usize),
    /// Nobody knows this key, or not in this place.
    #[error("line {0} has a key that does not belong there")]
    Key(usize),
    /// The value is not one of this key's.
    #[error("line {0}: `{1}` cannot have this value")]
    Value(usize, &'static str),
}

/// Parses a request: its lines, without the empty one that ends it.
///
/// # Errors
/// The first mistake in it.
pub fn parse(text: &str) -> Result<Request, Mistake> {
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    match lines.next() {
        Some((_, "get=1")) => match lines.next() {
            None => Ok(Request::Get),
            Some((at, _)) => Err(Mistake::Key(at)),
        },
        Some((_, "set=1")) => {
            let mut change = Change::default();
            for (at, line) in lines {
                let (key, value) = line.split_once('=').ok_or(Mistake::Line(at))?;
                match change.peers.last_mut() {
                    _ if key == "public_key" => {
                        let key = MeshKey(hex_key(at, "public_key", value)?);
                        change.peers.push(PeerChange::of(key));
                    }
                    Some(peer) => peer_line(peer, at, key, value)?,
                    None => device_line(&mut change, at, key, value)?,
                }
            }
            Ok(Request::Set(change))
        }
        _ => Err(Mistake::Operation),
    }
}

fn device_line(change: &mut Change, at: usize, key: &str, value: &str) -> Result<(), Mistake> {
    match key {
        "private_key" => {
            let bytes = hex_key(at, "private_key", value)?;
            let key = (bytes != [0; 32]).then(|| PrivateKey::from_bytes(bytes));
            change.private_key = Some(key);
        }
        "listen_port" => change.listen_port = Some(number(at, "listen_port", value)?),
        "fwmark" => {
            // `wg` writes it in decimal; hexadecimal is read too, as users write marks.
            let mark = match value.strip_prefix("0x") {
                Some(hex) => u32::from_str_radix(hex, 16).ok(),
                None => value.parse().ok(),
            };
            change.fwmark = Some(mark.ok_or(Mistake::Value(at, "fwmark"))?);
        }
        "replace_peers" => change.replace_peers = truth(at, "replace_peers", value)?,
        _ => return Err(Mistake::Key(at)),
    }
    Ok(())
}

fn peer_line(peer: &mut PeerChange, at: usize, key: &str, value: &str) -> Result<(), Mistake> {
    match key {
        "remove" => peer.remove = truth(at, "remove", value)?,
        "update_only" => peer.update_only = truth(at, "update_only", value)?,
        "preshared_key" => {
            let bytes = hex_key(at, "preshared_key", value)?;
            peer.preshared_key = Some((bytes != [0; 32]).then_some(PresharedKey(bytes)));
        }
        "endpoint" => {
            let endpoint = value.parse().map_err(|_| Mistake::Value(at, "endpoint"))?;
            peer.endpoint = Some(endpoint);
        }
        "persistent_keepalive_interval" => {
            peer.keepalive_s = Some(number(at, "persistent_keepalive_interval", value)?);
        }
        "replace_allowed_ips" => peer.replace_allowed = truth(at, "replace_allowed_ips", value)?,
        "allowed_ip" => {
            let (network, keep) = match value.strip_prefix('-') {
                Some(network) => (network, false),
                None => (value, true),
            };
            let network = network.parse::<IpNet>();
            let network = network.map_err(|_| Mistake::Value(at, "allowed_ip"))?;
            peer.allowed.push((network.trunc(), keep));
        }
        "protocol_version" if value == "1" => {}
        "protocol_version" => return Err(Mistake::Value(at, "protocol_version")),
        _ => return Err(Mistake::Key(at)),
    }
    Ok(())
}

fn truth(at: usize, key: &'static str, value: &str) -> Result<bool, Mistake> {
    if value == "true" {
        Ok(true)
    } else {
        Err(Mistake::Value(at, key))
    }
}

fn number(at: usize, key: &'static str, value: &str) -> Result<u16, Mistake> {
    value.parse().map_err(|_| Mistake::Value(at, key))
}

fn hex_key(at: usize, key: &'static str, value: &str) -> Result<[u8; 32], Mistake> {
    let wrong = Mistake::Value(at, key);
    let digits = value.as_bytes();
    if digits.len() != 64 {
        return Err(wrong);
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return Err(wrong);
        };
        *byte = (high << 4 | low) as u8;
    }
    Ok(bytes)
}

/// The answer to a change: 0, or the number of an error. Numbers of errors are written as negative
/// ones, as the kernel returns them and `wg` (`src/ipc-uapi.h`) expects them.
#[must_use]
pub fn answer(errno: i32) -> String {
    format!("errno={}\n\n", -errno)
}

impl View {
    /// The answer to [`Request::Get`]: everything, secrets included.
    #[must_use]
    pub fn answer(&self) -> String {
        let mut text = String::new();
        let mut line = |key: &str, value: &dyn std::fmt::Display| {
            writeln!(text, "{key}={value}").expect("a string takes all");
        };
        if let Some(key) = &self.private_key {
            line("private_key", &hex(&key.secret_bytes()));
        }
        line("listen_port", &self.listen_port);
        if self.fwmark != 0 {
            line("fwmark", &self.fwmark);
        }
        for peer in &self.peers {
            line("public_key", &hex(&peer.key.0));
            line(
                "preshared_key",
                &hex(&peer.preshared_key.map_or([0; 32], |key| key.0)),
            );
            line("protocol_version", &1);
            if let Some(endpoint) = peer.endpoint {
                line("endpoint", &endpoint);
            }
            let handshake = peer.last_handshake.unwrap_or_default();
            line("last_handshake_time_sec", &handshake.as_secs());
            line("last_handshake_time_nsec", &handshake.subsec_nanos());
            line("tx_bytes", &peer.tx_bytes);
            line("rx_bytes", &peer.rx_bytes);
            line("persistent_keepalive_interval", &peer.keepalive_s);
            for network in &peer.allowed {
                line("allowed_ip", network);
            }
        }
        text + &answer(0)
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
