//! A zone behind hickory's catalog: what is there, what is not, in which order, and who is left out.
//!
//! A function of zones, of who is sick, and of the next number of a sequence. Knows no packets.

use crate::zone::{Node, RecordSet, Zone, Zones};
use async_trait::async_trait;
use hickory_proto::op::{Message, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::rdata::HINFO;
use hickory_proto::rr::{LowerName, Name, RData, Record, RecordType, TSigResponseContext};
use hickory_server::server::{Request, RequestInfo};
use hickory_server::zone_handler::{
    AuthLookup, AxfrPolicy, LookupControlFlow, LookupError, LookupOptions, ZoneHandler, ZoneType,
};
use quorate_engine::random::mix;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The most CNAMEs that are followed: chains that are longer are somebody's mistake.
const CNAMES_MAX: usize = 8;

/// The increment of SplitMix64, between two draws from one number.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Where the order of each answer comes from: a sequence that all zones draw from in turn.
#[derive(Debug, Default)]
pub struct Order(AtomicU64);

impl Order {
    /// The sequence that begins here; another beginning is another sequence.
    #[must_use]
    pub fn from(seed: u64) -> Self {
        Self(AtomicU64::new(mix(seed)))
    }

    fn draw(&self) -> u64 {
        mix(self.0.fetch_add(GOLDEN, Ordering::Relaxed))
    }
}

/// A zone whose answers have another order each time, and leave out who is sick.
pub(crate) struct RoundRobin {
    /// Which of the zones it is.
    pub(crate) apex: LowerName,
    /// All of them: a name may lead from one to another.
    pub(crate) zones: Arc<Zones>,
    /// By watched address.
    pub(crate) sick: Arc<[bool]>,
    pub(crate) order: Arc<Order>,
}

impl RoundRobin {
    fn zone(&self) -> &Zone {
        let zone = self.zones.zones.get(&self.apex);
        zone.expect("a zone is in the catalog because it is there")
    }

    /// Answers a question of class IN: a message without its question. `owner` is the name as it
    /// was asked for, letter by letter: resolvers compare it (draft-vixie-dnsext-dns0x20).
    fn answer(&self, name: &LowerName, owner: &Name, kind: RecordType) -> Answer {
        let mut zone = self.zone();
        let (mut wanted, mut owner) = (Cow::Borrowed(name), Cow::Borrowed(owner));
        let (sick, draw) = (&*self.sick, self.order.draw());
        let mut answer = Answer::default();
        for _ in 0..CNAMES_MAX {
            let Some(node) = zone.nodes.get(&*wanted) else {
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
            owner = Cow::Borrowed(target);
            wanted = Cow::Owned(LowerName::new(target));
            match self.zones.of(&wanted) {
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
}

#[async_trait]
impl ZoneHandler for RoundRobin {
    fn zone_type(&self) -> ZoneType {
        ZoneType::Primary
    }

    fn axfr_policy(&self) -> AxfrPolicy {
        AxfrPolicy::Deny
    }

    fn origin(&self) -> &LowerName {
        &self.apex
    }

    async fn lookup(
        &self,
        name: &LowerName,
        kind: RecordType,
        asked: Option<&RequestInfo<'_>>,
        _options: LookupOptions,
    ) -> LookupControlFlow<AuthLookup> {
        let owner = asked.map_or(&**name, |asked| &asked.query.original().name);
        let mut message = match asked {
            Some(asked) => said(Metadata::response_from_request(asked.metadata)),
            None => Message::response(0, OpCode::Query),
        };
        let answer = self.answer(name, owner, kind);
        message.metadata.authoritative = true;
        message.metadata.response_code = answer.code;
        message.answers = answer.records;
        message.authorities = answer.authority;
        message.additionals = answer.additional;
        // There is one zone for a name: nobody else is to be consulted.
        LookupControlFlow::Break(Ok(AuthLookup::Response(message)))
    }

    async fn search(
        &self,
        request: &Request,
        options: LookupOptions,
    ) -> (LookupControlFlow<AuthLookup>, Option<TSigResponseContext>) {
        let said = match request.request_info() {
            Ok(asked) => {
                let (name, kind) = (asked.query.name(), asked.query.query_type());
                self.lookup(name, kind, Some(&asked), options).await
            }
            Err(error) => LookupControlFlow::Break(Err(error)),
        };
        (said, None)
    }

    /// Nothing is signed, so there is nothing to prove an absence by.
    async fn nsec_records(
        &self,
        _name: &LowerName,
        _options: LookupOptions,
    ) -> LookupControlFlow<AuthLookup> {
        LookupControlFlow::Break(Err(LookupError::from(ResponseCode::NotImp)))
    }
}

fn said(metadata: Metadata) -> Message {
    let mut message = Message::response(metadata.id, metadata.op_code);
    message.metadata = metadata;
    message
}

/// What is said of a question.
#[derive(Debug)]
struct Answer {
    code: ResponseCode,
    /// What was asked for, CNAMEs on the way first.
    records: Vec<Record>,
    /// The SOA record, where there is nothing.
    authority: Vec<Record>,
    /// Addresses of name servers.
    additional: Vec<Record>,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            code: ResponseCode::NoError,
            records: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
        }
    }
}

impl Answer {
    fn nothing(&mut self, zone: &Zone, code: ResponseCode) {
        self.code = code;
        let soa = RData::SOA(zone.soa.clone());
        let ttl_s = zone.negative_ttl_s();
        self.authority = vec![Record::from_rdata(zone.origin.clone(), ttl_s, soa)];
    }
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
