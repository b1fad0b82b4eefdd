//! One TCP connection to a name server: questions and updates, signed, one after the other.

use super::Key;
use super::update::Update;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::tsig::TsigError;
use hickory_proto::rr::{Name, Record, RecordType};
use quorate_engine::seam::{Fault, FaultClass};
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A connection.
pub(super) struct Line {
    stream: TcpStream,
    server: String,
    key: Option<Key>,
    patience: Duration,
}

impl Line {
    pub(super) async fn open(
        server: &str,
        key: Option<Key>,
        patience: Duration,
    ) -> Result<Self, Fault> {
        let lost = |why: String| Fault::new(FaultClass::Retryable, format!("{server}: {why}"));
        let stream = timeout(patience, TcpStream::connect(server)).await;
        let stream = stream.map_err(|_| lost("no connection in time".to_owned()))?;
        let stream = stream.map_err(|error| lost(error.to_string()))?;
        stream
            .set_nodelay(true)
            .map_err(|error| lost(error.to_string()))?;
        Ok(Self {
            stream,
            server: server.to_owned(),
            key,
            patience,
        })
    }

    /// The records of one type at a name; none where there are none.
    pub(super) async fn read(
        &mut self,
        name: &Name,
        kind: RecordType,
    ) -> Result<Vec<Record>, Fault> {
        let answer = self.ask(name, kind).await?;
        match answer.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => {}
            code => return Err(self.refusal(code)),
        }
        let fits = |record: &Record| record.record_type() == kind && record.name == *name;
        Ok(answer.answers.into_iter().filter(fits).collect())
    }

    /// Whether anything stands at a name, or below it.
    pub(super) async fn exists(&mut self, name: &Name) -> Result<bool, Fault> {
        let mut there = false;
        for kind in [
            RecordType::A,
            RecordType::AAAA,
            RecordType::CNAME,
            RecordType::TXT,
        ] {
            there |= !self.ask(name, kind).await?.answers.is_empty();
        }
        Ok(there)
    }

    /// Whether the server has the zone.
    pub(super) async fn serves(&mut self, zone: &Name) -> Result<bool, Fault> {
        let answer = self.ask(zone, RecordType::SOA).await?;
        let soa = |record: &Record| record.record_type() == RecordType::SOA;
        Ok(answer.metadata.authoritative && answer.answers.iter().any(soa))
    }

    async fn ask(&mut self, name: &Name, kind: RecordType) -> Result<Message, Fault> {
        let mut message = Message::new(id()?, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(name.clone(), kind));
        self.exchange(message, FaultClass::Retryable).await
    }

    /// Sends an update. What it gives back is [`ResponseCode::NoError`], or the code of a condition
    /// that did not hold: then nothing was changed.
    pub(super) async fn update(&mut self, update: Update) -> Result<ResponseCode, Fault> {
        let mut message = Message::new(id()?, MessageType::Query, OpCode::Update);
        // In an update the sections have other names (RFC 2136, section 2): zone, prerequisite,
        // update.
        message.add_query(Query::query(update.zone, RecordType::SOA));
        message.answers = update.conditions;
        message.authorities = update.changes;
        let answer = self.exchange(message, FaultClass::Unknown).await?;
        match answer.metadata.response_code {
            code @ (ResponseCode::NoError
            | ResponseCode::YXDomain
            | ResponseCode::YXRRSet
            | ResponseCode::NXDomain
            | ResponseCode::NXRRSet) => Ok(code),
            code => Err(self.refusal(code)),
        }
    }

    /// Sends a message and waits for its answer. `lost`: what it means if none comes.
    async fn exchange(&mut self, mut message: Message, lost: FaultClass) -> Result<Message, Fault> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_err(|_| self.fault(FaultClass::Invalid, "the clock is wrong"))?;
        let mut verifier = None;
        if let Some(key) = &self.key {
            let signed = key.signer.sign_message(&message, now.as_secs());
            let (signature, checks) =
                signed.map_err(|error| self.fault(FaultClass::Invalid, &error.to_string()))?;
            message.set_signature(signature);
            verifier = checks;
        }
        let bytes = message.to_vec();
        let bytes = bytes.map_err(|error| self.fault(FaultClass::Invalid, &error.to_string()))?;
        let answer = timeout(self.patience, self.carry(&bytes)).await;
        let answer = answer.map_err(|_| self.fault(lost, "no answer in time"))?;
        let answer = answer.map_err(|error| self.fault(lost, &error.to_string()))?;
        let broken = |line: &Self, why: &str| line.fault(lost, &format!("a broken answer: {why}"));
        let read = Message::from_vec(&answer);
        let read = read.map_err(|error| broken(self, &error.to_string()))?;
        if read.metadata.id != message.metadata.id
            || read.metadata.message_type != MessageType::Response
        {
            return Err(broken(self, "to another question"));
        }
        if let Some(error) = read
            .signature
            .as_ref()
            .and_then(|signature| signature.data.error)
        {
            return Err(self.fault(FaultClass::Auth, unsigned(error)));
        }
        match verifier {
            None => {}
            // What a server says of a key that it does not know cannot be signed with it.
            Some(_)
                if read.signature.is_none()
                    && read.metadata.response_code != ResponseCode::NoError => {}
            Some(mut verifier) => {
                let verified = verifier.verify(&answer);
                verified
                    .map_err(|_| self.fault(lost, "an answer that is not signed with our key"))?;
            }
        }
        Ok(read)
    }

    async fn carry(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let length = u16::try_from(bytes.len());
        let length = length.map_err(|_| io::Error::other("too much for one message"))?;
        let mut whole = Vec::with_capacity(bytes.len() + 2);
        whole.extend(length.to_be_bytes());
        whole.extend(bytes);
        self.stream.write_all(&whole).await?;
        let mut length = [0; 2];
        self.stream.read_exact(&mut length).await?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        self.stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    fn fault(&self, class: FaultClass, why: &str) -> Fault {
        Fault::new(class, format!("{}: {why}", self.server))
    }

    fn refusal(&self, code: ResponseCode) -> Fault {
        let (class, why) = match code {
            ResponseCode::Refused => (FaultClass::Auth, "the key may not do this"),
            // RFC 2136 has one code for both.
            ResponseCode::NotAuth => (
                FaultClass::Auth,
                "no right to do this, or no such zone there",
            ),
            ResponseCode::NotZone => (FaultClass::Invalid, "the name is not in the zone"),
            ResponseCode::NotImp => (FaultClass::Invalid, "it takes no updates"),
            ResponseCode::FormErr => (FaultClass::Invalid, "it does not understand us"),
            ResponseCode::ServFail => (FaultClass::Retryable, "it has failed"),
            _ => (FaultClass::Retryable, "it refuses"),
        };
        self.fault(class, &format!("{why} ({code})"))
    }
}

/// What a server says of a signature (RFC 8945, section 5.2).
fn unsigned(error: TsigError) -> &'static str {
    match error {
        TsigError::BadSig => "the TSIG key's secret is another one there (BADSIG)",
        TsigError::BadKey => "the TSIG key is not known there (BADKEY)",
        TsigError::BadTime => "its clock and ours differ by more than five minutes (BADTIME)",
        TsigError::BadTrunc => "it wants longer signatures (BADTRUNC)",
        TsigError::Unknown(_) => "it does not take our signature",
    }
}

/// Not to be guessed by others.
fn id() -> Result<u16, Fault> {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).map_err(|error| {
        Fault::new(FaultClass::Retryable, format!("no random numbers: {error}"))
    })?;
    Ok(u16::from_le_bytes(bytes))
}
