//! The configuration text: every key, every mistake, and that nothing makes the parser panic.

use ipnet::IpNet;
use proptest::prelude::*;
use quorate_engine::mesh::MeshKey;
use quorate_mesh::keys::{PresharedKey, PrivateKey};
use quorate_mesh::uapi::{Change, Mistake, PeerChange, PeerView, Request, View, answer, parse};
use std::time::Duration;

const ONE: &str = "0101010101010101010101010101010101010101010101010101010101010101";
const TWO: &str = "ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB";
const ZERO: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn change(lines: &str) -> Change {
    match parse(&format!("set=1\n{lines}")) {
        Ok(Request::Set(change)) => change,
        other => panic!("{lines}: {other:?}"),
    }
}

#[test]
fn get_is_one_line() {
    assert_eq!(parse("get=1\n"), Ok(Request::Get));
    assert_eq!(parse("get=1"), Ok(Request::Get));
    assert_eq!(parse("get=1\nlisten_port=1\n"), Err(Mistake::Key(2)));
}

#[test]
fn every_key_of_a_device() {
    let none = Change::default();
    let cases = [
        ("", none.clone()),
        (
            &format!("private_key={ONE}"),
            Change {
                private_key: Some(Some(PrivateKey::from_bytes([1; 32]))),
                ..none.clone()
            },
        ),
        (
            &format!("private_key={ZERO}"),
            Change {
                private_key: Some(None),
                ..none.clone()
            },
        ),
        (
            "listen_port=51820",
            Change {
                listen_port: Some(51820),
                ..none.clone()
            },
        ),
        (
            "fwmark=0",
            Change {
                fwmark: Some(0),
                ..none.clone()
            },
        ),
        (
            "fwmark=0x1F",
            Change {
                fwmark: Some(31),
                ..none.clone()
            },
        ),
        (
            "replace_peers=true",
            Change {
                replace_peers: true,
                ..none
            },
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(change(line), expected, "{line}");
    }
}

#[test]
fn every_key_of_a_peer() {
    let peer = || PeerChange::of(MeshKey([1; 32]));
    let with = |change: fn(&mut PeerChange)| {
        let mut peer = peer();
        change(&mut peer);
        peer
    };
    let psk = format!("preshared_key={TWO}");
    let no_psk = format!("preshared_key={ZERO}");
    let cases = [
        ("", peer()),
        ("remove=true", with(|p| p.remove = true)),
        ("update_only=true", with(|p| p.update_only = true)),
        (
            &psk,
            with(|p| p.preshared_key = Some(Some(PresharedKey([0xab; 32])))),
        ),
        (&no_psk, with(|p| p.preshared_key = Some(None))),
        (
            "endpoint=192.0.2.1:51820",
            with(|p| p.endpoint = "192.0.2.1:51820".parse().ok()),
        ),
        (
            "endpoint=[2001:db8::1]:51820",
            with(|p| p.endpoint = "[2001:db8::1]:51820".parse().ok()),
        ),
        (
            "persistent_keepalive_interval=25",
            with(|p| p.keepalive_s = Some(25)),
        ),
        (
            "replace_allowed_ips=true",
            with(|p| p.replace_allowed = true),
        ),
        // Bits behind the prefix are cut off, as the kernel does.
        (
            "allowed_ip=10.88.0.7/24",
            with(|p| p.allowed = vec![(net("10.88.0.0/24"), true)]),
        ),
        (
            "allowed_ip=fd00::/8\nallowed_ip=-10.88.0.1/32",
            with(|p| p.allowed = vec![(net("fd00::/8"), true), (net("10.88.0.1/32"), false)]),
        ),
        ("protocol_version=1", peer()),
    ];
    for (lines, expected) in cases {
        let change = change(&format!("public_key={ONE}\n{lines}"));
        assert_eq!(change.peers, [expected], "{lines}");
    }
}

#[test]
fn keys_belong_to_the_peer_before_them() {
    let text = format!("public_key={ONE}\nremove=true\npublic_key={TWO}\nupdate_only=true");
    let peers = change(&text).peers;
    assert_eq!((peers[0].remove, peers[0].update_only), (true, false));
    assert_eq!((peers[1].remove, peers[1].update_only), (false, true));
    assert_eq!(peers[1].key, MeshKey([0xab; 32]));
}

#[test]
fn every_mistake_is_named_with_its_line() {
    use Mistake::{Key, Line, Operation, Value};
    let short = &ONE[1..];
    let odd = format!("{short}g");
    // SHORT and ODD stand for keys of a wrong length and with a wrong digit, PEER for a good line.
    let cases = [
        ("", Operation),
        ("\n", Operation),
        ("get=2", Operation),
        ("show", Operation),
        ("set=1\nlisten_port", Line(2)),
        ("set=1\nlisten_ports=1", Key(2)),
        ("set=1\nendpoint=192.0.2.1:1", Key(2)),
        ("set=1\nset=1", Key(2)),
        ("set=1\nPEER\nlisten_port=1", Key(3)),
        ("set=1\nprivate_key=SHORT", Value(2, "private_key")),
        ("set=1\nprivate_key=ODD", Value(2, "private_key")),
        ("set=1\npublic_key=SHORT", Value(2, "public_key")),
        ("set=1\nlisten_port=65536", Value(2, "listen_port")),
        ("set=1\nlisten_port=-1", Value(2, "listen_port")),
        ("set=1\nfwmark=0xg", Value(2, "fwmark")),
        ("set=1\nfwmark=4294967296", Value(2, "fwmark")),
        ("set=1\nreplace_peers=false", Value(2, "replace_peers")),
        ("set=1\nPEER\nremove=1", Value(3, "remove")),
        ("set=1\nPEER\nupdate_only=", Value(3, "update_only")),
        (
            "set=1\nPEER\npreshared_key=SHORT",
            Value(3, "preshared_key"),
        ),
        ("set=1\nPEER\nendpoint=host:51820", Value(3, "endpoint")),
        ("set=1\nPEER\nendpoint=192.0.2.1", Value(3, "endpoint")),
        (
            "set=1\nPEER\npersistent_keepalive_interval=65536",
            Value(3, "persistent_keepalive_interval"),
        ),
        (
            "set=1\nPEER\nreplace_allowed_ips=yes",
            Value(3, "replace_allowed_ips"),
        ),
        (
            "set=1\nPEER\nallowed_ip=10.88.0.0/33",
            Value(3, "allowed_ip"),
        ),
        ("set=1\nPEER\nallowed_ip=10.88.0.0", Value(3, "allowed_ip")),
        (
            "set=1\nPEER\nprotocol_version=2",
            Value(3, "protocol_version"),
        ),
    ];
    let peer = format!("public_key={ONE}");
    for (text, expected) in cases {
        let text = text
            .replace("PEER", &peer)
            .replace("SHORT", short)
            .replace("ODD", &odd);
        let mistake = parse(&text).unwrap_err();
        assert_eq!(mistake, expected, "{text}");
        assert!(!mistake.to_string().contains(short), "a value is repeated");
    }
}

#[test]
fn a_device_is_shown_as_wg_reads_it() {
    let peer = PeerView {
        key: MeshKey([0xab; 32]),
        preshared_key: None,
        endpoint: "[2001:db8::1]:7".parse().ok(),
        last_handshake: Some(Duration::new(1_700_000_000, 5)),
        rx_bytes: 148,
        tx_bytes: 92,
        keepalive_s: 25,
        allowed: vec![net("10.88.0.2/32"), net("fd00::/64")],
    };
    let silent = PeerView {
        key: MeshKey([0xcd; 32]),
        preshared_key: Some(PresharedKey([1; 32])),
        endpoint: None,
        last_handshake: None,
        rx_bytes: 0,
        tx_bytes: 0,
        keepalive_s: 0,
        allowed: vec![],
    };
    let view = View {
        private_key: Some(PrivateKey::from_bytes([1; 32])),
        listen_port: 51820,
        fwmark: 31,
        peers: vec![peer, silent],
    };
    // The private key is clamped: 01 becomes 00 in front and 41 behind.
    let private = format!("00{}41", &ONE[2..62]);
    let (ab, cd) = ("ab".repeat(32), "cd".repeat(32));
    let expected = format!(
        "private_key={private}\nlisten_port=51820\nfwmark=31\n\
         public_key={ab}\npreshared_key={ZERO}\nprotocol_version=1\n\
         endpoint=[2001:db8::1]:7\n\
         last_handshake_time_sec=1700000000\nlast_handshake_time_nsec=5\n\
         tx_bytes=92\nrx_bytes=148\npersistent_keepalive_interval=25\n\
         allowed_ip=10.88.0.2/32\nallowed_ip=fd00::/64\n\
         public_key={cd}\npreshared_key={ONE}\nprotocol_version=1\n\
         last_handshake_time_sec=0\nlast_handshake_time_nsec=0\n\
         tx_bytes=0\nrx_bytes=0\npersistent_keepalive_interval=0\n\
         errno=0\n\n"
    );
    assert_eq!(view.answer(), expected);
    assert_eq!(answer(98), "errno=-98\n\n");
    // What is printed for people holds no secret.
    let shown = format!("{view:?}");
    assert!(!shown.contains("1, 1, 1"), "{shown}");
}

#[test]
fn a_request_that_is_printed_shows_no_secret() {
    let request = change(&format!(
        "private_key={ONE}\npublic_key={TWO}\npreshared_key={ONE}"
    ));
    let shown = format!("{request:?}");
    assert!(
        !shown.contains("1, 1, 1") && !shown.contains("0101"),
        "{shown}"
    );
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".*") {
        let _any = parse(&text);
        let _any = parse(&format!("set=1\n{text}"));
    }

    #[test]
    fn no_line_makes_it_panic(
        lines in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "private_key", "listen_port", "fwmark", "replace_peers", "public_key",
                    "remove", "update_only", "preshared_key", "endpoint", "allowed_ip",
                    "persistent_keepalive_interval", "replace_allowed_ips", "protocol_version",
                ]),
                prop_oneof![
                    Just(ONE.to_owned()),
                    Just("true".to_owned()),
                    Just("é".repeat(32)),
                    "[-0-9a-f.:/%\\[\\]]{0,70}",
                ],
            ),
            0..12,
        )
    ) {
        let lines: Vec<_> = lines.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let _any = parse(&format!("set=1\n{}", lines.join("\n")));
    }
}
