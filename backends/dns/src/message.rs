//! From packet to packet: whatever comes in, what goes out is silence or a whole DNS message.
//!
//! Knows neither sockets nor clocks. Truncation, EDNS and everything that is refused are decided
//! here; what stands in an answer is `answer`'s.

use crate::answer::answer;
use crate::zone::Zones;
use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, TSigResponseContext};
use std::sync::Arc;

/// How large a UDP payload may be that we send or take: no fragments on any path of today (DNS Flag
/// Day 2020).
pub const PAYLOAD_MAX: u16 = 1232;

/// What fits into UDP for whoever does not speak EDNS (RFC 1035, section 4.2.1).
const PAYLOAD_PLAIN: u16 = 512;

/// A header (RFC 1035, section 4.1.1).
const HEADER: usize = 12;

/// How a packet came, and its answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// In one datagram; answers may have to be truncated.
    Udp,
    /// After a length of two bytes.
    Tcp,
}

/// What queries are answered from: zones, and who is left out.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The zones.
    pub zones: Arc<Zones>,
    /// By watched address.
    pub sick: Vec<bool>,
}

/// The fixed part of a request that can be answered at all.
#[derive(Debug, Clone, Copy)]
struct Head {
    id: u16,
    op: OpCode,
    recursion_desired: bool,
}

impl Head {
    /// None for what is never answered: less than a header, and answers, lest two servers talk to
    /// each other for ever.
    fn read(packet: &[u8]) -> Option<Self> {
        let header = packet.get(..HEADER)?;
        if header[2] & 0x80 != 0 {
            return None;
        }
        Some(Self {
            id: u16::from_be_bytes([header[0], header[1]]),
            op: OpCode::from_u8((header[2] >> 3) & 0x0F),
            recursion_desired: header[2] & 1 != 0,
        })
    }

    /// An answer of nothing but a header.
    fn bare(self, code: ResponseCode) -> Message {
        let mut metadata = Metadata::new(self.id, MessageType::Response, self.op);
        metadata.recursion_desired = self.recursion_desired;
        metadata.response_code = code;
        let mut message = Message::response(self.id, self.op);
        message.metadata = metadata;
        message
    }
}

/// The answer to a packet; none where silence is right. `draw` orders the records.
#[must_use]
pub fn respond(view: &View, packet: &[u8], transport: Transport, draw: u64) -> Option<Vec<u8>> {
    let head = Head::read(packet)?;
    let limit = |edns: Option<&Edns>| match (transport, edns) {
        (Transport::Tcp, _) => u16::MAX,
        (Transport::Udp, None) => PAYLOAD_PLAIN,
        (Transport::Udp, Some(edns)) => edns.max_payload().clamp(PAYLOAD_PLAIN, PAYLOAD_MAX),
    };
    if head.op != OpCode::Query {
        return written(&head.bare(ResponseCode::NotImp), u16::MAX);
    }
    let Ok(request) = Message::from_vec(packet) else {
        return written(&head.bare(ResponseCode::FormErr), u16::MAX);
    };
    written(
        &reply(view, head, &request, draw)?,
        limit(request.edns.as_ref()),
    )
}

/// The shortest answer that makes an honest client ask again over TCP: for clients that ask too
/// much. None where nothing is answered, or where truncation says nothing.
#[must_use]
pub fn slip(packet: &[u8]) -> Option<Vec<u8>> {
    let head = Head::read(packet)?;
    let request = Message::from_vec(packet).ok()?;
    if head.op != OpCode::Query || request.queries.len() != 1 {
        return None;
    }
    let mut message = head.bare(ResponseCode::NoError);
    message.metadata.truncation = true;
    message.queries = request.queries;
    message.edns = request.edns.as_ref().map(ours);
    message.to_vec().ok()
}

fn reply(view: &View, head: Head, request: &Message, draw: u64) -> Option<Message> {
    let mut message = head.bare(ResponseCode::NoError);
    message.queries.clone_from(&request.queries);
    message.edns = request.edns.as_ref().map(ours);
    if request.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        message.metadata.response_code = ResponseCode::BADVERS;
        return Some(message);
    }
    if let Some(signature) = &request.signature {
        // We hold no keys (RFC 8945, section 5.2.1).
        message.metadata.response_code = ResponseCode::NotAuth;
        let (time, key) = (signature.data.time, signature.name.clone());
        let unknown = TSigResponseContext::unknown_key(head.id, time, key);
        message.set_signature(unknown.sign(&[]).ok()?);
        return Some(message);
    }
    let [query] = request.queries.as_slice() else {
        message.queries.clear();
        message.metadata.response_code = ResponseCode::FormErr;
        return Some(message);
    };
    if !matches!(query.query_class, DNSClass::IN | DNSClass::ANY) {
        message.metadata.response_code = ResponseCode::Refused;
        return Some(message);
    }
    let said = answer(&view.zones, &view.sick, &query.name, query.query_type, draw);
    message.metadata.response_code = said.code;
    message.metadata.authoritative = said.authoritative;
    message.answers = said.records;
    message.authorities = said.authority;
    message.additionals = said.additional;
    Some(message)
}

/// Our side of EDNS. The DO bit is copied (RFC 3225, section 3); there is nothing signed.
fn ours(theirs: &Edns) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD_MAX);
    edns.set_version(0);
    edns.set_dnssec_ok(theirs.flags().dnssec_ok);
    edns
}

/// On the wire, in at most so many bytes.
fn written(message: &Message, limit: u16) -> Option<Vec<u8>> {
    let whole = message.to_vec().ok()?;
    if whole.len() <= usize::from(limit) {
        return Some(whole);
    }
    let bytes = message.truncate().to_vec().ok()?;
    assert!(
        bytes.len() <= usize::from(PAYLOAD_PLAIN),
        "a question fits everywhere"
    );
    Some(bytes)
}

#[cfg(test)]
mod tests;
