//! Domains as libvirt writes them down: from what a machine should be, and back.
//!
//! Knows no connection. How addresses are chosen and files are made is not here either.

use super::record::{Record, device, note, uuid, uuid_text};
use super::uri::Driver;
use super::xml::{Element, element};
use crate::labels;
use ipnet::Ipv4Net;
use quorate_engine::resource::{Kind, ResourceId};
use quorate_engine::seam::{MachineState, Seen};
use quorate_engine::units::Bytes;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The size of a machine: libvirt has no types of its own, so the size is the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) vcpus: u32,
    /// In KiB, as libvirt counts.
    pub(super) memory_kib: u64,
}

/// What a machine type has to look like.
pub(super) const TYPE_FORM: &str =
    "write it as virtual CPUs and memory: `2x4GiB` is 2 CPUs and 4 GiB";

impl Size {
    /// From `2x4GiB`; the final `B` may be left out, as in Kubernetes' own units.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (vcpus, memory) = text.split_once('x')?;
        let vcpus: u32 = vcpus.parse().ok().filter(|&count| count > 0)?;
        let memory: Bytes = memory.strip_suffix('B').unwrap_or(memory).parse().ok()?;
        // A kernel and an init need some; less is a slip of the unit.
        (memory.0 >= 16 << 20).then_some(Self {
            vcpus,
            memory_kib: memory.0 / 1024,
        })
    }

    fn text(self) -> String {
        format!("{}x{}B", self.vcpus, Bytes(self.memory_kib * 1024))
    }
}

/// Everything a domain is written from.
#[derive(Debug, Clone)]
pub(super) struct Blueprint {
    pub(super) driver: Driver,
    pub(super) record: Record,
    pub(super) size: Size,
    /// libvirt's name of its network.
    pub(super) network: String,
    /// The network's addresses.
    pub(super) cidr: Ipv4Net,
    pub(super) address: Ipv4Addr,
    /// The nwfilter in front of it, where the driver has such a thing.
    pub(super) filter: Option<String>,
    pub(super) body: Body,
}

/// What a domain runs on.
#[derive(Debug, Clone)]
pub(super) enum Body {
    /// A root file system and the program that becomes process 1.
    Root { folder: String, init: String },
    /// Two volumes of a pool.
    Volumes {
        pool: String,
        disk: String,
        seed: String,
        /// The hypervisor: `kvm`, or `qemu` for software emulation.
        accelerator: String,
        arch: String,
    },
    /// Nothing.
    Mock,
}

/// The first address of a network: the bridge's own, and the machines' gateway.
pub(super) fn gateway(cidr: Ipv4Net) -> Ipv4Addr {
    cidr.hosts().next().unwrap_or(cidr.addr())
}

/// A MAC address that follows from the IP address: a new one at every definition would cost some
/// 15 seconds of stale neighbour entries on the host. `52:54:00` is QEMU's own prefix.
pub(super) fn mac(address: Ipv4Addr) -> String {
    let [_, b, c, d] = address.octets();
    format!("52:54:00:{b:02x}:{c:02x}:{d:02x}")
}

impl Blueprint {
    pub(super) fn write(&self) -> String {
        let labels = &self.record.labels;
        let kind = match &self.body {
            Body::Root { .. } => "lxc",
            Body::Volumes { accelerator, .. } => accelerator,
            Body::Mock => "test",
        };
        let domain = element("domain").with("type", kind).hold([
            element("name").say(labels::name(&labels.id)),
            element("uuid").say(uuid_text(uuid(&labels.owner, &labels.id))),
            self.record.metadata(),
            element("memory")
                .with("unit", "KiB")
                .say(self.size.memory_kib),
            element("vcpu").say(self.size.vcpus),
        ]);
        let domain = domain.hold(self.system());
        let ends = [
            ("on_poweroff", "destroy"),
            ("on_reboot", "restart"),
            ("on_crash", "destroy"),
        ];
        let ends = ends.map(|(name, does)| element(name).say(does));
        domain
            .hold(ends)
            .hold([element("devices").hold(self.devices())])
            .write()
    }

    fn system(&self) -> Vec<Element> {
        match &self.body {
            Body::Root { init, .. } => vec![
                element("os").hold([element("type").say("exe"), element("init").say(init)]),
                element("features").hold([
                    element("privnet"),
                    element("capabilities").with("policy", "allow"),
                ]),
            ],
            Body::Volumes {
                accelerator, arch, ..
            } => {
                let kind = element("type").with("arch", arch).say("hvm");
                let mode = match accelerator.as_str() {
                    "kvm" => "host-passthrough",
                    _ => "maximum",
                };
                vec![
                    element("os").hold([kind, element("boot").with("dev", "hd")]),
                    element("features").hold([element("acpi")]),
                    element("cpu").with("mode", mode),
                ]
            }
            Body::Mock => vec![element("os").hold([element("type").say("hvm")])],
        }
    }

    fn devices(&self) -> Vec<Element> {
        let mut devices = match &self.body {
            Body::Root { folder, .. } => vec![
                element("filesystem")
                    .with("type", "mount")
                    .with("accessmode", "passthrough")
                    .hold([
                        element("source").with("dir", folder),
                        element("target").with("dir", "/"),
                    ]),
                // Makes the node and lets the domain's device group have it: for the mesh.
                element("hostdev")
                    .with("mode", "capabilities")
                    .with("type", "misc")
                    .hold([element("source").hold([element("char").say("/dev/net/tun")])]),
                element("console").with("type", "pty"),
            ],
            Body::Volumes {
                pool, disk, seed, ..
            } => vec![
                volume_disk(pool, disk, ("qcow2", "vda")),
                volume_disk(pool, seed, ("raw", "vdb")).hold([element("readonly")]),
                element("serial").with("type", "pty"),
                element("console").with("type", "pty"),
                element("rng")
                    .with("model", "virtio")
                    .hold([element("backend")
                        .with("model", "random")
                        .say("/dev/urandom")]),
            ],
            Body::Mock => Vec::new(),
        };
        devices.push(self.interface());
        devices
    }

    fn interface(&self) -> Element {
        let labels = &self.record.labels;
        let mut parts = vec![
            element("mac").with("address", mac(self.address)),
            element("source").with("network", &self.network),
        ];
        // Of a name that libvirt chooses itself its filters for containers do not know (9.0:
        // "filter binding has no port dev name").
        if self.driver != Driver::Test {
            let port = device(&labels.owner, &labels.id, 'm');
            parts.push(element("target").with("dev", port));
        }
        match self.driver {
            Driver::Qemu => parts.push(element("model").with("type", "virtio")),
            Driver::Lxc | Driver::Test => parts.extend([
                element("ip")
                    .with("family", "ipv4")
                    .with("address", self.address)
                    .with("prefix", self.cidr.prefix_len()),
                element("route")
                    .with("family", "ipv4")
                    .with("address", "0.0.0.0")
                    .with("prefix", 0)
                    .with("gateway", gateway(self.cidr)),
            ]),
        }
        if let Some(filter) = &self.filter {
            parts.push(element("filterref").with("filter", filter));
        }
        element("interface").with("type", "network").hold(parts)
    }
}

fn volume_disk(pool: &str, volume: &str, (format, target): (&str, &str)) -> Element {
    element("disk")
        .with("type", "volume")
        .with("device", "disk")
        .hold([
            element("driver").with("name", "qemu").with("type", format),
            element("source").with("pool", pool).with("volume", volume),
            element("target").with("dev", target).with("bus", "virtio"),
        ])
}

/// The networks a domain is in, by libvirt's names.
pub(super) fn networks(domain: &Element) -> impl Iterator<Item = &str> {
    let devices = domain.at("devices").into_iter();
    devices
        .flat_map(|devices| devices.all("interface"))
        .filter_map(|interface| interface.at("source")?.get("network"))
}

/// Whether a filter is in front of it.
pub(super) fn filtered_by(domain: &Element, filter: &str) -> bool {
    let devices = domain.at("devices").into_iter();
    let mut interfaces = devices.flat_map(|devices| devices.all("interface"));
    interfaces.any(|interface| {
        let by = interface.at("filterref").and_then(|by| by.get("filter"));
        by == Some(filter)
    })
}

/// Every address that a domain is known to use.
pub(super) fn addresses(domain: &Element) -> Vec<Ipv4Addr> {
    let record = Record::of(domain);
    let noted = record.as_ref().and_then(|record| record.get(note::ADDRESS));
    let interfaces = domain.at("devices").into_iter();
    let interfaces = interfaces.flat_map(|devices| devices.all("interface"));
    let written = interfaces
        .flat_map(|interface| interface.all("ip"))
        .filter_map(|ip| ip.get("address"));
    let all = noted.into_iter().chain(written);
    all.filter_map(|address| address.parse().ok()).collect()
}

/// What a domain has of the size of its machine type.
fn size(domain: &Element) -> Option<Size> {
    let memory = domain.at("memory")?;
    let count: u64 = memory.text.parse().ok()?;
    let memory_kib = match memory.get("unit").unwrap_or("KiB") {
        "KiB" | "k" => count,
        "b" | "bytes" => count / 1024,
        "MiB" | "M" => count << 10,
        "GiB" | "G" => count << 20,
        _ => return None,
    };
    Some(Size {
        vcpus: domain.at("vcpu")?.text.parse().ok()?,
        memory_kib,
    })
}

/// A machine as the engine sees it.
pub(super) fn seen(domain: &Element, record: &Record, state: MachineState) -> Seen {
    let address = record.get(note::ADDRESS).and_then(|at| at.parse().ok());
    let mut fields = BTreeMap::new();
    let mut show = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value);
        }
    };
    show("region", record.get(note::REGION).map(str::to_owned));
    show("image", record.get(note::IMAGE).map(str::to_owned));
    // Two texts may mean one size; only another size is a difference.
    let meant = record.get(note::MACHINE_TYPE);
    let has = size(domain);
    let same = has.is_some() && meant.and_then(Size::parse) == has;
    let shown = match same {
        true => meant.map(str::to_owned),
        false => has.map(Size::text),
    };
    show("machine_type", shown);
    let external = domain.at("uuid").map(|uuid| uuid.text.clone());
    Seen {
        id: record.labels.id.clone(),
        kind: Kind::Machine,
        external: external.unwrap_or_default(),
        fingerprint: record.labels.fingerprint,
        state,
        address,
        private: address,
        host_key: record.get(note::HOST_KEY).map(str::to_owned),
        fields,
    }
}

/// What is left of a machine without a domain: it will not come up, and is to be deleted.
pub(super) fn remains(id: ResourceId, place: &str) -> Seen {
    Seen {
        id,
        kind: Kind::Machine,
        external: place.to_owned(),
        fingerprint: 0,
        state: MachineState::Error,
        address: None,
        private: None,
        host_key: None,
        fields: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests;
