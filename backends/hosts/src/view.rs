//! What a probe has found on a machine, judged: only what works as it was installed counts.
//!
//! A fingerprint of 0 says: it is there, and not as it should be.

use crate::links::{self, Live};
use quorate_engine::resource::Kind;
use quorate_engine::seam::HostView;
use std::collections::BTreeMap;

/// The answer to a probe. On a machine with somebody else's mark, or none, nothing is ours.
pub(crate) fn view(probe: &str, owner: &str) -> HostView {
    let facts = Facts::read(probe);
    let mut view = HostView::default();
    if facts.one("owner") != Some(owner) {
        return view;
    }
    if let Some(host) = facts.one("host") {
        let print = if facts.kubernetes_is_sound() {
            host_print(host)
        } else {
            0
        };
        view.installed.push((Kind::Host, print));
    }
    if let Some(print) = facts.stored("fingerprint") {
        let sound = facts.peer_is_sound();
        view.installed
            .push((Kind::Peer, if sound { hex(print) } else { 0 }));
        view.mesh_key = facts.one("live-key").and_then(|key| key.parse().ok());
    }
    if facts.has("links") {
        view.installed.push((Kind::Links, facts.links_print()));
    }
    view.installed
        .extend(facts.all("node").iter().filter_map(|line| node(line)));
    view.installed
        .extend(facts.all("proxy").iter().filter_map(|line| haproxy(line)));
    view.installed.sort_unstable();
    view
}

/// Fingerprint, and whether packets are forwarded.
fn host_print(fact: &str) -> u64 {
    match fact.split_once(' ') {
        Some((print, "1")) => hex(print),
        _ => 0,
    }
}

/// What kubeadm has set up: its name, its fingerprint, whether the file is there that it leaves,
/// whether kubelet runs.
fn node(line: &str) -> Option<(Kind, u64)> {
    let (name, rest) = line.split_once(' ')?;
    let kind = match name {
        "etcd" => Kind::EtcdMember,
        "control-plane" => Kind::ControlPlane,
        "worker" => Kind::Worker,
        _ => return None,
    };
    let print = match rest.split(' ').collect::<Vec<_>>()[..] {
        [print, "yes", "yes"] => hex(print),
        _ => 0,
    };
    Some((kind, print))
}

/// One of our HAProxies: its name, its fingerprint, digests of its files as they were and as they
/// are, whether it works.
fn haproxy(line: &str) -> Option<(Kind, u64)> {
    let (name, rest) = line.split_once(' ')?;
    let kind = match name {
        "balancer" => Kind::Balancer,
        "api-proxy" => Kind::ApiProxy,
        _ => return None,
    };
    let print = match rest.split(' ').collect::<Vec<_>>()[..] {
        [print, stored, found, "yes"] if stored == found => hex(print),
        _ => 0,
    };
    Some((kind, print))
}

/// 0 for what is no fingerprint.
fn hex(text: &str) -> u64 {
    u64::from_str_radix(text, 16).unwrap_or(0)
}

/// Lines of a probe by their first word.
struct Facts<'a>(BTreeMap<&'a str, Vec<&'a str>>);

impl<'a> Facts<'a> {
    fn read(probe: &'a str) -> Self {
        let mut facts = BTreeMap::<_, Vec<_>>::new();
        for line in probe.lines() {
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            facts.entry(name).or_default().push(value);
        }
        Self(facts)
    }

    fn all(&self, name: &str) -> &[&'a str] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    fn one(&self, name: &str) -> Option<&'a str> {
        self.all(name).first().copied()
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A word of what is stored of the mesh.
    fn stored(&self, name: &str) -> Option<&'a str> {
        let mut lines = self
            .all("peer")
            .iter()
            .filter_map(|line| line.split_once(' '));
        lines
            .find(|(word, _)| *word == name)
            .map(|(_, value)| value)
    }

    /// Digests of the files as they were and as they are; whether there are kubeadm and kubelet,
    /// and whether containerd runs. Where there is to be no Kubernetes, nothing is amiss.
    fn kubernetes_is_sound(&self) -> bool {
        self.one("kubernetes").is_none_or(|fact| {
            let words: Vec<_> = fact.split(' ').collect();
            matches!(words[..], [stored, found, "yes", "yes", "yes"] if stored == found)
        })
    }

    /// The interface lives as it is stored, and comes back after a boot where systemd runs.
    fn peer_is_sound(&self) -> bool {
        let link: Vec<_> = self
            .one("live-link")
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let after = |word| {
            link.iter()
                .position(|w| *w == word)
                .and_then(|at| link.get(at + 1))
        };
        let flags = link
            .iter()
            .find_map(|w| w.strip_prefix('<')?.strip_suffix('>'));
        let up = flags.is_some_and(|flags| flags.split(',').any(|flag| flag == "UP"));
        let address = self
            .stored("address")
            .map(|address| format!("{address}/32"));
        let key = self.one("live-key");
        up && key.is_some()
            && key == self.one("pubkey")
            && self.one("live-port") == self.stored("port")
            && after("mtu").copied() == self.stored("mtu")
            && self.all("live-address") == [address.unwrap_or_default()]
            && self.one("boot").is_none_or(|boot| boot == "enabled")
    }

    /// The stored list's fingerprint if the interface has exactly its peers, and routes to them.
    fn links_print(&self) -> u64 {
        let list = self.all("links").join("\n");
        let Some((print, wanted)) = links::read(&list) else {
            return 0;
        };
        let live: Option<Vec<Live>> = self
            .all("live-peer")
            .iter()
            .map(|l| links::live(l))
            .collect();
        let Some(live) = live else { return 0 };
        let routes = self.all("live-route");
        let routed = |net: &String| routes.contains(&net.strip_suffix("/32").unwrap_or(net));
        let equal = live.len() == wanted.len()
            && self.has("live-key")
            && live.iter().all(|live| {
                !live.preshared && wanted.get(&live.key).is_some_and(|peer| *peer == live.peer)
            })
            && wanted.values().flat_map(|peer| &peer.allowed).all(routed);
        if equal { print } else { 0 }
    }
}

#[cfg(test)]
mod tests;
