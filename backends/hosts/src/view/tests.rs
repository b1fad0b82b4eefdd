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
         kubernetes s1 s1 yes yes yes\n\
         node etcd 00000000000000d1 yes yes\n\
         node control-plane 00000000000000d2 yes yes\n\
         node worker 00000000000000d3 yes yes\n\
         proxy balancer 00000000000000e1 s2 s2 yes\n\
         proxy api-proxy 00000000000000e2 s3 s3 yes\n\
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
    let prints = [
        (Kind::Host, 0xAA),
        (Kind::Peer, 0xBB),
        (Kind::Links, 0xCC),
        (Kind::EtcdMember, 0xD1),
        (Kind::ControlPlane, 0xD2),
        (Kind::Worker, 0xD3),
        (Kind::Balancer, 0xE1),
        (Kind::ApiProxy, 0xE2),
    ];
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
    seen(&cases);
}

#[test]
fn every_difference_of_kubernetes_is_seen() {
    let cases = [
        (
            "s1 s1 yes yes yes",
            "s1 sX yes yes yes".to_owned(),
            Kind::Host,
        ),
        (
            "s1 s1 yes yes yes",
            "s1 s1 no yes yes".to_owned(),
            Kind::Host,
        ),
        (
            "s1 s1 yes yes yes",
            "s1 s1 yes no yes".to_owned(),
            Kind::Host,
        ),
        (
            "s1 s1 yes yes yes",
            "s1 s1 yes yes no".to_owned(),
            Kind::Host,
        ),
        ("d1 yes yes", "d1 no yes".to_owned(), Kind::EtcdMember),
        ("d1 yes yes", "d1 yes no".to_owned(), Kind::EtcdMember),
        ("d2 yes yes", "d2 no yes".to_owned(), Kind::ControlPlane),
        ("d3 yes yes", "d3 yes no".to_owned(), Kind::Worker),
        ("d3 yes yes", " yes yes".to_owned(), Kind::Worker),
        ("s2 s2 yes", "s2 sX yes".to_owned(), Kind::Balancer),
        ("s2 s2 yes", "s2 s2 no".to_owned(), Kind::Balancer),
        ("s3 s3 yes", "s3 s3 no".to_owned(), Kind::ApiProxy),
    ];
    seen(&cases);
}

/// What was, what is, and the one kind of thing that is not sound because of it.
fn seen(cases: &[(&str, String, Kind)]) {
    for (was, is, broken) in cases {
        let changed = probe().replace(was, is);
        assert_ne!(changed, probe(), "{was}");
        for (kind, print) in view(&changed, OWNER).installed {
            assert_eq!(
                print == 0,
                kind == *broken,
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
        view.installed[..3],
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
