//! The list of a machine's peers as its scripts read it, with its fingerprint on top.
//!
//! One line a peer: key, endpoint or `-`, seconds between keepalives or `off`, addresses behind it.
//! Knows nothing of who applies it.

use quorate_engine::mesh::Tunnel;
use quorate_engine::random::hash_name;
use std::collections::{BTreeMap, BTreeSet};

/// One peer: where it is dialled is left out, since that is learnt while it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Seconds, or `off`.
    pub(crate) keepalive: String,
    /// Networks, as text.
    pub(crate) allowed: BTreeSet<String>,
}

/// Peers by public key.
pub(crate) type Peers = BTreeMap<String, Peer>;

/// The list as it is stored on the machine: the first line has the fingerprint of what it comes
/// from, and a digest of the rest, so that an edit by hand does not go unnoticed.
pub(crate) fn list(tunnels: &[Tunnel], keepalive_s: u16, fingerprint: u64) -> String {
    let mut body = String::new();
    for tunnel in tunnels {
        let endpoint = tunnel.endpoint.map_or("-".to_owned(), |at| at.to_string());
        let keepalive = if tunnel.keepalive && keepalive_s > 0 {
            keepalive_s.to_string()
        } else {
            "off".to_owned()
        };
        let allowed: Vec<_> = tunnel.allowed.iter().map(ToString::to_string).collect();
        body.push_str(&format!(
            "\n{} {endpoint} {keepalive} {}",
            tunnel.key,
            allowed.join(",")
        ));
    }
    format!("# {fingerprint:016x} {:016x}{body}", hash_name(&body))
}

/// Fingerprint and peers of a stored list; none where it is not as we wrote it.
pub(crate) fn read(list: &str) -> Option<(u64, Peers)> {
    let head = list.lines().next()?;
    let body = &list[head.len()..];
    let (fingerprint, digest) = head.strip_prefix("# ")?.split_once(' ')?;
    if format!("{:016x}", hash_name(body)) != digest {
        return None;
    }
    let peer = |line: &str| {
        let mut words = line.split(' ');
        let (key, _) = (words.next()?, words.next()?);
        let keepalive = words.next()?.to_owned();
        let allowed = words.next()?.split(',').map(str::to_owned).collect();
        Some((key.to_owned(), Peer { keepalive, allowed }))
    };
    let peers = list.lines().skip(1).map(peer).collect::<Option<_>>()?;
    Some((u64::from_str_radix(fingerprint, 16).ok()?, peers))
}

/// A line of `wg show quorate0 dump` about a peer: key, preshared key, endpoint, addresses, last
/// handshake, bytes received, bytes sent, keepalive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) key: String,
    /// Nobody here ever sets one: with it no packet gets through.
    pub(crate) preshared: bool,
    pub(crate) peer: Peer,
    /// Seconds since 1970; 0: never.
    pub(crate) handshake_s: u64,
    /// Bytes.
    pub(crate) received: u64,
    /// Bytes.
    pub(crate) sent: u64,
}

/// See [`Live`].
pub(crate) fn live(line: &str) -> Option<Live> {
    let words: Vec<_> = line.split('\t').collect();
    let [
        key,
        preshared,
        _,
        allowed,
        handshake,
        received,
        sent,
        keepalive,
    ] = words[..]
    else {
        return None;
    };
    let allowed = allowed.split(',').filter(|net| *net != "(none)");
    Some(Live {
        key: key.to_owned(),
        preshared: preshared != "(none)",
        peer: Peer {
            keepalive: keepalive.to_owned(),
            allowed: allowed.map(str::to_owned).collect(),
        },
        handshake_s: handshake.parse().ok()?,
        received: received.parse().ok()?,
        sent: sent.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_engine::mesh::MeshKey;
    use quorate_engine::resource::ResourceId;

    fn tunnels() -> Vec<Tunnel> {
        let tunnel = |n: u8, endpoint: Option<&str>, allowed: &[&str]| Tunnel {
            machine: ResourceId::new(format!("shop/w/{n}")),
            key: MeshKey([n; 32]),
            endpoint: endpoint.map(|at| at.parse().unwrap()),
            keepalive: endpoint.is_some(),
            allowed: allowed.iter().map(|net| net.parse().unwrap()).collect(),
        };
        vec![
            tunnel(
                1,
                Some("192.0.2.1:51820"),
                &["10.88.0.1/32", "10.88.0.9/32"],
            ),
            tunnel(2, None, &["10.88.0.2/32"]),
        ]
    }

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let text = list(&tunnels(), 25, 0xAB);
        let (fingerprint, peers) = read(&text).unwrap();
        assert_eq!(fingerprint, 0xAB);
        let first = &peers[&MeshKey([1; 32]).to_string()];
        assert_eq!(first.keepalive, "25");
        assert_eq!(first.allowed.len(), 2);
        assert_eq!(peers[&MeshKey([2; 32]).to_string()].keepalive, "off");
        assert!(text.contains("192.0.2.1:51820"), "{text}");
        assert_eq!(read(&list(&[], 25, 7)), Some((7, Peers::new())));
        assert!(!list(&tunnels(), 0, 1).contains(" 0 "), "0 turns them off");
    }

    #[test]
    fn an_edit_by_hand_is_noticed() {
        let text = list(&tunnels(), 25, 0xAB);
        assert_eq!(read(&text.replace("10.88.0.9/32", "10.88.0.8/32")), None);
        assert_eq!(read(&text.replace("192.0.2.1", "192.0.2.2")), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn live_peers_are_read_from_a_dump() {
        let line =
            "KEY=\t(none)\t192.0.2.1:51820\t10.88.0.1/32,10.88.0.9/32\t1700000000\t3\t4\toff";
        let live = live(line).unwrap();
        assert_eq!(
            (live.handshake_s, live.received, live.sent),
            (1_700_000_000, 3, 4)
        );
        assert_eq!(live.peer.allowed.len(), 2);
        assert!(!live.preshared);
        let none = "KEY=\tSECRET=\t(none)\t(none)\t0\t0\t0\t25";
        let none = super::live(none).unwrap();
        assert!(none.preshared && none.peer.allowed.is_empty());
        assert_eq!(super::live("quorate0\tx"), None);
    }
}
