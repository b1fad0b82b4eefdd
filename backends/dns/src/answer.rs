//! From question to records: what is there, what is not, and in which order.
//!
//! A function of zones, of who is sick, and of one random number. Knows no packets.

use crate::zone::{Node, RecordSet, Zone, Zones};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::HINFO;
use hickory_proto::rr::{LowerName, Name, RData, Record, RecordType};
use quorate_engine::random::mix;

/// The most CNAMEs that are followed: chains that are longer are somebody's mistake.
const CNAMES_MAX: usize = 8;

/// The increment of SplitMix64, between two draws from one number.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// What is said of a question.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// How it went.
    pub(crate) code: ResponseCode,
    /// The zone is ours.
    pub(crate) authoritative: bool,
    /// What was asked for, CNAMEs on the way first.
    pub(crate) records: Vec<Record>,
    /// The SOA record, where there is nothing.
    pub(crate) authority: Vec<Record>,
    /// Addresses of name servers.
    pub(crate) additional: Vec<Record>,
}

impl Answer {
    fn new(code: ResponseCode, authoritative: bool) -> Self {
        Self {
            code,
            authoritative,
            records: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
        }
    }

    fn nothing(&mut self, zone: &Zone, code: ResponseCode) {
        self.code = code;
        let soa = RData::SOA(zone.soa.clone());
        let ttl_s = zone.negative_ttl_s();
        self.authority = vec![Record::from_rdata(zone.origin.clone(), ttl_s, soa)];
    }
}

/// Answers a question of class IN. `sick` says of each watched address whether it is left out.
#[must_use]
pub(crate) fn answer(
    zones: &Zones,
    sick: &[bool],
    name: &Name,
    kind: RecordType,
    draw: u64,
) -> Answer {
    let mut wanted = LowerName::new(name);
    let Some(mut zone) = zones.of(&wanted) else {
        return Answer::new(ResponseCode::Refused, false);
    };
    if matches!(kind, RecordType::AXFR | RecordType::IXFR) {
        return Answer::new(ResponseCode::Refused, false);
    }
    let mut answer = Answer::new(ResponseCode::NoError, true);
    // As it was asked for, letter by letter: resolvers compare it (draft-vixie-dnsext-dns0x20).
    let mut owner = name.clone();
    for _ in 0..CNAMES_MAX {
        let Some(node) = zone.nodes.get(&wanted) else {
            answer.nothing(zone, ResponseCode::NXDomain);
            return answer;
        };
        if kind == RecordType::ANY {
            answer.records.extend(any(node, &owner));
            break;
        }
        if let Some(set) = node.sets.get(&kind) {
            put(&mut answer.records, &owner, set, sick, draw);
            break;
        }
        let Some(alias) = node.sets.get(&RecordType::CNAME) else {
            break;
        };
        put(&mut answer.records, &owner, alias, sick, draw);
        let Some(target) = target(alias) else { break };
        owner = target.clone();
        wanted = LowerName::new(target);
        match zones.of(&wanted) {
            Some(inside) => zone = inside,
            // Whoever asked goes on elsewhere.
            None => return answer,
        }
    }
    let last = answer.records.last().map(Record::record_type);
    if last.is_none_or(|last| last != kind && kind != RecordType::ANY) {
        answer.nothing(zone, ResponseCode::NoError);
    }
    if kind == RecordType::NS {
        glue(&mut answer, zone, sick, draw);
    }
    answer
}

/// ANY is answered by one record that says that it is not answered (RFC 8482, section 4.2).
fn any(node: &Node, owner: &Name) -> Option<Record> {
    let ttl_s = node.sets.values().map(|set| set.ttl_s).min()?;
    let data = RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new()));
    Some(Record::from_rdata(owner.clone(), ttl_s, data))
}

fn target(alias: &RecordSet) -> Option<&Name> {
    alias.members.iter().find_map(|member| match &member.data {
        RData::CNAME(target) => Some(&target.0),
        _ => None,
    })
}

/// The members that are well, in an order of this query's own. Nobody well: all of them, because an
/// address that may work is better than none.
fn put(records: &mut Vec<Record>, owner: &Name, set: &RecordSet, sick: &[bool], draw: u64) {
    let ill = |watch| sick.get(watch).copied().unwrap_or(false);
    let well = |member: &&crate::zone::Member| !member.watch.is_some_and(|watch| ill(watch.0));
    let mut members: Vec<_> = set.members.iter().filter(well).collect();
    if members.is_empty() {
        members.extend(&set.members);
    }
    let mut state = draw;
    // Fisher and Yates. The bias of the remainder is below 2^-50 for sets of any size there is.
    for left in (1..members.len()).rev() {
        state = state.wrapping_add(GOLDEN);
        let other = mix(state) % (left as u64 + 1);
        members.swap(left, other as usize);
    }
    let record = |member: &crate::zone::Member| {
        Record::from_rdata(owner.clone(), set.ttl_s, member.data.clone())
    };
    records.extend(members.into_iter().map(record));
}

fn glue(answer: &mut Answer, zone: &Zone, sick: &[bool], draw: u64) {
    let servers = answer
        .records
        .iter()
        .filter_map(|record| match &record.data {
            RData::NS(server) => Some(server.0.clone()),
            _ => None,
        });
    for server in servers.collect::<Vec<_>>() {
        let Some(node) = zone.nodes.get(&LowerName::new(&server)) else {
            continue;
        };
        for kind in [RecordType::A, RecordType::AAAA] {
            if let Some(set) = node.sets.get(&kind) {
                put(&mut answer.additional, &server, set, sick, draw);
            }
        }
    }
}
