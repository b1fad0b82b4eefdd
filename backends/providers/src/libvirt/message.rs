//! Messages of libvirt's protocol: a length, a header of six words, a payload.
//!
//! Source of the numbers: `virnetprotocol.x`, `virkeepaliveprotocol.x` and `virterror.h` of
//! libvirt; they never change. Knows no procedure and no socket.

use super::xdr::{Decoder, Encoder, Garbled};

/// The program of everything that is not keepalive.
pub(super) const REMOTE: u32 = 0x2000_8086;
/// The program with which either side asks whether the other lives.
pub(super) const KEEPALIVE: u32 = 0x6b65_6570;
/// Its question.
pub(super) const PING: i32 = 1;
/// Its answer.
pub(super) const PONG: i32 = 2;
/// Both programs have this one.
const VERSION: u32 = 1;
/// Length and header, in bytes.
pub(super) const HEAD: usize = 28;
/// No message is longer, in bytes.
pub(super) const LONGEST: usize = 33_554_432 + 4;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    /// A procedure is called.
    Call,
    /// It was carried out, or not.
    Reply,
    /// Something happened, or keepalive.
    Event,
    /// Data of a stream that a call has opened.
    Stream,
}

/// How it stands with what a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Good; of a stream: complete.
    Ok,
    /// Bad: the payload says how.
    Error,
    /// More of the stream follows.
    Continue,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) program: u32,
    pub(super) procedure: i32,
    pub(super) kind: Type,
    pub(super) serial: u32,
    pub(super) status: Status,
    pub(super) payload: Vec<u8>,
}

impl Message {
    /// As it travels.
    pub(super) fn encode(&self) -> Vec<u8> {
        let length = HEAD + self.payload.len();
        assert!(length <= LONGEST, "payloads are cut to size before");
        let kind = match self.kind {
            Type::Call => 0,
            Type::Reply => 1,
            Type::Event => 2,
            Type::Stream => 3,
        };
        let status = match self.status {
            Status::Ok => 0,
            Status::Error => 1,
            Status::Continue => 2,
        };
        let head = Encoder::new()
            .u32(u32::try_from(length).expect("at most the longest"))
            .u32(self.program)
            .u32(VERSION)
            .i32(self.procedure)
            .i32(kind)
            .u32(self.serial)
            .i32(status);
        let mut bytes = head.done();
        bytes.extend(&self.payload);
        bytes
    }

    /// How long a message is that begins with these bytes; none where no message is that long.
    pub(super) fn length(first: [u8; 4]) -> Option<usize> {
        let length = u32::from_be_bytes(first) as usize;
        (HEAD..=LONGEST).contains(&length).then_some(length)
    }

    /// From what follows the length. Types that a client never asked for (file descriptors, holes
    /// in streams) are none.
    pub(super) fn decode(bytes: &[u8]) -> Result<Option<Self>, Garbled> {
        let mut head = Decoder::new(bytes);
        let program = head.u32()?;
        let _version = head.u32()?;
        let procedure = head.i32()?;
        let kind = match head.i32()? {
            0 => Type::Call,
            1 => Type::Reply,
            2 => Type::Event,
            3 => Type::Stream,
            _ => return Ok(None),
        };
        let serial = head.u32()?;
        let status = match head.i32()? {
            0 => Status::Ok,
            1 => Status::Error,
            2 => Status::Continue,
            _ => return Ok(None),
        };
        Ok(Some(Self {
            program,
            procedure,
            kind,
            serial,
            status,
            payload: bytes[HEAD - 4..].to_vec(),
        }))
    }
}

/// An error as libvirt tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoteError {
    /// `virErrorNumber`.
    pub(super) code: i32,
    /// `virErrorDomain`: which part of libvirt it comes from.
    pub(super) domain: i32,
    /// For people.
    pub(super) message: String,
}

impl RemoteError {
    pub(super) fn decode(payload: &[u8]) -> Result<Self, Garbled> {
        let mut from = Decoder::new(payload);
        let (code, domain) = (from.i32()?, from.i32()?);
        let message = from.option(Decoder::text)?.unwrap_or_default();
        Ok(Self {
            code,
            domain,
            message,
        })
    }

    /// As a daemon tells it.
    #[cfg(test)]
    pub(super) fn encode(&self) -> Vec<u8> {
        let said = Encoder::new()
            .i32(self.code)
            .i32(self.domain)
            .some_text(&self.message);
        // Level, domain, three strings, two numbers, network.
        let rest = [2, 0, 0, 0, 0, 0, 0, 0];
        rest.into_iter().fold(said, Encoder::i32).done()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of `REMOTE_PROC_AUTH_LIST`, as libvirt's own client sends them.
    const AUTH_LIST: [u8; 28] = [
        0, 0, 0, 28, 0x20, 0, 0x80, 0x86, 0, 0, 0, 1, 0, 0, 0, 66, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0,
    ];

    #[test]
    fn a_call_is_what_libvirt_s_own_client_sends() {
        let call = Message {
            program: REMOTE,
            procedure: 66,
            kind: Type::Call,
            serial: 0,
            status: Status::Ok,
            payload: Vec::new(),
        };
        assert_eq!(call.encode(), AUTH_LIST);
        assert_eq!(Message::decode(&AUTH_LIST[4..]), Ok(Some(call)));
    }

    #[test]
    fn every_type_and_status_comes_back() {
        for kind in [Type::Call, Type::Reply, Type::Event, Type::Stream] {
            for status in [Status::Ok, Status::Error, Status::Continue] {
                let message = Message {
                    program: KEEPALIVE,
                    procedure: PING,
                    kind,
                    serial: 9,
                    status,
                    payload: vec![1, 2, 3, 4],
                };
                let bytes = message.encode();
                let length = Message::length(bytes[..4].try_into().unwrap());
                assert_eq!(length, Some(bytes.len()));
                assert_eq!(Message::decode(&bytes[4..]), Ok(Some(message)));
            }
        }
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        assert_eq!(Message::length([0, 0, 0, 27]), None);
        assert_eq!(Message::length([0, 0, 0, 28]), Some(28));
        assert_eq!(Message::length([255; 4]), None);
        assert_eq!(Message::decode(&[0; 20]), Err(Garbled::Short));
        let mut with_descriptors = AUTH_LIST;
        with_descriptors[19] = 5;
        assert_eq!(Message::decode(&with_descriptors[4..]), Ok(None));
    }

    #[test]
    fn an_error_is_its_code_its_domain_and_its_words() {
        let error = RemoteError {
            code: 42,
            domain: 12,
            message: "Domain not found".to_owned(),
        };
        assert_eq!(RemoteError::decode(&error.encode()), Ok(error));
        let silent = Encoder::new().i32(1).i32(0).u32(0).done();
        assert_eq!(RemoteError::decode(&silent).unwrap().message, "");
    }
}
