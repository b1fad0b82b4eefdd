//! Devices against each other, in memory: no socket, no interface.

#[path = "device/nodes.rs"]
mod nodes;

use nodes::{Node, at_s, behind, now, packet, settle, two, two_connected};
use quorate_mesh::datagrams::{Datagrams, Endpoint};
use quorate_mesh::keys::{PresharedKey, PrivateKey};
use quorate_mesh::offload::Offload;
use quorate_mesh::packets::Packets;
use quorate_mesh::uapi::{Change, PeerChange};
use std::net::{IpAddr, SocketAddr};

#[test]
fn the_first_packet_waits_for_the_handshake_and_arrives() {
    let (a, b) = two();
    let first = a.send(2, b"hello");
    assert_eq!(first.sent.len(), 1);
    assert_eq!((first.sent[0].0, first.sent[0].1.len()), (b.at, 148));
    let response = b.receive(a.at, &first.sent[0].1);
    assert_eq!(response.sent[0].1.len(), 92);
    assert_eq!(b.sees(&a).last_handshake, None, "not confirmed yet");
    let data = a.receive(b.at, &response.sent[0].1);
    assert_eq!(a.sees(&b).last_handshake, Some(now().wall));
    // A keepalive that confirms the session, and what waited for it.
    let lens: Vec<_> = data.sent.iter().map(|(_, bytes)| bytes.len()).collect();
    assert_eq!(lens, [32, 32 + 25]);
    assert!(b.receive(a.at, &data.sent[0].1).packets.is_empty());
    assert_eq!(b.sees(&a).last_handshake, Some(now().wall));
    let arrived = b.receive(a.at, &data.sent[1].1);
    assert_eq!(arrived.packets, [packet(1, 2, b"hello")]);
    let back = settle(&[&a, &b], &b, b.send(1, b"hello yourself"));
    assert_eq!(back, [packet(2, 1, b"hello yourself")]);
}

#[test]
fn what_waits_at_the_one_who_answers_leaves_once_the_session_is_confirmed() {
    let (mut a, mut b) = (Node::new(1), Node::new(2));
    a.meet(&b);
    // b knows a, but not where: it cannot begin. Then it learns, and has something to say.
    b.change_peer(behind(&a));
    assert!(b.send(1, b"nowhere to").sent.is_empty());
    let initiation = a.send(2, b"hello");
    let response = b.receive(a.at, &initiation.sent[0].1);
    b.send(1, b"waiting");
    let data = a.receive(b.at, &response.sent[0].1);
    let mut flushed = Vec::new();
    for (_, bytes) in &data.sent {
        flushed.extend(b.receive(a.at, bytes).sent);
    }
    let arrived: Vec<_> = flushed
        .iter()
        .flat_map(|(_, bytes)| a.receive(b.at, bytes).packets)
        .collect();
    assert!(arrived.contains(&packet(2, 1, b"waiting")), "{arrived:?}");
}

#[test]
fn bytes_are_counted_as_datagrams() {
    let (a, b) = two_connected();
    // Initiation, keepalive, data of 25; response.
    let expected = (148 + 32 + 57, 92);
    assert_eq!((a.sees(&b).tx_bytes, a.sees(&b).rx_bytes), expected);
    assert_eq!((b.sees(&a).rx_bytes, b.sees(&a).tx_bytes), expected);
}

#[test]
fn a_peer_is_followed_to_where_it_speaks_from() {
    let (a, b) = two_connected();
    let elsewhere = SocketAddr::from(([198, 51, 100, 9], 4000));
    let data = a.send(2, b"I moved");
    // The same bytes, spoilt: whoever cannot encrypt does not move a peer.
    let mut forged = data.sent[0].1.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert!(b.receive(elsewhere, &forged).packets.is_empty());
    assert_eq!(b.sees(&a).endpoint, Some(a.at));
    assert_eq!(b.receive(elsewhere, &data.sent[0].1).packets.len(), 1);
    assert_eq!(b.sees(&a).endpoint, Some(elsewhere));
    assert_eq!(b.send(1, b"I see").sent[0].0, elsewhere);
    // Nor does a replay of what was genuine once.
    let third = SocketAddr::from(([203, 0, 113, 9], 4000));
    assert!(b.receive(third, &data.sent[0].1).packets.is_empty());
    assert_eq!(b.sees(&a).endpoint, Some(elsewhere));
}

#[test]
fn answers_leave_from_the_address_that_was_spoken_to_while_there_is_one() {
    let (a, b) = two_connected();
    let data = a.send(2, b"to your second address").sent.remove(0).1;
    let spoken_to = Endpoint {
        remote: a.at,
        local: Some(IpAddr::from([192, 0, 2, 222])),
    };
    let (mut net, mut host) = (Datagrams::default(), Packets::new(false));
    let train = (&data[..], data.len());
    b.device
        .inbound(train, spoken_to, &now(), &mut net, &mut host);
    let answered = || {
        let mut out = Datagrams::default();
        let mut answer = packet(2, 1, b"yes");
        b.device
            .outbound(&mut answer, Offload::None, &now(), &mut out)
            .unwrap();
        let (to, ..) = out.trains().next().expect("an answer");
        to
    };
    assert_eq!(answered(), spoken_to);
    b.device.forget_local(b.at.into());
    assert_eq!(answered(), spoken_to, "somebody else's endpoint");
    b.device.forget_local(spoken_to);
    assert_eq!(answered(), a.at.into());
}

#[test]
fn a_stranger_gets_no_answer() {
    let (a, b) = two();
    let mut stranger = Node::new(3);
    stranger.meet(&b);
    let knock = stranger.send(2, b"let me in");
    let came = b.receive(stranger.at, &knock.sent[0].1);
    assert!(came.sent.is_empty() && came.packets.is_empty());
    for noise in [
        &b""[..],
        b"GET / HTTP/1.1\r\n",
        &[4, 0, 0, 0],
        &[1; 148],
        &[0xff; 1500],
    ] {
        let came = b.receive(stranger.at, noise);
        assert!(came.sent.is_empty() && came.packets.is_empty());
    }
    assert_eq!(b.sees(&a).rx_bytes, 0);
}

#[test]
fn a_packet_with_a_foreign_source_is_dropped() {
    let (a, b) = two_connected();
    let forged = a.send_packet(packet(7, 2, b"as somebody else"));
    assert_eq!(forged.sent.len(), 1);
    assert!(b.receive(a.at, &forged.sent[0].1).packets.is_empty());
    // It was the peer that sent it, though: it counts.
    let honest = a.send(2, b"as myself");
    assert_eq!(b.receive(a.at, &honest.sent[0].1).packets.len(), 1);
}

#[test]
fn a_packet_to_nobody_goes_nowhere() {
    let (a, _b) = two_connected();
    assert!(a.send(9, b"anyone?").sent.is_empty());
    for odd in [vec![], vec![0x45], vec![0x60; 30], vec![0x15; 40]] {
        assert!(a.send_packet(odd).sent.is_empty());
    }
}

#[test]
fn a_removed_peer_is_gone_and_an_absent_one_is_not_made() {
    let (mut a, mut b) = two_connected();
    let data = b.send(1, b"still there?");
    a.change_peer(PeerChange {
        remove: true,
        ..PeerChange::of(b.public())
    });
    assert!(a.device.view().peers.is_empty());
    assert!(a.send(2, b"bye").sent.is_empty());
    assert!(a.receive(b.at, &data.sent[0].1).packets.is_empty());
    a.change_peer(PeerChange {
        update_only: true,
        ..behind(&b)
    });
    assert!(a.device.view().peers.is_empty());
    b.change(&Change {
        replace_peers: true,
        ..Change::default()
    });
    assert!(b.device.view().peers.is_empty());
}

#[test]
fn nobody_is_their_own_peer() {
    let mut a = Node::new(1);
    let own = PeerChange::of(a.public());
    a.change_peer(own.clone());
    assert!(a.device.view().peers.is_empty());
    // Nor does one become it.
    let other = PrivateKey::from_bytes([9; 32]);
    a.change_peer(PeerChange::of(other.public()));
    a.change(&Change {
        private_key: Some(Some(other)),
        ..Change::default()
    });
    assert!(a.device.view().peers.is_empty());
}

#[test]
fn allowed_networks_are_added_replaced_and_taken() {
    let (mut a, b) = two();
    let net = |text: &str| text.parse().unwrap();
    let change = |replace_allowed, network: &str, keep| PeerChange {
        replace_allowed,
        allowed: vec![(net(network), keep)],
        ..PeerChange::of(b.public())
    };
    a.change_peer(change(false, "10.90.0.0/16", true));
    assert_eq!(
        a.sees(&b).allowed,
        [net("10.88.0.2/32"), net("10.90.0.0/16")]
    );
    a.change_peer(change(false, "10.88.0.2/32", false));
    assert_eq!(a.sees(&b).allowed, [net("10.90.0.0/16")]);
    a.change_peer(change(true, "10.91.0.0/16", true));
    assert_eq!(a.sees(&b).allowed, [net("10.91.0.0/16")]);
}

#[test]
fn sessions_outlive_a_change_that_changes_nothing() {
    let (mut a, b) = two_connected();
    a.meet(&b);
    let private_key = Some(Some(a.key.clone()));
    a.change(&Change {
        private_key,
        ..Change::default()
    });
    let sent = a.send(2, b"as before").sent;
    assert_eq!(b.receive(a.at, &sent[0].1).packets.len(), 1);
}

#[test]
fn a_new_key_needs_a_new_handshake() {
    let (mut a, mut b) = two_connected();
    let old = a.public();
    a.key = PrivateKey::from_bytes([77; 32]);
    let private_key = Some(Some(a.key.clone()));
    a.change(&Change {
        private_key,
        ..Change::default()
    });
    let sent = a.send(2, b"as another").sent;
    assert_eq!(sent[0].1.len(), 148);
    assert!(
        b.receive(a.at, &sent[0].1).sent.is_empty(),
        "b does not know this key"
    );
    b.change_peer(PeerChange {
        remove: true,
        ..PeerChange::of(old)
    });
    b.meet(&a);
    let private_key = Some(None);
    b.change(&Change {
        private_key,
        ..Change::default()
    });
    assert!(b.receive(a.at, &sent[0].1).sent.is_empty(), "b has no key");
    let private_key = Some(Some(b.key.clone()));
    b.change(&Change {
        private_key,
        ..Change::default()
    });
    assert_eq!(b.receive(a.at, &sent[0].1).sent.len(), 1);
}

#[test]
fn both_have_to_hold_the_same_preshared_key() {
    let (mut a, mut b) = two();
    let shared = |node: &Node, byte| PeerChange {
        preshared_key: Some(Some(PresharedKey([byte; 32]))),
        ..PeerChange::of(node.public())
    };
    a.change_peer(shared(&b, 1));
    b.change_peer(shared(&a, 2));
    assert!(settle(&[&a, &b], &a, a.send(2, b"secret")).is_empty());
    b.change_peer(shared(&a, 1));
    a.change_peer(shared(&b, 3));
    a.change_peer(shared(&b, 1));
    assert_eq!(settle(&[&a, &b], &a, a.send(2, b"secret")).len(), 1);
}

/// Datagrams of one type, as `settle` hands them over.
fn initiations(sent: &[(SocketAddr, Vec<u8>)]) -> usize {
    sent.iter().filter(|(_, bytes)| bytes[0] == 1).count()
}

#[test]
fn a_session_outlives_a_change_of_the_preshared_key_until_the_next_handshake() {
    let (mut a, mut b) = two_connected();
    let shared = |node: &Node, byte| PeerChange {
        preshared_key: Some(Some(PresharedKey([byte; 32]))),
        ..PeerChange::of(node.public())
    };
    let both_ways = |a: &Node, b: &Node| {
        for (from, to) in [(a, b), (b, a)] {
            let came = from.send(to.number, b"data");
            assert_eq!(initiations(&came.sent), 0, "the session is there");
            let arrived = settle(&[a, b], from, came);
            assert_eq!(arrived, [packet(from.number, to.number, b"data")]);
        }
    };
    // One has it before the other, and changes its mind.
    for byte in [9, 1] {
        assert!(a.change_peer(shared(&b, byte)).sent.is_empty());
        both_ways(&a, &b);
    }
    // b wants a new session while it still has the old key: a's answer is none to it.
    let unheard = b.tick(&at_s(1_000)).sent.len();
    b.send(1, b"nothing comes back");
    let asked = b.tick(&at_s(1_020));
    assert_eq!((unheard, initiations(&asked.sent)), (0, 1));
    assert!(settle(&[&a, &b], &b, asked).is_empty());
    both_ways(&a, &b);
    // With the same key on both sides a handshake succeeds, and the old session is not used again.
    b.change_peer(shared(&a, 1));
    both_ways(&a, &b);
    let before = a.send(2, b"by the old session").sent.remove(0).1;
    a.send(2, b"nothing comes back");
    let asked = a.tick(&at_s(1_020));
    assert_eq!(initiations(&asked.sent), 1);
    settle(&[&a, &b], &a, asked);
    let after = a.send(2, b"by the new session").sent.remove(0).1;
    assert_ne!(before[4..8], after[4..8], "another receiver index");
    both_ways(&a, &b);
    assert!(b.receive(a.at, &before).packets.is_empty(), "it is gone");
}

#[test]
fn keepalive_begins_at_once_and_goes_on_when_it_is_silent() {
    let (mut a, b) = two();
    let greeting = a.change_peer(PeerChange {
        keepalive_s: Some(10),
        ..PeerChange::of(b.public())
    });
    assert_eq!(greeting.sent[0].1.len(), 148);
    settle(&[&a, &b], &a, greeting);
    assert!(a.tick(&at_s(1009)).sent.is_empty(), "9 s of silence");
    let kept = a.tick(&at_s(1010)).sent;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].1.len(), 32);
    assert!(a.tick(&at_s(1019)).sent.is_empty());
    assert_eq!(a.tick(&at_s(1020)).sent.len(), 1);
    // Without a session it asks for one.
    let private_key = Some(Some(PrivateKey::from_bytes([77; 32])));
    a.change(&Change {
        private_key,
        ..Change::default()
    });
    assert_eq!(a.tick(&at_s(1030)).sent[0].1.len(), 148);
}

#[test]
fn who_heard_last_says_so_after_ten_seconds_and_once() {
    let (a, b) = two_connected();
    assert!(b.tick(&at_s(1009)).sent.is_empty());
    let empty = b.tick(&at_s(1010)).sent;
    assert_eq!((empty.len(), empty[0].1.len()), (1, 32));
    assert!(b.tick(&at_s(1025)).sent.is_empty(), "nothing more is owed");
    a.receive(b.at, &empty[0].1);
    assert!(a.tick(&at_s(1025)).sent.is_empty(), "a was answered");
}

#[test]
fn data_without_an_answer_leads_to_a_handshake_after_fifteen_seconds() {
    let (a, _b) = two_connected();
    assert!(a.tick(&at_s(1014)).sent.is_empty());
    let anew = a.tick(&at_s(1015)).sent;
    assert_eq!((anew.len(), anew[0].1.len()), (1, 148));
    assert!(a.tick(&at_s(1016)).sent.is_empty(), "one at a time");
}

#[test]
fn under_load_an_initiator_has_to_prove_its_address() {
    let (a, b) = two();
    let initiation = a.send(2, b"hello").sent.remove(0).1;
    let mut answers = Vec::new();
    for _ in 0..250 {
        answers.extend(b.receive(a.at, &initiation).sent);
    }
    // The first is answered, replays are not, and then there are cookies.
    assert_eq!(answers[0].1.len(), 92);
    let cookies: Vec<_> = answers.iter().filter(|(_, bytes)| bytes[0] == 3).collect();
    assert!((50..250).contains(&cookies.len()), "{}", cookies.len());
    assert_eq!(cookies[0].1.len(), 64);
    assert_eq!(answers.len(), cookies.len() + 1);
    // A cookie is not an authenticated message: nobody moves by it.
    let elsewhere = SocketAddr::from(([198, 51, 100, 9], 4000));
    b.receive(elsewhere, &initiation);
    assert_eq!(b.sees(&a).endpoint, Some(a.at));
    assert_eq!(a.receive(b.at, &cookies[0].1).sent.len(), 0);
}

#[test]
fn a_large_packet_leaves_as_a_train_of_one_size() {
    let (a, b) = two_connected();
    let mut large = packet(1, 2, &[7; 3000]);
    large[9] = 17;
    large[20..28].copy_from_slice(&[0, 1, 0, 2, 0x0b, 0xb8, 0, 0]);
    let (protocol, start, size) = (17, 20, 1000);
    let offload = Offload::Segments {
        protocol,
        start,
        size,
    };
    let mut out = Datagrams::default();
    a.device
        .outbound(&mut large, offload, &now(), &mut out)
        .unwrap();
    let trains: Vec<_> = out
        .trains()
        .map(|(_, bytes, segment)| (bytes.to_vec(), segment))
        .collect();
    // 2,992 bytes of payload; 20 + 8 of headers and 32 of encryption on each datagram.
    assert_eq!(trains.len(), 1);
    assert_eq!((trains[0].0.len(), trains[0].1), (2992 + 3 * 60, 1060));
    let (mut net, mut host) = (Datagrams::default(), Packets::new(true));
    let train = (&trains[0].0[..], trains[0].1);
    b.device
        .inbound(train, a.at.into(), &now(), &mut net, &mut host);
    let lens: Vec<usize> = (0..3)
        .map(|frame| host.frame(frame).1.map(<[u8]>::len).sum())
        .collect();
    assert_eq!(lens, [1028, 1028, 1020]);
}
