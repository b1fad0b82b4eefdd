//! The configuration file of the name server: its schema, and the way from there to zones.
//!
//! JSON or YAML. Everything that is wrong is said at once, each with its place and its fix. Knows
//! no files: texts come in.

mod line;
mod records;
#[cfg(test)]
mod tests;

pub use line::from_lines;
pub(crate) use records::inside;

use crate::check::Check;
use crate::limit::RateLimit;
use crate::zone::{Zone, Zones};
use hickory_proto::rr::rdata::{NS, SOA};
use hickory_proto::rr::{LowerName, Name, RData, RecordType};
use quorate_engine::diagnostic::{Diagnostic, Finding, Path};
use quorate_engine::document;
use quorate_engine::random::hash_name;
use quorate_engine::time::Span;
use quorate_engine::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct File {
    /// What is served.
    pub zones: Vec<ZoneFile>,
    /// Status addresses (`--status`) of the other instances, whose views of addresses count as
    /// this one's own does. An instance's own address may stand there too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub peers: Vec<SocketAddr>,
    /// How much one network may ask over UDP.
    #[serde(default)]
    pub rate_limit: RateLimit,
}

/// A zone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ZoneFile {
    /// Its name, `example.com`.
    pub zone: String,
    /// Names of its servers, as its parent has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub name_servers: Vec<String>,
    /// Who is responsible, as a name: `hostmaster.example.com`, which is also the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Its version; by default a function of what the zone says, so that all instances agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u32>,
    /// For records without a time of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Duration>,
    /// How long resolvers may keep that there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative_ttl: Option<Duration>,
    /// What stands in it.
    #[serde(default)]
    pub records: Vec<RecordFile>,
}

/// All values of one type at one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordFile {
    /// `www` or `www.example.com`; `@` is the zone itself.
    pub name: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: RecordKind,
    /// How long resolvers may keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Duration>,
    /// As in a zone file: `192.0.2.1`, `10 mail.example.com`. Names with a dot are whole, others are
    /// in the zone.
    pub values: Vec<String>,
    /// With A and AAAA: takes addresses out of the answer that are not well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
    /// Whose it is, for those who write the file; the server does not look at it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Types of records that can be configured.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordKind {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// Another name for a name.
    Cname,
    /// Text, each string in quotes.
    Txt,
    /// A mail server.
    Mx,
    /// A service.
    Srv,
    /// Who may issue certificates.
    Caa,
}

impl RecordKind {
    /// As DNS has it.
    #[must_use]
    pub fn dns(self) -> RecordType {
        match self {
            Self::A => RecordType::A,
            Self::Aaaa => RecordType::AAAA,
            Self::Cname => RecordType::CNAME,
            Self::Txt => RecordType::TXT,
            Self::Mx => RecordType::MX,
            Self::Srv => RecordType::SRV,
            Self::Caa => RecordType::CAA,
        }
    }
}

/// For records without a time of their own, where the zone has none either.
const TTL: Duration = Duration(Span::from_secs(60));

/// "There is none" is soon untrue while a cluster is built.
const NEGATIVE_TTL: Duration = Duration(Span::from_secs(30));

/// The longest time a record may be kept, in seconds (RFC 2181, section 8).
const TTL_MAX_S: u64 = i32::MAX as u64;

/// Nobody copies these zones, so the times for secondaries in SOA only have to be sane (RIPE-203).
const REFRESH_S: i32 = 3_600;
/// See [`REFRESH_S`].
const RETRY_S: i32 = 600;
/// See [`REFRESH_S`].
const EXPIRE_S: i32 = 1_209_600;

/// Reads a file and makes its zones.
///
/// # Errors
/// Everything that is wrong, in the order of the text.
pub fn load(text: &[u8]) -> Result<(File, Zones), Vec<Diagnostic>> {
    let read = document::read::<File>(text, &[])?;
    let built = build(&read.value);
    match built {
        Ok(zones) => Ok((read.value, zones)),
        Err(findings) => {
            let located = findings.into_iter().map(|finding| read.locate(finding));
            Err(located.collect())
        }
    }
}

/// The JSON Schema of the file, for editors.
#[must_use]
pub fn schema_of_file() -> serde_json::Value {
    document::schema::<File>(
        "https://quorate.dev/schemas/dns.json",
        "Quorate name server",
    )
}

/// Makes zones of what a file says.
///
/// # Errors
/// Everything that is wrong.
pub fn build(file: &File) -> Result<Zones, Vec<Finding>> {
    let mut builder = Builder {
        zones: Zones::default(),
        findings: Vec::new(),
    };
    if file.zones.is_empty() {
        let text = "there is no zone to serve";
        builder.wrong(&Path::root().field("zones"), text, "add one");
    }
    for (index, zone) in file.zones.iter().enumerate() {
        builder.zone(zone, &Path::root().field("zones").index(index));
    }
    if builder.findings.is_empty() {
        Ok(builder.zones)
    } else {
        Err(builder.findings)
    }
}

struct Builder {
    zones: Zones,
    findings: Vec<Finding>,
}

impl Builder {
    fn wrong(&mut self, path: &Path, message: impl Into<String>, fix: &str) {
        let finding = Finding::error("dns-config", path, message).fix(fix);
        self.findings.push(finding);
    }

    fn zone(&mut self, file: &ZoneFile, path: &Path) {
        let Some(origin) = whole(&file.zone).filter(|origin| !origin.is_root()) else {
            let text = format!("`{}` is no name of a zone", file.zone);
            return self.wrong(&path.field("zone"), text, "write it like `example.com`");
        };
        let apex = LowerName::new(&origin);
        if self.zones.zones.contains_key(&apex) {
            let text = format!("{} is there twice", file.zone);
            return self.wrong(&path.field("zone"), text, "put both together");
        }
        let Some(mut zone) = self.head(file, path, origin) else {
            return;
        };
        self.servers(file, path, &mut zone);
        for (index, record) in file.records.iter().enumerate() {
            let place = path.field("records").index(index);
            self.record(&mut zone, file.ttl.unwrap_or(TTL), record, &place);
        }
        self.aliases_alone(&zone, path);
        self.zones.zones.insert(apex, zone);
    }

    /// The zone with nothing but its SOA record.
    fn head(&mut self, file: &ZoneFile, path: &Path, origin: Name) -> Option<Zone> {
        let apex = LowerName::new(&origin);
        let contact = match &file.contact {
            Some(contact) => whole(contact),
            None => origin.prepend_label("hostmaster").ok(),
        };
        let Some(contact) = contact else {
            let fix = "write it as a name: `hostmaster.example.com`";
            self.wrong(&path.field("contact"), "this is no name", fix);
            return None;
        };
        let first = file.name_servers.first();
        let negative = file.negative_ttl.unwrap_or(NEGATIVE_TTL);
        let minimum = self.seconds(negative, &path.field("negativeTtl"))?;
        let text = serde_json::to_string(file).expect("a zone is plain data");
        // Two halves of one hash: neither alone is 0 for every zone that comes by.
        let serial = (hash_name(&text) as u32).max(1);
        let soa = SOA::new(
            first
                .and_then(|name| whole(name))
                .unwrap_or_else(|| origin.clone()),
            contact,
            file.serial.unwrap_or(serial),
            REFRESH_S,
            RETRY_S,
            EXPIRE_S,
            minimum,
        );
        let soa_ttl_s = self.seconds(file.ttl.unwrap_or(TTL), &path.field("ttl"))?;
        let mut zone = Zone {
            apex: apex.clone(),
            origin,
            soa: soa.clone(),
            soa_ttl_s,
            nodes: BTreeMap::new(),
        };
        zone.put(
            &apex,
            RecordType::SOA,
            records::single(RData::SOA(soa), soa_ttl_s),
        );
        Some(zone)
    }

    fn servers(&mut self, file: &ZoneFile, path: &Path, zone: &mut Zone) {
        let mut members = Vec::new();
        for (index, name) in file.name_servers.iter().enumerate() {
            match whole(name) {
                Some(name) => members.push(records::plain(RData::NS(NS(name)))),
                None => {
                    let text = format!("`{name}` is no name");
                    let place = path.field("nameServers").index(index);
                    self.wrong(&place, text, "write it like `ns1.example.com`");
                }
            }
        }
        if !members.is_empty() {
            let set = crate::zone::RecordSet {
                ttl_s: zone.soa_ttl_s,
                members,
            };
            let apex = zone.apex.clone();
            zone.put(&apex, RecordType::NS, set);
        }
    }

    fn seconds(&mut self, ttl: Duration, path: &Path) -> Option<u32> {
        let seconds = ttl.0.as_secs();
        if seconds > TTL_MAX_S {
            let fix = "DNS knows nothing above 2147483647 seconds";
            self.wrong(path, "nobody can keep it for so long", fix);
            return None;
        }
        Some(seconds as u32)
    }
}

/// A whole name, with or without the dot at its end.
#[must_use]
pub fn whole(text: &str) -> Option<Name> {
    let mut name = Name::from_ascii(text).ok()?;
    if text.is_empty() || name.len() > 255 {
        return None;
    }
    name.set_fqdn(true);
    Some(name.to_lowercase())
}
