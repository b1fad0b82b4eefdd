//! Updates: what must hold, and what changes then, in one message.

use super::too_long;
use crate::adapter::{Found, MARK, Wanted, marks};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use quorate_engine::seam::Fault;
use std::collections::BTreeMap;

/// How long resolvers may keep what only we read.
const MARK_TTL_S: u32 = 60;

/// One message.
#[derive(Debug, Clone)]
pub(super) struct Update {
    pub(super) zone: Name,
    /// Must hold, or nothing is changed (RFC 2136, section 2.4).
    pub(super) conditions: Vec<Record>,
    /// In order (RFC 2136, section 2.5).
    pub(super) changes: Vec<Record>,
}

/// Where it stands whose a name is.
pub(super) fn mark_name(name: &Name) -> Result<Name, Fault> {
    name.prepend_label(MARK).map_err(|_| too_long(name))
}

/// Where it stands which names there are.
pub(super) fn index_name(zone: &Name) -> Result<Name, Fault> {
    let label = format!("{MARK}-index");
    zone.prepend_label(label).map_err(|_| too_long(zone))
}

/// Names and values of a TXT record of ours.
pub(super) fn marked(data: &RData) -> Option<BTreeMap<String, String>> {
    let RData::TXT(text) = data else { return None };
    let pair = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).ok()?;
        let (name, value) = text.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    text.txt_data.iter().map(|bytes| pair(bytes)).collect()
}

/// The longest string in a TXT record (RFC 1035, section 3.3).
const STRING_MAX: usize = 255;

fn mark(wanted: &Wanted) -> Result<RData, Fault> {
    let texts: Vec<String> = marks(wanted)
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if texts.iter().any(|text| text.len() > STRING_MAX) {
        let text = format!("{} has more addresses than fit into its mark", wanted.name);
        return Err(crate::adapter::invalid(text));
    }
    Ok(RData::TXT(TXT::new(texts)))
}

fn entry(zone: &Name, name: &Name) -> Result<Record, Fault> {
    let text = TXT::new(vec![name.to_ascii()]);
    Ok(Record::from_rdata(
        index_name(zone)?,
        MARK_TTL_S,
        RData::TXT(text),
    ))
}

/// A record of a class that says what is done with it.
fn of(class: DNSClass, mut record: Record) -> Record {
    record.dns_class = class;
    record.ttl = 0;
    record
}

fn nothing_at(name: &Name, kind: RecordType) -> Record {
    of(DNSClass::NONE, Record::update0(name.clone(), 0, kind))
}

fn clear(name: &Name, kind: RecordType) -> Record {
    of(DNSClass::ANY, Record::update0(name.clone(), 0, kind))
}

fn put(wanted: &Wanted) -> Result<Vec<Record>, Fault> {
    let address = |address: &std::net::Ipv4Addr| {
        Record::from_rdata(
            wanted.name.clone(),
            wanted.ttl_s,
            RData::A((*address).into()),
        )
    };
    let mut records: Vec<_> = wanted.addresses.iter().map(address).collect();
    let mark = Record::from_rdata(mark_name(&wanted.name)?, MARK_TTL_S, mark(wanted)?);
    records.push(mark);
    records.push(entry(&wanted.zone, &wanted.name)?);
    Ok(records)
}

/// Makes it, if nothing stands there. At the zone's own name something always does: there only no
/// address may.
pub(super) fn create(wanted: &Wanted) -> Result<Update, Fault> {
    let name = &wanted.name;
    let mut conditions = vec![nothing_at(&mark_name(name)?, RecordType::TXT)];
    if *name == wanted.zone {
        conditions.push(nothing_at(name, RecordType::A));
        conditions.push(nothing_at(name, RecordType::AAAA));
    } else {
        conditions.push(nothing_at(name, RecordType::ANY));
    }
    Ok(Update {
        zone: wanted.zone.clone(),
        conditions,
        changes: put(wanted)?,
    })
}

/// Brings it to what is wanted, if its mark is as it was seen.
pub(super) fn replace(wanted: &Wanted, seen: &Record) -> Result<Update, Fault> {
    let mut changes = vec![
        clear(&wanted.name, RecordType::A),
        clear(&wanted.name, RecordType::AAAA),
        clear(&seen.name, RecordType::TXT),
    ];
    changes.extend(put(wanted)?);
    Ok(Update {
        zone: wanted.zone.clone(),
        conditions: vec![of(DNSClass::IN, seen.clone())],
        changes,
    })
}

/// Removes it, if its mark is as it was seen.
pub(super) fn delete(found: &Found, seen: &Record) -> Result<Update, Fault> {
    Ok(Update {
        zone: found.zone.clone(),
        conditions: vec![of(DNSClass::IN, seen.clone())],
        changes: vec![
            clear(&found.name, RecordType::A),
            clear(&found.name, RecordType::AAAA),
            clear(&seen.name, RecordType::TXT),
            of(DNSClass::NONE, entry(&found.zone, &found.name)?),
        ],
    })
}
