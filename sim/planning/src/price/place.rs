//! Places as bills tell them apart, and what a way between two of them is called.

use crate::data::Destination;
use quorate_engine::catalog;
use quorate_engine::manifest::ProviderKind;
use quorate_engine::topology::Node;

/// A zone of a provider.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The provider's name.
    pub(super) provider: String,
    pub(super) kind: ProviderKind,
    pub(super) region: String,
    pub(super) zone: String,
}

impl Place {
    pub(super) fn of(node: &Node) -> Self {
        Self {
            provider: node.provider.clone(),
            kind: node.provider_kind,
            region: node.region.clone(),
            zone: node.zone.clone(),
        }
    }

    /// As people read it; hosts without a region have their provider's name as one.
    pub(super) fn name(&self) -> String {
        if self.region == self.provider {
            self.provider.clone()
        } else {
            format!("{}/{}", self.provider, self.region)
        }
    }

    /// What a bill calls the way from here to there; none: it is not billed, inside a zone.
    pub(super) fn way_to(&self, there: &Self) -> Option<Destination> {
        if self.provider != there.provider {
            return Some(Destination::Internet);
        }
        if self.region == there.region {
            return (self.zone != there.zone).then_some(Destination::Zone);
        }
        let continents = [self, there].map(|place| continent(place.kind, &place.region));
        Some(match continents {
            [Some(a), Some(b)] if a != b => Destination::Continent,
            [Some(_), Some(_)] | [None, _] | [_, None] => Destination::Region,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Continent {
    Americas,
    Europe,
    Africa,
    MiddleEast,
    AsiaPacific,
}

/// By the coordinates of the catalogue, with straight borders: no known region lies near one.
fn continent(kind: ProviderKind, region: &str) -> Option<Continent> {
    let place = catalog::region(kind, region)?;
    Some(match (place.latitude, place.longitude) {
        (_, east) if east < -30.0 => Continent::Americas,
        (_, east) if east > 60.0 => Continent::AsiaPacific,
        (north, _) if north > 36.0 => Continent::Europe,
        (_, east) if east > 34.0 => Continent::MiddleEast,
        _ => Continent::Africa,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ProviderKind::Aws;

    #[test]
    fn ways_have_the_names_that_bills_give_them() {
        let place = |provider: &str, region: &str, zone: &str| Place {
            provider: provider.into(),
            kind: Aws,
            region: region.into(),
            zone: zone.into(),
        };
        let here = place("a", "eu-central-1", "eu-central-1a");
        for (there, way) in [
            (place("a", "eu-central-1", "eu-central-1a"), None),
            (
                place("a", "eu-central-1", "eu-central-1b"),
                Some(Destination::Zone),
            ),
            (
                place("a", "eu-west-1", "eu-west-1a"),
                Some(Destination::Region),
            ),
            (
                place("a", "us-east-1", "us-east-1a"),
                Some(Destination::Continent),
            ),
            (
                place("a", "me-south-1", "me-south-1a"),
                Some(Destination::Continent),
            ),
            (
                place("b", "eu-central-1", "eu-central-1a"),
                Some(Destination::Internet),
            ),
        ] {
            assert_eq!(here.way_to(&there), way, "{there:?}");
        }
    }
}
