//! Requests and answers as every vendor's model gets and gives them.
//!
//! Knows nothing of sockets: those are the server's.

use quorate_engine::time::Span;
use serde_json::Value;

/// A request, read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// In capitals.
    pub(crate) method: String,
    /// Begins with a slash; the version of the API is taken off.
    pub(crate) path: String,
    /// In the order in which they came; a name may come again.
    pub(crate) query: Vec<(String, String)>,
    /// What follows `Bearer` in the Authorization header.
    pub(crate) bearer: Option<String>,
    /// Not yet judged.
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The first value of a query parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let mut found = self.query.iter().filter(|(n, _)| n == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// All values of a query parameter.
    pub(crate) fn parameters<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.query.iter().filter(move |(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// An answer, not yet sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// Beyond those that every answer has.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// As JSON; none where there is no content.
    pub(crate) body: Option<Value>,
}

impl Answer {
    /// An answer with a body.
    pub(crate) fn new(status: u16, body: Value) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Some(body),
        }
    }

    /// 204.
    pub(crate) fn nothing() -> Self {
        Self {
            status: 204,
            headers: Vec::new(),
            body: None,
        }
    }
}

/// What faults do to one request before the vendor's own rules: the model says how it is told.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Interference {
    /// Refused for so long, as too many.
    pub(crate) throttled: Option<Span>,
    /// Failed with this status and, where it is given, the vendor's word for it.
    pub(crate) failed: Option<(u16, Option<String>)>,
}
