//! What Hetzner Cloud has to offer: locations, server types and images, as of October 2026.
//!
//! Names, sizes and places are the vendor's published ones (server types and prices: third-party
//! quotes of the price list of 2026-06-15); where a price is not known it is left at zero rather
//! than made up. Knows nothing of what is in stock: that is a fault's.

use serde_json::{Value, json};

/// A location.
pub(super) struct Location {
    pub(super) id: u64,
    pub(super) name: &'static str,
    pub(super) zone: &'static str,
    description: &'static str,
    country: &'static str,
    city: &'static str,
    at: (f64, f64),
}

const fn location(
    id: u64,
    (name, zone): (&'static str, &'static str),
    description: &'static str,
    (country, city): (&'static str, &'static str),
    at: (f64, f64),
) -> Location {
    Location {
        id,
        name,
        zone,
        description,
        country,
        city,
        at,
    }
}

/// All locations.
pub(super) static LOCATIONS: [Location; 6] = [
    location(
        1,
        ("fsn1", "eu-central"),
        "Falkenstein DC Park 1",
        ("DE", "Falkenstein"),
        (50.47612, 12.370071),
    ),
    location(
        2,
        ("nbg1", "eu-central"),
        "Nuremberg DC Park 1",
        ("DE", "Nuremberg"),
        (49.452102, 11.076665),
    ),
    location(
        3,
        ("hel1", "eu-central"),
        "Helsinki DC Park 1",
        ("FI", "Helsinki"),
        (60.169855, 24.938379),
    ),
    location(
        4,
        ("ash", "us-east"),
        "Ashburn, VA",
        ("US", "Ashburn, VA"),
        (39.045821, -77.487073),
    ),
    location(
        5,
        ("hil", "us-west"),
        "Hillsboro, OR",
        ("US", "Hillsboro, OR"),
        (45.54222, -122.951924),
    ),
    location(
        6,
        ("sin", "ap-southeast"),
        "Singapore",
        ("SG", "Singapore"),
        (1.283333, 103.833333),
    ),
];

/// Where there are network zones.
pub(super) fn is_zone(name: &str) -> bool {
    LOCATIONS.iter().any(|location| location.zone == name)
}

impl Location {
    pub(super) fn shown(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "country": self.country,
            "city": self.city,
            "latitude": self.at.0,
            "longitude": self.at.1,
            "network_zone": self.zone,
        })
    }
}

/// A server type.
pub(super) struct ServerType {
    pub(super) id: u64,
    pub(super) name: &'static str,
    cores: u32,
    memory_gb: u32,
    pub(super) disk_gb: u32,
    /// Per month, net, in Euro cents; zero: not known.
    cents: u32,
}

const fn kind(id: u64, name: &'static str, size: (u32, u32, u32), cents: u32) -> ServerType {
    ServerType {
        id,
        name,
        cores: size.0,
        memory_gb: size.1,
        disk_gb: size.2,
        cents,
    }
}

/// All server types that can be ordered.
pub(super) static SERVER_TYPES: [ServerType; 19] = [
    kind(114, "cx23", (2, 4, 40), 549),
    kind(115, "cx33", (4, 8, 80), 849),
    kind(116, "cx43", (8, 16, 160), 1_599),
    kind(117, "cx53", (16, 32, 320), 2_949),
    kind(45, "cax11", (2, 4, 40), 599),
    kind(93, "cax21", (4, 8, 80), 1_049),
    kind(94, "cax31", (8, 16, 160), 2_099),
    kind(95, "cax41", (16, 32, 320), 0),
    kind(118, "cpx22", (2, 4, 80), 1_949),
    kind(119, "cpx32", (4, 8, 160), 3_549),
    kind(120, "cpx42", (8, 16, 320), 6_949),
    kind(121, "cpx52", (12, 24, 480), 10_049),
    kind(122, "cpx62", (16, 32, 640), 0),
    kind(96, "ccx13", (2, 8, 80), 4_299),
    kind(97, "ccx23", (4, 16, 160), 0),
    kind(98, "ccx33", (8, 32, 240), 13_849),
    kind(99, "ccx43", (16, 64, 360), 0),
    kind(100, "ccx53", (32, 128, 600), 53_349),
    kind(101, "ccx63", (48, 192, 960), 0),
];

impl ServerType {
    /// Cost-optimised and ARM types are European.
    pub(super) fn is_sold_in(&self, location: &Location) -> bool {
        location.zone == "eu-central" || self.name.starts_with("cp") || self.name.starts_with("cc")
    }

    pub(super) fn architecture(&self) -> &'static str {
        if self.name.starts_with("cax") {
            "arm"
        } else {
            "x86"
        }
    }

    /// `available` says whether it can be had at a location now.
    pub(super) fn shown(&self, available: impl Fn(&Location) -> bool) -> Value {
        let dedicated = self.name.starts_with("ccx");
        let sold = || LOCATIONS.iter().filter(|at| self.is_sold_in(at));
        let locations = sold().map(|at| {
            json!({
                "id": at.id,
                "name": at.name,
                "deprecation": null,
                "available": available(at),
                "recommended": available(at),
            })
        });
        json!({
            "id": self.id,
            "name": self.name,
            "description": self.name.to_uppercase(),
            "category": if dedicated { "General Purpose" } else { "Shared vCPU" },
            "cores": self.cores,
            "memory": self.memory_gb,
            "disk": self.disk_gb,
            "storage_type": "local",
            "cpu_type": if dedicated { "dedicated" } else { "shared" },
            "architecture": self.architecture(),
            "deprecated": false,
            "deprecation": null,
            "locations": locations.collect::<Vec<_>>(),
            "prices": sold().map(|at| self.price(at)).collect::<Vec<_>>(),
        })
    }

    fn price(&self, at: &Location) -> Value {
        let month = f64::from(self.cents) / 100.0;
        // The vendor's hourly price is a 624th of the monthly one; 19% tax.
        let both =
            |net: f64| json!({"net": format!("{net:.10}"), "gross": format!("{:.10}", net * 1.19)});
        json!({
            "location": at.name,
            "price_hourly": both(month / 624.0),
            "price_monthly": both(month),
            "included_traffic": 20_u64 << 40,
            "price_per_tb_traffic": both(1.0),
        })
    }
}

/// An operating system, once for each architecture.
pub(super) struct Image {
    pub(super) id: u64,
    pub(super) name: &'static str,
    description: &'static str,
    flavor: &'static str,
    version: &'static str,
    pub(super) architecture: &'static str,
}

const fn image(
    id: u64,
    (name, description): (&'static str, &'static str),
    (flavor, version): (&'static str, &'static str),
    architecture: &'static str,
) -> Image {
    Image {
        id,
        name,
        description,
        flavor,
        version,
        architecture,
    }
}

const UBUNTU_22: ((&str, &str), (&str, &str)) =
    (("ubuntu-22.04", "Ubuntu 22.04"), ("ubuntu", "22.04"));
const UBUNTU_24: ((&str, &str), (&str, &str)) =
    (("ubuntu-24.04", "Ubuntu 24.04"), ("ubuntu", "24.04"));
const UBUNTU_26: ((&str, &str), (&str, &str)) =
    (("ubuntu-26.04", "Ubuntu 26.04"), ("ubuntu", "26.04"));
const DEBIAN_12: ((&str, &str), (&str, &str)) = (("debian-12", "Debian 12"), ("debian", "12"));
const DEBIAN_13: ((&str, &str), (&str, &str)) = (("debian-13", "Debian 13"), ("debian", "13"));
const ROCKY_9: ((&str, &str), (&str, &str)) = (("rocky-9", "Rocky Linux 9"), ("rocky", "9"));

/// System images.
pub(super) static IMAGES: [Image; 12] = [
    image(67_794_396, UBUNTU_22.0, UBUNTU_22.1, "x86"),
    image(103_908_130, UBUNTU_22.0, UBUNTU_22.1, "arm"),
    image(161_547_269, UBUNTU_24.0, UBUNTU_24.1, "x86"),
    image(161_547_270, UBUNTU_24.0, UBUNTU_24.1, "arm"),
    image(391_000_001, UBUNTU_26.0, UBUNTU_26.1, "x86"),
    image(391_000_002, UBUNTU_26.0, UBUNTU_26.1, "arm"),
    image(114_690_387, DEBIAN_12.0, DEBIAN_12.1, "x86"),
    image(114_690_389, DEBIAN_12.0, DEBIAN_12.1, "arm"),
    image(310_557_660, DEBIAN_13.0, DEBIAN_13.1, "x86"),
    image(310_557_661, DEBIAN_13.0, DEBIAN_13.1, "arm"),
    image(134_490_703, ROCKY_9.0, ROCKY_9.1, "x86"),
    image(134_490_705, ROCKY_9.0, ROCKY_9.1, "arm"),
];

impl Image {
    pub(super) fn shown(&self) -> Value {
        json!({
            "id": self.id,
            "type": "system",
            "status": "available",
            "name": self.name,
            "description": self.description,
            "image_size": null,
            "disk_size": 5,
            "created": "2026-01-15T08:00:00Z",
            "created_from": null,
            "bound_to": null,
            "os_flavor": self.flavor,
            "os_version": self.version,
            "rapid_deploy": true,
            "protection": {"delete": false},
            "deprecated": null,
            "deprecation": null,
            "deleted": null,
            "labels": {},
            "architecture": self.architecture,
        })
    }
}
