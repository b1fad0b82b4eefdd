//! Regions with machines, and round trips between machines, by the catalogue.

use super::Latency;
use crate::design::Design;
use quorate_engine::catalog::{self, Rtt, RttSource};
use quorate_engine::manifest::ProviderKind;
use quorate_engine::topology::Node;
use std::collections::BTreeSet;

/// A region of a provider.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The provider's name.
    pub(super) provider: String,
    pub(super) kind: ProviderKind,
    pub(super) region: String,
}

impl Place {
    pub(super) fn of(node: &Node) -> Self {
        Self {
            provider: node.provider.clone(),
            kind: node.provider_kind,
            region: node.region.clone(),
        }
    }

    pub(super) fn name(&self) -> String {
        if self.region == self.provider {
            self.provider.clone()
        } else {
            format!("{}/{}", self.provider, self.region)
        }
    }
}

/// Regions with machines.
pub(super) fn all(design: &Design) -> Vec<Place> {
    let places: BTreeSet<Place> = design.nodes().iter().map(Place::of).collect();
    places.into_iter().collect()
}

fn latency(rtt: Rtt) -> Latency {
    Latency {
        ms: rtt.rtt.0 as f64 / 1e6,
        measured: match rtt.source {
            RttSource::Measured { .. } | RttSource::Own => true,
            RttSource::Estimated => false,
        },
    }
}

/// The round trip between two regions of different names.
pub(super) fn between(design: &Design, a: &Place, b: &Place) -> Latency {
    latency(
        design
            .distances
            .rtt((a.kind, &a.region), (b.kind, &b.region)),
    )
}

/// The round trip between two machines; none inside one.
pub(super) fn round_trip(design: &Design, a: &Node, b: &Node) -> Latency {
    if a.id == b.id {
        return Latency::NONE;
    }
    if a.provider == b.provider && a.region == b.region && a.zone != b.zone {
        return latency(catalog::BETWEEN_ZONES);
    }
    between(design, &Place::of(a), &Place::of(b))
}

/// Round trips between all regions; in one of them the longest between its machines' zones.
pub(super) fn matrix(design: &Design, places: &[Place]) -> Vec<Vec<Latency>> {
    let inside = |place: &Place| {
        let here = design
            .nodes()
            .iter()
            .filter(|node| Place::of(node) == *place);
        let zones: BTreeSet<&str> = here.map(|node| node.zone.as_str()).collect();
        if zones.len() > 1 {
            latency(catalog::BETWEEN_ZONES)
        } else {
            between(design, place, place)
        }
    };
    let cell = |a: &Place, b: &Place| {
        if a == b {
            inside(a)
        } else {
            between(design, a, b)
        }
    };
    let row = |a| places.iter().map(|b| cell(a, b)).collect();
    places.iter().map(row).collect()
}
