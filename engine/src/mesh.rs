//! The mesh: what is known of each peer, and which tunnels a peer has because of it.
//!
//! A pure function of facts. Knows neither WireGuard's packets nor how a machine is configured.

use crate::random::{hash_name, mix};
use crate::resource::{ResourceId, Spec};
use crate::seam::Key;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::str::FromStr;

/// A WireGuard public key (Curve25519). As text: base64, 44 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeshKey(pub [u8; 32]);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl MeshKey {
    /// A key that nobody holds the private half of, for simulated machines.
    #[must_use]
    pub fn simulated(machine: &ResourceId, key: Key) -> Self {
        let mut bytes = [0; 32];
        let mut word = mix(machine.number() ^ key.0);
        for chunk in bytes.chunks_exact_mut(8) {
            word = mix(word);
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        Self(bytes)
    }
}

impl fmt::Display for MeshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(44);
        for chunk in self.0.chunks(3) {
            let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for place in 0..4 {
                let digit = (bits >> (18 - 6 * place)) & 63;
                let padding = place > chunk.len();
                text.push(if padding {
                    '='
                } else {
                    char::from(ALPHABET[digit as usize])
                });
            }
        }
        f.pad(&text)
    }
}

impl fmt::Debug for MeshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MeshKey({self})")
    }
}

/// Not a WireGuard key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a WireGuard key: 44 characters of base64 are expected")]
pub struct NotAKey(String);

impl FromStr for MeshKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let wrong = || NotAKey(text.to_owned());
        let digits = text.strip_suffix('=').ok_or_else(wrong)?.as_bytes();
        if digits.len() != 43 {
            return Err(wrong());
        }
        let (mut bytes, mut bits, mut held) = (Vec::with_capacity(32), 0u32, 0u32);
        for digit in digits {
            let value = ALPHABET.iter().position(|c| c == digit).ok_or_else(wrong)?;
            bits = bits << 6 | value as u32;
            held += 6;
            if held >= 8 {
                held -= 8;
                bytes.push((bits >> held) as u8);
                bits &= (1 << held) - 1;
            }
        }
        // The last digit carries two bits that belong to no byte.
        if bits != 0 {
            return Err(wrong());
        }
        bytes.try_into().map(Self).map_err(|_| wrong())
    }
}

impl Serialize for MeshKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MeshKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What is known of one peer: enough for every other one to reach it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerFact {
    /// Its machine.
    pub machine: ResourceId,
    /// Its public key.
    pub key: MeshKey,
    /// Its mesh address, for life.
    pub address: Ipv4Addr,
    /// UDP port it listens on.
    pub port: u16,
    /// Peers of the same underlay reach each other at their private addresses: the provider's
    /// network in one region, or the provider's name for hosts of one's own.
    pub underlay: String,
    /// Nobody can dial in from outside the underlay.
    pub dial_out: bool,
    /// Where the world reaches it: on its interface, or 1:1 NAT in front of it.
    pub public: Option<Ipv4Addr>,
    /// Its address in the underlay.
    pub private: Option<Ipv4Addr>,
    /// Addresses of pods on it, which the others reach through it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<Ipv4Net>,
}

/// Where a machine is reached: by the world, and by its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    /// See [`PeerFact::public`].
    pub public: Option<Ipv4Addr>,
    /// See [`PeerFact::private`].
    pub private: Option<Ipv4Addr>,
}

impl PeerFact {
    /// A peer that was made to this spec; none where the spec is not one of [`Spec::Peer`].
    #[must_use]
    pub fn new(machine: &ResourceId, spec: &Spec, key: MeshKey, reach: Reach) -> Option<Self> {
        let Spec::Peer {
            address,
            port,
            mtu: _,
            underlay,
            dial_out,
            pods,
        } = spec
        else {
            return None;
        };
        Some(Self {
            machine: machine.clone(),
            key,
            address: *address,
            port: *port,
            underlay: underlay.clone(),
            dial_out: *dial_out,
            public: reach.public,
            private: reach.private,
            pods: *pods,
        })
    }

    fn fingerprint(&self) -> u64 {
        hash_name(&serde_json::to_string(self).expect("a fact is plain data"))
    }

    /// What lies behind it.
    fn networks(&self) -> impl Iterator<Item = Ipv4Net> {
        std::iter::once(Ipv4Net::from(self.address)).chain(self.pods)
    }

    /// Where a peer of `from` reaches it first; none if it has to be the one who dials.
    fn endpoint(&self, from: &Self) -> Option<SocketAddrV4> {
        let near = (self.underlay == from.underlay)
            .then_some(self.private)
            .flatten();
        let far = self.public.filter(|_| !self.dial_out);
        let address = near.or(far)?;
        Some(SocketAddrV4::new(address, self.port))
    }
}

/// Everything that is known of the mesh, by machine.
pub type Table = BTreeMap<ResourceId, PeerFact>;

/// A number that is equal exactly where the tables are.
#[must_use]
pub fn table_print(table: &Table) -> u64 {
    let prints = table.values().map(PeerFact::fingerprint);
    prints.fold(mix(table.len() as u64), |hash, print| mix(hash ^ print))
}

/// A table from its facts.
#[must_use]
pub fn table_of(peers: &[PeerFact]) -> Table {
    let pairs = peers
        .iter()
        .map(|peer| (peer.machine.clone(), peer.clone()));
    pairs.collect()
}

/// What the tunnels of one peer come from: its spec's fingerprint, and the whole table's print.
#[must_use]
pub fn links_print(spec: u64, table: u64, machine: &ResourceId) -> u64 {
    mix(spec ^ mix(table ^ machine.number()))
}

/// One tunnel of a peer, in WireGuard's own terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunnel {
    /// To whom.
    pub machine: ResourceId,
    /// The other side's public key.
    pub key: MeshKey,
    /// Where to dial; none if the other side dials.
    pub endpoint: Option<SocketAddrV4>,
    /// Keep the way back open: this side sits behind a NAT that forgets.
    pub keepalive: bool,
    /// Addresses behind it: its own, and those that only it can reach.
    pub allowed: Vec<Ipv4Net>,
}

/// The tunnels of `me`: one to every peer that it can dial or that can dial it. Two that can only
/// dial out reach each other through a hub: the first peer of the table, in order of machine, that
/// both can dial, each pair its own so that no single machine carries them all.
///
/// # Panics
/// If `me` is not in the table.
#[must_use]
pub fn tunnels(me: &ResourceId, table: &Table) -> Vec<Tunnel> {
    let own = table.get(me).unwrap_or_else(|| panic!("{me} is a peer"));
    let mut tunnels: BTreeMap<&ResourceId, Tunnel> = BTreeMap::new();
    let mut apart = Vec::new();
    for peer in table.values().filter(|peer| peer.machine != *me) {
        let endpoint = peer.endpoint(own);
        if endpoint.is_none() && own.endpoint(peer).is_none() {
            apart.push(peer);
            continue;
        }
        let tunnel = Tunnel {
            machine: peer.machine.clone(),
            key: peer.key,
            endpoint,
            keepalive: own.dial_out && peer.underlay != own.underlay,
            allowed: peer.networks().collect(),
        };
        tunnels.insert(&peer.machine, tunnel);
    }
    for peer in apart {
        let Some(hub) = hub(own, peer, table) else {
            continue;
        };
        let tunnel = tunnels
            .get_mut(&hub.machine)
            .expect("a hub is dialled by both");
        tunnel.allowed.extend(peer.networks());
    }
    tunnels.into_values().collect()
}

/// Through whom two peers reach each other that cannot dial one another: equal from both sides.
fn hub<'a>(a: &PeerFact, b: &PeerFact, table: &'a Table) -> Option<&'a PeerFact> {
    let able = |peer: &&PeerFact| peer.endpoint(a).is_some() && peer.endpoint(b).is_some();
    let able: Vec<_> = table.values().filter(able).collect();
    let pair = mix(a.machine.number() ^ b.machine.number());
    let count = able.len() as u64;
    able.get((pair % count.max(1)) as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8, underlay: &str, dial_out: bool) -> PeerFact {
        PeerFact {
            machine: ResourceId::new(format!("shop/w/{n}")),
            key: MeshKey([n; 32]),
            address: Ipv4Addr::new(10, 88, 0, n),
            port: 51820,
            underlay: underlay.to_owned(),
            dial_out,
            public: Some(Ipv4Addr::new(192, 0, 2, n)),
            private: Some(Ipv4Addr::new(10, 0, 0, n)),
            pods: None,
        }
    }

    fn shown(me: u8, table: &Table) -> Vec<String> {
        let me = ResourceId::new(format!("shop/w/{me}"));
        let show = |tunnel: Tunnel| {
            let endpoint = tunnel.endpoint.map_or("-".to_owned(), |at| at.to_string());
            let allowed: Vec<_> = tunnel
                .allowed
                .iter()
                .map(|n| n.addr().to_string())
                .collect();
            let keep = if tunnel.keepalive { " keepalive" } else { "" };
            format!("{} {endpoint} {}{keep}", tunnel.machine, allowed.join(","))
        };
        tunnels(&me, table).into_iter().map(show).collect()
    }

    #[test]
    fn a_key_is_text_and_back() {
        let key = MeshKey(std::array::from_fn(|n| (n * 37) as u8));
        let text = key.to_string();
        assert_eq!(text.len(), 44);
        assert_eq!(text.parse(), Ok(key));
        // RFC 4648: 32 zero bytes.
        assert_eq!(MeshKey([0; 32]).to_string(), "A".repeat(43) + "=");
        for wrong in ["", "AAAA", &"A".repeat(44), &("A".repeat(42) + "B=")] {
            assert!(wrong.parse::<MeshKey>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn neighbours_meet_on_the_private_network_and_others_in_public() {
        let table = table_of(&[
            peer(1, "a", false),
            peer(2, "a", false),
            peer(3, "b", false),
        ]);
        assert_eq!(
            shown(1, &table),
            [
                "shop/w/2 10.0.0.2:51820 10.88.0.2",
                "shop/w/3 192.0.2.3:51820 10.88.0.3"
            ]
        );
    }

    #[test]
    fn who_cannot_be_dialled_dials_and_keeps_the_way_open() {
        let table = table_of(&[peer(1, "a", false), peer(2, "b", true)]);
        assert_eq!(shown(1, &table), ["shop/w/2 - 10.88.0.2"]);
        assert_eq!(
            shown(2, &table),
            ["shop/w/1 192.0.2.1:51820 10.88.0.1 keepalive"]
        );
    }

    #[test]
    fn two_behind_nat_meet_at_a_hub_that_both_agree_on() {
        let table = table_of(&[
            peer(1, "a", true),
            peer(2, "b", true),
            peer(3, "c", false),
            peer(4, "d", false),
        ]);
        let through = |me: u8, other: &str| {
            let carries = |line: &String| line.contains(&format!(",{other}"));
            let line = shown(me, &table).into_iter().find(carries);
            line.expect("a hub carries it")
                .split(' ')
                .next()
                .map(str::to_owned)
        };
        assert_eq!(through(1, "10.88.0.2"), through(2, "10.88.0.1"));
    }

    #[test]
    fn without_a_hub_two_behind_nat_stay_apart() {
        let table = table_of(&[peer(1, "a", true), peer(2, "b", true)]);
        assert!(shown(1, &table).is_empty());
    }

    #[test]
    fn a_table_is_known_by_its_print() {
        let before = table_of(&[peer(1, "a", false), peer(2, "b", false)]);
        let mut after = before.clone();
        assert_eq!(table_print(&before), table_print(&after));
        after.get_mut(&ResourceId::new("shop/w/2")).unwrap().key = MeshKey([9; 32]);
        assert_ne!(table_print(&before), table_print(&after));
        let [a, b] = [1, 2].map(|n| ResourceId::new(format!("shop/w/{n}")));
        assert_ne!(links_print(1, 2, &a), links_print(1, 2, &b));
    }
}
