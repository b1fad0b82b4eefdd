//! How the mesh is, seen from one machine: handshakes, and packets that fill its MTU.
//!
//! Judges nothing: what is healthy is for whoever shows it.

use crate::job::Runner;
use crate::links;
use crate::{Hosts, LIMIT, job};
use quorate_engine::mesh::PeerFact;
use quorate_engine::resource::ResourceId;
use quorate_engine::seam::Fault;
use std::net::Ipv4Addr;
use std::time::Duration;

const HEALTH: &str = include_str!("../scripts/health.sh");

/// IPv4 without options and the ICMP echo header, in bytes (RFC 791, RFC 792).
const PING_OVERHEAD: u16 = 28;

/// How one peer is seen from a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkHealth {
    /// The peer's machine.
    pub machine: ResourceId,
    /// Since the last handshake with it, by the machine's own clock. None: never, or the two reach
    /// each other through a hub. A tunnel in use shakes hands every 2 minutes; an idle one does
    /// not.
    pub handshake_age: Option<Duration>,
    /// Bytes that came from it.
    pub rx: u64,
    /// Bytes that went to it.
    pub tx: u64,
    /// Whether small packets come back; none where the machine has no `ping`.
    pub ping_ok: Option<bool>,
    /// Whether packets come back that fill the mesh's MTU and must not be cut.
    pub ping_large_ok: Option<bool>,
    /// Round trip of small packets, on average.
    pub rtt: Option<Duration>,
}

impl<R: Runner> Hosts<R> {
    /// How `machine` sees its peers; `mtu` is the mesh's, in bytes. Takes about 3 s when a peer
    /// does not answer.
    ///
    /// # Errors
    /// The machine does not answer, or has no mesh.
    pub async fn mesh_health(
        &self,
        machine: &ResourceId,
        peers: &[PeerFact],
        mtu: u16,
        addresses: &[(ResourceId, Ipv4Addr)],
    ) -> Result<Vec<LinkHealth>, Fault> {
        let at = self.at(machine, addresses)?;
        let peers: Vec<_> = peers
            .iter()
            .filter(|peer| peer.machine != *machine)
            .collect();
        let list: Vec<_> = peers.iter().map(|peer| peer.address.to_string()).collect();
        let job = job("look at the mesh", &[HEALTH], LIMIT)
            .with("Q_PEERS", list.join(" "))
            .with("Q_LARGE", mtu.saturating_sub(PING_OVERHEAD).to_string());
        let said = at.run(job).await?.stdout;
        Ok(peers.into_iter().map(|peer| health(peer, &said)).collect())
    }
}

fn health(peer: &PeerFact, said: &str) -> LinkHealth {
    let facts = |name| {
        said.lines()
            .filter_map(move |line| line.strip_prefix(name)?.strip_prefix(' '))
    };
    let now: Option<u64> = facts("now").next().and_then(|now| now.parse().ok());
    let key = peer.key.to_string();
    let live = facts("live-peer")
        .filter_map(links::live)
        .find(|live| live.key == key);
    let shaken = live
        .as_ref()
        .map(|live| live.handshake_s)
        .filter(|at| *at > 0);
    let age = now.zip(shaken).map(|(now, at)| now.saturating_sub(at));
    let address = peer.address.to_string();
    let mut ping = facts("ping").map(|line| line.split(' ').collect::<Vec<_>>());
    let ping = ping.find(|words| words.len() == 4 && words[0] == address);
    let got = |place: usize| ping.as_ref().map(|words| words[place] != "0");
    let rtt_ms: Option<f64> = ping.as_ref().and_then(|words| words[3].parse().ok());
    LinkHealth {
        machine: peer.machine.clone(),
        handshake_age: age.map(Duration::from_secs),
        rx: live.as_ref().map_or(0, |live| live.received),
        tx: live.as_ref().map_or(0, |live| live.sent),
        ping_ok: got(1),
        ping_large_ok: got(2),
        rtt: rtt_ms.and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_engine::mesh::MeshKey;

    fn peer(n: u8) -> PeerFact {
        PeerFact {
            machine: ResourceId::new(format!("shop/w/{n}")),
            key: MeshKey([n; 32]),
            address: Ipv4Addr::new(10, 88, 0, n),
            port: 51820,
            underlay: "a".to_owned(),
            dial_out: false,
            public: None,
            private: None,
            pods: None,
        }
    }

    #[test]
    fn what_a_machine_says_becomes_health() {
        let said = format!(
            "now 1700000100\n\
             ping 10.88.0.2 3 0 0.512\n\
             ping 10.88.0.3 0 0 -\n\
             live-peer {}\t(none)\t192.0.2.2:51820\t10.88.0.2/32\t1700000070\t7\t8\toff\n\
             live-peer {}\t(none)\t(none)\t10.88.0.3/32\t0\t0\t9\t25\n",
            MeshKey([2; 32]),
            MeshKey([3; 32]),
        );
        let well = health(&peer(2), &said);
        assert_eq!(well.handshake_age, Some(Duration::from_secs(30)));
        assert_eq!((well.rx, well.tx), (7, 8));
        assert_eq!(
            (well.ping_ok, well.ping_large_ok),
            (Some(true), Some(false))
        );
        assert_eq!(well.rtt, Some(Duration::from_micros(512)));
        let silent = health(&peer(3), &said);
        assert_eq!((silent.handshake_age, silent.rtt), (None, None));
        assert_eq!((silent.ping_ok, silent.tx), (Some(false), 9));
        let unseen = health(&peer(4), &said);
        assert_eq!((unseen.ping_ok, unseen.rx), (None, 0));
    }
}
