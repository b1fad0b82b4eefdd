//! Nodes of a test, and the network between them: lists of datagrams.

use quorate_engine::mesh::MeshKey;
use quorate_mesh::datagrams::Datagrams;
use quorate_mesh::device::{Device, Now};
use quorate_mesh::keys::PrivateKey;
use quorate_mesh::offload::Offload;
use quorate_mesh::packets::Packets;
use quorate_mesh::uapi::{Change, PeerChange, PeerView};
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) struct Node {
    pub(crate) device: Device,
    pub(crate) at: SocketAddr,
    pub(crate) number: u8,
    pub(crate) key: PrivateKey,
}

/// What came of one datagram or of many.
#[derive(Default)]
pub(crate) struct Came {
    pub(crate) sent: Vec<(SocketAddr, Vec<u8>)>,
    pub(crate) packets: Vec<Vec<u8>>,
}

pub(crate) fn now() -> Now {
    at_s(1000)
}

pub(crate) fn at_s(second: u64) -> Now {
    Now {
        steady: Duration::from_secs(second),
        wall: Duration::from_secs(1_700_000_000 + second),
    }
}

pub(crate) fn datagrams(out: &Datagrams) -> Vec<(SocketAddr, Vec<u8>)> {
    let trains = out.trains();
    let each = trains.flat_map(|(to, bytes, segment)| {
        bytes
            .chunks(segment)
            .map(move |bytes| (to.remote, bytes.to_vec()))
    });
    each.collect()
}

impl Node {
    pub(crate) fn new(number: u8) -> Self {
        let key = PrivateKey::from_bytes([number; 32]);
        let mut node = Self {
            device: Device::new(u32::from(number) * 1000),
            at: SocketAddr::from(([192, 0, 2, number], 51820)),
            number,
            key: key.clone(),
        };
        let private_key = Some(Some(key));
        node.change(&Change {
            private_key,
            ..Change::default()
        });
        node
    }

    pub(crate) fn public(&self) -> MeshKey {
        self.key.public()
    }

    pub(crate) fn change(&mut self, change: &Change) -> Came {
        let mut out = Datagrams::default();
        self.device.configure(change, &now(), &mut out);
        Came {
            sent: datagrams(&out),
            packets: vec![],
        }
    }

    pub(crate) fn change_peer(&mut self, peer: PeerChange) -> Came {
        let peers = vec![peer];
        self.change(&Change {
            peers,
            ..Change::default()
        })
    }

    /// Knows `other`, and where it is.
    pub(crate) fn meet(&mut self, other: &Self) {
        self.change_peer(PeerChange {
            endpoint: Some(other.at),
            ..behind(other)
        });
    }

    pub(crate) fn send(&self, to: u8, payload: &[u8]) -> Came {
        self.send_packet(packet(self.number, to, payload))
    }

    pub(crate) fn send_packet(&self, mut packet: Vec<u8>) -> Came {
        let mut out = Datagrams::default();
        let taken = self
            .device
            .outbound(&mut packet, Offload::None, &now(), &mut out);
        taken.unwrap();
        Came {
            sent: datagrams(&out),
            packets: vec![],
        }
    }

    pub(crate) fn receive(&self, from: SocketAddr, datagram: &[u8]) -> Came {
        let (mut net, mut host) = (Datagrams::default(), Packets::new(false));
        let train = (datagram, datagram.len().max(1));
        self.device
            .inbound(train, from.into(), &now(), &mut net, &mut host);
        let frames = host.frames();
        let mut packet = |frame| host.frame(frame).1.flatten().copied().collect();
        Came {
            sent: datagrams(&net),
            packets: (0..frames).map(&mut packet).collect(),
        }
    }

    pub(crate) fn tick(&self, now: &Now) -> Came {
        let mut out = Datagrams::default();
        self.device.tick(now, &mut out);
        Came {
            sent: datagrams(&out),
            packets: vec![],
        }
    }

    pub(crate) fn sees(&self, other: &Self) -> PeerView {
        let mut peers = self.device.view().peers.into_iter();
        peers
            .find(|peer| peer.key == other.public())
            .expect("a peer")
    }
}

pub(crate) fn behind(node: &Node) -> PeerChange {
    let network = format!("10.88.0.{}/32", node.number).parse().unwrap();
    PeerChange {
        allowed: vec![(network, true)],
        ..PeerChange::of(node.public())
    }
}

pub(crate) fn packet(from: u8, to: u8, payload: &[u8]) -> Vec<u8> {
    let len = 20 + payload.len() as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(len.to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 253, 0, 0, 10, 88, 0, from, 10, 88, 0, to]);
    packet.extend(payload);
    packet
}

/// Hands datagrams over until none are left; packets that arrived anywhere.
pub(crate) fn settle(nodes: &[&Node], from: &Node, first: Came) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut underway: Vec<_> = first.sent.into_iter().map(|sent| (from.at, sent)).collect();
    for _ in 0..100 {
        let Some((from, (to, datagram))) = underway.pop() else {
            return packets;
        };
        let Some(node) = nodes.iter().find(|node| node.at == to) else {
            continue;
        };
        let came = node.receive(from, &datagram);
        underway.extend(came.sent.into_iter().map(|sent| (to, sent)));
        packets.extend(came.packets);
    }
    panic!("datagrams without end");
}

/// Two that know each other.
pub(crate) fn two() -> (Node, Node) {
    let (mut a, mut b) = (Node::new(1), Node::new(2));
    a.meet(&b);
    b.meet(&a);
    (a, b)
}

/// Two with a session that both have used.
pub(crate) fn two_connected() -> (Node, Node) {
    let (a, b) = two();
    let arrived = settle(&[&a, &b], &a, a.send(2, b"first"));
    assert_eq!(arrived, [packet(1, 2, b"first")]);
    (a, b)
}
