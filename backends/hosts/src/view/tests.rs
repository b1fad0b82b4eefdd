//! A probe's words, and every way in which a machine may differ from what was installed.

use super::*;
use quorate_engine::mesh::{MeshKey, Tunnel};
use quorate_engine::resource::ResourceId;

const OWNER: &str = "shop 0000000000000007 shop/w/1";

/// A machine on which all is well.
fn probe() -> String {
    let [me, other] = [1, 2].map(|n| MeshKey([n; 32]));
    let tunnel = Tunnel {
        machine: ResourceId::new("shop/w/2"),
        key: other,
        endpoint: Some("192.0.2.2:51820".parse().unwrap()),
        keepalive: true,
        allowed: vec![
            "10.88.0.2/32".parse().unwrap(),
            "10.88.0.3/32".parse().unwrap(),
        ],
    };
    let list = links::list(&[tunnel], 25, 0xCC).replace('\n', "\nlinks ");
    format!(
        "a line of somebody's login script\n\
         owner {OWNER}\n\
         host 00000000000000aa 1\n\
         peer address 10.88.0.1\n\
         peer port 51820\n\
         peer mtu 1420\n\
         peer plane kernel\n\
         peer agent \n\
         peer fingerprint 00000000000000bb\n\
         pubkey {me}\n\
         boot enabled\n\
         live-key {me}\n\
         live-port 51820\n\
         live-link 5: quorate0: <POINTOPOINT,NOARP,UP,LOWER_UP> mtu 1420 qdisc noqueue state UNKNOWN\n\
         live-address 10.88.0.1/32\n\
         live-peer {other}\t(none)\t198.51.100.9:7\t10.88.0.3/32,10.88.0.2/32\t0\t0\t0\t25\n\
         live-route 10.88.0.2\n\
         live-route 10.88.0.3\n\
         links {list}\n"
    )
}

#[test]
fn a_sound_machine_shows_what_was_installed() {
    let view = view(&probe(), OWNER);
    let prints = [(Kind::Host, 0xAA), (Kind::Peer, 0xBB), (Kind::Links, 0xCC)];
    assert_eq!(view.installed, prints);
    assert_eq!(view.mesh_key, Some(MeshKey([1; 32])));
}

#[test]
fn every_difference_is_seen() {
    let [me, other, alien] = [1, 2, 3].map(|n| MeshKey([n; 32]).to_string());
    let cases = [
        (
            "host 00000000000000aa 1",
            "host 00000000000000aa 0".to_owned(),
            Kind::Host,
        ),
        (
            "<POINTOPOINT,NOARP,UP,LOWER_UP>",
            "<POINTOPOINT,NOARP>".to_owned(),
            Kind::Peer,
        ),
        ("mtu 1420 qdisc", "mtu 1280 qdisc".to_owned(), Kind::Peer),
        ("live-port 51820", "live-port 7".to_owned(), Kind::Peer),
        (
            "live-address 10.88.0.1/32",
            "live-address 10.88.0.9/32".to_owned(),
            Kind::Peer,
        ),
        (
            "live-address 10.88.0.1/32",
            "live-address 10.88.0.1/32\nlive-address 10.9.9.9/32".to_owned(),
            Kind::Peer,
        ),
        ("boot enabled", "boot disabled".to_owned(), Kind::Peer),
        (
            &format!("live-key {me}"),
            format!("live-key {alien}"),
            Kind::Peer,
        ),
        (&format!("pubkey {me}"), "pubkey ".to_owned(), Kind::Peer),
        (
            &format!("live-peer {other}\t(none)"),
            format!("live-peer {alien}\t(none)"),
            Kind::Links,
        ),
        (
            &format!("live-peer {other}\t(none)"),
            format!("live-peer {other}\t{alien}"),
            Kind::Links,
        ),
        (
            &format!("live-peer {other}"),
            format!("live-peer {alien}\t(none)\t(none)\t(none)\t0\t0\t0\toff\nlive-peer {other}"),
            Kind::Links,
        ),
        (
            "10.88.0.3/32,10.88.0.2/32",
            "10.88.0.2/32".to_owned(),
            Kind::Links,
        ),
        ("\t25\n", "\toff\n".to_owned(), Kind::Links),
        ("live-route 10.88.0.3\n", String::new(), Kind::Links),
        (
            " 25 10.88.0.2/32",
            " 25 10.88.0.4/32".to_owned(),
            Kind::Links,
        ),
    ];
    for (was, is, broken) in cases {
        let changed = probe().replace(was, &is);
        assert_ne!(changed, probe(), "{was}");
        for (kind, print) in view(&changed, OWNER).installed {
            assert_eq!(
                print == 0,
                kind == broken,
                "{kind} after `{was}` became `{is}`"
            );
        }
    }
}

#[test]
fn a_missing_interface_is_seen() {
    let text = probe();
    let lines = text.lines().filter(|line| !line.starts_with("live-"));
    let view = view(&lines.collect::<Vec<_>>().join("\n"), OWNER);
    assert_eq!(
        view.installed,
        [(Kind::Host, 0xAA), (Kind::Peer, 0), (Kind::Links, 0)]
    );
    assert_eq!(view.mesh_key, None);
}

#[test]
fn what_is_not_ours_is_not_there() {
    let other = "shop 0000000000000008 shop/w/1";
    assert_eq!(view(&probe(), other), HostView::default());
    assert_eq!(view("", OWNER), HostView::default());
}
