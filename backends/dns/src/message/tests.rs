//! Questions and answers, byte for byte, and everything that is no question.

use super::*;
use crate::config;
use crate::config::from_lines;
use crate::health::Health;
use hickory_proto::op::Query;
use hickory_proto::rr::rdata::tsig::{TSIG, TsigAlgorithm, TsigError};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use proptest::prelude::*;
use quorate_engine::time::{Span, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

fn view(draw: u64) -> View {
    let mut lines: Vec<String> = [
        "www A 192.0.2.1 30",
        "www A 192.0.2.2",
        "www A 192.0.2.3",
        "www AAAA 2001:db8::1",
        "ns1 A 192.0.2.53",
        "alias CNAME www",
        "far CNAME www.elsewhere.example",
        "ring CNAME ring2",
        "ring2 CNAME ring",
        "dead CNAME nowhere",
        "deep.below TXT \"there\"",
        "@ MX 10 mail.example.test",
    ]
    .map(str::to_owned)
    .to_vec();
    lines.extend((0..80).map(|n| format!("many A 198.51.100.{n}")));
    lines.extend((0..25).map(|n| format!("some A 198.51.100.{n}")));
    let servers = ["ns1.example.test".to_owned()];
    let file = from_lines("example.test", &servers, &lines).unwrap();
    let zones = Arc::new(config::build(&file).unwrap());
    View::new(&zones, Vec::new(), &Arc::new(Order::from(draw)))
}

/// Documentation addresses never ask in earnest.
const ASKER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)), 4_053);

fn respond(view: &View, packet: &[u8], transport: Transport) -> Option<Vec<u8>> {
    super::respond(view, packet, transport, ASKER)
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn asked(message: &Message, transport: Transport, draw: u64) -> (Message, usize) {
    let bytes = respond(&view(draw), &message.to_vec().unwrap(), transport).unwrap();
    (Message::from_vec(&bytes).unwrap(), bytes.len())
}

fn ask(name: &str, kind: RecordType) -> Message {
    let (answer, _) = asked(&question(name, kind), Transport::Udp, 1);
    assert_eq!(answer.metadata.id, 0x1234);
    assert_eq!(answer.metadata.message_type, MessageType::Response);
    assert!(answer.metadata.recursion_desired && !answer.metadata.recursion_available);
    answer
}

fn addresses(answer: &Message) -> Vec<String> {
    let data = answer.answers.iter().map(|record| record.data.to_string());
    data.collect()
}

#[test]
fn every_order_comes_equally_often() {
    let mut orders: BTreeMap<Vec<String>, u32> = BTreeMap::new();
    let view = view(3);
    let packet = question("www.example.test.", RecordType::A).to_vec();
    let packet = packet.unwrap();
    for _ in 0..6_000 {
        let answer = respond(&view, &packet, Transport::Udp).unwrap();
        let answer = Message::from_vec(&answer).unwrap();
        assert_eq!(answer.answers.len(), 3);
        *orders.entry(addresses(&answer)).or_default() += 1;
    }
    assert_eq!(orders.len(), 6, "3! orders: {orders:?}");
    // 1,000 expected each, deviation 29: five of them.
    assert!(
        orders.values().all(|n| (850..1_150).contains(n)),
        "{orders:?}"
    );
}

#[test]
fn one_seed_gives_one_sequence_of_orders() {
    let packet = question("www.example.test.", RecordType::A).to_vec();
    let packet = packet.unwrap();
    let orders = |seed| -> Vec<_> {
        let view = view(seed);
        let ask = |_| respond(&view, &packet, Transport::Tcp);
        (0..20).map(ask).collect()
    };
    assert_eq!(orders(7), orders(7));
    assert_ne!(orders(7), orders(8));
}

#[test]
fn letters_are_given_back_as_they_came() {
    let answer = ask("wWw.ExAmPlE.TeSt.", RecordType::A);
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    assert!(answer.metadata.authoritative);
    assert_eq!(answer.queries[0].name.to_ascii(), "wWw.ExAmPlE.TeSt.");
    for record in &answer.answers {
        assert_eq!(record.name.to_ascii(), "wWw.ExAmPlE.TeSt.");
        assert_eq!(record.ttl, 30);
    }
}

#[test]
fn there_are_three_ways_of_nothing() {
    let cases = [
        (
            "nope.example.test.",
            RecordType::A,
            ResponseCode::NXDomain,
            true,
        ),
        (
            "www.example.test.",
            RecordType::TXT,
            ResponseCode::NoError,
            true,
        ),
        // Only names below it have something.
        (
            "below.example.test.",
            RecordType::A,
            ResponseCode::NoError,
            true,
        ),
        (
            "below.example.test.",
            RecordType::ANY,
            ResponseCode::NoError,
            true,
        ),
        (
            "www.elsewhere.example.",
            RecordType::A,
            ResponseCode::Refused,
            false,
        ),
        ("test.", RecordType::SOA, ResponseCode::Refused, false),
        (".", RecordType::NS, ResponseCode::Refused, false),
        (
            "example.test.",
            RecordType::AXFR,
            ResponseCode::Refused,
            false,
        ),
        (
            "example.test.",
            RecordType::IXFR,
            ResponseCode::Refused,
            false,
        ),
    ];
    for (name, kind, code, ours) in cases {
        let answer = ask(name, kind);
        assert_eq!(answer.metadata.response_code, code, "{name} {kind}");
        assert_eq!(answer.metadata.authoritative, ours, "{name} {kind}");
        assert!(answer.answers.is_empty(), "{name} {kind}");
        let soa: Vec<_> = answer.authorities.iter().map(Record::record_type).collect();
        let meant = if ours { vec![RecordType::SOA] } else { vec![] };
        assert_eq!(soa, meant, "{name} {kind}");
        assert!(
            answer.authorities.iter().all(|soa| soa.ttl == 30),
            "the lesser of 30 and 60"
        );
    }
}

#[test]
fn another_name_is_followed_within_our_zones() {
    let kinds =
        |answer: &Message| -> Vec<_> { answer.answers.iter().map(Record::record_type).collect() };
    let (a, cname) = (RecordType::A, RecordType::CNAME);
    let inside = ask("alias.example.test.", a);
    assert_eq!(kinds(&inside), [cname, a, a, a]);
    let outside = ask("far.example.test.", a);
    assert_eq!(kinds(&outside), [cname]);
    assert!(outside.authorities.is_empty());
    let itself = ask("alias.example.test.", cname);
    assert_eq!(kinds(&itself), [cname]);
    let dead = ask("dead.example.test.", a);
    assert_eq!(dead.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(kinds(&dead), [cname]);
    let ring = ask("ring.example.test.", a);
    assert_eq!(ring.metadata.response_code, ResponseCode::NoError);
    assert_eq!(kinds(&ring), [cname; 8]);
    let none = ask("alias.example.test.", RecordType::TXT);
    assert_eq!((kinds(&none), none.authorities.len()), (vec![cname], 1));
}

#[test]
fn the_zone_speaks_of_itself() {
    let ns = ask("example.test.", RecordType::NS);
    assert_eq!(addresses(&ns), ["ns1.example.test."]);
    assert_eq!(ns.additionals[0].data.to_string(), "192.0.2.53");
    let soa = ask("example.test.", RecordType::SOA);
    assert_eq!(soa.answers.len(), 1);
    let any = ask("www.example.test.", RecordType::ANY);
    assert!(matches!(&any.answers[..], [one] if matches!(one.data, RData::HINFO(_))));
}

#[test]
fn what_does_not_fit_is_truncated() {
    let cases = [
        ("some", None, Transport::Udp, false, 25),
        ("many", None, Transport::Udp, true, 0),
        ("many", Some(4_096), Transport::Udp, true, 0),
        ("many", None, Transport::Tcp, false, 80),
        ("some", Some(100), Transport::Udp, false, 25),
    ];
    for (label, payload, transport, truncated, records) in cases {
        let mut message = question(&format!("{label}.example.test."), RecordType::A);
        if let Some(payload) = payload {
            let mut edns = Edns::new();
            edns.set_max_payload(payload);
            message.edns = Some(edns);
        }
        let (answer, length) = asked(&message, transport, 3);
        let case = format!("{label} {payload:?} {transport:?}: {length}");
        assert_eq!(answer.metadata.truncation, truncated, "{case}");
        assert_eq!(answer.answers.len(), records, "{case}");
        assert_eq!(answer.edns.is_some(), payload.is_some(), "{case}");
        let most = if payload == Some(4_096) {
            PAYLOAD_MAX
        } else {
            PAYLOAD_PLAIN
        };
        assert!(
            transport == Transport::Tcp || length <= usize::from(most),
            "{case}"
        );
    }
}

#[test]
fn a_name_is_written_once() {
    let message = question("www.example.test.", RecordType::A);
    let (_, length) = asked(&message, Transport::Udp, 1);
    // Header, question, and three addresses whose owner is a pointer of two bytes.
    assert_eq!(length, 12 + 18 + 4 + 3 * 16);
    let message = question(".", RecordType::A);
    assert_eq!(asked(&message, Transport::Udp, 1).1, 12 + 1 + 4);
}

#[test]
fn a_question_that_points_into_the_header_is_malformed() {
    let header = [0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let packet = [&header[..], &[0xC0, 0x02, 0, 1, 0, 1]].concat();
    let answer = respond(&view(0), &packet, Transport::Udp).unwrap();
    let answer = Message::from_vec(&answer).unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::FormErr);
    assert!(answer.queries.is_empty());
    assert_eq!(slip(&packet, ASKER), None);
}

#[test]
fn edns_is_answered_in_kind() {
    let mut message = question("www.example.test.", RecordType::A);
    let mut edns = Edns::new();
    edns.set_dnssec_ok(true);
    message.edns = Some(edns.clone());
    let (answer, _) = asked(&message, Transport::Udp, 0);
    let ours = answer.edns.unwrap();
    assert!(ours.flags().dnssec_ok);
    assert_eq!((ours.version(), ours.max_payload()), (0, PAYLOAD_MAX));
    edns.set_version(1);
    message.edns = Some(edns);
    let (answer, _) = asked(&message, Transport::Udp, 0);
    // 16 is BADVERS in EDNS and BADSIG in TSIG.
    assert_eq!(u16::from(answer.metadata.response_code), 16);
    assert!(answer.answers.is_empty());
}

#[test]
fn what_is_no_query_for_us_is_refused_by_its_name() {
    let mut update = question("example.test.", RecordType::SOA);
    update.metadata.op_code = OpCode::Update;
    let mut notify = update.clone();
    notify.metadata.op_code = OpCode::Notify;
    let mut chaos = question("version.bind.", RecordType::TXT);
    chaos.queries[0].query_class = DNSClass::CH;
    let mut two = question("www.example.test.", RecordType::A);
    two.add_query(two.queries[0].clone());
    let mut none = two.clone();
    none.queries.clear();
    let cases = [
        (update, ResponseCode::NotImp),
        (notify, ResponseCode::NotImp),
        (chaos, ResponseCode::Refused),
        (two, ResponseCode::FormErr),
        (none, ResponseCode::FormErr),
    ];
    for (message, code) in cases {
        let (answer, _) = asked(&message, Transport::Udp, 0);
        assert_eq!(answer.metadata.response_code, code);
        assert_eq!((answer.metadata.id, answer.answers.len()), (0x1234, 0));
    }
}

#[test]
fn a_key_is_not_known_here() {
    let mut message = question("www.example.test.", RecordType::A);
    let tsig = TSIG::new(
        TsigAlgorithm::HmacSha256,
        9,
        300,
        vec![0; 32],
        0x1234,
        None,
        vec![],
    );
    let mut record = Record::from_rdata(Name::from_str("key.").unwrap(), 0, tsig);
    record.dns_class = DNSClass::ANY;
    message.set_signature(Box::new(record));
    let (answer, _) = asked(&message, Transport::Udp, 0);
    assert_eq!(answer.metadata.response_code, ResponseCode::NotAuth);
    let signature = answer.signature.unwrap();
    assert_eq!(signature.data.error, Some(TsigError::BadKey));
    assert!(signature.data.mac.is_empty());
}

#[test]
fn answers_and_scraps_are_met_with_silence() {
    let mut answer = question("www.example.test.", RecordType::A);
    answer.metadata.message_type = MessageType::Response;
    let bytes = answer.to_vec().unwrap();
    assert_eq!(respond(&view(0), &bytes, Transport::Udp), None);
    assert_eq!(respond(&view(0), &bytes[..11], Transport::Udp), None);
    assert_eq!(respond(&view(0), &[], Transport::Tcp), None);
    // An answer that nobody could read is one all the same.
    assert_eq!(respond(&view(0), &bytes[..20], Transport::Udp), None);
}

#[test]
fn a_slip_makes_clients_come_over_tcp() {
    let bytes = question("www.example.test.", RecordType::A)
        .to_vec()
        .unwrap();
    let slipped = slip(&bytes, ASKER).unwrap();
    assert!(slipped.len() <= bytes.len(), "no more than was asked");
    let slipped = Message::from_vec(&slipped).unwrap();
    assert!(slipped.metadata.truncation && slipped.answers.is_empty());
    assert_eq!(slip(&bytes[..20], ASKER), None);
}

fn watched(addresses: &[&str]) -> Arc<Zones> {
    let text = format!(
        "{{zones: [{{zone: e.test, records: [{{name: www, type: A, values: [{}],
           check: {{protocol: tcp, port: 443, threshold: 1}}}}]}}]}}",
        addresses.join(", ")
    );
    let (_, zones) = config::load(text.as_bytes()).unwrap();
    Arc::new(zones)
}

#[test]
fn the_sick_are_left_out_and_nobody_is_never_the_answer() {
    let zones = watched(&["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    let targets = &zones.watches;
    let bytes = question("www.e.test.", RecordType::A).to_vec().unwrap();
    let given = |view: &View| -> BTreeSet<String> {
        let answer = respond(view, &bytes, Transport::Udp).unwrap();
        addresses(&Message::from_vec(&answer).unwrap())
            .into_iter()
            .collect()
    };
    let mut health = Health::default();
    health.watch(targets);
    let mut now = Time::ZERO;
    for (sick, left) in [(0, 2), (1, 1), (2, 3)] {
        now += Span::from_secs(1);
        health.observe(now, &targets[sick], false);
        let ill = targets.iter().map(|target| health.is_sick(target));
        let view = View::new(&zones, ill.collect(), &Arc::default());
        let given = given(&view);
        assert_eq!(given.len(), left, "{given:?}");
        let out = given.contains(&targets[sick].address.to_string());
        assert_eq!(
            out,
            left == 3,
            "who is sick is given out only with everybody else"
        );
    }
}

/// A packet and what has to hold of its answer, whatever the packet is.
fn sane(packet: &[u8], transport: Transport, draw: u64) -> Result<(), TestCaseError> {
    let Some(bytes) = respond(&view(draw), packet, transport) else {
        prop_assert!(
            packet.len() < 12 || packet[2] & 0x80 != 0,
            "silence without a reason"
        );
        return Ok(());
    };
    prop_assert_eq!(&bytes[..2], &packet[..2], "the id");
    prop_assert!(bytes[2] & 0x80 != 0, "it is an answer");
    prop_assert_eq!(bytes[2] & 0x78, packet[2] & 0x78, "the opcode");
    prop_assert!(transport == Transport::Tcp || bytes.len() <= usize::from(PAYLOAD_MAX));
    let read = Message::from_vec(&bytes);
    prop_assert!(read.is_ok(), "{:?}: {:?}", read, bytes);
    let slipped = slip(packet, ASKER).map(|bytes| Message::from_vec(&bytes));
    prop_assert!(slipped.is_none_or(|read| read.is_ok_and(|read| read.metadata.truncation)));
    Ok(())
}

fn valid() -> impl Strategy<Value = Vec<u8>> {
    let names = [
        "www.example.test.",
        "MANY.example.test.",
        "a.b.",
        ".",
        "alias.example.test.",
    ];
    let names = prop::sample::select(names.to_vec());
    let parts = (
        names,
        0u16..300,
        any::<bool>(),
        any::<u16>(),
        0u8..3,
        any::<u16>(),
    );
    parts.prop_map(|(name, kind, edns, payload, version, id)| {
        let mut message = question(name, RecordType::from(kind));
        message.metadata.id = id;
        if edns {
            let mut edns = Edns::new();
            edns.set_max_payload(payload);
            edns.set_version(version);
            message.edns = Some(edns);
        }
        message.to_vec().unwrap()
    })
}

fn transport() -> impl Strategy<Value = Transport> {
    prop::sample::select(vec![Transport::Udp, Transport::Tcp])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn bytes_of_any_kind_are_answered_well_or_not_at_all(
        packet in prop::collection::vec(any::<u8>(), 0..600), transport in transport(), draw: u64,
    ) {
        sane(&packet, transport, draw)?;
    }

    #[test]
    fn damaged_queries_are_answered_well_or_not_at_all(
        mut packet in valid(), transport in transport(), draw: u64,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        end in any::<prop::sample::Index>(), cut: bool,
        more in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        for (at, byte) in damage {
            let at = at.index(packet.len());
            packet[at] = byte;
        }
        if cut {
            packet.truncate(end.index(packet.len() + 1));
        }
        packet.extend(more);
        sane(&packet, transport, draw)?;
    }

    #[test]
    fn whole_queries_are_always_answered(packet in valid(), draw: u64) {
        prop_assert!(respond(&view(draw), &packet, Transport::Udp).is_some());
    }
}
