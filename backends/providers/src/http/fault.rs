//! From what went wrong with a request to the one taxonomy of faults.
//!
//! Two questions decide: had the request gone out, and does it change anything? What may have been
//! done is unknown; what surely was not, or changes nothing, may be tried again.

use quorate_engine::seam::FaultClass;
use std::error::Error;
use std::fmt;

/// Code and message of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// For programs.
    pub code: String,
    /// For people.
    pub message: String,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A message that embeds a whole request is cut: nobody reads it to the end.
        let mut short: String = self.message.chars().take(400).collect();
        if short.len() < self.message.len() {
            short.push('…');
        }
        write!(f, "{short} ({})", self.code)
    }
}

/// What a refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing was done, and this is why.
    Class(FaultClass),
    /// Nothing was done, this is why, and this is what to do.
    Fix(FaultClass, &'static str),
    /// Too many requests; nothing was done.
    Throttled,
    /// Something broke on the way: a request that changes something may have done so.
    Broken,
}

impl Meaning {
    /// Where no code says more.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Class(FaultClass::Auth),
            404 => Self::Class(FaultClass::NotFound),
            409 | 423 => Self::Class(FaultClass::Busy),
            429 => Self::Throttled,
            // The service says that it did not begin.
            503 => Self::Class(FaultClass::Retryable),
            408 | 500.. => Self::Broken,
            0..500 => Self::Class(FaultClass::Invalid),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn class(self, mutates: bool) -> FaultClass {
        match self {
            Self::Class(class) | Self::Fix(class, _) => class,
            Self::Throttled => FaultClass::Retryable,
            Self::Broken => Stage::Sent.class(mutates),
        }
    }

    pub(super) fn fix(self) -> Option<&'static str> {
        match self {
            Self::Fix(_, fix) => Some(fix),
            Self::Class(_) | Self::Throttled | Self::Broken => None,
        }
    }
}

/// How far a request came that was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// No byte of it left: no name, no connection, no TLS.
    NotSent,
    /// It may have arrived.
    Sent,
}

impl Stage {
    pub(super) fn of(error: &reqwest::Error) -> Self {
        if error.is_connect() || error.is_builder() {
            Self::NotSent
        } else {
            Self::Sent
        }
    }

    pub(super) fn class(self, mutates: bool) -> FaultClass {
        match self {
            Self::Sent if mutates => FaultClass::Unknown,
            Self::Sent | Self::NotSent => FaultClass::Retryable,
        }
    }
}

/// An error with what caused it: a library's own message is often the least of it.
pub(super) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_without_a_code_decides() {
        use FaultClass::{Auth, Busy, Invalid, NotFound, Retryable, Unknown};
        let table = [
            (301, Invalid, Invalid),
            (400, Invalid, Invalid),
            (401, Auth, Auth),
            (403, Auth, Auth),
            (404, NotFound, NotFound),
            (408, Retryable, Unknown),
            (409, Busy, Busy),
            (410, Invalid, Invalid),
            (422, Invalid, Invalid),
            (423, Busy, Busy),
            (429, Retryable, Retryable),
            (500, Retryable, Unknown),
            (502, Retryable, Unknown),
            (503, Retryable, Retryable),
            (504, Retryable, Unknown),
        ];
        for (status, reading, changing) in table {
            let meaning = Meaning::of_status(status);
            assert_eq!(meaning.class(false), reading, "{status}, reading");
            assert_eq!(meaning.class(true), changing, "{status}, changing");
        }
    }

    #[test]
    fn what_has_not_left_was_not_done() {
        assert_eq!(Stage::NotSent.class(true), FaultClass::Retryable);
        assert_eq!(Stage::Sent.class(true), FaultClass::Unknown);
        assert_eq!(Stage::Sent.class(false), FaultClass::Retryable);
    }
}
