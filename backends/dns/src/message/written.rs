//! Answers on the wire: whole within their limit, or truncated to their question.

use async_trait::async_trait;
use hickory_proto::ProtoError;
use hickory_proto::op::Header;
use hickory_proto::rr::{Name, Record};
use hickory_proto::serialize::binary::{
    BinDecodable as _, BinDecoder, BinEncodable as _, BinEncoder,
};
use hickory_server::net::NetError;
use hickory_server::server::{ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::{MessageResponse, MessageResponseBuilder, Queries};
use std::sync::{Arc, OnceLock};

/// A header (RFC 1035, section 4.1.1).
const HEADER: usize = 12;

/// An answer of three addresses fits; more grow it.
const USUAL: usize = 256;

/// Where hickory leaves the answer to one request.
#[derive(Clone)]
pub(super) struct Sink {
    question: Option<Name>,
    /// The most that may be sent, in bytes.
    limit: u16,
    bytes: Arc<OnceLock<Vec<u8>>>,
}

impl Sink {
    pub(super) fn new(question: Option<Name>, limit: u16) -> Self {
        Self {
            question,
            limit,
            bytes: Arc::default(),
        }
    }

    /// What was left; none if it could not be written.
    ///
    /// # Panics
    /// If somebody may still leave something.
    pub(super) fn into_bytes(self) -> Option<Vec<u8>> {
        let bytes = Arc::into_inner(self.bytes).expect("whoever answers has done so");
        bytes.into_inner()
    }
}

#[async_trait]
impl ResponseHandler for Sink {
    async fn send_response<'a>(
        &mut self,
        response: MessageResponse<
            '_,
            'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
        >,
    ) -> Result<ResponseInfo, NetError> {
        let (info, bytes) = written(response, self.question.as_ref(), self.limit)?;
        let first = self.bytes.set(bytes).is_ok();
        assert!(first, "a request is answered once");
        Ok(info)
    }
}

/// An answer on the wire, in at most so many bytes. `question`: what its records may be shortened
/// by.
///
/// # Errors
/// A message that cannot be written.
pub(super) fn written<'a>(
    response: MessageResponse<
        '_,
        'a,
        impl Iterator<Item = &'a Record> + Send + 'a,
        impl Iterator<Item = &'a Record> + Send + 'a,
        impl Iterator<Item = &'a Record> + Send + 'a,
        impl Iterator<Item = &'a Record> + Send + 'a,
    >,
    question: Option<&Name>,
    limit: u16,
) -> Result<(ResponseInfo, Vec<u8>), ProtoError> {
    let (mut metadata, edns) = (*response.metadata(), response.edns());
    let mut bytes = Vec::with_capacity(USUAL);
    let mut encoder = BinEncoder::new(&mut bytes);
    if let Some(question) = question {
        // hickory-server 0.26 keeps a question for compression with its type and class, which no
        // name equals: so it is written once before, where it will stand.
        encoder.emit_vec(&[0; HEADER])?;
        question.emit(&mut encoder)?;
        encoder.set_offset(0);
    }
    let info = response.destructive_emit(&mut encoder)?;
    let whole = info.truncation == metadata.truncation;
    if whole && bytes.len() <= usize::from(limit) {
        return Ok((info, bytes));
    }
    // Who has to come back over TCP needs nothing now: a part is taken for all by some, and floods
    // whoever is a victim of it.
    let mut decoder = BinDecoder::new(&bytes);
    let header = Header::read(&mut decoder)?;
    let queries = Queries::read(&mut decoder, usize::from(header.counts.queries))?;
    metadata.truncation = true;
    let mut bare = Vec::with_capacity(USUAL);
    let builder = MessageResponseBuilder::new(&queries, edns);
    let bare_response = builder.build_no_records(metadata);
    let info = bare_response.destructive_emit(&mut BinEncoder::new(&mut bare))?;
    assert!(
        bare.len() <= usize::from(super::PAYLOAD_PLAIN),
        "a question fits everywhere"
    );
    Ok((info, bare))
}
