//! What can be known to be wrong before anything is made at Hetzner.
//!
//! Reads only. Quotas are shown nowhere in the API: they are met when they are met.

use super::wire::{Firewall, Image, Location, Network, Offer, Server, ServerType, Thing};
use super::{Hetzner, PER_PAGE, dialect};
use crate::Problem;
use crate::labels;
use ipnet::Ipv4Net;
use quorate_engine::resource::{Kind, Resource, Spec};
use quorate_engine::seam::{Fault, FaultClass};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The gateway of every server's public interface: no network may contain it (vendor's
/// documentation of networks).
const GATEWAY: Ipv4Addr = Ipv4Addr::new(172, 31, 1, 1);

/// The smallest network, in bits (vendor's documentation of networks).
const LONGEST_PREFIX: u8 = 24;

/// What is there, whoever's it is.
struct Project {
    locations: Vec<Location>,
    types: Vec<ServerType>,
    /// Owned by us or not, by kind and name.
    names: BTreeMap<(Kind, String), bool>,
    /// Addresses of networks, by name.
    networks: BTreeMap<String, String>,
}

fn problem(what: String, fix: impl Into<String>) -> Problem {
    Problem {
        what,
        fix: fix.into(),
    }
}

impl Hetzner {
    pub(super) async fn problems(&self, wanted: &[Arc<Resource>]) -> Vec<Problem> {
        match self.look(wanted).await {
            Ok(found) => found,
            Err(fault) => vec![self.unreadable(&fault)],
        }
    }

    /// The project itself cannot be read.
    fn unreadable(&self, fault: &Fault) -> Problem {
        let fix = match fault.class {
            FaultClass::Auth => dialect::TOKEN_FIX,
            FaultClass::Retryable | FaultClass::Unknown | FaultClass::Busy => {
                "see that its endpoint can be reached from here, and run again"
            }
            FaultClass::Exists
            | FaultClass::Capacity
            | FaultClass::Quota
            | FaultClass::Invalid
            | FaultClass::NotFound
            | FaultClass::Refused => {
                "see that the provider's `endpoint` (or HCLOUD_ENDPOINT) is Hetzner's API, with \
                 its version at the end"
            }
        };
        let name = &self.site.provider.name;
        problem(format!("provider {name}: {}", fault.detail), fix)
    }

    async fn look(&self, wanted: &[Arc<Resource>]) -> Result<Vec<Problem>, Fault> {
        // First alone: with a wrong token, one refusal is enough.
        let locations = self
            .api
            .list("/locations", &[PER_PAGE], "locations")
            .await?;
        let (types, servers, networks, firewalls) = tokio::try_join!(
            self.api.list("/server_types", &[PER_PAGE], "server_types"),
            self.every::<Server>(),
            self.every::<Network>(),
            self.every::<Firewall>(),
        )?;
        let mut names = BTreeMap::new();
        self.note(&mut names, &servers, |server| &server.name);
        self.note(&mut names, &networks, |network| &network.name);
        self.note(&mut names, &firewalls, |firewall| &firewall.name);
        let networks = networks.into_iter();
        let project = Project {
            locations,
            types,
            names,
            networks: networks.map(|net| (net.name, net.ip_range)).collect(),
        };
        let mut found = BTreeMap::new();
        let mut images = BTreeSet::new();
        for resource in wanted {
            for problem in project.judge(resource) {
                found.insert(problem.what, problem.fix);
            }
            if let Spec::Machine { image, .. } = &resource.spec
                && !project.has(resource)
            {
                images.insert((image.clone(), project.architecture(resource)));
            }
        }
        for (image, architecture) in images {
            if let Some(problem) = self.image(&image, architecture.as_deref()).await? {
                found.insert(problem.what, problem.fix);
            }
        }
        Ok(found
            .into_iter()
            .map(|(what, fix)| problem(what, fix))
            .collect())
    }

    async fn every<T: Thing>(&self) -> Result<Vec<T>, Fault> {
        let path = format!("/{}", T::MANY);
        self.api.list(&path, &[PER_PAGE], T::MANY).await
    }

    fn note<T: Thing>(
        &self,
        names: &mut BTreeMap<(Kind, String), bool>,
        things: &[T],
        name: fn(&T) -> &String,
    ) {
        for thing in things {
            let ours = self.ours(thing.labels());
            let ours = ours.is_some_and(|labels| labels::name(&labels.id) == *name(thing));
            names.insert((T::KIND, name(thing).clone()), ours);
        }
    }

    /// An image, by its name or, where it is a snapshot, by its id.
    async fn image(&self, image: &str, for_type: Option<&str>) -> Result<Option<Problem>, Fault> {
        let found: Vec<Image> = if image.bytes().all(|byte| byte.is_ascii_digit()) {
            match self.api.get(&format!("/images/{image}"), &[]).await {
                Ok(answer) => serde_json::from_value(answer["image"].clone())
                    .into_iter()
                    .collect(),
                Err(fault) if fault.class == FaultClass::NotFound => Vec::new(),
                Err(fault) => return Err(fault),
            }
        } else {
            let query = [("name", image), ("include_deprecated", "true")];
            self.api.list("/images", &query, "images").await?
        };
        let named = format!("image {image}");
        let fix = "name one that `hcloud image list` shows, or the id of a snapshot";
        if found.is_empty() {
            return Ok(Some(problem(
                format!("{named}: the project has no such image"),
                fix,
            )));
        }
        let ready = |image: &&Image| image.status.as_deref() != Some("unavailable");
        let fits = |image: &Image| match (image.architecture.as_deref(), for_type) {
            (Some(has), Some(needs)) => has == needs,
            _ => true,
        };
        let wrong = match found.iter().filter(ready).any(fits) {
            true => return Ok(None),
            false => for_type.unwrap_or("any"),
        };
        let what = format!("{named}: there is none for the architecture of its type, {wrong}");
        Ok(Some(problem(what, fix)))
    }
}

impl Project {
    /// Whether it is there and ours.
    fn has(&self, resource: &Resource) -> bool {
        let name = labels::name(&resource.id);
        self.names.get(&(resource.spec.kind(), name)) == Some(&true)
    }

    fn server_type(&self, name: &str) -> Option<&ServerType> {
        self.types.iter().find(|it| it.name == name)
    }

    fn architecture(&self, resource: &Resource) -> Option<String> {
        let Spec::Machine { machine_type, .. } = &resource.spec else {
            return None;
        };
        self.server_type(machine_type)?.architecture.clone()
    }

    fn judge(&self, resource: &Resource) -> Vec<Problem> {
        let (id, kind) = (&resource.id, resource.spec.kind());
        if let Spec::RecordSet { .. } = resource.spec {
            let what = format!("{id}: no records are kept at Hetzner by this version");
            return vec![problem(what, "name a DNS provider of another type")];
        }
        if !kind.at_provider() {
            return Vec::new();
        }
        let name = labels::name(id);
        let mut found = Vec::new();
        if self.names.get(&(kind, name.clone())) == Some(&false) {
            found.push(problem(
                format!("{id}: the name `{name}` is taken by a {kind} of somebody else"),
                "rename the cluster, or rename or remove what has the name; it is never touched",
            ));
        }
        match &resource.spec {
            Spec::Network { region, cidr } => {
                found.extend(self.location(region));
                found.extend(self.addresses(resource, *cidr));
            }
            Spec::Machine {
                region,
                machine_type,
                spot,
                existing,
                ..
            } if !self.has(resource) => {
                found.extend(self.location(region));
                found.extend(self.offer(machine_type, region));
                if *spot || existing.is_some() {
                    let what = if *spot {
                        "spot machines"
                    } else {
                        "hosts of one's own"
                    };
                    found.push(problem(
                        format!("{id}: Hetzner Cloud has no {what}"),
                        "remove `spot`, or put hosts into a pool of a provider of type `static`",
                    ));
                }
            }
            _ => {}
        }
        found
    }

    fn location(&self, region: &str) -> Option<Problem> {
        let names: Vec<_> = self.locations.iter().map(|it| it.name.as_str()).collect();
        let known = names.contains(&region);
        (!known).then(|| {
            problem(
                format!("region {region}: Hetzner Cloud has no such location"),
                format!("name one of {}", names.join(", ")),
            )
        })
    }

    fn addresses(&self, resource: &Resource, cidr: Ipv4Net) -> Option<Problem> {
        let id = &resource.id;
        let fix = "give the provider another `networkCidr`, within 10.0.0.0/8";
        let there = self.networks.get(&labels::name(id));
        if let Some(there) = there.filter(|_| self.has(resource))
            && *there != cidr.to_string()
        {
            return Some(problem(
                format!("{id}: it has the addresses {there} for good, and {cidr} is wanted"),
                format!(
                    "give the provider its old `networkCidr` ({there} per region), or remove \
                     the machines there first"
                ),
            ));
        }
        let why = if !cidr.network().is_private() || !cidr.broadcast().is_private() {
            "is not within the private addresses (RFC 1918)"
        } else if cidr.prefix_len() > LONGEST_PREFIX {
            "is smaller than a /24"
        } else if cidr.contains(&GATEWAY) {
            "contains 172.31.1.1, the gateway of all servers"
        } else {
            return None;
        };
        Some(problem(format!("{id}: {cidr} {why}"), fix))
    }

    /// Whether a type can be had at a location.
    fn offer(&self, machine_type: &str, region: &str) -> Option<Problem> {
        let Some(offered) = self.server_type(machine_type) else {
            let names: Vec<_> = self.types.iter().map(|it| it.name.as_str()).collect();
            return Some(problem(
                format!("machine type {machine_type}: Hetzner Cloud has no such type"),
                format!("name one of {}", names.join(", ")),
            ));
        };
        let elsewhere = offered.locations.iter().filter(|offer| offer.is_open());
        let elsewhere: Vec<_> = elsewhere.map(|offer| offer.name.as_str()).collect();
        // Where the API says nothing of locations, only the request itself will tell.
        if offered.locations.is_empty() || elsewhere.contains(&region) {
            return None;
        }
        let fix = match elsewhere.is_empty() {
            true => "choose another type: it can be had nowhere now".to_owned(),
            false => format!("choose another type, or one of {}", elsewhere.join(", ")),
        };
        let what = format!("machine type {machine_type}: not to be had in {region} now");
        Some(problem(what, fix))
    }
}

impl Offer {
    fn is_open(&self) -> bool {
        let over = self.deprecation.as_ref().is_some_and(|it| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let today = now.map_or(0, |now| (now.as_secs() / 86_400) as i64);
            day(&it.unavailable_after).is_some_and(|last| last < today)
        });
        self.available != Some(false) && !over
    }
}

/// Days since 1970 of a date as in RFC 3339 (Howard Hinnant, `days_from_civil`).
fn day(date: &str) -> Option<i64> {
    let part = |from: usize, to: usize| date.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    // The year begins in March, so that a leap day is its last.
    let year = if month <= 2 { year - 1 } else { year };
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    Some(year.div_euclid(400) * 146_097 + days - 719_468)
}

#[cfg(test)]
mod tests {
    use super::day;

    #[test]
    fn dates_are_days() {
        assert_eq!(day("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(day("2000-03-01"), Some(11_017));
        assert_eq!(day("2024-02-29T12:00:00+00:00"), Some(19_782));
        assert_eq!(day("2026-11-22"), Some(20_779));
        assert_eq!(day("soon"), None);
    }
}
