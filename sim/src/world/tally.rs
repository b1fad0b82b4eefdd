//! How many events of each kind a world has seen: what a run costs, and why.
//!
//! Knows the kinds of events and nothing of what they do.

use super::Happening;
use crate::etcd::EtcdEvent;
use crate::kube::KubeEvent;
use crate::traffic::TrafficEvent;

/// Names of the kinds, in the order of [`kind`].
const NAMES: [&str; 18] = [
    "etcd tick",
    "etcd message",
    "etcd disk write",
    "etcd probe and dial",
    "request arrival",
    "request step",
    "request deadline",
    "backend check",
    "DNS check",
    "DNS publication",
    "node lease",
    "node monitor",
    "controller election",
    "controller sync",
    "pod and endpoint",
    "provider API",
    "orchestrator",
    "machine",
];

/// Events so far, by kind.
#[derive(Debug, Default)]
pub(super) struct Tally([u64; NAMES.len()]);

impl Tally {
    #[inline]
    pub(super) fn add(&mut self, event: &Happening) {
        self.0[kind(event)] += 1;
    }

    pub(super) fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(super) fn by_kind(&self) -> impl Iterator<Item = (&'static str, u64)> {
        NAMES.into_iter().zip(self.0)
    }
}

#[inline]
fn kind(event: &Happening) -> usize {
    match event {
        Happening::Etcd(_, event) => match event {
            EtcdEvent::Tick(_) => 0,
            EtcdEvent::Deliver { .. } => 1,
            EtcdEvent::Written(_) => 2,
            EtcdEvent::Probe(_) | EtcdEvent::Dial { .. } => 3,
        },
        Happening::Traffic(event) => match event {
            TrafficEvent::Arrival { .. } => 4,
            TrafficEvent::Wake { .. } => 5,
            TrafficEvent::Deadline { .. } => 6,
            TrafficEvent::Check(_) | TrafficEvent::Checked { .. } => 7,
            TrafficEvent::DnsCheck(_) | TrafficEvent::DnsChecked { .. } => 8,
            TrafficEvent::DnsPublish { .. } => 9,
        },
        Happening::Kube(event) => match event {
            KubeEvent::Lease { .. } => 10,
            KubeEvent::Monitor => 11,
            KubeEvent::Election => 12,
            KubeEvent::Sync => 13,
            KubeEvent::Publish
            | KubeEvent::Taint { .. }
            | KubeEvent::Evict { .. }
            | KubeEvent::Started { .. }
            | KubeEvent::Stopped { .. }
            | KubeEvent::ForceDetach { .. }
            | KubeEvent::Drain { .. }
            | KubeEvent::Collect { .. } => 14,
        },
        Happening::Cloud(_) => 15,
        Happening::Control(_) => 16,
        Happening::Boot(..)
        | Happening::ApiUp(..)
        | Happening::Respawn(..)
        | Happening::NamesBack(_)
        | Happening::PathsChanged
        | Happening::Linked => 17,
    }
}
