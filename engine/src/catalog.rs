//! What is known about providers' regions, machine types and distances, from dated files.
//!
//! Knows neither prices nor stock, and asks no provider: an unknown name may still exist.
//! The files and where they come from: `data/README.md` of this crate.

mod distance;
mod measured;
mod rows;
mod rtt;

pub use measured::{BadRow, COLUMNS, Distances, read_distances};
pub use rtt::{BETWEEN_ZONES, Rtt, RttSource, UNKNOWN_PLACE, WITHIN_ZONE, rtt};

use crate::manifest::{ProviderKind, Resources};
use crate::units::{Bytes, Cpu};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A region of a provider.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    /// The name in the provider's API.
    pub name: &'static str,
    /// Its zones by their names in the API; empty where there are none, or none are known.
    pub zones: Vec<&'static str>,
    /// Degrees north of the city the provider names.
    pub latitude: f64,
    /// Degrees east of the city the provider names.
    pub longitude: f64,
}

static REGIONS: LazyLock<BTreeMap<ProviderKind, Vec<Region>>> = LazyLock::new(|| {
    let mut regions = BTreeMap::<_, Vec<Region>>::new();
    for [provider, name, zones, latitude, longitude, _evidence] in
        rows::of(include_str!("../data/regions.csv"))
    {
        let zones = zones.split(';').filter(|zone| !zone.is_empty()).collect();
        regions
            .entry(rows::provider(provider))
            .or_default()
            .push(Region {
                name,
                zones,
                latitude: rows::number(latitude),
                longitude: rows::number(longitude),
            });
    }
    regions
});

static MACHINES: LazyLock<BTreeMap<ProviderKind, BTreeMap<&'static str, Resources>>> =
    LazyLock::new(|| {
        let mut machines = BTreeMap::<_, BTreeMap<_, _>>::new();
        for [provider, name, vcpu, memory_gib, _evidence] in
            rows::of(include_str!("../data/machines.csv"))
        {
            let resources = Resources {
                cpu: Cpu((rows::number(vcpu) * 1_000.0) as u64),
                memory: Bytes((rows::number(memory_gib) * (1u64 << 30) as f64) as u64),
            };
            let known = machines.entry(rows::provider(provider)).or_default();
            let before = known.insert(name, resources);
            assert!(before.is_none(), "a machine type stands once: {name}");
        }
        machines
    });

/// A name as files and people's habits share it: Azure's "Germany West Central" is
/// `germanywestcentral` in its API, and no provider tells names apart by case.
#[must_use]
pub fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| *c != ' ')
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// The known regions of a provider, by name; none where the catalogue lacks the provider.
#[must_use]
pub fn regions(kind: ProviderKind) -> &'static [Region] {
    REGIONS.get(&kind).map_or(&[], Vec::as_slice)
}

/// A region by its API name or, for Azure, its display name.
#[must_use]
pub fn region(kind: ProviderKind, name: &str) -> Option<&'static Region> {
    let name = plain(name);
    regions(kind).iter().find(|region| region.name == name)
}

/// The known machine types of a provider; none where the catalogue lacks the provider.
pub fn machines(kind: ProviderKind) -> impl Iterator<Item = &'static str> {
    MACHINES
        .get(&kind)
        .into_iter()
        .flat_map(|m| m.keys().copied())
}

/// What a machine type holds, before anything is reserved for the system.
#[must_use]
pub fn machine(kind: ProviderKind, name: &str) -> Option<Resources> {
    let known = MACHINES.get(&kind)?;
    let exact = known.get(name);
    exact
        .or_else(|| {
            let same = known.iter().find(|(k, _)| k.eq_ignore_ascii_case(name));
            same.map(|(_, resources)| resources)
        })
        .copied()
}

/// The largest packet, in bytes, that every path between machines of these providers carries over
/// the Internet. Google documents 1460 for its networks; elsewhere it is Ethernet's 1500.
#[must_use]
pub fn path_mtu(kinds: impl Iterator<Item = ProviderKind>) -> u16 {
    let underlay = |kind| match kind {
        ProviderKind::Gcp => 1_460,
        _ => 1_500,
    };
    kinds.map(underlay).min().unwrap_or(1_500)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_places_and_machines_are_found() {
        let frankfurt = region(ProviderKind::Aws, "eu-central-1").unwrap();
        assert_eq!(frankfurt.zones.len(), 3);
        assert_eq!(
            region(ProviderKind::Azure, "Germany West Central").map(|r| r.name),
            Some("germanywestcentral")
        );
        assert_eq!(region(ProviderKind::Hetzner, "eu-central-1"), None);
        assert!(regions(ProviderKind::Static).is_empty());
        let cx33 = machine(ProviderKind::Hetzner, "CX33").unwrap();
        assert_eq!((cx33.cpu, cx33.memory), (Cpu(4_000), Bytes(8 << 30)));
        let small = machine(ProviderKind::Aws, "t3.nano").unwrap();
        assert_eq!(small.memory, Bytes(1 << 29));
        assert_eq!(machine(ProviderKind::Aws, "cx33"), None);
    }

    #[test]
    fn names_in_the_files_are_plain_and_regions_stand_once() {
        for (kind, regions) in REGIONS.iter() {
            for pair in regions.windows(2) {
                assert!(pair[0].name < pair[1].name, "{kind:?} {}", pair[1].name);
            }
            assert!(regions.iter().all(|r| plain(r.name) == r.name));
            assert!(regions.iter().all(|r| r.latitude.abs() <= 90.0));
        }
    }
}
