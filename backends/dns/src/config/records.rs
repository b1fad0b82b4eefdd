//! From a record set in the file to one in a zone.

use super::{Builder, RecordFile, RecordKind, whole};
use crate::health::Target;
use crate::zone::{Member, RecordSet, Zone};
use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{LowerName, Name, RData, RecordType};
use hickory_proto::serialize::binary::BinEncodable as _;
use quorate_engine::diagnostic::Path;
use quorate_engine::units::Duration;
use std::net::IpAddr;

/// The most bytes of values in one record set: all of them have to fit into one answer over TCP,
/// with their names before them.
const SET_MAX: usize = 48_000;

/// Bytes in front of a value in an answer: name, type, class, time and length (RFC 1035, section
/// 4.1.3), with the name compressed.
const BEFORE_VALUE: usize = 12;

/// A record set of one value that is always given out.
pub(super) fn single(data: RData, ttl_s: u32) -> RecordSet {
    RecordSet {
        ttl_s,
        members: vec![plain(data)],
    }
}

/// A value that is always given out.
pub(super) fn plain(data: RData) -> Member {
    Member { data, watch: None }
}

impl Builder {
    pub(super) fn record(
        &mut self,
        zone: &mut Zone,
        default_ttl: Duration,
        file: &RecordFile,
        path: &Path,
    ) {
        let Some(name) = self.place(zone, file, path) else {
            return;
        };
        let kind = file.kind.dns();
        let there = zone.nodes.get(&name);
        if there.is_some_and(|node| node.sets.contains_key(&kind)) {
            let text = format!("{name} {kind} is there twice");
            return self.wrong(path, text, "put all values into one record set");
        }
        let ttl = file.ttl.unwrap_or(default_ttl);
        let Some(ttl_s) = self.seconds(ttl, &path.field("ttl")) else {
            return;
        };
        self.judge(file, path);
        let mut members: Vec<Member> = Vec::new();
        for (index, text) in file.values.iter().enumerate() {
            let place = path.field("values").index(index);
            match self.member(zone, file, text) {
                Ok(member) if members.contains(&member) => {
                    self.wrong(&place, format!("`{text}` is there twice"), "take one out");
                }
                Ok(member) => members.push(member),
                Err(fix) => {
                    let text = format!("`{text}` is no value of type {kind}");
                    self.wrong(&place, text, &fix);
                }
            }
        }
        let length = |member: &Member| {
            member
                .data
                .to_bytes()
                .map_or(usize::MAX / 2, |bytes| bytes.len())
                + BEFORE_VALUE
        };
        if members.iter().map(length).sum::<usize>() > SET_MAX {
            let text = format!("{name} {kind} does not fit into one answer");
            self.wrong(path, text, "take values out");
        }
        zone.put(&name, kind, RecordSet { ttl_s, members });
    }

    /// What is wrong with a record set whatever its values are.
    fn judge(&mut self, file: &RecordFile, path: &Path) {
        let values = file.values.len();
        if values == 0 {
            let fix = "name a value, or take the record set out";
            self.wrong(&path.field("values"), "there is no value", fix);
        }
        if file.kind == RecordKind::Cname && values > 1 {
            let text = "a name is another name for one name only";
            self.wrong(&path.field("values"), text, "leave one");
        }
        let Some(check) = &file.check else { return };
        if !matches!(file.kind, RecordKind::A | RecordKind::Aaaa) {
            let fix = "take the check out";
            self.wrong(&path.field("check"), "only addresses can be asked", fix);
        }
        if let Some((text, fix)) = check.mistake() {
            self.wrong(&path.field("check"), text, fix);
        }
        if let Some(pem) = &check.ca
            && reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_or(0, |all| all.len()) == 0
        {
            let fix = "give the certificates as PEM: `-----BEGIN CERTIFICATE-----` ...";
            self.wrong(
                &path.field("check").field("ca"),
                "there is no certificate",
                fix,
            );
        }
    }

    fn place(&mut self, zone: &Zone, file: &RecordFile, path: &Path) -> Option<LowerName> {
        let place = path.field("name");
        let name = inside(&file.name, &zone.origin).map(|name| LowerName::new(&name));
        let Some(name) = name.filter(|name| zone.apex.zone_of(name)) else {
            let text = format!("`{}` is no name in {}", file.name, zone.apex);
            self.wrong(
                &place,
                text,
                "write it like `www`, or `@` for the zone itself",
            );
            return None;
        };
        if name.is_wildcard() {
            let fix = "name every name; this server has no wildcards";
            self.wrong(&place, format!("{name} stands for others"), fix);
            return None;
        }
        Some(name)
    }

    fn member(&mut self, zone: &Zone, file: &RecordFile, text: &str) -> Result<Member, String> {
        let address = |data: fn(IpAddr) -> Option<RData>, fix: &str| {
            let address: Option<IpAddr> = text.parse().ok();
            let address = address.ok_or_else(|| fix.to_owned())?;
            data(address)
                .map(|data| (address, data))
                .ok_or_else(|| fix.to_owned())
        };
        let (address, data) = match file.kind {
            RecordKind::A => address(v4, "write an IPv4 address")?,
            RecordKind::Aaaa => address(v6, "write an IPv6 address")?,
            RecordKind::Cname => {
                let name = referred(text, &zone.origin);
                let name = name.ok_or_else(|| "write a name".to_owned())?;
                return Ok(plain(RData::CNAME(CNAME(name))));
            }
            RecordKind::Txt | RecordKind::Mx | RecordKind::Srv | RecordKind::Caa => {
                let data = parsed(file.kind.dns(), text, &zone.origin)?;
                return Ok(plain(data));
            }
        };
        let watch = file
            .check
            .clone()
            .map(|check| self.zones.watch(Target { address, check }));
        Ok(Member { data, watch })
    }

    /// A name that is another name for a name is nothing else (RFC 1034, section 3.6.2).
    pub(super) fn aliases_alone(&mut self, zone: &Zone, path: &Path) {
        for (name, node) in &zone.nodes {
            if node.sets.contains_key(&RecordType::CNAME) && node.sets.len() > 1 {
                let text = format!("{name} is another name and has records of its own");
                let fix = "take out the CNAME or the others";
                self.wrong(&path.field("records"), text, fix);
            }
        }
    }
}

fn v4(address: IpAddr) -> Option<RData> {
    match address {
        IpAddr::V4(address) => Some(RData::A(address.into())),
        IpAddr::V6(_) => None,
    }
}

fn v6(address: IpAddr) -> Option<RData> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(RData::AAAA(address.into())),
    }
}

/// The owner of a record: whole if it ends in the zone's name or a dot, else below it.
pub(crate) fn inside(text: &str, origin: &Name) -> Option<Name> {
    if text == "@" {
        return Some(origin.clone());
    }
    let name = whole(text)?;
    if text.ends_with('.') || origin.zone_of(&name) {
        return Some(name);
    }
    below(&name, origin)
}

/// A name in a value: whole if it has a dot, else in the zone.
fn referred(text: &str, origin: &Name) -> Option<Name> {
    match text {
        "@" => Some(origin.clone()),
        text if text.contains('.') => whole(text),
        text => below(&whole(text)?, origin),
    }
}

fn below(name: &Name, origin: &Name) -> Option<Name> {
    let mut relative = name.clone();
    relative.set_fqdn(false);
    relative.append_domain(origin).ok()
}

/// A value as zone files have it. Names in it are whole.
fn parsed(kind: RecordType, text: &str, origin: &Name) -> Result<RData, String> {
    let fix = || format!("write it as {kind} stands in a zone file");
    let data = RData::try_from_str(kind, text).map_err(|_| fix())?;
    let named = |name: Name| referred(&name.to_ascii(), origin).ok_or_else(fix);
    match data {
        RData::MX(mut mx) => {
            mx.exchange = named(mx.exchange)?;
            Ok(RData::MX(mx))
        }
        RData::SRV(mut srv) => {
            srv.target = named(srv.target)?;
            Ok(RData::SRV(srv))
        }
        RData::TXT(txt) if txt.txt_data.is_empty() => Err(fix()),
        data @ (RData::TXT(_) | RData::CAA(_)) => Ok(data),
        _ => Err(fix()),
    }
}
