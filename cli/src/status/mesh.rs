//! The mesh as each machine sees it: handshakes, small packets, packets that fill the MTU.

use crate::live::World;
use quorate_engine::mesh::PeerFact;
use quorate_engine::observed::Observed;
use quorate_engine::resource::{ResourceId, Spec};
use quorate_hosts::LinkHealth;
use quorate_sim::report::plain;
use serde::Serialize;
use std::fmt::Write as _;
use std::time::Duration;

/// How one machine sees the mesh.
#[derive(Debug, Serialize)]
pub(super) struct View {
    machine: ResourceId,
    /// Peers from which large packets come back.
    well: usize,
    /// Peers with some trouble, in words.
    trouble: Vec<String>,
    /// The slowest round trip, in milliseconds.
    rtt_ms: Option<f64>,
    /// The oldest handshake, in seconds.
    handshake_s: Option<u64>,
}

/// Asks every machine that answered.
pub(super) async fn views(world: &World, seen: &Observed, mtu: u16) -> Vec<View> {
    let peers: Vec<PeerFact> = world.peers();
    let public = peers
        .iter()
        .filter_map(|peer| Some((peer.machine.clone(), peer.public?)));
    let addresses: Vec<_> = public.collect();
    let asked = peers.iter().filter(|peer| seen.answers(&peer.machine));
    let questions = asked.map(|peer| {
        let (hosts, machine) = (world.hosts.clone(), peer.machine.clone());
        let (peers, addresses) = (peers.clone(), addresses.clone());
        tokio::spawn(async move {
            let health = hosts.mesh_health(&machine, &peers, mtu, &addresses).await;
            (machine, health)
        })
    });
    let mut views = Vec::new();
    for question in questions.collect::<Vec<_>>() {
        let (machine, health) = question.await.expect("the question does not panic");
        views.push(match health {
            Ok(links) => view(machine, &links),
            Err(fault) => View {
                machine,
                well: 0,
                trouble: vec![fault.to_string()],
                rtt_ms: None,
                handshake_s: None,
            },
        });
    }
    views
}

fn view(machine: ResourceId, links: &[LinkHealth]) -> View {
    let ms = |rtt: Duration| rtt.as_secs_f64() * 1e3;
    let slowest = links.iter().filter_map(|link| link.rtt).max();
    let oldest = links.iter().filter_map(|link| link.handshake_age).max();
    let trouble: Vec<_> = links.iter().filter_map(trouble).collect();
    View {
        machine,
        well: links.len() - trouble.len(),
        trouble,
        rtt_ms: slowest.map(ms),
        handshake_s: oldest.map(|age| age.as_secs()),
    }
}

fn trouble(link: &LinkHealth) -> Option<String> {
    let what = match (link.ping_ok, link.ping_large_ok) {
        (Some(false), _) => "no packet comes back",
        (Some(true), Some(false)) => "large packets are lost: the MTU is too large for the path",
        (None, _) if link.handshake_age.is_none() => "no handshake was ever made",
        _ => return None,
    };
    Some(format!("{}: {what}", link.machine))
}

/// For people: one line for each machine, and its troubles below.
pub(super) fn text(views: &[View]) -> String {
    let mut out = String::from("mesh\n");
    let width = views
        .iter()
        .map(|view| view.machine.as_str().len())
        .max()
        .unwrap_or_default();
    for view in views {
        let all = view.well + view.trouble.len();
        let name = plain(view.machine.as_str());
        let _ = write!(out, "  {name:<width$}  reaches {} of {all}", view.well);
        if let Some(rtt) = view.rtt_ms {
            let _ = write!(out, ", slowest {rtt:.1} ms");
        }
        if let Some(age) = view.handshake_s {
            let _ = write!(out, ", oldest handshake {age} s ago");
        }
        out.push('\n');
        for trouble in &view.trouble {
            let _ = writeln!(out, "  {:width$}    {}", "", plain(trouble));
        }
    }
    out.push('\n');
    out
}

/// Whether every machine reaches every other.
pub(super) fn whole(views: &[View]) -> bool {
    views.iter().all(|view| view.trouble.is_empty())
}

/// The mesh's MTU, as the manifest wants it: every peer has the same.
pub(super) fn mtu(desired: &quorate_engine::graph::Desired) -> Option<u16> {
    desired
        .resources()
        .find_map(|resource| match resource.spec {
            Spec::Peer { mtu, .. } => Some(mtu),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(small: Option<bool>, large: Option<bool>, shaken: bool) -> LinkHealth {
        LinkHealth {
            machine: ResourceId::new("shop/w/2"),
            handshake_age: shaken.then_some(Duration::from_secs(7)),
            rx: 0,
            tx: 0,
            ping_ok: small,
            ping_large_ok: large,
            rtt: Some(Duration::from_micros(1500)),
        }
    }

    #[test]
    fn trouble_is_named_and_health_is_counted() {
        for (link, expected) in [
            (link(Some(true), Some(true), true), None),
            (link(Some(false), Some(false), true), Some("no packet")),
            (link(Some(true), Some(false), true), Some("MTU")),
            (link(None, None, true), None),
            (link(None, None, false), Some("handshake")),
        ] {
            let found = trouble(&link);
            assert_eq!(found.is_some(), expected.is_some(), "{link:?}");
            let said = found.unwrap_or_default();
            assert!(said.contains(expected.unwrap_or_default()), "{said}");
        }
        let links = [
            link(Some(true), Some(true), true),
            link(Some(false), None, false),
        ];
        let view = view(ResourceId::new("shop/w/1"), &links);
        assert_eq!((view.well, view.handshake_s), (1, Some(7)));
        assert!(!whole(std::slice::from_ref(&view)));
        let text = text(&[view]);
        assert!(text.contains("reaches 1 of 2, slowest 1.5 ms"), "{text}");
    }
}
