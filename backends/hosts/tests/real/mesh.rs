//! The whole way of machines into the mesh and out of it, on network namespaces with real
//! WireGuard: prepared, joined, looked at, mended, reset.

use crate::lab;
use crate::net::{Net, Node};
use quorate_engine::mesh::{PeerFact, Reach, links_print, table_of, table_print};
use quorate_engine::resource::{Kind, Resource, ResourceId, Spec};
use quorate_engine::seam::{Call, FaultClass, HostView, Key, Lane, Outcome, Reply, Verb};
use quorate_hosts::Hosts;
use quorate_hosts::rotate::Ending;
use std::sync::Arc;
use std::time::Duration;

fn host() -> Spec {
    Spec::Host {
        kubernetes: String::new(),
        pods: None,
    }
}

fn peer(node: &Node) -> Spec {
    Spec::Peer {
        address: node.mesh(),
        port: 51820,
        mtu: 1380,
        underlay: "lab".to_owned(),
        dial_out: false,
        pods: None,
    }
}

const LINKS: Spec = Spec::Links { keepalive_s: 25 };

fn ask(verb: Verb, node: &Node, kind: Kind, spec: Option<Spec>, peers: &[PeerFact]) -> Call {
    let target = node
        .machine()
        .child(kind.on_machine().expect("on a machine"));
    let resource = spec.map(|spec| Resource {
        id: target.clone(),
        provider: "lab".to_owned(),
        spec,
    });
    Call {
        lane: Lane::Hosts,
        verb,
        target,
        kind,
        resource: resource.map(Arc::new),
        key: Key(1),
        addresses: Vec::new(),
        peers: peers.into(),
    }
}

struct World {
    /// Before the network: its connections end in an orderly way.
    hosts: Hosts,
    net: Net,
}

impl World {
    fn start(count: u8) -> Option<Self> {
        let net = Net::start(count)?;
        let (mut settings, _) = lab::settings(net.reaches());
        settings.agent_binary = Some(net.agent());
        Some(Self {
            net,
            hosts: Hosts::new(settings),
        })
    }

    async fn make(&self, node: &Node, spec: Spec, peers: &[PeerFact]) -> Outcome {
        let call = ask(Verb::Create, node, spec.kind(), Some(spec), peers);
        self.hosts.call(&call).await
    }

    async fn delete(&self, node: &Node, kind: Kind) -> Outcome {
        self.hosts
            .call(&ask(Verb::Delete, node, kind, None, &[]))
            .await
    }

    async fn probe(&self, node: &Node) -> HostView {
        let outcome = self
            .hosts
            .call(&ask(Verb::Probe, node, Kind::Host, None, &[]))
            .await;
        let Ok(Reply::Host(view)) = outcome else {
            panic!("{outcome:?}")
        };
        view
    }

    /// Prepares a machine and gives it its end of the mesh.
    async fn join(&self, node: &Node) -> PeerFact {
        assert_eq!(self.make(node, host(), &[]).await, Ok(Reply::Done));
        let outcome = self.make(node, peer(node), &[]).await;
        let Ok(Reply::Host(view)) = outcome else {
            panic!("{outcome:?}")
        };
        let key = view.mesh_key.expect("a key was made");
        let reach = Reach {
            public: Some(node.public),
            private: None,
        };
        PeerFact::new(&node.machine(), &peer(node), key, reach).expect("a peer's spec")
    }

    async fn link(&self, node: &Node, peers: &[PeerFact]) {
        assert_eq!(self.make(node, LINKS, peers).await, Ok(Reply::Done));
    }
}

fn prints(machine: &ResourceId, node: &Node, peers: &[PeerFact]) -> Vec<(Kind, u64)> {
    let table = table_print(&table_of(peers));
    vec![
        (Kind::Host, host().fingerprint()),
        (Kind::Peer, peer(node).fingerprint()),
        (
            Kind::Links,
            links_print(LINKS.fingerprint(), table, machine),
        ),
    ]
}

#[tokio::test]
async fn machines_join_drift_are_mended_and_leave() {
    let Some(world) = World::start(3) else { return };
    let [a, b, c] = &world.net.nodes[..] else {
        unreachable!("three")
    };
    assert_eq!(world.probe(a).await, HostView::default());
    let before = a.by_hand("ls -A /etc /opt /var/lib /run | grep -v '^/run' | sort");

    // Two of them.
    let [fact_a, fact_b] = [world.join(a).await, world.join(b).await];
    let two = [fact_a.clone(), fact_b.clone()];
    world.link(a, &two).await;
    world.link(b, &two).await;
    assert!(
        a.pings(b) && b.pings(a),
        "{}",
        a.by_hand("wg show quorate0")
    );
    let view = world.probe(a).await;
    assert_eq!(view.installed, prints(&a.machine(), a, &two));
    assert_eq!(view.mesh_key, Some(fact_a.key));
    assert_eq!(a.by_hand("cat /proc/sys/net/ipv4/ip_forward"), "1");
    assert_eq!(a.by_hand("cat /sys/class/net/quorate0/mtu"), "1380");
    let private = a.by_hand("stat -c %a /var/lib/quorate /var/lib/quorate/mesh/key");
    assert_eq!(private, "700\n600");

    // Again: nothing changes, the process and the session stay.
    let state = "cat /run/quorate-mesh.pid; wg show quorate0 latest-handshakes";
    let lives = a.by_hand(state);
    assert_eq!(world.join(a).await, fact_a);
    world.link(a, &two).await;
    assert_eq!(a.by_hand(state), lives);

    // A third one; the session between the first two lives on while packets flow.
    let flow = a.by_hand("ping -n -i 0.05 -c 60 10.88.0.2 >/run/flow 2>&1 & echo $!");
    let fact_c = world.join(c).await;
    let three = [fact_a.clone(), fact_b.clone(), fact_c.clone()];
    for node in [a, b, c] {
        world.link(node, &three).await;
    }
    assert!(c.pings(a) && c.pings(b) && a.pings(c));
    assert!(
        a.by_hand("wg show quorate0 latest-handshakes")
            .contains(&lives[lives.len() - 10..])
    );
    a.by_hand(&format!(
        "while kill -0 {flow} 2>/dev/null; do sleep 0.1; done"
    ));
    let flow = a.by_hand("cat /run/flow; rm /run/flow");
    assert!(flow.contains(" 0% packet loss"), "{flow}");
    healthy(&world, &three).await;
    mended(&world, a, &three).await;

    // Out again, one by one.
    for kind in [Kind::Links, Kind::Peer, Kind::Host, Kind::Host] {
        assert_eq!(world.delete(a, kind).await, Ok(Reply::Done), "{kind}");
    }
    assert_eq!(world.delete(b, Kind::Host).await, Ok(Reply::Done));
    for node in [a, b] {
        assert_eq!(world.probe(node).await, HostView::default());
        assert!(
            !node.tries("ip link show quorate0"),
            "the interface is away"
        );
        assert_eq!(node.by_hand("ls /run/wireguard"), "");
        assert_eq!(node.agents(), Vec::<String>::new());
        assert_eq!(node.by_hand("cat /proc/sys/net/ipv4/ip_forward"), "0");
        let after = node.by_hand("ls -A /etc /opt /var/lib /run | grep -v '^/run' | sort");
        assert_eq!(after, before);
    }
}

/// Every link is seen as it is, also one that does not carry large packets.
async fn healthy(world: &World, peers: &[PeerFact]) {
    let [a, b, c] = &world.net.nodes[..] else {
        unreachable!("three")
    };
    let health = async || {
        let machine = a.machine();
        let health = world.hosts.mesh_health(&machine, peers, 1380, &[]);
        health.await.expect("it answers")
    };
    for link in health().await {
        assert!(
            link.ping_ok == Some(true) && link.ping_large_ok == Some(true),
            "{link:?}"
        );
        assert!(
            link.handshake_age.is_some_and(|age| age.as_secs() < 120),
            "{link:?}"
        );
        assert!(link.rx > 0 && link.tx > 0 && link.rtt.is_some(), "{link:?}");
    }
    // Its provider's network carries less than ours believes.
    b.by_hand("ip link set eth0 mtu 1000");
    c.by_hand("ip link set quorate0 down");
    let seen = health().await;
    let [to_b, to_c] = &seen[..] else {
        unreachable!("two peers")
    };
    assert_eq!(to_b.machine, b.machine());
    assert_eq!(
        (to_b.ping_ok, to_b.ping_large_ok),
        (Some(true), Some(false))
    );
    assert_eq!((to_c.ping_ok, to_c.rtt), (Some(false), None));
    b.by_hand("ip link set eth0 mtu 1500");
    world.make(c, peer(c), &[]).await.expect("mended");
}

/// Whatever somebody changes by hand is seen, and an update mends it.
async fn mended(world: &World, node: &Node, peers: &[PeerFact]) {
    let sound = prints(&node.machine(), node, peers);
    assert_eq!(world.probe(node).await.installed, sound);
    let other = peers[1].key;
    let cases = [
        (Kind::Links, format!("wg set quorate0 peer {other} remove")),
        (
            Kind::Links,
            format!("wg set quorate0 peer {other} allowed-ips 10.88.0.77/32"),
        ),
        (
            Kind::Links,
            format!("wg set quorate0 peer {other} persistent-keepalive 3"),
        ),
        (
            Kind::Links,
            format!("wg genpsk | wg set quorate0 peer {other} preshared-key /dev/stdin"),
        ),
        (
            Kind::Links,
            "wg set quorate0 peer $(wg genkey | wg pubkey)".to_owned(),
        ),
        (
            Kind::Links,
            "ip route del 10.88.0.2 dev quorate0".to_owned(),
        ),
        (
            Kind::Links,
            "sed -i s/10.88.0.2/10.88.0.9/ /var/lib/quorate/mesh/links".to_owned(),
        ),
        (Kind::Peer, "ip link set quorate0 mtu 1280".to_owned()),
        (
            Kind::Peer,
            "ip address add 10.9.9.9/32 dev quorate0".to_owned(),
        ),
        (Kind::Peer, "wg set quorate0 listen-port 4711".to_owned()),
        (
            Kind::Peer,
            "wg genkey | wg set quorate0 private-key /dev/stdin".to_owned(),
        ),
        (
            Kind::Host,
            "echo 0 >/proc/sys/net/ipv4/ip_forward".to_owned(),
        ),
    ];
    for (kind, script) in cases {
        node.by_hand(&script);
        let view = world.probe(node).await;
        for (seen, print) in view.installed {
            assert_eq!(print == 0, seen == kind, "{seen} after `{script}`");
        }
        let spec = match kind {
            Kind::Links => LINKS,
            Kind::Peer => peer(node),
            _ => host(),
        };
        let call = ask(Verb::Update, node, kind, Some(spec), peers);
        world
            .hosts
            .call(&call)
            .await
            .unwrap_or_else(|fault| panic!("{script}: {fault}"));
        assert_eq!(world.probe(node).await.installed, sound, "after `{script}`");
    }
    revived(world, node, &sound).await;
}

/// The process that makes the interface dies: everything is back after one update of the peer.
async fn revived(world: &World, node: &Node, sound: &[(Kind, u64)]) {
    node.by_hand("kill -9 $(cat /run/quorate-mesh.pid); sleep 0.3");
    let view = world.probe(node).await;
    assert_eq!(view.installed[1..], [(Kind::Peer, 0), (Kind::Links, 0)]);
    world.make(node, peer(node), &[]).await.unwrap();
    assert_eq!(world.probe(node).await.installed, sound);
    assert!(node.pings(&world.net.nodes[1]));
}

#[tokio::test]
async fn somebody_elses_machine_is_left_alone() {
    let Some(world) = World::start(1) else { return };
    let [node] = &world.net.nodes[..] else {
        unreachable!("one")
    };
    node.by_hand(
        "mkdir -p /etc/quorate; echo 'bank 0000000000000001 bank/w/1' >/etc/quorate/owner",
    );
    let state = "cat /etc/quorate/*; ls /var/lib/quorate /opt/quorate 2>&1 || true; wg show";
    let before = node.by_hand(state);
    assert_eq!(world.probe(node).await, HostView::default());
    for outcome in [
        world.make(node, host(), &[]).await,
        world.make(node, peer(node), &[]).await,
        world.delete(node, Kind::Host).await,
    ] {
        let fault = outcome.unwrap_err();
        assert_eq!(fault.class, FaultClass::Exists, "{fault}");
        assert!(fault.detail.contains("bank/w/1"), "{fault}");
    }
    assert_eq!(node.by_hand(state), before);
}

#[tokio::test]
async fn a_machine_that_is_busy_or_not_prepared_says_so() {
    let Some(world) = World::start(1) else { return };
    let [node] = &world.net.nodes[..] else {
        unreachable!("one")
    };
    let fault = world.make(node, peer(node), &[]).await.unwrap_err();
    assert!(fault.detail.contains("not prepared"), "{fault}");
    // Still in its first boot, as cloud-init of its own says.
    let tool = "mkdir -p /opt/bin; printf '#!/bin/sh\\necho status: running\\n' >/opt/bin/cloud-init; \
        chmod +x /opt/bin/cloud-init; mount --bind /opt/bin /usr/local/bin";
    node.by_hand(tool);
    let fault = world.make(node, host(), &[]).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Busy, "{fault}");
    node.by_hand("umount /usr/local/bin; rm -r /opt/bin");
    // Another run holds the machine.
    world.make(node, host(), &[]).await.unwrap();
    node.by_hand("flock /var/lib/quorate/lock sleep 12 >/dev/null 2>&1 & sleep 0.2");
    let fault = world.make(node, host(), &[]).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Busy, "{fault}");
    world.make(node, host(), &[]).await.unwrap();
}

#[tokio::test]
async fn a_key_is_rotated_and_comes_back_where_that_fails() {
    let Some(world) = World::start(3) else { return };
    let [a, b, c] = &world.net.nodes[..] else {
        unreachable!("three")
    };
    let mut facts = Vec::new();
    for node in [a, b, c] {
        facts.push(world.join(node).await);
    }
    for node in [a, b, c] {
        world.link(node, &facts).await;
    }
    assert!(a.pings(b) && a.pings(c) && b.pings(c));
    let old = facts[0].key;

    // All is well: another key, and the old one is nowhere any more.
    let ending = world.hosts.rotate(&a.machine(), &facts, &[]).await;
    let Ending::Rotated { key, behind } = ending else {
        panic!("{ending:?}")
    };
    assert!(key != old && behind.is_empty(), "{behind:?}");
    assert!(a.pings(b) && b.pings(a) && a.pings(c));
    assert_eq!(world.probe(a).await.mesh_key, Some(key));
    for node in [a, b, c] {
        assert!(
            !node
                .by_hand("wg show quorate0 peers")
                .contains(&old.to_string())
        );
    }
    facts[0].key = key;
    for node in [a, b, c] {
        world.link(node, &facts).await;
        let sound = prints(&node.machine(), node, &facts);
        assert_eq!(world.probe(node).await.installed, sound);
    }

    // The way to one peer is cut while it is checked: the old key again, everywhere.
    let neighbour = format!("{} dev eth0", a.public);
    b.by_hand(&format!(
        "ip neigh replace {neighbour} lladdr 02:00:00:00:00:01 nud permanent"
    ));
    let ending = world.hosts.rotate(&a.machine(), &facts, &[]).await;
    assert!(matches!(ending, Ending::Kept { .. }), "{ending:?}");
    b.by_hand(&format!("ip neigh del {neighbour}"));
    for node in [a, b, c] {
        world.link(node, &facts).await;
        let sound = prints(&node.machine(), node, &facts);
        assert_eq!(world.probe(node).await.installed, sound);
    }
    assert!(a.pings(b) && a.pings(c));
    assert!(!a.tries("test -e /var/lib/quorate/mesh/key.new"));
    dead_man(&world, a, &facts).await;
}

/// Whoever rotates dies after the switch: the node takes its old key back by itself.
async fn dead_man(world: &World, node: &Node, facts: &[PeerFact]) {
    let machine = node.machine();
    let within = Duration::from_secs(4);
    let rotation = world.hosts.rotate_within(&machine, facts, &[], within);
    let key = || node.by_hand("wg show quorate0 public-key");
    let old = key();
    {
        let mut rotation = Box::pin(rotation);
        let switched = async {
            while key() == old {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            ending = &mut rotation => panic!("too quick to be interrupted: {ending:?}"),
            () = switched => {}
        }
    }
    assert!(
        node.tries("test -e /var/lib/quorate/mesh/key.new"),
        "it is not confirmed"
    );
    tokio::time::sleep(within + Duration::from_secs(2)).await;
    assert_eq!(key(), old);
    assert!(!node.tries("test -e /var/lib/quorate/mesh/key.new"));
    for other in &world.net.nodes {
        world.link(other, facts).await;
    }
    assert!(node.pings(&world.net.nodes[1]));
}

#[tokio::test]
async fn pods_are_routed_through_the_mesh_and_no_longer_when_they_leave() {
    let Some(world) = World::start(2) else { return };
    let [a, b] = &world.net.nodes[..] else {
        unreachable!("two")
    };
    let bare = [world.join(a).await, world.join(b).await];
    let mut facts = bare.clone();
    for (fact, node) in facts.iter_mut().zip([a, b]) {
        let subnet = format!("10.244.{}.0/24", node.number);
        fact.pods = Some(subnet.parse().expect("a network"));
        node.by_hand(&format!(
            "ip address add 10.244.{}.1/32 dev lo",
            node.number
        ));
    }
    let ping = "ping -q -n -c 1 -w 10 -I 10.244.1.1 10.244.2.1";
    let routes = "ip -4 route show dev quorate0 | cut -d ' ' -f 1 | sort";
    for _ in 0..2 {
        for node in [a, b] {
            world.link(node, &facts).await;
        }
        assert_eq!(a.by_hand(routes), "10.244.2.0/24\n10.88.0.2");
        assert!(a.tries(ping), "pods do not reach each other");
        assert_eq!(
            world.probe(a).await.installed,
            prints(&a.machine(), a, &facts)
        );
        // Once more: as it is after this, and back.
        a.by_hand("ip route delete 10.244.2.0/24 dev quorate0");
        assert_eq!(world.probe(a).await.installed[2], (Kind::Links, 0));
    }
    world.link(a, &bare).await;
    assert_eq!(a.by_hand(routes), "10.88.0.2");
    assert!(
        !a.by_hand("wg show quorate0 allowed-ips")
            .contains("10.244.")
    );
}
