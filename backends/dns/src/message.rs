//! From packet to packet: whatever comes in, what goes out is silence or a whole DNS message.
//!
//! Requests are read, led to their zone and written by hickory-server; sockets are not its own, so
//! that a rate limit sees everything first and connections are bounded. Its own
//! `Catalog::handle_request` is not used: it drops the authority section beside an alias that leads
//! to nothing (RFC 6604, section 3), and lets clients say how large a datagram may become. What
//! stands in an answer is `answer`'s. Knows neither sockets nor clocks.

mod written;

use crate::answer::{Order, RoundRobin};
use crate::zone::Zones;
use async_trait::async_trait;
use hickory_proto::op::{
    Edns, Header, HeaderCounts, Message, MessageType, Metadata, OpCode, ResponseCode,
};
use hickory_proto::rr::rdata::TSIG;
use hickory_proto::rr::{DNSClass, Name, Record, RecordType, TSigResponseContext};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};
use hickory_server::net::runtime::{Time, TokioTime};
use hickory_server::net::xfer::Protocol;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::{
    AuthLookup, Catalog, LookupError, LookupOptions, MessageResponseBuilder, Queries,
};
use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use written::{Sink, written};

/// How large a UDP payload may be that we send or take: no fragments on any path of today (DNS Flag
/// Day 2020).
pub const PAYLOAD_MAX: u16 = 1232;

/// What fits into UDP for whoever does not speak EDNS (RFC 1035, section 4.2.1).
const PAYLOAD_PLAIN: u16 = 512;

/// Type and class of a question (RFC 1035, section 4.1.2).
const QUESTION_TAIL: usize = 4;

/// How a packet came, and its answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// In one datagram; answers may have to be truncated.
    Udp,
    /// After a length of two bytes.
    Tcp,
}

impl Transport {
    fn protocol(self) -> Protocol {
        match self {
            Self::Udp => Protocol::Udp,
            Self::Tcp => Protocol::Tcp,
        }
    }

    /// The most that may be sent, in bytes.
    fn limit(self, edns: Option<&Edns>) -> u16 {
        match (self, edns) {
            (Self::Tcp, _) => u16::MAX,
            (Self::Udp, None) => PAYLOAD_PLAIN,
            (Self::Udp, Some(edns)) => edns.max_payload().clamp(PAYLOAD_PLAIN, PAYLOAD_MAX),
        }
    }
}

/// What queries are answered from: zones in hickory's catalog, which leave out who is sick.
#[derive(Clone, Default)]
pub struct View {
    catalog: Arc<Catalog>,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").finish_non_exhaustive()
    }
}

impl View {
    /// `sick` says of each watched address of the zones whether it is left out.
    ///
    /// # Panics
    /// If it says so of more or fewer than are watched.
    #[must_use]
    pub fn new(zones: &Arc<Zones>, sick: Vec<bool>, order: &Arc<Order>) -> Self {
        assert_eq!(
            zones.watches.len(),
            sick.len(),
            "every watched address is judged"
        );
        let sick: Arc<[bool]> = sick.into();
        let mut catalog = Catalog::new();
        for apex in zones.zones.keys() {
            let zone = RoundRobin {
                apex: apex.clone(),
                zones: Arc::clone(zones),
                sick: Arc::clone(&sick),
                order: Arc::clone(order),
            };
            catalog.upsert(apex.clone(), vec![Arc::new(zone)]);
        }
        Self {
            catalog: Arc::new(catalog),
        }
    }

    /// What its zone says of the one question of a request that nothing speaks against.
    async fn asked(&self, request: &Request) -> Result<Message, ResponseCode> {
        let [query] = request.queries.queries() else {
            panic!("requests without one question are refused before");
        };
        let zones = self.catalog.find(query.name());
        let [zone] = zones.map(Vec::as_slice).ok_or(ResponseCode::Refused)? else {
            panic!("the catalog has one zone for each name");
        };
        let (said, _) = zone.search(request, LookupOptions::default()).await;
        match said.map_result() {
            Some(Ok(AuthLookup::Response(message))) => Ok(message),
            Some(Err(LookupError::ResponseCode(code))) => Err(code),
            other => panic!("our zones answer with messages: {other:?}"),
        }
    }
}

#[async_trait]
impl RequestHandler for View {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut to: R,
    ) -> ResponseInfo {
        let edns = request.edns.as_ref().map(ours);
        let none = no_question();
        let (said, queries) = match refusal(request) {
            Some(ResponseCode::FormErr) => (Err(ResponseCode::FormErr), &none),
            Some(code) => (Err(code), &request.queries),
            None => (self.asked(request).await, &request.queries),
        };
        let builder = MessageResponseBuilder::new(queries, edns.as_ref());
        let sent = match &said {
            Ok(said) => {
                let (answers, additionals) = (&said.answers, &said.additionals);
                let soa = &said.authorities;
                let whole = builder.build(said.metadata, answers, [], soa, additionals);
                to.send_response(whole).await
            }
            Err(code) => {
                let mut refused = builder.error_msg(&request.metadata, *code);
                if *code == ResponseCode::NotAuth
                    && let Some(signature) = unknown_key(request)
                {
                    refused.set_signature(signature);
                }
                to.send_response(refused).await
            }
        };
        sent.unwrap_or_else(|_| {
            // What cannot be written is not sent.
            let mut metadata = Metadata::response_from_request(&request.metadata);
            metadata.response_code = ResponseCode::ServFail;
            let counts = HeaderCounts::default();
            ResponseInfo::from(Header { metadata, counts })
        })
    }
}

/// What speaks against a request before anybody looks at a zone.
fn refusal(request: &Request) -> Option<ResponseCode> {
    let [query] = request.queries.queries() else {
        return Some(ResponseCode::FormErr);
    };
    // The question goes back byte by byte. One with a pointer in it points into the header, which
    // is another one then.
    if request.queries.as_bytes().len() != uncompressed(&query.original().name) + QUESTION_TAIL {
        return Some(ResponseCode::FormErr);
    }
    if request.version() > 0 {
        return Some(ResponseCode::BADVERS);
    }
    if request.signature.is_some() {
        // We hold no keys (RFC 8945, section 5.2.1).
        return Some(ResponseCode::NotAuth);
    }
    let transfer = matches!(query.query_type(), RecordType::AXFR | RecordType::IXFR);
    let ours = matches!(query.query_class(), DNSClass::IN | DNSClass::ANY);
    (transfer || !ours).then_some(ResponseCode::Refused)
}

/// The length of a name on the wire, without a pointer. As text it has its last dot only where it is
/// the root.
fn uncompressed(name: &Name) -> usize {
    if name.is_root() { 1 } else { name.len() + 1 }
}

fn unknown_key(request: &Request) -> Option<Box<Record<TSIG>>> {
    let signature = request.signature.as_ref()?;
    let (time, key) = (signature.data.time, signature.name.clone());
    let unknown = TSigResponseContext::unknown_key(request.metadata.id, time, key);
    unknown.sign(&[]).ok()
}

/// The answer to a packet; none where silence is right.
#[must_use]
pub fn respond(
    view: &View,
    packet: &[u8],
    transport: Transport,
    from: SocketAddr,
) -> Option<Vec<u8>> {
    let head = head(packet)?;
    let bare = |code| {
        let none = no_question();
        let refused = MessageResponseBuilder::new(&none, None).error_msg(&head, code);
        written(refused, None, PAYLOAD_PLAIN).ok()
    };
    if head.op_code != OpCode::Query {
        return Some(bare(ResponseCode::NotImp)?.1);
    }
    let Ok(request) = Request::from_bytes(packet.to_vec(), from, transport.protocol()) else {
        return Some(bare(ResponseCode::FormErr)?.1);
    };
    let limit = transport.limit(request.edns.as_ref());
    let goes_back = refusal(&request) != Some(ResponseCode::FormErr);
    let sink = Sink::new(question(&request).filter(|_| goes_back), limit);
    at_once(view.handle_request::<_, TokioTime>(&request, sink.clone()));
    sink.into_bytes()
}

/// The shortest answer that makes an honest client ask again over TCP: for clients that ask too
/// much. None where nothing is answered, or where truncation says nothing.
#[must_use]
pub fn slip(packet: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    let mut metadata = Metadata::response_from_request(&head(packet)?);
    let request = Request::from_bytes(packet.to_vec(), from, Protocol::Udp).ok()?;
    if metadata.op_code != OpCode::Query || refusal(&request) == Some(ResponseCode::FormErr) {
        return None;
    }
    metadata.truncation = true;
    let edns = request.edns.as_ref().map(ours);
    let builder = MessageResponseBuilder::new(&request.queries, edns.as_ref());
    let (_, bytes) = written(builder.build_no_records(metadata), None, PAYLOAD_PLAIN).ok()?;
    Some(bytes)
}

/// None for what is never answered: less than a header, and answers, lest two servers talk to each
/// other for ever.
fn head(packet: &[u8]) -> Option<Metadata> {
    let header = Header::read(&mut BinDecoder::new(packet)).ok()?;
    (header.metadata.message_type == MessageType::Query).then_some(header.metadata)
}

fn question(request: &Request) -> Option<Name> {
    match request.queries.queries() {
        [query] => Some(query.original().name.clone()),
        _ => None,
    }
}

fn no_question() -> Queries {
    Queries::read(&mut BinDecoder::new(&[]), 0).expect("no question can be read from nothing")
}

/// Our side of EDNS. The DO bit is copied (RFC 3225, section 3); there is nothing signed.
fn ours(theirs: &Edns) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD_MAX);
    edns.set_version(0);
    edns.set_dnssec_ok(theirs.flags().dnssec_ok);
    edns
}

/// hickory's handlers may wait for something; ours have nothing to wait for.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("an answer from memory waits for nothing"),
    }
}

#[cfg(test)]
mod tests;
