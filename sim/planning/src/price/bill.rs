//! What is there for the whole month, or for a part of it: machines, disks, addresses, zones.

use super::{Group, Line, Unknown};
use crate::data::{Currency, Data, Item, MONTH_HOURS, MachinePrice, OtherPrice, word};
use quorate_engine::manifest::{Manifest, NodePool, ProviderKind, Role};
use std::collections::{BTreeMap, BTreeSet};

/// A bill as it is written.
pub(super) struct Bill<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) data: &'a Data,
    pub(super) lines: Vec<Line>,
    pub(super) unknown: BTreeSet<Unknown>,
}

/// What a pool has in a month: machines, in months of one machine each.
pub(super) type Sizes = BTreeMap<String, f64>;

/// Machines of each pool: those of growing pools that `bursting` names have their largest size for
/// so many hours, and their smallest for the rest.
pub(super) fn sizes(
    manifest: &Manifest,
    bursting: impl Fn(&NodePool) -> bool,
    hours: f64,
) -> Sizes {
    let size = |pool: &NodePool| {
        let fixed = pool.count.unwrap_or(0).max(pool.hosts.len() as u32);
        let Some(bounds) = pool.autoscale else {
            return f64::from(fixed);
        };
        let share = if bursting(pool) {
            hours / MONTH_HOURS
        } else {
            0.0
        };
        f64::from(bounds.min) + f64::from(bounds.max - bounds.min) * share
    };
    let pools = manifest.spec.node_pools.iter();
    pools.map(|pool| (pool.name.clone(), size(pool))).collect()
}

impl Bill<'_> {
    fn kind(&self, provider: &str) -> ProviderKind {
        let providers = &self.manifest.spec.providers;
        let found = providers.iter().find(|one| one.name == provider);
        found.expect("the checked manifest has every provider").kind
    }

    fn unknown(&mut self, what: String, fix: String) {
        self.unknown.insert(Unknown { what, fix });
    }

    /// Everything that pools of these sizes bring with them, and the zones.
    pub(super) fn fixed(&mut self, sizes: &Sizes) {
        let manifest = self.manifest;
        let pools = || {
            manifest
                .spec
                .node_pools
                .iter()
                .map(|pool| (pool, sizes[&pool.name]))
        };
        for (pool, size) in pools().filter(|(_, size)| *size > 0.0) {
            self.machines(pool, size);
            self.disks(pool, size);
        }
        let mut addresses: BTreeMap<&str, f64> = BTreeMap::new();
        let mut boots: BTreeMap<(&str, &str), f64> = BTreeMap::new();
        for (pool, size) in pools().filter(|(_, size)| *size > 0.0) {
            *addresses.entry(&pool.provider).or_default() += size;
            let region = pool.region.as_deref().unwrap_or("");
            *boots.entry((&pool.provider, region)).or_default() += size;
        }
        for (place, count) in boots {
            self.boot_disks(place, count);
        }
        for (provider, count) in addresses {
            self.addresses(provider, count);
        }
        let zones: BTreeSet<(&str, &str)> = manifest
            .spec
            .dns
            .iter()
            .map(|dns| (dns.provider.as_str(), dns.zone.as_str()))
            .collect();
        for (provider, zone) in zones {
            self.zone(provider, zone);
        }
        self.lines.sort_by_key(|line| line.group);
    }

    fn machines(&mut self, pool: &NodePool, size: f64) {
        let kind = self.kind(&pool.provider);
        let region = pool.region.as_deref();
        // Hosts that exist already have no type: a row may name their pool.
        let name = pool.machine_type.as_deref().unwrap_or(&pool.name);
        let fits = |there: Option<&str>| match (there, region) {
            (None, _) => true,
            (Some(there), Some(here)) => there.eq_ignore_ascii_case(here),
            (Some(there), None) => there == pool.provider,
        };
        let mut rows: Vec<_> = self.data.machines.iter().collect();
        rows.retain(|row| row.provider == kind && row.machine_type.eq_ignore_ascii_case(name));
        rows.retain(|row| fits(row.region.as_deref()));
        let row = rows.into_iter().max_by_key(|row| row.region.is_some());
        let price = row.and_then(|row| match pool.spot {
            true => row.spot_monthly,
            false => Some(row.monthly),
        });
        let place = region.map_or_else(String::new, |region| format!(" in {region}"));
        let spot = if pool.spot { ", spot" } else { "" };
        let what = format!("{}: {name}{place}{spot}", pool.name);
        if price.is_none() {
            let column = if pool.spot { "spot_price" } else { "price" };
            let word = word(&kind);
            let region = region.unwrap_or("");
            self.unknown(
                format!("machines of {what}"),
                format!(
                    "`{column}` in `machines.csv` with provider {word}, region {region}, \
                         machine_type {name}"
                ),
            );
        }
        let role = |role| pool.roles.contains(&role);
        let group = if role(Role::ControlPlane) {
            Group::ControlPlane
        } else if role(Role::Worker) {
            Group::Workers
        } else if role(Role::LoadBalancer) {
            Group::LoadBalancers
        } else {
            Group::OtherMachines
        };
        let known = row.filter(|_| price.is_some());
        self.lines.push(Line {
            group,
            provider: pool.provider.clone(),
            what,
            quantity: size,
            unit: "machine-months",
            amount: price.map(|price| price * size),
            currency: known.map(|row| row.currency),
            steps: Vec::new(),
            rows: known.map(MachinePrice::used).into_iter().collect(),
        });
    }

    /// The price of something, by region if there is one for it.
    fn other(&self, kind: ProviderKind, item: Item, region: Option<&str>) -> Option<OtherPrice> {
        let here = |row: &&OtherPrice| match (&row.region, region) {
            (None, _) => true,
            (Some(there), Some(here)) => there.eq_ignore_ascii_case(here),
            (Some(_), None) => false,
        };
        let rows = self.data.others.iter();
        let fit = rows
            .filter(|row| row.provider == kind && row.item == item)
            .filter(here);
        fit.max_by_key(|row| row.region.is_some()).cloned()
    }

    fn item(
        &mut self,
        group: Group,
        (provider, what): (&str, String),
        (quantity, unit): (f64, &'static str),
        price: Option<OtherPrice>,
    ) {
        self.lines.push(Line {
            group,
            provider: provider.to_owned(),
            what,
            quantity,
            unit,
            amount: price.as_ref().map(|row| row.monthly * quantity),
            currency: price.as_ref().map(|row| row.currency),
            steps: Vec::new(),
            rows: price.iter().map(OtherPrice::used).collect(),
        });
    }

    fn disks(&mut self, pool: &NodePool, size: f64) {
        let kind = self.kind(&pool.provider);
        let bytes: u64 = pool.disks.iter().map(|disk| disk.size.0).sum();
        // What hosts hold is theirs.
        if bytes == 0 || is_own(kind) {
            return;
        }
        let region = pool.region.as_deref().unwrap_or("");
        let unpriced = format!("disks of {} in {region}", pool.name);
        let price = self.disk_price(kind, region, &unpriced);
        let what = format!("{}: additional disks", pool.name);
        let gb = bytes as f64 / 1e9 * size;
        self.item(
            Group::Disks,
            (&pool.provider, what),
            (gb, "GB-months"),
            price,
        );
    }

    /// Some providers bill the disk that a machine boots from apart from it; as large as their own
    /// Debian image makes it.
    fn boot_disks(&mut self, (provider, region): (&str, &str), count: f64) {
        let kind = self.kind(provider);
        let apart = matches!(
            kind,
            ProviderKind::Aws | ProviderKind::Gcp | ProviderKind::Azure | ProviderKind::Oci
        );
        if !apart {
            return;
        }
        let size = format!("disk.boot.{}", word(&kind));
        let gb = self.data.assumption(&size).value * count;
        let what = format!("boot disks in {region}, one for each machine");
        let price = self.disk_price(kind, region, &what);
        self.item(Group::Disks, (provider, what), (gb, "GB-months"), price);
    }

    /// The price of a GB in a region; where there is none, that is said of `what`.
    fn disk_price(&mut self, kind: ProviderKind, region: &str, what: &str) -> Option<OtherPrice> {
        let price = self.other(kind, Item::Disk, Some(region));
        if price.is_none() {
            let word = word(&kind);
            let row =
                format!("a row of `prices.csv` with provider {word}, region {region}, item disk");
            self.unknown(what.to_owned(), row);
        }
        price
    }

    fn addresses(&mut self, provider: &str, count: f64) {
        let kind = self.kind(provider);
        if is_own(kind) {
            return;
        }
        let price = self.other(kind, Item::Address, None);
        if price.is_none() {
            self.unknown(
                format!("addresses at {provider}"),
                format!(
                    "a row of `prices.csv` with provider {}, item address",
                    word(&kind)
                ),
            );
        }
        let what = "public IPv4 addresses, one for each machine".to_owned();
        let quantity = (count, "address-months");
        self.item(Group::Addresses, (provider, what), quantity, price);
    }

    fn zone(&mut self, provider: &str, zone: &str) {
        let kind = self.kind(provider);
        // One's own name servers run on machines that are paid for already.
        if matches!(kind, ProviderKind::Builtin | ProviderKind::Rfc2136) {
            return;
        }
        let price = self.other(kind, Item::Zone, None);
        if price.is_none() {
            self.unknown(
                format!("zone {zone} at {provider}"),
                format!(
                    "a row of `prices.csv` with provider {}, item zone",
                    word(&kind)
                ),
            );
        }
        self.item(
            Group::Zones,
            (provider, zone.to_owned()),
            (1.0, "zone-months"),
            price,
        );
    }
}

/// Machines that nobody rents out by the month.
fn is_own(kind: ProviderKind) -> bool {
    matches!(kind, ProviderKind::Static | ProviderKind::Libvirt)
}

/// What is known of these lines, by currency.
pub(super) fn totals(lines: &[Line]) -> BTreeMap<Currency, f64> {
    let mut totals = BTreeMap::new();
    for line in lines {
        if let (Some(amount), Some(currency)) = (line.amount, line.currency) {
            *totals.entry(currency).or_default() += amount;
        }
    }
    totals
}
